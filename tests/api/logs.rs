use serde_json::{Value, json};
use shared::domain::AthleteCode;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};
use tests::{TestApp, overhear, story};
use tokio::time::Instant;

const NOBODY_LISTENS: &str = "http://127.0.0.1:9";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// What `work` has counted.
async fn counted(work: impl Future) -> BTreeMap<String, u64> {
    overhear(work).await.1.counts()
}

fn counts<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    let owned = |(name, number): (&str, u64)| (name.to_owned(), number);
    expected.into_iter().map(owned).collect()
}

#[test]
fn request_is_one_line_with_its_times() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let (_, log) = overhear(owner.opens_gym("Iron Temple")).await;
        let line = log.request();
        for (member, expected) in [
            ("level", json!("INFO")),
            ("request_id", json!("a-request")),
            ("route", json!("POST /businesses")),
            ("status", json!(201)),
        ] {
            assert_eq!(line[member], expected, "{line}");
        }
        let time = |member: &str| line[member].as_f64().expect("milliseconds");
        assert!(
            0.0 < time("database_ms") && time("database_ms") < time("duration_ms"),
            "{line}"
        );

        let (_, log) = overhear(owner.get("/businesses/7/athletes")).await;
        assert_eq!(log.request()["problem"], "not-found");
        assert_eq!(log.request()["database_ms"], 0.0);
    });
}

#[test]
fn server_error_is_logged_with_its_cause_and_counted() {
    story(async |app| {
        let mut secret = app.shared.postgres.secret(&app.database);
        secret["port"] = json!(9);
        let db = app.db_by(&secret, None).await;
        let broken = app.with_registrar(|registrar| registrar.db = db).await;
        let owner = broken.person("owner@iron.example");
        let (response, log) =
            overhear(owner.get(&format!("/businesses/{}/athletes", owner.id))).await;
        response.expect(503);
        let line = log.request();
        assert_eq!(
            (&line["level"], &line["problem"]),
            (&json!("ERROR"), &json!("unavailable"))
        );
        assert!(
            line["cause"]
                .as_str()
                .is_some_and(|cause| cause.contains("Connection refused")),
            "{line}"
        );
        assert_eq!(log.counts(), counts([("ServerErrors", 1)]));
    });
}

#[test]
fn outcomes_of_invitations_are_counted() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let (athletes, ada) = (
            format!("/businesses/{gym}/athletes"),
            app.person("ada@example.org"),
        );
        let contact = json!({"email": "ada@example.org"});
        let register = || owner.post(&athletes, &contact);
        assert_eq!(
            counted(register()).await,
            counts([("queued", 1), ("sent", 1)])
        );
        assert_eq!(counted(register()).await, counts([]), "it is registered");
        assert_eq!(counted(ada.links(None)).await, counts([("accepted", 1)]));
        assert_eq!(counted(ada.links(None)).await, counts([]), "it is linked");

        let import = json!({"athletes": [{"email": "ada@example.org"}, {"email": "bob@example.org"}, {"phone": "+393331234567"}]});
        let imported = async |query: &str| {
            counted(owner.post(&format!("{athletes}/import{query}"), &import)).await
        };
        assert_eq!(imported("?dry_run=true").await, counts([]));
        assert_eq!(imported("").await, counts([("queued", 2)]));
        assert_eq!(imported("").await, counts([]));

        let cy = owner
            .registers(gym, &json!({"email": "cy@example.org"}))
            .await;
        app.time_passes(HOUR).await;
        let invitation = format!(
            "{athletes}/{}/invitation",
            cy["id"].as_str().expect("an id")
        );
        assert_eq!(
            counted(owner.post(&invitation, &json!({}))).await,
            counts([("queued", 1), ("sent", 1)])
        );
        assert_eq!(
            counted(owner.delete(&invitation)).await,
            counts([("revoked", 1)])
        );
        assert_eq!(
            counted(owner.delete(&invitation)).await,
            counts([]),
            "it is revoked"
        );
    });
}

#[test]
fn outcomes_and_delay_of_the_relay_are_counted() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let import =
            json!({"athletes": [{"email": "ada@example.org"}, {"email": "bob@example.org"}]});
        owner
            .post(&format!("/businesses/{gym}/athletes/import"), &import)
            .await
            .expect(200);
        app.time_passes(HOUR).await;

        let run = async |endpoint| {
            let relay = app.relay(TestApp::sender(app.shared, endpoint)).await;
            let deadline = Instant::now() + Duration::from_mins(1);
            let (_, log) = overhear(deliver_invitations::handle(&relay, deadline)).await;
            let overdue = log
                .metrics()
                .find_map(|metric| metric["OldestQueuedInvitation"].as_f64());
            (log.counts(), overdue.expect("every run says it"))
        };
        let (counted, overdue) = run(Some(NOBODY_LISTENS)).await;
        assert_eq!(
            counted,
            counts([("OldestQueuedInvitation", 0), ("retried", 2)])
        );
        assert!((3_600.0..3_700.0).contains(&overdue), "{overdue}");

        app.shared.postgres.run(&app.database, "UPDATE invitation SET attempts = 7 WHERE athlete_id = (SELECT min(id::text)::uuid FROM athlete)").await.expect("it has been tried");
        app.time_passes(DAY).await;
        let (counted, _) = run(Some(NOBODY_LISTENS)).await;
        assert_eq!(
            counted,
            counts([("OldestQueuedInvitation", 0), ("failed", 1), ("retried", 1)])
        );
        app.time_passes(DAY).await;
        let (counted, _) = run(None).await;
        assert_eq!(
            counted,
            counts([("OldestQueuedInvitation", 0), ("sent", 1)])
        );
        assert_eq!(
            run(None).await,
            (counts([("OldestQueuedInvitation", 0)]), 0.0),
            "nothing is due"
        );
    });
}

#[test]
fn outcome_of_a_mail_is_counted_once() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        let message_id: String = app.ask("SELECT provider_message_id FROM invitation").await;
        let say = async |event_type: &str, member: &str, value: Value| {
            let event = json!({
                "source": "aws.ses",
                "detail": {"eventType": event_type, "mail": {"messageId": message_id}, member: value},
            });
            let (report, log) = overhear(record_mail_events::handle(&app.app, event)).await;
            report.expect("the database answers");
            log.counts()
        };
        for expected in [counts([("delivered", 1)]), counts([])] {
            assert_eq!(say("Delivery", "delivery", json!({})).await, expected);
        }
        let bounce = json!({"bounceType": "Transient", "bounceSubType": "MailboxFull"});
        assert_eq!(
            say("Bounce", "bounce", bounce).await,
            counts([("queued", 1)])
        );
    });
}

#[test]
fn lockout_is_counted() {
    story(async |app| {
        let guesser = app.person("guesser@example.org");
        let guess = || async {
            let code = json!(AthleteCode::draw().to_string());
            guesser.links(Some(&code)).await
        };
        for _ in 0..5 {
            assert_eq!(counted(guess()).await, counts([]));
        }
        assert_eq!(counted(guess()).await, counts([("Lockouts", 1)]));
    });
}

/// The form is CloudWatch's:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
#[test]
fn counts_are_documents_of_the_embedded_metric_format() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let (_, log) = overhear(owner.registers(gym, &json!({"email": "ada@example.org"}))).await;
        let queued = log.metrics().find(|line| line["Outcome"] == "queued");
        let mut document = queued.expect("it is queued").clone();
        let timestamp = document["_aws"]["Timestamp"].take().as_i64();
        let now: i64 = app
            .ask("SELECT extract(epoch FROM now())::bigint * 1000")
            .await;
        assert!(timestamp.is_some_and(|timestamp| (now - timestamp).abs() < 60_000));
        assert_eq!(
            document,
            json!({
                "FunctionName": "the-function",
                "Outcome": "queued",
                "Invitations": 1,
                "_aws": {
                    "Timestamp": null,
                    "CloudWatchMetrics": [{
                        "Namespace": "GymBrah",
                        "Dimensions": [["FunctionName", "Outcome"]],
                        "Metrics": [{"Name": "Invitations", "Unit": "Count"}],
                    }],
                },
            })
        );
    });
}

/// Every request of every test is held to this; here it is seen to fail.
#[test]
fn log_with_personal_data_is_noticed() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let event = owner.event(
            "POST",
            "/businesses",
            Some(r#"{"name": "Iron \"Temple\""}"#),
        );
        let response = json!({"items": [{"athlete_code": "7ZQ4M-1TB0X"}]});
        for (told, is_secret) in [
            ("Iron \"Temple\"", true),
            ("owner@iron.example", true),
            ("7ZQ4M-1TB0X", true),
            (&owner.id.to_string(), false),
            ("POST /businesses", false),
        ] {
            let ((), log) = overhear(async { tracing::warn!(cause = told, "a line") }).await;
            let kept = catch_unwind(AssertUnwindSafe(|| log.keeps_to_itself(&event, &response)));
            assert_eq!(kept.is_err(), is_secret, "{told}");
        }
    });
}
