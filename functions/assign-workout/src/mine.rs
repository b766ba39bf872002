use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::{ErrorCode, Subject},
    platform::{
        App,
        auth::caller,
        db::{Parameter, QueryError, Row, Transaction, Type},
        http::{Fields, List, Position, Request, Response, body, page, path_id},
        problem::Problem,
    },
};
use uuid::Uuid;

/// The requested change: the athlete follows the workout or not, has completed it or not, or both.
struct Change {
    selected: Option<bool>,
    completed: Option<bool>,
}

impl Change {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        if body.is_absent("selected") && body.is_absent("completed") {
            body.note("selected", ErrorCode::Required, "is required, or completed");
        }
        let selected = body.optional_flag("selected");
        let completed = body.optional_flag("completed");
        body.finish(selected.and_then(|selected| {
            Ok(Self {
                selected,
                completed: completed?,
            })
        }))
    }
}

/// A page of the workouts that gyms have assigned to the caller, the last assigned first. Of a gym that the caller is not in any
/// more, only what is completed.
///
/// $1 caller, $2 and $3 position, $4 rows.
const LIST_MY_WORKOUTS: &str = "-- list_my_workouts
    SELECT assignment.id, assignment.workout_id, workout.name, assignment.athlete_id, business.id AS business_id,
           business.name AS business_name, assignment.selected, assignment.created_at, assignment.completed_at
    FROM athlete
    JOIN workout_athlete AS assignment ON assignment.athlete_id = athlete.id
    JOIN workout ON workout.id = assignment.workout_id
    JOIN business ON business.id = assignment.business_id
    WHERE athlete.user_id = (SELECT id FROM caller($1)) AND (assignment.created_at, assignment.id) < ($2, $3)
      AND (athlete.removed_at IS NULL OR assignment.completed_at IS NOT NULL)
    ORDER BY assignment.created_at DESC, assignment.id DESC
    LIMIT $4";

/// Locks the caller's athletes that have the workout, so that two changes of one athlete run one after the other; and their
/// assignments of it, so that nobody takes them back meanwhile.
///
/// $1 caller, $2 workout. No row: the workout is not assigned to the caller.
const LOCK_ATHLETES: &str = "-- lock_athletes
    SELECT athlete.id
    FROM athlete JOIN workout_athlete AS assignment ON assignment.athlete_id = athlete.id
    WHERE athlete.user_id = (SELECT id FROM caller($1)) AND assignment.workout_id = $2 AND athlete.removed_at IS NULL
    ORDER BY athlete.id
    FOR NO KEY UPDATE OF athlete, assignment";

/// Deselects the athletes' other workouts: an athlete follows one at a time. $1 athletes, $2 the workout that is kept.
const LET_OTHERS_GO: &str = "-- let_others_go
    UPDATE workout_athlete SET selected = false
    WHERE athlete_id = ANY ($1) AND selected AND workout_id <> $2";

/// Changes the athletes' assignments of the workout. One that is completed again keeps its first time.
///
/// $1 athletes, $2 workout, $3 selected, $4 completed; null leaves a column as it is.
const CHANGE_MY_WORKOUT: &str = "-- change_my_workout
    WITH changed AS (
        UPDATE workout_athlete
        SET selected     = coalesce($3, selected),
            completed_at = CASE WHEN $4 THEN coalesce(completed_at, now())
                                WHEN NOT $4 THEN NULL
                                ELSE completed_at END
        WHERE athlete_id = ANY ($1) AND workout_id = $2
        RETURNING id, workout_id, athlete_id, business_id, selected, created_at, completed_at
    )
    SELECT changed.id, changed.workout_id, workout.name, changed.athlete_id, business.id AS business_id,
           business.name AS business_name, changed.selected, changed.created_at, changed.completed_at
    FROM changed
    JOIN workout ON workout.id = changed.workout_id
    JOIN business ON business.id = changed.business_id
    ORDER BY changed.created_at DESC, changed.id DESC";

/// A workout that a gym has assigned to the caller.
#[derive(Serialize)]
struct MyWorkout {
    #[serde(skip)]
    id: Uuid,
    workout_id: Uuid,
    name: String,
    athlete_id: Uuid,
    business: Gym,
    selected: bool,
    assigned_at: Timestamp,
    completed_at: Option<Timestamp>,
}

/// The gym, as its athletes see it.
#[derive(Serialize)]
struct Gym {
    id: Uuid,
    name: String,
}

impl MyWorkout {
    fn position(&self) -> Position {
        Position {
            created_at: self.assigned_at,
            id: self.id,
        }
    }
}

impl From<Row> for MyWorkout {
    fn from(row: Row) -> Self {
        Self {
            id: row.get("id"),
            workout_id: row.get("workout_id"),
            name: row.get("name"),
            athlete_id: row.get("athlete_id"),
            business: Gym {
                id: row.get("business_id"),
                name: row.get("business_name"),
            },
            selected: row.get("selected"),
            assigned_at: row.get("created_at"),
            completed_at: row.get("completed_at"),
        }
    }
}

/// The assignments that were changed.
#[derive(Serialize)]
struct Changed {
    items: Vec<MyWorkout>,
}

/// A page of the workouts that all the caller's gyms have assigned to them.
pub(crate) async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let page = page(request)?;

    let whose = [(&caller.subject as _, Type::TEXT)];
    let rows = app
        .db
        .query(
            LIST_MY_WORKOUTS,
            &[whose.as_slice(), &page.parameters()].concat(),
        )
        .await?;
    let workouts = rows.into_iter().map(MyWorkout::from).collect();
    Ok(Response::ok(&List::new(
        &page,
        workouts,
        MyWorkout::position,
    )))
}

/// Selects or completes a workout, or takes that back.
pub(crate) async fn change(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;
    let change = Change::read(body(request)?)?;

    let made = |tx| make(tx, &caller.subject, workout_id, &change);
    let rows = app.db.transaction(made).await?;
    if rows.is_empty() {
        return Err(Problem::not_found("workout"));
    }
    Ok(Response::ok(&Changed {
        items: rows.into_iter().map(MyWorkout::from).collect(),
    }))
}

/// The caller's assignments of the workout after the change: one, or several if several of the caller's gyms have assigned it;
/// none if no gym has.
async fn make(
    tx: Transaction,
    caller: &Subject,
    workout_id: Uuid,
    Change {
        selected,
        completed,
    }: &Change,
) -> Result<Vec<Row>, QueryError> {
    let workout: Parameter<'_> = (&workout_id, Type::UUID);
    let found = tx
        .query(LOCK_ATHLETES, &[(caller, Type::TEXT), workout.clone()])
        .await?;
    let athlete_ids: Vec<Uuid> = found.iter().map(|row| row.get("id")).collect();
    let athletes: Parameter<'_> = (&athlete_ids, Type::UUID_ARRAY);
    if *selected == Some(true) {
        tx.query(LET_OTHERS_GO, &[athletes.clone(), workout.clone()])
            .await?;
    }
    let change: [Parameter<'_>; 4] = [
        athletes,
        workout,
        (selected, Type::BOOL),
        (completed, Type::BOOL),
    ];
    tx.query(CHANGE_MY_WORKOUT, &change).await
}
