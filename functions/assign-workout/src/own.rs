use crate::mine::MyWorkoutWhole;
use shared::{
    domain::{Description, ErrorCode, Name},
    platform::{
        App,
        auth::caller,
        db::{Parameter, Type},
        http::{Fields, Request, Response, body, idempotency_key, no_query, path_id},
        problem::{FieldError, Problem},
    },
};
use uuid::Uuid;

struct OwnDraft {
    name: Name,
    description: Option<Description>,
    athlete_id: Option<Uuid>,
}

impl OwnDraft {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let name = body.required("name");
        let description = body.optional("description");
        let athlete_id = body.optional_id("athlete_id");
        body.finish(name.and_then(|name| {
            Ok(Self {
                name,
                description: description?,
                athlete_id: athlete_id?,
            })
        }))
    }
}

/// $1 caller, $2 the athlete that it is for, or null, $3 id, $4 name, $5 description. The same id
/// is the same workout, sent again.
///
/// One row, with the number of the caller's athletes that it could be for: only where it is one
/// there is a workout.
const CREATE_OWN_WORKOUT: &str = "-- create_own_workout
    WITH athletes AS (
        SELECT athlete.id, athlete.user_id, athlete.invited_by
        FROM athlete
        WHERE athlete.user_id = (SELECT id FROM caller($1)) AND athlete.removed_at IS NULL AND ($2 IS NULL OR athlete.id = $2)
    ), own AS (
        INSERT INTO workout AS own (id, user_id, athlete_id, name, description)
        SELECT $3, user_id, id, $4, $5 FROM athletes
        WHERE (SELECT count(*) FROM athletes) = 1
        ON CONFLICT (id) DO UPDATE SET id = own.id WHERE own.user_id = excluded.user_id
        RETURNING id, athlete_id, name, description, selected, created_at
    )
    SELECT counted.athletes, 'own' AS kind, own.id, own.id AS workout_id, own.name, own.athlete_id,
           business.id AS business_id, business.name AS business_name, own.selected, own.created_at, own.description,
           (SELECT max(completed_at) FROM completion WHERE workout_id = own.id) AS completed_at,
           (SELECT count(*) FROM completion WHERE workout_id = own.id) AS completions
    FROM (SELECT count(*) AS athletes FROM athletes) AS counted
    LEFT JOIN own ON true
    LEFT JOIN athlete ON athlete.id = own.athlete_id
    LEFT JOIN business ON business.id = athlete.invited_by";

/// $1 caller, $2 workout. No row: it is no own workout of the caller's.
const ARCHIVE_OWN_WORKOUT: &str = "-- archive_own_workout
    UPDATE workout SET archived_at = coalesce(archived_at, now()), selected = false
    WHERE id = $2 AND user_id = (SELECT id FROM caller($1)) AND athlete_id IS NOT NULL
    RETURNING id";

/// Writes a workout that the caller does themselves, as an athlete of one of their gyms.
pub(crate) async fn create(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let id = idempotency_key(request, &caller)?;
    let OwnDraft {
        name,
        description,
        athlete_id,
    } = OwnDraft::read(body(request)?)?;

    let parameters: [Parameter<'_>; 5] = [
        (&caller.subject, Type::TEXT),
        (&athlete_id, Type::UUID),
        (&id, Type::UUID),
        (&name, Type::TEXT),
        (&description, Type::TEXT),
    ];
    let row = app.db.query_one(CREATE_OWN_WORKOUT, &parameters).await?;
    match row.get::<_, i64>("athletes") {
        0 => Err(Problem::not_found("athlete")),
        1 => {
            let location = format!("/me/workouts/{id}");
            Ok(Response::created(&location, &MyWorkoutWhole::from(&row)))
        }
        athletes => Err(Problem::invalid_input(vec![FieldError::at(
            "athlete_id",
            ErrorCode::Required,
            format!("is required: you are an athlete of {athletes} gyms"),
        )])),
    }
}

/// Archives an own workout: it is in the list no more. One that is archived already is no fault.
pub(crate) async fn archive(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;

    let which: [Parameter<'_>; 2] = [(&caller.subject, Type::TEXT), (&workout_id, Type::UUID)];
    match app.db.query_opt(ARCHIVE_OWN_WORKOUT, &which).await? {
        Some(_) => Ok(Response::no_content()),
        None => Err(Problem::not_found("workout")),
    }
}
