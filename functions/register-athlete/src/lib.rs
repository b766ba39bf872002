//! `POST /businesses/{business_id}/athletes`: a gym registers an athlete, who is invited at once.
//! `GET /businesses/{business_id}/athletes`: the gym's roster.

mod app;
mod athlete;
mod deliver;
mod register;
mod roster;

pub use app::App;

use shared::{
    http::{Answer, Request, route, unknown_route},
    problem::Problem,
};

/// Serves both routes.
pub async fn handle(app: &App, request: Request) -> Result<Answer, Problem> {
    match route(&request) {
        "POST /businesses/{business_id}/athletes" => register::handle(app, &request).await,
        "GET /businesses/{business_id}/athletes" => roster::handle(app, &request).await,
        other => Err(unknown_route(other)),
    }
}
