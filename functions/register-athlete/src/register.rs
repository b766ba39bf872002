use crate::{App, athlete::Athlete, deliver::deliver, registration::Registration};
use shared::platform::{
    auth::caller,
    db::{Parameter, Row, Type},
    http::{Fields, Request, Response, body, path_id},
    problem::Problem,
};
use uuid::Uuid;

/// How often a code is drawn. A taken one comes about once in 2⁴⁵ / (athletes) draws: a second in a row is not chance.
pub(crate) const MAX_DRAWS: usize = 4;

fn read(mut body: Fields) -> Result<Registration, Problem> {
    let registration = Registration::read(&mut body);
    body.finish(Some(registration))
}

/// The athlete and the invitation, in one statement: neither is ever there without the other.
///
/// $1 owner, $2 business, $3 id, $4 code, $5 email, $6 phone, $7 full name, $8 locale, $9 days the invitation is good for.
///
/// No row: the gym is not the caller's. A row without an athlete: the code is taken, or somebody registered the contact while
/// this ran; both are settled by asking again. The invitation is leased for a minute to this request, which sends it.
const REGISTER_ATHLETE: &str = r#"-- register_athlete
    WITH gym AS (
        SELECT business.id, business.name AS business_name, owner.email AS owner_email
        FROM business JOIN "user" AS owner ON owner.id = business.user_id
        WHERE business.id = $2 AND business.user_id = $1
    ), registered AS (
        INSERT INTO athlete (id, invited_by, athlete_code, email, phone, full_name, locale)
        SELECT $3, gym.id, $4, $5, $6, $7, $8 FROM gym
        ON CONFLICT DO NOTHING
        RETURNING *
    ), invited AS (
        INSERT INTO invitation (athlete_id, channel, attempts, next_attempt_at, expires_at)
        SELECT id, CASE WHEN email IS NULL THEN 'sms' ELSE 'email' END, 1, now() + interval '1 minute', now() + make_interval(days => $9)
        FROM registered
        RETURNING *
    )
    SELECT gym.business_name, gym.owner_email, athlete.*
    FROM gym LEFT JOIN (
        SELECT registered.id, registered.invited_by AS business_id, registered.email, registered.phone, registered.full_name,
               registered.locale, registered.athlete_code, registered.linked_at, registered.created_at,
               invited.id AS invitation_id, invited.status AS invitation_status, invited.channel AS invitation_channel,
               invited.sent_at AS invitation_sent_at, invited.expires_at AS invitation_expires_at,
               invited.last_error AS invitation_last_error
        FROM registered JOIN invited ON invited.athlete_id = registered.id
        UNION ALL
        SELECT * FROM roster
        WHERE business_id = $2 AND (email = $5 OR email IS NULL AND $5 IS NULL AND phone = $6)
    ) AS athlete ON true"#;

/// Registers the athlete, then tries to send the invitation; the answer does not depend on whether that works.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let business_id = path_id(request, "business_id", "gym")?;
    let registration = read(body(request)?)?;

    match register(app, caller.user_id, business_id, &registration).await? {
        Registered::Now(row) => {
            let mut athlete = Athlete::from(&row);
            deliver(app, &row, &mut athlete).await;
            Ok(Response::created(&athlete))
        }
        Registered::Before(row) => Ok(Response::ok(&Athlete::from(&row))),
        Registered::NotYourGym => Err(Problem::not_found("gym")),
    }
}

enum Registered {
    Now(Row),
    Before(Row),
    NotYourGym,
}

async fn register(
    app: &App,
    owner: Uuid,
    business_id: Uuid,
    registration: &Registration,
) -> Result<Registered, Problem> {
    let Registration {
        email,
        phone,
        full_name,
        locale,
    } = registration;
    let id = Uuid::now_v7();
    for _ in 0..MAX_DRAWS {
        let code = (app.draw_code)();
        let parameters: [Parameter<'_>; 9] = [
            (&owner, Type::UUID),
            (&business_id, Type::UUID),
            (&id, Type::UUID),
            (&code, Type::TEXT),
            (email, Type::TEXT),
            (phone, Type::TEXT),
            (full_name, Type::TEXT),
            (locale, Type::TEXT),
            (&app.invitation_days, Type::INT4),
        ];
        let Some(row) = app.db.query_opt(REGISTER_ATHLETE, &parameters).await? else {
            return Ok(Registered::NotYourGym);
        };
        match row.get::<_, Option<Uuid>>("id") {
            Some(registered) if registered == id => return Ok(Registered::Now(row)),
            Some(_) => return Ok(Registered::Before(row)),
            None => {}
        }
    }
    Err(Problem::internal(format!(
        "no athlete after {MAX_DRAWS} draws of a code"
    )))
}
