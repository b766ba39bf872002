use jiff::Timestamp;
use serde::Serialize;
use shared::platform::{
    App,
    auth::caller,
    db::{Row, Type},
    http::{List, Position, Request, Response, page, path_id},
    problem::Problem,
};
use uuid::Uuid;

/// A page of the workout's assignments, the newest first: those in gyms for which the author may
/// act still.
///
/// $1 author, $2 workout, $3 and $4 position, $5 rows.
///
/// No row: the workout is not the caller's. One row without an assignment: the page is empty.
const LIST_FOLLOWERS: &str = "-- list_followers
    SELECT follower.*
    FROM workout LEFT JOIN LATERAL (
        SELECT assignment.id, assignment.athlete_id, assignment.business_id, assignment.created_at, assignment.selected,
               done.completed_at, done.completions, athlete.full_name, athlete.email, athlete.phone, athlete.linked_at
        FROM workout_athlete AS assignment
        CROSS JOIN LATERAL gym_of($1, assignment.business_id) AS gym
        JOIN athlete ON athlete.id = assignment.athlete_id
        CROSS JOIN LATERAL (
            SELECT max(completed_at) AS completed_at, count(*) AS completions FROM completion
            WHERE workout_id = workout.id AND athlete_id = athlete.id AND user_id = athlete.user_id
        ) AS done
        WHERE assignment.workout_id = workout.id AND (assignment.created_at, assignment.id) < ($3, $4)
        ORDER BY assignment.created_at DESC, assignment.id DESC
        LIMIT $5
    ) AS follower ON true
    WHERE workout.id = $2 AND workout.user_id = (SELECT id FROM caller($1))
    ORDER BY follower.created_at DESC, follower.id DESC";

/// An athlete who has the workout.
#[derive(Serialize)]
struct Follower {
    #[serde(skip)]
    id: Uuid,
    athlete_id: Uuid,
    business_id: Uuid,
    full_name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    linked: bool,
    selected: bool,
    assigned_at: Timestamp,
    completed_at: Option<Timestamp>,
    completions: i64,
}

impl Follower {
    fn from_row(row: &Row) -> Option<Self> {
        Some(Self {
            id: row.get::<_, Option<Uuid>>("id")?,
            athlete_id: row.get("athlete_id"),
            business_id: row.get("business_id"),
            full_name: row.get("full_name"),
            email: row.get("email"),
            phone: row.get("phone"),
            linked: row.get::<_, Option<Timestamp>>("linked_at").is_some(),
            selected: row.get("selected"),
            assigned_at: row.get("created_at"),
            completed_at: row.get("completed_at"),
            completions: row.get("completions"),
        })
    }

    fn position(&self) -> Position {
        Position {
            created_at: self.assigned_at,
            id: self.id,
        }
    }
}

/// A page of the athletes who have the workout, signed up or not, the last assigned first.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
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
            LIST_FOLLOWERS,
            &[which.as_slice(), &page.parameters()].concat(),
        )
        .await?;
    if rows.is_empty() {
        return Err(Problem::not_found("workout"));
    }
    let followers = rows.iter().filter_map(Follower::from_row).collect();
    Ok(Response::ok(&List::new(
        &page,
        followers,
        Follower::position,
    )))
}
