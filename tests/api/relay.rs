use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use axum::{
    Json, Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use deliver_invitations::{Report, handle};
use futures::future::join_all;
use serde_json::{Value, json};
use shared::invitations::delivery::InvitationSender;
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tests::{TestApp, story};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

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
    ses(move |_| async move { refusal(status, error) }).await
}

fn refusal(status: u16, error: &'static str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    let headers = [("x-amzn-errortype", error)];
    (status, headers, r#"{"message": "no"}"#).into_response()
}

fn taken() -> Response {
    Json(json!({"MessageId": "a-message"})).into_response()
}

/// SES that answers so.
async fn ses<Answered: Future<Output = Response> + Send + 'static>(
    answer: impl Fn(Value) -> Answered + Clone + Send + Sync + 'static,
) -> String {
    let response = move |request: Request| {
        let answer = answer.clone();
        async move {
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
            answer(serde_json::from_slice(&body.expect("a body")).expect("JSON")).await
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(response)).await });
    address
}

/// The addresses that SES was asked to write to, in that order.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn note(&self, call: &Value) {
        let to = call["Destination"]["ToAddresses"][0].as_str();
        let mut asked = self.0.lock().expect("nobody panics");
        asked.push(to.expect("a recipient").to_owned());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics").clone()
    }
}

#[test]
fn throttled_invitation_is_sent_later_and_counts_no_attempt() {
    story(async |app| {
        queued_athletes(app, 40, "throttled.relay.example").await;
        let busy = ses_that_says(429, "TooManyRequestsException").await;
        let relay_app = app.relay(TestApp::sender(app.shared, Some(&busy))).await;
        let report = handle(&relay_app, Instant::now() + Duration::from_secs(11)).await;
        let report = report.expect("the database answers");
        assert!(report.throttled > 0, "{report:?}");
        assert_eq!(
            report,
            Report {
                throttled: report.throttled,
                ..Report::default()
            }
        );
        assert!(app.ask::<bool>("SELECT bool_and(status = 'queued' AND attempts = throttled AND last_error IS NULL) FROM invitation").await);

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
fn one_throttled_answer_is_a_pause_of_a_second_and_no_more() {
    story(async |app| {
        queued_athletes(app, 100, "once.throttled.relay.example").await;
        let asked = Asked::default();
        let log = asked.clone();
        let address = ses(move |call| {
            log.note(&call);
            let is_second = log.all().len() == 2;
            async move {
                if is_second {
                    refusal(429, "TooManyRequestsException")
                } else {
                    taken()
                }
            }
        })
        .await;
        let report = relay(app, TestApp::sender(app.shared, Some(&address))).await;
        assert_eq!((report.sent, report.throttled), (99, 1), "{report:?}");
    });
}

#[test]
fn mail_has_the_invitation_and_the_attempt_as_tags() {
    story(async |app| {
        queued_athletes(app, 1, "tags.relay.example").await;
        let tags = Arc::<Mutex<Vec<Value>>>::default();
        let log = Arc::clone(&tags);
        let address = ses(move |call| {
            log.lock()
                .expect("nobody panics")
                .push(call["EmailTags"].clone());
            async { refusal(500, "InternalServiceErrorException") }
        })
        .await;
        for _ in 0..2 {
            relay(app, TestApp::sender(app.shared, Some(&address))).await;
            app.time_passes(HOUR).await;
        }
        let id: String = app.ask("SELECT id::text FROM invitation").await;
        let expected = |attempt: &str| json!([{"Name": "invitation", "Value": id}, {"Name": "attempt", "Value": attempt}]);
        assert_eq!(
            *tags.lock().expect("nobody panics"),
            [expected("1"), expected("2")]
        );
    });
}

#[test]
fn row_that_can_not_be_sent_fails_alone() {
    story(async |app| {
        queued_athletes(app, 10, "broken.relay.example").await;
        let no_address = "UPDATE athlete SET phone = '+393331112223', email = NULL WHERE email = '1@broken.relay.example'";
        let broken = app.shared.postgres.run(&app.database, no_address).await;
        broken.expect("a row is broken");
        let report = relay(app, TestApp::sender(app.shared, None)).await;
        assert_eq!((report.sent, report.refused), (9, 1), "{report:?}");
        assert_eq!(
            app.ask::<i64>("SELECT count(*) FROM invitation WHERE status = 'failed' AND last_error LIKE '%correct it%'").await,
            1
        );
    });
}

#[test]
fn attempts_end_at_eight_in_the_claim_too() {
    story(async |app| {
        queued_athletes(app, 3, "dying.relay.example").await;
        // So it is after senders that died eight times, and never recorded anything.
        let spent = "UPDATE invitation SET attempts = 8, settled_attempt = 8";
        let changed = app.shared.postgres.run(&app.database, spent).await;
        changed.expect("the attempts are spent");
        assert_eq!(
            relay(app, TestApp::sender(app.shared, None)).await,
            Report::default()
        );
        assert!(app.ask::<bool>("SELECT bool_and(status = 'failed' AND attempts = 8 AND last_error IS NOT NULL) FROM invitation").await);
    });
}

/// A server that reads a request whole, writes down that it did, and closes the connection without
/// an answer.
async fn ses_that_breaks_off(taken: Asked) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let take = async |mut connection: TcpStream, taken: Asked| {
        let mut request = Vec::new();
        let mut part = [0; 4096];
        loop {
            let length = connection.read(&mut part).await.unwrap_or(0);
            request.extend_from_slice(&part[..length]);
            let text = String::from_utf8_lossy(&request);
            let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
            if let Some(call) = body.and_then(|body| serde_json::from_str(body).ok()) {
                taken.note(&call);
                let _ = connection.shutdown().await;
                return;
            }
            if length == 0 {
                return;
            }
        }
    };
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            take(connection, taken.clone()).await;
        }
    });
    address
}

/// As the functions have it, which repeat other calls; but sooner.
fn impatient(sdk_config: SdkConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_millis(900));
    let config = sdk_config.into_builder().timeout_config(timeouts.build());
    config.retry_config(RetryConfig::standard()).build()
}

#[test]
fn mail_without_an_answer_is_sent_twice_at_most() {
    story(async |app| {
        let late = Asked::default();
        let log = late.clone();
        let answers_late = ses(move |call| {
            log.note(&call);
            async {
                sleep(Duration::from_millis(1_500)).await;
                taken()
            }
        })
        .await;
        let broken_off = Asked::default();
        let breaks_off = ses_that_breaks_off(broken_off.clone()).await;

        queued_athletes(app, 4, "unknown.relay.example").await;
        for (address, asked) in [(answers_late, late), (breaks_off, broken_off)] {
            let anew = "UPDATE invitation SET status = 'queued', attempts = 0, settled_attempt = 0, unknown_attempt = NULL,
                                              next_attempt_at = now()";
            let anew = app.shared.postgres.run(&app.database, anew).await;
            anew.expect("all is queued again");
            let mut unknown = 0;
            for _ in 0..10 {
                let sender = TestApp::sender_of(&impatient(app.shared.sdk_config(Some(&address))));
                unknown += relay(app, sender).await.unknown;
                app.time_passes(DAY / 10).await;
            }
            let mut times = BTreeMap::<_, usize>::new();
            for to in asked.all() {
                *times.entry(to).or_default() += 1;
            }
            assert_eq!(unknown, 8);
            assert_eq!(times.into_values().collect::<Vec<_>>(), [2; 4]);
            assert!(app.ask::<bool>("SELECT bool_and(status = 'failed' AND last_error LIKE '%may have arrived%') FROM invitation").await);
        }
    });
}

#[test]
fn sender_that_dies_is_followed_by_one_other() {
    story(async |app| {
        queued_athletes(app, 2, "died.relay.example").await;
        let dies = "UPDATE invitation SET attempts = attempts + 1, next_attempt_at = now() - interval '1 second',
                           unknown_attempt = CASE WHEN settled_attempt < attempts THEN attempts ELSE unknown_attempt END";
        let die = async || {
            let set = app.shared.postgres.run(&app.database, dies).await;
            set.expect("a sender dies");
        };
        die().await;
        die().await;
        assert_eq!(
            relay(app, TestApp::sender(app.shared, None)).await,
            Report::default(),
            "two senders may have sent it"
        );
        assert!(
            app.ask::<bool>("SELECT bool_and(status = 'failed') FROM invitation")
                .await
        );
    });
}

#[test]
fn gyms_are_served_in_turn() {
    story(async |app| {
        queued_athletes(app, 200, "large.relay.example").await;
        let owner = app.person("owner@small.example");
        for n in 0..5 {
            let gym = owner.opens_gym(&format!("Small {n}")).await;
            let load = format!(
                "WITH loaded AS (
                     INSERT INTO athlete (id, athlete_code, invited_by, email)
                     VALUES (gen_random_uuid(), lpad('{n}', 10, 'Z'), '{gym}', '{n}@small.relay.example') RETURNING id
                 )
                 INSERT INTO invitation (athlete_id, channel, expires_at) SELECT id, 'email', now() + interval '30 days' FROM loaded"
            );
            let loaded = app.shared.postgres.run(&app.database, &load).await;
            loaded.expect("an athlete is loaded");
        }
        let asked = Asked::default();
        let log = asked.clone();
        let address = ses(move |call| {
            log.note(&call);
            async { taken() }
        })
        .await;
        let mut slow = app.relay(TestApp::sender(app.shared, Some(&address))).await;
        slow.send_rate = 20;
        let report = handle(&slow, Instant::now() + Duration::from_secs(11)).await;
        let report = report.expect("the database answers");
        assert!((10..205).contains(&report.sent), "{report:?}");
        let first: Vec<_> = asked.all().into_iter().take(12).collect();
        let small = first
            .iter()
            .filter(|to| to.ends_with("@small.relay.example"));
        assert_eq!(small.count(), 5, "{first:?}");
    });
}

/// How fast it is, and that nobody is written to twice: at rates at which a claim of a whole second
/// would be too large.
#[test]
fn a_thousand_a_second_is_reached_when_ses_answers_at_once() {
    story(async |app| {
        queued_athletes(app, 1_500, "fast.relay.example").await;
        let asked = Asked::default();
        let log = asked.clone();
        let address = ses(move |call| {
            log.note(&call);
            async { taken() }
        })
        .await;
        let mut fast = app.relay(TestApp::sender(app.shared, Some(&address))).await;
        fast.send_rate = 1_000;
        let began = Instant::now();
        let report = handle(&fast, a_minute_from_now()).await;
        let rate = 1_500.0 / began.elapsed().as_secs_f64();
        assert_eq!(report.expect("the database answers").sent, 1_500);
        // Measured on a quiet machine it is the rate; here other tests run beside it, without
        // optimisation.
        assert!(rate > 50.0, "{rate:.0} a second");
        let mut all = asked.all();
        let calls = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!((calls, all.len()), (1_500, 1_500));
    });
}

#[test]
fn slow_ses_gets_nothing_twice_at_a_high_rate() {
    story(async |app| {
        queued_athletes(app, 1_000, "slow.relay.example").await;
        let asked = Asked::default();
        let log = asked.clone();
        let address = ses(move |call| {
            log.note(&call);
            async {
                sleep(Duration::from_millis(1_500)).await;
                taken()
            }
        })
        .await;
        let run = async || {
            let mut relay = app.relay(TestApp::sender(app.shared, Some(&address))).await;
            relay.send_rate = 500;
            let report = handle(&relay, Instant::now() + Duration::from_secs(12)).await;
            report.expect("the database answers")
        };
        let reports = join_all([run(), run()]).await;
        for report in &reports {
            assert_eq!(
                *report,
                Report {
                    sent: report.sent,
                    ..Report::default()
                }
            );
        }
        let mut all = asked.all();
        let calls = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(calls, all.len());
        assert_eq!(
            calls,
            reports.iter().map(|report| report.sent).sum::<usize>()
        );
        let unsettled = "SELECT count(*) FROM invitation WHERE settled_attempt < attempts";
        assert_eq!(
            app.ask::<i64>(unsettled).await,
            0,
            "all that was claimed was sent in time"
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
        let report = handle(&slow, Instant::now() + Duration::from_millis(10_500))
            .await
            .expect("the database answers");
        assert!((5..=10).contains(&report.sent), "{report:?}");
    });
}
