//! The Lambda function. It migrates and lets the functions in, whatever the event is; an error
//! fails the invocation, and so the deployment.

use lambda_http::{
    Error, LambdaEvent,
    lambda_runtime::{run, service_fn},
};
use migrate::{Config, apply, let_functions_in, runner};
use serde::de::IgnoredAny;
use shared::platform::{
    config::variables,
    db::{connect, credentials},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = &Config::from_variables(variables())?;
    run(service_fn(async |_: LambdaEvent<IgnoredAny>| {
        let aws = shared::platform::aws::config().await;
        let mut client = connect(config.database.clone(), &aws).await?;
        let report = apply(&mut client, &runner()).await?;
        let login = credentials(&config.functions_secret_id, &aws).await?;
        let_functions_in(&client, &login).await?;
        Ok::<_, Error>(report)
    }))
    .await
}
