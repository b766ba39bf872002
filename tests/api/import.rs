use deliver_invitations::{Report, handle};
use futures::future::join_all;
use serde_json::{Value, json};
use shared::domain::AthleteCode;
use std::{
    collections::HashSet,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tests::{Person, Response, TestApp, story};
use tokio::time::Instant;
use uuid::Uuid;

const AT_ONCE: usize = 50;

fn path(gym: Uuid) -> String {
    format!("/businesses/{gym}/athletes/import")
}

/// Imports a table, as a spreadsheet would be uploaded.
async fn import_csv(app: &TestApp, owner: &Person, path: &str, table: &str) -> Response {
    let mut event = owner.event("POST", path, Some(table));
    event["headers"]["content-type"] = json!("text/csv; charset=utf-8");
    app.call(&event).await
}

/// The outcome of each athlete, by its email or phone.
fn outcomes(response: &Value) -> Vec<(&str, &str)> {
    let items = response["items"].as_array().expect("a list");
    let outcomes = items.iter().enumerate().map(|(index, item)| {
        assert_eq!(item["index"], index);
        let athlete = &item["athlete"];
        let email = athlete["email"].as_str();
        (
            email.or(athlete["phone"].as_str()).unwrap_or("nobody yet"),
            item["outcome"].as_str().expect("an outcome"),
        )
    });
    outcomes.collect()
}

/// How many rows the gyms have: athletes, and their invitations.
async fn rows(app: &TestApp) -> (i64, i64) {
    (
        app.ask("SELECT count(*) FROM athlete").await,
        app.ask("SELECT count(*) FROM invitation").await,
    )
}

/// Athletes with different addresses.
fn many(number: usize) -> Value {
    let athlete = |n| json!({"email": format!("{n}@many.example"), "full_name": format!("No. {n}"), "locale": "it"});
    json!({"athletes": (0..number).map(athlete).collect::<Vec<_>>()})
}

#[test]
fn import_registers_all_athletes_and_the_relay_invites_them() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let body = json!({"athletes": [
            {"email": "Ada@import.example", "full_name": "Ada", "locale": "it"},
            {"phone": "+39 333 888 0001", "full_name": null},
            {"email": "bob@import.example", "phone": "+393338880001"},
        ]});
        let response = owner.post(&path(gym), &body).await.expect(200);
        assert_eq!(
            outcomes(&response),
            [
                ("ada@import.example", "created"),
                ("+393338880001", "created"),
                ("bob@import.example", "created"),
            ]
        );
        assert!(app.mails_to("ada@import.example").await.is_empty());
        assert!(app.ask::<bool>("SELECT bool_and(status = 'queued' AND attempts = 0 AND next_attempt_at <= now() AND expires_at > now() + interval '29 days') FROM invitation").await);

        let roster = owner.get(&format!("/businesses/{gym}/athletes")).await;
        let mut on_roster = roster.expect(200)["items"].clone();
        on_roster.as_array_mut().expect("a list").reverse();
        let items = response["items"].as_array().expect("a list");
        let answered: Value = items.iter().map(|item| item["athlete"].clone()).collect();
        assert_eq!(on_roster, answered, "the roster shows what was answered");

        let relay = app.relay(TestApp::sender(app.shared, None)).await;
        let report = handle(&relay, Instant::now() + Duration::from_mins(1)).await;
        let expected = Report {
            sent: 3,
            ..Report::default()
        };
        assert_eq!(report.expect("the database answers"), expected);
        let mail = &app.mails_to("ada@import.example").await[0];
        let code = answered[0]["athlete_code"].as_str().expect("a code");
        assert!(mail.text.contains(code), "{mail:?}");
        assert_eq!(app.mails_to("+393338880001").await.len(), 1);
        let ada = app.person("ada@import.example").links(None).await;
        assert_eq!(ada.expect(200)["status"], "linked");
    });
}

#[test]
fn every_form_of_spreadsheet_gives_the_same_import() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        for table in [
            "email,phone,full_name,locale\nada@csv.example,,\"Lovelace, Ada\",it\n,+39 333 888 0002,Bob,\n",
            "\u{FEFF}EMAIL;Phone;FULL_NAME;Locale\r\nAda@csv.example;;Lovelace, Ada;it\r\n;+393338880002;Bob;\r\n",
            "locale,full_name,email,phone\r\n\r\nit,\"Lovelace, Ada\",ada@csv.example,\r\n,,,\r\n,Bob,,+39-333-888-0002",
        ] {
            let gym = owner.opens_gym("Iron Temple").await;
            let response = import_csv(app, &owner, &path(gym), table).await.expect(200);
            let athletes: Vec<_> = (0..2).map(|n| &response["items"][n]["athlete"]).collect();
            let said = |athlete: &Value| {
                ["email", "phone", "full_name", "locale"].map(|name| athlete[name].clone())
            };
            assert_eq!(
                athletes.into_iter().map(said).collect::<Vec<_>>(),
                [
                    [
                        json!("ada@csv.example"),
                        Value::Null,
                        json!("Lovelace, Ada"),
                        json!("it")
                    ],
                    [
                        Value::Null,
                        json!("+393338880002"),
                        json!("Bob"),
                        json!("en")
                    ],
                ],
                "{table}"
            );
        }
    });
}

#[test]
fn repeated_import_changes_nothing_and_sends_nothing() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let known = owner
            .registers(gym, &json!({"email": "known@import.example"}))
            .await;
        let body = |name: &str| {
            json!({"athletes": [
                {"email": "new@import.example", "full_name": name},
                {"email": "known@import.example", "full_name": name},
                {"phone": "+393338880003", "full_name": name},
            ]})
        };
        let first = owner.post(&path(gym), &body("First")).await.expect(200);
        assert_eq!(
            outcomes(&first)
                .iter()
                .map(|item| item.1)
                .collect::<Vec<_>>(),
            ["created", "already_registered", "created"]
        );
        assert_eq!(first["items"][1]["athlete"], known);

        let stored = rows(app).await;
        let second = owner.post(&path(gym), &body("FIRST ")).await.expect(200);
        for index in 0..3 {
            let (first, second) = (&first["items"][index], &second["items"][index]);
            assert_eq!(second["outcome"], "already_registered");
            assert_eq!(second["athlete"], first["athlete"]);
        }
        assert_eq!(second["counts"]["already_registered"], 3);
        assert_eq!((rows(app).await, stored), ((3, 3), (3, 3)));

        // Another gym knows nothing of it.
        let other_gym = owner.opens_gym("Second Temple").await;
        let elsewhere = owner.post(&path(other_gym), &body("First")).await;
        assert!(
            outcomes(&elsewhere.expect(200))
                .iter()
                .all(|(_, outcome)| *outcome == "created")
        );
    });
}

#[test]
fn dry_run_says_what_would_happen_and_writes_nothing() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let known = owner
            .registers(gym, &json!({"phone": "+393338880004"}))
            .await;
        let body = json!({"athletes": [{"email": "new@dry.example"}, {"phone": "+393338880004"}, {"email": "too@dry.example", "phone": "+393338880004"}]});

        let dry = owner
            .post(&format!("{}?dry_run=true", path(gym)), &body)
            .await
            .expect(200);
        assert_eq!(
            dry,
            json!({"items": [
                {"index": 0, "outcome": "created", "athlete": null},
                {"index": 1, "outcome": "already_registered", "athlete": known},
                {"index": 2, "outcome": "created", "athlete": null},
            ]})
        );
        assert_eq!(rows(app).await, (1, 1));

        let wet = owner
            .post(&format!("{}?dry_run=false", path(gym)), &body)
            .await
            .expect(200);
        for index in 0..3 {
            assert_eq!(
                wet["items"][index]["outcome"],
                dry["items"][index]["outcome"]
            );
        }
        assert_eq!(rows(app).await, (3, 3));

        for wrong in ["", "1", "TRUE", "yes", "true,true"] {
            let path = format!("{}?dry_run={wrong}", path(gym));
            let response = owner.post(&path, &json!({"athletes": [{}]})).await;
            assert_eq!(
                response.expect(422)["errors"],
                json!([
                    {"parameter": "dry_run", "code": "wrong_type", "detail": "must be true or false"},
                    {"pointer": "#/athletes/0/email", "code": "required", "detail": "is required, or a phone"},
                ]),
                "{wrong:?}"
            );
        }
    });
}

#[test]
fn all_errors_of_all_rows_are_reported_and_nothing_is_stored() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let faulty = || {
            (0..500)
                .map(|n| json!({"email": n, "phone": "x", "full_name": "", "locale": "?", "n": n}))
        };
        let body = json!({"athletes": faulty().collect::<Vec<_>>(), "gym": "mine"});
        let response = owner.post(&path(gym), &body).await.expect(422);
        let errors = response["errors"].as_array().expect("faults");
        assert_eq!(errors.len(), 5 * 500 + 1);
        assert_eq!(errors[5 * 499 + 2]["pointer"], "#/athletes/499/full_name");

        let table = "n".repeat(500).replace('n', "x,x,\"a\nb\",?\r\n");
        let table = format!("email,phone,full_name,locale\r\nada@example.org,,,\r\n{table}");
        let response = import_csv(app, &owner, &path(gym), &table)
            .await
            .expect(422);
        let errors = response["errors"].as_array().expect("faults");
        assert_eq!(errors.len(), 4 * 499 + 1, "499, and one too many");
        assert_eq!(errors[0]["column"], "email");
        assert_eq!(errors[0]["row"], 3);
        assert_eq!(errors[4 * 499 - 1]["column"], "locale");
        assert_eq!(errors[4 * 499 - 1]["row"], 501);
        assert_eq!(errors[4 * 499]["row"], 502);
        assert_eq!(rows(app).await, (0, 0), "not even the one that was right");

        for (body, errors) in [
            (
                json!({}),
                json!([{"pointer": "#/athletes", "code": "required", "detail": "is required"}]),
            ),
            (
                json!({"athletes": {}}),
                json!([{"pointer": "#/athletes", "code": "wrong_type", "detail": "must be a list of objects"}]),
            ),
            (
                json!({"athletes": []}),
                json!([{"pointer": "#/athletes", "code": "list_length", "detail": "must be a list of 1 to 500 objects"}]),
            ),
            (
                many(501),
                json!([{"pointer": "#/athletes", "code": "list_length", "detail": "must be a list of 1 to 500 objects"}]),
            ),
            (
                json!({"athletes": [[], null]}),
                json!([
                    {"pointer": "#/athletes/0", "code": "wrong_type", "detail": "must be an object"},
                    {"pointer": "#/athletes/1", "code": "wrong_type", "detail": "must be an object"},
                ]),
            ),
        ] {
            let response = owner.post(&path(gym), &body).await;
            assert_eq!(response.expect(422)["errors"], errors);
        }
        assert_eq!(rows(app).await, (0, 0));
    });
}

#[test]
fn duplicate_rows_name_both_places() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let body = json!({"athletes": [
            {"email": "ada@example.org", "phone": "+393338880005"},
            {"phone": "+393338880005"},
            {"email": "no address", "phone": "+393338880005"},
            {"email": "ADA@example.org", "full_name": ""},
            {"phone": "+39 333 888 0005"},
            {"email": " ada@example.org"},
        ]});
        let response = owner.post(&path(gym), &body).await.expect(422);
        let is_in = |place: &str, first: &str| json!({"pointer": place, "code": "duplicate", "detail": format!("is in {first} too")});
        assert_eq!(
            response["errors"],
            json!([
                {"pointer": "#/athletes/2/email", "code": "email_invalid", "detail": "must be plain ASCII, without spaces, quotes or control characters"},
                {"pointer": "#/athletes/3/full_name", "code": "required", "detail": "must not be empty"},
                is_in("#/athletes/3/email", "#/athletes/0"),
                is_in("#/athletes/4/phone", "#/athletes/1"),
                is_in("#/athletes/5/email", "#/athletes/0"),
            ])
        );

        let table =
            "email;phone\n\nada@example.org;\n;+393338880005\nAda@Example.org;\n;+39 333 8880005\n";
        let response = import_csv(app, &owner, &path(gym), table).await.expect(422);
        assert_eq!(
            response["errors"],
            json!([
                {"row": 5, "column": "email", "code": "duplicate", "detail": "is in row 3 too"},
                {"row": 6, "column": "phone", "code": "duplicate", "detail": "is in row 4 too"},
            ])
        );
        assert_eq!(rows(app).await, (0, 0));
    });
}

#[test]
fn only_the_owner_imports() {
    story(async |app| {
        let gym = app
            .person("owner@iron.example")
            .opens_gym("Iron Temple")
            .await;
        let eve = app.person("eve@example.org");
        eve.opens_gym("Evil Temple").await;
        for path in [
            path(gym),
            format!("{}?dry_run=true", path(gym)),
            path(Uuid::nil()),
            "/businesses/mine/athletes/import".to_owned(),
        ] {
            let response = eve.post(&path, &many(2)).await;
            assert_eq!((response.status, response.problem()), (404, "not-found"));
        }
        assert_eq!(rows(app).await, (0, 0));
    });
}

#[test]
fn hostile_cells_are_texts_or_errors() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let names = [
            "=HYPERLINK(\"https://evil.example\",\"click\")",
            "@SUM(1+1)*cmd|' /C calc'!A0",
            "Robert'); DROP TABLE athlete;--",
            "\"quoted\" <b>&amp;</b>",
        ];
        let quoted = |(n, name): (usize, &&str)| {
            format!("{n}@hostile.example,\"{}\"\n", name.replace('"', "\"\""))
        };
        let table: String = names.iter().enumerate().map(quoted).collect();
        let table = format!("email,full_name\n{table}");
        let response = import_csv(app, &owner, &path(gym), &table)
            .await
            .expect(200);
        for (index, name) in names.iter().enumerate() {
            assert_eq!(response["items"][index]["athlete"]["full_name"], *name);
        }

        for (cells, columns) in [
            (
                "eve@example.org,\"Eve\nBcc: all@example.org\"",
                vec!["full_name"],
            ),
            (
                "\"eve@example.org\nBcc: all@example.org\",Eve",
                vec!["email"],
            ),
            ("=1+1,\u{202E}evE", vec!["email", "full_name"]),
            ("eve@example.org\0,E\0ve", vec!["email", "full_name"]),
            // A quote that is never closed swallows the rest of the file.
            (
                "eve@example.org,\"Eve\nbob@example.org,Bob",
                vec!["full_name"],
            ),
        ] {
            let table = format!("email,full_name\n{cells}\n");
            let response = import_csv(app, &owner, &path(gym), &table)
                .await
                .expect(422);
            let errors = response["errors"].as_array().expect("faults");
            let seen: Vec<_> = errors
                .iter()
                .map(|error| error["column"].as_str().unwrap())
                .collect();
            assert_eq!(seen, columns, "{cells:?}: {errors:?}");
        }
        assert_eq!(rows(app).await, (4, 4));
    });
}

#[test]
fn fifty_imports_of_one_file_are_one_import() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let number = 40;
        let (there, mut back) = (many(number), many(number));
        back["athletes"].as_array_mut().expect("a list").reverse();
        let bodies = [there, back];
        let path = path(gym);
        let responses =
            join_all((0..AT_ONCE).map(|n| owner.post(&path, &bodies[n % bodies.len()]))).await;

        let mut created = Vec::new();
        let mut ids = HashSet::new();
        for response in responses {
            let response = response.expect(200);
            for (email, outcome) in outcomes(&response) {
                if outcome == "created" {
                    created.push(email.to_owned());
                }
            }
            let items = response["items"].as_array().expect("a list");
            ids.extend(items.iter().map(|item| item["athlete"]["id"].to_string()));
        }
        let different: HashSet<_> = created.iter().collect();
        assert_eq!(
            (created.len(), different.len(), ids.len()),
            (number, number, number)
        );
        assert_eq!(rows(app).await, (40, 40));
    });
}

#[test]
fn simultaneous_imports_and_registrations_make_one_athlete_each() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let register = format!("/businesses/{gym}/athletes");
        let import = path(gym);
        let body = many(10);
        let imports = join_all((0..10).map(|_| owner.post(&import, &body)));
        let registrations = join_all((0..10).map(|n| {
            let (owner, register, athlete) = (&owner, &register, &body["athletes"][n]);
            async move { owner.post(register, athlete).await }
        }));
        let (imported, registered) = futures::join!(imports, registrations);
        assert!(imported.iter().all(|response| response.status == 200));
        assert!(registered.iter().all(|response| response.status < 300));
        assert_eq!(rows(app).await, (10, 10));
    });
}

#[test]
fn only_taken_codes_are_drawn_again() {
    /// Each code twice, which is taken within one import as well as after it.
    fn draw() -> AthleteCode {
        static DRAWS: AtomicU64 = AtomicU64::new(0);
        AthleteCode::from_entropy(DRAWS.fetch_add(1, Ordering::Relaxed) / 2)
    }

    story(async |app| {
        let app = app
            .with_registrar(|registrar| registrar.draw_code = draw)
            .await;
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let response = owner.post(&path(gym), &many(6)).await.expect(200);
        assert!(
            outcomes(&response)
                .iter()
                .all(|(_, outcome)| *outcome == "created")
        );
        assert_eq!(
            app.ask::<i64>("SELECT count(DISTINCT athlete_code) FROM athlete")
                .await,
            6
        );
        assert_eq!(rows(app).await, (6, 6));
    });
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "how long it takes is for whoever asks with --nocapture, and no assertion: machines differ"
)]
fn five_hundred_athletes_are_one_import() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        for path in [format!("{}?dry_run=true", path(gym)), path(gym), path(gym)] {
            let started = Instant::now();
            let response = owner.post(&path, &many(500)).await.expect(200);
            let took = started.elapsed();
            assert_eq!(outcomes(&response).len(), 500);
            eprintln!("500 athletes at {path}: {took:?}");
        }
        assert_eq!(rows(app).await, (500, 500));
    });
}
