//! How the AWS SDK is set up, the same for every client.

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
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

/// What an error of AWS is called, or what kept the call from being answered. Its message is left out: it repeats addresses
/// and numbers.
pub(crate) fn name_of<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> &str {
    match error {
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(_) => "not reached",
        SdkError::ServiceError(service) => {
            service.err().code().unwrap_or("an error without a name")
        }
        _ => "no answer that makes sense",
    }
}

/// Whether AWS wants fewer calls at a time, or fewer a day: the names of it that the SDK knows, and SNS's own.
pub(crate) fn is_throttling<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let name = error.code().unwrap_or_default();
    ["Throttl", "TooManyRequests", "LimitExceeded", "SlowDown"]
        .iter()
        .any(|part| name.contains(part))
}
