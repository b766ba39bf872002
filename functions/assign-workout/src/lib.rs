//! Workouts: what gyms' owners write and assign (`/workouts` and what is below it), and what
//! athletes have, write for themselves and do (`/me/workouts` and what is below it).

mod assign;
mod change_mine;
mod completions;
mod followers;
mod lock;
mod mine;
mod own;
mod unassign;
mod workouts;

use shared::platform::{
    App,
    http::{Request, Response, route, unknown_route},
    problem::Problem,
};

/// Serves its routes.
pub async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    match route(&request) {
        "POST /workouts" => workouts::create(app, &request).await,
        "GET /workouts" => workouts::list(app, &request).await,
        "GET /workouts/{workout_id}" => workouts::read(app, &request).await,
        "PATCH /workouts/{workout_id}" => workouts::change(app, &request).await,
        "DELETE /workouts/{workout_id}" => workouts::archive(app, &request).await,
        "POST /workouts/{workout_id}/assignments" => assign::handle(app, &request).await,
        "GET /workouts/{workout_id}/assignments" => followers::handle(app, &request).await,
        "DELETE /workouts/{workout_id}/assignments/{athlete_id}" => {
            unassign::handle(app, &request).await
        }
        "POST /me/workouts" => own::create(app, &request).await,
        "GET /me/workouts" => mine::list(app, &request).await,
        "GET /me/workouts/{workout_id}" => mine::read(app, &request).await,
        "PATCH /me/workouts/{workout_id}" => change_mine::handle(app, &request).await,
        "DELETE /me/workouts/{workout_id}" => own::archive(app, &request).await,
        "POST /me/workouts/{workout_id}/completions" => completions::add(app, &request).await,
        "GET /me/workouts/{workout_id}/completions" => completions::list(app, &request).await,
        other => Err(unknown_route(other)),
    }
}
