//! `POST /waitlist`: somebody without an invitation asks to be told when they can join. It is the
//! only route without a token.

use serde::Serialize;
use shared::{
    domain::Email,
    platform::{
        App,
        db::Type,
        http::{Fields, Request, Response, body, no_query},
        problem::{Problem, Warning, WarningCode},
    },
};

struct Joining {
    email: Email,
    warnings: Vec<Warning>,
}

impl Joining {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let email: Result<Email, _> = body.required("email");
        let meant = email.as_ref().ok().and_then(Email::likely_meant);
        let warnings =
            meant.map(|meant| body.warning("email", WarningCode::EmailTypo, meant.as_str()));
        let warnings = warnings.into_iter().collect();
        body.finish(email.map(|email| Self { email, warnings }))
    }
}

const JOIN_WAITLIST: &str = "-- join_waitlist
    INSERT INTO waitlist (email) VALUES ($1) ON CONFLICT ON CONSTRAINT waitlist_email_key DO NOTHING";

#[derive(Serialize)]
struct Joined {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

/// Adds an address to the waitlist. The response is the same for a new and a known address: it
/// tells nobody who is on the list.
pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    no_query(&request)?;
    let Joining { email, warnings } = Joining::read(body(&request)?)?;
    app.db
        .query(JOIN_WAITLIST, &[(&email.as_str(), Type::TEXT)])
        .await?;
    Ok(Response::accepted(&Joined {
        status: "joined",
        warnings,
    }))
}
