use crate::{
    config::{Faults, variables},
    db::{Db, DbConfig},
};

/// What a function that only needs the database works with. It is made once for an environment's life.
pub struct App {
    /// The database.
    pub db: Db,
}

impl App {
    /// From the environment variables.
    pub async fn from_env() -> Result<Self, Faults> {
        let mut variables = variables();
        let config = DbConfig::from_variables(&mut variables);
        let config = variables.finish(config)?;
        Ok(Self {
            db: Db::open(config, &crate::aws::config().await).await?,
        })
    }
}
