//! The way to PostgreSQL: one statement, one round trip, and an answer in time whatever happens to the connection.

mod connect;
mod error;
mod login;
mod transaction;

use crate::platform::config::{ConfigError, Variables, concurrency};
use aws_config::SdkConfig;
use connect::Connector;
use deadpool_postgres::{
    Connect, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod,
};
use error::is_login_refused;
pub use error::{QueryError, ServerError, server_message};
use login::Login;
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
        let stopwatch = Stopwatch::start();
        let deadline = stopwatch.0 + BUDGET;
        let mut attempts = 0;
        loop {
            let connection = self.connection(deadline).await?;
            attempts += 1;
            match within(deadline, connection.query_typed(sql, parameters)).await {
                Ok(rows) => return Ok(rows),
                Err(error) => {
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

    /// Runs `work` in a transaction, which is committed if `work` succeeds and rolled back if not. All of it together has the
    /// budget of a statement.
    ///
    /// Like a statement it is run again, from its beginning, when the connection is found dead or the server breaks a deadlock:
    /// what `work` does must be safe to repeat, and is nothing but statements.
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
            match session.end(result, deadline).await {
                Ok(value) => return Ok(value),
                Err(error) => self.before_another_attempt(error, attempts)?,
            }
        }
    }

    /// Prepares for another attempt, if there can be one after this error.
    fn before_another_attempt(&self, error: QueryError, attempts: usize) -> Result<(), QueryError> {
        if attempts == MAX_ATTEMPTS || !error.may_be_sent_again() {
            return Err(error);
        }
        if error.ends_the_connection() {
            self.pool.retain(|_, _| false); // what was frozen together died together
        }
        Ok(())
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

/// What `work` comes to, and for how long it waited for the database: for connections, statements and repeats, added up.
pub(crate) fn timed<T>(work: impl Future<Output = T>) -> impl Future<Output = (T, Duration)> {
    let timed = async { (work.await, TIME.with(Cell::get)) };
    TIME.scope(Cell::default(), timed)
}

/// Measures one use of the database. Its end, however it comes, adds to the time of whoever is [`timed`].
struct Stopwatch(Instant);

impl Stopwatch {
    fn start() -> Self {
        Self(Instant::now())
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        // Nobody is timed while a function starts.
        let _ = TIME.try_with(|time| time.set(time.get() + self.0.elapsed()));
    }
}

/// The outcome of sending something to the server, if there is one at the deadline.
async fn within<T>(
    deadline: Instant,
    sent: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, QueryError> {
    match timeout_at(deadline, sent).await {
        Ok(outcome) => Ok(outcome?),
        Err(_elapsed) => Err(QueryError::Unavailable(
            "the statement was still running at the end of its budget".into(),
        )),
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
        .map_err(ServerError)?;
    Ok(client)
}
