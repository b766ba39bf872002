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

/// Imports of one gym at once. They wait for each other: with many more, the last ones would be
/// told to send it again.
const AT_ONCE: usize = 10;

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
            {"email": "bob@import.example", "phone": "+393338880009"},
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
            json!({
                "columns": [],
                "counts": {"created": 1, "already_registered": 1, "merged": 1, "faulty": 0},
                "items": [
                    {"index": 0, "outcome": "created", "athlete": null},
                    {"index": 1, "outcome": "already_registered", "athlete": known, "added": ["email"]},
                    {"index": 2, "outcome": "merged", "athlete": null, "merged_into": 1},
                ]
            })
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
        assert_eq!(wet["items"][1]["athlete"]["email"], "too@dry.example");
        assert_eq!(rows(app).await, (2, 3), "the known one is invited again");

        for wrong in ["", "1", "TRUE", "yes", "true,true"] {
            let path = format!("{}?dry_run={wrong}", path(gym));
            let response = owner.post(&path, &json!({"athletes": [{}]})).await;
            assert_eq!(
                response.expect(422)["errors"],
                json!([if wrong.contains(',') {
                    json!({"parameter": "dry_run", "code": "repeated_parameter", "detail": "must be there once"})
                } else {
                    json!({"parameter": "dry_run", "code": "wrong_type", "detail": "must be true or false"})
                }]),
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
                .map(|n| json!({"email": n, "phone": "x", "full_name": 7, "locale": "?", "n": n}))
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
        assert_eq!(errors.len(), 1, "one too many");
        assert_eq!(errors[0]["row"], 502);
        let table = table.trim_end().rsplit_once("x,x,").expect("a last row").0;
        let response = import_csv(app, &owner, &path(gym), table).await.expect(422);
        let errors = response["errors"].as_array().expect("faults");
        assert_eq!(errors.len(), 4 * 499);
        assert_eq!(errors[0]["column"], "email");
        assert_eq!(errors[0]["row"], 3);
        assert_eq!(errors[4 * 499 - 1]["column"], "locale");
        assert_eq!(errors[4 * 499 - 1]["row"], 501);
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
fn rows_of_one_athlete_are_merged() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let table = "Full Name;E-mail;Cell\n\n\
            Ada;ada@example.org;\n\
            ada ;ADA@example.org;+393338880005\n\
            ;ada@example.org;+393338880006\n\
            Bob;;+393338880007\n\
            B\u{f3}b;bob@example.org;+39 333 888 0007\n\
            ;;+39 333 8880007\n";
        let response = import_csv(app, &owner, &path(gym), table).await.expect(200);
        let items = response["items"].as_array().expect("items");
        let merged: Vec<_> = items
            .iter()
            .map(|item| {
                (
                    item["outcome"].as_str().unwrap(),
                    item["merged_into"].as_u64(),
                    &item["differs"],
                )
            })
            .collect();
        let phone = json!(["phone"]);
        assert_eq!(
            merged,
            [
                ("created", None, &Value::Null),
                ("merged", Some(0), &Value::Null),
                ("merged", Some(0), &phone),
                ("created", None, &Value::Null),
                ("merged", Some(3), &Value::Null),
                ("merged", Some(3), &Value::Null),
            ]
        );
        assert_eq!(items[0]["athlete"]["phone"], "+393338880005");
        assert_eq!(items[3]["athlete"]["email"], "bob@example.org");
        assert_eq!(items[5]["row"], 8);
        assert_eq!(
            response["counts"],
            json!({"created": 2, "already_registered": 0, "merged": 4, "faulty": 0})
        );
        assert_eq!(rows(app).await, (2, 2));
    });
}

#[test]
fn a_contact_with_another_name_is_another_person_if_the_gym_says_so() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .registers(
                gym,
                &json!({"email": "mum@example.org", "full_name": "Mum"}),
            )
            .await;
        let table = "full_name,email\nMum,mum@example.org\nKid One,mum@example.org\nKid Two,mum@example.org\nDad,dad@example.org\nKid Three,dad@example.org\n";

        let refused = import_csv(app, &owner, &path(gym), table).await.expect(422);
        let errors = refused["errors"].as_array().expect("errors");
        let places: Vec<_> = errors
            .iter()
            .map(|e| (e["row"].as_u64().unwrap(), e["code"].as_str().unwrap()))
            .collect();
        assert_eq!(
            places,
            [
                (3, "contact_in_use"),
                (4, "contact_in_use"),
                (6, "contact_in_use")
            ]
        );
        assert_eq!(rows(app).await, (1, 1));

        let skipped = format!("{}?skip_faulty=true&dry_run=true", path(gym));
        let skipped = import_csv(app, &owner, &skipped, table).await.expect(200);
        assert_eq!(
            skipped["counts"],
            json!({"created": 1, "already_registered": 1, "merged": 0, "faulty": 3})
        );

        let shared = format!("{}?shared_contacts=true", path(gym));
        for counts in [
            json!({"created": 4, "already_registered": 1, "merged": 0, "faulty": 0}),
            json!({"created": 0, "already_registered": 5, "merged": 0, "faulty": 0}),
        ] {
            let imported = import_csv(app, &owner, &shared, table).await.expect(200);
            assert_eq!(imported["counts"], counts);
            assert!(
                imported["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|item| item["athlete"]["contact_is_shared"] == true)
            );
        }
        assert_eq!(rows(app).await, (5, 5));
    });
}

#[test]
fn faulty_rows_are_skipped_if_the_gym_says_so() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let table = "Client ID,First Name,Last Name,Email,Mobile Phone,Visits\n1,Ada,Novak,ada@gmial.com,,3\n2,Bob,Ross,bob,,4\n,Total: 2,,,,\n";
        import_csv(app, &owner, &path(gym), table).await.expect(422);
        let skip = format!("{}?skip_faulty=true", path(gym));
        let response = import_csv(app, &owner, &skip, table).await.expect(200);
        assert_eq!(
            response["counts"],
            json!({"created": 1, "already_registered": 0, "merged": 0, "faulty": 2})
        );
        assert_eq!(response["items"][0]["athlete"]["full_name"], "Ada Novak");
        assert_eq!(
            response["items"][0]["warnings"],
            json!([{"row": 2, "column": "Email", "code": "email_typo", "suggestion": "ada@gmail.com"}])
        );
        assert_eq!(response["items"][1]["errors"][0]["code"], "email_invalid");
        assert_eq!(response["items"][2]["errors"][0]["code"], "required");
        assert_eq!(
            response["columns"][0],
            json!({"header": "Client ID", "used_as": null})
        );
        assert_eq!(rows(app).await, (1, 1));
    });
}

#[test]
fn held_invitations_are_sent_when_it_is_asked_for() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let later = format!("{}?invite=later", path(gym));
        let imported = owner.post(&later, &many(3)).await.expect(200);
        let athletes: Vec<_> = (0..3)
            .map(|n| imported["items"][n]["athlete"].clone())
            .collect();
        assert!(
            athletes
                .iter()
                .all(|athlete| athlete["invitation"]["status"] == "held")
        );
        let relay = app.relay(TestApp::sender(app.shared, None)).await;
        let soon = || Instant::now() + Duration::from_mins(1);
        handle(&relay, soon()).await.expect("nothing to send");
        assert_eq!(app.mails_to("0@many.example").await.len(), 0);
        let listed = owner
            .get(&format!("/businesses/{gym}/athletes?status=held"))
            .await
            .expect(200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(3));

        // The code works all the same.
        let code = Some(&athletes[2]["athlete_code"]);
        app.person("zoe@elsewhere.example")
            .links(code)
            .await
            .expect(200);

        let invitations = format!("/businesses/{gym}/invitations");
        let unknown = Uuid::now_v7();
        let ids = json!({"athlete_ids": [athletes[0]["id"], athletes[2]["id"], unknown]});
        let invited = owner.post(&invitations, &ids).await.expect(202);
        assert_eq!(
            invited["counts"],
            json!({"queued": 1, "just_sent": 0, "already_linked": 1, "too_many_invitations": 0, "not_in_gym": 1})
        );
        assert_eq!(
            invited["items"][0]["athlete"]["invitation"]["status"],
            "queued"
        );
        assert_eq!(
            invited["items"][0]["athlete"]["athlete_code"],
            athletes[0]["athlete_code"]
        );
        let again = owner.post(&invitations, &ids).await.expect(202);
        assert_eq!(again["items"][0]["outcome"], "just_sent");
        handle(&relay, soon()).await.expect("the database answers");
        assert_eq!(app.mails_to("0@many.example").await.len(), 1);
        assert_eq!(app.mails_to("1@many.example").await.len(), 0);

        for _ in 0..4 {
            app.time_passes(Duration::from_mins(1)).await;
            let sent = owner.post(&invitations, &ids).await.expect(202);
            assert_eq!(sent["items"][0]["outcome"], "queued");
        }
        app.time_passes(Duration::from_mins(1)).await;
        let refused = owner.post(&invitations, &ids).await.expect(202);
        assert_eq!(refused["items"][0]["outcome"], "too_many_invitations");
        assert!(
            refused["items"][0]["retry_after"]
                .as_i64()
                .is_some_and(|seconds| seconds > 80_000)
        );

        // Who was taken back gets a new code.
        let revoke = format!(
            "/businesses/{gym}/athletes/{}/invitation",
            athletes[1]["id"].as_str().unwrap()
        );
        owner.delete(&revoke).await.expect(204);
        let ids = json!({"athlete_ids": [athletes[1]["id"]]});
        let invited = owner.post(&invitations, &ids).await.expect(202);
        assert_ne!(
            invited["items"][0]["athlete"]["athlete_code"],
            athletes[1]["athlete_code"]
        );
    });
}

#[test]
fn numbers_are_of_the_gyms_country() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let table = "Nome;Cognome;Cellulare\nAda;Novak;333 765 4322\n";
        let refused = import_csv(app, &owner, &path(gym), table).await.expect(422);
        assert_eq!(refused["errors"][0]["code"], "phone_without_country");
        assert_eq!(refused["errors"][0]["column"], "Cellulare");
        owner
            .patch(&format!("/businesses/{gym}"), &json!({"country": "IT"}))
            .await
            .expect(200);
        let read = import_csv(app, &owner, &path(gym), table).await.expect(200);
        assert_eq!(read["items"][0]["athlete"]["phone"], "+393337654322");
        let athletes = format!("/businesses/{gym}/athletes");
        let bob = owner
            .post(
                &athletes,
                &json!({"phone": "0039 333 765 4323", "email": " "}),
            )
            .await
            .expect(201);
        assert_eq!(bob["phone"], "+393337654323");
        let bob = owner
            .post(
                &format!("{athletes}/{}/invitation", bob["id"].as_str().unwrap()),
                &json!({"phone": "333 765 4324"}),
            )
            .await
            .expect(202);
        assert_eq!(bob["phone"], "+393337654324");
        let eve = app.person("eve@example.org");
        eve.post(&athletes, &json!({"phone": "333 765 4322"}))
            .await
            .expect(404);
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
            ("=1+1,e\u{202E}vE", vec!["email", "full_name"]),
            ("eve@example.org\0,E\0ve", vec!["email", "full_name"]),
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
fn imports_of_one_file_at_once_are_one_import() {
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
    /// Each code twice, and the first ones once more after they are taken.
    fn draw() -> AthleteCode {
        static DRAWS: AtomicU64 = AtomicU64::new(0);
        let draw = DRAWS.fetch_add(1, Ordering::Relaxed) / 2;
        AthleteCode::from_entropy(if draw < 12 { draw % 6 } else { draw })
    }

    story(async |app| {
        let app = app
            .with_registrar(|registrar| registrar.draw_code = draw)
            .await;
        let owner = app.person("owner@iron.example");
        for _ in 0..2 {
            let gym = owner.opens_gym("Iron Temple").await;
            let response = owner.post(&path(gym), &many(6)).await.expect(200);
            assert_eq!(response["counts"]["created"], 6);
        }
        assert_eq!(
            app.ask::<i64>("SELECT count(DISTINCT athlete_code) FROM athlete")
                .await,
            12
        );
        assert_eq!(rows(app).await, (12, 12));
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
