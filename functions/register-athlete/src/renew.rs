use crate::{
    app::App,
    athlete::Athlete,
    country::country_of_phone,
    deliver::{Gym, deliver},
    registration::{MAX_DRAWS, WithWarnings, email_warnings},
    target::Target,
};
use shared::{
    domain::{
        AthleteCode, Channel, Country, Email, InvitationStatus, Phone, TimeZone,
        limits::{DOUBLE_CLICK, LEASE, MAX_RENEWALS, RENEWAL_PERIOD},
    },
    platform::{
        db::{Parameter, QueryError, Row, Transaction, Type},
        http::{Fields, Request, Response, body},
        problem::{Kind, Problem, Warning},
    },
};
use std::time::Duration;
use uuid::Uuid;

/// The corrected contact, if the athlete's was wrong.
pub(crate) struct Correction {
    pub(crate) email: Option<Email>,
    pub(crate) phone: Option<Phone>,
}

impl Correction {
    fn is_given(&self) -> bool {
        self.email.is_some() || self.phone.is_some()
    }

    fn read(mut body: Fields, country: Option<&Country>) -> Result<(Self, Vec<Warning>), Problem> {
        let email = body.optional("email");
        let phone = body.optional_by("phone", |text| Phone::read(text, country));
        let given: Option<&Email> = email.as_ref().ok().and_then(Option::as_ref);
        let warnings = email_warnings(given, &body);
        body.finish(email.and_then(|email| {
            let phone = phone?;
            Ok((Self { email, phone }, warnings))
        }))
    }
}

/// Locks the gym before a contact changes, so that nobody comes in meanwhile: an import could have
/// the new contact and wait for the old one, while the correction has the old one and waits for the
/// new one.
///
/// $1 subject, $2 business. No row: the gym is not the caller's.
const LOCK_ROSTER: &str = "-- lock_roster
    SELECT business.id
    FROM gym_of($1, $2) AS gym JOIN business ON business.id = gym.id
    FOR UPDATE OF business";

/// Locks the athlete, so that nobody else renews, revokes or accepts the invitation meanwhile, and
/// the gym, so that it is not closed.
///
/// $1 subject, $2 business, $3 athlete.
///
/// No row: the athlete is not on the roster of a gym of the caller's.
const LOCK_TO_RENEW: &str = r#"-- lock_to_renew
    SELECT athlete.user_id IS NOT NULL AS is_linked, athlete.email, athlete.phone, athlete.athlete_code,
           business.name AS business_name, business.time_zone, owner.email AS owner_email
    FROM gym_of($1, $2) AS gym
    JOIN business ON business.id = gym.id
    JOIN "user" AS owner ON owner.id = gym.owner_id
    JOIN athlete ON athlete.invited_by = gym.id
    WHERE athlete.id = $3 AND athlete.removed_at IS NULL AND business.closed_at IS NULL
    FOR KEY SHARE OF business FOR UPDATE OF athlete"#;

/// The athlete's last invitation, and the number of renewals within the period. Every invitation
/// but the athlete's first one is a renewal.
///
/// $1 athlete, $2 seconds of the period in which renewals count, $3 seconds of a double click.
const INVITATION_HISTORY: &str = "-- invitation_history
    WITH invited AS (
        SELECT id, status, created_at, lag(id) OVER in_order IS NOT NULL AS is_renewal
        FROM invitation
        WHERE athlete_id = $1
        WINDOW in_order AS (ORDER BY created_at, id)
    ), renewed AS (
        SELECT created_at FROM invited
        WHERE is_renewal AND created_at > statement_timestamp() - make_interval(secs => $2)
    )
    SELECT last.id AS last_id, last.status AS last_status,
           last.is_renewal AND last.created_at > statement_timestamp() - make_interval(secs => $3)
               AS is_double_click,
           (SELECT count(*) FROM renewed) AS renewals,
           (SELECT ceil(extract(epoch FROM min(created_at) - statement_timestamp()) + $2)::bigint
            FROM renewed) AS retry_after
    FROM invited AS last
    ORDER BY last.created_at DESC
    LIMIT 1";

/// Ends the open invitation, if there is one. $1 athlete.
const END_INVITATION: &str = "-- end_invitation
    UPDATE invitation SET status = CASE WHEN expires_at <= now() THEN 'expired' ELSE 'revoked' END
    WHERE athlete_id = $1 AND NOT has_ended(status)";

/// Changes the athlete's contact and code. $1 athlete, $2 email, $3 phone, $4 code.
const CORRECT_ATHLETE: &str = "-- correct_athlete
    UPDATE athlete
    SET email = $2, phone = $3, athlete_code = $4,
        shares_contact = shares_contact AND coalesce(email, phone) = coalesce($2, $3)
    WHERE id = $1";

/// Queues a new invitation. This request has the lease on it, and sends it.
///
/// Its times come from `statement_timestamp()`: `now()` is the beginning of the transaction, which
/// may have waited for the lock, and so may be earlier than the invitation that is replaced.
///
/// $1 athlete, $2 channel, $3 days for which it is valid, $4 seconds of the lease, $5 time zone, $6
/// id.
const INVITE_AGAIN: &str = "-- invite_again
    INSERT INTO invitation (id, athlete_id, channel, attempts, created_at, next_attempt_at, expires_at)
    SELECT $6, $1, $2, 1, at, at + make_interval(secs => $4), end_of_day($3, $5)
    FROM statement_timestamp() AS at
    ON CONFLICT (id) DO NOTHING";

/// Renews the athlete's invitation, at the same contact or a corrected one.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let target = Target::of(request)?;
    let body = body(request)?;
    let (subject, business_id) = (&target.subject, target.business_id);
    let country = country_of_phone(app, subject, business_id, "athlete", &body).await?;
    let (correction, warnings) = Correction::read(body, country.as_ref())?;
    let warnings = warnings.as_slice();

    match renew_with_a_free_code(app, &target, &correction).await? {
        Renewal::Queued(gym, mut athlete) => {
            deliver(app, gym, &mut athlete).await;
            let athlete = &athlete;
            Ok(Response::accepted(&WithWarnings { athlete, warnings }))
        }
        Renewal::JustSent(athlete) => {
            let athlete = &athlete;
            Ok(Response::accepted(&WithWarnings { athlete, warnings }))
        }
        Renewal::NotYours => Err(Problem::not_found("athlete")),
        Renewal::Linked => Err(Problem::new(
            Kind::AlreadyLinked,
            "There is nothing left to invite to.",
        )),
        Renewal::TooMany { wait } => Err(Renewal::too_many(wait)),
    }
}

/// The outcome of the request.
pub(crate) enum Renewal {
    /// A new invitation is queued.
    Queued(Gym, Box<Athlete>),
    /// An invitation was queued a moment ago, and counts for this request too.
    JustSent(Box<Athlete>),
    /// The athlete is not in a gym of the caller's.
    NotYours,
    /// The athlete has accepted an invitation.
    Linked,
    /// The athlete was invited again as often as a day allows.
    TooMany { wait: Duration },
}

impl Renewal {
    /// The problem of an athlete who was invited as often as a day allows.
    pub(crate) fn too_many(wait: Duration) -> Problem {
        let detail = "An athlete is invited again at most five times a day.";
        Problem::new(Kind::TooManyInvitations, detail).retry_after(wait)
    }
}

/// Renews the invitation with a new code; if that code is taken, once more with another one.
pub(crate) async fn renew_with_a_free_code(
    app: &App,
    target: &Target,
    correction: &Correction,
) -> Result<Renewal, Problem> {
    let invitation_id = Uuid::now_v7();
    for _ in 0..MAX_DRAWS {
        let new = NewInvitation {
            id: invitation_id,
            code: (app.draw_code)(),
        };
        let renewed = app
            .db
            .transaction(|tx| renew(tx, app, target, correction, &new));
        match renewed.await {
            Ok(renewal) => return Ok(renewal),
            Err(error) => match error.constraint() {
                Some("athlete_code_key") => {}
                Some("athlete_email_key" | "athlete_phone_key" | "athlete_person_key") => {
                    return Err(Problem::new(
                        Kind::AlreadyRegistered,
                        "Another athlete of your gym has this contact; nothing was changed.",
                    ));
                }
                _ => return Err(error.into()),
            },
        }
    }
    Err(Problem::internal(format!(
        "no free code in {MAX_DRAWS} draws"
    )))
}

/// The invitation that this request makes, however often its transaction is run.
struct NewInvitation {
    id: Uuid,
    /// The athlete's code, if they get a new one.
    code: AthleteCode,
}

/// Ends the open invitation and queues a new one.
///
/// An email in the correction replaces the athlete's. A phone alone replaces the athlete's phone
/// and removes the email, so that the invitation goes by text message. After a correction, or a
/// revoked invitation, the athlete has a new code, and the old one stops working. Otherwise the
/// code stays.
async fn renew(
    tx: Transaction,
    app: &App,
    target: &Target,
    correction: &Correction,
    new: &NewInvitation,
) -> Result<Renewal, QueryError> {
    if correction.is_given() && !lock_roster(&tx, target).await? {
        return Ok(Renewal::NotYours);
    }
    let Some(found) = tx.query_opt(LOCK_TO_RENEW, &target.parameters()).await? else {
        return Ok(Renewal::NotYours);
    };
    if found.get("is_linked") {
        return Ok(Renewal::Linked);
    }

    let athlete: Parameter<'_> = (&target.athlete_id, Type::UUID);
    let history: [Parameter<'_>; 3] = [
        athlete.clone(),
        (&RENEWAL_PERIOD.as_secs_f64(), Type::FLOAT8),
        (&DOUBLE_CLICK.as_secs_f64(), Type::FLOAT8),
    ];
    let history = tx.query_one(INVITATION_HISTORY, &history).await?;
    if history.get::<_, Uuid>("last_id") == new.id {
        // The transaction was committed before its connection died, and was run again.
        let athlete = Athlete::read(&tx, target.athlete_id, &app.app_url).await?;
        return Ok(Renewal::Queued(Gym::from(&found), Box::new(athlete)));
    }
    let was_revoked =
        history.get::<_, InvitationStatus>("last_status") == InvitationStatus::Revoked;
    let (email, phone) = corrected(&found, correction);
    let is_correction = email != found.get("email") || phone != found.get("phone");
    if history.get("is_double_click") && !is_correction && !was_revoked {
        let athlete = Athlete::read(&tx, target.athlete_id, &app.app_url).await?;
        return Ok(Renewal::JustSent(Box::new(athlete)));
    }
    if history.get::<_, i64>("renewals") >= MAX_RENEWALS {
        let seconds = u64::try_from(history.get::<_, i64>("retry_after")).unwrap_or(1);
        let wait = Duration::from_secs(seconds);
        return Ok(Renewal::TooMany { wait });
    }

    tx.query(END_INVITATION, std::slice::from_ref(&athlete))
        .await?;
    if is_correction || was_revoked {
        let corrected: [Parameter<'_>; 4] = [
            athlete.clone(),
            (&email, Type::TEXT),
            (&phone, Type::TEXT),
            (&new.code, Type::TEXT),
        ];
        tx.query(CORRECT_ATHLETE, &corrected).await?;
    }
    let time_zone: TimeZone = found.get("time_zone");
    let invitation: [Parameter<'_>; 6] = [
        athlete,
        (&Channel::to(email.as_ref()), Type::TEXT),
        (&app.invitation_days, Type::INT4),
        (&LEASE.as_secs_f64(), Type::FLOAT8),
        (&time_zone, Type::TEXT),
        (&new.id, Type::UUID),
    ];
    tx.query(INVITE_AGAIN, &invitation).await?;
    let athlete = Athlete::read(&tx, target.athlete_id, &app.app_url).await?;
    Ok(Renewal::Queued(Gym::from(&found), Box::new(athlete)))
}

/// Locks the gym of an athlete whose contact changes. False: it is not the caller's.
pub(crate) async fn lock_roster(tx: &Transaction, target: &Target) -> Result<bool, QueryError> {
    let gym = &target.parameters()[..2];
    Ok(tx.query_opt(LOCK_ROSTER, gym).await?.is_some())
}

/// The athlete's contact after the correction.
fn corrected(found: &Row, correction: &Correction) -> (Option<Email>, Option<Phone>) {
    let email = if correction.email.is_none() && correction.phone.is_none() {
        found.get("email")
    } else {
        correction.email.clone()
    };
    let phone = correction.phone.clone().or_else(|| found.get("phone"));
    (email, phone)
}
