use crate::{app::App, target::Target};
use shared::{
    domain::RemovedBy,
    platform::{
        db::{QueryError, Transaction, remove_athlete},
        http::{Request, Response},
        metrics,
        problem::Problem,
    },
};

/// Locks the athlete, so that nobody else renews, revokes or accepts the invitation meanwhile.
///
/// $1 subject, $2 business, $3 athlete. No row: the athlete was never in a gym of the caller's.
const LOCK_TO_REMOVE: &str = "-- lock_to_remove
    SELECT athlete.id
    FROM gym_of($1, $2) AS gym JOIN athlete ON athlete.invited_by = gym.id
    WHERE athlete.id = $3
    FOR UPDATE OF athlete";

/// Removes the athlete from the gym. A linked person keeps what they have completed. Removing twice
/// is no error.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let target = Target::of(request)?;
    match app.db.transaction(|tx| remove(tx, &target)).await? {
        Some(revoked) => {
            metrics::invitations("revoked", revoked);
            Ok(Response::no_content())
        }
        None => Err(Problem::not_found("athlete")),
    }
}

/// The number of invitations that were revoked; none if the athlete was never in a gym of the
/// caller's.
async fn remove(tx: Transaction, target: &Target) -> Result<Option<usize>, QueryError> {
    let found = tx.query_opt(LOCK_TO_REMOVE, &target.parameters()).await?;
    if found.is_none() {
        return Ok(None);
    }
    remove_athlete(&tx, target.athlete_id, RemovedBy::Gym)
        .await
        .map(Some)
}
