use super::{Parameter, QueryError, Row, at_most_one, connect::Connector, exactly_one, within};
use deadpool_postgres::Object;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::time::Instant;

/// A transaction: statements that take effect together or not at all, one after the other on one
/// connection.
///
/// It runs at READ COMMITTED: each statement sees what was committed when that statement began. So
/// a transaction locks the rows that matter first. The statements after it see those rows as they
/// are, and nobody else changes them until the end.
///
/// `now()` is the time at which the transaction began, which may be long before it got the lock. A
/// row that is made after the lock takes its time from `statement_timestamp()`.
///
/// A statement that fails ends the transaction: its error must be passed on. Nothing of a
/// transaction is left in the session.
pub struct Transaction {
    session: Arc<Session>,
    deadline: Instant,
    has_begun: AtomicBool,
}

impl Transaction {
    pub(super) fn new(session: Arc<Session>, deadline: Instant) -> Self {
        Self {
            session,
            deadline,
            has_begun: AtomicBool::new(false),
        }
    }

    /// Runs one statement and returns its rows.
    pub async fn query(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        let connection = self.session.connection();
        let rows = async {
            if self.has_begun.swap(true, Ordering::Relaxed) {
                return connection.query_typed(sql, parameters).await;
            }
            // Sent together with the first statement: it costs no round trip.
            let begin = connection.batch_execute("BEGIN");
            let (outcome, rows) = tokio::join!(begin, connection.query_typed(sql, parameters));
            outcome.and(rows)
        };
        within(self.deadline, rows).await
    }

    /// Runs a statement that gives one row or none.
    pub async fn query_opt(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, QueryError> {
        at_most_one(self.query(sql, parameters).await?)
    }

    /// Runs a statement that gives exactly one row.
    pub async fn query_one(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Row, QueryError> {
        exactly_one(self.query(sql, parameters).await?)
    }
}

/// A connection with a transaction on it. If it is dropped before the transaction has ended, as
/// when the request reaches its deadline, the connection is closed: the pool would hand it to
/// another request in the middle of the transaction.
pub(super) struct Session(Option<Object>);

impl Session {
    pub(super) fn new(connection: Object) -> Self {
        Self(Some(connection))
    }

    fn connection(&self) -> &Object {
        self.0
            .as_ref()
            .expect("only the end takes the connection out")
    }

    /// Commits or rolls back, as `result` says, and gives the connection back to the pool if it can
    /// still be used.
    pub(super) async fn end<T>(
        mut self,
        result: Result<T, QueryError>,
        deadline: Instant,
        connector: &Connector,
    ) -> Result<T, QueryError> {
        let ended = match result {
            Ok(value) => {
                let commit = self.connection().batch_execute("COMMIT");
                within(deadline, commit).await.map(|()| value)
            }
            Err(error) if error.ends_the_connection() => Err(error),
            Err(error) => {
                let rollback = self.connection().batch_execute("ROLLBACK");
                within(deadline, rollback).await.and(Err(error))
            }
        };
        match &ended {
            Err(error) if error.leaves_a_statement_running() => {
                connector.cancel(self.connection()).await;
            }
            Err(error) if error.ends_the_connection() => {}
            _ => drop(self.0.take()),
        }
        ended
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}
