use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::{Description, ErrorCode, Name},
    platform::{
        App,
        auth::caller,
        db::{Parameter, Row, Type},
        http::{
            Edit, Fields, List, Position, Request, Response, body, idempotency_key, no_query, page,
            path_id,
        },
        problem::Problem,
    },
};
use uuid::Uuid;

struct Draft {
    name: Name,
    description: Option<Description>,
}

impl Draft {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let name = body.required("name");
        let description = body.optional("description");
        body.finish(name.and_then(|name| {
            Ok(Self {
                name,
                description: description?,
            })
        }))
    }
}

/// What the author writes anew.
struct Revision {
    name: Option<Name>,
    description: Edit<Description>,
}

impl Revision {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let name = body.optional("name");
        let description = body.edit("description");
        if name == Ok(None) && description == Ok(Edit::Keep) {
            body.note("name", ErrorCode::Required, "is required, or description");
        }
        body.finish(name.and_then(|name| {
            Ok(Self {
                name,
                description: description?,
            })
        }))
    }
}

/// $1 to $6 the caller, $7 id, $8 name, $9 description. The same id is the same workout, sent
/// again.
const CREATE_WORKOUT: &str = "-- create_workout
    INSERT INTO workout AS created (id, user_id, name, description)
    SELECT $7, caller.id, $8, $9 FROM sign_in($1, $2, $3, $4, $5, $6) AS caller
    ON CONFLICT (id) DO UPDATE SET id = created.id WHERE created.user_id = excluded.user_id
    RETURNING id, name, description, created_at, archived_at";

/// Those that are for athletes to whom the author assigns them; what the author wrote for
/// themselves is among their own.
///
/// $1 author, $2 and $3 position, $4 rows.
const LIST_WORKOUTS: &str = "-- list_workouts
    SELECT id, name, created_at FROM workout
    WHERE user_id = (SELECT id FROM caller($1)) AND athlete_id IS NULL AND archived_at IS NULL
      AND (created_at, id) < ($2, $3)
    ORDER BY created_at DESC, id DESC
    LIMIT $4";

/// $1 author, $2 workout. No row: the workout is not the caller's.
const READ_WORKOUT: &str = "-- read_workout
    SELECT id, name, description, created_at, archived_at FROM workout
    WHERE id = $2 AND user_id = (SELECT id FROM caller($1)) AND athlete_id IS NULL";

/// $1 author, $2 workout, $3 name, null leaves it as it is, $4 whether the description changes, $5
/// description.
///
/// No row: the workout is not the caller's.
const CHANGE_WORKOUT: &str = "-- change_workout
    UPDATE workout
    SET name = coalesce($3, name), description = CASE WHEN $4 THEN $5 ELSE description END
    WHERE id = $2 AND user_id = (SELECT id FROM caller($1)) AND athlete_id IS NULL
    RETURNING id, name, description, created_at, archived_at";

/// $1 author, $2 workout. No row: the workout is not the caller's.
const ARCHIVE_WORKOUT: &str = "-- archive_workout
    UPDATE workout SET archived_at = coalesce(archived_at, now())
    WHERE id = $2 AND user_id = (SELECT id FROM caller($1)) AND athlete_id IS NULL
    RETURNING id";

/// A workout, as its author sees it.
#[derive(Serialize)]
struct Workout {
    id: Uuid,
    name: String,
    description: Option<String>,
    created_at: Timestamp,
    archived_at: Option<Timestamp>,
}

impl From<Row> for Workout {
    fn from(row: Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
            description: row.get("description"),
            created_at: row.get("created_at"),
            archived_at: row.get("archived_at"),
        }
    }
}

/// A workout in a list: without the description, of which 200 would be too much for one response.
#[derive(Serialize)]
struct ListedWorkout {
    id: Uuid,
    name: String,
    created_at: Timestamp,
}

impl ListedWorkout {
    fn position(&self) -> Position {
        Position {
            created_at: self.created_at,
            id: self.id,
        }
    }
}

impl From<Row> for ListedWorkout {
    fn from(row: Row) -> Self {
        Self {
            id: row.get("id"),
            name: row.get("name"),
            created_at: row.get("created_at"),
        }
    }
}

/// Whoever is signed in may write workouts; what they may do with them is asked when they assign
/// one.
pub(crate) async fn create(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let id = idempotency_key(request, &caller)?;
    let Draft { name, description } = Draft::read(body(request)?)?;

    let parameters = [
        caller.parameters().as_slice(),
        &[
            (&id, Type::UUID),
            (&name, Type::TEXT),
            (&description, Type::TEXT),
        ],
    ]
    .concat();
    let row = app.db.query_one(CREATE_WORKOUT, &parameters).await?;
    let location = format!("/workouts/{id}");
    Ok(Response::created(&location, &Workout::from(row)))
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
    let workouts = rows.into_iter().map(ListedWorkout::from).collect();
    Ok(Response::ok(&List::new(
        &page,
        workouts,
        ListedWorkout::position,
    )))
}

/// One of the caller's workouts, archived or not.
pub(crate) async fn read(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;

    let which: [Parameter<'_>; 2] = [(&caller.subject, Type::TEXT), (&workout_id, Type::UUID)];
    let row = app.db.query_opt(READ_WORKOUT, &which).await?;
    let row = row.ok_or_else(|| Problem::not_found("workout"))?;
    Ok(Response::ok(&Workout::from(row)))
}

/// Renames or describes a workout: everybody who has it sees it so.
pub(crate) async fn change(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;
    let Revision { name, description } = Revision::read(body(request)?)?;

    let parameters: [Parameter<'_>; 5] = [
        (&caller.subject, Type::TEXT),
        (&workout_id, Type::UUID),
        (&name, Type::TEXT),
        (&description.is_change(), Type::BOOL),
        (&description.value(), Type::TEXT),
    ];
    let row = app.db.query_opt(CHANGE_WORKOUT, &parameters).await?;
    let row = row.ok_or_else(|| Problem::not_found("workout"))?;
    Ok(Response::ok(&Workout::from(row)))
}

/// Archives a workout: whoever has it keeps it. One that is archived already is no fault.
pub(crate) async fn archive(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;

    let which: [Parameter<'_>; 2] = [(&caller.subject, Type::TEXT), (&workout_id, Type::UUID)];
    match app.db.query_opt(ARCHIVE_WORKOUT, &which).await? {
        Some(_) => Ok(Response::no_content()),
        None => Err(Problem::not_found("workout")),
    }
}
