use jiff::Timestamp;
use serde::Serialize;
use shared::platform::{
    App,
    auth::caller,
    db::{Parameter, Row, Type},
    http::{List, Position, Request, Response, no_query, page, path_id},
    problem::Problem,
};
use uuid::Uuid;

/// The columns of `mine`, which are the assigned and the own workouts of the caller, $1.
macro_rules! shown {
    () => {
        "mine.kind, mine.id, mine.workout_id, workout.name, mine.athlete_id, business.id AS business_id,
           business.name AS business_name, mine.selected, mine.created_at, done.completed_at, done.completions"
    };
}

/// What is joined to `mine` for it.
macro_rules! joined {
    () => {
        "JOIN workout ON workout.id = mine.workout_id
    JOIN business ON business.id = mine.business_id
    CROSS JOIN LATERAL (
        SELECT max(completed_at) AS completed_at, count(*) AS completions FROM completion
        WHERE workout_id = mine.workout_id AND athlete_id = mine.athlete_id
          AND user_id = (SELECT id FROM caller($1))
    ) AS done"
    };
}

/// A page of the workouts that gyms have assigned to the caller, and of those that they wrote for
/// themselves, the last first. Of a gym that the caller is not in any more, only what is completed.
/// $1 caller, $2 and $3 position, $4 rows.
///
/// Each athlete that the caller is gives its first rows from an index, and so do the own ones.
const LIST_MY_WORKOUTS: &str = concat!(
    "-- list_my_workouts
    SELECT ",
    shown!(),
    "
    FROM (
        (
            SELECT 'assigned' AS kind, assigned.id, assigned.workout_id, assigned.athlete_id, assigned.business_id,
                   assigned.selected, assigned.created_at
            FROM athlete, LATERAL (
                SELECT id, workout_id, athlete_id, business_id, selected, created_at FROM workout_athlete
                WHERE athlete_id = athlete.id AND (created_at, id) < ($2, $3)
                  AND (athlete.removed_at IS NULL OR completed_at IS NOT NULL)
                ORDER BY created_at DESC, id DESC
                LIMIT $4
            ) AS assigned
            WHERE athlete.user_id = (SELECT id FROM caller($1))
        ) UNION ALL (
            SELECT 'own', own.id, own.id, own.athlete_id, athlete.invited_by, own.selected, own.created_at
            FROM (
                SELECT id, athlete_id, selected, created_at FROM workout
                WHERE user_id = (SELECT id FROM caller($1)) AND athlete_id IS NOT NULL AND archived_at IS NULL
                  AND (created_at, id) < ($2, $3)
                ORDER BY created_at DESC, id DESC
                LIMIT $4
            ) AS own
            JOIN athlete ON athlete.id = own.athlete_id
        )
        ORDER BY created_at DESC, id DESC
        LIMIT $4
    ) AS mine
    ",
    joined!(),
    "
    ORDER BY mine.created_at DESC, mine.id DESC"
);

/// A workout of the caller's, $1 caller, $2 workout: a row for each athlete who has it, or the one
/// that is their own.
///
/// No row: the workout is neither assigned to the caller nor their own.
pub(crate) const READ_MY_WORKOUT: &str = concat!(
    "-- read_my_workout
    SELECT ",
    shown!(),
    ", workout.description
    FROM (
        SELECT 'assigned' AS kind, assigned.id, assigned.workout_id, assigned.athlete_id, assigned.business_id,
               assigned.selected, assigned.created_at
        FROM athlete JOIN workout_athlete AS assigned ON assigned.athlete_id = athlete.id
        WHERE athlete.user_id = (SELECT id FROM caller($1)) AND assigned.workout_id = $2
          AND (athlete.removed_at IS NULL OR assigned.completed_at IS NOT NULL)
        UNION ALL
        SELECT 'own', own.id, own.id, own.athlete_id, athlete.invited_by, own.selected, own.created_at
        FROM workout AS own JOIN athlete ON athlete.id = own.athlete_id
        WHERE own.id = $2 AND own.user_id = (SELECT id FROM caller($1)) AND own.archived_at IS NULL
    ) AS mine
    ",
    joined!(),
    "
    ORDER BY mine.created_at DESC, mine.id DESC"
);

/// A workout that a gym has assigned to the caller, or that they wrote for themselves.
#[derive(Serialize)]
struct MyWorkout {
    kind: String,
    #[serde(skip)]
    id: Uuid,
    workout_id: Uuid,
    name: String,
    athlete_id: Uuid,
    business: Gym,
    selected: bool,
    assigned_at: Timestamp,
    completed_at: Option<Timestamp>,
    completions: i64,
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

impl From<&Row> for MyWorkout {
    fn from(row: &Row) -> Self {
        Self {
            kind: row.get("kind"),
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
            completions: row.get("completions"),
        }
    }
}

/// The same with its description, which lists are without: 200 of them would be too much for one
/// response.
#[derive(Serialize)]
pub(crate) struct MyWorkoutWhole {
    #[serde(flatten)]
    listed: MyWorkout,
    description: Option<String>,
}

impl From<&Row> for MyWorkoutWhole {
    fn from(row: &Row) -> Self {
        Self {
            listed: row.into(),
            description: row.get("description"),
        }
    }
}

/// A workout of the caller's, once for each athlete who has it.
#[derive(Serialize)]
pub(crate) struct OneWorkout {
    items: Vec<MyWorkoutWhole>,
}

impl OneWorkout {
    /// From the rows of [`READ_MY_WORKOUT`]; 404 where there is none.
    pub(crate) fn from_rows(rows: &[Row]) -> Result<Self, Problem> {
        let items: Vec<_> = rows.iter().map(MyWorkoutWhole::from).collect();
        if items.is_empty() {
            return Err(Problem::not_found("workout"));
        }
        Ok(Self { items })
    }
}

/// A page of what all the caller's gyms have assigned to them, and of their own.
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
    let workouts = rows.iter().map(MyWorkout::from).collect();
    Ok(Response::ok(&List::new(
        &page,
        workouts,
        MyWorkout::position,
    )))
}

/// A workout of the caller's with its description.
pub(crate) async fn read(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;

    let which: [Parameter<'_>; 2] = [(&caller.subject, Type::TEXT), (&workout_id, Type::UUID)];
    let rows = app.db.query(READ_MY_WORKOUT, &which).await?;
    Ok(Response::ok(&OneWorkout::from_rows(&rows)?))
}
