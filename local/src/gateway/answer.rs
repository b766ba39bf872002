//! The answers of the gateway: its own refusals, and what functions return.

use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Why the gateway answers in a function's place. The texts are API Gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No route has this method and path.
    NotFound,
    /// No token, or one that does not hold.
    Unauthorized,
    /// A body over 10 MB.
    TooLarge,
    /// The function failed, or returned what is no HTTP answer.
    FunctionFailed,
    /// The function took more than 30 s.
    TimedOut,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::FunctionFailed => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TimedOut => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::NotFound => "Not Found",
            Self::Unauthorized => "Unauthorized",
            Self::TooLarge => "Request Entity Too Large",
            Self::FunctionFailed => "Internal Server Error",
            Self::TimedOut => "Service Unavailable",
        }
    }

    /// The refusal as API Gateway words it.
    pub fn response(self) -> Response<Body> {
        let mut response = json_response(self.status(), &json!({ "message": self.message() }));
        if self == Self::Unauthorized {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A JSON answer.
pub(super) fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What a function returns for API Gateway, payload format 2.0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Returned {
    status_code: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Makes the answer from what the function returned.
pub(super) fn from_returned(value: Value) -> Result<Response<Body>> {
    let returned: Returned =
        serde_json::from_value(value).context("not the form of an HTTP answer")?;
    let body = returned.body.unwrap_or_default();
    let body = if returned.is_base64_encoded {
        STANDARD
            .decode(body)
            .context("the body is not in base 64")?
    } else {
        body.into_bytes()
    };

    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(returned.status_code).context("no HTTP status")?;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain;charset=UTF-8"),
    );
    for (name, value) in returned.headers {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        headers.insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    for cookie in returned.cookies {
        headers.append(SET_COOKIE, HeaderValue::try_from(cookie)?);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    async fn body(response: Response<Body>) -> Vec<u8> {
        to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap()
            .to_vec()
    }

    #[tokio::test]
    async fn everything_a_function_returns_is_applied() {
        let response = from_returned(json!({
            "statusCode": 201,
            "headers": {"content-type": "application/octet-stream", "Retry-After": 7},
            "multiValueHeaders": {},
            "cookies": ["a=1", "b=2"],
            "body": "AAEC",
            "isBase64Encoded": true,
        }))
        .unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(
            response.headers()["content-type"],
            "application/octet-stream"
        );
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(
            response
                .headers()
                .get_all("set-cookie")
                .iter()
                .collect::<Vec<_>>(),
            ["a=1", "b=2"]
        );
        assert_eq!(body(response).await, [0, 1, 2]);
    }

    #[tokio::test]
    async fn an_answer_needs_no_more_than_a_status() {
        let response = from_returned(json!({"statusCode": 204, "body": null})).unwrap();
        assert_eq!(response.status(), 204);
        assert_eq!(
            response.headers()["content-type"],
            "text/plain;charset=UTF-8"
        );
        assert!(body(response).await.is_empty());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert!(from_returned(json!({"applied": []})).is_err());
        assert!(from_returned(json!({"statusCode": 42})).is_err());
        assert!(
            from_returned(json!({"statusCode": 200, "body": "%", "isBase64Encoded": true}))
                .is_err()
        );
        assert!(from_returned(json!({"statusCode": 200, "headers": {"a b": "c"}})).is_err());
        assert!(from_returned(json!({"statusCode": 200, "cookies": ["a\r\nb"]})).is_err());
    }

    #[tokio::test]
    async fn only_a_missing_token_asks_for_one() {
        let response = Refusal::Unauthorized.response();
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(body(response).await, br#"{"message":"Unauthorized"}"#);
        assert!(
            !Refusal::NotFound
                .response()
                .headers()
                .contains_key("www-authenticate")
        );
    }
}
