use crate::system::with_system;
use reqwest::Method;
use serde_json::json;

#[test]
fn without_a_valid_token_nothing_but_the_waitlist_is_reached() {
    with_system(async |system| {
        let forged =
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiIwMTk3ZjNhMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDEifQ.";
        for token in [None, Some("x"), Some(forged)] {
            let stranger = system.stranger(token);
            for (method, path) in [
                (Method::GET, "/me"),
                (Method::POST, "/businesses"),
                (Method::GET, "/workouts"),
                (Method::POST, "/signup-link"),
            ] {
                let answer = stranger.send(method.clone(), path, Some(json!({}))).await;
                assert_eq!(
                    (answer.status, &answer.body),
                    (401, &json!({"message": "Unauthorized"})),
                    "{method} {path} with {token:?}"
                );
            }
            assert_eq!(
                stranger
                    .post("/waitlist", json!({"email": "stranger@gateway.example"}))
                    .await
                    .status,
                202
            );
        }
    });
}

#[test]
fn what_is_no_route_is_not_found() {
    with_system(async |system| {
        let somebody = system.visitor("somebody@gateway.example");
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/waitlist"),
            (Method::DELETE, "/me"),
            (Method::GET, "/businesses/"),
            (Method::GET, "/migrate"),
        ] {
            let answer = somebody.send(method.clone(), path, None).await;
            assert!(
                matches!(answer.status, 404 | 200),
                "{method} {path}: {}",
                answer.status
            );
        }
    });
}

#[test]
fn problems_come_through_the_gateway_as_they_are() {
    with_system(async |system| {
        let somebody = system.visitor("somebody@gateway.example");
        let answer = somebody
            .post("/businesses", json!({"name": "", "colour": "red"}))
            .await;
        assert_eq!(
            (
                answer.status,
                answer.body["errors"].as_array().map(Vec::len)
            ),
            (422, Some(2))
        );
        let answer = somebody
            .post("/businesses", json!({"name": "x".repeat(300_000)}))
            .await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (413, &json!("urn:gymbrah:problem:body-too-large"))
        );
        let answer = somebody.get("/businesses/7/athletes").await;
        assert_eq!(
            (answer.status, &answer.body["type"]),
            (404, &json!("urn:gymbrah:problem:not-found"))
        );
    });
}
