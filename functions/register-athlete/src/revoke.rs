use crate::{app::App, target::Target};
use shared::platform::{
    db::{QueryError, Transaction, Type},
    http::{Request, Response},
    metrics,
    problem::{Kind, Problem},
};

/// Locks the athlete, so that nobody else renews, revokes or accepts the invitation meanwhile.
///
/// $1 subject, $2 business, $3 athlete.
///
/// No row: the athlete is not on the roster of a gym of the caller's.
const LOCK_TO_REVOKE: &str = "-- lock_to_revoke
    SELECT athlete.user_id IS NOT NULL AS is_linked
    FROM gym_of($1, $2) AS gym JOIN athlete ON athlete.invited_by = gym.id
    WHERE athlete.id = $3 AND athlete.removed_at IS NULL
    FOR UPDATE OF athlete";

/// Revokes the open invitation. $1 athlete. No row: no invitation was open.
const REVOKE_INVITATION: &str = "-- revoke_invitation
    UPDATE invitation SET status = 'revoked'
    WHERE athlete_id = $1 AND NOT has_ended(status)
    RETURNING id";

/// Revokes the invitation: from then on neither the code nor the email links anybody. Revoking
/// twice is no error.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let target = Target::of(request)?;
    match app.db.transaction(|tx| revoke(tx, &target)).await? {
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
    /// No invitation of the athlete is open any more; this request has revoked `count` of them, one
    /// or none.
    Done { count: usize },
    /// The athlete is not in a gym of the caller's.
    NotYours,
    /// The athlete has accepted an invitation.
    Linked,
}

async fn revoke(tx: Transaction, target: &Target) -> Result<Revocation, QueryError> {
    match tx.query_opt(LOCK_TO_REVOKE, &target.parameters()).await? {
        None => Ok(Revocation::NotYours),
        Some(athlete) if athlete.get("is_linked") => Ok(Revocation::Linked),
        Some(_) => {
            let revoked = tx
                .query(REVOKE_INVITATION, &[(&target.athlete_id, Type::UUID)])
                .await?;
            Ok(Revocation::Done {
                count: revoked.len(),
            })
        }
    }
}
