use crate::App;
use shared::platform::{
    auth::caller,
    db::{Parameter, Type},
    http::{Request, Response, path_id},
    metrics,
    problem::{Kind, Problem},
};

/// How often the statement is run at most, where other requests renew the same invitation meanwhile.
const MAX_ATTEMPTS: usize = 4;

/// Closes the athlete's invitation: neither the code nor the email links anybody from then on.
///
/// $1 owner, $2 business, $3 athlete.
///
/// No row: the athlete is not in a gym of the caller's. Where it `is_outrun`, the invitation was renewed while this waited for
/// the athlete's row, and it is run again, for the new one.
const REVOKE_INVITATION: &str = "-- revoke_invitation
    WITH target AS MATERIALIZED (
        SELECT athlete.id, athlete.user_id
        FROM athlete JOIN business ON business.id = athlete.invited_by
        WHERE athlete.id = $3 AND business.id = $2 AND business.user_id = $1
        FOR UPDATE OF athlete
    ), seen AS (
        SELECT invitation.id
        FROM target JOIN invitation ON invitation.athlete_id = target.id
        WHERE target.user_id IS NULL AND invitation.status NOT IN ('accepted', 'revoked', 'expired')
    ), revoked AS (
        UPDATE invitation SET status = 'revoked'
        FROM seen
        WHERE invitation.id = seen.id AND invitation.status NOT IN ('accepted', 'revoked', 'expired')
        RETURNING invitation.id
    )
    SELECT target.user_id IS NOT NULL AS is_linked, revoked.count AS revoked,
           (SELECT count(*) FROM seen) > revoked.count AS is_outrun
    FROM target, (SELECT count(*) FROM revoked) AS revoked";

/// Takes the invitation back. To take it back twice is no fault.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let business_id = path_id(request, "business_id", "athlete")?;
    let athlete_id = path_id(request, "athlete_id", "athlete")?;

    let parameters: [Parameter<'_>; 3] = [
        (&caller.user_id, Type::UUID),
        (&business_id, Type::UUID),
        (&athlete_id, Type::UUID),
    ];
    for _ in 0..MAX_ATTEMPTS {
        match app.db.query_opt(REVOKE_INVITATION, &parameters).await? {
            None => return Err(Problem::not_found("athlete")),
            Some(row) if row.get("is_linked") => {
                return Err(Problem::new(
                    Kind::AlreadyLinked,
                    "An invitation that was accepted can't be taken back.",
                ));
            }
            Some(row) if row.get("is_outrun") => {}
            Some(row) => {
                if row.get::<_, i64>("revoked") > 0 {
                    metrics::invitations("revoked", 1);
                }
                return Ok(Response::no_content());
            }
        }
    }
    Err(Problem::unavailable(
        "others change this invitation without end",
    ))
}
