use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tests::{Person, story};

/// Every route that reads a body, with a body that it takes.
async fn routes_with_a_body(owner: &Person) -> Vec<(&'static str, String, Value)> {
    let gym = owner.opens_gym("Iron Temple").await;
    let email = "owner@iron.example";
    let athlete = owner.registers(gym, &json!({"email": email})).await["id"].clone();
    owner.links(None).await.expect(200);
    let other = owner
        .registers(gym, &json!({"email": "ada@example.org"}))
        .await;
    let invitation = format!(
        "/businesses/{gym}/athletes/{}/invitation",
        other["id"].as_str().expect("an id")
    );
    let workout = owner.writes_workout("Leg day").await;
    let assignments = format!("/workouts/{workout}/assignments");
    let assignment = json!({"business_id": gym, "athlete_ids": [athlete]});
    owner.post(&assignments, &assignment).await.expect(200);
    vec![
        (
            "POST",
            "/businesses".to_owned(),
            json!({"name": "Second Temple"}),
        ),
        (
            "POST",
            format!("/businesses/{gym}/athletes"),
            json!({"email": "bob@example.org"}),
        ),
        ("POST", invitation, json!({})),
        (
            "POST",
            format!("/businesses/{gym}/athletes/import"),
            json!({"athletes": [{"email": "dee@example.org"}]}),
        ),
        ("POST", "/signup-link".to_owned(), json!({})),
        ("POST", "/workouts".to_owned(), json!({"name": "Arm day"})),
        ("POST", assignments, assignment),
        (
            "PATCH",
            format!("/me/workouts/{workout}"),
            json!({"selected": true}),
        ),
        (
            "POST",
            "/waitlist".to_owned(),
            json!({"email": "cy@example.org"}),
        ),
    ]
}

#[test]
fn a_body_that_can_not_be_read_is_refused_in_words() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        for (method, path, body) in routes_with_a_body(&owner).await {
            let event = |body: Option<&str>| owner.event(method, &path, body);
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

            for (what, event, status, problem) in [
                ("no body", event(None), 400, "malformed-body"),
                ("an empty body", event(Some("")), 400, "malformed-body"),
                (
                    "a body that is no JSON",
                    event(Some("email=ada@example.org")),
                    400,
                    "malformed-body",
                ),
                (
                    "half a body",
                    event(Some(&body.to_string()[..1])),
                    400,
                    "malformed-body",
                ),
                ("a list", event(Some("[]")), 400, "malformed-body"),
                (
                    "bytes that are no UTF-8",
                    base64(b"{\"\xff\": 1}"),
                    400,
                    "malformed-body",
                ),
                (
                    "300 KB",
                    event(Some(&format!("{{\"name\": \"{}\"}}", "x".repeat(300_000)))),
                    413,
                    "body-too-large",
                ),
                (
                    "300 KB in base64",
                    base64(format!("{{\"name\": \"{}\"}}", "x".repeat(300_000)).as_bytes()),
                    413,
                    "body-too-large",
                ),
                (
                    "no content type",
                    with("headers", json!({})),
                    415,
                    "unsupported-media-type",
                ),
                (
                    "another content type",
                    with("headers", json!({"content-type": "text/plain"})),
                    415,
                    "unsupported-media-type",
                ),
                (
                    "an unknown member",
                    event(Some(&unknown.to_string())),
                    422,
                    "invalid-input",
                ),
                (
                    "what base64 says it is and is not",
                    with("isBase64Encoded", json!(true)),
                    400,
                    "malformed-body",
                ),
            ] {
                let response = app.call(&event).await;
                assert_eq!(
                    (response.status, response.problem()),
                    (status, problem),
                    "{what} at {path}: {:#}",
                    response.body
                );
                assert!(
                    response.body["detail"]
                        .as_str()
                        .is_some_and(|detail| detail.len() > 10),
                    "{what} at {path}"
                );
            }
            let response = app.call(&base64(body.to_string().as_bytes())).await;
            assert!(
                response.status < 300,
                "base64 is legal, at {path}: {:#}",
                response.body
            );
        }
    });
}

#[test]
fn every_text_that_can_not_be_taken_is_named_by_its_pointer() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let athletes = format!("/businesses/{gym}/athletes");
        let emails = [
            json!("x".repeat(288) + "@example.org"),
            json!("ada@example"),
            json!("ada@example.org\r\nBcc: eve@example.org"),
            json!("Ada <ada@example.org>"),
            json!("ada\0@example.org"),
            json!(""),
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
            json!("\u{202e}gnol"),
            json!("  "),
            json!(true),
        ];

        let mut cases = Vec::new();
        for email in &emails {
            cases.push((athletes.as_str(), json!({"email": email}), "#/email"));
            cases.push(("/waitlist", json!({"email": email}), "#/email"));
        }
        for phone in &phones {
            cases.push((athletes.as_str(), json!({"phone": phone}), "#/phone"));
        }
        for name in &names {
            cases.push((
                athletes.as_str(),
                json!({"email": "ada@example.org", "full_name": name}),
                "#/full_name",
            ));
            cases.push(("/businesses", json!({"name": name}), "#/name"));
            cases.push(("/workouts", json!({"name": name}), "#/name"));
        }
        for missing in ["/businesses", "/workouts"] {
            cases.push((missing, json!({}), "#/name"));
            cases.push((missing, json!({"name": null}), "#/name"));
        }
        cases.push((athletes.as_str(), json!({}), "#/email"));
        cases.push((
            athletes.as_str(),
            json!({"email": "ada@example.org", "locale": "italiano"}),
            "#/locale",
        ));
        cases.push((
            "/signup-link",
            json!({"athlete_code": "7ZQ4M"}),
            "#/athlete_code",
        ));
        cases.push(("/signup-link", json!({"athlete_code": 7}), "#/athlete_code"));

        for (path, body, pointer) in cases {
            let response = owner.post(path, &body).await;
            assert_eq!(
                (response.status, response.problem()),
                (422, "invalid-input"),
                "{body:.200} at {path}"
            );
            let errors = response.body["errors"].as_array().expect("faults");
            assert_eq!(
                (errors.len(), errors[0]["pointer"].as_str()),
                (1, Some(pointer)),
                "{body:.200} at {path}: {errors:?}"
            );
        }
        assert_eq!(app.ask::<i64>("SELECT (SELECT count(*) FROM athlete) + (SELECT count(*) FROM waitlist) + (SELECT count(*) FROM workout)").await, 0);
    });
}

#[test]
fn all_faults_of_a_body_are_told_at_once() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let body =
            json!({"email": "ada", "phone": "1", "full_name": "", "locale": "??", "admin": true});
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
