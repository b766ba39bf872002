//! The Lambda function. It migrates, whatever the event is; an error fails the invocation, and so the deployment.

use lambda_http::{
    Error, LambdaEvent,
    lambda_runtime::{run, service_fn},
};
use serde::de::IgnoredAny;
use shared::platform::{
    config::variables,
    db::{DbConfig, connect},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut variables = variables();
    let config = DbConfig::from_variables(&mut variables);
    let config = &variables.finish(config)?;
    run(service_fn(async |_: LambdaEvent<IgnoredAny>| {
        let mut client = connect(config.clone(), &shared::platform::aws::config().await).await?;
        Ok::<_, Error>(migrate::apply(&mut client, &migrate::runner()).await?)
    }))
    .await
}
