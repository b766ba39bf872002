use crate::platform::problem::Problem;
use uuid::Uuid;

/// A request as API Gateway hands it over: an HTTP API event, payload format 2.0
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).
///
/// The event is used as it is. Turning it into an `http::Request`, as `lambda_http` does, would
/// build a URI that nobody reads, and would panic on a body that claims to be base64 and isn't.
pub type Request = lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;

/// The route that API Gateway matched, as `template.yaml` writes it: `POST /businesses`.
#[must_use]
pub fn route(request: &Request) -> &str {
    request
        .request_context
        .route_key
        .as_deref()
        .unwrap_or_default()
}

/// The problem of a route that this function does not serve: the template and the function
/// disagree.
#[must_use]
pub fn unknown_route(route: &str) -> Problem {
    Problem::internal(format!("this function does not serve {route:?}"))
}

/// The id in the path, as in `/businesses/{business_id}`. A text that is not a UUID names nothing
/// that exists: 404.
pub fn path_id(request: &Request, parameter: &str, what: &'static str) -> Result<Uuid, Problem> {
    request
        .path_parameters
        .get(parameter)
        .and_then(|text| plain_uuid(text))
        .ok_or_else(|| Problem::not_found(what))
}

/// A UUID of 36 characters, the only form in the contract; the parser takes other forms too.
pub(super) fn plain_uuid(text: &str) -> Option<Uuid> {
    text.parse().ok().filter(|_| text.len() == 36)
}
