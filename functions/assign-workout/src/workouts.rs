use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::Name,
    platform::{
        App,
        auth::caller,
        db::{Row, Type},
        http::{Fields, List, Position, Request, Response, body, page, path_id},
        problem::Problem,
    },
};
use uuid::Uuid;

struct Draft {
    name: Name,
}

impl Draft {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let name = body.required("name");
        body.finish(name.map(|name| Self { name }))
    }
}

/// Creates a workout. A statement that is sent again has the same id, and gives the same workout.
///
/// $1 to $5 the caller, $6 id, $7 name.
const CREATE_WORKOUT: &str = "-- create_workout
    INSERT INTO workout AS created (id, user_id, name)
    SELECT $6, caller.id, $7 FROM sign_in($1, $2, $3, $4, $5) AS caller
    ON CONFLICT (id) DO UPDATE SET id = created.id
    RETURNING id, name, created_at";

/// A page of an author's workouts, the newest first. $1 author, $2 and $3 position, $4 rows.
const LIST_WORKOUTS: &str = "-- list_workouts
    SELECT id, name, created_at FROM workout
    WHERE user_id = (SELECT id FROM caller($1)) AND (created_at, id) < ($2, $3)
    ORDER BY created_at DESC, id DESC
    LIMIT $4";

/// $1 author, $2 workout. No row: the workout is not the caller's.
const READ_WORKOUT: &str = "-- read_workout
    SELECT id, name, created_at FROM workout
    WHERE id = $2 AND user_id = (SELECT id FROM caller($1))";

#[derive(Serialize)]
struct Workout {
    id: Uuid,
    name: String,
    created_at: Timestamp,
}

impl Workout {
    fn position(&self) -> Position {
        Position {
            created_at: self.created_at,
            id: self.id,
        }
    }
}

impl From<Row> for Workout {
    fn from(row: Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
            created_at: row.get("created_at"),
        }
    }
}

/// Creates a workout. Anyone signed in may; to assign it, the author has to own the gym.
pub(crate) async fn create(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let Draft { name } = Draft::read(body(request)?)?;
    let id = Uuid::now_v7();

    let parameters = [
        caller.parameters().as_slice(),
        &[(&id, Type::UUID), (&name, Type::TEXT)],
    ]
    .concat();
    let row = app.db.query_one(CREATE_WORKOUT, &parameters).await?;
    Ok(Response::created(&Workout::from(row)))
}

/// A page of the caller's workouts, the newest first.
pub(crate) async fn list(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let page = page(request)?;

    let author = [(&caller.subject as _, Type::TEXT)];
    let rows = app
        .db
        .query(
            LIST_WORKOUTS,
            &[author.as_slice(), &page.parameters()].concat(),
        )
        .await?;
    let workouts = rows.into_iter().map(Workout::from).collect();
    Ok(Response::ok(&List::new(&page, workouts, Workout::position)))
}

/// One of the caller's workouts.
pub(crate) async fn read(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;

    let which = [
        (&caller.subject as _, Type::TEXT),
        (&workout_id as _, Type::UUID),
    ];
    let row = app.db.query_opt(READ_WORKOUT, &which).await?;
    let row = row.ok_or_else(|| Problem::not_found("workout"))?;
    Ok(Response::ok(&Workout::from(row)))
}
