use crate::{
    app::App,
    athlete::{Athlete, roster_columns},
    deliver::{Gym, deliver},
    registration::{Contact, MAX_DRAWS, Registration},
};
use shared::{
    domain::{Subject, limits::LEASE},
    platform::{
        auth::caller,
        db::{Parameter, Type},
        http::{Request, Response, body, no_query, path_id},
        problem::Problem,
    },
};
use uuid::Uuid;

/// Registers the athlete and queues an invitation. This request has the lease on it, and sends it.
///
/// $1 subject, $2 business, $3 id, $4 code, $5 email, $6 phone, $7 full name, $8 locale, $9 channel, $10 days for which the
/// invitation is valid, $11 seconds of the lease.
///
/// No row: the gym is not the caller's. A row without an id: the contact or the code is taken.
const REGISTER_ATHLETE: &str = r#"-- register_athlete
    WITH gym AS (
        SELECT gym.id, gym.name AS business_name, owner.email AS owner_email
        FROM gym_of($1, $2) AS gym JOIN "user" AS owner ON owner.id = gym.owner_id
    ), registered AS (
        INSERT INTO athlete (id, invited_by, athlete_code, email, phone, full_name, locale)
        SELECT $3, gym.id, $4, $5, $6, $7, $8 FROM gym
        ON CONFLICT DO NOTHING
        RETURNING id, created_at
    ), invited AS (
        INSERT INTO invitation (athlete_id, channel, attempts, next_attempt_at, expires_at)
        SELECT id, $9, 1, now() + make_interval(secs => $11), now() + make_interval(days => $10)
        FROM registered
        RETURNING id, expires_at
    )
    SELECT gym.business_name, gym.owner_email, registered.id, registered.created_at,
           invited.id AS invitation_id, invited.expires_at
    FROM gym LEFT JOIN registered ON true LEFT JOIN invited ON true"#;

/// The athlete of a gym with this contact. A phone identifies an athlete only where there is no email.
///
/// $1 business, $2 email, $3 phone.
const FIND_BY_CONTACT: &str = concat!(
    "-- find_by_contact
    SELECT ",
    roster_columns!(),
    " FROM roster
    WHERE business_id = $1 AND (email = $2 OR email IS NULL AND $2 IS NULL AND phone = $3)"
);

/// Registers the athlete, then sends the invitation. The request succeeds also when the invitation can't be sent at once.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let business_id = path_id(request, "business_id", "gym")?;
    let mut body = body(request)?;
    let registration = Registration::read(&mut body);
    let registration = body.finish(registration)?;

    match register(app, &caller.subject, business_id, &registration).await? {
        Registered::Now(gym, mut athlete) => {
            deliver(app, gym, &mut athlete).await;
            Ok(Response::created(&athlete))
        }
        Registered::Before(athlete) => Ok(Response::ok(&athlete)),
        Registered::NotYourGym => Err(Problem::not_found("gym")),
    }
}

enum Registered {
    Now(Gym, Box<Athlete>),
    Before(Box<Athlete>),
    NotYourGym,
}

async fn register(
    app: &App,
    subject: &Subject,
    business_id: Uuid,
    registration: &Registration,
) -> Result<Registered, Problem> {
    let Registration {
        contact: Contact { email, phone },
        full_name,
        locale,
    } = registration;
    let id = Uuid::now_v7();
    for _ in 0..MAX_DRAWS {
        let code = (app.draw_code)();
        let parameters: [Parameter<'_>; 11] = [
            (subject, Type::TEXT),
            (&business_id, Type::UUID),
            (&id, Type::UUID),
            (&code, Type::TEXT),
            (email, Type::TEXT),
            (phone, Type::TEXT),
            (full_name, Type::TEXT),
            (locale, Type::TEXT),
            (&registration.channel(), Type::TEXT),
            (&app.invitation_days, Type::INT4),
            (&LEASE.as_secs_f64(), Type::FLOAT8),
        ];
        let Some(row) = app.db.query_opt(REGISTER_ATHLETE, &parameters).await? else {
            return Ok(Registered::NotYourGym);
        };
        if row.get::<_, Option<Uuid>>("id").is_some() {
            let athlete = Athlete::registered(&row, business_id, registration, code);
            return Ok(Registered::Now(Gym::from(&row), Box::new(athlete)));
        }
        let contact: [Parameter<'_>; 3] = [
            (&business_id, Type::UUID),
            (email, Type::TEXT),
            (phone, Type::TEXT),
        ];
        if let Some(found) = app.db.query_opt(FIND_BY_CONTACT, &contact).await? {
            let athlete = Box::new(Athlete::from(&found));
            // This request's own id: the statement was carried out, its connection died, and it was sent again.
            return Ok(if athlete.id == id {
                Registered::Now(Gym::from(&row), athlete)
            } else {
                Registered::Before(athlete)
            });
        }
    }
    Err(Problem::internal(format!(
        "no athlete after {MAX_DRAWS} draws of a code"
    )))
}
