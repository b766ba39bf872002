//! How the AWS SDK is set up, the same for every client.

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use std::time::Duration;

/// A call to AWS takes this long at most, its one repetition included: a person is waiting for the answer.
const CALL_BUDGET: Duration = Duration::from_secs(2);

/// Region, credentials and endpoints as Lambda sets them in the environment.
pub async fn config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .timeout_config(
            TimeoutConfig::builder()
                .operation_timeout(CALL_BUDGET)
                .build(),
        )
        .load()
        .await
}
