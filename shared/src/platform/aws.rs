//! The setup of the AWS SDK, the same for every client, and the meaning of its errors.

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use std::time::Duration;

/// The longest time that a call to AWS takes, its one retry included: a person is waiting for the response.
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

/// The code of an error of AWS, or the reason why there was no response. The error's message is left out: it repeats addresses
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

/// True if AWS wants fewer calls at a time, or fewer a day. The codes are those that the SDK knows, and SNS's own.
pub(crate) fn is_throttling<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let name = error.code().unwrap_or_default();
    ["Throttl", "TooManyRequests", "LimitExceeded", "SlowDown"]
        .iter()
        .any(|part| name.contains(part))
}
