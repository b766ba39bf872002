use crate::{
    app::App,
    athlete::{Athlete, roster_columns},
    target::Target,
};
use shared::platform::{
    http::{Request, Response},
    problem::Problem,
};

/// The athlete, on the roster or not any more.
///
/// $1 subject, $2 business, $3 athlete. No row: the athlete was never in a gym of the caller's.
const FIND_ATHLETE: &str = concat!(
    "-- find_athlete
    SELECT ",
    roster_columns!(),
    " FROM gym_of($1, $2) AS gym JOIN known_athlete AS roster ON roster.business_id = gym.id
    WHERE roster.id = $3"
);

/// Reads one athlete of the gym, also one who was removed or has left.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let target = Target::of(request)?;
    let row = app.db.query_opt(FIND_ATHLETE, &target.parameters()).await?;
    let row = row.ok_or_else(|| Problem::not_found("athlete"))?;
    Ok(Response::ok(&Athlete::from_row(&row, &app.app_url)))
}
