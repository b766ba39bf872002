//! Lambda on the loopback address: the functions' own binaries, fed by a runtime API as Lambda has
//! it.

mod api;
mod environment;
mod function;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use crate::build::Binaries;
use crate::logs::Logs;
use crate::progress;
use crate::template;
use api::{Api, Functions, LARGEST_PAYLOAD};
use environment::{Environment, Launch};
use function::{End, Function};

/// The way in which functions are run.
#[derive(Clone, Copy, Debug)]
pub enum Instances {
    /// One environment for each function that takes up to so many invocations at once, as on Lambda
    /// Managed Instances.
    Concurrent(u16),
    /// So many environments for each function that take one invocation at a time, as Lambda has
    /// always done.
    Serial(u16),
}

/// The functions, running.
#[derive(Debug)]
pub struct Lambda {
    port: u16,
    functions: Functions,
    _api: Api,
    environments: Mutex<JoinSet<Result<()>>>,
    stop: watch::Sender<bool>,
}

/// The end of an invocation.
#[derive(Debug)]
pub enum Outcome {
    /// The value that the function returned.
    Returned(Value),
    /// The function reported an error, its time was up or its process ended; the text says which.
    Failed(String),
}

impl Lambda {
    /// Starts functions from their binaries, with the environment variables of each besides those
    /// that Lambda sets. The API is on the preferred port if that is free, else on any.
    pub async fn start(
        preferred_port: Option<u16>,
        functions: &[template::Function],
        binaries: &Binaries,
        instances: Instances,
        variables: impl Fn(&str) -> Vec<(&'static str, String)>,
        logs: &Logs,
    ) -> Result<Self> {
        let listener = api::listen(preferred_port).await?;
        let port = listener.local_addr()?.port();
        let (copies, concurrency) = match instances {
            Instances::Concurrent(most) => (1, Some(most)),
            Instances::Serial(copies) => (copies, None),
        };
        let stop = watch::Sender::new(false);
        let mut environments = JoinSet::new();
        let mut running = HashMap::new();
        for template::Function { name, timeout, .. } in functions {
            let binary = binaries.get(name).with_context(|| {
                format!("template.yaml has a function functions/{name}, but no crate of the workspace makes a binary {name}")
            })?;
            let launch = Launch {
                binary: binary.clone(),
                runtime_api: format!("http://127.0.0.1:{port}"),
                concurrency,
                variables: variables(name),
                log: logs.file(name),
            };
            let function = Arc::new(Function::new(name.clone(), *timeout));
            for _ in 0..copies {
                let environment = Environment::start(launch.clone(), Arc::clone(&function))?;
                let kept = environment.keep(stop.subscribe());
                environments.spawn(async { kept.await.inspect_err(|error| progress(error)) });
            }
            running.insert(name.clone(), function);
        }
        let functions = Arc::new(running);
        Ok(Self {
            port,
            _api: Api::start(listener, Arc::clone(&functions)),
            functions,
            environments: Mutex::new(environments),
            stop,
        })
    }

    /// The port on which functions are invoked, for `cargo lambda invoke`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL to which a function's events are posted.
    #[must_use]
    pub fn url(&self, function: &str) -> String {
        format!(
            "http://127.0.0.1:{}/2015-03-31/functions/{function}/invocations",
            self.port
        )
    }

    /// The names of the functions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// The number of processes of the functions that have ended by themselves since the start, and
    /// were replaced.
    pub fn crashes(&self) -> usize {
        self.functions
            .values()
            .map(|function| function.crashes())
            .sum()
    }

    /// Invokes a function and waits for its end. An error means that it could not be invoked.
    pub async fn invoke(&self, name: &str, event: &Value) -> Result<Outcome> {
        let function = self
            .functions
            .get(name)
            .with_context(|| format!("there is no function {name}"))?;
        let event = event.to_string();
        if event.len() > LARGEST_PAYLOAD {
            bail!("Lambda takes no event of more than {LARGEST_PAYLOAD} bytes");
        }
        match function.invoke(event.into()).await {
            End::Response(response) => serde_json::from_slice(&response)
                .map(Outcome::Returned)
                .with_context(|| format!("{name} did not return JSON")),
            End::Error(error) => Ok(Outcome::Failed(
                String::from_utf8_lossy(&error).into_owned(),
            )),
        }
    }

    /// Stops the functions, and waits for the end of their processes.
    pub async fn stop(&self) -> Result<()> {
        self.functions.values().for_each(|function| function.stop());
        self.stop.send_replace(true);
        let mut environments = self.environments.lock().await;
        while let Some(ended) = environments.join_next().await {
            ended??;
        }
        Ok(())
    }
}
