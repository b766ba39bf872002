//! Child processes that never outlive their owner, not even when the owner is killed with SIGKILL.
//!
//! A destructor can't promise that, and Linux's parent-death signal exists on Linux alone. A pipe
//! can: `guard.sh` runs the program and stops it as soon as the pipe that this process holds is
//! closed, which the system does for the dead.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

/// How long a program may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How often a starting or ending program is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How much of a log is shown when something fails, in bytes.
const TAIL: u64 = 2_000;

/// The signal that asks a program to end.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// SIGTERM, the usual one.
    Terminate,
    /// SIGINT: PostgreSQL's "fast shutdown", which does not wait for its clients.
    Interrupt,
}

impl Stop {
    /// The signal's name for the shell's `kill -s`.
    fn signal(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
        }
    }
}

/// A command that runs `program` under the guard. Arguments that are added to it are the program's.
///
/// `remove`, a directory, is deleted once the program has ended.
pub fn guarded(program: impl AsRef<OsStr>, stop: Stop, remove: Option<&Path>) -> Command {
    guarded_with_grace(program, stop, remove, GRACE)
}

fn guarded_with_grace(
    program: impl AsRef<OsStr>,
    stop: Stop,
    remove: Option<&Path>,
    grace: Duration,
) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        // By way of a variable, so that lists of processes show what is run and not how it is
        // guarded.
        .args(["-c", r#"eval "$GUARD""#, "guard", stop.signal()])
        .env("GUARD", include_str!("guard.sh"))
        .arg(grace.as_secs().to_string())
        .arg(remove.map_or(OsStr::new(""), Path::as_os_str))
        .arg(program);
    command
}

/// A running program. Dropping it stops the program without waiting for its end; [`Child::stop`]
/// waits.
#[derive(Debug)]
pub struct Child {
    name: String,
    guard: Mutex<std::process::Child>,
    /// What keeps the program alive: the guard waits for its end.
    owner: Mutex<Option<ChildStdin>>,
    log: PathBuf,
}

impl Child {
    /// Starts a command made by [`guarded`]. Its output is added to the file `log`.
    ///
    /// It gets a process group of its own, so that Ctrl-C at the terminal reaches its owner alone,
    /// which then stops it in order.
    pub fn spawn(name: impl Into<String>, mut command: Command, log: &Path) -> Result<Self> {
        let name = name.into();
        let output = File::options()
            .append(true)
            .create(true)
            .open(log)
            .with_context(|| format!("can't write the log file {}", log.display()))?;
        let mut guard = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone().context("can't share a log file")?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't start {name}: /bin/sh does not run"))?;
        let owner = Mutex::new(guard.stdin.take());
        Ok(Self {
            name,
            guard: Mutex::new(guard),
            owner,
            log: log.to_owned(),
        })
    }

    /// The status with which the program has ended, or `None` while it runs.
    pub fn exited(&self) -> Result<Option<ExitStatus>> {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        guard
            .try_wait()
            .with_context(|| format!("can't tell whether {} runs", self.name))
    }

    /// Waits until `probe` answers true. Fails, with the end of the log, when the program ends
    /// first or `within` has passed.
    pub async fn ready<F>(&self, within: Duration, mut probe: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = bool>,
    {
        let deadline = Instant::now() + within;
        while !probe().await {
            if let Some(status) = self.exited()? {
                return Err(self.failure(&format!("ended at once ({status})")));
            }
            if Instant::now() > deadline {
                return Err(self.failure(&format!("did not answer within {} s", within.as_secs())));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Asks the program to end, without waiting.
    pub fn release(&self) {
        drop(
            self.owner
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// Asks the program to end and waits for it, and for the removal of its directory.
    pub async fn stop(&self) -> Result<()> {
        self.release();
        let deadline = Instant::now() + GRACE * 2;
        while self.exited()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} does not end", self.name);
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// An error that says what `happened` to the program, and shows the end of its log.
    pub fn failure(&self, happened: &str) -> anyhow::Error {
        anyhow!(
            "{} {happened}. The end of its log, {}:\n{}",
            self.name,
            self.log.display(),
            tail(&self.log)
        )
    }
}

/// The last lines of a log, indented; a log that can't be read says so in their place.
#[must_use]
pub fn tail(log: &Path) -> String {
    match read_tail(log) {
        Ok(text) if text.trim().is_empty() => "    (empty)".to_owned(),
        Ok(text) => text
            .trim_end()
            .lines()
            .map(|line| format!("    {line}"))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => format!("    (can't be read: {error})"),
    }
}

fn read_tail(log: &Path) -> std::io::Result<String> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // A cut in the middle of a line leaves a fragment that only confuses.
    Ok(match text.split_once('\n') {
        Some((_, whole_lines)) if length > TAIL => whole_lines.to_owned(),
        _ => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `script` in a shell under the guard; the directory holds its log, and the file `pid` if
    /// it writes one.
    fn start(script: &str, directory: &Path, remove: Option<&Path>, grace: u64) -> Child {
        let mut command = guarded_with_grace(
            "/bin/sh",
            Stop::Terminate,
            remove,
            Duration::from_secs(grace),
        );
        command.args(["-c", script]).current_dir(directory);
        Child::spawn("the script", command, &directory.join("log")).unwrap()
    }

    async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "not within 10 s: {what}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether the process whose id stands in `file` runs.
    fn runs(file: &Path) -> bool {
        let id = std::fs::read_to_string(file).unwrap();
        Command::new("kill")
            .args(["-0", id.trim()])
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    #[tokio::test]
    async fn dropping_it_ends_the_program_and_its_children_and_removes_the_directory() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let (shell, sleeper) = (place.path().join("shell"), place.path().join("sleeper"));

        let script = "sleep 60 & echo $! > sleeper; echo $$ > shell; wait";
        let child = start(script, place.path(), Some(&data), 5);
        eventually("the script runs", || {
            std::fs::read_to_string(&shell).is_ok_and(|id| id.ends_with('\n'))
        })
        .await;
        assert!(runs(&shell) && runs(&sleeper));

        drop(child);
        eventually("the directory is gone", || !data.exists()).await;
        eventually("the processes are gone", || {
            !runs(&shell) && !runs(&sleeper)
        })
        .await;
    }

    #[tokio::test]
    async fn a_program_that_ignores_the_signal_is_killed() {
        let place = tempfile::tempdir().unwrap();
        let pid = place.path().join("pid");
        let child = start(
            "trap '' TERM; echo $$ > pid; while :; do sleep 1; done",
            place.path(),
            None,
            1,
        );
        eventually("the script runs", || {
            std::fs::read_to_string(&pid).is_ok_and(|id| id.ends_with('\n'))
        })
        .await;

        let asked = Instant::now();
        child.stop().await.unwrap();
        assert!(!runs(&pid));
        assert!(
            asked.elapsed() >= Duration::from_millis(900),
            "it was not given its second"
        );
    }

    #[tokio::test]
    async fn a_program_that_ends_while_it_should_start_is_reported_with_its_log() {
        let place = tempfile::tempdir().unwrap();
        let child = start(
            "echo 'no such setting: colour' >&2; exit 7",
            place.path(),
            None,
            5,
        );
        let error = child
            .ready(Duration::from_secs(10), || async { false })
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("exit status: 7"), "{error}");
        assert!(error.contains("no such setting: colour"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_never_answers_is_reported_in_time() {
        let place = tempfile::tempdir().unwrap();
        let child = start("exec sleep 60", place.path(), None, 5);
        let error = child
            .ready(Duration::from_millis(50), || async { false })
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("did not answer"), "{error}");
    }

    #[test]
    fn the_tail_of_a_long_log_starts_with_a_whole_line() {
        let place = tempfile::tempdir().unwrap();
        let log = place.path().join("log");
        let lines: Vec<String> = (0..1000).map(|number| format!("line {number}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        let tail = tail(&log);
        assert!(tail.ends_with("    line 999"), "{tail}");
        assert!(
            tail.lines().all(|line| line.starts_with("    line ")),
            "{tail}"
        );
        assert!(tail.len() < 4_000);
    }
}
