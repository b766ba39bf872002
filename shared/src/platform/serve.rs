use crate::platform::{
    config::{ConfigError, concurrency, function_name},
    db,
    http::{Request, Response, route},
    log::{self, Timings},
    problem::{Kind, Problem},
};
use futures::FutureExt;
use lambda_http::{
    Context, Error, LambdaEvent,
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    lambda_runtime::{run_concurrent, service_fn},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use std::{fmt, panic::AssertUnwindSafe, time::Duration};
use tokio::{
    runtime,
    time::{Instant, timeout_at},
};
use tracing::{Instrument, info_span};

/// The part of a function's time-out that is kept for the response.
const TIME_TO_ANSWER: Duration = Duration::from_millis(250);

/// The longest time that API Gateway waits for an HTTP API's integration
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>).
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves a function until its environment is shut down: makes its `App` once, and answers every
/// event with the response of `handle`.
///
/// Lambda's runtime never sees an error. An event that does not come from API Gateway, a panic, and
/// a handler that reaches its deadline are answered like any other problem, and logged once.
///
/// # Errors
/// When the configuration has errors, or the runtime API is not there: Lambda then starts the
/// environment anew.
pub fn serve<App, Handle, Handled>(
    app: impl AsyncFnOnce() -> Result<App, ConfigError>,
    handle: Handle,
) -> Result<(), Error>
where
    App: Send + Sync + 'static,
    Handle: Fn(&'static App, Request) -> Handled + Copy + Send + Sync + 'static,
    Handled: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    run(app, move |app, event| async move {
        let response = respond(event, |request| handle(app, request)).await;
        Ok(ApiGatewayV2httpResponse::from(response))
    })
}

/// Serves a function without routes, one that EventBridge invokes for instance, until its
/// environment is shut down: makes its `App` once, and calls `handle` with every event and the
/// deadline.
///
/// The report of `handle` is returned and logged, and so holds no personal data. An error, a panic
/// and a deadline that is reached fail the invocation: the service that invoked the function then
/// tries again, or keeps the event.
///
/// # Errors
/// When the configuration has errors, or the runtime API is not there: Lambda then starts the
/// environment anew.
pub fn serve_events<App, Handle, Handled, Report, Failure>(
    app: impl AsyncFnOnce() -> Result<App, ConfigError>,
    handle: Handle,
) -> Result<(), Error>
where
    App: Send + Sync + 'static,
    Handle: Fn(&'static App, Value, Instant) -> Handled + Copy + Send + Sync + 'static,
    Handled: Future<Output = Result<Report, Failure>> + Send + 'static,
    Report: Serialize + Send + 'static,
    Failure: Into<Error> + 'static,
{
    run(app, move |app, event| {
        report(event, move |event, deadline| handle(app, event, deadline))
    })
}

/// Starts the log and the runtime, makes the `App` once, and serves the events.
fn run<App, Event, Handle, Handled, Answered>(
    app: impl AsyncFnOnce() -> Result<App, ConfigError>,
    handle: Handle,
) -> Result<(), Error>
where
    App: Send + Sync + 'static,
    Event: DeserializeOwned + Send + 'static,
    Handle: Fn(&'static App, LambdaEvent<Event>) -> Handled + Copy + Send + Sync + 'static,
    Handled: Future<Output = Result<Answered, Error>> + Send + 'static,
    Answered: Serialize + Send + 'static,
{
    log::start(function_name());
    runtime(concurrency())?.block_on(async move {
        let app: &'static App = Box::leak(Box::new(app().await?));
        run_concurrent(service_fn(move |event: LambdaEvent<Event>| {
            // On every line: Lambda's own id joins them with its report of a crash and with API
            // Gateway's line.
            let LambdaEvent { context, .. } = &event;
            let invocation = info_span!(
                "invocation",
                id = context.request_id,
                trace = context.xray_trace_id
            );
            handle(app, event).instrument(invocation)
        }))
        .await
    })
}

/// The response to one event, whatever the event is and however the handler ends.
pub async fn respond<Handled>(
    event: LambdaEvent<Box<RawValue>>,
    handle: impl FnOnce(Request) -> Handled,
) -> Response
where
    Handled: Future<Output = Result<Response, Problem>>,
{
    let LambdaEvent { payload, context } = event;
    let started = Instant::now();
    let mut route_key = String::new();
    let mut request_id = context.request_id.clone();
    let mut database = Duration::ZERO;

    let result = match serde_json::from_str::<Request>(payload.get()) {
        Ok(request) => {
            route(&request).clone_into(&mut route_key);
            if let Some(id) = &request.request_context.request_id {
                request_id.clone_from(id);
            }
            let watched;
            (watched, database) = db::timed(watch(handle(request), deadline(&context))).await;
            match watched {
                Ok(result) => result,
                Err(error @ HandlerError::Panic) => Err(Problem::internal(error)),
                Err(error @ HandlerError::TimeOut) => Err(Problem::unavailable(error)),
            }
        }
        Err(error) => Err(not_an_http_event(&error)),
    };
    let (mut response, problem) = match result {
        Ok(response) => (response, None),
        Err(problem) => (Response::problem(&problem, &request_id), Some(problem)),
    };
    response.set_request_id(&request_id);
    let timings = Timings {
        all: started.elapsed(),
        database,
    };
    log::request(
        &request_id,
        &route_key,
        &timings,
        response.status(),
        problem.as_ref(),
    );
    response
}

fn not_an_http_event(error: &serde_json::Error) -> Problem {
    Problem::new(
        Kind::NotAnHttpEvent,
        "Send an API Gateway HTTP API event, payload format 2.0, in which every claim is a text; events/ has samples.",
    )
    .caused_by(format!("{:?} at line {} column {}", error.classify(), error.line(), error.column()))
}

/// The report of a handler on one event.
async fn report<Handled, Report, Failure>(
    event: LambdaEvent<Value>,
    handle: impl FnOnce(Value, Instant) -> Handled,
) -> Result<Value, Error>
where
    Handled: Future<Output = Result<Report, Failure>>,
    Report: Serialize,
    Failure: Into<Error>,
{
    let LambdaEvent { payload, context } = event;
    let started = Instant::now();
    let deadline = deadline(&context);
    let (watched, database) = db::timed(watch(handle(payload, deadline), deadline)).await;
    let result = match watched {
        Ok(Ok(report)) => serde_json::to_value(report).map_err(Error::from),
        Ok(Err(failure)) => Err(failure.into()),
        Err(error) => Err(error.into()),
    };
    let timings = Timings {
        all: started.elapsed(),
        database,
    };
    log::event(&context.request_id, &timings, &result);
    result
}

/// The result of a handler, or an error if it panics or reaches the deadline.
async fn watch<T>(handled: impl Future<Output = T>, deadline: Instant) -> Result<T, HandlerError> {
    match timeout_at(deadline, AssertUnwindSafe(handled).catch_unwind()).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_panic)) => Err(HandlerError::Panic),
        Err(_elapsed) => Err(HandlerError::TimeOut),
    }
}

/// The reason why a handler gave no response: it panicked, or reached its deadline.
#[derive(Debug)]
enum HandlerError {
    Panic,
    TimeOut,
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panic => "the handler panicked",
            Self::TimeOut => "the handler was still at work when the time-out came near",
        })
    }
}

impl std::error::Error for HandlerError {}

/// The time by which a handler must have ended.
fn deadline(context: &Context) -> Instant {
    Instant::now() + time_left(context.deadline).saturating_sub(TIME_TO_ANSWER)
}

/// The time until Lambda's deadline, which is a time of the environment's clock. An invocation by
/// hand may carry a deadline that is long past, cargo-lambda's for instance: then API Gateway's
/// time-out counts.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing but the environment's own clock can be compared with its deadline"
)]
fn time_left(deadline_ms: u64) -> Duration {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let time_left = Duration::from_millis(deadline_ms).checked_sub(now);
    time_left.unwrap_or(GATEWAY_TIMEOUT)
}

/// The runtime of the asynchronous tasks. One thread is best for one request at a time: a hand-over
/// between threads costs more than it gains. An environment that gets several requests at once has
/// several threads.
fn runtime(concurrency: usize) -> std::io::Result<runtime::Runtime> {
    let mut builder = if concurrency > 1 {
        runtime::Builder::new_multi_thread()
    } else {
        runtime::Builder::new_current_thread()
    };
    builder.enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EVENT: &str = r#"{"version": "2.0", "requestContext": {"requestId": "id-1", "routeKey": "GET /me", "http": {"method": "GET"}}}"#;

    fn event(payload: &str) -> LambdaEvent<Box<RawValue>> {
        LambdaEvent::new(
            RawValue::from_string(payload.to_owned()).unwrap(),
            context(),
        )
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the deadline that Lambda would give"
    )]
    fn context() -> Context {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let mut context = Context::default();
        context.deadline = u64::try_from(now.as_millis()).unwrap() + 400;
        context
    }

    #[tokio::test]
    async fn handler_result_is_the_response() {
        let response = respond(event(EVENT), async |_| Ok(Response::ok(&"yes"))).await;
        assert_eq!((response.status(), response.json()), (200, "yes".into()));
    }

    #[tokio::test]
    async fn problem_carries_the_request_id() {
        let response = respond(event(EVENT), async |_| Err(Problem::not_found("gym"))).await;
        assert_eq!(
            (response.status(), &response.json()["instance"]),
            (404, &"id-1".into())
        );
    }

    #[tokio::test]
    async fn event_of_another_kind_is_400() {
        for payload in [
            "{}",
            "null",
            "[]",
            "\"x\"",
            r#"{"Records": [{"eventSource": "aws:sqs"}]}"#,
            r#"{"requestContext": {"elb": {}}}"#,
            r#"{"requestContext": {"http": {"method": "GET"}, "authorizer": {"jwt": {"claims": {"email_verified": true}}}}}"#,
        ] {
            let response = respond(event(payload), async |_| Ok(Response::ok(&"yes"))).await;
            assert_eq!(
                (response.status(), &response.json()["type"]),
                (400, &"urn:gymbrah:problem:not-an-http-event".into()),
                "{payload}"
            );
        }
    }

    #[tokio::test]
    async fn panic_is_500() {
        let response = respond(event(EVENT), async |_| panic!("a bug")).await;
        assert_eq!(
            (response.status(), &response.json()["type"]),
            (500, &"urn:gymbrah:problem:internal".into())
        );
    }

    #[tokio::test]
    async fn hanging_handler_is_503_in_time() {
        let response = respond(event(EVENT), async |_| std::future::pending().await).await;
        assert_eq!(
            (response.status(), &response.json()["type"]),
            (503, &"urn:gymbrah:problem:unavailable".into())
        );
    }

    async fn outcome_of<Handled>(
        handle: impl FnOnce(Value, Instant) -> Handled,
    ) -> Result<Value, String>
    where
        Handled: Future<Output = Result<&'static str, &'static str>>,
    {
        let event = LambdaEvent::new(json!({"an": "event"}), context());
        report(event, handle)
            .await
            .map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn report_of_the_handler_is_returned() {
        let outcome = outcome_of(async |event, deadline| {
            assert_eq!(event, json!({"an": "event"}));
            assert!(deadline > Instant::now() && deadline < Instant::now() + TIME_TO_ANSWER);
            Ok("done")
        });
        assert_eq!(outcome.await, Ok("done".into()));
    }

    #[tokio::test]
    async fn error_panic_and_deadline_fail_the_invocation() {
        let failed = outcome_of(async |_, _| Err("no database")).await;
        let panicked = outcome_of(async |_, _| panic!("a bug")).await;
        let hangs = outcome_of(async |_, _| std::future::pending().await).await;
        assert_eq!(failed, Err("no database".to_owned()));
        assert_eq!(panicked, Err(HandlerError::Panic.to_string()));
        assert_eq!(hangs, Err(HandlerError::TimeOut.to_string()));
    }
}
