use lambda_http::{Context, LambdaEvent};
use serde_json::value::RawValue;
use shared::platform::{App, http::Response, respond};

/// Hands a function an event, as Lambda does.
pub async fn invoke(
    app: &App,
    registrar: &register_athlete::App,
    function: &str,
    event: Box<RawValue>,
) -> Response {
    let mut context = Context::default();
    context.deadline = u64::MAX;
    let event = LambdaEvent::new(event, context);
    match function {
        "assign-workout" => {
            respond(event, |request| {
                Box::pin(assign_workout::handle(app, request))
            })
            .await
        }
        "join-waitlist" => {
            respond(event, |request| {
                Box::pin(join_waitlist::handle(app, request))
            })
            .await
        }
        "register-athlete" => {
            respond(event, |request| {
                Box::pin(register_athlete::handle(registrar, request))
            })
            .await
        }
        "register-business" => {
            respond(event, |request| {
                Box::pin(register_business::handle(app, request))
            })
            .await
        }
        "signup-link" => {
            respond(event, |request| Box::pin(signup_link::handle(app, request))).await
        }
        other => panic!("these tests do not know {other}"),
    }
}
