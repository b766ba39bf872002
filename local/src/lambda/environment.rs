//! An execution environment: one process of a function, replaced when it ends.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::aws::strip_aws_settings;
use crate::child::{Child, Stop, guarded};
use crate::progress;

/// How often a process is looked at.
const WATCH: Duration = Duration::from_millis(50);

/// How long a process that has ended stays away, lest one that can't start keeps the machine busy.
const PAUSE: Duration = Duration::from_secs(1);

/// How a function's process is started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// The function's name.
    pub function: String,
    /// The function's program.
    pub binary: PathBuf,
    /// Where it asks for its invocations.
    pub runtime_api: String,
    /// How many invocations it may take at once; `None` stands for one, and for not being told so.
    pub concurrency: Option<u16>,
    /// Environment variables besides those that Lambda sets.
    pub variables: Vec<(&'static str, String)>,
    /// The file for what it prints.
    pub log: PathBuf,
}

impl Launch {
    fn spawn(&self) -> Result<Child> {
        let mut command = guarded(&self.binary, Stop::Terminate, None);
        strip_aws_settings(&mut command);
        self.describe(&mut command);
        Child::spawn(&self.function, command, &self.log)
    }

    /// Sets the variables that Lambda sets, and the function's own.
    fn describe(&self, command: &mut Command) {
        command
            .env("AWS_LAMBDA_RUNTIME_API", &self.runtime_api)
            .env("AWS_LAMBDA_FUNCTION_NAME", &self.function)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            // A proxy of the developer's must not come between the functions and the loopback address.
            .env("NO_PROXY", "127.0.0.1")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(concurrency) = self.concurrency {
            command.env("AWS_LAMBDA_MAX_CONCURRENCY", concurrency.to_string());
        }
    }
}

/// A running environment. Dropping it stops its process.
#[derive(Debug)]
pub(super) struct Environment {
    process: Arc<Mutex<Arc<Child>>>,
    watcher: JoinHandle<()>,
}

impl Environment {
    /// Starts the process, and another one in its place whenever it ends; `ended` counts how often.
    pub fn start(launch: Launch, ended: Arc<watch::Sender<usize>>) -> Result<Self> {
        let process = Arc::new(Mutex::new(Arc::new(launch.spawn()?)));
        let watcher = tokio::spawn(look_after(Arc::downgrade(&process), launch, ended));
        Ok(Self { process, watcher })
    }

    /// Asks the process to end, for good.
    pub fn release(&self) {
        self.watcher.abort();
        current(&self.process).release();
    }

    /// Waits for the end of the process, which has been released.
    pub async fn end(&self) -> Result<()> {
        current(&self.process).stop().await
    }
}

/// Looks after a process until its environment, which owns it, is dropped.
async fn look_after(
    process: Weak<Mutex<Arc<Child>>>,
    launch: Launch,
    ended: Arc<watch::Sender<usize>>,
) {
    loop {
        tokio::time::sleep(WATCH).await;
        let Some(owned) = process.upgrade() else {
            return;
        };
        let child = current(&owned);
        let Ok(Some(status)) = child.exited() else {
            continue;
        };
        progress(child.failure(&format!("ended ({status}) and is started again")));
        drop(owned);
        ended.send_modify(|number| *number += 1);

        tokio::time::sleep(PAUSE).await;
        let Some(owned) = process.upgrade() else {
            return;
        };
        match launch.spawn() {
            Ok(child) => *owned.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(child),
            Err(error) => progress(format_args!("{error:#}")),
        }
    }
}

fn current(process: &Mutex<Arc<Child>>) -> Arc<Child> {
    Arc::clone(&process.lock().unwrap_or_else(PoisonError::into_inner))
}
