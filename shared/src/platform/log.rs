//! The log of a function: JSON lines on standard output, from where Lambda takes them. Each request
//! has one line, with ids and never with names, addresses or codes. Each count has a line too: see
//! [`crate::platform::metrics`].

use crate::platform::{
    metrics::{self, EmbeddedMetricFormat},
    problem::Problem,
};
use lambda_http::Error;
use serde_json::Value;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tracing::Subscriber;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

/// Starts the log of this process, on standard output.
pub(crate) fn start(function_name: String) {
    // Only a test process has a subscriber already, and then that one stays.
    let _ = subscriber(function_name, std::io::stdout).try_init();
}

/// The subscriber that turns tracing's events into lines.
pub fn subscriber<W>(function_name: String, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Clone + Send + Sync + 'static,
{
    let lines = Targets::new()
        .with_default(LevelFilter::INFO)
        // This target would log every failure a second time, with all that its `Debug` shows.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
        .with_target(metrics::TARGET, LevelFilter::OFF);
    let counts = Targets::new().with_target(metrics::TARGET, LevelFilter::INFO);
    registry()
        .with(
            fmt::layer()
                .json()
                .flatten_event(true)
                // Lambda's and the trace's id, on every line.
                .with_current_span(true)
                .with_span_list(false)
                .with_writer(writer.clone())
                .with_filter(lines),
        )
        .with(
            fmt::layer()
                .event_format(EmbeddedMetricFormat { function_name })
                .with_writer(writer)
                .with_filter(counts),
        )
}

/// The time that something took, and the part of it that was spent on the database.
pub(crate) struct Timings {
    pub(crate) all: Duration,
    pub(crate) database: Duration,
}

/// Writes the line of a request.
pub(crate) fn request(
    request_id: &str,
    route: &str,
    took: &Timings,
    status: u16,
    problem: Option<&Problem>,
) {
    let cold_start = is_cold_start();
    let (duration_ms, database_ms) = (milliseconds(took.all), milliseconds(took.database));
    let slug = problem.map(|problem| problem.kind().slug());
    let cause = problem.and_then(Problem::cause);
    if status >= 500 {
        tracing::error!(
            request_id,
            route,
            status,
            problem = slug,
            cause,
            duration_ms,
            database_ms,
            cold_start,
            "request"
        );
    } else {
        tracing::info!(
            request_id,
            route,
            status,
            problem = slug,
            cause,
            duration_ms,
            database_ms,
            cold_start,
            "request"
        );
    }
    metrics::request(status, problem.map(Problem::kind), cold_start);
}

/// Writes the line of an event that is not a request.
pub(crate) fn event(request_id: &str, took: &Timings, result: &Result<Value, Error>) {
    let cold_start = is_cold_start();
    let (duration_ms, database_ms) = (milliseconds(took.all), milliseconds(took.database));
    match result {
        Ok(report) => {
            tracing::info!(request_id, %report, duration_ms, database_ms, cold_start, "event");
        }
        Err(failure) => {
            tracing::error!(request_id, cause = %failure, duration_ms, database_ms, cold_start, "event");
        }
    }
    metrics::event(cold_start);
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// True for the first request or event of an environment.
fn is_cold_start() -> bool {
    static WARM: AtomicBool = AtomicBool::new(false);
    !WARM.swap(true, Ordering::Relaxed)
}
