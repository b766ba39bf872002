use super::{QueryError, Transaction, Type};
use crate::domain::RemovedBy;
use uuid::Uuid;

/// $1 athlete, whom the transaction has locked, $2 by whom.
const REMOVE_ATHLETE: &str = "-- remove_athlete
    SELECT remove_athlete($1, $2) AS revoked";

/// Ends the time of an athlete in their gym; the transaction has locked them. It gives the number
/// of invitations that were taken back.
pub async fn remove_athlete(
    tx: &Transaction,
    athlete_id: Uuid,
    by: RemovedBy,
) -> Result<usize, QueryError> {
    let parameters = [(&athlete_id as _, Type::UUID), (&by as _, Type::TEXT)];
    let row = tx.query_one(REMOVE_ATHLETE, &parameters).await?;
    let revoked: i64 = row.get("revoked");
    Ok(usize::try_from(revoked).unwrap_or_default())
}
