use crate::system::{System, with_environments};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::AthleteCode;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use tests::shared;
use tokio::process::Command;
use uuid::Uuid;

/// The command that accepts the answers as they are now.
const ACCEPT: &str = "INSTA_UPDATE=always cargo test --test end_to_end sample_events";

#[test]
fn every_sample_event_gets_the_answer_that_was_accepted() {
    with_environments(1, async |system| {
        let events = shared().await.workspace.root.join("events");
        let rows = read(&events, "seed.sql");
        let empty_and_seed = format!(
            r#"TRUNCATE "user", identity, business, athlete, invitation, workout, workout_athlete, completion, waitlist, athlete_code_attempt; {rows}"#
        );
        let samples = stems(&events, "json");
        for sample in &samples {
            // What one does must not be there for the next.
            shared()
                .await
                .postgres
                .run(system.stack.database(), &empty_and_seed)
                .await
                .expect("the rows can be loaded");
            let event = format!("{sample}.json");
            let mut response = invoke(system, &events, &event).await;
            response = if response["statusCode"].is_null() {
                json!({"returns": response})
            } else {
                let text = response["body"].as_str().unwrap_or("null");
                response["body"] = serde_json::from_str(text).expect("every body is JSON");
                check(system, &events, &event, &response);
                json!({"status": response["statusCode"], "body": response["body"]})
            };
            redact(&mut response, &format!("{rows}{}", read(&events, &event)));
            assert_accepted(&events, sample, &response);
        }
        assert_eq!(
            samples,
            stems(&events, "snap"),
            "each sample has an answer ({ACCEPT}), and each answer a sample, or is to be deleted"
        );
    });
}

/// Compares the answer with the one that was accepted, beside the event.
fn assert_accepted(events: &Path, sample: &str, answer: &Value) {
    let (function, case) = sample.split_once('/').expect("a folder and a name");
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(events.join(function));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_json_snapshot!(case, answer));
}

/// Puts `[id]`, `[time]` or `[code]` where the answer has one that was not known before: not from
/// the rows, not from the event.
fn redact(value: &mut Value, known: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, known)),
        Value::Object(members) => members.values_mut().for_each(|item| redact(item, known)),
        Value::String(text) => {
            // The app's address has a port of the moment, and ends with a code.
            if let Some((_, code)) = text.split_once("/join?code=") {
                let mut code = json!(code);
                redact(&mut code, known);
                *text = format!("[app]/join?code={}", code.as_str().expect("a text"));
                return;
            }
            let mut plain = text.clone();
            let kind = if text.parse::<Uuid>().is_ok() {
                "[id]"
            } else if text.parse::<Timestamp>().is_ok() {
                "[time]"
            } else if text.parse::<AthleteCode>().is_ok() {
                plain.retain(|character| character != '-'); // as the rows have it
                "[code]"
            } else {
                return;
            };
            if !known.contains(&plain) {
                kind.clone_into(text);
            }
        }
        _ => {}
    }
}

/// What `events/README.md` says: `cargo lambda invoke FUNCTION --data-file
/// events/FUNCTION/CASE.json`.
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

fn read(events: &Path, name: &str) -> String {
    fs::read_to_string(events.join(name)).expect("the file can be read")
}

/// The files of this kind, named as `register-athlete/created`.
fn stems(events: &Path, extension: &str) -> BTreeSet<String> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("the folder can be read");
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let files = list(events)
        .into_iter()
        .filter(|path| path.is_dir())
        .flat_map(|folder| list(&folder))
        .filter(|file| file.extension().is_some_and(|of_file| of_file == extension));
    files
        .map(|file| {
            file.strip_prefix(events)
                .expect("a file in events")
                .with_extension("")
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}
