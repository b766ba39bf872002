//! Callers and processes are played over HTTP, as cargo-lambda and the functions speak it.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::http::StatusCode;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::*;

const TIMEOUT: Duration = Duration::from_millis(500);

/// An API with one function, `f`, whose processes are played by the test.
struct Rig {
    url: String,
    function: Arc<Function>,
    http: Client,
    _api: Api,
}

impl Rig {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let function = Arc::new(Function::new("f".into(), TIMEOUT));
        let functions = HashMap::from([("f".to_owned(), Arc::clone(&function))]);
        Self {
            url,
            function,
            http: Client::new(),
            _api: Api::start(listener, Arc::new(functions)),
        }
    }

    fn invocations(&self) -> String {
        format!("{}/2015-03-31/functions/f/invocations", self.url)
    }

    /// Invokes the function; what is returned comes once it has ended.
    fn invoke(&self, event: &Value) -> impl Future<Output = Response> + use<> {
        let request = self.http.post(self.invocations()).json(event);
        async { request.send().await.unwrap() }
    }

    fn runtime(&self, environment: u64, path: &str) -> String {
        let Self { url, .. } = self;
        format!("{url}/environments/f/{environment}/2018-06-01/runtime/{path}")
    }

    async fn next(&self, environment: u64) -> Response {
        let url = self.runtime(environment, "invocation/next");
        self.http.get(url).send().await.unwrap()
    }

    async fn report(&self, environment: u64, path: &str, body: &str) -> StatusCode {
        let request = self.http.post(self.runtime(environment, path));
        request.body(body.to_owned()).send().await.unwrap().status()
    }

    fn environment(&self) -> u64 {
        self.function.environment_starts().0
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

fn id(next: &Response) -> String {
    header(next, "lambda-runtime-aws-request-id").to_owned()
}

async fn failure(response: Response) -> Value {
    assert_eq!(response.status(), 200);
    assert_eq!(header(&response, "x-amz-function-error"), "Unhandled");
    response.json().await.unwrap()
}

#[tokio::test]
async fn an_invocation_gets_the_response_of_the_process() {
    let rig = Rig::start().await;
    let environment = rig.environment();
    let invoked = tokio::spawn(rig.invoke(&json!({"n": 1})));

    let before = jiff::Timestamp::now().as_millisecond();
    let next = rig.next(environment).await;
    let deadline: i64 = header(&next, "lambda-runtime-deadline-ms").parse().unwrap();
    assert!(
        (500..1_500).contains(&(deadline - before)),
        "{before} {deadline}"
    );
    assert!(header(&next, "lambda-runtime-invoked-function-arn").ends_with(":function:f"));
    let id = id(&next);
    assert_eq!(next.json::<Value>().await.unwrap(), json!({"n": 1}));

    let path = format!("invocation/{id}/response");
    assert_eq!(
        rig.report(environment, &path, r#"{"b":1,"a":2}"#).await,
        202
    );
    let response = invoked.await.unwrap();
    assert!(!response.headers().contains_key("x-amz-function-error"));
    assert_eq!(response.text().await.unwrap(), r#"{"b":1,"a":2}"#);
    assert_eq!(
        rig.report(environment, &path, "{}").await,
        400,
        "a second one"
    );
}

#[tokio::test]
async fn an_error_of_the_function_is_marked_as_one() {
    let rig = Rig::start().await;
    let environment = rig.environment();
    let invoked = tokio::spawn(rig.invoke(&json!({})));
    let path = format!("invocation/{}/error", id(&rig.next(environment).await));
    let error = r#"{"errorType":"Boom","errorMessage":"it broke"}"#;
    assert_eq!(rig.report(environment, &path, error).await, 202);
    let error = failure(invoked.await.unwrap()).await;
    assert_eq!(error["errorType"], "Boom");
}

#[tokio::test]
async fn environments_share_the_load_and_answer_only_for_themselves() {
    let rig = Rig::start().await;
    let (one, other) = (rig.environment(), rig.environment());
    let first = tokio::spawn(rig.invoke(&json!(1)));
    let id_of_first = id(&rig.next(one).await);
    let second = tokio::spawn(rig.invoke(&json!(2)));
    let next = rig.next(other).await;
    let id_of_second = id(&next);
    assert_eq!(next.text().await.unwrap(), "2");

    let path = |id| format!("invocation/{id}/response");
    assert_eq!(rig.report(other, &path(&id_of_first), "0").await, 400);
    assert_eq!(rig.report(other, &path(&id_of_second), "2").await, 202);
    assert_eq!(rig.report(one, &path(&id_of_first), "1").await, 202);
    assert_eq!(first.await.unwrap().text().await.unwrap(), "1");
    assert_eq!(second.await.unwrap().text().await.unwrap(), "2");
}

#[tokio::test]
async fn a_process_that_ends_fails_its_own_invocations_and_no_others() {
    let rig = Rig::start().await;
    let (one, other) = (rig.environment(), rig.environment());
    let lost = tokio::spawn(rig.invoke(&json!(1)));
    rig.next(one).await;
    let kept = tokio::spawn(rig.invoke(&json!(2)));
    let id_of_kept = id(&rig.next(other).await);

    assert!(rig.function.environment_crashes(one, "ended (signal: 9)"));
    let error = failure(lost.await.unwrap()).await;
    assert_eq!(error["errorType"], "Runtime.ExitError");
    assert!(
        error["errorMessage"]
            .as_str()
            .unwrap()
            .contains("signal: 9")
    );
    assert_eq!(rig.next(one).await.status(), 400, "it has ended");

    let path = format!("invocation/{id_of_kept}/response");
    assert_eq!(rig.report(other, &path, "2").await, 202);
    assert_eq!(kept.await.unwrap().text().await.unwrap(), "2");
    assert_eq!(rig.function.crashes(), 1);
}

#[tokio::test]
async fn an_invocation_is_not_lost_to_a_process_that_ended_while_it_asked() {
    let rig = Rig::start().await;
    let (one, other) = (rig.environment(), rig.environment());
    let url = rig.runtime(one, "invocation/next");
    let asks = tokio::spawn(rig.http.get(url).send());
    sleep(TIMEOUT / 10).await;
    rig.function.environment_crashes(one, "ended");
    assert_eq!(asks.await.unwrap().unwrap().status(), 400);

    let invoked = tokio::spawn(rig.invoke(&json!(1)));
    let path = format!("invocation/{}/response", id(&rig.next(other).await));
    assert_eq!(rig.report(other, &path, "1").await, 202);
    assert_eq!(invoked.await.unwrap().text().await.unwrap(), "1");
}

#[tokio::test]
async fn a_failed_initialization_fails_the_invocations_that_wait() {
    let rig = Rig::start().await;
    let environment = rig.environment();
    let invoked = tokio::spawn(rig.invoke(&json!(1)));
    sleep(TIMEOUT / 10).await;
    let error = r#"{"errorType":"Init","errorMessage":"MAIL_FROM is missing"}"#;
    assert_eq!(rig.report(environment, "init/error", error).await, 202);
    assert_eq!(failure(invoked.await.unwrap()).await["errorType"], "Init");
}

#[tokio::test]
async fn an_invocation_whose_time_is_up_has_failed() {
    let rig = Rig::start().await;
    let (environment, timed_out) = rig.function.environment_starts();
    let began = Instant::now();
    let invoked = tokio::spawn(rig.invoke(&json!(1)));
    let path = format!("invocation/{}/response", id(&rig.next(environment).await));
    let error = failure(invoked.await.unwrap()).await;
    assert!(began.elapsed() >= TIMEOUT);
    assert_eq!(error["errorType"], "Sandbox.Timedout");
    timed_out.notified().await;
    assert_eq!(rig.report(environment, &path, "1").await, 400, "too late");
}

#[tokio::test]
async fn the_time_runs_from_the_start_of_the_work_and_not_of_the_wait() {
    let rig = Rig::start().await;
    let environment = rig.environment();
    let invoked = tokio::spawn(rig.invoke(&json!(1)));
    sleep(TIMEOUT * 2).await;
    let path = format!("invocation/{}/response", id(&rig.next(environment).await));
    assert_eq!(rig.report(environment, &path, "1").await, 202);
    assert_eq!(invoked.await.unwrap().text().await.unwrap(), "1");
}

#[tokio::test]
async fn payloads_have_the_limit_of_lambda() {
    let rig = Rig::start().await;
    let environment = rig.environment();
    let largest = "x".repeat(LARGEST_PAYLOAD - 2);
    let invoked = tokio::spawn(rig.invoke(&json!(largest)));
    let path = format!("invocation/{}/response", id(&rig.next(environment).await));
    let too_large = "x".repeat(LARGEST_PAYLOAD + 1);
    assert_eq!(rig.report(environment, &path, &too_large).await, 413);
    let error = failure(invoked.await.unwrap()).await;
    assert_eq!(error["errorType"], "Function.ResponseSizeTooLarge");

    assert_eq!(rig.invoke(&json!(too_large)).await.status(), 413);
}

#[tokio::test]
async fn a_call_that_names_no_function_or_sends_no_json_is_refused() {
    let rig = Rig::start().await;
    let elsewhere = rig.invocations().replace("/f/", "/g/");
    let answer = rig.http.post(elsewhere).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(
        header(&answer, "x-amzn-errortype"),
        "ResourceNotFoundException"
    );

    let answer = rig
        .http
        .post(rig.invocations())
        .body("{")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let asynchronous = rig.http.post(rig.invocations()).body("{}");
    let asynchronous = asynchronous.header("x-amz-invocation-type", "Event");
    assert_eq!(asynchronous.send().await.unwrap().status(), 400);
}

/// A function with environments of these programs; a program is a shell's script.
fn function_of(script: &str, place: &std::path::Path) -> (Arc<Function>, Environment) {
    use std::os::unix::fs::PermissionsExt;

    let binary = place.join("function");
    std::fs::write(&binary, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let launch = Launch {
        binary,
        runtime_api: "127.0.0.1:1".to_owned(),
        concurrency: None,
        variables: Vec::new(),
        log: place.join("log"),
    };
    let function = Arc::new(Function::new("f".into(), TIMEOUT));
    let environment = Environment::start(launch, Arc::clone(&function)).unwrap();
    (function, environment)
}

#[tokio::test]
async fn a_process_that_can_not_start_fails_invocations_and_is_started_again() {
    let place = tempfile::tempdir().unwrap();
    let script = format!("echo started >> {}/starts; exit 7", place.path().display());
    let (function, environment) = function_of(&script, place.path());
    let stop = watch::Sender::new(false);
    let kept = tokio::spawn(environment.keep(stop.subscribe()));
    for _ in 0..2 {
        let End::Error(error) = function.invoke("{}".into()).await else {
            panic!("it can't respond")
        };
        assert!(String::from_utf8_lossy(&error).contains("exit status: 7"));
    }
    assert_eq!(function.crashes(), 2);
    let starts = std::fs::read_to_string(place.path().join("starts")).unwrap();
    assert_eq!(starts.lines().count(), 2);
    stop.send_replace(true);
    kept.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_process_is_replaced_when_its_time_is_up() {
    let place = tempfile::tempdir().unwrap();
    let script = format!(
        "echo $AWS_LAMBDA_RUNTIME_API >> {}/starts; exec sleep 60",
        place.path().display()
    );
    let (function, environment) = function_of(&script, place.path());
    let stop = watch::Sender::new(false);
    let kept = tokio::spawn(environment.keep(stop.subscribe()));
    let invoked = async { function.invoke("{}".into()).await };
    let (end, taken) = tokio::join!(invoked, function.next(1));
    assert!(taken.is_some() && matches!(end, End::Error(_)));

    let deadline = Instant::now() + Duration::from_secs(10);
    let starts = || std::fs::read_to_string(place.path().join("starts")).unwrap_or_default();
    while starts().lines().count() < 2 {
        assert!(Instant::now() < deadline, "{}", starts());
        sleep(TIMEOUT / 10).await;
    }
    assert_eq!(
        starts(),
        "127.0.0.1:1/environments/f/1\n127.0.0.1:1/environments/f/2\n"
    );
    assert_eq!(function.crashes(), 0, "it did not end by itself");
    stop.send_replace(true);
    kept.await.unwrap().unwrap();
    function.stop();
    assert!(matches!(function.invoke("{}".into()).await, End::Error(_)));
}
