//! The log files of one run: one for each program of the stack.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// How long the logs of earlier runs are kept.
const KEPT: Duration = Duration::from_hours(24);

/// A directory of its own for every run, so that two runs at once don't write into each other's
/// files.
#[derive(Clone, Debug)]
pub struct Logs {
    directory: PathBuf,
}

impl Logs {
    /// Makes a directory under `target/local/logs`, named after this process and how many it has
    /// made before, and removes those of runs long past.
    pub fn new(workspace: &Workspace) -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let all = workspace.local()?.join("logs");
        remove_old(&all);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let directory = all.join(format!("{}-{made}", std::process::id()));
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("can't make the log directory {}", directory.display()))?;
        Ok(Self { directory })
    }

    /// Where the log files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The log file of a program.
    #[must_use]
    pub fn file(&self, program: &str) -> PathBuf {
        self.directory.join(format!("{program}.log"))
    }
}

/// Old logs are only in the way: what can't be removed, or is being removed by another run, stays
/// without a word.
fn remove_old(all: &Path) {
    let Ok(entries) = std::fs::read_dir(all) else {
        return;
    };
    for entry in entries.flatten() {
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > KEPT) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
