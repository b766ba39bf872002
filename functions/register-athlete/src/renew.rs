use crate::{App, athlete::Athlete, deliver::deliver};
use shared::{
    domain::{Email, Phone},
    platform::{
        auth::caller,
        db::{Parameter, Row, Type},
        http::{Fields, Request, Response, body, path_id},
        problem::{Kind, Problem},
    },
};
use std::time::Duration;
use uuid::Uuid;

/// How often the statement is run: a code may be taken, and another request may renew the same invitation meanwhile.
const MAX_ATTEMPTS: usize = 4;

/// What was wrong with the contact: nothing, or what it should be instead.
struct Correction {
    email: Option<Email>,
    phone: Option<Phone>,
}

impl Correction {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let correction = Self {
            email: body.optional("email"),
            phone: body.optional("phone"),
        };
        body.finish(Some(correction))
    }
}

/// Closes the open invitation and queues a new one, leased to this request, which sends it.
///
/// With an email in the body that becomes the athlete's; with only a phone the email is dropped, and a text message sent. A
/// correction, and whatever follows a revocation, draws a new code: the old one is dead from then on.
///
/// $1 owner, $2 business, $3 athlete, $4 code, $5 email, $6 phone, $7 days the invitation is good for.
///
/// No row: the athlete is not in a gym of the caller's. Otherwise one with the outcome: `linked`, `just_sent` (a resend of the
/// last ten seconds counts for this one too, as after a double click), `too_many` (five a day; the first invitation, which has
/// the athlete's own time, is not counted) or `renewed`.
///
/// Another request may have renewed or revoked the invitation while this one waited for the athlete's row. Then what is open is
/// not what can be closed, nothing is changed and no athlete given, or `invitation_open_key` is broken: it is run again.
const RENEW_INVITATION: &str = r#"-- renew_invitation
    WITH target AS MATERIALIZED (
        SELECT athlete.*, business.name AS business_name, owner.email AS owner_email
        FROM athlete JOIN business ON business.id = athlete.invited_by JOIN "user" AS owner ON owner.id = business.user_id
        WHERE athlete.id = $3 AND business.id = $2 AND business.user_id = $1
        FOR UPDATE OF athlete
    ), wanted AS (
        SELECT contact.email, contact.phone,
               contact.email IS DISTINCT FROM target.email OR contact.phone IS DISTINCT FROM target.phone AS is_correction
        FROM target,
        LATERAL (SELECT CASE WHEN num_nonnulls($5, $6) = 0 THEN target.email ELSE $5 END AS email, coalesce($6, target.phone) AS phone) AS contact
    ), history AS (
        SELECT max(invitation.created_at) AS last_at,
               count(*) FILTER (WHERE invitation.status NOT IN ('accepted', 'revoked', 'expired')) AS open,
               (array_agg(invitation.status ORDER BY invitation.created_at DESC, invitation.id DESC))[1] AS last_status,
               count(*) FILTER (WHERE invitation.created_at > greatest(target.created_at, now() - interval '1 day')) AS today,
               min(invitation.created_at) FILTER (WHERE invitation.created_at > greatest(target.created_at, now() - interval '1 day')) AS first_today
        FROM target JOIN invitation ON invitation.athlete_id = target.id
    ), verdict AS MATERIALIZED (
        SELECT CASE WHEN target.user_id IS NOT NULL THEN 'linked'
                    WHEN NOT wanted.is_correction AND history.last_status <> 'revoked'
                         AND history.last_at > greatest(target.created_at, now() - interval '10 seconds') THEN 'just_sent'
                    WHEN history.today >= 5 THEN 'too_many'
                    ELSE 'renewed' END AS outcome,
               wanted.is_correction OR history.last_status = 'revoked' AS draws_new_code,
               ceil(extract(epoch FROM history.first_today + interval '1 day' - now()))::bigint AS retry_after
        FROM target, wanted, history
    ), closed AS (
        UPDATE invitation SET status = CASE WHEN expires_at <= now() THEN 'expired' ELSE 'revoked' END
        FROM verdict
        WHERE verdict.outcome = 'renewed' AND athlete_id = $3 AND status NOT IN ('accepted', 'revoked', 'expired')
        RETURNING invitation.id
    ), changed AS (
        UPDATE athlete
        SET email = wanted.email, phone = wanted.phone, athlete_code = CASE WHEN verdict.draws_new_code THEN $4 ELSE athlete_code END
        FROM wanted, verdict, history
        WHERE verdict.outcome = 'renewed' AND athlete.id = $3 AND history.open = (SELECT count(*) FROM closed)
        RETURNING athlete.*
    ), renewed AS (
        INSERT INTO invitation (athlete_id, channel, attempts, next_attempt_at, expires_at)
        SELECT changed.id, CASE WHEN changed.email IS NULL THEN 'sms' ELSE 'email' END, 1, now() + interval '1 minute', now() + make_interval(days => $7)
        FROM changed
        RETURNING *
    )
    SELECT verdict.outcome, verdict.retry_after, target.business_name, target.owner_email, athlete.*
    FROM target, verdict LEFT JOIN (
        SELECT changed.id, changed.invited_by AS business_id, changed.email, changed.phone, changed.full_name,
               changed.locale, changed.athlete_code, changed.linked_at, changed.created_at,
               renewed.id AS invitation_id, renewed.status AS invitation_status, renewed.channel AS invitation_channel,
               renewed.sent_at AS invitation_sent_at, renewed.expires_at AS invitation_expires_at,
               renewed.last_error AS invitation_last_error
        FROM changed JOIN renewed ON renewed.athlete_id = changed.id
        UNION ALL
        SELECT roster.* FROM roster, verdict WHERE verdict.outcome = 'just_sent' AND roster.id = $3
    ) AS athlete ON true"#;

/// Invites the athlete once more, at the same contact or a corrected one.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let business_id = path_id(request, "business_id", "athlete")?;
    let athlete_id = path_id(request, "athlete_id", "athlete")?;
    let correction = Correction::read(body(request)?)?;

    let Some(row) = renew(app, caller.user_id, business_id, athlete_id, &correction).await? else {
        return Err(Problem::not_found("athlete"));
    };
    match row.get("outcome") {
        "linked" => Err(Problem::new(
            Kind::AlreadyLinked,
            "There is nothing left to invite to.",
        )),
        "too_many" => {
            let wait = u64::try_from(row.get::<_, i64>("retry_after")).unwrap_or(1);
            let detail = "An athlete is invited again at most five times a day.";
            Err(Problem::new(Kind::TooManyInvitations, detail)
                .retry_after(Duration::from_secs(wait)))
        }
        "just_sent" => Ok(Response::accepted(&Athlete::from(&row))),
        _ => {
            let mut athlete = Athlete::from(&row);
            deliver(app, &row, &mut athlete).await;
            Ok(Response::accepted(&athlete))
        }
    }
}

async fn renew(
    app: &App,
    owner: Uuid,
    business_id: Uuid,
    athlete_id: Uuid,
    correction: &Correction,
) -> Result<Option<Row>, Problem> {
    let mut tries = 1;
    loop {
        let code = (app.draw_code)();
        let parameters: [Parameter<'_>; 7] = [
            (&owner, Type::UUID),
            (&business_id, Type::UUID),
            (&athlete_id, Type::UUID),
            (&code, Type::TEXT),
            (&correction.email, Type::TEXT),
            (&correction.phone, Type::TEXT),
            (&app.invitation_days, Type::INT4),
        ];
        let error = match app.db.query_opt(RENEW_INVITATION, &parameters).await {
            Ok(Some(row)) if is_outrun(&row) && tries < MAX_ATTEMPTS => {
                tries += 1;
                continue;
            }
            Ok(Some(row)) if is_outrun(&row) => {
                return Err(Problem::unavailable(
                    "others change this invitation without end",
                ));
            }
            Ok(row) => return Ok(row),
            Err(error) => error,
        };
        match error.constraint() {
            Some("athlete_email_key" | "athlete_phone_key") => {
                return Err(Problem::new(
                    Kind::AlreadyRegistered,
                    "Another athlete of your gym has this contact; nothing was changed.",
                ));
            }
            Some("athlete_code_key" | "invitation_open_key") if tries < MAX_ATTEMPTS => tries += 1,
            _ => return Err(error.into()),
        }
    }
}

fn is_outrun(row: &Row) -> bool {
    row.get::<_, &str>("outcome") == "renewed" && row.get::<_, Option<Uuid>>("id").is_none()
}
