use axum::{Router, http::StatusCode};
use deliver_invitations::{Report, handle};
use serde_json::json;
use shared::invitations::delivery::InvitationSender;
use std::{net::Ipv4Addr, time::Duration};
use tests::{TestApp, story};
use tokio::{net::TcpListener, time::Instant};

const NOBODY_LISTENS: &str = "http://127.0.0.1:9";
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Long enough for whatever a test has to be sent.
fn a_minute_from_now() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

async fn relay(app: &TestApp, sender: InvitationSender) -> Report {
    handle(&app.relay(sender).await, a_minute_from_now())
        .await
        .expect("the database answers")
}

/// Loads athletes of one gym with queued invitations that are due.
async fn queued_athletes(app: &'static TestApp, number: u32, domain: &str) {
    let owner = app.person("owner@iron.example");
    let gym = owner.opens_gym("Iron Temple").await;
    let load = format!(
        "WITH loaded AS (
             INSERT INTO athlete (id, athlete_code, invited_by, email)
             SELECT gen_random_uuid(), lpad(n::text, 10, '0'), '{gym}', n || '@{domain}' FROM generate_series(1, {number}) AS n
             RETURNING id
         )
         INSERT INTO invitation (athlete_id, channel, expires_at) SELECT id, 'email', now() + interval '30 days' FROM loaded"
    );
    app.shared
        .postgres
        .run(&app.database, &load)
        .await
        .expect("athletes are loaded");
}

#[test]
fn unsent_invitation_is_sent_later() {
    story(async |app| {
        let down = app
            .with_registrar(|registrar| {
                registrar.sender = TestApp::sender(app.shared, Some(NOBODY_LISTENS));
            })
            .await;
        let owner = down.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .registers(
                gym,
                &json!({"email": "later@relay.example", "locale": "it"}),
            )
            .await;
        owner
            .registers(gym, &json!({"phone": "+393339990001"}))
            .await;

        let up = || TestApp::sender(app.shared, None);
        assert_eq!(
            relay(app, up()).await,
            Report::default(),
            "nothing is due before its back-off is over"
        );
        app.time_passes(HOUR).await;
        assert_eq!(
            relay(app, up()).await,
            Report {
                sent: 2,
                ..Report::default()
            }
        );
        assert_eq!(relay(app, up()).await, Report::default());
        assert_eq!(
            (
                app.mails_to("later@relay.example").await.len(),
                app.mails_to("+393339990001").await.len()
            ),
            (1, 1)
        );
        assert!(app.ask::<bool>("SELECT bool_and(status = 'sent' AND attempts = 2 AND last_error IS NULL AND sent_at IS NOT NULL) FROM invitation").await);
    });
}

#[test]
fn provider_gets_all_invitations_after_a_long_outage() {
    story(async |app| {
        queued_athletes(app, 20, "long.relay.example").await;
        for attempt in 1..=7 {
            let report = relay(app, TestApp::sender(app.shared, Some(NOBODY_LISTENS))).await;
            assert_eq!(
                report,
                Report {
                    failed: 20,
                    ..Report::default()
                },
                "attempt {attempt}"
            );
            assert!(
                app.ask::<bool>(
                    "SELECT bool_and(status = 'queued' AND last_error IS NOT NULL) FROM invitation"
                )
                .await
            );
            app.time_passes(DAY).await;
        }
        assert_eq!(
            relay(app, TestApp::sender(app.shared, None)).await,
            Report {
                sent: 20,
                ..Report::default()
            }
        );
    });
}

#[test]
fn eight_attempts_over_about_a_day_end_in_failed_with_the_reason() {
    story(async |app| {
        queued_athletes(app, 5, "never.relay.example").await;
        let mut waited: f64 = 0.0;
        for _ in 1..=8 {
            relay(app, TestApp::sender(app.shared, Some(NOBODY_LISTENS))).await;
            let wait: f64 = app.ask("SELECT coalesce(extract(epoch FROM max(next_attempt_at) - now())::float8, -1) FROM invitation WHERE status = 'queued'").await;
            if wait < 0.0 {
                break;
            }
            waited += wait;
            app.time_passes(Duration::from_secs_f64(wait + 1.0)).await;
        }
        assert!(app.ask::<bool>("SELECT bool_and(status = 'failed' AND attempts = 8 AND last_error IS NOT NULL) FROM invitation").await);
        assert!(
            (0.8 * 86_400.0..1.5 * 86_400.0).contains(&waited),
            "{waited} s"
        );
        assert_eq!(
            relay(app, TestApp::sender(app.shared, None)).await,
            Report::default()
        );
    });
}

#[test]
fn two_relays_send_each_of_a_thousand_invitations_once() {
    story(async |app| {
        queued_athletes(app, 1_000, "thousand.relay.example").await;
        let (first, second) = futures::join!(
            relay(app, TestApp::sender(app.shared, None)),
            relay(app, TestApp::sender(app.shared, None))
        );
        assert_eq!(first.sent + second.sent, 1_000, "{first:?} {second:?}");
        assert!(
            first.sent > 0 && second.sent > 0,
            "both had their part: {first:?} {second:?}"
        );
        let outbox = app.shared.aws.outbox().await;
        let mut to: Vec<_> = outbox
            .newest_first()
            .map(|mail| mail.to.as_str())
            .filter(|to| to.ends_with("@thousand.relay.example"))
            .collect();
        let sent = to.len();
        to.sort_unstable();
        to.dedup();
        assert_eq!((sent, to.len()), (1_000, 1_000));
    });
}

#[test]
fn relay_stops_claiming_before_its_deadline() {
    story(async |app| {
        queued_athletes(app, 5, "deadline.relay.example").await;
        let relay = app.relay(TestApp::sender(app.shared, None)).await;
        let report = handle(&relay, Instant::now() + Duration::from_secs(1))
            .await
            .expect("the database answers");
        assert_eq!(report, Report::default());
        assert!(
            app.ask::<bool>("SELECT bool_and(status = 'queued' AND attempts = 0) FROM invitation")
                .await
        );
    });
}

#[test]
fn revoked_accepted_and_expired_invitations_are_not_sent() {
    story(async |app| {
        queued_athletes(app, 3, "closed.relay.example").await;
        let close = "UPDATE invitation SET status = CASE email WHEN '1@closed.relay.example' THEN 'revoked' WHEN '2@closed.relay.example' THEN 'accepted' ELSE status END,
                            created_at = now() - interval '31 days', expires_at = now() - interval '1 day'
                     FROM athlete WHERE athlete.id = athlete_id";
        app.shared
            .postgres
            .run(&app.database, close)
            .await
            .expect("invitations are closed");
        assert_eq!(
            relay(app, TestApp::sender(app.shared, None)).await,
            Report::default()
        );
    });
}

/// SES, in a mood: it answers every call with this error.
async fn ses_that_says(status: u16, error: &'static str) -> String {
    let response = async move || {
        let status = StatusCode::from_u16(status).expect("a status");
        (
            status,
            [("x-amzn-errortype", error)],
            r#"{"message": "no"}"#,
        )
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(response)).await });
    address
}

#[test]
fn throttled_invitation_is_sent_later_and_counts_no_attempt() {
    story(async |app| {
        queued_athletes(app, 40, "throttled.relay.example").await;
        let busy = ses_that_says(429, "TooManyRequestsException").await;
        let report = relay(app, TestApp::sender(app.shared, Some(&busy))).await;
        assert_eq!(
            report,
            Report {
                throttled: 40,
                ..Report::default()
            }
        );
        assert!(app.ask::<bool>("SELECT bool_and(status = 'queued' AND attempts = 0 AND next_attempt_at > now() AND last_error IS NULL) FROM invitation").await);

        app.time_passes(HOUR).await;
        assert_eq!(
            relay(app, TestApp::sender(app.shared, None)).await,
            Report {
                sent: 40,
                ..Report::default()
            }
        );
    });
}

#[test]
fn throttled_relay_claims_no_more() {
    story(async |app| {
        queued_athletes(app, 250, "many.throttled.relay.example").await;
        let busy = ses_that_says(429, "TooManyRequestsException").await;
        let report = relay(app, TestApp::sender(app.shared, Some(&busy))).await;
        assert_eq!(
            report,
            Report {
                throttled: 100,
                ..Report::default()
            },
            "what was claimed at once, and no more"
        );
    });
}

#[test]
fn refused_address_has_failed_at_once() {
    story(async |app| {
        queued_athletes(app, 3, "refused.relay.example").await;
        let picky = ses_that_says(400, "BadRequestException").await;
        let report = relay(app, TestApp::sender(app.shared, Some(&picky))).await;
        assert_eq!(
            report,
            Report {
                refused: 3,
                ..Report::default()
            }
        );
        assert!(app.ask::<bool>("SELECT bool_and(status = 'failed' AND attempts = 1 AND last_error LIKE '%correct it%') FROM invitation").await);
    });
}

#[test]
fn relay_sends_no_more_in_a_second_than_its_rate() {
    story(async |app| {
        queued_athletes(app, 50, "rate.relay.example").await;
        let mut slow = app.relay(TestApp::sender(app.shared, None)).await;
        slow.send_rate = 5;
        // It claims at once, and after a second; then the deadline is too near.
        let report = handle(&slow, Instant::now() + Duration::from_millis(7_500))
            .await
            .expect("the database answers");
        assert!((5..=10).contains(&report.sent), "{report:?}");
    });
}
