use crate::account::{Gym, Link, User};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::AthleteCode,
    platform::{
        App,
        auth::{Caller, caller},
        db::{Row, Type},
        http::{Fields, Request, Response, body},
        metrics,
        problem::{Kind, Problem},
    },
};
use std::time::Duration;
use uuid::Uuid;

/// How often the statement is run at most, where other requests change the same athletes meanwhile.
const MAX_ATTEMPTS: usize = 3;

/// What the person shows besides their verified email: the code, or nothing.
struct Claim {
    athlete_code: Option<AthleteCode>,
}

impl Claim {
    /// What is no code at all is told apart from a wrong one: the check characters are public, so that this tells nothing.
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let athlete_code = body.optional("athlete_code");
        body.finish(Some(Self { athlete_code }))
    }
}

/// Links the caller to every athlete with an open invitation that is theirs: by the code, and by the verified email, in each gym
/// that they are not yet a member of and have not typed a good code of. It gives every athlete the caller is linked to, so that
/// a repeat gives the same.
///
/// $1 to $4 the caller, $5 the code.
///
/// Wrong codes are counted by the same statement, and after five of them none is looked at for a while: `is_locked`.
///
/// A place on the waitlist under the verified email becomes the caller's.
///
/// `seen` is what the statement finds, `theirs` what is left of it once it is locked: of several who claim one athlete the first
/// gets it, and the others, when they have waited, see the row as it is then (PostgreSQL, 13.2.1). What has changed meanwhile
/// may have a successor that this statement can't see, a new invitation for instance: where `is_outrun`, it is run again.
const LINK_ATHLETES: &str = "-- link_athletes
    WITH caller AS MATERIALIZED (
        SELECT * FROM sign_in($1, $2, $3, $4)
    ), attempts AS MATERIALIZED (
        SELECT attempts.* FROM caller, code_attempts(caller.id) AS attempts WHERE $5 IS NOT NULL
    ), seen AS MATERIALIZED (
        SELECT athlete.id AS athlete_id, invitation.id AS invitation_id
        FROM athlete JOIN invitation ON invitation.athlete_id = athlete.id
        WHERE athlete.user_id = $1 AND invitation.status = 'accepted'
           OR athlete.athlete_code = $5 AND athlete.user_id IS NULL AND is_open(invitation)
              AND NOT (SELECT is_locked FROM attempts)
           OR athlete.email = $2 AND athlete.user_id IS NULL AND is_open(invitation)
              AND NOT EXISTS (
                  SELECT FROM athlete AS member WHERE member.invited_by = athlete.invited_by AND member.user_id = $1
              )
              AND NOT EXISTS (
                  SELECT FROM athlete AS named JOIN invitation AS other ON other.athlete_id = named.id
                  WHERE named.athlete_code = $5 AND named.user_id IS NULL AND is_open(other)
                        AND named.invited_by = athlete.invited_by AND named.id <> athlete.id
              )
    ), theirs AS MATERIALIZED (
        SELECT athlete.id, athlete.invited_by, coalesce(athlete.linked_at, now()) AS linked_at, athlete.user_id IS NULL AS is_new,
               coalesce(athlete.linked_via, CASE WHEN athlete.email = $2 THEN 'email' ELSE 'code' END) AS via,
               coalesce(athlete.athlete_code = $5, false) AS by_this_code, invitation.id AS invitation_id
        FROM seen
        JOIN athlete ON athlete.id = seen.athlete_id
        JOIN invitation ON invitation.id = seen.invitation_id
        WHERE athlete.user_id = $1 AND invitation.status = 'accepted'
           OR athlete.user_id IS NULL AND is_open(invitation) AND (athlete.athlete_code = $5 OR athlete.email = $2)
        FOR UPDATE OF athlete, invitation
    ), verdict AS MATERIALIZED (
        SELECT attempts.*, race.is_outrun,
               CASE WHEN NOT attempts.is_locked AND NOT race.is_outrun AND NOT EXISTS (SELECT FROM theirs WHERE by_this_code)
                    THEN count_wrong_code($1) END AS counted
        FROM (SELECT (SELECT count(*) FROM seen) > (SELECT count(*) FROM theirs) AS is_outrun) AS race
        LEFT JOIN attempts ON true
    ), linked AS (
        UPDATE athlete SET user_id = caller.id, linked_at = theirs.linked_at, linked_via = theirs.via
        FROM theirs, caller
        WHERE athlete.id = theirs.id AND theirs.is_new
    ), accepted AS (
        UPDATE invitation SET status = 'accepted'
        FROM theirs
        WHERE invitation.id = theirs.invitation_id AND theirs.is_new
    ), waitlisted AS (
        UPDATE waitlist SET user_id = caller.id
        FROM caller
        WHERE waitlist.email = $2 AND waitlist.user_id IS DISTINCT FROM caller.id
    )
    SELECT caller.*, theirs.id AS athlete_id, theirs.via, theirs.linked_at, theirs.is_new, theirs.by_this_code,
           business.id AS business_id, business.name AS business_name,
           (SELECT min(created_at) FROM waitlist WHERE email = $2 OR user_id = $1) AS waitlisted_since,
           verdict.is_outrun, verdict.is_locked, verdict.retry_after, verdict.counted
    FROM caller CROSS JOIN verdict LEFT JOIN (theirs JOIN business ON business.id = theirs.invited_by) ON true
    ORDER BY theirs.linked_at, theirs.id";

#[derive(Serialize)]
struct SignupLink {
    user: User,
    linked: Vec<Link>,
    status: &'static str,
    /// Since when the caller's address has been on the waitlist, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    waitlisted_since: Option<Timestamp>,
}

fn link_of(row: &Row) -> Option<Link> {
    Some(Link {
        athlete_id: row.get::<_, Option<Uuid>>("athlete_id")?,
        business: Gym {
            id: row.get("business_id"),
            name: row.get("business_name"),
        },
        via: row.get("via"),
        linked_at: row.get("linked_at"),
    })
}

/// Links whatever the verified email opens, and what the code opens. A wrong code does not undo what the email has opened.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let Claim { athlete_code } = Claim::read(body(request)?)?;

    let rows = link(app, &caller, athlete_code.as_ref()).await?;
    let accepted = rows.iter().filter(|row| is(row, "is_new"));
    metrics::invitations("accepted", accepted.count());
    if is(&rows[0], "is_locked") {
        let wait = u64::try_from(rows[0].get::<_, i64>("retry_after")).unwrap_or(1);
        return Err(Problem::new(
            Kind::TooManyAttempts,
            "Too many codes were wrong; wait, then compare the next one with the invitation.",
        )
        .retry_after(Duration::from_secs(wait)));
    }
    let is_refused = athlete_code.is_some() && !rows.iter().any(|row| is(row, "by_this_code"));
    if is_refused {
        return Err(Problem::new(
            Kind::InvalidAthleteCode,
            "It is wrong, was used, was withdrawn or is too old; please ask your gym for a new invitation.",
        ));
    }
    let linked: Vec<Link> = rows.iter().filter_map(link_of).collect();
    let status = if linked.is_empty() {
        "code_required"
    } else {
        "linked"
    };
    Ok(Response::ok(&SignupLink {
        user: User::from(&rows[0]),
        waitlisted_since: rows[0].get("waitlisted_since"),
        linked,
        status,
    }))
}

/// What the row says; where there is no athlete, or no code, it says nothing.
fn is(row: &Row, column: &str) -> bool {
    row.get::<_, Option<bool>>(column) == Some(true)
}

async fn link(
    app: &App,
    caller: &Caller,
    athlete_code: Option<&AthleteCode>,
) -> Result<Vec<Row>, Problem> {
    let parameters = [
        caller.parameters().as_slice(),
        &[(&athlete_code, Type::TEXT)],
    ]
    .concat();
    let mut tries = 1;
    loop {
        match app.db.query(LINK_ATHLETES, &parameters).await {
            Ok(rows) if rows[0].get("is_outrun") && tries < MAX_ATTEMPTS => tries += 1,
            // One athlete per gym and person. Where another request has linked the gym at this moment, the email passes it
            // over the next time; where the code is of a gym that the caller is a member of, it stays so.
            Err(error) if error.constraint() == Some("athlete_member_key") => {
                if tries == MAX_ATTEMPTS {
                    return Err(Problem::new(
                        Kind::AlreadyAMember,
                        "You are linked to another athlete of this gym; ask the gym which of the two is right.",
                    ));
                }
                tries += 1;
            }
            outcome => return Ok(outcome?),
        }
    }
}
