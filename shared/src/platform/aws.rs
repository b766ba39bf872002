//! The setup of the AWS SDK, the same for every client, and the meaning of its errors.

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use std::{error::Error, fmt, time::Duration};

/// The longest time that a call to AWS takes, its one retry included: a person is waiting for the
/// response.
pub const CALL_BUDGET: Duration = Duration::from_secs(2);

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

/// The configuration of a client that sends messages: it makes every call once. A call that got no
/// answer may have been carried out, and the SDK would send the same message again.
pub(crate) fn once(aws: &SdkConfig) -> SdkConfig {
    let once = aws.to_builder().retry_config(RetryConfig::disabled());
    once.build()
}

/// The code of an error of AWS, or the reason why there was no response. The error's message is
/// left out: it repeats addresses and numbers.
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

/// True if the call did not get to AWS: it could not be made, or there was no connection to send it
/// over. Of any other call without an answer nobody knows whether it was carried out.
pub(crate) fn is_not_sent<E, R>(error: &SdkError<E, R>) -> bool
where
    E: Error + 'static,
    R: fmt::Debug + 'static,
{
    if matches!(error, SdkError::ConstructionFailure(_)) {
        return true;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        let client_error = error.downcast_ref::<hyper_util::client::legacy::Error>();
        if client_error.is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// True if AWS wants fewer calls at a time, or fewer a day. The codes are those that the SDK knows,
/// and SNS's own.
pub(crate) fn is_throttling<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    let name = error.code().unwrap_or_default();
    ["Throttl", "TooManyRequests", "LimitExceeded", "SlowDown"]
        .iter()
        .any(|part| name.contains(part))
}
