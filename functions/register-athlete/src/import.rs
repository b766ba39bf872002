mod spreadsheet;

use crate::{
    app::App,
    athlete::{Athlete, roster_columns},
    registration::{Contact, MAX_DRAWS, Registration},
};
use serde::Serialize;
use shared::{
    domain::{AthleteCode, Email, ErrorCode, Phone, Subject},
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

/// The athletes of the body, as they are read one after the other.
#[derive(Default)]
struct Reader {
    athletes: Vec<Registration>,
    /// Where each contact was first.
    seen: HashMap<String, String>,
}

impl Reader {
    /// Takes an athlete out of the members. Whose contact has been there before is not another athlete, but a fault.
    fn read(&mut self, fields: &mut Fields) {
        let contact = Contact::read(fields);
        let known = contact.as_ref().ok().cloned();
        let athlete = Registration::with_contact(contact, fields);
        // As in the database, a phone tells athletes apart only where there is no email.
        let contact = match &known {
            Some(Contact {
                email: Some(email), ..
            }) => Some(("email", email.as_str())),
            Some(Contact {
                phone: Some(phone), ..
            }) => Some(("phone", phone.as_str())),
            _ => None,
        };
        if let Some((name, contact)) = contact {
            match self.seen.entry(contact.to_owned()) {
                Entry::Occupied(first) => {
                    fields.note(
                        name,
                        ErrorCode::Duplicate,
                        format!("is in {} too", first.get()),
                    );
                }
                Entry::Vacant(new) => drop(new.insert(fields.place())),
            }
        }
        self.athletes.extend(athlete);
    }
}

/// The athletes of the body, which is JSON or what a spreadsheet saves as CSV (RFC 4180).
fn athletes(request: &Request) -> Result<Vec<Registration>, Problem> {
    let mut reader = Reader::default();
    match media_type(request).as_str() {
        "application/json" => {
            let mut body = body(request)?;
            let each = |athlete: &mut Fields| reader.read(athlete);
            let athletes = body.required_objects("athletes", 1..=MAX_ATHLETES, each);
            body.finish(athletes)?;
        }
        "text/csv" => {
            let text = String::from_utf8_lossy(&bytes(request)?).into_owned();
            let errors = spreadsheet::read(&text, |athlete| reader.read(athlete));
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
    Ok(reader.athletes)
}

/// Whether `?dry_run=` asks only what would happen.
fn is_dry_run(request: &Request) -> Result<bool, Problem> {
    match request.query_string_parameters.all("dry_run").as_deref() {
        None | Some(["false"]) => Ok(false),
        Some(["true"]) => Ok(true),
        Some(_) => Err(Problem::invalid_input(vec![FieldError::of_parameter(
            "dry_run",
            ErrorCode::WrongType,
            "must be true or false",
        )])),
    }
}

/// Registers all the athletes with their invitations, or none. The invitations are due at once, and nobody's yet: the relay
/// sends them.
///
/// $1 subject, $2 business, $3 ids, $4 codes, $5 emails, $6 phones, $7 full names, $8 locales, $9 channels, $10 days the
/// invitations are good for; all lists are in one order.
///
/// No row: the gym is not the caller's. Otherwise one for each athlete that is new, or one without an id where none is. The
/// contact of each other one, or its code, is taken.
///
/// They are inserted in the order of their contacts, so that two imports that share some wait for each other, and never both.
const IMPORT_ATHLETES: &str = "-- import_athletes
    WITH gym AS (
        SELECT business.id, business.locale, business.time_zone
        FROM gym_of($1, $2) AS gym JOIN business ON business.id = gym.id
        WHERE business.closed_at IS NULL
        FOR KEY SHARE OF business
    ), given AS (
        SELECT *
        FROM unnest($3, $4, $5, $6, $7, $8, $9)
            AS given (id, code, email, phone, full_name, locale, channel)
    ), registered AS (
        INSERT INTO athlete (id, invited_by, athlete_code, email, phone, full_name, locale)
        SELECT given.id, gym.id, code, email, phone, full_name, coalesce(given.locale, gym.locale)
        FROM gym, given
        ORDER BY email, phone
        ON CONFLICT DO NOTHING
        RETURNING id, locale, created_at, shares_contact
    ), invited AS (
        INSERT INTO invitation (athlete_id, channel, attempts, next_attempt_at, expires_at)
        SELECT registered.id, given.channel, 0, now(), end_of_day($10, gym.time_zone)
        FROM gym, registered JOIN given ON given.id = registered.id
        RETURNING id, athlete_id, expires_at
    )
    SELECT registered.id, registered.locale, registered.created_at, registered.shares_contact,
           invited.id AS invitation_id, invited.expires_at, last_day(invited.expires_at, gym.time_zone) AS last_day
    FROM gym
    LEFT JOIN registered ON true
    LEFT JOIN invited ON invited.athlete_id = registered.id";

/// The athletes of the gym that have one of these contacts, each with the one that was given.
///
/// $1 subject, $2 business, $3 ids that were given, $4 emails, $5 phones, all in one order.
///
/// No row: the gym is not the caller's. Otherwise one for each athlete that was found, or one without an id where none was.
const FIND_BY_CONTACTS: &str = concat!(
    "-- find_by_contacts
    WITH given AS (
        SELECT * FROM unnest($3, $4, $5) AS given (id, email, phone)
    ), found AS (
        SELECT DISTINCT ON (given.id) given.id AS given_id, athlete.id
        FROM given JOIN athlete ON athlete.invited_by = $2 AND athlete.removed_at IS NULL
                                   AND coalesce(athlete.email, athlete.phone) = coalesce(given.email, given.phone)
        ORDER BY given.id, athlete.id = given.id DESC, athlete.shares_contact, athlete.created_at, athlete.id
    )
    SELECT found.given_id, ",
    roster_columns!(),
    " FROM gym_of($1, $2) AS gym
    LEFT JOIN (found JOIN roster ON roster.id = found.id) ON true"
);

/// What became of one athlete, or would become.
#[derive(Serialize)]
struct Item {
    /// Its place among those that were given, from 0.
    index: usize,
    outcome: ImportOutcome,
    /// None where it would be created.
    athlete: Option<Athlete>,
}

#[derive(PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ImportOutcome {
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

    let import = Import {
        subject: caller.subject,
        business_id,
        ids: athletes.iter().map(|_| Uuid::now_v7()).collect(),
        athletes,
    };
    let items = if is_dry_run {
        let known = import.find(app).await?;
        import.items(HashMap::new(), known)
    } else {
        let (created, known) = import.carry_out(app).await?;
        metrics::invitations("queued", created.len());
        import.items(created, known)
    };
    Ok(Response::ok(&Imported { items }))
}

/// The athletes that were given, and where they are to go. Each has an id of its own, by which all that becomes of it is found.
struct Import {
    subject: Subject,
    business_id: Uuid,
    ids: Vec<Uuid>,
    athletes: Vec<Registration>,
}

/// Athletes by the ids that were given to them.
type ById = HashMap<Uuid, Athlete>;

impl Import {
    /// Registers the athletes that are new: those that were created, and those that were there.
    async fn carry_out(&self, app: &App) -> Result<(ById, ById), Problem> {
        let mut created = HashMap::new();
        for _ in 0..MAX_DRAWS {
            created.extend(self.register(app).await?);
            if created.len() == self.ids.len() {
                return Ok((created, HashMap::new()));
            }
            let mut known = self.find(app).await?;
            // The statement was carried out before its connection died, and so was sent twice.
            created.extend(known.extract_if(|id, athlete| *id == athlete.id));
            if created.len() + known.len() == self.ids.len() {
                return Ok((created, known));
            }
        }
        Err(Problem::internal(format!(
            "no athlete after {MAX_DRAWS} draws of a code"
        )))
    }

    /// The athletes that this has created.
    async fn register(&self, app: &App) -> Result<ById, Problem> {
        let codes: Vec<AthleteCode> = self.ids.iter().map(|_| (app.draw_code)()).collect();
        let full_names: Vec<_> = self.athletes.iter().map(|a| &a.full_name).collect();
        let locales: Vec<_> = self.athletes.iter().map(|a| &a.locale).collect();
        let channels: Vec<_> = self.athletes.iter().map(Registration::channel).collect();
        let parameters: [Parameter<'_>; 10] = [
            (&self.subject, Type::TEXT),
            (&self.business_id, Type::UUID),
            (&self.ids, Type::UUID_ARRAY),
            (&codes, Type::TEXT_ARRAY),
            (&self.emails(), Type::TEXT_ARRAY),
            (&self.phones(), Type::TEXT_ARRAY),
            (&full_names, Type::TEXT_ARRAY),
            (&locales, Type::TEXT_ARRAY),
            (&channels, Type::TEXT_ARRAY),
            (&app.invitation_days, Type::INT4),
        ];
        let rows = app.db.query(IMPORT_ATHLETES, &parameters).await?;
        if rows.is_empty() {
            return Err(Problem::not_found("gym"));
        }
        let rows: HashMap<Uuid, &Row> = rows.iter().filter_map(by("id")).collect();
        let given = self.ids.iter().zip(&self.athletes).zip(codes);
        let created = given.filter_map(|((id, registration), code)| {
            let row = rows.get(id)?;
            let athlete =
                Athlete::registered(row, self.business_id, registration, code, &app.app_url);
            Some((*id, athlete))
        });
        Ok(created.collect())
    }

    /// The athletes that are there.
    async fn find(&self, app: &App) -> Result<ById, Problem> {
        let parameters: [Parameter<'_>; 5] = [
            (&self.subject, Type::TEXT),
            (&self.business_id, Type::UUID),
            (&self.ids, Type::UUID_ARRAY),
            (&self.emails(), Type::TEXT_ARRAY),
            (&self.phones(), Type::TEXT_ARRAY),
        ];
        let rows = app.db.query(FIND_BY_CONTACTS, &parameters).await?;
        if rows.is_empty() {
            return Err(Problem::not_found("gym"));
        }
        let found = rows.iter().filter_map(by("given_id"));
        Ok(found
            .map(|(id, row)| (id, Athlete::from_row(row, &app.app_url)))
            .collect())
    }

    fn emails(&self) -> Vec<&Option<Email>> {
        self.athletes.iter().map(|a| &a.contact.email).collect()
    }

    fn phones(&self) -> Vec<&Option<Phone>> {
        self.athletes.iter().map(|a| &a.contact.phone).collect()
    }

    /// One item for each athlete that was given, in that order.
    fn items(&self, mut created: ById, mut known: ById) -> Vec<Item> {
        let items = self.ids.iter().enumerate().map(|(index, id)| {
            let (outcome, athlete) = match known.remove(id) {
                Some(athlete) => (ImportOutcome::AlreadyRegistered, Some(athlete)),
                None => (ImportOutcome::Created, created.remove(id)),
            };
            Item {
                index,
                outcome,
                athlete,
            }
        });
        items.collect()
    }
}

/// A row with the id in this column, if there is one.
fn by(column: &str) -> impl Fn(&Row) -> Option<(Uuid, &Row)> {
    move |row| Some((row.get::<_, Option<Uuid>>(column)?, row))
}
