use lambda_http::{
    Body,
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    http::{HeaderMap, HeaderName, HeaderValue},
};
use serde::Serialize;

/// An answer: a status, headers, and JSON.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Option<String>,
}

impl Answer {
    /// 200 with this value.
    pub fn ok(value: &impl Serialize) -> Self {
        Self::with(200, value)
    }

    /// 201 with what was created.
    pub fn created(value: &impl Serialize) -> Self {
        Self::with(201, value)
    }

    /// 202: it is on its way.
    pub fn accepted(value: &impl Serialize) -> Self {
        Self::with(202, value)
    }

    /// 204: done, and there is nothing to say.
    #[must_use]
    pub fn no_content() -> Self {
        Self {
            status: 204,
            headers: HeaderMap::new(),
            body: None,
        }
    }

    fn with(status: u16, value: &impl Serialize) -> Self {
        Self::new(status, "application/json", value)
    }

    pub(crate) fn new(status: u16, content_type: &'static str, value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value)
            .expect("answers are plain structs: no map has keys that are not text");
        let mut answer = Self {
            status,
            headers: HeaderMap::new(),
            body: Some(body),
        };
        answer.header("content-type", HeaderValue::from_static(content_type));
        // Answers hold personal data and are right for one caller at one moment.
        answer.header("cache-control", HeaderValue::from_static("no-store"));
        answer.header(
            "x-content-type-options",
            HeaderValue::from_static("nosniff"),
        );
        answer
    }

    pub(crate) fn header(&mut self, name: &'static str, value: HeaderValue) {
        self.headers.insert(HeaderName::from_static(name), value);
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The media type of the body; empty where there is none.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.headers
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The body, read back; null where there is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        self.body
            .as_deref()
            .map_or(serde_json::Value::Null, |body| {
                serde_json::from_str(body).expect("every body is JSON")
            })
    }
}

impl From<Answer> for ApiGatewayV2httpResponse {
    fn from(answer: Answer) -> Self {
        let mut response = Self::default();
        response.status_code = answer.status.into();
        response.headers = answer.headers;
        response.body = answer.body.map(Body::Text);
        response
    }
}
