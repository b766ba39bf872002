use crate::{
    completions::note_last,
    lock::{Locked, lock},
    mine::{OneWorkout, READ_MY_WORKOUT},
};
use shared::{
    domain::{Description, ErrorCode, Name, Subject},
    platform::{
        App,
        auth::caller,
        db::{Parameter, QueryError, Row, Transaction, Type},
        http::{Edit, Fields, Request, Response, body, no_query, path_id},
        problem::{FieldError, Kind, Problem},
    },
};
use uuid::Uuid;

/// The change of a workout of the caller: selected or not, done or not, and the name and
/// description of an own one.
struct MyChange {
    selected: Option<bool>,
    completed: Option<bool>,
    name: Option<Name>,
    description: Edit<Description>,
}

impl MyChange {
    fn read(mut body: Fields) -> Result<Self, Problem> {
        let selected = body.optional_flag("selected");
        let completed = body.optional_flag("completed");
        let name = body.optional("name");
        let description = body.edit("description");
        if selected == Ok(None)
            && completed == Ok(None)
            && name == Ok(None)
            && description == Ok(Edit::Keep)
        {
            body.note("selected", ErrorCode::Required, "is required, or completed");
        }
        body.finish(selected.and_then(|selected| {
            Ok(Self {
                selected,
                completed: completed?,
                name: name?,
                description: description?,
            })
        }))
    }

    /// The names of the fields in it that only an own workout can have.
    fn of_own_alone(&self) -> Vec<&'static str> {
        let name = self.name.as_ref().map(|_| "name");
        let description = self.description.is_change().then_some("description");
        name.into_iter().chain(description).collect()
    }
}

/// The last completion for each athlete that the caller, $1, is or was: what is taken back. $2
/// workout.
const LAST_COMPLETIONS: &str = "-- last_completions
    SELECT DISTINCT ON (athlete_id) id, athlete_id FROM completion
    WHERE user_id = (SELECT id FROM caller($1)) AND workout_id = $2
    ORDER BY athlete_id, completed_at DESC, id DESC";

/// An athlete follows one workout at a time: the others are let go. $1 athletes, $2 the workout
/// that is kept.
const LET_OTHERS_GO: &str = "-- let_others_go
    WITH own AS (
        UPDATE workout SET selected = false
        WHERE athlete_id = ANY ($1) AND selected AND id <> $2
    )
    UPDATE workout_athlete SET selected = false
    WHERE athlete_id = ANY ($1) AND selected AND workout_id <> $2";

/// $1 athletes, $2 workout, $3 selected.
const SELECT_ASSIGNED: &str = "-- select_assigned
    UPDATE workout_athlete SET selected = $3 WHERE athlete_id = ANY ($1) AND workout_id = $2";

/// $1 workout, $2 selected, $3 name, null leaves either as it is, $4 whether the description
/// changes, $5 description.
const CHANGE_OWN_WORKOUT: &str = "-- change_own_workout
    UPDATE workout
    SET selected = coalesce($2, selected), name = coalesce($3, name),
        description = CASE WHEN $4 THEN $5 ELSE description END
    WHERE id = $1";

/// Notes a completion for those of the athletes who have none: to complete what is completed keeps
/// its time.
///
/// $1 caller, $2 id, $3 workout, $4 locked athletes.
const COMPLETE_FIRST: &str = "-- complete_first
    INSERT INTO completion (id, workout_id, athlete_id, user_id, completed_at)
    SELECT $2, $3, locked.athlete_id, caller.id, statement_timestamp()
    FROM caller($1), unnest($4) AS locked (athlete_id)
    WHERE NOT EXISTS (
        SELECT FROM completion
        WHERE workout_id = $3 AND athlete_id = locked.athlete_id AND user_id = caller.id
    )";

/// $1 completions, $2 the athlete of each, $3 locked athletes.
const TAKE_COMPLETIONS_BACK: &str = "-- take_completions_back
    DELETE FROM completion
    USING unnest($1, $2) AS last (id, athlete_id)
    WHERE completion.id = last.id AND completion.athlete_id = last.athlete_id AND last.athlete_id = ANY ($3)";

/// The outcome of the change.
enum Outcome {
    /// The caller's rows of the workout; none where it is not theirs.
    Now(Vec<Row>),
    /// The workout is assigned: its author alone writes what it is called.
    NotOwn,
    /// The workout can't be followed: the caller is no member of its gym any more.
    NotAMember,
}

/// Selects or completes a workout, or takes that back; and renames or describes an own one.
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let caller = caller(request)?;
    no_query(request)?;
    let workout_id = path_id(request, "workout_id", "workout")?;
    let change = MyChange::read(body(request)?)?;

    // What is the last is asked once, before the transaction: run again, it does not take one more
    // back.
    let which: [Parameter<'_>; 2] = [(&caller.subject, Type::TEXT), (&workout_id, Type::UUID)];
    let last = match change.completed {
        Some(false) => app.db.query(LAST_COMPLETIONS, &which).await?,
        Some(true) | None => Vec::new(),
    };
    let id = Uuid::now_v7();
    let made = |tx| make(tx, &caller.subject, workout_id, &change, id, &last);
    match app.db.transaction(made).await? {
        Outcome::Now(rows) => Ok(Response::ok(&OneWorkout::from_rows(&rows)?)),
        Outcome::NotOwn => {
            let errors = change.of_own_alone().into_iter().map(|field| {
                FieldError::at(
                    field,
                    ErrorCode::NotAllowed,
                    "is its author's to change: this workout is assigned to you",
                )
            });
            Err(Problem::invalid_input(errors.collect()))
        }
        Outcome::NotAMember => Err(Problem::new(
            Kind::NotAMember,
            "You wrote this workout as a member of a gym that you have left; write it again in another one to follow it.",
        )),
    }
}

async fn make(
    tx: Transaction,
    caller: &Subject,
    workout_id: Uuid,
    change: &MyChange,
    id: Uuid,
    last: &[Row],
) -> Result<Outcome, QueryError> {
    let locked = lock(&tx, caller, workout_id).await?;
    match locked {
        Locked::Nothing => return Ok(Outcome::Now(Vec::new())),
        Locked::Assigned(_) if !change.of_own_alone().is_empty() => return Ok(Outcome::NotOwn),
        Locked::Own {
            is_member: false, ..
        } if change.selected == Some(true) => {
            return Ok(Outcome::NotAMember);
        }
        Locked::Assigned(_) | Locked::Own { .. } => {}
    }
    write(&tx, workout_id, change, &locked).await?;
    let athlete_ids = locked.athlete_ids();
    let athletes: Parameter<'_> = (&athlete_ids, Type::UUID_ARRAY);
    let caller_id: Parameter<'_> = (caller, Type::TEXT);
    let workout: Parameter<'_> = (&workout_id, Type::UUID);
    match change.completed {
        Some(true) => {
            let completion: Parameter<'_> = (&id, Type::UUID);
            let first = [caller_id.clone(), completion, workout.clone(), athletes];
            tx.query(COMPLETE_FIRST, &first).await?;
        }
        Some(false) => {
            let ids = |column| {
                last.iter()
                    .map(|row| row.get(column))
                    .collect::<Vec<Uuid>>()
            };
            let (completions, theirs) = (ids("id"), ids("athlete_id"));
            let taken_back = [
                (&completions as _, Type::UUID_ARRAY),
                (&theirs as _, Type::UUID_ARRAY),
                athletes,
            ];
            tx.query(TAKE_COMPLETIONS_BACK, &taken_back).await?;
        }
        None => {}
    }
    if change.completed.is_some() {
        note_last(&tx, caller, workout_id, &locked).await?;
    }
    let rows = tx.query(READ_MY_WORKOUT, &[caller_id, workout]).await?;
    Ok(Outcome::Now(rows))
}

/// Writes what is selected, and what an own workout is called.
async fn write(
    tx: &Transaction,
    workout_id: Uuid,
    change: &MyChange,
    locked: &Locked,
) -> Result<(), QueryError> {
    let athlete_ids = locked.athlete_ids();
    let athletes: Parameter<'_> = (&athlete_ids, Type::UUID_ARRAY);
    let workout: Parameter<'_> = (&workout_id, Type::UUID);
    let MyChange {
        selected,
        name,
        description,
        ..
    } = change;
    if *selected == Some(true) {
        tx.query(LET_OTHERS_GO, &[athletes.clone(), workout.clone()])
            .await?;
    }
    match locked {
        Locked::Assigned(_) if selected.is_some() => {
            let assigned = [athletes, workout, (selected as _, Type::BOOL)];
            tx.query(SELECT_ASSIGNED, &assigned).await?;
        }
        Locked::Own { .. } => {
            let own: [Parameter<'_>; 5] = [
                workout,
                (selected, Type::BOOL),
                (name, Type::TEXT),
                (&description.is_change(), Type::BOOL),
                (&description.value(), Type::TEXT),
            ];
            tx.query(CHANGE_OWN_WORKOUT, &own).await?;
        }
        Locked::Assigned(_) | Locked::Nothing => {}
    }
    Ok(())
}
