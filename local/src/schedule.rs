//! Invokes functions at their schedules, as EventBridge Scheduler does.

use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};

use crate::lambda::{Lambda, Outcome};
use crate::progress;
use crate::template::Function;

/// The schedules of these functions, running until this value is dropped. The first invocation
/// comes after the first interval.
pub fn start(functions: &[Function], lambda: &Arc<Lambda>) -> JoinSet<()> {
    let mut schedules = JoinSet::new();
    for function in functions {
        if let Some(every) = function.every {
            let (name, lambda) = (function.name.clone(), Arc::clone(lambda));
            schedules.spawn(async move {
                let mut times = interval_at(Instant::now() + every, every);
                loop {
                    times.tick().await;
                    let failure = match lambda.invoke(&name, &json!({})).await {
                        Ok(Outcome::Returned(_)) => continue,
                        Ok(Outcome::Failed(reason)) => reason,
                        Err(error) => format!("{error:#}"),
                    };
                    progress(format_args!("{name} failed: {failure}"));
                }
            });
        }
    }
    schedules
}
