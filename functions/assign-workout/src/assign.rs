use serde::Serialize;
use shared::{
    domain::ErrorCode,
    platform::{
        App,
        auth::caller,
        db::{Parameter, Type},
        http::{Fields, Request, Response, body, no_query, path_id},
        problem::{FieldError, Kind, Problem},
    },
};
use uuid::Uuid;

/// The largest number of athletes in one request.
const MAX_ATHLETES: usize = 500;

struct Assigning {
    business_id: Uuid,
    athlete_ids: Vec<Uuid>,
}

impl Assigning {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let business_id = body.required_id("business_id");
        let athlete_ids = body.required_ids("athlete_ids", 1..=MAX_ATHLETES);
        body.finish(business_id.and_then(|business_id| {
            Ok(Self {
                business_id,
                athlete_ids: athlete_ids?,
            })
        }))
    }
}

/// Assigns the workout to all athletes, or to none if one of them is not the gym's or the workout
/// is archived. Requests insert in the order of the athletes' ids: two that name the same ones
/// can't wait for each other.
///
/// $1 caller, $2 workout, $3 business, $4 athletes, $5 an id for the assignment to each of them, in
/// the same order: the same id again is this request's own, sent again.
///
/// No row: the workout or the gym is not the caller's. Otherwise one row for each athlete, also
/// where the request names it twice: `is_stranger` if it is not the gym's, `is_new` if it was
/// assigned now.
const ASSIGN_WORKOUT: &str = "-- assign_workout
    WITH allowed AS (
        SELECT workout.id AS workout_id, gym.id AS business_id, workout.archived_at IS NOT NULL AS is_archived
        FROM gym_of($1, $3) AS gym, workout
        WHERE workout.id = $2 AND workout.user_id = (SELECT id FROM caller($1)) AND workout.athlete_id IS NULL
    ), named AS (
        SELECT DISTINCT ON (named.id) named.id, named.assignment_id, athlete.id IS NULL AS is_stranger, allowed.is_archived
        FROM allowed, unnest($4, $5) AS named (id, assignment_id)
        LEFT JOIN athlete ON athlete.id = named.id AND athlete.invited_by = $3 AND athlete.removed_at IS NULL
        ORDER BY named.id, named.assignment_id
    ), assigned AS (
        INSERT INTO workout_athlete (id, workout_id, athlete_id, business_id)
        SELECT named.assignment_id, allowed.workout_id, named.id, allowed.business_id
        FROM allowed, named
        WHERE NOT allowed.is_archived AND NOT EXISTS (SELECT FROM named WHERE is_stranger)
        ORDER BY named.id
        ON CONFLICT DO NOTHING
        RETURNING athlete_id
    )
    SELECT named.id, named.is_stranger, named.is_archived,
           assigned.athlete_id IS NOT NULL
               OR EXISTS (SELECT FROM workout_athlete AS before WHERE before.id = named.assignment_id) AS is_new
    FROM named LEFT JOIN assigned ON assigned.athlete_id = named.id
    ORDER BY named.id";

#[derive(Serialize)]
struct Assignment {
    assigned: Vec<Uuid>,
    already_assigned: Vec<Uuid>,
}

/// Assigns a workout of the caller's to athletes of a gym of the caller's, signed up or not.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let workout_id = path_id(request, "workout_id", "workout or gym")?;
    let Assigning {
        business_id,
        athlete_ids,
    } = Assigning::read(body(request)?)?;

    let assignment_ids: Vec<Uuid> = athlete_ids.iter().map(|_| Uuid::now_v7()).collect();
    let parameters: [Parameter<'_>; 5] = [
        (&caller.subject, Type::TEXT),
        (&workout_id, Type::UUID),
        (&business_id, Type::UUID),
        (&athlete_ids, Type::UUID_ARRAY),
        (&assignment_ids, Type::UUID_ARRAY),
    ];
    let rows = app.db.query(ASSIGN_WORKOUT, &parameters).await?;
    if rows.is_empty() {
        return Err(Problem::not_found("workout or gym"));
    }
    if rows.iter().any(|row| row.get("is_archived")) {
        return Err(Problem::new(
            Kind::WorkoutArchived,
            "Who has it keeps it; nobody else gets it.",
        ));
    }
    let ids_where = |column: &str, value: bool| {
        rows.iter()
            .filter(|row| row.get::<_, bool>(column) == value)
            .map(|row| row.get("id"))
            .collect::<Vec<Uuid>>()
    };
    let strangers = ids_where("is_stranger", true);
    if strangers.is_empty() {
        Ok(Response::ok(&Assignment {
            assigned: ids_where("is_new", true),
            already_assigned: ids_where("is_new", false),
        }))
    } else {
        Err(name_strangers(&athlete_ids, &strangers))
    }
}

fn name_strangers(athlete_ids: &[Uuid], strangers: &[Uuid]) -> Problem {
    let errors = athlete_ids
        .iter()
        .enumerate()
        .filter(|(_, id)| strangers.contains(id))
        .map(|(index, id)| {
            FieldError::at(
                format_args!("athlete_ids/{index}"),
                ErrorCode::NotInGym,
                format!("{id} is no athlete of this gym"),
            )
        });
    Problem::invalid_input(errors.collect())
}
