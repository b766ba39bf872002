use shared::{
    domain::{RemovedBy, Subject},
    platform::{
        App,
        auth::caller,
        db::{Parameter, QueryError, Transaction, Type, remove_athlete},
        http::{Request, Response, no_query, path_id},
        metrics,
        problem::Problem,
    },
};
use uuid::Uuid;

/// Locks the athlete that the caller is, or was. $1 subject, $2 athlete. No row: the caller never
/// was.
const LOCK_TO_LEAVE: &str = "-- lock_to_leave
    SELECT athlete.id
    FROM caller($1) AS caller JOIN athlete ON athlete.user_id = caller.id
    WHERE athlete.id = $2
    FOR UPDATE OF athlete";

/// Removes the caller from a gym, which sees that they left. Leaving twice is no error.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let athlete_id = path_id(request, "athlete_id", "athlete")?;

    let left = |tx| leave(tx, &caller.subject, athlete_id);
    match app.db.transaction(left).await? {
        Some(revoked) => {
            metrics::invitations("revoked", revoked);
            Ok(Response::no_content())
        }
        None => Err(Problem::not_found("athlete")),
    }
}

/// The number of invitations that were revoked; none if the caller never was this athlete.
async fn leave(
    tx: Transaction,
    subject: &Subject,
    athlete_id: Uuid,
) -> Result<Option<usize>, QueryError> {
    let which: [Parameter<'_>; 2] = [(subject, Type::TEXT), (&athlete_id, Type::UUID)];
    if tx.query_opt(LOCK_TO_LEAVE, &which).await?.is_none() {
        return Ok(None);
    }
    remove_athlete(&tx, athlete_id, RemovedBy::Athlete)
        .await
        .map(Some)
}
