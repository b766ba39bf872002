//! Brings the database to the newest schema: applies the files of `migrations/` that are not
//! applied yet, in their order.

mod login;

pub use login::{FUNCTIONS_ROLE, let_functions_in};
pub use shared::platform::db::Credentials;

use refinery::{Runner, error::Kind};
use serde::Serialize;
use shared::platform::{
    config::{ConfigError, Variables},
    db::{DbConfig, server_message},
};
use std::{error::Error, fmt};
use tokio_postgres::Client;

mod embedded {
    refinery::embed_migrations!("../../migrations");
}

/// The advisory lock of a run: refinery itself takes none, and two runs at once would fail.
const LOCK: i64 = 0x6779_6d62_7261_6831; // "gymbrah1"

/// The configuration of the function.
pub struct Config {
    /// How to connect to the server itself, as the owner of the tables.
    pub database: DbConfig,
    /// Name or ARN of the secret with which the functions log in.
    pub functions_secret_id: String,
}

impl Config {
    /// From environment variables.
    pub fn from_variables(
        mut variables: Variables<impl Fn(&str) -> Option<String>>,
    ) -> Result<Self, ConfigError> {
        let database = DbConfig::from_variables(&mut variables);
        let functions_secret_id = variables.required("FUNCTIONS_SECRET_ID");
        let (database, functions_secret_id) =
            variables.finish(database.zip(functions_secret_id))?;
        Ok(Self {
            database,
            functions_secret_id,
        })
    }
}

/// The result of a run.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Report {
    /// The migrations that were applied just now, like `V1__onboarding`; none if the schema was the
    /// newest already.
    pub applied: Vec<String>,
}

/// The migrations, each in a transaction of its own.
#[must_use]
pub fn runner() -> Runner {
    embedded::migrations::runner()
}

/// Applies the missing migrations. A second run at the same time waits, then finds nothing to do.
/// The client must be connected to the server itself: behind a pooling proxy, lock and migrations
/// may be on different connections.
pub async fn apply(client: &mut Client, runner: &Runner) -> Result<Report, MigrationError> {
    client
        // The time limit of a statement is made for the functions: an index takes longer, and so
        // does waiting for the lock.
        .batch_execute(&format!(
            "SET statement_timeout = 0; SELECT pg_advisory_lock({LOCK})"
        ))
        .await?;
    let outcome = runner.run_async(client).await;
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

/// The reason why the schema is not the newest. The migrations before the one that failed stay
/// applied.
///
/// The log of a deployment shows nothing but this text.
#[derive(Debug)]
pub enum MigrationError {
    /// The lock can't be taken or given back, or the functions' role not be changed.
    Server(tokio_postgres::Error),
    /// The functions can't be let in.
    Login(String),
    /// The migrations can't be applied.
    Refused(refinery::Error),
}

impl fmt::Display for MigrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => write!(
                f,
                "the lock of the migrations, or the functions' login: {}",
                server_message(error)
            ),
            Self::Login(reason) => f.write_str(reason),
            Self::Refused(error) => match error.kind() {
                Kind::Connection(doing, cause) => match cause.downcast_ref() {
                    Some(cause) => write!(f, "{doing}: {}", server_message(cause)),
                    None => write!(f, "{doing}: {cause}"),
                },
                Kind::DivergentVersion(applied, _) => write!(
                    f,
                    "{applied} was edited after it was applied to this database; a change is a new migration"
                ),
                Kind::MissingVersion(missing) if missing.applied_on().is_some() => write!(
                    f,
                    "{missing} was applied to this database, and this version of the code does not have it"
                ),
                Kind::MissingVersion(skipped) => write!(
                    f,
                    "{skipped} was never applied to this database, and one with a higher number was; give it the next number"
                ),
                _ => write!(f, "{error}"),
            },
        }
    }
}

impl Error for MigrationError {}

impl From<tokio_postgres::Error> for MigrationError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<refinery::Error> for MigrationError {
    fn from(error: refinery::Error) -> Self {
        Self::Refused(error)
    }
}
