//! API Gateway on the loopback address, made from the same `template.yaml`.
//!
//! A request passes the same stages as in an HTTP API with payload format 2.0: its route is looked
//! up, its token checked, it becomes an event for the function, and what the function returns
//! becomes the answer. Throttling and CORS are left out.
//!
//! The parts that are not on AWS are under `/_local`: the issuer of tokens, the inbox, and a page
//! in the app's place.

mod answer;
mod authorizer;
mod event;
mod issuer;
mod local;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use event::event;
pub use issuer::{Issuer, SignIn, Token};
pub use routes::{Match, Routes};

use crate::lambda::{Lambda, Outcome};
use crate::progress;
use crate::services::Services;
use crate::template::Route;
use answer::Refusal;

/// API Gateway's limit for a request's body.
const LARGEST_BODY: usize = 10 * 1024 * 1024;

/// API Gateway's limit for the time that a function takes.
const LONGEST_INVOCATION: Duration = Duration::from_secs(30);

/// A running gateway. Dropping it stops it.
#[derive(Debug)]
pub struct Gateway {
    server: JoinHandle<()>,
}

/// Everything that responding to a request takes.
#[derive(Debug)]
struct Shared {
    routes: Routes,
    issuer: Arc<Issuer>,
    lambda: Arc<Lambda>,
    services: Arc<Services>,
}

impl Gateway {
    /// Serves the routes on a listener that the caller has opened.
    pub fn start(
        listener: TcpListener,
        routes: Vec<Route>,
        issuer: Arc<Issuer>,
        lambda: Arc<Lambda>,
        services: Arc<Services>,
    ) -> Self {
        let app = Router::new()
            .route("/", get(local::index))
            .route("/_local/token", post(local::token))
            .route("/_local/inbox", get(local::inbox))
            .route("/_local/join", get(local::join))
            .fallback(handle)
            .with_state(Arc::new(Shared {
                routes: Routes::new(routes),
                issuer,
                lambda,
                services,
            }));
        let server = tokio::spawn(async move {
            let service = app.into_make_service_with_connect_info::<SocketAddr>();
            if let Err(error) = axum::serve(listener, service).await {
                progress(format_args!("the gateway ended: {error}"));
            }
        });
        Self { server }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    shared
        .answer(peer, request)
        .await
        .unwrap_or_else(Refusal::response)
}

impl Shared {
    async fn answer(&self, peer: SocketAddr, request: Request) -> Result<Response, Refusal> {
        let (parts, body) = request.into_parts();
        let found = self
            .routes
            .find(parts.method.as_str(), parts.uri.path())
            .ok_or(Refusal::NotFound)?;

        let now = Timestamp::now();
        let claims = if found.route.needs_token {
            let authorization = parts
                .headers
                .get(AUTHORIZATION)
                .and_then(|value| value.to_str().ok());
            Some(
                authorizer::claims(&self.issuer, authorization, now)
                    .ok_or(Refusal::Unauthorized)?,
            )
        } else {
            None
        };

        let body = to_bytes(body, LARGEST_BODY)
            .await
            .map_err(|_| Refusal::TooLarge)?;
        let event = event(&found, &parts, &body, peer.ip(), claims, now);
        self.invoke(&found.route.function, &event).await
    }

    async fn invoke(&self, function: &str, event: &Value) -> Result<Response<Body>, Refusal> {
        let invocation =
            tokio::time::timeout(LONGEST_INVOCATION, self.lambda.invoke(function, event));
        let outcome = invocation.await.map_err(|_| {
            progress(format_args!(
                "{function} took more than {} s",
                LONGEST_INVOCATION.as_secs()
            ));
            Refusal::TimedOut
        })?;
        // The caller learns as little as from API Gateway; the developer at the terminal learns
        // why.
        let failed = |why: &str| {
            progress(format_args!("{function} failed: {why}"));
            Refusal::FunctionFailed
        };
        match outcome {
            Ok(Outcome::Returned(value)) => {
                answer::from_returned(value).map_err(|error| failed(&format!("{error:#}")))
            }
            Ok(Outcome::Failed(why)) => Err(failed(&why)),
            Err(error) => Err(failed(&format!("{error:#}"))),
        }
    }
}
