//! The way to PostgreSQL: one statement, one round trip, and an answer in time whatever happens to the connection.

mod connect;
mod login;

use crate::platform::{
    config::{ConfigError, Variables, concurrency},
    problem::Problem,
};
use aws_config::SdkConfig;
use connect::Connector;
use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod,
};
use login::Login;
use std::{cell::Cell, error::Error, fmt, sync::Arc, time::Duration};
use tokio::{
    task_local,
    time::{Instant, sleep, timeout_at},
};
use tokio_postgres::{Client, error::SqlState};
pub use tokio_postgres::{
    Row,
    types::{Json, ToSql, Type},
};

/// A request waits for the database this long at most, whatever has to be repeated meanwhile.
pub const BUDGET: Duration = Duration::from_secs(3);

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a statement is sent at most.
const MAX_ATTEMPTS: usize = 3;

/// Where the database is, and how it is known to be the right one.
#[derive(Debug, Clone)]
pub struct DbConfig {
    /// Name or ARN of the secret in Secrets Manager, in the form RDS keeps
    /// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html>).
    pub secret_id: String,
    /// What is known of the address without the secret.
    pub address: Address,
    /// A file of certificates, in PEM, one of which must have signed the server's. Without it the public ones count, of which
    /// RDS Proxy shows one; RDS itself needs Amazon's bundle.
    pub ca_file: Option<String>,
    /// Connections at most: as many as requests come at once.
    pub connections: usize,
}

/// The parts of the database's address that come from elsewhere than the secret, and go before what it says: the secret that RDS
/// manages by itself holds no more than the user and the password, and whoever goes by a proxy goes to the proxy's host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// The server's name, which its certificate must have.
    pub host: Option<String>,
    /// The server's port.
    pub port: Option<u16>,
    /// The name of the database on the server.
    pub database: Option<String>,
}

impl DbConfig {
    /// `DATABASE_SECRET_ID`; and `DATABASE_HOST`, `DATABASE_PORT`, `DATABASE_NAME` and `DATABASE_CA_FILE`, each where it is set.
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

/// One parameter of a statement with its type, which spares the server a look-up and the client a round trip.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The database, by a pool of connections.
pub struct Db {
    pool: Pool,
    login: Arc<Login>,
}

impl Db {
    /// Opens the database and makes a first connection. Where that fails the first request tries again: a function that can't
    /// reach its database says so, instead of failing to start.
    pub async fn open(config: DbConfig, aws: &SdkConfig) -> Result<Self, ConfigError> {
        let login = Arc::new(Login::new(aws, config.secret_id, config.address));
        let connector = Connector::new(Arc::clone(&login), config.ca_file.as_deref())?;
        let manager = Manager::from_connect(
            tokio_postgres::Config::new(), // the connector takes the login's
            connector,
            // Anything more thorough costs a round trip; what died unnoticed is repeated.
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager)
            .max_size(config.connections)
            .build()
            .expect("a pool without time-outs needs no runtime");
        let db = Self { pool, login };
        if let Err(error) = db.connection(Instant::now() + BUDGET).await {
            tracing::warn!(%error, "no database yet");
        }
        Ok(db)
    }

    /// Runs one statement in one round trip and gives its rows.
    ///
    /// It is sent again, over a fresh connection, when the connection is found dead (Lambda freezes an environment between
    /// requests, and servers close what is silent) and when the server breaks a deadlock. It may have been carried out
    /// before the connection died: every statement of this project is safe to repeat.
    pub async fn query(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, QueryError> {
        let asked = Asked(Instant::now());
        let deadline = asked.0 + BUDGET;
        let mut tries = 0;
        loop {
            let connection = self.connection(deadline).await?;
            tries += 1;
            let error = match timeout_at(deadline, connection.query_typed(sql, parameters)).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error)) => error,
                Err(_elapsed) => {
                    drop(Object::take(connection)); // the statement is still running on it
                    return Err(QueryError::Unavailable(
                        "the statement was still running at the end of its budget".into(),
                    ));
                }
            };
            if is_lost(&error) {
                drop(Object::take(connection));
                self.pool.retain(|_, _| false); // what was frozen together died together
                if tries == MAX_ATTEMPTS {
                    return Err(QueryError::Unavailable(Box::new(Statement(error))));
                }
            } else if !is_transient(&error) || tries == MAX_ATTEMPTS {
                return Err(QueryError::Refused(Statement(error)));
            }
        }
    }

    /// Runs a statement that gives one row or none.
    pub async fn query_opt(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, QueryError> {
        let mut rows = self.query(sql, parameters).await?;
        if rows.len() > 1 {
            Err(QueryError::RowCount(rows.len()))
        } else {
            Ok(rows.pop())
        }
    }

    /// Runs a statement that gives exactly one row.
    pub async fn query_one(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Row, QueryError> {
        self.query_opt(sql, parameters)
            .await?
            .ok_or(QueryError::RowCount(0))
    }

    /// A connection, tried for until the deadline; after a refused password with the secret read anew, so that a rotation is
    /// picked up by the request that meets it.
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
                if may_be_the_login(&error) {
                    self.login.refused(&login);
                }
                Err(QueryError::Unavailable(Box::new(Statement(error))))
            }
            Err(error) => Err(QueryError::Unavailable(error.into())),
        }
    }
}

task_local! {
    static TIME: Cell<Duration>;
}

/// What `work` comes to, and for how long it waited for the database: for connections, statements and repeats, added up.
pub(crate) fn timed<T>(work: impl Future<Output = T>) -> impl Future<Output = (T, Duration)> {
    let timed = async { (work.await, TIME.with(Cell::get)) };
    TIME.scope(Cell::default(), timed)
}

/// When the database was asked something. Its end, however it comes, adds to the time of whoever is [`timed`].
struct Asked(Instant);

impl Drop for Asked {
    fn drop(&mut self) {
        // Nobody is timed while a function starts.
        let _ = TIME.try_with(|time| time.set(time.get() + self.0.elapsed()));
    }
}

/// A connection of its own, for what is no single statement: a migration.
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
        .map_err(Statement)?;
    Ok(client)
}

/// Whether a connection was refused for a password or a user that may be out of date.
fn may_be_the_login(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(
            &SqlState::INVALID_PASSWORD
                | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION
                // PgBouncer gives no other reason, whatever it refuses a client for.
                | &SqlState::PROTOCOL_VIOLATION
        )
    )
}

/// Whether the connection, rather than the statement, is at fault (PostgreSQL, appendix A).
fn is_lost(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        // Class 08 is "Connection Exception"; 57P01 to 57P05 are a server that goes or comes, or has waited for us too long.
        // 25006 is one that may not write: it was the writer until another one took over, as Aurora's do.
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

/// Whether the server took a statement back because of another one of the same moment.
fn is_transient(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
    )
}

/// Why a statement gave no rows to work with.
#[derive(Debug)]
pub enum QueryError {
    /// The database could not be reached in time.
    Unavailable(Box<dyn Error + Send + Sync>),
    /// The database refused the statement.
    Refused(Statement),
    /// The statement gave another number of rows than it can give.
    RowCount(usize),
}

impl QueryError {
    /// The constraint that refused the statement.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Refused(Statement(error)) => error.as_db_error()?.constraint(),
            Self::Unavailable(_) | Self::RowCount(_) => None,
        }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(cause) => write!(f, "the database is not available: {cause}"),
            Self::Refused(error) => write!(f, "the database refused the statement: {error}"),
            Self::RowCount(rows) => write!(f, "the statement gave {rows} rows"),
        }
    }
}

impl Error for QueryError {}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Unavailable(_) => Self::unavailable(error),
            QueryError::Refused(_) | QueryError::RowCount(_) => Self::internal(error),
        }
    }
}

/// An error of the server, told without the DETAIL, in which PostgreSQL repeats addresses and names.
pub struct Statement(tokio_postgres::Error);

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Reason(&self.0).fmt(f)
    }
}

/// What an error of the server says, without the DETAIL.
pub struct Reason<'a>(pub &'a tokio_postgres::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_db_error() {
            Some(error) => write!(f, "{} (SQLSTATE {})", error.message(), error.code().code()),
            None => match self.0.source() {
                Some(source) => write!(f, "{}: {source}", self.0),
                None => write!(f, "{}", self.0),
            },
        }
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Statement {}
