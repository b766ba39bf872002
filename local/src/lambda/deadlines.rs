//! Stands between the functions and cargo-lambda's runtime API, to tell them the truth about their time.
//!
//! cargo-lambda gives every invocation the deadline 600,000 ms, which Lambda's contract reads as ten minutes into 1970: a
//! function that keeps to its deadline would give up at once. Everything else is passed on as it is.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::progress;

/// The header that tells a function when it will be stopped, in milliseconds since 1970.
const DEADLINE: &str = "lambda-runtime-deadline-ms";

/// A running proxy. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Deadlines {
    port: u16,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Upstream {
    /// Where cargo-lambda has the runtime API of a function, without the function's name.
    url: String,
    timeouts: HashMap<String, Duration>,
    http: reqwest::Client,
}

impl Deadlines {
    /// Passes requests on to the runtime API of cargo-lambda on a port, for functions that have these time-outs.
    pub async fn start(
        api_port: u16,
        timeouts: HashMap<String, Duration>,
        http: reqwest::Client,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("can't listen on the loopback address")?;
        let port = listener.local_addr()?.port();
        let upstream = Upstream {
            url: format!("http://127.0.0.1:{api_port}/.rt"),
            timeouts,
            http,
        };
        let app = Router::new().fallback(handle).with_state(upstream);
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                progress(format_args!(
                    "the functions have lost the runtime API: {error}"
                ));
            }
        });
        Ok(Self { port, server })
    }

    /// The runtime API of a function, for `AWS_LAMBDA_RUNTIME_API`.
    pub fn runtime_api(&self, function: &str) -> String {
        format!("http://127.0.0.1:{}/{function}", self.port)
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(State(upstream): State<Upstream>, request: Request) -> axum::response::Response {
    match upstream.pass_on(request).await {
        Ok(response) => response,
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
    }
}

impl Upstream {
    /// Sends the request on; for the next invocation that takes as long as there is none.
    async fn pass_on(&self, request: Request) -> Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let timeout = path
            .split('/')
            .nth(1)
            .and_then(|function| self.timeouts.get(function))
            .copied();
        let answer = self
            .http
            .request(parts.method, format!("{}{path}", self.url))
            .headers(parts.headers)
            .body(axum::body::to_bytes(body, usize::MAX).await?)
            .send()
            .await
            .context("cargo-lambda's runtime API does not answer")?;

        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            let value = match timeout {
                Some(timeout) if name == DEADLINE => deadline(Timestamp::now(), timeout),
                _ => value.clone(),
            };
            response = response.header(name, value);
        }
        Ok(response.body(Body::from(answer.bytes().await?))?)
    }
}

fn deadline(now: Timestamp, timeout: Duration) -> HeaderValue {
    HeaderValue::from((now + timeout).as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A runtime API that answers every request with the same headers, and the request's path and body.
    async fn api() -> u16 {
        async fn echo(request: Request) -> impl IntoResponse {
            let path = request.uri().path().to_owned();
            let body = axum::body::to_bytes(request.into_body(), usize::MAX)
                .await
                .unwrap();
            (
                [(DEADLINE, "600000"), ("lambda-runtime-aws-request-id", "1")],
                format!("{path} {body:?}"),
            )
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(echo)).await });
        port
    }

    #[tokio::test]
    async fn only_the_deadline_is_changed() {
        let timeouts = HashMap::from([("join-waitlist".to_owned(), Duration::from_secs(10))]);
        let http = reqwest::Client::new();
        let proxy = Deadlines::start(api().await, timeouts, http.clone())
            .await
            .unwrap();

        let before = Timestamp::now();
        let url = format!(
            "{}/2018-06-01/runtime/invocation/next",
            proxy.runtime_api("join-waitlist")
        );
        let answer = http.post(url).body("event").send().await.unwrap();
        let deadline: i64 = answer.headers()[DEADLINE]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let left = deadline - before.as_millisecond();
        assert!((10_000..11_000).contains(&left), "{left} ms");
        assert_eq!(answer.headers()["lambda-runtime-aws-request-id"], "1");
        assert_eq!(
            answer.text().await.unwrap(),
            "/.rt/join-waitlist/2018-06-01/runtime/invocation/next b\"event\""
        );
    }

    #[tokio::test]
    async fn a_runtime_api_that_is_gone_is_said_so() {
        let proxy = Deadlines::start(
            crate::port::free().unwrap(),
            HashMap::new(),
            reqwest::Client::new(),
        )
        .await
        .unwrap();
        let answer = reqwest::get(proxy.runtime_api("x")).await.unwrap();
        assert_eq!(answer.status(), 502);
        assert!(answer.text().await.unwrap().contains("cargo-lambda"));
    }
}
