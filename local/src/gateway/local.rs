//! What is not on AWS: signing in without an identity provider, and the inbox.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::Shared;
use super::answer::json_response;
use super::issuer::SignIn;
use crate::aws::Message;
use crate::template::Route;

/// The first page: what is served here.
#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    routes: &'a [Route],
    issuer: &'a str,
}

/// The inbox as a page.
#[derive(Template)]
#[template(path = "inbox.html")]
struct Inbox {
    messages: Vec<Message>,
}

/// Where the link of an invitation leads.
#[derive(Template)]
#[template(path = "join.html")]
struct Join<'a> {
    issuer: &'a str,
    api: &'a str,
    code: String,
}

/// What the link carries.
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

/// `GET /_local/inbox`
pub(super) async fn inbox(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let messages = match shared.services.aws.outbox().await {
        Ok(messages) => messages,
        Err(error) => return refusal(StatusCode::BAD_GATEWAY, &format!("{error:#}")),
    };
    let accepts = headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if accepts.contains("text/html") {
        page(&Inbox { messages })
    } else {
        Json(messages).into_response()
    }
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
