use crate::lock::{Locked, lock};
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::Subject,
    platform::{
        App,
        auth::caller,
        db::{Parameter, QueryError, Row, Transaction, Type},
        http::{
            Fields, List, Position, Request, Response, body, idempotency_key, no_query, page,
            path_id,
        },
        problem::Problem,
    },
};
use uuid::Uuid;

/// The times that the caller, $1, has done the workout, $2, the last first; $3 and $4 position, $5
/// rows.
///
/// No row: the workout is not the caller's, and they have never done it. One row without an id: the
/// page is empty.
const LIST_COMPLETIONS: &str = "-- list_completions
    SELECT done.id, done.completed_at, done.athlete_ids
    FROM (
        SELECT WHERE EXISTS (
            SELECT FROM workout_athlete JOIN athlete ON athlete.id = workout_athlete.athlete_id
            WHERE workout_athlete.workout_id = $2 AND athlete.user_id = (SELECT id FROM caller($1))
              AND athlete.removed_at IS NULL
        ) OR EXISTS (
            SELECT FROM workout
            WHERE id = $2 AND user_id = (SELECT id FROM caller($1)) AND athlete_id IS NOT NULL
        ) OR EXISTS (
            SELECT FROM completion WHERE user_id = (SELECT id FROM caller($1)) AND workout_id = $2
        )
    ) AS visible LEFT JOIN LATERAL (
        SELECT id, completed_at, array_agg(athlete_id ORDER BY athlete_id) AS athlete_ids FROM completion
        WHERE user_id = (SELECT id FROM caller($1)) AND workout_id = $2 AND (completed_at, id) < ($3, $4)
        GROUP BY completed_at, id
        ORDER BY completed_at DESC, id DESC
        LIMIT $5
    ) AS done ON true
    ORDER BY done.completed_at DESC, done.id DESC";

/// The completion with this id; no row if it was not noted. $1 caller, $2 id.
const READ_COMPLETION: &str = "-- read_completion
    SELECT id, completed_at, array_agg(athlete_id ORDER BY athlete_id) AS athlete_ids FROM completion
    WHERE id = $2 AND user_id = (SELECT id FROM caller($1))
    GROUP BY id, completed_at";

/// Its time is that of the statement: the transaction may have begun before the completion that was
/// last until now.
///
/// $1 caller, $2 id, $3 workout, $4 locked athletes.
const ADD_COMPLETION: &str = "-- add_completion
    INSERT INTO completion (id, workout_id, athlete_id, user_id, completed_at)
    SELECT $2, $3, athlete_id, (SELECT id FROM caller($1)), statement_timestamp()
    FROM unnest($4) AS athlete_id
    ON CONFLICT (id, athlete_id) DO NOTHING";

/// Notes the last time at the assignments, where earlier code reads it. $1 caller, $2 workout, $3
/// locked athletes.
const NOTE_LAST_COMPLETION: &str = "-- note_last_completion
    UPDATE workout_athlete
    SET completed_at = (
        SELECT max(completed_at) FROM completion
        WHERE workout_id = $2 AND athlete_id = workout_athlete.athlete_id AND user_id = (SELECT id FROM caller($1))
    )
    WHERE workout_id = $2 AND athlete_id = ANY ($3)";

/// A time that the caller has done a workout: as one athlete, or as several where several gyms have
/// assigned it.
#[derive(Serialize)]
struct Completion {
    id: Uuid,
    completed_at: Timestamp,
    athlete_ids: Vec<Uuid>,
}

impl Completion {
    fn from_row(row: &Row) -> Option<Self> {
        Some(Self {
            id: row.get::<_, Option<Uuid>>("id")?,
            completed_at: row.get("completed_at"),
            athlete_ids: row.get("athlete_ids"),
        })
    }

    fn position(&self) -> Position {
        Position {
            created_at: self.completed_at,
            id: self.id,
        }
    }
}

/// A page of the times that the caller has done the workout, also where it has been taken from them
/// since.
pub(crate) async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;
    let page = page(request)?;

    let which = [
        (&caller.subject as _, Type::TEXT),
        (&workout_id as _, Type::UUID),
    ];
    let rows = app
        .db
        .query(
            LIST_COMPLETIONS,
            &[which.as_slice(), &page.parameters()].concat(),
        )
        .await?;
    if rows.is_empty() {
        return Err(Problem::not_found("workout"));
    }
    let completions = rows.iter().filter_map(Completion::from_row).collect();
    Ok(Response::ok(&List::new(
        &page,
        completions,
        Completion::position,
    )))
}

/// Notes that the caller has done the workout, once more if they have before.
pub(crate) async fn add(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;
    let id = idempotency_key(request, &caller)?;
    let nothing: Fields = body(request)?;
    nothing.finish(Ok(()))?;

    let noted = |tx| note(tx, &caller.subject, workout_id, id);
    let row = app.db.transaction(noted).await?;
    let completion = row.as_ref().and_then(Completion::from_row);
    let completion = completion.ok_or_else(|| Problem::not_found("workout"))?;
    let location = format!("/me/workouts/{workout_id}/completions");
    Ok(Response::created(&location, &completion))
}

/// The completion with this id, which may have been noted before; none where the workout is not the
/// caller's.
async fn note(
    tx: Transaction,
    caller: &Subject,
    workout_id: Uuid,
    id: Uuid,
) -> Result<Option<Row>, QueryError> {
    let which: [Parameter<'_>; 2] = [(caller, Type::TEXT), (&id, Type::UUID)];
    let before = tx.query_opt(READ_COMPLETION, &which).await?;
    if before.is_some() {
        return Ok(before);
    }
    let locked = lock(&tx, caller, workout_id).await?;
    complete(&tx, caller, id, workout_id, &locked).await?;
    tx.query_opt(READ_COMPLETION, &which).await
}

/// Notes with this id that the caller has done a workout that is locked.
pub(crate) async fn complete(
    tx: &Transaction,
    caller: &Subject,
    id: Uuid,
    workout_id: Uuid,
    locked: &Locked,
) -> Result<(), QueryError> {
    let athlete_ids = locked.athlete_ids();
    let completion: [Parameter<'_>; 4] = [
        (caller, Type::TEXT),
        (&id, Type::UUID),
        (&workout_id, Type::UUID),
        (&athlete_ids, Type::UUID_ARRAY),
    ];
    tx.query(ADD_COMPLETION, &completion).await?;
    note_last(tx, caller, workout_id, locked).await
}

/// Brings the assignments up to date once completions have come or gone.
pub(crate) async fn note_last(
    tx: &Transaction,
    caller: &Subject,
    workout_id: Uuid,
    locked: &Locked,
) -> Result<(), QueryError> {
    if let Locked::Assigned(athlete_ids) = locked {
        let assignments: [Parameter<'_>; 3] = [
            (caller, Type::TEXT),
            (&workout_id, Type::UUID),
            (athlete_ids, Type::UUID_ARRAY),
        ];
        tx.query(NOTE_LAST_COMPLETION, &assignments).await?;
    }
    Ok(())
}
