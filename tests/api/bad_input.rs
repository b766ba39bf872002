use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tests::{Gym, routes::ROUTES, story};

/// The status and the problem of a body that can't be taken.
const MALFORMED: (u16, &str) = (400, "malformed-body");
const TOO_LARGE: (u16, &str) = (413, "body-too-large");
const UNSUPPORTED: (u16, &str) = (415, "unsupported-media-type");
const INVALID: (u16, &str) = (422, "invalid-input");

#[test]
fn a_body_that_can_not_be_read_is_refused_in_words() {
    story(async |app| {
        for (index, route) in ROUTES.iter().enumerate() {
            if route.body.is_empty() {
                continue;
            }
            let gym = Gym::open(app, &format!("gym-{index}")).await;
            let sender = gym.sender_of(route);
            let path = gym.ids.filled_in(route.path());
            let body: Value = serde_json::from_str(&gym.ids.filled_in(route.body)).expect("JSON");
            let event = |body: Option<&str>| sender.event(route.method(), &path, body);
            let with = |name: &str, value: Value| {
                let mut event = event(Some(&body.to_string()));
                event[name] = value;
                event
            };
            let base64 = |bytes: &[u8]| {
                let mut event = event(Some(&BASE64_STANDARD.encode(bytes)));
                event["isBase64Encoded"] = json!(true);
                event
            };
            let mut unknown = body.clone();
            unknown["owner"] = json!("me");

            for (what, event, expected) in [
                ("no body", event(None), MALFORMED),
                ("an empty body", event(Some("")), MALFORMED),
                (
                    "a body that is no JSON",
                    event(Some("email=ada@example.org")),
                    MALFORMED,
                ),
                (
                    "half a body",
                    event(Some(&body.to_string()[..1])),
                    MALFORMED,
                ),
                ("a list", event(Some("[]")), MALFORMED),
                (
                    "bytes that are no UTF-8",
                    base64(b"{\"\xff\": 1}"),
                    MALFORMED,
                ),
                (
                    "300 KB",
                    event(Some(&format!("{{\"name\": \"{}\"}}", "x".repeat(300_000)))),
                    TOO_LARGE,
                ),
                (
                    "300 KB in base64",
                    base64(format!("{{\"name\": \"{}\"}}", "x".repeat(300_000)).as_bytes()),
                    TOO_LARGE,
                ),
                ("no content type", with("headers", json!({})), UNSUPPORTED),
                (
                    "another content type",
                    with("headers", json!({"content-type": "text/plain"})),
                    UNSUPPORTED,
                ),
                (
                    "an unknown member",
                    event(Some(&unknown.to_string())),
                    INVALID,
                ),
                (
                    "what base64 says it is and is not",
                    with("isBase64Encoded", json!(true)),
                    MALFORMED,
                ),
            ] {
                let expected = if route.key.ends_with("/import") {
                    of_a_file(what, expected)
                } else {
                    expected
                };
                let response = app.call(&event).await;
                assert_eq!(
                    (response.status, response.problem()),
                    expected,
                    "{what} at {}: {:#}",
                    route.key,
                    response.body
                );
                assert!(
                    response.status < 300
                        || response.body["detail"]
                            .as_str()
                            .is_some_and(|detail| detail.len() > 10),
                    "{what} at {}",
                    route.key
                );
            }
            let response = app.call(&base64(body.to_string().as_bytes())).await;
            assert!(
                response.status < 300,
                "base64 is legal, at {}: {:#}",
                route.key,
                response.body
            );
        }
    });
}

/// What an import says to it, which takes a body for what it is by its bytes, and takes larger
/// ones.
fn of_a_file(what: &str, expected: (u16, &'static str)) -> (u16, &'static str) {
    match what {
        "no content type" | "another content type" => (200, ""),
        "a body that is no JSON" | "300 KB" | "300 KB in base64" => INVALID,
        _ => expected,
    }
}

#[test]
fn a_query_parameter_that_is_unknown_or_there_twice_is_refused() {
    story(async |app| {
        let gym = Gym::open(app, "iron").await;
        let before = app.ask::<String>(EVERYTHING_IN_GYMS).await;
        for route in ROUTES {
            let sender = gym.sender_of(route);
            let path = gym.ids.filled_in(route.path());
            let body = route.whole_body(&gym.ids).map(|body| body.to_string());
            let mut cases = vec![(format!("{path}?dryRun=true"), "unknown_parameter", "dryRun")];
            // `status` may be there several times; `q` may have a comma, which is all that API
            // Gateway leaves of a repetition.
            let once = route
                .query
                .iter()
                .filter(|name| !["status", "q"].contains(name));
            for name in once {
                // A value that is good for some; what counts is that there are two.
                let twice = format!("{path}?{name}=true&{name}=true");
                cases.push((twice, "repeated_parameter", name));
            }
            for (path, code, parameter) in cases {
                let event = sender.event(route.method(), &path, body.as_deref());
                let response = app.call(&event).await;
                assert_eq!(response.status, 422, "{path}: {:#}", response.body);
                let errors = response.body["errors"].as_array().expect("a list");
                assert!(
                    errors
                        .iter()
                        .any(|error| error["code"] == code && error["parameter"] == parameter),
                    "{path}: {errors:#?}"
                );
            }
        }
        let after = app.ask::<String>(EVERYTHING_IN_GYMS).await;
        assert_eq!(after, before, "a refused request does nothing");
    });
}

/// Whatever a route could change.
const EVERYTHING_IN_GYMS: &str = "SELECT concat_ws('|',
    (SELECT string_agg(business::text, ';' ORDER BY id) FROM business),
    (SELECT string_agg(athlete::text, ';' ORDER BY id) FROM athlete),
    (SELECT string_agg(invitation::text, ';' ORDER BY id) FROM invitation),
    (SELECT string_agg(workout::text, ';' ORDER BY id) FROM workout),
    (SELECT string_agg(workout_athlete::text, ';' ORDER BY workout_id, athlete_id) FROM workout_athlete),
    (SELECT string_agg(completion::text, ';') FROM completion),
    (SELECT string_agg(waitlist::text, ';') FROM waitlist))";

/// Rows that a request could have left.
const STORED: &str = "SELECT (SELECT count(*) FROM athlete) + (SELECT count(*) FROM waitlist) + (SELECT count(*) FROM workout)";

#[test]
fn every_text_that_can_not_be_taken_is_named_by_its_pointer() {
    story(async |app| {
        let gym = Gym::open(app, "iron").await;
        let before = app.ask::<i64>(STORED).await;
        let emails = [
            json!("x".repeat(288) + "@example.org"),
            json!("ada@example"),
            json!("ada@example.org\r\nBcc: eve@example.org"),
            json!("Ada <ada@example.org> Bob"),
            json!("ada\0@example.org"),
            json!(7),
            json!({}),
            json!(["ada@example.org"]),
        ];
        let phones = [
            json!("3331234567"),
            json!("+39"),
            json!("+39333123456789012"),
            json!("call me"),
            json!(393_331_234_567_u64),
        ];
        let names = [
            json!("x".repeat(10_000)),
            json!("a\nb"),
            json!("a\u{0}b"),
            json!("g\u{202e}nol"),
            json!(true),
        ];

        let descriptions = [
            json!("x".repeat(10_001)),
            json!("a\u{0}b"),
            json!("g\u{202e}nol"),
            json!(true),
        ];
        let locales = [json!("italiano"), json!(7)];
        let codes = [json!("7ZQ4M"), json!(7)];
        let others = [json!({}), json!("x"), json!(7)];

        let mut cases = Vec::new();
        for route in ROUTES {
            for field in route.fields(&gym.ids) {
                let values = match field.name.as_str() {
                    "email" => &emails[..],
                    "phone" => &phones,
                    "name" | "full_name" => &names,
                    "description" => &descriptions,
                    "locale" => &locales,
                    "athlete_code" => &codes,
                    _ => &others,
                };
                let body = route.whole_body(&gym.ids).expect("it has a field");
                for value in values {
                    let faulty = field.changed(&body, value.clone());
                    cases.push((route, faulty, field.fragment()));
                }
            }
        }
        for (key, body, pointer) in [
            ("POST /businesses", json!({}), "#/name"),
            ("POST /businesses", json!({"name": null}), "#/name"),
            ("POST /workouts", json!({}), "#/name"),
            ("POST /workouts", json!({"name": null}), "#/name"),
            (
                "POST /businesses/{business_id}/athletes",
                json!({}),
                "#/email",
            ),
        ] {
            let route = ROUTES.iter().find(|route| route.key == key);
            cases.push((route.expect("a route"), body, pointer.to_owned()));
        }

        for (route, body, pointer) in cases {
            let path = gym.ids.filled_in(route.path());
            let response = gym
                .sender_of(route)
                .send(route.method(), &path, Some(&body.to_string()))
                .await;
            assert_eq!(
                (response.status, response.problem()),
                (422, "invalid-input"),
                "{body:.200} at {}",
                route.key
            );
            let errors = response.body["errors"].as_array().expect("faults");
            assert_eq!(
                (errors.len(), errors[0]["pointer"].as_str()),
                (1, Some(pointer.as_str())),
                "{body:.200} at {}: {errors:?}",
                route.key
            );
        }
        assert_eq!(app.ask::<i64>(STORED).await, before);
    });
}

#[test]
fn all_faults_of_a_body_are_told_at_once() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let body = json!({"email": "ada", "phone": "1", "full_name": "a\nb", "locale": "??", "admin": true});
        let response = owner
            .post(&format!("/businesses/{gym}/athletes"), &body)
            .await;
        assert_eq!(
            response.pointers(),
            ["#/email", "#/phone", "#/full_name", "#/locale", "#/admin"]
        );

        let workout = owner.writes_workout("Leg day").await;
        let response = owner
            .post(
                &format!("/workouts/{workout}/assignments"),
                &json!({"business_id": "x", "athlete_ids": []}),
            )
            .await;
        assert_eq!(response.pointers(), ["#/business_id", "#/athlete_ids"]);
    });
}

#[test]
fn field_that_is_there_twice_is_refused() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let path = format!("/businesses/{gym}/athletes");
        for body in [
            r#"{"email": "ada@example.org", "email": "eve@example.org"}"#,
            r#"{"email": "ada@example.org", "\u0065mail": "eve@example.org"}"#,
            r#"{"email": "ada@example.org", "email": null}"#,
        ] {
            let response = owner.send("POST", &path, Some(body)).await;
            assert_eq!(response.problem(), "malformed-body");
            let detail = response.body["detail"].as_str().expect("a text");
            assert!(detail.contains("\"email\" is there twice"), "{detail}");
        }
        let nested = r#"{"athletes": [{"email": "ada@example.org", "email": "eve@example.org"}]}"#;
        let response = owner
            .send("POST", &format!("{path}/import"), Some(nested))
            .await;
        assert_eq!(response.problem(), "malformed-body");
        assert_eq!(app.ask::<i64>("SELECT count(*) FROM athlete").await, 0);
    });
}
