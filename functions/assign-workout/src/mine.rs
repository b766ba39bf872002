use jiff::Timestamp;
use serde::Serialize;
use shared::platform::{
    App,
    auth::caller,
    db::{Parameter, Row, Type},
    http::{Fields, List, Position, Request, Response, body, page, path_id},
    problem::Problem,
};
use uuid::Uuid;

/// How often the statement is run at most, where other requests select other workouts meanwhile.
const MAX_ATTEMPTS: usize = 4;

/// What changes: whether the athlete follows the workout now, whether they have done it, or both.
struct Change {
    selected: Option<bool>,
    completed: Option<bool>,
}

impl Change {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        if body.is_absent("selected") && body.is_absent("completed") {
            body.note("selected", "is required, or completed");
        }
        let change = Self {
            selected: body.optional_flag("selected"),
            completed: body.optional_flag("completed"),
        };
        body.finish(Some(change))
    }
}

/// What every gym of the caller's has assigned to them, $1, the last assigned first; $2 and $3 position, $4 rows.
const LIST_MY_WORKOUTS: &str = "-- list_my_workouts
    SELECT assignment.id, assignment.workout_id, workout.name, assignment.athlete_id, business.id AS business_id,
           business.name AS business_name, assignment.selected, assignment.created_at, assignment.completed_at
    FROM athlete
    JOIN workout_athlete AS assignment ON assignment.athlete_id = athlete.id
    JOIN workout ON workout.id = assignment.workout_id
    JOIN business ON business.id = assignment.business_id
    WHERE athlete.user_id = $1 AND (assignment.created_at, assignment.id) < ($2, $3)
    ORDER BY assignment.created_at DESC, assignment.id DESC
    LIMIT $4";

/// The caller's assignments of one workout: one, or several where several of the caller's gyms have assigned it.
///
/// $1 caller, $2 workout, $3 selected, $4 completed; null leaves it as it is.
///
/// An athlete follows one workout at a time: the others are let go first. All that may change is locked first, in one order, so
/// that two selections of one moment take their turns. Where a workout was assigned and selected meanwhile,
/// `workout_athlete_selected_key` is broken, and the statement run again. To complete what is completed keeps its time.
const CHANGE_MY_WORKOUT: &str = "-- change_my_workout
    WITH mine AS MATERIALIZED (
        SELECT assignment.id, assignment.athlete_id, assignment.selected, assignment.workout_id = $2 AS is_named
        FROM athlete JOIN workout_athlete AS assignment ON assignment.athlete_id = athlete.id
        WHERE athlete.user_id = $1 AND (assignment.workout_id = $2 OR $3)
        ORDER BY assignment.id
        FOR UPDATE OF assignment
    ), let_go AS (
        UPDATE workout_athlete SET selected = false
        FROM mine AS other JOIN mine AS named ON named.athlete_id = other.athlete_id AND named.is_named
        WHERE workout_athlete.id = other.id AND other.selected AND NOT other.is_named
        RETURNING workout_athlete.id
    ), changed AS (
        UPDATE workout_athlete
        SET selected     = coalesce($3, workout_athlete.selected),
            completed_at = CASE WHEN $4 THEN coalesce(completed_at, now()) WHEN NOT $4 THEN NULL ELSE completed_at END
        FROM mine, (SELECT count(*) FROM let_go) AS once_the_others_are_let_go
        WHERE workout_athlete.id = mine.id AND mine.is_named
        RETURNING workout_athlete.*
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

/// The assignments that a change has reached.
#[derive(Serialize)]
struct Changed {
    items: Vec<MyWorkout>,
}

/// A page of what all the caller's gyms have assigned to them.
pub(crate) async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let page = page(request)?;

    let whose = [(&caller.user_id as _, Type::UUID)];
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
    let Change {
        selected,
        completed,
    } = Change::read(body(request)?)?;

    let parameters: [Parameter<'_>; 4] = [
        (&caller.user_id, Type::UUID),
        (&workout_id, Type::UUID),
        (&selected, Type::BOOL),
        (&completed, Type::BOOL),
    ];
    let mut tries = 1;
    let rows = loop {
        match app.db.query(CHANGE_MY_WORKOUT, &parameters).await {
            Err(error)
                if error.constraint() == Some("workout_athlete_selected_key")
                    && tries < MAX_ATTEMPTS =>
            {
                tries += 1;
            }
            outcome => break outcome?,
        }
    };
    if rows.is_empty() {
        return Err(Problem::not_found("workout"));
    }
    Ok(Response::ok(&Changed {
        items: rows.into_iter().map(MyWorkout::from).collect(),
    }))
}
