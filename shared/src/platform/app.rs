use crate::platform::{
    config::{ConfigError, Variables, variables},
    db::{Db, DbConfig},
};

/// The state of a function that needs only the database. It is made once for the life of an
/// environment.
pub struct App {
    pub db: Db,
}

impl App {
    pub async fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(variables()).await
    }

    /// Makes the state from variables that need not be those of the process, as in tests.
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
