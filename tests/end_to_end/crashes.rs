use crate::stand_in::{pass_on, serve};
use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tests::{TestApp, story};
use tokio::{
    process::Command,
    sync::Notify,
    time::{Instant, timeout},
};

/// When the process dies.
#[derive(Clone, Copy, PartialEq)]
enum Moment {
    /// SES is called and has not heard it yet.
    BeforeSending,
    /// SES has taken the mail and not been heard yet.
    BeforeRecording,
}

#[test]
fn registration_that_dies_before_sending_is_sent_once() {
    story(async |app| {
        register_and_die(app, "before@crash.example", Moment::BeforeSending).await;
        assert_eq!(app.mails_to("before@crash.example").await.len(), 1);
    });
}

#[test]
fn registration_that_dies_before_recording_is_sent_again() {
    story(async |app| {
        register_and_die(app, "after@crash.example", Moment::BeforeRecording).await;
        assert_eq!(app.mails_to("after@crash.example").await.len(), 2);
    });
}

#[test]
fn relay_that_dies_leaves_its_work_to_the_next() {
    story(async |app| {
        let owner = app.person("owner@crash.example");
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .registers(gym, &json!({"email": "relay@crash.example"}))
            .await;
        for (number, moment) in [(1, Moment::BeforeSending), (2, Moment::BeforeRecording)] {
            let requeue = "UPDATE invitation SET status = 'queued', unknown_attempt = NULL, next_attempt_at = now()";
            app.shared
                .postgres
                .run(&app.database, requeue)
                .await
                .expect("the invitation is due");
            die(app, "deliver-invitations", &json!({}), moment).await;
            relay_once_the_lease_is_over(app).await;
            assert_eq!(
                app.mails_to("relay@crash.example").await.len(),
                1 + number * (number + 1) / 2
            );
        }
    });
}

/// Registers an athlete with a process that dies at this moment, and has the relay take over.
async fn register_and_die(app: &'static TestApp, email: &str, moment: Moment) {
    let owner = app.person("owner@crash.example");
    let gym = owner.opens_gym("Iron Temple").await;
    let body = json!({"email": email});
    let event = owner.event(
        "POST",
        &format!("/businesses/{gym}/athletes"),
        Some(&body.to_string()),
    );
    die(app, "register-athlete", &event, moment).await;
    assert_eq!(
        app.ask::<String>("SELECT status FROM invitation").await,
        "queued"
    );

    relay_once_the_lease_is_over(app).await;
    assert_eq!(
        app.ask::<String>("SELECT status FROM invitation").await,
        "sent"
    );
    owner
        .post(&format!("/businesses/{gym}/athletes"), &body)
        .await
        .expect(200);
    assert_eq!(app.ask::<i64>("SELECT count(*) FROM athlete").await, 1);
}

async fn relay_once_the_lease_is_over(app: &TestApp) {
    app.time_passes(Duration::from_secs(61)).await;
    let relay = app.relay(TestApp::sender(app.shared, None)).await;
    let report = deliver_invitations::handle(&relay, Instant::now() + Duration::from_secs(30))
        .await
        .expect("the database answers");
    assert_eq!(report.sent, 1, "{report:?}");
}

/// Gives one event to the real binary of a function, and kills it with SIGKILL at this moment.
async fn die(app: &TestApp, function: &str, event: &Value, moment: Moment) {
    let reached = Arc::new(Notify::new());
    let ses = SesOnTheWay {
        moment,
        aws: app.shared.aws.endpoint(),
        reached: Arc::clone(&reached),
    };
    let on_loopback = |port| format!("http://127.0.0.1:{port}");
    let ses = on_loopback(serve(Router::new().fallback(ses_on_the_way).with_state(ses)).await);
    let runtime = on_loopback(serve(runtime_api(event.clone())).await);

    let binaries = local::build::binaries(&app.shared.workspace).expect("the functions are built");
    let mut process = Command::new(&binaries[function])
        .envs(app.shared.aws.environment())
        .env("AWS_ENDPOINT_URL_SESV2", ses)
        .env("AWS_LAMBDA_RUNTIME_API", runtime)
        .env("AWS_LAMBDA_FUNCTION_NAME", function)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        .env("DATABASE_SECRET_ID", &app.database)
        .env("APP_URL", "https://app.gymbrah.example")
        .env("MAIL_FROM", format!("GymBrah <{}>", local::aws::SENDER))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    timeout(Duration::from_secs(20), reached.notified())
        .await
        .expect("the function calls SES");
    process.kill().await.expect("the process is killed");
}

/// What stands between the function and SES.
#[derive(Clone)]
struct SesOnTheWay {
    moment: Moment,
    aws: String,
    reached: Arc<Notify>,
}

/// Passes the call on or doesn't, says that the moment has come, and never answers.
async fn ses_on_the_way(State(ses): State<SesOnTheWay>, request: Request) -> Response {
    if ses.moment == Moment::BeforeRecording {
        let response = pass_on(&ses.aws, request).await;
        assert!(response.status().is_success(), "SES takes the mail");
    }
    ses.reached.notify_one();
    std::future::pending().await
}

/// The Lambda runtime API (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>) with
/// one invocation.
fn runtime_api(event: Value) -> Router {
    let is_taken = Arc::new(AtomicBool::new(false));
    let next = async move |_: Request| {
        if is_taken.swap(true, Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let a_time_far_away = "9999999999999";
        let headers = [
            ("lambda-runtime-aws-request-id", "crash"),
            ("lambda-runtime-deadline-ms", a_time_far_away),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:eu-south-1:123456789012:function:crash",
            ),
        ];
        (StatusCode::OK, headers, event.to_string()).into_response()
    };
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/{outcome}",
            post(async || StatusCode::ACCEPTED),
        )
}
