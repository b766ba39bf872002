//! What API Gateway and EventBridge hand to the functions: any event. An input is the event's JSON,
//! as in `events/`.

#![no_main]

use fuzz::{Functions, mutate};
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use record_mail_events::Report;
use serde_json::Value;
use shared::domain::Subject;
use std::sync::LazyLock;

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(Functions::new);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_target!(init: LazyLock::force(&FUNCTIONS), |text: &str| -> Corpus {
    let Ok(event) = serde_json::from_str::<Value>(text) else {
        return Corpus::Reject;
    };
    match FUNCTIONS.route(&event) {
        Some(_) => request(text, &event),
        None => mail_event(event),
    }
    Corpus::Keep
});

fn request(text: &str, event: &Value) {
    let route = FUNCTIONS.route(event).expect("a route");
    let is_refused = route.needs_token && !is_signed_in(event);
    let Some(response) = FUNCTIONS.invoke(route, text) else {
        assert!(!is_refused, "it got as far as the database without a token");
        return;
    };
    let body = response.json();
    if body["type"] == "urn:gymbrah:problem:not-an-http-event" {
        return; // API Gateway writes no such event, whatever a client sends
    }
    assert!((400..500).contains(&response.status()), "{body:#}");
    assert_eq!(response.status() == 401, is_refused, "{body:#}");
    assert_eq!(body["status"], response.status());
    assert_eq!(
        body["instance"],
        event["requestContext"]["requestId"]
            .as_str()
            .unwrap_or_default()
    );
    for problem in body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .chain([&body])
    {
        let detail = problem["detail"].as_str().expect("a problem has a detail");
        assert!(is_ours(detail), "{detail:?} repeats what was sent");
    }
}

fn is_signed_in(event: &Value) -> bool {
    let claims = &event["requestContext"]["authorizer"]["jwt"]["claims"];
    let sub = claims["sub"].as_str();
    sub.is_some_and(|sub| sub.parse::<Subject>().is_ok()) && claims["token_use"] != "access"
}

/// Texts of ours are written with these characters alone; one that repeats what was sent would soon
/// have others.
fn is_ours(detail: &str) -> bool {
    !detail.is_empty() && detail.chars().all(|c| matches!(c, ' '..='~' | '…'))
}

fn mail_event(event: Value) {
    let id = event["detail"]["mail"]["messageId"].clone();
    match FUNCTIONS.record(event) {
        Some(Report::Ignored { .. }) => {}
        Some(report) => panic!("{report:?} without the database"),
        None => assert!(id.is_string(), "{id} was looked for in the database"),
    }
}
