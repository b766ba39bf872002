//! Lambda on the loopback address: cargo-lambda's runtime API, and the functions' own binaries which it feeds.

mod deadlines;
mod environment;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use crate::build::Binaries;
use crate::child::{Child, Stop, guarded};
use crate::logs::Logs;
use crate::port;
use crate::progress;
use crate::template;
use crate::tools::Tools;
use crate::workspace::Workspace;
use deadlines::Deadlines;
use environment::{Environment, Launch};

/// How many invocations of one function may be under way; more wait their turn. cargo-lambda's own queue has 100 places, and
/// all of its functions stand still when it is full.
const MOST_AT_ONCE: usize = 64;

/// How the functions are run.
#[derive(Clone, Copy, Debug)]
pub enum Instances {
    /// One environment for each function that takes up to so many invocations at once, as on Lambda Managed Instances.
    Concurrent(u16),
    /// So many environments for each function that take one invocation at a time, as Lambda has always done.
    Serial(u16),
}

/// The runtime API, before any function runs.
#[derive(Debug)]
pub struct RuntimeApi {
    server: Child,
    port: u16,
}

impl RuntimeApi {
    /// Starts `cargo lambda watch`, which here watches nothing, on the preferred port if that is free, else on any.
    pub async fn start(
        workspace: &Workspace,
        tools: &Tools,
        logs: &Logs,
        preferred_port: Option<u16>,
    ) -> Result<Self> {
        let port = match preferred_port {
            Some(port) if port::is_free(port) => port,
            Some(taken) => {
                let port = port::free()?;
                progress(format_args!(
                    "port {taken} is taken: the Lambda API is on port {port}"
                ));
                port
            }
            None => port::free()?,
        };
        let mut command = guarded(tools.cargo_lambda(), Stop::Terminate, None);
        command
            .args([
                "lambda",
                "watch",
                "--only-lambda-apis",
                "--invoke-address=127.0.0.1",
            ])
            .arg(format!("--invoke-port={port}"))
            // It answers only for functions that are binaries of the workspace it is started in.
            .current_dir(&workspace.root);
        let server = Child::spawn("cargo-lambda", command, &logs.file("cargo-lambda"))?;
        server
            .ready(Duration::from_secs(30), || port::answers(port))
            .await?;
        Ok(Self { server, port })
    }
}

/// The runtime API with functions that run on it.
#[derive(Debug)]
pub struct Lambda {
    api: RuntimeApi,
    functions: HashMap<String, Function>,
    /// What the functions see of the runtime API.
    _deadlines: Deadlines,
    http: reqwest::Client,
}

#[derive(Debug)]
struct Function {
    environments: Vec<Environment>,
    /// How many processes of the function have ended by themselves.
    ended: Arc<watch::Sender<usize>>,
    places: Semaphore,
    timeout: Duration,
}

/// How an invocation ended.
#[derive(Debug)]
pub enum Outcome {
    /// What the function returned.
    Returned(Value),
    /// The function reported an error, its time was up or its process ended; the text says which.
    Failed(String),
}

impl Lambda {
    /// Starts functions from their binaries, with the environment variables of each besides those that Lambda sets.
    pub async fn start(
        api: RuntimeApi,
        functions: &[template::Function],
        binaries: &Binaries,
        instances: Instances,
        variables: impl Fn(&str) -> Vec<(&'static str, String)>,
        logs: &Logs,
    ) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .context("can't make an HTTP client")?;
        let timeouts = functions
            .iter()
            .map(|function| (function.name.clone(), function.timeout))
            .collect();
        let deadlines = Deadlines::start(api.port, timeouts, http.clone()).await?;
        let (copies, concurrency) = match instances {
            Instances::Concurrent(most) => (1, Some(most)),
            Instances::Serial(copies) => (copies, None),
        };
        let mut running = HashMap::new();
        for template::Function { name, timeout, .. } in functions {
            let binary = binaries.get(name).with_context(|| {
                format!("template.yaml has a function functions/{name}, but no crate of the workspace makes a binary {name}")
            })?;
            let ended = Arc::new(watch::Sender::new(0));
            let environments = (0..copies)
                .map(|_| {
                    let launch = Launch {
                        function: name.clone(),
                        binary: binary.clone(),
                        runtime_api: deadlines.runtime_api(name),
                        concurrency,
                        variables: variables(name),
                        log: logs.file(name),
                    };
                    Environment::start(launch, Arc::clone(&ended))
                })
                .collect::<Result<_>>()?;
            let function = Function {
                environments,
                ended,
                places: Semaphore::new(MOST_AT_ONCE),
                timeout: *timeout,
            };
            running.insert(name.clone(), function);
        }
        Ok(Self {
            api,
            functions: running,
            _deadlines: deadlines,
            http,
        })
    }

    /// The port on which the runtime API answers, for `cargo lambda invoke`.
    pub fn port(&self) -> u16 {
        self.api.port
    }

    /// The names of the functions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// How many processes of the functions have ended by themselves since the start, and were replaced.
    pub fn crashes(&self) -> usize {
        let ended = |function: &Function| *function.ended.borrow();
        self.functions.values().map(ended).sum()
    }

    /// Invokes a function and waits for its end. An error means that it could not be invoked.
    ///
    /// When a process of the function ends meanwhile, the invocation has failed. cargo-lambda does not tell which process has
    /// which invocation, so with several all that are under way count as lost.
    pub async fn invoke(&self, name: &str, event: &Value) -> Result<Outcome> {
        let function = self
            .functions
            .get(name)
            .with_context(|| format!("there is no function {name}"))?;
        let _place = function
            .places
            .acquire()
            .await
            .context("the functions have been stopped")?;
        let mut ended = function.ended.subscribe();
        tokio::select! {
            outcome = self.post(name, event) => outcome,
            _ = ended.changed() => Ok(Outcome::Failed("its process ended".to_owned())),
            () = tokio::time::sleep(function.timeout) => {
                Ok(Outcome::Failed(format!("it timed out after {} s", function.timeout.as_secs())))
            }
        }
    }

    async fn post(&self, name: &str, event: &Value) -> Result<Outcome> {
        let url = format!(
            "http://127.0.0.1:{}/2015-03-31/functions/{name}/invocations",
            self.api.port
        );
        let response = self
            .http
            .post(url)
            .json(event)
            .send()
            .await
            .context("the Lambda API does not answer")?;
        let succeeded = response.status().is_success()
            && !response.headers().contains_key("x-amz-function-error");
        let body = response
            .bytes()
            .await
            .context("the Lambda API breaks its answer off")?;
        if succeeded {
            let value = serde_json::from_slice(&body)
                .with_context(|| format!("{name} did not return JSON"))?;
            return Ok(Outcome::Returned(value));
        }
        Ok(Outcome::Failed(String::from_utf8_lossy(&body).into_owned()))
    }

    /// Stops the functions, then the runtime API.
    pub async fn stop(&self) -> Result<()> {
        let environments = || {
            self.functions
                .values()
                .flat_map(|function| &function.environments)
        };
        environments().for_each(Environment::release);
        for environment in environments() {
            environment.end().await?;
        }
        self.api.server.stop().await
    }
}
