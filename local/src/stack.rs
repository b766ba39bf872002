//! The whole system on the loopback address.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::aws::{Aws, SENDER};
use crate::build;
use crate::gateway::{Gateway, Issuer, SignIn, Token};
use crate::lambda::{Instances, Lambda};
use crate::large;
use crate::postgres::Postgres;
use crate::schedule;
use crate::services::{Services, blocking};
use crate::template::Template;

/// Rows that the sample events name, applied after the migrations if the file is there.
const SAMPLE_ROWS: &str = "events/seed.sql";

/// The settings of a stack.
#[derive(Clone, Debug)]
pub struct Options {
    /// The gateway's port; `None` takes any that is free.
    pub port: Option<u16>,
    /// The port that the Lambda API gets if it is free.
    pub preferred_lambda_port: Option<u16>,
    /// The way in which the functions are run.
    pub instances: Instances,
    /// True where functions are invoked at their schedules.
    pub schedules: bool,
    /// True where the database has the data of [`large`] in it too.
    pub large: bool,
    /// The functions' secret, which leads to a database that is there; `None` makes one with the
    /// sample rows, and its secret.
    pub secret: Option<Value>,
    /// Environment variables of the functions besides those that all have here, or in their place.
    pub variables: Vec<(&'static str, String)>,
}

impl Default for Options {
    /// For tests: any ports, functions that take 8 invocations at once, and nothing that happens by
    /// itself.
    fn default() -> Self {
        Self {
            port: None,
            preferred_lambda_port: None,
            instances: Instances::Concurrent(8),
            schedules: false,
            large: false,
            secret: None,
            variables: Vec::new(),
        }
    }
}

/// The running system. [`Stack::stop`] ends it; so does the end of the process, however it comes.
#[derive(Debug)]
pub struct Stack {
    services: Arc<Services>,
    /// True where the services were started for this stack, and stop with it.
    owns_services: bool,
    database: String,
    base_url: String,
    issuer: Arc<Issuer>,
    lambda: Arc<Lambda>,
    gateway: Gateway,
    _schedules: JoinSet<()>,
}

impl Stack {
    /// Starts the services, then everything else. Ready for requests when this returns.
    pub async fn start(options: Options) -> Result<Self> {
        // First, so that a port that is taken is reported before anything else is done.
        let listener = listen(options.port).await?;
        let services = Arc::new(Services::start().await?);
        let stack = Self::assemble(services, listener, options).await?;
        Ok(Self {
            owns_services: true,
            ..stack
        })
    }

    /// Starts everything else on services that run already, with a database of its own.
    pub async fn start_on(services: Arc<Services>, options: Options) -> Result<Self> {
        let listener = listen(options.port).await?;
        Self::assemble(services, listener, options).await
    }

    async fn assemble(
        services: Arc<Services>,
        listener: TcpListener,
        options: Options,
    ) -> Result<Self> {
        let Services {
            workspace,
            logs,
            postgres,
            aws,
            ..
        } = services.as_ref();
        let base_url = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
        let issuer_url = format!("{base_url}/_local");
        let template = Template::read(&workspace.root)?;

        let to_build = workspace.clone();
        let (binaries, issuer, (database, secret)) = tokio::try_join!(
            blocking(move || build::binaries(&to_build)),
            blocking(move || Issuer::new(issuer_url)),
            database(postgres, &workspace.root, options.secret, options.large),
        )?;
        // Several stacks may share the services: each has a secret of its own.
        aws.put_secret(&database, &secret).await?;
        let owner_secret = format!("{database}-owner");
        aws.put_secret(&owner_secret, &postgres.owner_secret(&database))
            .await?;

        let variables = |function: &str| {
            let mut variables = function_variables(aws, &database, &base_url);
            if function == "migrate" {
                variables.extend(postgres.address_variables());
                variables.extend([
                    ("DATABASE_SECRET_ID", owner_secret.clone()),
                    ("FUNCTIONS_SECRET_ID", database.clone()),
                ]);
            }
            variables.extend(options.variables.iter().cloned());
            variables
        };
        let lambda = Lambda::start(
            options.preferred_lambda_port,
            &template.functions,
            &binaries,
            options.instances,
            variables,
            logs,
        )
        .await?;
        let (issuer, lambda) = (Arc::new(issuer), Arc::new(lambda));
        let at_schedules = if options.schedules {
            template.functions.as_slice()
        } else {
            &[]
        };
        let schedules = schedule::start(at_schedules, &lambda);
        let gateway = Gateway::start(
            listener,
            template.routes,
            Arc::clone(&issuer),
            Arc::clone(&lambda),
            Arc::clone(&services),
        );
        Ok(Self {
            services,
            owns_services: false,
            database,
            base_url,
            issuer,
            lambda,
            gateway,
            _schedules: schedules,
        })
    }

    /// The gateway's URL, without a slash at the end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The name of the database that the functions use, on the server in [`Stack::services`], and
    /// of their secret.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The services that the functions use.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The issuer whose tokens the gateway takes.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The functions, to be invoked past the gateway.
    #[must_use]
    pub fn lambda(&self) -> &Lambda {
        &self.lambda
    }

    /// Signs a user in, as `POST /_local/token` does.
    pub fn sign_in(&self, who: &SignIn) -> Result<Token> {
        self.issuer.sign_in(who, Timestamp::now())
    }

    /// The log of the function that wrote to its log last: where to look after a failure.
    #[must_use]
    pub fn latest_log(&self) -> Option<PathBuf> {
        let written = |log: &PathBuf| log.metadata().and_then(|metadata| metadata.modified()).ok();
        let logs = self
            .lambda
            .names()
            .map(|name| self.services.logs.file(name));
        logs.filter(|log| written(log).is_some())
            .max_by_key(written)
    }

    /// Stops everything that was started for this stack, and waits for its end.
    pub async fn stop(self) -> Result<()> {
        drop(self.gateway);
        self.lambda.stop().await?;
        if self.owns_services {
            self.services.stop().await?;
        }
        Ok(())
    }
}

/// The database that the functions use, and their secret.
async fn database(
    postgres: &Postgres,
    workspace_root: &Path,
    given: Option<Value>,
    large: bool,
) -> Result<(String, Value)> {
    let secret = match given {
        Some(secret) => secret,
        None => postgres.secret(&sample_database(postgres, workspace_root, large).await?),
    };
    let name = secret["dbname"]
        .as_str()
        .context("the secret names no database")?;
    Ok((name.to_owned(), secret))
}

/// A migrated database with the rows that the sample events name, and perhaps with very many
/// others.
async fn sample_database(
    postgres: &Postgres,
    workspace_root: &Path,
    large: bool,
) -> Result<String> {
    let database = postgres.migrated_database("stack").await?;
    let path = workspace_root.join(SAMPLE_ROWS);
    if path.exists() {
        let sql = std::fs::read_to_string(&path)
            .with_context(|| format!("can't read {}", path.display()))?;
        postgres
            .run(&database, &sql)
            .await
            .with_context(|| format!("{SAMPLE_ROWS} fails"))?;
    }
    if large {
        large::load(postgres, &database).await?;
    }
    Ok(database)
}

/// A function's configuration.
fn function_variables(aws: &Aws, secret: &str, base_url: &str) -> Vec<(&'static str, String)> {
    let mut variables = aws.environment().to_vec();
    variables.extend([
        ("DATABASE_SECRET_ID", secret.to_owned()),
        ("APP_URL", format!("{base_url}/_local")),
        ("MAIL_FROM", format!("GymBrah <{SENDER}>")),
    ]);
    variables
}

async fn listen(port: Option<u16>) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or(0)))
        .await
        .map_err(|error| match port {
            Some(port) => {
                anyhow!("can't listen on port {port} ({error}): choose another one with --port")
            }
            None => anyhow!("can't listen on the loopback address ({error})"),
        })
}
