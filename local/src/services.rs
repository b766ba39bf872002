//! What the functions use: a database server and AWS.

use anyhow::Result;
use tokio::task::spawn_blocking;

use crate::aws::Aws;
use crate::logs::Logs;
use crate::postgres::Postgres;
use crate::tools::Tools;
use crate::workspace::Workspace;

/// PostgreSQL and moto, running. Enough for tests that call a function's handler in their own
/// process.
#[derive(Debug)]
pub struct Services {
    /// Where everything is.
    pub workspace: Workspace,
    /// The Python tools.
    pub tools: Tools,
    /// The log files.
    pub logs: Logs,
    /// The database server.
    pub postgres: Postgres,
    /// SES, SNS and Secrets Manager.
    pub aws: Aws,
}

impl Services {
    /// Starts both, installing first what is not there yet.
    pub async fn start() -> Result<Self> {
        Self::start_with(Postgres::start).await
    }

    /// The same with a PostgreSQL server of its own, whatever `DATABASE_URL` says: one that may be
    /// restarted.
    pub async fn start_private() -> Result<Self> {
        Self::start_with(Postgres::start_private).await
    }

    async fn start_with(
        postgres: impl AsyncFnOnce(&Workspace, &Tools, &Logs) -> Result<Postgres>,
    ) -> Result<Self> {
        let (workspace, logs, tools) = blocking(|| {
            let workspace = Workspace::locate()?;
            let logs = Logs::new(&workspace)?;
            let tools = Tools::install(&workspace)?;
            Ok((workspace, logs, tools))
        })
        .await?;
        let (postgres, aws) = tokio::try_join!(
            postgres(&workspace, &tools, &logs),
            Aws::start(&tools, &logs)
        )?;
        Ok(Self {
            workspace,
            tools,
            logs,
            postgres,
            aws,
        })
    }

    /// Stops both.
    pub async fn stop(&self) -> Result<()> {
        tokio::try_join!(self.postgres.stop(), self.aws.stop())?;
        Ok(())
    }
}

/// Runs work that blocks, such as other programs, where it holds nothing up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work).await?
}
