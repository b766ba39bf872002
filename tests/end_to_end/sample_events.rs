use crate::system::{System, with_environments};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use tests::shared;
use tokio::process::Command;

/// Stands for whatever differs from run to run: ids, times, codes.
const ANY: &str = "<any>";

#[test]
fn every_sample_event_gets_the_answer_it_promises() {
    with_environments(1, async |system| {
        let events = shared().await.workspace.root.join("events");
        let expected: Map<String, Value> =
            serde_json::from_str(&read(&events, "expected.json")).expect("JSON");
        assert_eq!(
            samples(&events),
            expected.keys().cloned().collect(),
            "each sample has an answer, and each answer a sample"
        );

        let empty_and_seed = format!(
            r#"TRUNCATE "user", business, athlete, invitation, workout, workout_athlete, waitlist, athlete_code_attempt; {}"#,
            read(&events, "seed.sql")
        );
        for (sample, expected) in &expected {
            // What one does must not be there for the next.
            shared()
                .await
                .postgres
                .run(system.stack.database(), &empty_and_seed)
                .await
                .expect("the rows can be loaded");
            let mut response = invoke(system, &events, sample).await;
            response = if response["statusCode"].is_null() {
                json!({"returns": response})
            } else {
                let text = response["body"].as_str().unwrap_or("null");
                response["body"] = serde_json::from_str(text).expect("every body is JSON");
                check(system, &events, sample, &response);
                json!({"status": response["statusCode"], "body": response["body"]})
            };
            assert!(
                is_as_expected(&response, expected),
                "{sample}: {response:#}\nis not {expected:#}"
            );
        }
    });
}

/// What `events/README.md` says: `cargo lambda invoke FUNCTION --data-file events/FUNCTION/CASE.json`.
async fn invoke(system: &System, events: &Path, sample: &str) -> Value {
    let (function, _) = sample
        .split_once('/')
        .expect("a sample is in the folder of its function");
    let shared = shared().await;
    let cargo_lambda = shared.tools.cargo_lambda(&shared.workspace);
    let output = Command::new(cargo_lambda.expect("cargo-lambda can be installed"))
        .args(["lambda", "invoke", function, "--invoke-address=127.0.0.1"])
        .arg(format!("--invoke-port={}", system.stack.lambda().port()))
        .arg("--data-file")
        .arg(events.join(sample))
        .output()
        .await
        .expect("cargo-lambda runs");
    assert!(
        output.status.success(),
        "{sample}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Holds the answer to the contract, where the sample is a request.
fn check(system: &System, events: &Path, sample: &str, response: &Value) {
    let event: Value = serde_json::from_str(&read(events, sample)).expect("JSON");
    if let Some((method, path)) = event["routeKey"]
        .as_str()
        .and_then(|key| key.split_once(' '))
    {
        let status = response["statusCode"]
            .as_u64()
            .and_then(|status| status.try_into().ok())
            .expect("a status");
        let content_type = response["headers"]["content-type"]
            .as_str()
            .unwrap_or_default();
        system
            .contract
            .check(method, path, status, content_type, &response["body"]);
    }
}

fn is_as_expected(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (_, Value::String(any)) if any == ANY => true,
        (Value::Object(value), Value::Object(expected)) => {
            let is_expected = |(name, value)| {
                expected
                    .get(name)
                    .is_some_and(|expected| is_as_expected(value, expected))
            };
            value.len() == expected.len() && value.iter().all(is_expected)
        }
        (Value::Array(value), Value::Array(expected)) => {
            value.len() == expected.len()
                && value
                    .iter()
                    .zip(expected)
                    .all(|(value, expected)| is_as_expected(value, expected))
        }
        _ => value == expected,
    }
}

fn read(events: &Path, name: &str) -> String {
    fs::read_to_string(events.join(name)).expect("the file can be read")
}

/// The samples, named as `register-athlete/created.json`.
fn samples(events: &Path) -> BTreeSet<String> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("the folder can be read");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let files = list(events)
        .into_iter()
        .filter(|path| path.is_dir())
        .flat_map(|folder| list(&folder));
    files
        .map(|file| {
            file.strip_prefix(events)
                .expect("a file in events")
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}
