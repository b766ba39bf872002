use crate::app::App;
use shared::platform::{
    auth::caller,
    db::{Parameter, QueryError, Transaction, Type},
    http::{Request, Response, path_id},
    metrics,
    problem::{Kind, Problem},
};
use uuid::Uuid;

/// Locks the athlete, so that nobody else renews, revokes or accepts the invitation meanwhile.
///
/// $1 owner, $2 business, $3 athlete.
///
/// No row: the athlete is not in a gym of the caller's.
const LOCK_TO_REVOKE: &str = "-- lock_to_revoke
    SELECT athlete.user_id IS NOT NULL AS is_linked
    FROM athlete JOIN business ON business.id = athlete.invited_by
    WHERE athlete.id = $3 AND business.id = $2 AND business.user_id = $1
    FOR UPDATE OF athlete";

/// $1 athlete. No row: no invitation was open.
const REVOKE_INVITATION: &str = "-- revoke_invitation
    UPDATE invitation SET status = 'revoked'
    WHERE athlete_id = $1 AND NOT has_ended(status)
    RETURNING id";

/// Takes the invitation back: neither the code nor the email links anybody from then on. To take it back twice is no error.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let business_id = path_id(request, "business_id", "athlete")?;
    let athlete_id = path_id(request, "athlete_id", "athlete")?;

    let whose = [caller.user_id, business_id, athlete_id];
    match app.db.transaction(|tx| revoke(tx, whose)).await? {
        Revocation::Done { count } => {
            metrics::invitations("revoked", count);
            Ok(Response::no_content())
        }
        Revocation::NotYours => Err(Problem::not_found("athlete")),
        Revocation::Linked => Err(Problem::new(
            Kind::AlreadyLinked,
            "An invitation that was accepted can't be taken back.",
        )),
    }
}

enum Revocation {
    /// No invitation of the athlete's is open any more; so many were until now.
    Done { count: usize },
    /// The athlete is not in a gym of the caller's.
    NotYours,
    /// The athlete has accepted an invitation.
    Linked,
}

async fn revoke(
    tx: Transaction,
    [owner, business_id, athlete_id]: [Uuid; 3],
) -> Result<Revocation, QueryError> {
    let whose: [Parameter<'_>; 3] = [
        (&owner, Type::UUID),
        (&business_id, Type::UUID),
        (&athlete_id, Type::UUID),
    ];
    match tx.query_opt(LOCK_TO_REVOKE, &whose).await? {
        None => Ok(Revocation::NotYours),
        Some(athlete) if athlete.get("is_linked") => Ok(Revocation::Linked),
        Some(_) => {
            let revoked = tx
                .query(REVOKE_INVITATION, &[(&athlete_id, Type::UUID)])
                .await?;
            Ok(Revocation::Done {
                count: revoked.len(),
            })
        }
    }
}
