use crate::{app::App, athlete::Athlete, registration::MAX_DRAWS, target::Target};
use shared::{
    domain::AthleteCode,
    platform::{
        db::{Parameter, QueryError, Transaction, Type},
        http::{Request, Response},
        problem::Problem,
    },
};
use std::slice::from_ref;

/// Locks the athlete, so that nobody else invites or removes them meanwhile.
///
/// $1 subject, $2 business, $3 athlete. No row: the athlete is not on the roster of a gym of the
/// caller's.
const LOCK_TO_UNLINK: &str = "-- lock_to_unlink
    SELECT athlete.user_id IS NOT NULL AS is_linked
    FROM gym_of($1, $2) AS gym JOIN athlete ON athlete.invited_by = gym.id
    WHERE athlete.id = $3 AND athlete.removed_at IS NULL
    FOR UPDATE OF athlete";

/// $1 athlete, $2 code.
const UNLINK_ATHLETE: &str = "-- unlink_athlete
    UPDATE athlete SET user_id = NULL, linked_at = NULL, linked_via = NULL, athlete_code = $2 WHERE id = $1";

/// Revokes the invitation that was accepted. $1 athlete.
const REVOKE_ACCEPTED: &str = "-- revoke_accepted
    UPDATE invitation SET status = 'revoked' WHERE athlete_id = $1 AND is_current";

/// Lets go of the workout that the person followed. $1 athlete.
const LET_WORKOUTS_GO: &str = "-- let_workouts_go
    WITH own AS (
        UPDATE workout SET selected = false WHERE athlete_id = $1 AND selected
    )
    UPDATE workout_athlete SET selected = false WHERE athlete_id = $1 AND selected";

/// Unlinks the athlete from the account. Neither their code nor their address links anybody until
/// they are invited again. Unlinking an athlete who is not linked changes nothing.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let target = Target::of(request)?;
    for _ in 0..MAX_DRAWS {
        let code = (app.draw_code)();
        match app
            .db
            .transaction(|tx| unlink(tx, app, &target, code.clone()))
            .await
        {
            Ok(Some(athlete)) => return Ok(Response::ok(&athlete)),
            Ok(None) => return Err(Problem::not_found("athlete")),
            Err(error) if error.constraint() == Some("athlete_code_key") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::internal(format!(
        "no free code in {MAX_DRAWS} draws"
    )))
}

/// The athlete as they are now; none where they are not on the roster of a gym of the caller's.
async fn unlink(
    tx: Transaction,
    app: &App,
    target: &Target,
    new_code: AthleteCode,
) -> Result<Option<Athlete>, QueryError> {
    let Some(found) = tx.query_opt(LOCK_TO_UNLINK, &target.parameters()).await? else {
        return Ok(None);
    };
    if found.get("is_linked") {
        let athlete: Parameter<'_> = (&target.athlete_id, Type::UUID);
        tx.query(UNLINK_ATHLETE, &[athlete.clone(), (&new_code, Type::TEXT)])
            .await?;
        tx.query(REVOKE_ACCEPTED, from_ref(&athlete)).await?;
        tx.query(LET_WORKOUTS_GO, from_ref(&athlete)).await?;
    }
    Athlete::read(&tx, target.athlete_id, &app.app_url)
        .await
        .map(Some)
}
