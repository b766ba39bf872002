//! Workouts (`POST` and `GET /workouts`, `GET` of one), their assignments (`POST` and `GET
//! /workouts/{workout_id}/assignments`, `DELETE` of one), and those of an athlete (`GET /me/workouts`,
//! `PATCH /me/workouts/{workout_id}`).

mod assign;
mod followers;
mod mine;
mod unassign;
mod workouts;

use shared::platform::{
    App,
    http::{Request, Response, route, unknown_route},
    problem::Problem,
};

pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    match route(&request) {
        "POST /workouts" => workouts::create(app, &request).await,
        "GET /workouts" => workouts::list(app, &request).await,
        "GET /workouts/{workout_id}" => workouts::read(app, &request).await,
        "POST /workouts/{workout_id}/assignments" => assign::handle(app, &request).await,
        "GET /workouts/{workout_id}/assignments" => followers::handle(app, &request).await,
        "DELETE /workouts/{workout_id}/assignments/{athlete_id}" => {
            unassign::handle(app, &request).await
        }
        "GET /me/workouts" => mine::list(app, &request).await,
        "PATCH /me/workouts/{workout_id}" => mine::change(app, &request).await,
        other => Err(unknown_route(other)),
    }
}
