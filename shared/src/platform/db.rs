//! The way to PostgreSQL: statements of one round trip, and transactions. There is a result or an
//! error in time, whatever happens to the connection.

mod connect;
mod error;
mod login;
mod remove;
mod transaction;

use crate::platform::config::{ConfigError, Variables, concurrency};
use aws_config::SdkConfig;
use connect::{CANCEL_BUDGET, Connector};
use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod,
};
use error::is_login_refused;
pub use error::{QueryError, ServerError, server_message};
use login::Login;
pub use login::{Credentials, credentials};
pub use remove::remove_athlete;
use std::{cell::Cell, error::Error, sync::Arc, time::Duration};
use tokio::{
    task_local,
    time::{Instant, sleep, timeout_at},
};
use tokio_postgres::Client;
pub use tokio_postgres::{
    Row,
    types::{Json, ToSql, Type},
};
use transaction::Session;
pub use transaction::Transaction;

/// The longest time that a statement, or a transaction as a whole, waits for the database, all
/// attempts included.
pub const BUDGET: Duration = Duration::from_secs(3);

/// The longest time that a statement or a transaction takes: at the end of its budget the server is
/// asked to stop it.
pub const LONGEST: Duration = BUDGET.saturating_add(CANCEL_BUDGET);

/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// The largest number of times that a statement or a transaction is attempted.
const MAX_ATTEMPTS: usize = 3;

/// The database's secret and address, and the certificates by which it is known to be the right
/// one.
#[derive(Debug, Clone)]
pub struct DbConfig {
    /// The name or ARN of the secret in Secrets Manager, which has the form of RDS's secrets
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html>).
    pub secret_id: String,
    pub address: Address,
    /// A PEM file of root certificates, one of which must have signed the server's. Without it the
    /// public roots count, which is enough for RDS Proxy; RDS itself needs Amazon's bundle.
    pub ca_file: Option<String>,
    /// The largest number of connections: as many as requests come at once.
    pub connections: usize,
}

/// The parts of the database's address that are configured. They go before those in the secret: a
/// secret that RDS manages holds only the user and the password, and with RDS Proxy the host is the
/// proxy's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// The server's name, which its certificate must have.
    pub host: Option<String>,
    pub port: Option<u16>,
    /// The name of the database on the server.
    pub database: Option<String>,
}

impl DbConfig {
    /// Reads `DATABASE_SECRET_ID`, and `DATABASE_HOST`, `DATABASE_PORT`, `DATABASE_NAME` and
    /// `DATABASE_CA_FILE` where they are set.
    pub fn from_variables(
        variables: &mut Variables<impl Fn(&str) -> Option<String>>,
    ) -> Option<Self> {
        let ca_file = variables.optional("DATABASE_CA_FILE");
        let address = Address {
            host: variables.optional("DATABASE_HOST"),
            port: variables.optional("DATABASE_PORT"),
            database: variables.optional("DATABASE_NAME"),
        };
        Some(Self {
            secret_id: variables.required("DATABASE_SECRET_ID")?,
            address,
            ca_file,
            connections: concurrency(),
        })
    }
}

/// A parameter of a statement with its type. With all types given, the client need not ask the
/// server for them first: one round trip less.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The database, behind a pool of connections.
pub struct Db {
    pool: Pool,
    login: Arc<Login>,
    connector: Connector,
}

impl Db {
    /// Makes the pool and a first connection. If the database can't be reached, the function starts
    /// all the same, and its requests try again.
    pub async fn open(config: DbConfig, aws: &SdkConfig) -> Result<Self, ConfigError> {
        let login = Arc::new(Login::new(aws, config.secret_id, config.address));
        let connector = Connector::new(Arc::clone(&login), config.ca_file.as_deref())?;
        let manager = Manager::from_connect(
            tokio_postgres::Config::new(), // the connector takes the login's
            connector.clone(),
            // A more thorough check costs a round trip; a statement that meets a dead connection is
            // sent again.
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(config.connections)
            .build()
            .expect("a pool without time-outs needs no runtime");
        let db = Self {
            pool,
            login,
            connector,
        };
        if let Err(error) = db.connection(Instant::now() + BUDGET).await {
            tracing::warn!(%error, "no database yet");
        }
        Ok(db)
    }

    /// Runs one statement in one round trip and returns its rows.
    ///
    /// The statement is sent again, over a new connection, when the connection is found dead
    /// (Lambda freezes an environment between requests, and servers close idle connections) and
    /// when the server breaks a deadlock. It may have been carried out before the connection died:
    /// so every statement of this project is safe to repeat.
    pub async fn query(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        let stopwatch = Stopwatch::start();
        let deadline = stopwatch.0 + BUDGET;
        let mut attempts = 0;
        loop {
            let connection = self.connection(deadline).await?;
            attempts += 1;
            match within(deadline, connection.query_typed(sql, parameters)).await {
                Ok(rows) => return Ok(rows),
                Err(error) => {
                    if error.leaves_a_statement_running() {
                        self.connector.cancel(&connection).await;
                    }
                    if error.ends_the_connection() {
                        drop(Object::take(connection));
                    }
                    self.before_another_attempt(error, attempts)?;
                }
            }
        }
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

    /// Runs `work` in a transaction, which is committed if `work` succeeds and rolled back if it
    /// fails. The whole transaction has the budget of one statement.
    ///
    /// Like a statement, `work` is run again from its beginning when the connection is found dead
    /// or the server breaks a deadlock. So it consists of statements only, and is safe to repeat.
    pub async fn transaction<T, Work>(
        &self,
        work: impl Fn(Transaction) -> Work,
    ) -> Result<T, QueryError>
    where
        Work: Future<Output = Result<T, QueryError>>,
    {
        let stopwatch = Stopwatch::start();
        let deadline = stopwatch.0 + BUDGET;
        let mut attempts = 0;
        loop {
            let session = Arc::new(Session::new(self.connection(deadline).await?));
            attempts += 1;
            let result = work(Transaction::new(Arc::clone(&session), deadline)).await;
            let session = Arc::into_inner(session).expect("the transaction ended with its work");
            match session.end(result, deadline, &self.connector).await {
                Ok(value) => return Ok(value),
                Err(error) => self.before_another_attempt(error, attempts)?,
            }
        }
    }

    /// Prepares for another attempt; returns the error if there can be none.
    fn before_another_attempt(&self, error: QueryError, attempts: usize) -> Result<(), QueryError> {
        if attempts == MAX_ATTEMPTS || !error.may_be_sent_again() {
            return Err(error);
        }
        if error.ends_the_connection() {
            self.pool.retain(|_, _| false); // connections that were frozen together are dead together
        }
        Ok(())
    }

    /// A connection, attempted until the deadline. After a refused password the secret is read
    /// again, so that even the first request after a rotation succeeds.
    async fn connection(&self, deadline: Instant) -> Result<Object, QueryError> {
        let mut last = QueryError::Unavailable("there was no connection within the budget".into());
        while Instant::now() < deadline {
            match timeout_at(deadline, self.try_connection()).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = error,
                Err(_elapsed) => break,
            }
            sleep(PAUSE).await;
        }
        Err(last)
    }

    async fn try_connection(&self) -> Result<Object, QueryError> {
        let login = self.login.get().await.map_err(QueryError::Unavailable)?;
        match self.pool.get().await {
            Ok(connection) => Ok(connection),
            Err(PoolError::Backend(error)) => {
                if is_login_refused(&error) {
                    self.login.refused(&login);
                }
                Err(QueryError::Unavailable(Box::new(ServerError(error))))
            }
            Err(error) => Err(QueryError::Unavailable(error.into())),
        }
    }
}

task_local! {
    static TIME: Cell<Duration>;
}

/// The result of `work`, and the time that it waited for the database: for connections, statements
/// and retries, added up.
pub(crate) fn timed<T>(work: impl Future<Output = T>) -> impl Future<Output = (T, Duration)> {
    let timed = async { (work.await, TIME.with(Cell::get)) };
    TIME.scope(Cell::default(), timed)
}

/// The stopwatch of one use of the database. When it is dropped, its time is added to that of the
/// work that is [`timed`].
struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now())
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        // Nothing is timed while a function starts.
        let _ = TIME.try_with(|time| time.set(time.get() + self.0.elapsed()));
    }
}

/// The server's response to something that was sent, or an error at the deadline.
async fn within<T>(
    deadline: Instant,
    sent: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, QueryError> {
    match timeout_at(deadline, sent).await {
        Ok(outcome) => Ok(outcome?),
        Err(_elapsed) => Err(QueryError::StillRunning),
    }
}

fn at_most_one(mut rows: Vec<Row>) -> Result<Option<Row>, QueryError> {
    if rows.len() > 1 {
        return Err(QueryError::RowCount(rows.len()));
    }
    Ok(rows.pop())
}

fn exactly_one(rows: Vec<Row>) -> Result<Row, QueryError> {
    at_most_one(rows)?.ok_or(QueryError::RowCount(0))
}

/// A connection outside the pool, for migrations.
pub async fn connect(
    config: DbConfig,
    aws: &SdkConfig,
) -> Result<Client, Box<dyn Error + Send + Sync>> {
    let login = Arc::new(Login::new(aws, config.secret_id, config.address));
    let connector = Connector::new(Arc::clone(&login), config.ca_file.as_deref())?;
    login.get().await?;
    let (client, _runs_until_the_client_is_dropped) = connector
        .connect(&tokio_postgres::Config::new())
        .await
        .map_err(ServerError)?;
    Ok(client)
}
