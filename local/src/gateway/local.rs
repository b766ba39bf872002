//! The pages and routes that are not on AWS: signing in without an identity provider, and the
//! inbox.

use std::num::NonZeroUsize;
use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::answer::json_response;
use super::issuer::SignIn;
use crate::aws::Message;
use crate::template::Route;

/// The first page: the routes that are served here.
#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    routes: &'a [Route],
    issuer: &'a str,
}

/// The number of messages on a page of the inbox.
const MESSAGES: usize = 50;

/// A page of the inbox.
#[derive(Template)]
#[template(path = "inbox.html")]
struct Inbox {
    messages: Vec<Arc<Message>>,
    page: usize,
    pages: usize,
    /// The one receiver whose messages are shown, as a query parameter that follows another; empty
    /// where all are.
    only: String,
}

/// The part of the inbox that is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// The first is 1.
    page: Option<NonZeroUsize>,
    /// The address or number of a receiver.
    to: Option<String>,
}

/// The page to which the link of an invitation leads.
#[derive(Template)]
#[template(path = "join.html")]
struct Join<'a> {
    issuer: &'a str,
    api: &'a str,
    code: String,
}

/// The query of that link.
#[derive(Deserialize)]
pub(super) struct Invited {
    #[serde(default)]
    code: String,
}

/// `GET /_local/join`
pub(super) async fn join(
    State(shared): State<Arc<Shared>>,
    Query(Invited { code }): Query<Invited>,
) -> Response {
    let issuer = shared.issuer.url.as_str();
    let api = issuer.trim_end_matches("/_local");
    page(&Join { issuer, api, code })
}

/// `GET /`
pub(super) async fn index(State(shared): State<Arc<Shared>>) -> Response {
    page(&Index {
        routes: shared.routes.all(),
        issuer: &shared.issuer.url,
    })
}

/// `POST /_local/token`
pub(super) async fn token(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let example = r#"send for example {"email": "ann@example.com"}; optional are "email_verified" (true) and "full_name""#;
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&body) else {
        return refusal(
            StatusCode::BAD_REQUEST,
            &format!("the body is not JSON: {example}"),
        );
    };
    let who: SignIn = match serde_json::from_value(value) {
        Ok(who) => who,
        Err(error) => {
            return refusal(
                StatusCode::UNPROCESSABLE_ENTITY,
                &format!("{error}: {example}"),
            );
        }
    };
    match shared.issuer.sign_in(&who, Timestamp::now()) {
        Ok(token) => Json(token).into_response(),
        Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &format!("{error:#}")),
    }
}

/// `GET /_local/inbox`, as a page or as JSON: the newest messages first, those of one receiver with
/// `?to=`, older ones with `?page=`.
pub(super) async fn inbox(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let outbox = shared.services.aws.outbox().await;
    let mut messages: Vec<_> = match &asked.to {
        Some(to) => outbox.to(to).cloned().collect(),
        None => outbox.newest_first().cloned().collect(),
    };
    let pages = messages.len().div_ceil(MESSAGES).max(1);
    let number = asked.page.map_or(1, NonZeroUsize::get);
    messages = messages
        .into_iter()
        .skip((number - 1).saturating_mul(MESSAGES))
        .take(MESSAGES)
        .collect();

    let accepts = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !accepts.contains("text/html") {
        return Json(messages.iter().map(Arc::as_ref).collect::<Vec<_>>()).into_response();
    }
    page(&Inbox {
        messages,
        page: number,
        pages,
        only: asked
            .to
            .map_or_else(String::new, |to| format!("&{}", receiver(&to))),
    })
}

/// The query parameter that asks for the messages to one receiver.
fn receiver(to: &str) -> String {
    format!("to={}", utf8_percent_encode(to, NON_ALPHANUMERIC))
}

fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    json_response(status, &json!({ "message": message }))
}
