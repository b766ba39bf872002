//! Lambda's two HTTP interfaces: the one for callers, who invoke functions, and the runtime API,
//! from which a function's processes get their invocations
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).
//!
//! Each environment has a runtime API of its own, by its path, so it is known which process has
//! which invocation.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::function::{End, EnvironmentId, Function};
use crate::aws::REGION;
use crate::progress;

/// Lambda's limit for an event and for a response, in bytes.
pub(super) const LARGEST_PAYLOAD: usize = 6_291_556;

/// The functions, by name.
pub(super) type Functions = Arc<HashMap<String, Arc<Function>>>;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Api(JoinHandle<()>);

impl Api {
    /// Serves on a listener that the caller has opened.
    pub fn start(listener: TcpListener, functions: Functions) -> Self {
        let runtime = Router::new()
            .route("/invocation/next", get(next))
            .route("/invocation/{id}/response", post(response))
            .route("/invocation/{id}/error", post(error))
            .route("/init/error", post(initialization_error));
        let app = Router::new()
            .route("/2015-03-31/functions/{function}/invocations", post(invoke))
            .nest(
                "/environments/{function}/{environment}/2018-06-01/runtime",
                runtime,
            )
            .layer(DefaultBodyLimit::max(LARGEST_PAYLOAD))
            .with_state(functions);
        Self(tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                progress(format_args!("the Lambda API ended: {error}"));
            }
        }))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens on the preferred port if that is free, else on any.
pub(super) async fn listen(preferred_port: Option<u16>) -> Result<TcpListener> {
    if let Some(port) = preferred_port {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => progress(format_args!(
                "port {port} can't be had ({error}): the Lambda API takes another"
            )),
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("can't listen on the loopback address")
}

/// `POST /2015-03-31/functions/{function}/invocations`, for callers that wait for the response.
async fn invoke(
    State(functions): State<Functions>,
    Path(name): Path<String>,
    headers: HeaderMap,
    event: Bytes,
) -> Response {
    let Some(function) = functions.get(&name) else {
        let names: Vec<_> = functions.keys().map(String::as_str).collect();
        let message = format!(
            "there is no function {name}; there are {}",
            names.join(", ")
        );
        return refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message);
    };
    let kind = headers.get("x-amz-invocation-type");
    if kind.is_some_and(|kind| kind != "RequestResponse") {
        let message = "only X-Amz-Invocation-Type: RequestResponse is known here";
        return refusal(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            message,
        );
    }
    if serde_json::from_slice::<serde::de::IgnoredAny>(&event).is_err() {
        let message = "the event is not JSON";
        return refusal(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContentException",
            message,
        );
    }
    match function.invoke(event).await {
        End::Response(response) => response.into_response(),
        End::Error(error) => {
            progress(format_args!(
                "{name} failed: {}",
                String::from_utf8_lossy(&error)
            ));
            ([("x-amz-function-error", "Unhandled")], error).into_response()
        }
    }
}

/// `GET /runtime/invocation/next`, answered once there is one.
async fn next(
    State(functions): State<Functions>,
    Path((name, environment)): Path<(String, EnvironmentId)>,
) -> Response {
    let Some(function) = functions.get(&name) else {
        return unknown();
    };
    let Some(invocation) = function.next(environment).await else {
        return unknown();
    };
    let headers = [
        ("lambda-runtime-aws-request-id", invocation.id.to_string()),
        (
            "lambda-runtime-deadline-ms",
            invocation.deadline.to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:{REGION}:123456789012:function:{name}"),
        ),
    ];
    (headers, invocation.event).into_response()
}

/// `POST /runtime/invocation/{id}/response`
async fn response(
    State(functions): State<Functions>,
    Path(place): Path<(String, EnvironmentId, Uuid)>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    match body {
        Ok(body) => end(&functions, place, End::Response(body)),
        Err(rejection) => {
            let message =
                format!("the response is larger than {LARGEST_PAYLOAD} bytes, or broke off");
            end(
                &functions,
                place,
                End::error("Function.ResponseSizeTooLarge", &message),
            );
            rejection.into_response()
        }
    }
}

/// `POST /runtime/invocation/{id}/error`
async fn error(
    State(functions): State<Functions>,
    Path(place): Path<(String, EnvironmentId, Uuid)>,
    body: Bytes,
) -> Response {
    end(&functions, place, End::Error(body))
}

fn end(
    functions: &Functions,
    (name, environment, id): (String, EnvironmentId, Uuid),
    end: End,
) -> Response {
    match functions.get(&name) {
        Some(function) if function.end(environment, id, end) => {
            StatusCode::ACCEPTED.into_response()
        }
        _ => unknown(),
    }
}

/// `POST /runtime/init/error`
async fn initialization_error(
    State(functions): State<Functions>,
    Path((name, _)): Path<(String, EnvironmentId)>,
    body: Bytes,
) -> Response {
    let Some(function) = functions.get(&name) else {
        return unknown();
    };
    progress(format_args!(
        "{name} can't start: {}",
        String::from_utf8_lossy(&body)
    ));
    function.initialization_fails(&body);
    StatusCode::ACCEPTED.into_response()
}

/// The response to a process about an invocation that it does not have, or has no longer.
fn unknown() -> Response {
    let error = json!({"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"});
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}

/// An error of Lambda's own, as the SDKs read it.
fn refusal(status: StatusCode, kind: &'static str, message: &str) -> Response {
    let body = Json(json!({"Type": "User", "Message": message}));
    (status, [("x-amzn-errortype", kind)], body).into_response()
}
