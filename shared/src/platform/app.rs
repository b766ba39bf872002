use crate::platform::{
    config::{ConfigError, Variables, variables},
    db::{Db, DbConfig},
};

/// What a function that only needs the database works with. It is made once for an environment's life.
pub struct App {
    /// The database.
    pub db: Db,
}

impl App {
    /// From the environment variables.
    pub async fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(variables()).await
    }

    /// From variables that are found otherwise.
    pub async fn from_variables(
        mut variables: Variables<impl Fn(&str) -> Option<String>>,
    ) -> Result<Self, ConfigError> {
        let config = DbConfig::from_variables(&mut variables);
        let config = variables.finish(config)?;
        Ok(Self {
            db: Db::open(config, &crate::platform::aws::config().await).await?,
        })
    }
}
