//! A PostgreSQL server, and databases on it with the workspace's migrations applied.

mod binaries;
mod cluster;
mod database_name;
mod pooler;

use std::env;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use migrate::{Credentials, FUNCTIONS_ROLE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

use crate::logs::Logs;
use crate::progress;
use crate::tools::Tools;
use crate::workspace::Workspace;
use cluster::Cluster;
pub use cluster::Shutdown;
use database_name::{PREFIX, made_at, made_by_this_process, unique_name, unix_seconds};
use pooler::Pooler;

/// The database from which the others are cloned, on a private server.
const TEMPLATE: &str = "template";

/// How long a private server may take until it answers.
const STARTUP: Duration = Duration::from_secs(30);

/// How old a database on a server that is not ours must be to count as left over from a run that
/// was killed.
const LEFT_OVER: Duration = Duration::from_hours(24);

/// What has to be encoded in the parts of a URL.
const UNSAFE_IN_URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A PostgreSQL server: the one that `DATABASE_URL` names, or a private one that lives as long as
/// this value.
#[derive(Debug)]
pub struct Postgres {
    config: Config,
    host: String,
    port: u16,
    user: String,
    password: String,
    /// The private server; none if it is not ours.
    cluster: Option<Cluster>,
    /// What stands between the functions and the server, if anything does.
    pooler: Option<Pooler>,
    /// The migrated database, made at first use.
    template: OnceCell<String>,
}

impl Postgres {
    /// Takes the server of `DATABASE_URL`, or starts a private one: with the PostgreSQL of this
    /// machine or, where there is none or `LOCAL_POSTGRES=wheel` asks for it, with one from a
    /// Python wheel. With `LOCAL_POOLER=pgbouncer` the functions reach it by way of a pooler.
    pub async fn start(workspace: &Workspace, tools: &Tools, logs: &Logs) -> Result<Self> {
        // First: what can't be had is told before anything is started.
        let program = pooler::wanted()?;
        let mut server = match env::var("DATABASE_URL") {
            Ok(url) => {
                let server = Self::given(&url)?;
                server.drop_left_over().await?;
                server
            }
            Err(_) => Self::start_private(workspace, tools, logs).await?,
        };
        if let Some(program) = program {
            let log = logs.file("pgbouncer");
            server.pooler = Some(Pooler::start(&program, &server, &log).await?);
        }
        Ok(server)
    }

    fn given(url: &str) -> Result<Self> {
        let wrong = "DATABASE_URL must look like postgresql://user:password@host:5432/database";
        let config: Config = url.parse().context(wrong)?;
        let [Host::Tcp(host)] = config.get_hosts() else {
            bail!("{wrong}, with one host that is reached by TCP")
        };
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        Ok(Self {
            host: host.clone(),
            port: config.get_ports().first().copied().unwrap_or(5432),
            user: config.get_user().context(wrong)?.to_owned(),
            password: text(config.get_password()),
            config,
            cluster: None,
            pooler: None,
            template: OnceCell::new(),
        })
    }

    /// Starts a private server, whatever `DATABASE_URL` says: one that may be restarted.
    pub async fn start_private(workspace: &Workspace, tools: &Tools, logs: &Logs) -> Result<Self> {
        let found = binaries::find(workspace, tools)?;
        let cluster = cluster::start(&found, &logs.file("postgres"))?;
        let port = cluster.port;
        let (host, user, password) = (
            "127.0.0.1".to_owned(),
            cluster::USER.to_owned(),
            cluster::PASSWORD.to_owned(),
        );
        let mut config = Config::new();
        config
            .host(&host)
            .port(port)
            .user(&user)
            .password(&password)
            .dbname("postgres");
        cluster
            .server
            .ready(STARTUP, || async { connect(&config).await.is_ok() })
            .await?;
        Ok(Self {
            config,
            host,
            port,
            user,
            password,
            cluster: Some(cluster),
            pooler: None,
            template: OnceCell::new(),
        })
    }

    /// How to connect to a database of this server, past any pooler.
    pub fn config(&self, database: &str) -> Config {
        let mut config = self.config.clone();
        config.dbname(database);
        config
    }

    /// The same as a URL, for `psql` and the like.
    pub fn url(&self, database: &str) -> String {
        let encode = |text| utf8_percent_encode(text, UNSAFE_IN_URL).to_string();
        let (user, password) = (encode(&self.user), encode(&self.password));
        format!(
            "postgresql://{user}:{password}@{}:{}/{}",
            self.host,
            self.port,
            encode(database)
        )
    }

    /// How the functions connect to a database, by way of the pooler if there is one, as RDS writes
    /// it into its secret in Secrets Manager: as the role that the migrations have made for them.
    pub fn secret(&self, database: &str) -> Value {
        let login = self.functions_login();
        self.secret_of(database, &login.username, &login.password)
    }

    /// How the migrations connect to a database, as the owner of its tables.
    pub fn owner_secret(&self, database: &str) -> Value {
        self.secret_of(database, &self.user, &self.password)
    }

    /// The password is the server's own: who can log in there at all has it.
    fn functions_login(&self) -> Credentials {
        let password = if self.password.is_empty() {
            cluster::PASSWORD
        } else {
            &self.password
        };
        Credentials {
            username: FUNCTIONS_ROLE.to_owned(),
            password: password.to_owned(),
        }
    }

    fn secret_of(&self, database: &str, username: &str, password: &str) -> Value {
        let (host, port) = match &self.pooler {
            Some(pooler) => ("127.0.0.1", pooler.port()),
            None => (self.host.as_str(), self.port),
        };
        json!({
            "host": host,
            "port": port,
            "username": username,
            "password": password,
            "dbname": database,
            "sslmode": "disable",
        })
    }

    /// What leads a function past any pooler: migrations hold a lock for longer than a transaction.
    pub fn address_variables(&self) -> [(&'static str, String); 2] {
        [
            ("DATABASE_HOST", self.host.clone()),
            ("DATABASE_PORT", self.port.to_string()),
        ]
    }

    /// Connects to a database, past any pooler. The connection's other half runs as a task until
    /// the client is dropped.
    pub async fn connect(&self, database: &str) -> Result<Client> {
        let url = self.url(database);
        connect(&self.config(database))
            .await
            .with_context(|| format!("can't connect to {url}"))
    }

    /// A new database with every migration applied and nothing in it, named after its purpose.
    /// Takes about 0.1 s.
    pub async fn migrated_database(&self, purpose: &str) -> Result<String> {
        let template = self.migrated_template().await?;
        let name = unique_name(purpose)?;
        self.create_database(&name, Some(template)).await?;
        Ok(name)
    }

    /// The database from which [`Postgres::migrated_database`] clones: made and migrated at the
    /// first call.
    pub async fn migrated_template(&self) -> Result<&str> {
        let name = self
            .template
            .get_or_try_init(|| self.make_template())
            .await?;
        Ok(name)
    }

    async fn make_template(&self) -> Result<String> {
        let name = unique_name(TEMPLATE)?;
        self.create_database(&name, None).await?;
        let mut client = self.connect(&name).await?;
        migrate::apply(&mut client, &migrate::runner())
            .await
            .context("the migrations fail on an empty database")?;
        migrate::let_functions_in(&client, &self.functions_login())
            .await
            .context("the functions' role can't be given a password")?;
        Ok(name)
    }

    /// Creates a database, empty or as a copy of `template`, to which nobody may be connected then.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<()> {
        let source = template.map_or_else(String::new, |template| {
            format!(" TEMPLATE {}", quoted(template))
        });
        self.administer(&format!("CREATE DATABASE {}{source}", quoted(name)))
            .await
    }

    /// Drops a database and ends whatever is connected to it.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        if let Some(pooler) = &self.pooler {
            pooler.end_connections(name).await?;
        }
        self.administer(&format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quoted(name)
        ))
        .await
    }

    /// Ends every connection to a database, those of the pooler's clients too.
    pub async fn end_connections(&self, database: &str) -> Result<()> {
        if let Some(pooler) = &self.pooler {
            pooler.end_connections(database).await?;
        }
        self.end_server_connections(database).await
    }

    /// Ends every connection that the server has to a database: the functions' own, or those that a
    /// pooler lends them.
    pub async fn end_server_connections(&self, database: &str) -> Result<()> {
        self.administer(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{}' AND pid <> pg_backend_pid()",
            database.replace('\'', "''")
        ))
        .await
    }

    /// Runs SQL, one statement or many, on a database.
    pub async fn run(&self, database: &str, sql: &str) -> Result<()> {
        let client = self.connect(database).await?;
        client
            .batch_execute(sql)
            .await
            .with_context(|| format!("this SQL fails on {database}: {sql:.200}"))
    }

    /// Runs a statement that no particular database is needed for, on the one that the server was
    /// given with.
    async fn administer(&self, statement: &str) -> Result<()> {
        let database = self.config.get_dbname().unwrap_or(&self.user);
        self.run(database, statement).await
    }

    /// Brings a private server down and waits until it is up again, on the same data and port.
    pub async fn restart(&self, how: Shutdown) -> Result<()> {
        let cluster = self
            .cluster
            .as_ref()
            .context("only a private server can be restarted")?;
        cluster.restart(how)?;
        cluster
            .server
            .ready(STARTUP, || async {
                !cluster.is_going_down() && connect(&self.config).await.is_ok()
            })
            .await
    }

    /// Stops the pooler, and a private server; on one that was given, drops the databases that this
    /// process has made.
    pub async fn stop(&self) -> Result<()> {
        if let Some(pooler) = &self.pooler {
            pooler.stop().await?;
        }
        if let Some(cluster) = &self.cluster {
            return cluster.server.stop().await;
        }
        for name in self.made_databases().await? {
            if made_by_this_process(&name) {
                self.drop_database(&name).await?;
            }
        }
        Ok(())
    }

    /// Drops what earlier runs, killed before they could clean up, have left on a server that is
    /// not ours.
    async fn drop_left_over(&self) -> Result<()> {
        let now = unix_seconds();
        for name in self.made_databases().await? {
            if made_at(&name).is_some_and(|then| now.saturating_sub(then) > LEFT_OVER.as_secs()) {
                // Fails if someone is connected: then it is in use, and not left over.
                let dropped = self
                    .administer(&format!("DROP DATABASE IF EXISTS {}", quoted(&name)))
                    .await;
                progress(format_args!(
                    "{name}, a day old: {}",
                    if dropped.is_ok() {
                        "dropped"
                    } else {
                        "still in use, kept"
                    }
                ));
            }
        }
        Ok(())
    }

    /// The databases of this server whose names say that they were made here, by whichever run.
    async fn made_databases(&self) -> Result<Vec<String>> {
        let client = self
            .connect(self.config.get_dbname().unwrap_or(&self.user))
            .await?;
        let sql = format!("SELECT datname FROM pg_database WHERE starts_with(datname, '{PREFIX}')");
        let messages = client
            .simple_query(&sql)
            .await
            .context("can't list the server's databases")?;
        Ok(messages
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
            .filter(|name| made_at(name).is_some())
            .collect())
    }
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    // Ends with the client; an error in between is reported by the client's own calls.
    tokio::spawn(connection);
    Ok(client)
}

/// An identifier in SQL; PgBouncer quotes in the same way.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_server_keeps_what_its_url_says() {
        let server = Postgres::given("postgresql://ann:p%40ss@db.example:6432/gym").unwrap();
        assert_eq!(
            server.url("other"),
            "postgresql://ann:p%40ss@db.example:6432/other"
        );
        assert_eq!(server.secret("other")["password"], "p@ss");
        assert_eq!(server.config("other").get_dbname(), Some("other"));

        let error = Postgres::given("postgresql:///gym?host=/run/postgresql&user=x").unwrap_err();
        assert!(error.to_string().contains("TCP"), "{error}");
        let error = Postgres::given("mysql://db").unwrap_err();
        assert!(
            error.to_string().contains("DATABASE_URL must look like"),
            "{error}"
        );
    }
}
