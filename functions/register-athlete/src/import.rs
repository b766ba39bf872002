mod spreadsheet;

use crate::{App, athlete::Athlete, register::MAX_DRAWS, registration::Registration};
use serde::Serialize;
use shared::{
    domain::AthleteCode,
    platform::{
        auth::caller,
        db::{Parameter, Row, Type},
        http::{Fields, Request, Response, body, bytes, media_type, path_id},
        metrics,
        problem::{FieldError, Kind, Problem, zip_errors},
    },
};
use std::collections::{HashMap, hash_map::Entry};
use uuid::Uuid;

/// Athletes that one import may have: a large gym's, and few enough for one statement well within its time.
const MAX_ATHLETES: usize = 500;

/// The athletes of an import, as they are read one after the other.
#[derive(Default)]
struct Import {
    athletes: Vec<Registration>,
    /// Where each contact was first.
    seen: HashMap<String, String>,
}

impl Import {
    /// Takes an athlete out of the members. Whose contact has been there before is not another athlete, but a fault.
    fn read(&mut self, fields: &mut Fields) {
        let has_no_email = fields.is_absent("email");
        let athlete = Registration::read(fields);
        // As in the database, a phone tells athletes apart only where there is no email.
        let contact = match (&athlete.email, &athlete.phone) {
            (Some(email), _) => Some(("email", email.as_str())),
            (None, Some(phone)) if has_no_email => Some(("phone", phone.as_str())),
            _ => None,
        };
        if let Some((name, contact)) = contact {
            match self.seen.entry(contact.to_owned()) {
                Entry::Occupied(first) => fields.note(name, format!("is in {} too", first.get())),
                Entry::Vacant(new) => drop(new.insert(fields.place())),
            }
        }
        self.athletes.push(athlete);
    }
}

/// The athletes of the body, which is JSON or what a spreadsheet saves as CSV (RFC 4180).
fn athletes(request: &Request) -> Result<Vec<Registration>, Problem> {
    let mut import = Import::default();
    match media_type(request).as_str() {
        "application/json" => {
            let mut body = body(request)?;
            let each = |athlete: &mut Fields| import.read(athlete);
            body.required_objects("athletes", 1..=MAX_ATHLETES, each);
            body.finish(Some(()))?;
        }
        "text/csv" => {
            let text = String::from_utf8_lossy(&bytes(request)?).into_owned();
            let errors = spreadsheet::read(&text, |athlete| import.read(athlete));
            if !errors.is_empty() {
                return Err(Problem::invalid_input(errors));
            }
        }
        _ => {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "Send the header Content-Type: text/csv, or application/json.",
            ));
        }
    }
    Ok(import.athletes)
}

/// Whether `?dry_run=` asks only what would happen.
fn is_dry_run(request: &Request) -> Result<bool, Problem> {
    match request.query_string_parameters.all("dry_run").as_deref() {
        None | Some(["false"]) => Ok(false),
        Some(["true"]) => Ok(true),
        Some(_) => Err(Problem::invalid_input(vec![FieldError::of_parameter(
            "dry_run",
            "must be true or false",
        )])),
    }
}

/// All the athletes and their invitations, in one statement: all of them are stored, or none.
///
/// $1 owner, $2 business, $3 ids, $4 codes, $5 emails, $6 phones, $7 full names, $8 locales, $9 days the invitations are good
/// for, $10 whether nothing is to be written.
///
/// No row: the gym is not the caller's. Otherwise a row for each athlete that was given, in that order. One without an athlete:
/// in a dry run it would be stored; else the code is taken, or somebody registered the contact while this ran; both are settled
/// by asking again. The invitations are due at once, and nobody's yet: the relay sends them.
///
/// They are inserted in the order of their contacts, so that two imports that share some wait for each other, and never both.
const IMPORT_ATHLETES: &str = "-- import_athletes
    WITH gym AS (
        SELECT id FROM business WHERE id = $2 AND user_id = $1
    ), given AS (
        SELECT * FROM unnest($3, $4, $5, $6, $7, $8) WITH ORDINALITY AS given (id, code, email, phone, full_name, locale, position)
    ), registered AS (
        INSERT INTO athlete (id, invited_by, athlete_code, email, phone, full_name, locale)
        SELECT given.id, gym.id, given.code, given.email, given.phone, given.full_name, given.locale FROM gym, given
        WHERE NOT $10
        ORDER BY given.email, given.phone
        ON CONFLICT DO NOTHING
        RETURNING *
    ), invited AS (
        INSERT INTO invitation (athlete_id, channel, attempts, next_attempt_at, expires_at)
        SELECT id, CASE WHEN email IS NULL THEN 'sms' ELSE 'email' END, 0, now(), now() + make_interval(days => $9)
        FROM registered
        RETURNING *
    ), found AS (
        SELECT registered.id AS given_id, registered.id, registered.invited_by AS business_id, registered.email, registered.phone,
               registered.full_name, registered.locale, registered.athlete_code, registered.linked_at, registered.created_at,
               invited.id AS invitation_id, invited.status AS invitation_status, invited.channel AS invitation_channel,
               invited.sent_at AS invitation_sent_at, invited.expires_at AS invitation_expires_at,
               invited.last_error AS invitation_last_error
        FROM registered JOIN invited ON invited.athlete_id = registered.id
        UNION ALL
        SELECT given.id, roster.* FROM given JOIN roster ON roster.email = given.email
        WHERE roster.business_id = $2
        UNION ALL
        SELECT given.id, roster.* FROM given JOIN roster ON roster.phone = given.phone AND roster.email IS NULL
        WHERE given.email IS NULL AND roster.business_id = $2
    )
    SELECT found.* FROM gym CROSS JOIN given LEFT JOIN found ON found.given_id = given.id
    ORDER BY given.position";

/// What became of one athlete, or would become.
#[derive(Serialize)]
struct Item {
    /// Which one of those that were given, from 0.
    index: usize,
    outcome: Outcome,
    /// None where it would be created.
    athlete: Option<Athlete>,
}

impl Item {
    /// The outcome for the athlete that was given this id.
    fn new(index: usize, id: Uuid, row: &Row) -> Self {
        let athlete = found(row).map(|_| Athlete::from(row));
        let was_there = athlete.as_ref().is_some_and(|athlete| athlete.id != id);
        Self {
            index,
            outcome: if was_there {
                Outcome::AlreadyRegistered
            } else {
                Outcome::Created
            },
            athlete,
        }
    }
}

#[derive(PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Created,
    AlreadyRegistered,
}

#[derive(Serialize)]
struct Imported {
    items: Vec<Item>,
}

/// Registers every athlete that is new, or says what that would do. The relay sends their invitations.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let business_id = path_id(request, "business_id", "gym")?;
    let (is_dry_run, athletes) = zip_errors(is_dry_run(request), athletes(request))?;

    let ids: Vec<Uuid> = athletes.iter().map(|_| Uuid::now_v7()).collect();
    let rows = import(
        app,
        caller.user_id,
        business_id,
        &ids,
        &athletes,
        is_dry_run,
    )
    .await?;
    if rows.is_empty() {
        return Err(Problem::not_found("gym"));
    }
    let items = ids.iter().zip(&rows).enumerate();
    let items: Vec<Item> = items
        .map(|(index, (id, row))| Item::new(index, *id, row))
        .collect();
    if !is_dry_run {
        let created = items.iter().filter(|item| item.outcome == Outcome::Created);
        metrics::invitations("queued", created.count());
    }
    Ok(Response::ok(&Imported { items }))
}

/// The rows of `IMPORT_ATHLETES`, with an athlete each unless it is a dry run; none where the gym is not the owner's.
async fn import(
    app: &App,
    owner: Uuid,
    business_id: Uuid,
    ids: &[Uuid],
    athletes: &[Registration],
    is_dry_run: bool,
) -> Result<Vec<Row>, Problem> {
    let mut codes: Vec<AthleteCode> = ids.iter().map(|_| (app.draw_code)()).collect();
    let emails: Vec<_> = athletes.iter().map(|athlete| &athlete.email).collect();
    let phones: Vec<_> = athletes.iter().map(|athlete| &athlete.phone).collect();
    let full_names: Vec<_> = athletes.iter().map(|athlete| &athlete.full_name).collect();
    let locales: Vec<_> = athletes.iter().map(|athlete| &athlete.locale).collect();
    for _ in 0..MAX_DRAWS {
        let parameters: [Parameter<'_>; 10] = [
            (&owner, Type::UUID),
            (&business_id, Type::UUID),
            (&ids, Type::UUID_ARRAY),
            (&codes, Type::TEXT_ARRAY),
            (&emails, Type::TEXT_ARRAY),
            (&phones, Type::TEXT_ARRAY),
            (&full_names, Type::TEXT_ARRAY),
            (&locales, Type::TEXT_ARRAY),
            (&app.invitation_days, Type::INT4),
            (&is_dry_run, Type::BOOL),
        ];
        let rows = app.db.query(IMPORT_ATHLETES, &parameters).await?;
        if is_dry_run || rows.iter().all(|row| found(row).is_some()) {
            return Ok(rows);
        }
        for (code, row) in codes.iter_mut().zip(&rows) {
            if found(row).is_none() {
                *code = (app.draw_code)();
            }
        }
    }
    Err(Problem::internal(format!(
        "some athletes are not there after {MAX_DRAWS} draws of their codes"
    )))
}

/// The id of the row's athlete, if there is one.
fn found(row: &Row) -> Option<Uuid> {
    row.get("id")
}
