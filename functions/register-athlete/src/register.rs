use crate::{
    app::App,
    athlete::{Athlete, roster_columns},
    country::country_of_phone,
    deliver::{Gym, deliver},
    registration::{Contact, MAX_DRAWS, Registration, WithWarnings, is_one_person},
    renew::{Correction, Renewal, lock_roster, renew_with_a_free_code},
    target::Target,
};
use shared::{
    domain::{AthleteCode, Country, Email, Name, limits::LEASE},
    platform::{
        auth::caller,
        db::{Parameter, QueryError, Row, Transaction, Type},
        http::{Fields, Request, Response, body, no_query, path_id},
        problem::{Kind, Problem, Warning},
    },
};
use uuid::Uuid;

/// Registers the athlete and queues an invitation. This request has the lease on it, and sends it.
/// The gym is locked, so that it is not closed meanwhile.
///
/// $1 subject, $2 business, $3 id, $4 code, $5 email, $6 phone, $7 full name, $8 locale, $9
/// channel, $10 days for which the invitation is valid, $11 seconds of the lease, $12 true to
/// register another person at a contact that is taken.
///
/// No row: the gym is not the caller's. A row without an id: the contact or the code is taken.
const REGISTER_ATHLETE: &str = r#"-- register_athlete
    WITH gym AS (
        SELECT business.id, business.name AS business_name, business.locale, business.time_zone,
               owner.email AS owner_email
        FROM gym_of($1, $2) AS gym
        JOIN business ON business.id = gym.id
        JOIN "user" AS owner ON owner.id = gym.owner_id
        WHERE business.closed_at IS NULL
        FOR KEY SHARE OF business
    ), known AS (
        SELECT coalesce(email, phone) = coalesce($5, $6) AS is_written_to_there
        FROM athlete
        WHERE invited_by = $2 AND removed_at IS NULL
          AND (coalesce(email, phone) = $5 OR phone = $6 AND (email IS NULL OR $5 IS NULL))
    ), registered AS (
        INSERT INTO athlete (id, invited_by, athlete_code, email, phone, full_name, locale, shares_contact)
        SELECT $3, gym.id, $4, $5, $6, $7, coalesce($8, gym.locale),
               EXISTS (SELECT FROM known WHERE is_written_to_there)
        FROM gym
        WHERE $12 OR NOT EXISTS (SELECT FROM known)
        ON CONFLICT DO NOTHING
        RETURNING id, locale, created_at, shares_contact
    ), invited AS (
        INSERT INTO invitation (athlete_id, channel, attempts, next_attempt_at, expires_at)
        SELECT registered.id, $9, 1, now() + make_interval(secs => $11), end_of_day($10, gym.time_zone)
        FROM gym, registered
        RETURNING id, expires_at
    )
    SELECT gym.business_name, gym.owner_email, registered.id, registered.locale, registered.created_at,
           registered.shares_contact, invited.id AS invitation_id, invited.expires_at,
           last_day(invited.expires_at, gym.time_zone) AS last_day
    FROM gym LEFT JOIN registered ON true LEFT JOIN invited ON true"#;

/// The athlete on the gym's roster with this contact: of several, the one with the same name, else
/// one without a name. A phone identifies an athlete only if they have no email, or none is given.
///
/// $1 business, $2 email, $3 phone, $4 full name.
const FIND_BY_CONTACT: &str = concat!(
    "-- find_by_contact
    SELECT ",
    roster_columns!(),
    ", name_key(full_name) = name_key($4) AS has_the_name
    FROM roster
    WHERE business_id = $1
      AND (coalesce(email, phone) = $2 OR phone = $3 AND (email IS NULL OR $2 IS NULL))
    ORDER BY (name_key(full_name) = name_key($4)) IS TRUE DESC, full_name IS NULL DESC,
             (email = $2) IS TRUE DESC, created_at, id
    LIMIT 1"
);

/// Adds the address of an athlete who has signed up. $1 athlete, $2 email.
///
/// No row: they have one by now, or are on the roster no more.
const ADD_ADDRESS: &str = "-- add_address
    UPDATE athlete SET email = $2
    WHERE id = $1 AND email IS NULL AND user_id IS NOT NULL AND removed_at IS NULL
    RETURNING id";

/// The body of the request.
struct Input {
    registration: Registration,
    /// True if it is another person than the athlete who has the contact.
    shared_contact: bool,
    warnings: Vec<Warning>,
}

impl Input {
    fn read(mut body: Fields, country: Option<&Country>) -> Result<Self, Problem> {
        let registration = Registration::read(&mut body, country);
        let warnings = registration.iter().flat_map(|new| new.warnings(&body));
        let warnings = warnings.collect();
        let shared_contact = body.optional_flag("shared_contact");
        body.finish(registration.and_then(|registration| {
            Ok(Self {
                registration,
                shared_contact: shared_contact?.unwrap_or(false),
                warnings,
            })
        }))
    }
}

/// Registers the athlete, then sends the invitation. The request succeeds also when the invitation
/// can't be sent at once.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let business_id = path_id(request, "business_id", "gym")?;
    let body = body(request)?;
    let country = country_of_phone(app, &caller.subject, business_id, "gym", &body).await?;
    let input = Input::read(body, country.as_ref())?;
    let warnings = input.warnings.as_slice();

    // The new athlete's id, or that of a known one whose address is added.
    let mut target = Target {
        subject: caller.subject,
        business_id,
        athlete_id: Uuid::now_v7(),
    };
    let with_warnings = |athlete| WithWarnings { athlete, warnings };
    match register(app, &target, &input).await? {
        Registered::Now(gym, mut athlete) => {
            deliver(app, gym, &mut athlete).await;
            let location = format!("/businesses/{business_id}/athletes/{}", athlete.id);
            Ok(Response::created(&location, &with_warnings(&athlete)))
        }
        Registered::Before(athlete) => Ok(Response::ok(&with_warnings(&athlete))),
        Registered::WithoutAddress(id, email) => {
            target.athlete_id = id;
            let athlete = add_address(app, &target, email).await?;
            Ok(Response::ok(&with_warnings(&athlete)))
        }
        Registered::ContactInUse(id, full_name) => Err(Problem::contact_in_use(id, full_name)),
        Registered::NotYourGym => Err(Problem::not_found("gym")),
    }
}

enum Registered {
    Now(Gym, Box<Athlete>),
    Before(Box<Athlete>),
    /// The athlete is known by their phone alone, and this is their address.
    WithoutAddress(Uuid, Email),
    /// This athlete has the contact, and another name.
    ContactInUse(Uuid, Option<Name>),
    NotYourGym,
}

async fn register(app: &App, target: &Target, input: &Input) -> Result<Registered, Problem> {
    let Input {
        registration,
        shared_contact,
        ..
    } = input;
    let mut is_another = false;
    for _ in 0..=MAX_DRAWS {
        let code = (app.draw_code)();
        let Some(row) = insert(app, target, registration, &code, is_another).await? else {
            return Ok(Registered::NotYourGym);
        };
        if row.get::<_, Option<Uuid>>("id").is_some() {
            let business_id = target.business_id;
            let athlete = Athlete::registered(&row, business_id, registration, code, &app.app_url);
            return Ok(Registered::Now(Gym::from(&row), Box::new(athlete)));
        }
        let Some(found) = find(app, target, registration).await? else {
            continue;
        };
        let athlete = Box::new(Athlete::from_row(&found, &app.app_url));
        // This request's own id: the statement was carried out, its connection died, and it was
        // sent again.
        if athlete.id == target.athlete_id {
            return Ok(Registered::Now(Gym::from(&row), athlete));
        }
        let has_the_name: Option<bool> = found.get("has_the_name");
        let has_name = registration.full_name.is_some();
        let is_same = is_one_person(has_the_name, has_name, *shared_contact);
        match &registration.contact.email {
            Some(email) if is_same && athlete.email.is_none() => {
                return Ok(Registered::WithoutAddress(athlete.id, email.clone()));
            }
            _ if is_same => return Ok(Registered::Before(athlete)),
            _ if *shared_contact => is_another = true,
            _ => return Ok(Registered::ContactInUse(athlete.id, athlete.full_name)),
        }
    }
    Err(Problem::internal(format!(
        "no athlete after {MAX_DRAWS} draws of a code"
    )))
}

async fn insert(
    app: &App,
    target: &Target,
    registration: &Registration,
    code: &AthleteCode,
    is_another: bool,
) -> Result<Option<Row>, QueryError> {
    let Registration {
        contact: Contact { email, phone },
        full_name,
        locale,
    } = registration;
    let parameters: [Parameter<'_>; 12] = [
        (&target.subject, Type::TEXT),
        (&target.business_id, Type::UUID),
        (&target.athlete_id, Type::UUID),
        (code, Type::TEXT),
        (email, Type::TEXT),
        (phone, Type::TEXT),
        (full_name, Type::TEXT),
        (locale, Type::TEXT),
        (&registration.channel(), Type::TEXT),
        (&app.invitation_days, Type::INT4),
        (&LEASE.as_secs_f64(), Type::FLOAT8),
        (&is_another, Type::BOOL),
    ];
    app.db.query_opt(REGISTER_ATHLETE, &parameters).await
}

async fn find(
    app: &App,
    target: &Target,
    registration: &Registration,
) -> Result<Option<Row>, QueryError> {
    let contact: [Parameter<'_>; 4] = [
        (&target.business_id, Type::UUID),
        (&registration.contact.email, Type::TEXT),
        (&registration.contact.phone, Type::TEXT),
        (&registration.full_name, Type::TEXT),
    ];
    app.db.query_opt(FIND_BY_CONTACT, &contact).await
}

/// Adds the address to an athlete who is known by their phone alone, and invites them there, unless
/// they have signed up.
async fn add_address(app: &App, target: &Target, email: Email) -> Result<Box<Athlete>, Problem> {
    let correction = Correction {
        email: Some(email.clone()),
        phone: None,
    };
    match renew_with_a_free_code(app, target, &correction).await? {
        Renewal::Queued(gym, mut athlete) => {
            deliver(app, gym, &mut athlete).await;
            Ok(athlete)
        }
        Renewal::JustSent(athlete) => Ok(athlete),
        Renewal::Linked => {
            let added = |tx| add_to_member(tx, app, target, &email);
            match app.db.transaction(added).await {
                Ok(athlete) => Ok(Box::new(athlete)),
                Err(error) if error.constraint().is_some() => Err(Problem::new(
                    Kind::AlreadyRegistered,
                    "Another athlete of your gym has this contact; nothing was changed.",
                )),
                Err(error) => Err(error.into()),
            }
        }
        Renewal::NotYours => Err(Problem::not_found("gym")),
        Renewal::TooMany { wait } => Err(Renewal::too_many(wait)),
    }
}

async fn add_to_member(
    tx: Transaction,
    app: &App,
    target: &Target,
    email: &Email,
) -> Result<Athlete, QueryError> {
    lock_roster(&tx, target).await?;
    let address: [Parameter<'_>; 2] = [(&target.athlete_id, Type::UUID), (email, Type::TEXT)];
    tx.query(ADD_ADDRESS, &address).await?;
    Athlete::read(&tx, target.athlete_id, &app.app_url).await
}
