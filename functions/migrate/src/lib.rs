//! Brings the database to the newest schema: applies the files of `migrations/` that are not applied yet, in their order.

use serde::Serialize;
use std::{error::Error, fmt};
use tokio_postgres::Client;

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// The advisory lock that whoever migrates holds: the migration tool itself takes none, and two at once would fail.
const LOCK: i64 = 0x6779_6d62_7261_6831; // "gymbrah1"

/// What was done.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Report {
    /// The migrations that were applied just now, like `V1__onboarding`; none if the schema was the newest already.
    pub applied: Vec<String>,
}

/// Applies what is missing, each migration in a transaction of its own. A second one at the same time waits, then finds
/// nothing to do. The client must be connected to the server itself: a lock means nothing behind a pooling proxy.
pub async fn apply(client: &mut Client) -> Result<Report, MigrationError> {
    client
        // The time that a statement has is the functions' measure: an index takes longer, and so does waiting for the lock.
        .batch_execute(&format!(
            "SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK})"
        ))
        .await?;
    let outcome = embedded::migrations::runner().run_async(client).await;
    client
        .batch_execute(&format!("SELECT pg_advisory_unlock({LOCK})"))
        .await?;
    let applied = outcome?
        .applied_migrations()
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(Report { applied })
}

/// Why the schema is not the newest. The migrations before the one that failed stay applied.
#[derive(Debug)]
pub struct MigrationError(Box<dyn Error + Send + Sync>);

impl fmt::Display for MigrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.source() {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for MigrationError {}

impl From<tokio_postgres::Error> for MigrationError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error.into())
    }
}

impl From<refinery::Error> for MigrationError {
    fn from(error: refinery::Error) -> Self {
        Self(error.into())
    }
}
