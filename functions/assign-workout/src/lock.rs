use shared::{
    domain::Subject,
    platform::db::{Parameter, QueryError, Transaction, Type},
};
use uuid::Uuid;

/// Locks the athletes that the caller is and that have the workout, so that two changes of one
/// athlete take their turns; and their assignments of it, which may be taken back at this moment.
///
/// $1 caller, $2 workout. No row: the workout is not assigned to the caller.
const LOCK_ATHLETES: &str = "-- lock_athletes
    SELECT athlete.id
    FROM athlete JOIN workout_athlete AS assignment ON assignment.athlete_id = athlete.id
    WHERE athlete.user_id = (SELECT id FROM caller($1)) AND assignment.workout_id = $2 AND athlete.removed_at IS NULL
    ORDER BY athlete.id
    FOR NO KEY UPDATE OF athlete, assignment";

/// Locks the athlete of an own workout, and the workout, which may be archived at this moment.
///
/// $1 caller, $2 workout. No row: it is no own workout of the caller's, or archived.
const LOCK_OWN: &str = "-- lock_own
    SELECT athlete.id, coalesce(athlete.user_id = own.user_id, false) AND athlete.removed_at IS NULL AS is_member
    FROM athlete JOIN workout AS own ON own.athlete_id = athlete.id
    WHERE own.id = $2 AND own.user_id = (SELECT id FROM caller($1)) AND own.archived_at IS NULL
    FOR NO KEY UPDATE OF athlete, own";

/// A workout of the caller's, whose athletes are locked.
pub(crate) enum Locked {
    /// One that is assigned to these athletes.
    Assigned(Vec<Uuid>),
    /// One that the caller wrote for themselves.
    Own {
        athlete_id: Uuid,
        /// True while the caller is that athlete, false once they have left or were removed.
        is_member: bool,
    },
    /// It is neither.
    Nothing,
}

impl Locked {
    pub(crate) fn athlete_ids(&self) -> Vec<Uuid> {
        match self {
            Self::Assigned(ids) => ids.clone(),
            Self::Own { athlete_id, .. } => vec![*athlete_id],
            Self::Nothing => Vec::new(),
        }
    }
}

/// Locks a workout of the caller's, the athletes first.
pub(crate) async fn lock(
    tx: &Transaction,
    caller: &Subject,
    workout_id: Uuid,
) -> Result<Locked, QueryError> {
    let which: [Parameter<'_>; 2] = [(caller, Type::TEXT), (&workout_id, Type::UUID)];
    let assigned = tx.query(LOCK_ATHLETES, &which).await?;
    if !assigned.is_empty() {
        let ids = assigned.iter().map(|row| row.get("id")).collect();
        return Ok(Locked::Assigned(ids));
    }
    let own = tx.query_opt(LOCK_OWN, &which).await?;
    Ok(own.map_or(Locked::Nothing, |row| Locked::Own {
        athlete_id: row.get("id"),
        is_member: row.get("is_member"),
    }))
}
