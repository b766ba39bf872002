//! What the targets in `targets/` have in common: the functions without a database, and how an
//! event is changed into another.

mod functions;
mod mutation;

pub use functions::Functions;
pub use mutation::mutate;

use std::{fs, path::Path};

/// The root of the workspace.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A sample of `events/`: `register-athlete/created`, for instance.
#[must_use]
pub fn sample(name: &str) -> serde_json::Value {
    let path = root().join(format!("events/{name}.json"));
    let text = fs::read(path).expect("the sample is there");
    serde_json::from_slice(&text).expect("a sample is JSON")
}
