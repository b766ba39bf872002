use shared::{
    domain::Subject,
    platform::{
        App,
        auth::caller,
        db::{Parameter, QueryError, Transaction, Type},
        http::{Request, Response, no_query, path_id},
        metrics,
        problem::Problem,
    },
};
use std::slice::from_ref;
use uuid::Uuid;

/// Locks the gym. Requests that register or invite somebody have a shared lock on it: this waits
/// for them, and those that come later find the gym closed. `gym_of` knows only open gyms, and this
/// one may be closed already.
///
/// $1 subject, $2 business. No row: the gym is not the caller's.
const LOCK_TO_CLOSE: &str = "-- lock_to_close
    SELECT business.id
    FROM caller($1) AS caller JOIN business ON business.user_id = caller.id
    WHERE business.id = $2
    FOR UPDATE OF business";

/// $1 business.
const CLOSE_BUSINESS: &str = "-- close_business
    UPDATE business SET closed_at = statement_timestamp() WHERE id = $1 AND closed_at IS NULL";

/// Revokes every open invitation of the gym. $1 business.
const REVOKE_INVITATIONS: &str = "-- revoke_invitations
    UPDATE invitation SET status = CASE WHEN expires_at <= now() THEN 'expired' ELSE 'revoked' END
    WHERE business_id = $1 AND is_current AND NOT has_ended(status)
    RETURNING status";

/// Closes the gym for good, and revokes every open invitation. Its athletes keep their workouts.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let business_id = path_id(request, "business_id", "gym")?;

    let closed = |tx| close(tx, &caller.subject, business_id);
    match app.db.transaction(closed).await? {
        Some(revoked) => {
            metrics::invitations("revoked", revoked);
            Ok(Response::no_content())
        }
        None => Err(Problem::not_found("gym")),
    }
}

/// The number of invitations that were revoked; none if the gym is not the caller's.
async fn close(
    tx: Transaction,
    subject: &Subject,
    business_id: Uuid,
) -> Result<Option<usize>, QueryError> {
    let business: Parameter<'_> = (&business_id, Type::UUID);
    let which = [(subject as _, Type::TEXT), business.clone()];
    if tx.query_opt(LOCK_TO_CLOSE, &which).await?.is_none() {
        return Ok(None);
    }
    tx.query(CLOSE_BUSINESS, from_ref(&business)).await?;
    let ended = tx.query(REVOKE_INVITATIONS, from_ref(&business)).await?;
    let revoked = ended
        .iter()
        .filter(|row| row.get::<_, &str>("status") == "revoked");
    Ok(Some(revoked.count()))
}
