use shared::platform::{
    App,
    auth::caller,
    db::{Parameter, Type},
    http::{Request, Response, no_query, path_id},
    problem::Problem,
};

/// Deletes an assignment, if the author may still act for its gym.
///
/// $1 author, $2 workout, $3 athlete.
///
/// No row: the workout is not the caller's.
const UNASSIGN_WORKOUT: &str = "-- unassign_workout
    WITH own AS (
        SELECT id FROM workout WHERE id = $2 AND user_id = (SELECT id FROM caller($1))
    ), unassigned AS (
        DELETE FROM workout_athlete AS assignment USING own
        WHERE workout_id = own.id AND athlete_id = $3 AND EXISTS (SELECT FROM gym_of($1, assignment.business_id))
    )
    SELECT id FROM own";

/// Takes the workout from an athlete. An athlete who does not have it, or not any more, is no
/// error.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;
    let athlete_id = path_id(request, "athlete_id", "athlete")?;

    let parameters: [Parameter<'_>; 3] = [
        (&caller.subject, Type::TEXT),
        (&workout_id, Type::UUID),
        (&athlete_id, Type::UUID),
    ];
    match app.db.query_opt(UNASSIGN_WORKOUT, &parameters).await? {
        Some(_) => Ok(Response::no_content()),
        None => Err(Problem::not_found("workout")),
    }
}
