use crate::platform::problem::Problem;
use lambda_http::{
    Body,
    aws_lambda_events::apigw::ApiGatewayV2httpResponse,
    http::{HeaderMap, HeaderName, HeaderValue},
};
use serde::Serialize;

/// A response: a status, headers, and JSON.
#[derive(Debug, Clone)]
pub struct Response {
    status: u16,
    headers: HeaderMap,
    body: Option<String>,
}

impl Response {
    /// 200 with this value.
    pub fn ok(value: &impl Serialize) -> Self {
        Self::with(200, value)
    }

    /// 201 with what was created, and the path where it is from now on.
    pub fn created(path: &str, value: &impl Serialize) -> Self {
        let mut response = Self::with(201, value);
        let location = path
            .try_into()
            .expect("paths are made of ids and plain words");
        response.header("location", location);
        response
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

    /// A problem, as `application/problem+json`; `instance` is the id of the request.
    #[must_use]
    pub fn problem(problem: &Problem, instance: &str) -> Self {
        let status = problem.kind().status();
        let document = problem.document(instance);
        let mut response = Self::new(status, "application/problem+json", &document);
        if status == 401 {
            let challenge = HeaderValue::from_static("Bearer"); // RFC 9110, section 15.5.2
            response.header("www-authenticate", challenge);
        }
        if let Some(seconds) = problem.retry_after_seconds() {
            response.header("retry-after", seconds.into());
        }
        response
    }

    fn new(status: u16, content_type: &'static str, value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value)
            .expect("responses are plain structs: no map has keys that are not text");
        let mut response = Self {
            status,
            headers: HeaderMap::new(),
            body: Some(body),
        };
        response.header("content-type", HeaderValue::from_static(content_type));
        // Responses hold personal data and are right for one caller at one moment.
        response.header("cache-control", HeaderValue::from_static("no-store"));
        response.header(
            "x-content-type-options",
            HeaderValue::from_static("nosniff"),
        );
        response
    }

    /// Says by which id we find what happened.
    pub(crate) fn set_request_id(&mut self, id: &str) {
        if let Ok(id) = HeaderValue::from_str(id) {
            self.header("x-request-id", id);
        }
    }

    fn header(&mut self, name: &'static str, value: HeaderValue) {
        self.headers.insert(HeaderName::from_static(name), value);
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

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

impl From<Response> for ApiGatewayV2httpResponse {
    fn from(response: Response) -> Self {
        let mut event = Self::default();
        event.status_code = response.status.into();
        event.headers = response.headers;
        event.body = response.body.map(Body::Text);
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::ErrorCode, platform::problem::FieldError};
    use serde_json::json;

    #[test]
    fn problem_is_a_problem_document() {
        let errors = vec![
            FieldError::at("email", ErrorCode::Required, "must not be empty"),
            FieldError::of_parameter("limit", ErrorCode::NotAllowed, "must be a number"),
            FieldError::in_row(
                3,
                Some("phone"),
                ErrorCode::PhoneInvalid,
                "must be a number",
            ),
            FieldError::in_row(4, None, ErrorCode::CellCount, "has no cells"),
        ];
        let response = Response::problem(&Problem::invalid_input(errors), "id-1");
        assert_eq!(response.status(), 422);
        assert_eq!(response.content_type(), "application/problem+json");
        assert_eq!(
            response.json(),
            json!({
                "type": "urn:gymbrah:problem:invalid-input",
                "title": "The input has faults",
                "status": 422,
                "detail": "There are 4 faults; nothing was done.",
                "instance": "id-1",
                "errors": [
                    {"pointer": "#/email", "code": "required", "code": "required", "detail": "must not be empty"},
                    {"parameter": "limit", "code": "not_allowed", "detail": "must be a number"},
                    {"row": 3, "column": "phone", "code": "phone_invalid", "detail": "must be a number"},
                    {"row": 4, "code": "cell_count", "detail": "has no cells"},
                ],
            })
        );
    }

    #[test]
    fn cause_is_logged_and_not_sent() {
        let cause = std::io::Error::other("the password is wrong");
        let problem = Problem::unavailable(cause);
        assert_eq!(problem.cause().as_deref(), Some("the password is wrong"));
        let response = Response::problem(&problem, "id-1");
        assert!(!response.json().to_string().contains("password"));
        assert_eq!(response.headers().get("retry-after").unwrap(), "1");
    }
}
