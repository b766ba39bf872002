//! `POST /businesses/{business_id}/athletes`: a gym registers an athlete, who is invited at once.
//! `POST /businesses/{business_id}/athletes/import`: many at once, from a spreadsheet or another
//! system. `POST /businesses/{business_id}/invitations`: the invitations of many are sent, for the
//! first time or again. `GET /businesses/{business_id}/athletes`: the gym's roster. `GET`, `PATCH`
//! and `DELETE /businesses/{business_id}/athletes/{athlete_id}`: an athlete is read, corrected, or
//! removed. `POST` and `DELETE /businesses/{business_id}/athletes/{athlete_id}/invitation`: an
//! invitation is renewed, perhaps at a corrected contact, or revoked. `DELETE
//! /businesses/{business_id}/athletes/{athlete_id}/link`: an athlete is unlinked from the account
//! of the wrong person.

mod app;
mod athlete;
mod change;
mod country;
mod deliver;
mod import;
mod invite;
mod read;
mod register;
mod registration;
mod remove;
mod renew;
mod revoke;
mod roster;
mod target;
mod unlink;

pub use app::App;
pub use import::errors_of_import;

use shared::platform::{
    http::{Request, Response, route, unknown_route},
    problem::Problem,
};

pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    match route(&request) {
        "POST /businesses/{business_id}/athletes" => register::handle(app, &request).await,
        "POST /businesses/{business_id}/athletes/import" => import::handle(app, &request).await,
        "POST /businesses/{business_id}/invitations" => invite::handle(app, &request).await,
        "GET /businesses/{business_id}/athletes" => roster::handle(app, &request).await,
        "GET /businesses/{business_id}/athletes/{athlete_id}" => read::handle(app, &request).await,
        "PATCH /businesses/{business_id}/athletes/{athlete_id}" => {
            change::handle(app, &request).await
        }
        "DELETE /businesses/{business_id}/athletes/{athlete_id}" => {
            remove::handle(app, &request).await
        }
        "DELETE /businesses/{business_id}/athletes/{athlete_id}/link" => {
            unlink::handle(app, &request).await
        }
        "POST /businesses/{business_id}/athletes/{athlete_id}/invitation" => {
            renew::handle(app, &request).await
        }
        "DELETE /businesses/{business_id}/athletes/{athlete_id}/invitation" => {
            revoke::handle(app, &request).await
        }
        other => Err(unknown_route(other)),
    }
}
