use crate::system::{System, with_system};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use local::gateway::Issuer;
use reqwest::Method;
use serde_json::{Value, json};
use tests::shared;
use uuid::Uuid;

/// A method and a path for each route, with ids of nothing.
async fn requests() -> Vec<(Method, String, bool)> {
    let routes = shared().await.template.routes.iter();
    let requests = routes.map(|route| {
        let segments = route.path.split('/').map(|segment| match segment {
            parameter if parameter.starts_with('{') => Uuid::nil().to_string(),
            segment => segment.to_owned(),
        });
        (
            route.method.parse().expect("a method"),
            segments.collect::<Vec<_>>().join("/"),
            route.needs_token,
        )
    });
    requests.collect()
}

fn claims_of(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("a JWT has three parts");
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
    serde_json::from_slice(&claims).expect("JSON")
}

/// Tokens like a good one, of which each is wrong in one way.
fn bad_tokens(system: &System, good: &str) -> Vec<(&'static str, String)> {
    let claims = claims_of(good);
    let issuer = system.stack.issuer();
    let with = |claim: &str, value: Value| {
        let mut claims = claims.clone();
        claims[claim] = value;
        issuer.sign(&claims).expect("the local issuer signs")
    };
    let parts: Vec<&str> = good.split('.').collect();
    let (header, signature) = (parts[0], parts[2]);
    let encoded = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = encoded(json!({"alg": "none", "typ": "JWT"}));
    let mut of_another = claims.clone();
    of_another["sub"] = json!(Uuid::now_v7());
    let url = claims["iss"].as_str().expect("an issuer");
    let other_issuer = Issuer::new(url.to_owned()).expect("a key");
    vec![
        ("that is none", "x".to_owned()),
        ("that has expired", with("exp", json!(claims["iat"]))),
        ("that is not valid yet", with("nbf", claims["exp"].clone())),
        ("for another audience", with("aud", json!("another"))),
        (
            "of another issuer",
            with("iss", json!("https://idp.evil.example")),
        ),
        ("that is not signed", format!("{unsigned}.{}.", parts[1])),
        (
            "that says it is not signed",
            format!("{unsigned}.{}.{signature}", parts[1]),
        ),
        (
            "with the claims of another",
            format!("{header}.{}.{signature}", encoded(of_another)),
        ),
        (
            "of another key",
            other_issuer.sign(&claims).expect("it signs"),
        ),
    ]
}

#[test]
fn invalid_token_reaches_only_the_waitlist() {
    with_system(async |system| {
        let somebody = system.visitor("token@gateway.example");
        let good = somebody.token.expect("a token");
        let signed_again = system
            .stack
            .issuer()
            .sign(&claims_of(&good))
            .expect("it signs");
        let me = system.stranger(Some(&signed_again)).get("/me").await;
        assert_eq!(me.status, 200, "or the others are refused for nothing");

        let mut tokens = vec![("that was forgotten", None)];
        for (what, token) in bad_tokens(system, &good) {
            tokens.push((what, Some(token)));
        }
        for (what, token) in &tokens {
            let stranger = system.stranger(token.as_deref());
            for (method, path, needs_token) in requests().await {
                let body = json!({"email": "stranger@gateway.example"});
                let response = stranger.send(method.clone(), &path, Some(body)).await;
                if needs_token {
                    assert_eq!(
                        (response.status, &response.body),
                        (401, &json!({"message": "Unauthorized"})),
                        "{method} {path} with a token {what}"
                    );
                } else {
                    assert_eq!((path.as_str(), response.status), ("/waitlist", 202));
                }
            }
        }
    });
}

#[test]
fn unknown_route_is_404() {
    with_system(async |system| {
        let somebody = system.visitor("somebody@gateway.example");
        for (method, path) in [
            (Method::GET, "/"),
            (Method::GET, "/waitlist"),
            (Method::DELETE, "/me"),
            (Method::GET, "/gyms/"),
            (Method::GET, "/migrate"),
        ] {
            let response = somebody.send(method.clone(), path, None).await;
            assert!(
                matches!(response.status, 404 | 200),
                "{method} {path}: {}",
                response.status
            );
        }
    });
}

#[test]
fn problems_come_through_the_gateway_unchanged() {
    with_system(async |system| {
        let somebody = system.visitor("somebody@gateway.example");
        let response = somebody
            .post("/businesses", json!({"name": "", "colour": "red"}))
            .await;
        assert_eq!(
            (
                response.status,
                response.body["errors"].as_array().map(Vec::len)
            ),
            (422, Some(2))
        );
        let response = somebody
            .post("/businesses", json!({"name": "x".repeat(300_000)}))
            .await;
        assert_eq!(
            (response.status, &response.body["type"]),
            (413, &json!("urn:gymbrah:problem:body-too-large"))
        );
        let response = somebody.get("/businesses/7/athletes").await;
        assert_eq!(
            (response.status, &response.body["type"]),
            (404, &json!("urn:gymbrah:problem:not-found"))
        );
    });
}
