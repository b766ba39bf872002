mod candidates;
mod columns;
mod delimited;
mod file;
mod spreadsheet;
mod table;
mod workbook;

use crate::{
    app::App,
    athlete::{Athlete, roster_columns},
    import::{
        candidates::{Candidate, candidates},
        columns::Column,
    },
    registration::{MAX_DRAWS, Registration},
};
use serde::Serialize;
use shared::{
    domain::{AthleteCode, Email, ErrorCode, Phone},
    platform::{
        auth::caller,
        db::{Parameter, Row, Type},
        http::{Fields, Request, Response, bytes, json_object, path_id},
        metrics,
        problem::{FieldError, Problem, Warning, zip_errors},
    },
};
use std::collections::HashMap;
use uuid::Uuid;

/// Athletes that one import may have: a large gym's, and few enough for one statement well within its time.
const MAX_ATHLETES: usize = 500;

/// Bytes of the body: an export of 500 rows with all the columns that are not ours.
const MAX_FILE: usize = 1024 * 1024;

/// The athletes that were sent, and the columns of their table.
#[derive(Default)]
struct Sent {
    columns: Vec<Column>,
    candidates: Vec<Candidate>,
}

/// The athletes of the body, which is JSON or a spreadsheet: an Excel workbook, or what programs save as text (RFC 4180).
fn sent(request: &Request) -> Result<Sent, Problem> {
    let bytes = bytes(request, MAX_FILE)?;
    let kind = file::kind(&bytes)?;
    if kind == file::Kinds::Json {
        let mut body = json_object(&bytes)?;
        let athletes = body.required_objects("athletes", 1..=MAX_ATHLETES);
        return Ok(Sent {
            columns: Vec::new(),
            candidates: candidates(body.finish(athletes)?),
        });
    }
    let table = file::table(request, &kind, &bytes)?;
    let mut rows: Vec<Fields> = Vec::new();
    let columns = spreadsheet::read(table, |row| rows.push(row)).map_err(Problem::invalid_input)?;
    Ok(Sent {
        columns,
        candidates: candidates(rows),
    })
}

/// How the import is to be done.
struct Options {
    /// Only to tell what would happen.
    is_dry_run: bool,
    /// To register the athletes that have no faults, where others have.
    skips_faulty: bool,
}

impl Options {
    fn read(request: &Request) -> Result<Self, Problem> {
        let (is_dry_run, skips_faulty) = zip_errors(
            flag(request, "dry_run"),
            flag(request, "skip_faulty"),
        )?;
        Ok(Self { is_dry_run, skips_faulty })
    }
}

/// A query parameter that is `true` or `false`, which it is where it is absent.
fn flag(request: &Request, name: &'static str) -> Result<bool, Problem> {
    match request.query_string_parameters.all(name).as_deref() {
        None | Some(["false"]) => Ok(false),
        Some(["true"]) => Ok(true),
        Some(_) => Err(Problem::invalid_input(vec![FieldError::of_parameter(
            name,
            ErrorCode::WrongType,
            "must be true or false",
        )])),
    }
}

/// Registers all the athletes with their invitations, or none. The invitations are due at once, and nobody's yet: the relay
/// sends them.
///
/// $1 owner, $2 business, $3 ids, $4 codes, $5 emails, $6 phones, $7 full names, $8 locales, $9 channels, $10 days the
/// invitations are good for; all lists are in one order.
///
/// No row: the gym is not the caller's. Otherwise one for each athlete that is new, or one without an id where none is. The
/// contact of each other one, or its code, is taken.
///
/// They are inserted in the order of their contacts, so that two imports that share some wait for each other, and never both.
const IMPORT_ATHLETES: &str = "-- import_athletes
    WITH gym AS (
        SELECT id FROM business WHERE id = $2 AND user_id = $1
    ), given AS (
        SELECT *
        FROM unnest($3, $4, $5, $6, $7, $8, $9)
            AS given (id, code, email, phone, full_name, locale, channel)
    ), registered AS (
        INSERT INTO athlete (id, invited_by, athlete_code, email, phone, full_name, locale)
        SELECT given.id, gym.id, code, email, phone, full_name, locale
        FROM gym, given
        ORDER BY email, phone
        ON CONFLICT DO NOTHING
        RETURNING id, created_at
    ), invited AS (
        INSERT INTO invitation (athlete_id, channel, attempts, next_attempt_at, expires_at)
        SELECT registered.id, given.channel, 0, now(), now() + make_interval(days => $10)
        FROM registered JOIN given ON given.id = registered.id
        RETURNING id, athlete_id, expires_at
    )
    SELECT registered.id, registered.created_at, invited.id AS invitation_id, invited.expires_at
    FROM gym
    LEFT JOIN registered ON true
    LEFT JOIN invited ON invited.athlete_id = registered.id";

/// The athletes of the gym that have one of these contacts, each with the one that was given.
///
/// $1 owner, $2 business, $3 ids that were given, $4 emails, $5 phones, all in one order.
///
/// No row: the gym is not the caller's. Otherwise one for each athlete that was found, or one without an id where none was.
const FIND_BY_CONTACTS: &str = concat!(
    "-- find_by_contacts
    WITH given AS (
        SELECT * FROM unnest($3, $4, $5) AS given (id, email, phone)
    ), found AS (
        SELECT given.id AS given_id, athlete.id
        FROM given JOIN athlete ON athlete.invited_by = $2 AND athlete.email = given.email
        UNION ALL
        SELECT given.id AS given_id, athlete.id
        FROM given JOIN athlete ON athlete.invited_by = $2 AND athlete.phone = given.phone
        WHERE given.email IS NULL AND athlete.email IS NULL
    )
    SELECT found.given_id, ",
    roster_columns!(),
    " FROM business
    LEFT JOIN (found JOIN roster ON roster.id = found.id) ON true
    WHERE business.id = $2 AND business.user_id = $1"
);

/// What became of one athlete, or would become.
#[derive(Serialize)]
struct Item {
    /// Its place among those that were given, from 0.
    index: usize,
    /// Its row in the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
    outcome: ImportOutcome,
    /// None where it would be created, was merged or has faults.
    athlete: Option<Athlete>,
    /// The fields in which what was sent differs from the athlete, who was not changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differs: Vec<&'static str>,
    /// The index of the item that this one is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    merged_into: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Warning>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ImportOutcome {
    Created,
    AlreadyRegistered,
    Merged,
    Faulty,
}

#[derive(Serialize)]
struct Imported {
    columns: Vec<Column>,
    counts: Counts,
    items: Vec<Item>,
}

/// The items by their outcome.
#[derive(Serialize)]
struct Counts {
    created: usize,
    already_registered: usize,
    merged: usize,
    faulty: usize,
}

impl Counts {
    fn of(items: &[Item]) -> Self {
        let count = |outcome| items.iter().filter(|item| item.outcome == outcome).count();
        Self {
            created: count(ImportOutcome::Created),
            already_registered: count(ImportOutcome::AlreadyRegistered),
            merged: count(ImportOutcome::Merged),
            faulty: count(ImportOutcome::Faulty),
        }
    }
}

/// Registers every athlete that is new, or says what that would do. The relay sends their invitations.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let business_id = path_id(request, "business_id", "gym")?;
    let (options, sent) = zip_errors(Options::read(request), sent(request))?;
    if !options.is_dry_run && !options.skips_faulty {
        let errors: Vec<_> = sent.candidates.iter().flat_map(Candidate::errors).cloned().collect();
        if !errors.is_empty() {
            return Err(Problem::invalid_input(errors));
        }
    }

    let import = Import::new(caller.user_id, business_id, &sent.candidates);
    let (created, known) = if options.is_dry_run {
        (HashMap::new(), import.find(app).await?)
    } else {
        let (created, known) = import.carry_out(app).await?;
        metrics::invitations("queued", created.len());
        (created, known)
    };
    let items = import.items(sent.candidates, created, known);
    Ok(Response::ok(&Imported {
        columns: sent.columns,
        counts: Counts::of(&items),
        items,
    }))
}

/// The athletes that are to be registered, and where. Each has an id of its own, by which all that becomes of it is found.
struct Import {
    owner: Uuid,
    business_id: Uuid,
    ids: Vec<Uuid>,
    athletes: Vec<Registration>,
    /// The index of the item that each athlete is.
    indices: Vec<usize>,
}

/// Athletes by the ids that were given to them.
type ById = HashMap<Uuid, Athlete>;

impl Import {
    fn new(owner: Uuid, business_id: Uuid, candidates: &[Candidate]) -> Self {
        let new = candidates.iter().enumerate().filter_map(|(index, candidate)| Some((index, candidate.registration()?.clone())));
        let (indices, athletes): (Vec<_>, Vec<_>) = new.unzip();
        Self {
            owner,
            business_id,
            ids: indices.iter().map(|_| Uuid::now_v7()).collect(),
            athletes,
            indices,
        }
    }

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
            (&self.owner, Type::UUID),
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
            let athlete = Athlete::registered(row, self.business_id, registration, code);
            Some((*id, athlete))
        });
        Ok(created.collect())
    }

    /// The athletes that are there.
    async fn find(&self, app: &App) -> Result<ById, Problem> {
        let parameters: [Parameter<'_>; 5] = [
            (&self.owner, Type::UUID),
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
        Ok(found.map(|(id, row)| (id, Athlete::from(row))).collect())
    }

    fn emails(&self) -> Vec<&Option<Email>> {
        self.athletes.iter().map(|a| &a.contact.email).collect()
    }

    fn phones(&self) -> Vec<&Option<Phone>> {
        self.athletes.iter().map(|a| &a.contact.phone).collect()
    }

    /// One item for each athlete that was given, in that order.
    fn items(&self, candidates: Vec<Candidate>, mut created: ById, mut known: ById) -> Vec<Item> {
        let ids: HashMap<usize, (Uuid, &Registration)> = self
            .indices
            .iter()
            .zip(self.ids.iter().zip(&self.athletes))
            .map(|(index, (id, registration))| (*index, (*id, registration)))
            .collect();
        let items = candidates.into_iter().enumerate().map(|(index, candidate)| {
            let mut item = Item {
                index,
                row: candidate.row,
                outcome: ImportOutcome::Created,
                athlete: None,
                differs: candidate.differs,
                merged_into: candidate.merged_into,
                errors: candidate.errors,
                warnings: candidate.warnings,
            };
            match ids.get(&index) {
                None if item.merged_into.is_some() => item.outcome = ImportOutcome::Merged,
                None => item.outcome = ImportOutcome::Faulty,
                Some((id, registration)) => match known.remove(id) {
                    Some(athlete) => {
                        item.outcome = ImportOutcome::AlreadyRegistered;
                        item.differs = registration.differs_from(&athlete);
                        item.athlete = Some(athlete);
                    }
                    None => item.athlete = created.remove(id),
                },
            }
            item
        });
        items.collect()
    }
}

/// A row with the id in this column, if there is one.
fn by(column: &str) -> impl Fn(&Row) -> Option<(Uuid, &Row)> {
    move |row| Some((row.get::<_, Option<Uuid>>(column)?, row))
}
