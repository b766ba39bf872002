//! `POST /businesses`: a user opens a gym. `GET /businesses`: the gyms they have opened.
//! `GET`, `PATCH` and `DELETE /businesses/{business_id}`: a gym is read, changed, or closed.

mod business;
mod change;
mod close;
mod list;
mod open;
mod read;

use shared::platform::{
    App,
    http::{Request, Response, route, unknown_route},
    problem::Problem,
};

pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    match route(&request) {
        "POST /businesses" => open::handle(app, &request).await,
        "GET /businesses" => list::handle(app, &request).await,
        "GET /businesses/{business_id}" => read::handle(app, &request).await,
        "PATCH /businesses/{business_id}" => change::handle(app, &request).await,
        "DELETE /businesses/{business_id}" => close::handle(app, &request).await,
        other => Err(unknown_route(other)),
    }
}
