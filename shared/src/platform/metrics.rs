//! Metrics. Each count is a line of the log in CloudWatch's embedded metric format. CloudWatch
//! makes a metric of it, in the namespace `GymBrah`; the function makes no call, and waits for
//! nothing
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use crate::platform::problem::Kind;
use serde_json::{Map, Value, json};
use std::{fmt, time::Duration};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// The target of tracing's events that are counts. Their texts are dimensions, their whole numbers
/// are counts, their other numbers are seconds.
pub(crate) const TARGET: &str = "metrics";

/// Counts invitations by outcome: the status that they have now, or `retried` where the provider
/// did not take one this time.
pub fn invitations(outcome: &str, number: usize) {
    if number > 0 {
        tracing::info!(target: TARGET, Outcome = outcome, Invitations = number);
    }
}

/// Records how long the oldest queued invitation has been due.
pub fn oldest_queued_invitation(overdue: Duration) {
    tracing::info!(target: TARGET, OldestQueuedInvitation = overdue.as_secs_f64());
}

/// Counts the responses that alarms watch (a 5xx, an account that is locked out after wrong codes),
/// and cold starts.
pub(crate) fn request(status: u16, problem: Option<Kind>, cold_start: bool) {
    if status >= 500 {
        tracing::info!(target: TARGET, ServerErrors = 1);
    }
    if problem == Some(Kind::TooManyAttempts) {
        tracing::info!(target: TARGET, Lockouts = 1);
    }
    event(cold_start);
}

/// Counts a cold start, if it was one. Lambda itself counts the events that fail.
pub(crate) fn event(cold_start: bool) {
    if cold_start {
        tracing::info!(target: TARGET, ColdStarts = 1);
    }
}

/// Writes an event as a document of the embedded metric format.
pub(crate) struct EmbeddedMetricFormat {
    /// A dimension of all metrics: it has the name of the stack in it, so that two stacks don't
    /// count together.
    pub(crate) function_name: String,
}

impl<S, N> FormatEvent<S, N> for EmbeddedMetricFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut counts = Counts::default();
        counts.dimension("FunctionName", &self.function_name);
        event.record(&mut counts);
        writeln!(writer, "{}", counts.document(unix_milliseconds()))
    }
}

/// The fields of one document.
#[derive(Default)]
struct Counts {
    dimensions: Vec<&'static str>,
    metrics: Vec<Value>,
    values: Map<String, Value>,
}

impl Counts {
    fn dimension(&mut self, name: &'static str, value: &str) {
        self.dimensions.push(name);
        self.values.insert(name.to_owned(), value.into());
    }

    fn metric(&mut self, name: &'static str, unit: &str, value: impl Into<Value>) {
        self.metrics.push(json!({"Name": name, "Unit": unit}));
        self.values.insert(name.to_owned(), value.into());
    }

    fn document(mut self, timestamp: u64) -> Value {
        let directive = json!({
            "Namespace": "GymBrah",
            "Dimensions": [self.dimensions],
            "Metrics": self.metrics,
        });
        self.values.insert(
            "_aws".to_owned(),
            json!({"Timestamp": timestamp, "CloudWatchMetrics": [directive]}),
        );
        self.values.into()
    }
}

impl Visit for Counts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.dimension(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.metric(field.name(), "Count", value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.metric(field.name(), "Count", value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.metric(field.name(), "Seconds", value);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// The time of a count, which CloudWatch needs for the metric.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is compared with it: it says when this environment counted"
)]
fn unix_milliseconds() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
