//! PgBouncer in transaction mode between the functions and the server: it stands in for RDS Proxy.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_postgres::Config;

use super::{Postgres, cluster, connect, quoted};
use crate::child::{Child, Stop, guarded};
use crate::port;

/// The variable that asks for a pooler.
const VARIABLE: &str = "LOCAL_POOLER";

/// Debian installs it where only the PATH of root leads.
const PROGRAMS: [&str; 2] = ["pgbouncer", "/usr/sbin/pgbouncer"];

/// PgBouncer's console, which looks like a database of this name.
const CONSOLE: &str = "pgbouncer";

/// The version, major and minor, from which on PgBouncer can carry prepared statements from one
/// server connection to another.
const CARRIES_STATEMENTS: (u32, u32) = (1, 21);

/// A running pooler in front of a server.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    port: u16,
    /// How to connect to its console.
    console: Config,
}

/// The program that `LOCAL_POOLER` asks for; none where the variable is not set.
pub fn wanted() -> Result<Option<Program>> {
    match env::var_os(VARIABLE) {
        None => Ok(None),
        Some(value) if value == "pgbouncer" => Program::find(&PROGRAMS).map(Some),
        Some(other) => bail!(
            "{VARIABLE} must be pgbouncer or not set at all, not {}",
            other.display()
        ),
    }
}

/// PgBouncer, installed.
#[derive(Debug)]
pub struct Program {
    path: &'static str,
    version: (u32, u32),
}

impl Program {
    /// The first of these programs that runs.
    fn find(paths: &[&'static str]) -> Result<Self> {
        let runs = |&path| {
            let output = Command::new(path).arg("--version").output().ok()?;
            let version = version(&String::from_utf8_lossy(&output.stdout))?;
            Some(Self { path, version })
        };
        paths.iter().find_map(runs).with_context(|| {
            format!("{VARIABLE} asks for PgBouncer, which is not here (on Debian and Ubuntu: apt-get install pgbouncer)")
        })
    }
}

/// The version in `PgBouncer 1.18.0` and the lines after it.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("PgBouncer ")?.split('.');
    let mut number = || numbers.next()?.trim().parse().ok();
    Some((number()?, number()?))
}

impl Pooler {
    /// Starts PgBouncer on a free port, for every database of a server that is ready, and waits
    /// until it lets the server's user in.
    pub async fn start(program: &Program, server: &Postgres, log: &Path) -> Result<Self> {
        if server.password.is_empty() {
            bail!("{VARIABLE} needs a password in DATABASE_URL: PgBouncer asks for one");
        }
        let directory = tempfile::Builder::new()
            .prefix("gymbrah-pgbouncer-")
            // The password in it may be that of a server which is not ours.
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(cluster::PLACE)
            .with_context(|| format!("can't make a directory in {}", cluster::PLACE))?;
        let (settings, users) = (
            directory.path().join("pgbouncer.ini"),
            directory.path().join("users.txt"),
        );
        let port = port::free()?;
        let functions = server.functions_login();
        let logins = [
            (&server.user, &server.password),
            (&functions.username, &functions.password),
        ];
        let lines =
            logins.map(|(user, password)| format!("{} {}\n", quoted(user), quoted(password)));
        fs::write(&users, lines.concat())?;
        fs::write(&settings, settings_of(program, server, port, &users))?;

        // Interrupted, it waits for the transactions of the moment, in every version.
        let mut command = guarded(program.path, Stop::Interrupt, Some(directory.path()));
        if directory.path().metadata()?.uid() == 0 {
            command.arg("--user=nobody"); // it refuses to run as root, and turns to this user once it has read its files
        }
        command.arg(&settings);
        let process = Child::spawn("PgBouncer", command, log)?;
        // From here on the guard removes it: it does so too when this process is killed.
        let _ = directory.keep();

        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(port)
            .user(&server.user)
            .password(&server.password)
            .dbname(server.config.get_dbname().unwrap_or(&server.user));
        process
            .ready(Duration::from_secs(30), || async {
                connect(&config).await.is_ok()
            })
            .await?;
        config.dbname(CONSOLE);
        Ok(Self {
            process,
            port,
            console: config,
        })
    }

    /// Where it listens on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the connections that clients have to a database, and its own to the server.
    pub async fn end_connections(&self, database: &str) -> Result<()> {
        let console = connect(&self.console)
            .await
            .context("can't connect to PgBouncer's console")?;
        // After a KILL the database would let nobody in.
        for command in ["KILL", "RESUME"] {
            console
                .simple_query(&format!("{command} {}", quoted(database)))
                .await
                .with_context(|| format!("PgBouncer can't {command} {database}"))?;
        }
        Ok(())
    }

    /// Stops it and waits for its end.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop().await
    }
}

/// The settings (<https://www.pgbouncer.org/config.html>) with which whatever outlives a
/// transaction is lost as soon as possible: transactions of many clients share few connections to
/// the server, and no prepared statement is carried along.
fn settings_of(program: &Program, server: &Postgres, port: u16, users: &Path) -> String {
    let carry_no_statements = if program.version >= CARRIES_STATEMENTS {
        "max_prepared_statements = 0"
    } else {
        ""
    };
    format!(
        "[databases]
* = host='{host}' port={server_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = 4
max_client_conn = 1000
{carry_no_statements}

; Whoever has waited so long for a connection, in seconds, has been given up by its caller.
query_wait_timeout = 5
; A server that was gone for a moment is found again, as by RDS Proxy, by the next request.
server_login_retry = 1

; Users that the file does not name are looked up in the server: their passwords may change.
auth_type = scram-sha-256
auth_file = {users}
auth_user = {user}
admin_users = {user}
",
        host = server.host,
        server_port = server.port,
        users = users.display(),
        user = server.user,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_program_says_of_itself() {
        assert_eq!(
            version("PgBouncer 1.18.0\nlibevent 2.1.12-stable\n"),
            Some((1, 18))
        );
        assert_eq!(version("PgBouncer 1.25\n"), Some((1, 25)));
        assert_eq!(version("pgbouncer: not found"), None);
    }

    #[test]
    fn a_pooler_that_is_not_installed_is_no_reason_to_do_without() {
        let error = Program::find(&["/nowhere/pgbouncer"]).unwrap_err();
        assert!(error.to_string().contains("apt-get install"), "{error}");
    }
}
