use crate::platform::problem::Problem;
use std::error::Error;
use tokio_postgres::error::{DbError, SqlState};

/// The error of a statement or a transaction.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database could not be reached in time.
    #[error("the database is not available: {0}")]
    Unavailable(Box<dyn Error + Send + Sync>),
    /// The statement was still running at the end of its budget. The server is asked to stop it,
    /// and may have carried it out.
    #[error("the statement was still running at the end of its budget")]
    StillRunning,
    /// The connection was lost. The statement may have been carried out.
    #[error("the connection was lost: {0}")]
    ConnectionLost(ServerError),
    /// The server undid the statement because of a concurrent one: a deadlock, or a serialization
    /// failure.
    #[error("the statement was taken back: {0}")]
    Conflict(ServerError),
    /// The database refused the statement.
    #[error("the database refused the statement: {0}")]
    Refused(ServerError),
    /// The statement gave a number of rows that it should never give.
    #[error("the statement gave {0} rows")]
    RowCount(usize),
}

impl QueryError {
    /// The constraint that refused the statement.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Refused(ServerError(error)) => error.as_db_error().and_then(DbError::constraint),
            _ => None,
        }
    }

    /// True if the same statement, or the whole transaction, may be sent again within the budget.
    pub(super) fn may_be_sent_again(&self) -> bool {
        matches!(self, Self::ConnectionLost(_) | Self::Conflict(_))
    }

    /// True if the server may be at work on the statement still.
    pub(super) fn leaves_a_statement_running(&self) -> bool {
        matches!(self, Self::StillRunning)
    }

    /// True if the connection can't be used any more: it is dead, or a statement is still running
    /// on it.
    pub(super) fn ends_the_connection(&self) -> bool {
        matches!(
            self,
            Self::ConnectionLost(_) | Self::Unavailable(_) | Self::StillRunning
        )
    }
}

impl From<tokio_postgres::Error> for QueryError {
    fn from(error: tokio_postgres::Error) -> Self {
        if is_connection_lost(&error) {
            Self::ConnectionLost(ServerError(error))
        } else if is_conflict(&error) {
            Self::Conflict(ServerError(error))
        } else {
            Self::Refused(ServerError(error))
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unavailable(_)
            | QueryError::StillRunning
            | QueryError::ConnectionLost(_)
            | QueryError::Conflict(_) => Self::unavailable(error),
            QueryError::Refused(_) | QueryError::RowCount(_) => Self::internal(error),
        }
    }
}

/// An error of the server. It shows the message and the SQLSTATE, but not the DETAIL, in which
/// PostgreSQL repeats addresses and names. For the same reason it has no source.
#[derive(thiserror::Error)]
#[error("{}", server_message(.0))]
pub struct ServerError(pub(super) tokio_postgres::Error);

impl std::fmt::Debug for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The message and the SQLSTATE of an error of the server, without its DETAIL.
#[must_use]
pub fn server_message(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(refusal), _) => format!("{} (SQLSTATE {})", refusal.message(), refusal.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

/// True if the server refused the connection for a password or a user that may be out of date.
pub(super) fn is_login_refused(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(
            &SqlState::INVALID_PASSWORD
                | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION
                // PgBouncer refuses every client with this code, whatever the reason.
                | &SqlState::PROTOCOL_VIOLATION
        )
    )
}

/// True if it is the connection that failed, not the statement (PostgreSQL, appendix A).
fn is_connection_lost(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        // Class 08 is "Connection Exception". 57P01 to 57P05: the server shuts down or starts, or
        // has closed an idle session. 25006: the server is read-only, as Aurora's old writer is
        // after a failover.
        Some(code) => {
            code.code().starts_with("08")
                || code.code().starts_with("57P")
                || *code == SqlState::READ_ONLY_SQL_TRANSACTION
        }
        None => {
            error.is_closed()
                || error
                    .source()
                    .is_some_and(<dyn Error>::is::<std::io::Error>)
        }
    }
}

/// True if the server undid a statement because of a concurrent one.
fn is_conflict(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
    )
}
