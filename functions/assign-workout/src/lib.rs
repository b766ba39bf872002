//! Workouts (`POST` and `GET /workouts`) and who has them (`POST` and `GET /workouts/{workout_id}/assignments`).

mod assign;
mod followers;
mod workouts;

use shared::{
    App,
    http::{Answer, Request, route, unknown_route},
    problem::Problem,
};

/// Serves the four routes.
pub async fn handle(app: &App, request: Request) -> Result<Answer, Problem> {
    match route(&request) {
        "POST /workouts" => workouts::create(app, &request).await,
        "GET /workouts" => workouts::list(app, &request).await,
        "POST /workouts/{workout_id}/assignments" => assign::handle(app, &request).await,
        "GET /workouts/{workout_id}/assignments" => followers::handle(app, &request).await,
        other => Err(unknown_route(other)),
    }
}
