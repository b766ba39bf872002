//! `POST /signup-link`: the signed-in user is linked to the athletes that gyms have invited, by the
//! verified email or by the code. `GET /me`: the caller, their gyms and their athletes. `DELETE
//! /me/athletes/{athlete_id}`: the caller leaves a gym.

mod account;
mod leave;
mod link;
mod me;

use shared::platform::{
    App,
    http::{Request, Response, route, unknown_route},
    problem::Problem,
};

pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    match route(&request) {
        "POST /signup-link" => link::handle(app, &request).await,
        "GET /me" => me::handle(app, &request).await,
        "DELETE /me/athletes/{athlete_id}" => leave::handle(app, &request).await,
        other => Err(unknown_route(other)),
    }
}
