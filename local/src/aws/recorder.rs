//! The way from the functions to moto. Everything is handed on as it is, and what moto has sent is
//! noted.
//!
//! moto itself keeps no times, keeps mails and text messages apart, and can only tell all of them
//! at once.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::outbox::{self, Outbox};
use crate::progress;

/// A running recorder. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Recorder {
    port: u16,
    way: Arc<Way>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Way {
    moto: String,
    http: reqwest::Client,
    outbox: Mutex<Outbox>,
}

impl Recorder {
    /// Hands requests on to moto on a port.
    pub async fn start(moto_port: u16) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .context("can't make an HTTP client")?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("can't listen on the loopback address")?;
        let port = listener.local_addr()?.port();
        let way = Arc::new(Way {
            moto: format!("http://127.0.0.1:{moto_port}"),
            http,
            outbox: Mutex::default(),
        });
        let app = Router::new().fallback(handle).with_state(Arc::clone(&way));
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                progress(format_args!("the way to moto ended: {error}"));
            }
        });
        Ok(Self { port, way, server })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was sent so far.
    pub async fn outbox(&self) -> Outbox {
        self.way.outbox.lock().await.clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(State(way): State<Arc<Way>>, request: Request) -> Response {
    // In a task of its own: what moto takes is noted also where the caller has gone meanwhile.
    let passed_on = tokio::spawn(async move { way.pass_on(request).await }).await;
    let response = passed_on.map_err(Into::into).flatten();
    response.unwrap_or_else(|error| {
        progress(format_args!("a call of AWS failed: {error:#}"));
        (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response()
    })
}

impl Way {
    async fn pass_on(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX)
            .await
            .context("the request breaks off")?;
        let message = outbox::message(&parts, &body)?;
        let answer = self
            .http
            .request(parts.method, format!("{}{}", self.moto, parts.uri))
            .headers(parts.headers)
            .body(body)
            .send()
            .await
            .context("moto does not answer")?;

        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.context("moto's answer breaks off")?;
        if status.is_success()
            && let Some(message) = message
        {
            self.outbox.lock().await.add(message);
        }
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;

    use super::*;

    /// A server that takes a text message with the text `hi`, and nothing else; gives its port.
    async fn moto() -> u16 {
        async fn take(request: Request) -> Response {
            let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
            let status = if body.ends_with(b"Message=hi") {
                StatusCode::OK
            } else {
                StatusCode::BAD_REQUEST
            };
            (status, [("x-from", "moto")], body).into_response()
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
        port
    }

    #[tokio::test]
    async fn only_a_message_that_was_taken_is_noted() {
        let recorder = Recorder::start(moto().await).await.unwrap();
        for (text, status) in [("hi", 200), ("no", 400), ("hi", 200)] {
            let body = format!("Action=Publish&PhoneNumber=%2B391&Message={text}");
            let answer = reqwest::Client::new()
                .post(format!("http://127.0.0.1:{}/", recorder.port()))
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.clone())
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["x-from"], "moto");
            assert_eq!(answer.text().await.unwrap(), body);
        }
        assert_eq!(recorder.outbox().await.to("+391").count(), 2);
    }

    #[tokio::test]
    async fn a_moto_that_is_gone_is_a_bad_gateway() {
        let recorder = Recorder::start(crate::port::free().unwrap()).await.unwrap();
        let answer = reqwest::get(format!("http://127.0.0.1:{}/", recorder.port()))
            .await
            .unwrap();
        assert_eq!(answer.status(), 502);
        assert!(answer.text().await.unwrap().contains("moto"));
    }
}
