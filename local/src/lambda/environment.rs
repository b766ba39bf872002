//! An execution environment: one process of a function, replaced when it ends.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::{Notify, watch};

use super::function::{EnvironmentId, Function};
use crate::aws::strip_aws_settings;
use crate::child::{Child, Stop, guarded};
use crate::progress;

/// The time between two looks at a process.
const WATCH: Duration = Duration::from_millis(50);

/// The pause after a process that ended before it was ready, lest one that can't start keeps the
/// machine busy.
const PAUSE: Duration = Duration::from_secs(1);

/// Everything that the start of a function's process takes.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// The function's program.
    pub binary: PathBuf,
    /// The URL of the API.
    pub runtime_api: String,
    /// The number of invocations that it may take at once; `None` stands for one, and for not being
    /// told so.
    pub concurrency: Option<u16>,
    /// Environment variables besides those that Lambda sets.
    pub variables: Vec<(&'static str, String)>,
    /// The file for what it prints.
    pub log: PathBuf,
}

impl Launch {
    fn spawn(&self, function: &str, id: EnvironmentId) -> Result<Child> {
        let mut command = guarded(&self.binary, Stop::Terminate, None);
        strip_aws_settings(&mut command);
        self.describe(&mut command, function, id);
        Child::spawn(function, command, &self.log)
    }

    /// Sets the variables that Lambda sets, and the function's own.
    fn describe(&self, command: &mut Command, function: &str, id: EnvironmentId) {
        let runtime_api = format!("{}/environments/{function}/{id}", self.runtime_api);
        command
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .env("AWS_LAMBDA_FUNCTION_NAME", function)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            // A proxy of the developer's must not come between the functions and the loopback
            // address.
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
    launch: Launch,
    function: Arc<Function>,
    id: EnvironmentId,
    child: Child,
    timed_out: Arc<Notify>,
}

impl Environment {
    /// Starts the process.
    pub fn start(launch: Launch, function: Arc<Function>) -> Result<Self> {
        let (id, timed_out) = function.environment_starts();
        let child = launch.spawn(function.name(), id)?;
        Ok(Self {
            launch,
            function,
            id,
            child,
            timed_out,
        })
    }

    /// Replaces the process whenever it ends, until `stop` says true or is dropped; then stops it
    /// and waits for its end.
    ///
    /// As on Lambda, a process that takes one invocation at a time is also replaced when the time
    /// of one is up.
    pub async fn keep(mut self, mut stop: watch::Receiver<bool>) -> Result<()> {
        loop {
            let event = tokio::select! {
                () = stopped(&mut stop) => Event::Stopped,
                status = end(&self.child) => Event::Ended(status?),
                () = self.timed_out.notified(), if self.launch.concurrency.is_none() => Event::TimedOut,
            };
            let pause = match event {
                Event::Stopped | Event::TimedOut => {
                    self.child.stop().await?;
                    self.function.environment_ends(self.id, "was stopped");
                    Duration::ZERO
                }
                Event::Ended(status) => {
                    let how = format!("ended ({status})");
                    progress(self.child.failure(&format!("{how} and is started again")));
                    let was_ready = self.function.environment_crashes(self.id, &how);
                    if was_ready { Duration::ZERO } else { PAUSE }
                }
            };
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            self = Self::start(self.launch, self.function)?;
        }
    }
}

/// The reason why a process is no longer there, or should not be.
enum Event {
    Stopped,
    Ended(ExitStatus),
    TimedOut,
}

/// Waits until environments are to stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a sender nobody wants them any more.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Waits for the end of a process.
async fn end(child: &Child) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.exited()? {
            return Ok(status);
        }
        tokio::time::sleep(WATCH).await;
    }
}
