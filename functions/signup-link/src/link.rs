use crate::account::{Gym, Link, User};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::{AthleteCode, Email},
    platform::{
        App,
        auth::{Caller, caller},
        db::{Parameter, QueryError, Row, Transaction, Type},
        http::{Fields, Request, Response, body, no_query},
        metrics,
        problem::{Kind, Problem},
    },
};
use std::time::Duration;
use uuid::Uuid;

/// The code that the person typed, if any; the verified email is in the token.
struct Claim {
    athlete_code: Option<AthleteCode>,
}

impl Claim {
    /// Reads the code. A text that can't be a code has another error than a wrong code. This
    /// reveals nothing: anybody can compute the check characters.
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let athlete_code = body.optional("athlete_code");
        body.finish(athlete_code.map(|athlete_code| Self { athlete_code }))
    }
}

/// The caller's row, made or brought up to date from the token. $1 to $6 the caller.
const SIGN_IN: &str = "-- sign_in
    SELECT id, email, full_name, avatar_url, created_at FROM sign_in($1, $2, $3, $4, $5, $6)";

/// Locks the caller, so that two requests of one person run one after the other. $1 caller.
const LOCK_CALLER: &str = r#"-- lock_caller
    SELECT id FROM "user" WHERE id = $1 FOR NO KEY UPDATE"#;

/// The lockout after wrong codes: `is_locked` if the caller has to wait before another code is
/// looked at, and the number of seconds. $1 caller, $2 id of the request.
const CODE_ATTEMPTS: &str = "-- code_attempts
    SELECT is_locked, retry_after FROM code_attempts($1, $2)";

/// Locks the athletes that may be the caller: of several callers who claim one athlete, the first
/// gets it. An athlete who shares the address of another is claimed by the code alone.
///
/// $1 code, $2 verified email.
const LOCK_CANDIDATES: &str = "-- lock_candidates
    SELECT id FROM athlete
    WHERE user_id IS NULL AND removed_at IS NULL AND (athlete_code = $1 OR email = $2 AND NOT shares_contact)
    ORDER BY id
    FOR UPDATE";

/// Links the caller to the locked athletes whose invitation can be accepted now: to one in each
/// gym, and to none in a gym that the caller is a member of already. The athlete of the code goes
/// before the athlete of the email. The invitations are locked in the order of their gyms, so that
/// this and gyms that are closed can't wait for each other, and as they are then they count.
///
/// $1 caller, $2 locked athletes, $3 code, $4 verified email.
///
/// One row for each athlete whose invitation can be accepted: `is_linked` if it was linked,
/// `by_code` if it is the code's.
const LINK_ATHLETES: &str = "-- link_athletes
    WITH claimable AS (
        SELECT athlete.id, athlete.invited_by, athlete.athlete_code IS NOT DISTINCT FROM $3 AS by_code,
               invitation.id AS invitation_id
        FROM athlete JOIN invitation ON invitation.athlete_id = athlete.id
        WHERE athlete.id = ANY ($2) AND is_claimable(invitation)
        ORDER BY athlete.invited_by, invitation.id
        FOR UPDATE OF invitation
    ), chosen AS (
        SELECT DISTINCT ON (invited_by) id, invitation_id
        FROM claimable
        WHERE NOT EXISTS (
            SELECT FROM athlete AS member
            WHERE member.invited_by = claimable.invited_by AND member.user_id = $1 AND member.removed_at IS NULL
        )
        ORDER BY invited_by, by_code DESC
    ), linked AS (
        UPDATE athlete
        SET user_id = $1, linked_at = statement_timestamp(),
            linked_via = CASE WHEN email = $4 AND NOT shares_contact THEN 'email' ELSE 'code' END
        FROM chosen
        WHERE athlete.id = chosen.id
    ), accepted AS (
        UPDATE invitation SET status = 'accepted' FROM chosen WHERE invitation.id = chosen.invitation_id
    )
    SELECT claimable.by_code, chosen.id IS NOT NULL AS is_linked
    FROM claimable LEFT JOIN chosen ON chosen.id = claimable.id";

/// Gives the caller the place on the waitlist that has their verified email. $1 caller, $2 verified
/// email.
const TAKE_WAITLIST_PLACE: &str = "-- take_waitlist_place
    UPDATE waitlist SET user_id = $1 WHERE email = $2 AND user_id IS DISTINCT FROM $1";

/// All athletes that the caller is linked to, so that a repeated request gets the same response. $1
/// caller, $2 code.
const LINKED_ATHLETES: &str = "-- linked_athletes
    SELECT athlete.id AS athlete_id, athlete.linked_via AS via, athlete.linked_at,
           business.id AS business_id, business.name AS business_name,
           athlete.athlete_code IS NOT DISTINCT FROM $2 AS by_code
    FROM athlete JOIN business ON business.id = athlete.invited_by
    WHERE athlete.user_id = $1 AND athlete.removed_at IS NULL
    ORDER BY athlete.linked_at, athlete.id";

/// The time since when the caller has been on the waitlist; null if they are not. $1 caller, $2
/// verified email.
const WAITLISTED_SINCE: &str = "-- waitlisted_since
    SELECT min(created_at) AS since FROM waitlist WHERE email = $2 OR user_id = $1";

/// Counts a wrong code, once where the request is sent again. $1 caller, $2 id of the request.
const COUNT_WRONG_CODE: &str = "-- count_wrong_code
    SELECT count_wrong_code($1, $2)";

#[derive(Serialize)]
struct SignupLink {
    user: User,
    linked: Vec<Link>,
    status: &'static str,
    /// Why nothing is linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// The time since when the caller has been on the waitlist, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    waitlisted_since: Option<Timestamp>,
}

/// The reason why a sign-up has linked nothing.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// No invitation to the verified address can be accepted.
    NotInvited,
    /// The identity provider has seen no proof that the address is the person's.
    EmailNotVerified,
    /// The token names no address.
    NoEmailInToken,
}

impl Reason {
    fn of(caller: &Caller) -> Self {
        match &caller.verified_email {
            Some(_) => Self::NotInvited,
            None if caller.has_email => Self::EmailNotVerified,
            None => Self::NoEmailInToken,
        }
    }
}

impl From<&Row> for Link {
    fn from(row: &Row) -> Self {
        Self {
            athlete_id: row.get("athlete_id"),
            business: Gym {
                id: row.get("business_id"),
                name: row.get("business_name"),
            },
            via: row.get("via"),
            linked_at: row.get("linked_at"),
        }
    }
}

/// Links the caller to the athletes of the verified email, and to the athlete of the code. A wrong
/// code does not undo the links by email.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let Claim { athlete_code } = Claim::read(body(request)?)?;

    let request_id = Uuid::now_v7();
    let linking = |tx| link(tx, &caller, request_id, athlete_code.as_ref());
    let linking = app.db.transaction(linking).await?;
    metrics::invitations("accepted", linking.accepted);
    match linking.code {
        Code::None | Code::Good => Ok(Response::ok(&linking.signup_link)),
        Code::NotLookedAt { wait } => Err(Problem::new(
            Kind::TooManyAttempts,
            "Too many codes were wrong; wait, then compare the next one with the invitation.",
        )
        .retry_after(wait)),
        Code::OfOwnGym => Err(Problem::new(
            Kind::AlreadyAMember,
            "You are linked to another athlete of this gym; ask the gym which of the two is right.",
        )),
        Code::Wrong => Err(Problem::new(
            Kind::InvalidAthleteCode,
            "It is wrong, was used, was withdrawn or is too old; please ask your gym for a new invitation.",
        )),
    }
}

/// The outcome of the request.
struct Linking {
    /// The number of invitations that it accepted.
    accepted: usize,
    code: Code,
    signup_link: SignupLink,
}

/// The outcome of the code.
enum Code {
    /// There was none.
    None,
    /// It has linked the caller, now or before.
    Good,
    /// It belongs to a gym in which the caller is another athlete.
    OfOwnGym,
    /// It links nobody.
    Wrong,
    /// It was not compared: too many codes were wrong before it.
    NotLookedAt { wait: Duration },
}

async fn link(
    tx: Transaction,
    caller: &Caller,
    request_id: Uuid,
    athlete_code: Option<&AthleteCode>,
) -> Result<Linking, QueryError> {
    let user = tx.query_one(SIGN_IN, &caller.parameters()).await?;
    let id: Uuid = user.get("id");
    let caller_id: Parameter<'_> = (&id, Type::UUID);
    let request: Parameter<'_> = (&request_id, Type::UUID);
    // The address is not the caller's if somebody has proved it since they signed in.
    let address: Option<Email> = user.get("email");
    let address = address.filter(|address| caller.verified_email.as_ref() == Some(address));
    let email: Parameter<'_> = (&address, Type::TEXT);
    tx.query_one(LOCK_CALLER, std::slice::from_ref(&caller_id))
        .await?;
    let wait = match athlete_code {
        Some(_) => wait_before_code(&tx, &[caller_id.clone(), request.clone()]).await?,
        None => None,
    };
    let looked_at = athlete_code.filter(|_| wait.is_none());
    let code: Parameter<'_> = (&looked_at, Type::TEXT);

    let candidates = tx
        .query(LOCK_CANDIDATES, &[code.clone(), email.clone()])
        .await?;
    let candidates: Vec<Uuid> = candidates.iter().map(|row| row.get("id")).collect();
    let claim: [Parameter<'_>; 4] = [
        caller_id.clone(),
        (&candidates, Type::UUID_ARRAY),
        code.clone(),
        email.clone(),
    ];
    let claimable = if candidates.is_empty() {
        Vec::new()
    } else {
        tx.query(LINK_ATHLETES, &claim).await?
    };
    let person = [caller_id.clone(), email];
    tx.query(TAKE_WAITLIST_PLACE, &person).await?;
    let waitlisted = tx.query_one(WAITLISTED_SINCE, &person).await?;
    let linked = tx
        .query(LINKED_ATHLETES, &[caller_id.clone(), code])
        .await?;

    let is = |row: &Row, column: &str| row.get::<_, bool>(column);
    let code = match (athlete_code, wait) {
        (None, _) => Code::None,
        (Some(_), Some(wait)) => Code::NotLookedAt { wait },
        (Some(_), None) if linked.iter().any(|row| is(row, "by_code")) => Code::Good,
        (Some(_), None) if claimable.iter().any(|row| is(row, "by_code")) => Code::OfOwnGym,
        (Some(_), None) => {
            tx.query(COUNT_WRONG_CODE, &[caller_id, request]).await?;
            Code::Wrong
        }
    };
    let is_linked = !linked.is_empty();
    Ok(Linking {
        accepted: claimable.iter().filter(|row| is(row, "is_linked")).count(),
        code,
        signup_link: SignupLink {
            user: User::from(&user),
            linked: linked.iter().map(Link::from).collect(),
            status: if is_linked { "linked" } else { "code_required" },
            reason: (!is_linked).then(|| Reason::of(caller)),
            waitlisted_since: waitlisted.get("since"),
        },
    })
}

/// The time that the caller has to wait before a code is looked at; none if it may be looked at
/// now.
async fn wait_before_code(
    tx: &Transaction,
    caller_and_request: &[Parameter<'_>],
) -> Result<Option<Duration>, QueryError> {
    let attempts = tx.query_one(CODE_ATTEMPTS, caller_and_request).await?;
    let is_locked: bool = attempts.get("is_locked");
    let seconds: i64 = attempts.get("retry_after");
    Ok(is_locked.then(|| Duration::from_secs(u64::try_from(seconds).unwrap_or(1))))
}
