mod candidates;
mod columns;
mod decision;
mod delimited;
mod file;
mod plan;
mod spreadsheet;
mod table;
mod workbook;

use crate::{
    app::App,
    athlete::Athlete,
    country::gym_country,
    import::{
        candidates::Candidate,
        columns::Column,
        decision::Decision,
        plan::{Gym, Plan},
    },
    registration::MAX_DRAWS,
};
use serde::Serialize;
use shared::{
    domain::{Country, ErrorCode, InvitationStatus, Name},
    platform::{
        auth::caller,
        db::Type,
        http::{Fields, Noted, Query, Request, Response, bytes, json_object, path_id},
        metrics,
        problem::{FieldError, Problem, Warning, zip_errors},
    },
};
use std::collections::HashMap;

/// Athletes that one import may have: a large gym's, and few enough for one transaction well within
/// its time.
const MAX_ATHLETES: usize = 500;

/// Bytes of the body: an export of 500 rows with all the columns that are not ours.
const MAX_FILE: usize = 1024 * 1024;

/// The athletes that were sent, and the columns of their table.
#[derive(Default)]
struct Sent {
    columns: Vec<Column>,
    athletes: Vec<Fields>,
    /// What is wrong beside the athletes.
    errors: Vec<FieldError>,
}

impl Sent {
    /// From the body, which is JSON or a spreadsheet: an Excel workbook, or what programs save as
    /// text (RFC 4180).
    fn read(request: &Request) -> Result<Self, Problem> {
        let bytes = bytes(request, MAX_FILE)?;
        let kind = file::kind(&bytes)?;
        if kind == file::Kinds::Json {
            let mut body = json_object(&bytes)?;
            return match body.required_objects("athletes", 1..=MAX_ATHLETES) {
                Err(noted) => body.finish(Err(noted)),
                Ok(athletes) => Ok(Self {
                    columns: Vec::new(),
                    athletes,
                    errors: body.into_errors(),
                }),
            };
        }
        let table = file::table(request, &kind, &bytes)?;
        let mut athletes = Vec::new();
        let columns = spreadsheet::read(table, |row| athletes.push(row));
        Ok(Self {
            columns: columns.map_err(Problem::invalid_input)?,
            athletes,
            errors: Vec::new(),
        })
    }
}

/// The errors of the athletes of an import, as far as they are seen without the database; the file
/// as a whole may be refused. For the fuzz targets, which have none.
pub fn errors_of_import(
    request: &Request,
    country: Option<&Country>,
) -> Result<Vec<FieldError>, Problem> {
    let sent = Sent::read(request)?;
    let athletes = candidates::read(sent.athletes, country).into_iter();
    Ok(athletes.flat_map(|athlete| athlete.errors).collect())
}

/// How the import is to be done.
struct Options {
    /// Only to tell what would happen.
    is_dry_run: bool,
    /// To register the athletes that have no errors, where others have.
    skips_faulty: bool,
    /// The same contact with another name is another person.
    shared_contacts: bool,
    /// The first state of the invitations: queued, or held to be sent later.
    status: InvitationStatus,
}

impl Options {
    fn read(request: &Request) -> Result<Self, Problem> {
        let mut query = Query::of(request);
        let is_dry_run = query.flag("dry_run");
        let skips_faulty = query.flag("skip_faulty");
        let shared_contacts = query.flag("shared_contacts");
        let status = Self::status(&mut query);
        query.finish(is_dry_run.and_then(|is_dry_run| {
            Ok(Self {
                is_dry_run,
                skips_faulty: skips_faulty?,
                shared_contacts: shared_contacts?,
                status: status?,
            })
        }))
    }

    fn status(query: &mut Query<'_>) -> Result<InvitationStatus, Noted> {
        match query.one("invite")? {
            None | Some("now") => Ok(InvitationStatus::Queued),
            Some("later") => Ok(InvitationStatus::Held),
            Some(_) => Err(query.note("invite", ErrorCode::NotAllowed, "must be now or later")),
        }
    }
}

/// The names as the database compares them, in their order. $1 names.
const NAME_KEYS: &str = "-- name_keys
    SELECT name_key(full_name) AS name_key
    FROM unnest($1) WITH ORDINALITY AS given (full_name, place)
    ORDER BY place";

/// What became of one athlete, or would become.
#[derive(Serialize)]
struct Item {
    /// Its place among those that were given, from 0.
    index: usize,
    /// Its row in the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
    outcome: ImportOutcome,
    /// None where it would be created, was merged or has errors; with the error `contact_in_use` it
    /// is who has the contact.
    athlete: Option<Athlete>,
    /// The fields that the athlete got, who had none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<&'static str>,
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

/// Registers every athlete that is new, or says what that would do. The relay sends their
/// invitations.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let subject = caller(request)?.subject;
    let business_id = path_id(request, "business_id", "gym")?;
    let (options, sent) = zip_errors(Options::read(request), Sent::read(request))?;
    let country = gym_country(app, &subject, business_id, "gym").await?;

    let mut candidates = candidates::read(sent.athletes, country.as_ref());
    if !sent.errors.is_empty() {
        let errors = candidates.into_iter().flat_map(|athlete| athlete.errors);
        return Err(Problem::invalid_input(errors.chain(sent.errors).collect()));
    }
    let keys = name_keys(app, &candidates).await?;
    candidates::merge(&mut candidates, keys, options.shared_contacts);
    let gym = Gym {
        subject,
        business_id,
        status: options.status,
        shared_contacts: options.shared_contacts,
    };
    let plan = Plan::new(&gym, &candidates);
    let decisions = carry_out(app, &plan, &options, &candidates).await?;

    let queued = decisions.values().filter(|decision| decision.invites());
    if !options.is_dry_run && options.status == InvitationStatus::Queued {
        metrics::invitations("queued", queued.count());
    }
    let items = items(candidates, decisions);
    let is_refused = !options.is_dry_run && !options.skips_faulty;
    if is_refused && items.iter().any(|item| !item.errors.is_empty()) {
        let errors = items.into_iter().flat_map(|item| item.errors);
        return Err(Problem::invalid_input(errors.collect()));
    }
    Ok(Response::ok(&Imported {
        columns: sent.columns,
        counts: Counts::of(&items),
        items,
    }))
}

/// The names of the athletes as the database compares them, where they have one.
async fn name_keys(app: &App, candidates: &[Candidate]) -> Result<Vec<Option<String>>, Problem> {
    let names: Vec<Option<&Name>> = candidates.iter().map(Candidate::name).collect();
    let rows = app
        .db
        .query(NAME_KEYS, &[(&names, Type::TEXT_ARRAY)])
        .await?;
    Ok(rows.iter().map(|row| row.get("name_key")).collect())
}

/// What is decided for each athlete, by its index, and done unless this is a dry run or others have
/// errors.
async fn carry_out(
    app: &App,
    plan: &Plan<'_>,
    options: &Options,
    candidates: &[Candidate],
) -> Result<HashMap<usize, Decision>, Problem> {
    let has_errors = candidates
        .iter()
        .any(|candidate| !candidate.errors.is_empty());
    for _ in 0..MAX_DRAWS {
        let found = if options.is_dry_run || has_errors && !options.skips_faulty {
            app.db.transaction(|tx| plan.decide(tx, app)).await
        } else {
            let all_or_none = !options.skips_faulty;
            app.db
                .transaction(|tx| plan.carry_out(tx, app, all_or_none))
                .await
        };
        match found {
            Ok(Some(decisions)) => return Ok(decisions),
            Ok(None) => return Err(Problem::not_found("gym")),
            // A code that is taken, or a name that was changed meanwhile: it is decided anew.
            Err(error) if error.constraint().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::internal(format!(
        "no athletes after {MAX_DRAWS} draws of codes"
    )))
}

/// One item for each athlete that was given, in that order.
fn items(candidates: Vec<Candidate>, mut decisions: HashMap<usize, Decision>) -> Vec<Item> {
    let items = candidates.into_iter().enumerate();
    let items = items.map(|(index, mut candidate)| {
        let given = candidate.registration.clone();
        let decision = decisions.remove(&index);
        if let Some(Decision::InUse(athlete)) = &decision {
            let name = athlete
                .as_ref()
                .and_then(|athlete| athlete.full_name.as_ref());
            candidate.refuse_contact(name.map_or("another athlete of your gym", Name::as_str));
        }
        let mut item = Item {
            index,
            row: candidate.row,
            outcome: ImportOutcome::Faulty,
            athlete: None,
            added: Vec::new(),
            differs: candidate.differs,
            merged_into: candidate.merged_into,
            errors: candidate.errors,
            warnings: candidate.warnings,
        };
        match decision {
            Some(Decision::Create { athlete, .. }) => {
                item.outcome = ImportOutcome::Created;
                item.athlete = athlete.map(|athlete| *athlete);
            }
            Some(Decision::AddEmail { athlete, .. }) => {
                item.outcome = ImportOutcome::AlreadyRegistered;
                item.added = vec!["email"];
                item.differs = given.map_or_else(Vec::new, |given| given.differs_from(&athlete));
                item.athlete = Some(*athlete);
            }
            Some(Decision::Known(athlete)) => {
                item.outcome = ImportOutcome::AlreadyRegistered;
                item.differs = given.map_or_else(Vec::new, |given| given.differs_from(&athlete));
                item.athlete = Some(*athlete);
            }
            Some(Decision::InUse(athlete)) => item.athlete = athlete.map(|athlete| *athlete),
            None if item.merged_into.is_some() => item.outcome = ImportOutcome::Merged,
            None => {}
        }
        item
    });
    items.collect()
}
