//! `POST /waitlist`: somebody without an invitation asks to be told when they can join. It is the only route without a token.

use serde::Serialize;
use shared::{
    domain::Email,
    platform::{
        App,
        db::Type,
        http::{Fields, Request, Response, body, no_query},
        problem::Problem,
    },
};

struct Joining {
    email: Email,
}

impl Joining {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let email = body.required("email");
        body.finish(email.map(|email| Self { email }))
    }
}

const JOIN_WAITLIST: &str = "-- join_waitlist
    INSERT INTO waitlist (email) VALUES ($1) ON CONFLICT ON CONSTRAINT waitlist_email_key DO NOTHING";

#[derive(Serialize)]
struct Joined {
    status: &'static str,
}

/// Adds an address to the waitlist. The response is the same for a new and a known address: it tells nobody who is on the list.
pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    no_query(&request)?;
    let Joining { email } = Joining::read(body(&request)?)?;
    app.db
        .query(JOIN_WAITLIST, &[(&email.as_str(), Type::TEXT)])
        .await?;
    Ok(Response::accepted(&Joined { status: "joined" }))
}
