use crate::system::{System, Visitor, report, with_system};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Stdio,
    time::Duration,
};
use tests::shared;
use tokio::{process::Command, time::timeout};

/// How long schemathesis may take. On two idle cores it needs about 40 s; what takes longer than
/// this hangs.
const AT_MOST: Duration = Duration::from_mins(8);

/// What must be empty after whatever requests there were, and no constraint can say.
const INCONSISTENT: &str = r"-- inconsistent
SELECT format('athlete %s without an invitation', id) FROM athlete
WHERE NOT EXISTS (SELECT FROM invitation WHERE athlete_id = athlete.id)
UNION ALL
SELECT format('linked athlete %s with an open invitation', athlete.id) FROM athlete
JOIN invitation ON athlete_id = athlete.id
WHERE user_id IS NOT NULL AND is_open(invitation)";

/// Whatever is known of people, and is long enough not to be part of another word.
const PERSONAL: &str = r#"-- personal
SELECT DISTINCT said
FROM (
    SELECT unnest(ARRAY[email, phone, full_name, athlete_code, left(athlete_code, 5) || '-' || right(athlete_code, 5)]) FROM athlete
    UNION ALL SELECT unnest(ARRAY[email, full_name, avatar_url]) FROM "user"
    UNION ALL SELECT email FROM waitlist
    UNION ALL SELECT name FROM business
    UNION ALL SELECT name FROM workout
) AS known (said)
WHERE length(said) >= 6"#;

/// schemathesis makes up requests from the contract, right ones and wrong ones, and sequences of
/// them, and holds every answer to it. How, and which of its checks can't hold here, is in
/// `tests/schemathesis`.
#[test]
fn every_response_is_one_that_the_contract_names() {
    with_system(async |system| {
        let requests = schemathesis(system).await;

        let mut statuses: BTreeMap<String, BTreeMap<u64, usize>> = BTreeMap::new();
        for entry in &requests {
            let (method, path) = method_and_path(system, entry);
            if let Some(route) = system.contract.path_of(&method, &path) {
                let status = entry["response"]["status"].as_u64().expect("a status");
                *statuses
                    .entry(format!("{method} {route}"))
                    .or_default()
                    .entry(status)
                    .or_default() += 1;
            }
        }
        report(&format!(
            "schemathesis: {} requests, answered with {statuses:#?}",
            requests.len()
        ));
        let succeeded: BTreeSet<_> = statuses
            .iter()
            .filter(|(_, responses)| responses.range(200..300).next().is_some())
            .map(|(route, _)| route.clone())
            .collect();
        let routes: BTreeSet<_> = system
            .contract
            .operations()
            .into_iter()
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        assert_eq!(succeeded, routes, "every route does its work at least once");

        let logs = logs(system);
        nothing_went_wrong_inside(&logs);
        let inconsistent = ask(system, INCONSISTENT).await;
        assert!(inconsistent.is_empty(), "{inconsistent:#?}");
        let personal = ask(system, PERSONAL).await;
        assert!(personal.len() > 50, "there is much to be told");
        for text in personal {
            let escaped = Value::from(text.as_str()).to_string();
            let tells =
                |log: &String| log.contains(&text) || log.contains(escaped.trim_matches('"'));
            assert!(!logs.values().any(tells), "a log tells {text:?}");
        }
    });
}

/// Runs schemathesis as somebody who owns a gym and trains in it, and gives the requests that it
/// made with their answers.
async fn schemathesis(system: &'static System) -> Vec<Value> {
    let owner = system.visitor("owner@schema.example");
    let (gym, athletes) = owns_and_trains(&owner, "owner@schema.example").await;
    let gym_id = gym.parse().expect("an id");
    let removed = owner.registers(gym_id, "cyd@schema.example").await;
    let removed = removed["id"].as_str().expect("an id");
    let directory = tempfile::tempdir().expect("a directory can be made");
    let identities = directory.path().join("identities.json");
    let stranger = system.visitor("stranger@schema.example");
    let identity = |name, who: &Visitor| {
        let token = who.token.as_deref().expect("they have one");
        json!({"name": name, "fixedHeaders": [{"name": "Authorization", "value": format!("Bearer {token}")}]})
    };
    let both = json!({"auth": [identity("owner", &owner), identity("stranger", &stranger)]});
    fs::write(&identities, both.to_string()).expect("the file can be written");
    let archive = directory.path().join("requests.har");

    let shared = shared().await;
    let root = &shared.workspace.root;
    let mut command = Command::new(
        shared
            .tools
            .schemathesis(&shared.workspace)
            .expect("schemathesis can be installed"),
    );
    let how = root.join("tests/schemathesis");
    command
        // Where it leaves its caches.
        .current_dir(directory.path())
        .arg("--config-file")
        .arg(how.join("schemathesis.toml"))
        .arg("run")
        .arg(root.join("openapi.yaml"))
        .args(["--url", system.stack.base_url(), "--no-color"])
        .args(["--report", "har", "--report-har-path"])
        .arg(&archive)
        .env("SCHEMATHESIS_HOOKS", how.join("hooks.py"))
        .env("IDENTITIES", &identities)
        .env("GYM", &gym)
        .env("ATHLETES", athletes.join(" "))
        .env("REMOVED", removed)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(AT_MOST, command.output())
        .await
        .expect("schemathesis ends in time")
        .expect("schemathesis starts");
    let found = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{found}\n{error}");
    requests_in(&archive)
}

/// Opens a gym with athletes, one of whom is the owner, who has a workout. Gives the gym and the
/// athletes.
async fn owns_and_trains(owner: &Visitor, email: &str) -> (String, Vec<String>) {
    let gym = owner.opens_gym("Iron Temple").await;
    let mut athletes = Vec::new();
    for address in [email, "ada@schema.example", "bob@schema.example"] {
        let athlete = owner.registers(gym, address).await;
        athletes.push(athlete["id"].as_str().expect("an id").to_owned());
    }
    let linked = owner.post("/signup-link", json!({})).await.expect(200);
    assert_eq!(linked["status"], "linked");
    for name in ["Legs", "Back"] {
        let workout = owner.post("/workouts", json!({"name": name})).await;
        let workout = workout.expect(201)["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let assigned = json!({"business_id": gym, "athlete_ids": athletes});
        owner
            .post(&format!("/workouts/{workout}/assignments"), assigned)
            .await
            .expect(200);
    }
    (gym.to_string(), athletes)
}

/// The requests of an HTTP Archive (HAR 1.2).
fn requests_in(archive: &Path) -> Vec<Value> {
    let text = fs::read_to_string(archive).expect("schemathesis has written it");
    let mut archive: Value = serde_json::from_str(&text).expect("JSON");
    match archive["log"]["entries"].take() {
        Value::Array(entries) => entries,
        other => panic!("an archive has entries, not {other}"),
    }
}

fn method_and_path(system: &System, entry: &Value) -> (String, String) {
    let text = |member: &str| {
        entry["request"][member]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    let url = text("url");
    let path = url
        .strip_prefix(system.stack.base_url())
        .expect("only this system is asked");
    (text("method"), path.to_owned())
}

/// The logs of the functions, by function: of this test, and of all that have used the system
/// before.
fn logs(system: &System) -> BTreeMap<String, String> {
    let log = |function: &str| {
        let file = system.stack.services().logs.file(function);
        fs::read_to_string(file).expect("every function has a log")
    };
    let functions = system.stack.lambda().names();
    functions
        .map(|function| (function.to_owned(), log(function)))
        .collect()
}

/// A panic, and whatever is answered with 5xx, leaves a line.
fn nothing_went_wrong_inside(logs: &BTreeMap<String, String>) {
    let is_wrong = |line: &&str| {
        let status = serde_json::from_str::<Value>(line)
            .ok()
            .and_then(|line| line["status"].as_u64());
        line.contains("panicked") || status.is_some_and(|status| status >= 500)
    };
    for (function, log) in logs {
        let wrong: Vec<_> = log.lines().filter(is_wrong).collect();
        assert!(wrong.is_empty(), "{function}: {wrong:#?}");
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for line in lines.filter(|line| line["message"] == "request") {
            let id = line["span"]["id"].as_str().unwrap_or_default();
            assert!(!id.is_empty(), "{function}: no id of Lambda's in {line}");
        }
    }
}

/// The texts that a statement gives of the system's database.
async fn ask(system: &System, statement: &str) -> Vec<String> {
    let database = &shared().await.postgres;
    let client = database.connect(system.stack.database()).await;
    let client = client.expect("the database is there");
    let rows = client.query_typed(statement, &[]).await;
    let rows = rows.expect("the statement is right");
    rows.iter().map(|row| row.get(0)).collect()
}
