use record_mail_events::{Report, handle};
use serde_json::{Value, json};
use shared::invitations::{SendError, delivery::Attempt};
use std::collections::{BTreeMap, BTreeSet};
use tests::{TestApp, story};
use tokio_postgres::types::FromSql;
use uuid::Uuid;

/// What SES says of the mail with this id.
type Event = fn(&str) -> Value;

/// The last of the tries that an invitation has.
const LAST_TRY: i32 = 8;

fn event(message_id: &str, event_type: &str, member: &str, value: &Value) -> Value {
    json!({
        "version": "0",
        "source": "aws.ses",
        "detail": {"eventType": event_type, "mail": {"messageId": message_id}, member: value},
    })
}

fn delivery(message_id: &str) -> Value {
    event(message_id, "Delivery", "delivery", &json!({}))
}

fn bounce(message_id: &str, kind: &str, sub_type: &str, action: &str, status: &str) -> Value {
    let bounce = json!({
        "bounceType": kind,
        "bounceSubType": sub_type,
        "bouncedRecipients": [{"emailAddress": "ada@example.org", "action": action, "status": status}],
    });
    event(message_id, "Bounce", "bounce", &bounce)
}

fn bounce_for_good(message_id: &str) -> Value {
    bounce(message_id, "Permanent", "NoEmail", "failed", "5.1.1")
}

fn bounce_for_now(message_id: &str) -> Value {
    bounce(message_id, "Transient", "MailboxFull", "failed", "4.2.2")
}

fn complaint(message_id: &str) -> Value {
    event(
        message_id,
        "Complaint",
        "complaint",
        &json!({"complaintFeedbackType": "abuse"}),
    )
}

fn rejection(message_id: &str) -> Value {
    event(
        message_id,
        "Reject",
        "reject",
        &json!({"reason": "Bad content"}),
    )
}

fn rendering_failure(message_id: &str) -> Value {
    event(
        message_id,
        "Rendering Failure",
        "failure",
        &json!({"templateName": "none", "errorMessage": "none"}),
    )
}

/// An athlete of a new gym whose invitation went out by mail, and what became of it.
struct Invited {
    app: &'static TestApp,
    message_id: String,
    athlete_id: Uuid,
    roster: String,
    owner: tests::Person,
}

impl Invited {
    async fn new(app: &'static TestApp) -> Self {
        let owner = app.person(&format!("{}@iron.example", Uuid::now_v7().simple()));
        let gym = owner.opens_gym("Iron Temple").await;
        let athlete = owner
            .registers(
                gym,
                &json!({"email": format!("{}@example.org", Uuid::now_v7().simple())}),
            )
            .await;
        let athlete_id: Uuid = athlete["id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .expect("an id");
        let message_id = app
            .ask(&format!(
                "SELECT provider_message_id FROM invitation WHERE athlete_id = '{athlete_id}'"
            ))
            .await;
        let roster = format!("/businesses/{gym}/athletes");
        Self {
            app,
            message_id,
            athlete_id,
            roster,
            owner,
        }
    }

    /// Hands the function an event of this invitation's mail.
    async fn gets(&self, event: impl Fn(&str) -> Value) -> Report {
        record(self.app, event(&self.message_id)).await
    }

    async fn set(&self, assignments: &str) {
        let sql = format!(
            "UPDATE invitation SET {assignments} WHERE athlete_id = '{}'",
            self.athlete_id
        );
        self.app
            .shared
            .postgres
            .run(&self.app.database, &sql)
            .await
            .expect("the invitation can be changed");
    }

    async fn ask<T: for<'a> FromSql<'a>>(&self, expression: &str) -> T {
        self.app
            .ask(&format!(
                "SELECT {expression} FROM invitation WHERE athlete_id = '{}'",
                self.athlete_id
            ))
            .await
    }

    async fn status(&self) -> String {
        self.ask("status").await
    }

    /// Everything that is known of the invitation, and when it was written last.
    async fn row(&self) -> String {
        self.ask("row(invitation, xmin)::text").await
    }

    /// What the gym's owner sees.
    async fn in_roster(&self) -> Value {
        self.owner.get(&self.roster).await.expect(200)["items"][0]["invitation"].clone()
    }

    fn recorded(&self) -> Report {
        Report::Recorded {
            message_id: self.message_id.clone(),
        }
    }

    fn unchanged(&self) -> Report {
        Report::Unchanged {
            message_id: self.message_id.clone(),
        }
    }
}

async fn record(app: &TestApp, event: Value) -> Report {
    handle(&app.app, event)
        .await
        .expect("the database is there")
}

/// Every order of these names, each once.
fn orders<'a>(names: &[&'a str]) -> BTreeSet<Vec<&'a str>> {
    let Some(last) = names.len().checked_sub(1) else {
        return [Vec::new()].into();
    };
    let longer = |mut order: Vec<&'a str>, place: usize| {
        order.insert(place, names[last]);
        order
    };
    orders(&names[..last])
        .into_iter()
        .flat_map(|order| (0..=last).map(move |place| longer(order.clone(), place)))
        .collect()
}

#[test]
fn events_in_any_order_end_in_the_gravest_status() {
    let events: BTreeMap<&str, Event> = [
        ("delivery", delivery as Event),
        ("bounce", bounce_for_good),
        ("complaint", complaint),
    ]
    .into();
    let cases = [
        ("delivery delivery", "delivered"),
        ("bounce bounce", "bounced"),
        ("complaint complaint", "complained"),
        ("delivery delivery bounce bounce", "bounced"),
        ("delivery delivery complaint complaint", "complained"),
        ("bounce bounce complaint complaint", "complained"),
        (
            "delivery delivery bounce bounce complaint complaint",
            "complained",
        ),
    ];
    story(async |app| {
        let invited = Invited::new(app).await;
        for (names, expected) in cases {
            let names: Vec<_> = names.split(' ').collect();
            for order in orders(&names) {
                invited.set("status = 'sent', last_error = NULL").await;
                for name in &order {
                    invited.gets(events[name]).await;
                    // The same once more changes nothing, not even the time of the row's last
                    // change.
                    let before = invited.row().await;
                    assert_eq!(invited.gets(events[name]).await, invited.unchanged());
                    assert_eq!(invited.row().await, before);
                }
                assert_eq!(invited.status().await, expected, "{order:?}");
            }
        }
    });
}

#[test]
fn event_changes_only_earlier_statuses() {
    let events: [(&str, Event, &str); 6] = [
        ("delivery", delivery, "sent → delivered"),
        (
            "bounce for good",
            bounce_for_good,
            "sent → bounced, delivered → bounced",
        ),
        (
            "bounce for now",
            bounce_for_now,
            "sent → queued, delivered → queued",
        ),
        (
            "complaint",
            complaint,
            "sent → complained, delivered → complained, bounced → complained",
        ),
        ("rejection", rejection, "sent → failed"),
        ("rendering failure", rendering_failure, "sent → failed"),
    ];
    let statuses = [
        "queued",
        "sent",
        "delivered",
        "bounced",
        "complained",
        "failed",
        "accepted",
        "revoked",
        "expired",
    ];
    story(async |app| {
        let invited = Invited::new(app).await;
        for (name, event, changes) in events {
            for status in statuses {
                invited
                    .set(&format!(
                        "status = '{status}', provider_message_id = '{}', last_error = 'before'",
                        invited.message_id
                    ))
                    .await;
                let before = invited.row().await;
                let report = invited.gets(event).await;
                let after = invited.status().await;
                let change = format!("{status} → {after}");
                if changes.split(", ").any(|expected| expected == change) {
                    assert_eq!(report, invited.recorded(), "{name}: {change}");
                } else {
                    assert_eq!(report, invited.unchanged(), "{name}: {change}");
                    assert_eq!(invited.row().await, before, "{name}: {change}");
                }
            }
        }
    });
}

#[test]
fn mail_that_bounced_for_now_is_sent_again_later() {
    story(async |app| {
        let invited = Invited::new(app).await;
        assert_eq!(invited.gets(bounce_for_now).await, invited.recorded());
        assert!(
            invited
                .ask::<bool>(
                    "status = 'queued' AND attempts = 1 AND provider_message_id IS NULL AND sent_at IS NULL
                     AND next_attempt_at - now() BETWEEN interval '60 seconds' AND interval '96 seconds'"
                )
                .await
        );
        let before = invited.row().await;
        for event in [bounce_for_now, delivery, bounce_for_good] {
            let unknown = Report::UnknownMessage {
                message_id: invited.message_id.clone(),
            };
            assert_eq!(invited.gets(event).await, unknown, "the mail is history");
        }
        assert_eq!(invited.row().await, before);
    });
}

#[test]
fn last_attempt_and_expired_invitation_bounce_for_good() {
    story(async |app| {
        for last in [
            format!("attempts = {LAST_TRY}"),
            "created_at = now() - interval '31 days', expires_at = now() - interval '1 second'"
                .to_owned(),
        ] {
            let invited = Invited::new(app).await;
            invited.set(&last).await;
            assert_eq!(invited.gets(bounce_for_now).await, invited.recorded());
            assert_eq!(invited.status().await, "bounced", "{last}");
            assert!(
                !invited
                    .ask::<String>("last_error")
                    .await
                    .contains("tried again"),
                "{last}"
            );
            assert_eq!(invited.gets(bounce_for_now).await, invited.unchanged());
        }
        let invited = Invited::new(app).await;
        invited.set(&format!("attempts = {}", LAST_TRY - 1)).await;
        invited.gets(bounce_for_now).await;
        assert_eq!(invited.status().await, "queued");
    });
}

#[test]
fn attempts_are_spread_over_about_a_day() {
    story(async |app| {
        let as_it_should: bool = app
            .ask(
                "SELECT bool_and(extract(epoch FROM retry_delay(attempt)) / (80 * power(3, attempt - 1)) BETWEEN 0.8 AND 1.2)
                        AND count(DISTINCT retry_delay(attempt)) > 100
                 FROM generate_series(1, 8) AS attempt, generate_series(1, 100)",
            )
            .await;
        assert!(as_it_should);
        let day: bool = app
            .ask("SELECT sum(retry_delay(attempt)) BETWEEN interval '19 hours' AND interval '30 hours' FROM generate_series(1, 7) AS attempt")
            .await;
        assert!(day);
        let however_wrong: bool = app
            .ask("SELECT retry_delay(0) > interval '1 minute' AND retry_delay(2147483647) < interval '3 days'")
            .await;
        assert!(however_wrong);
    });
}

#[test]
fn linked_athlete_stays_linked_after_any_mail_event() {
    story(async |app| {
        let invited = Invited::new(app).await;
        let email: String = app
            .ask(&format!(
                "SELECT email FROM athlete WHERE id = '{}'",
                invited.athlete_id
            ))
            .await;
        app.person(&email).links(None).await.expect(200);
        let before = invited.row().await;
        for event in [
            delivery,
            bounce_for_good,
            bounce_for_now,
            complaint,
            rejection,
            rendering_failure,
        ] {
            assert_eq!(invited.gets(event).await, invited.unchanged());
        }
        assert_eq!(invited.in_roster().await["status"], "accepted");
        assert_eq!(invited.row().await, before);
    });
}

#[test]
fn roster_shows_the_outcome_of_each_mail_and_the_remedy() {
    story(async |app| {
        let refused = |id: &str| {
            bounce(
                id,
                "Permanent",
                "OnAccountSuppressionList",
                "failed",
                "5.1.1",
            )
        };
        let too_large = |id: &str| bounce(id, "Transient", "MessageTooLarge", "failed", "5.3.4");
        let cases: [(Event, &str, Option<&str>); 8] = [
            (delivery, "delivered", None),
            (
                bounce_for_good,
                "bounced",
                Some("The address does not exist or refuses mail; please correct it."),
            ),
            (refused, "bounced", Some("please use another address")),
            (too_large, "bounced", Some("hand over the code yourself")),
            (
                bounce_for_now,
                "queued",
                Some(
                    "The mailbox is full or can't be reached at the moment; it will be tried again.",
                ),
            ),
            (
                complaint,
                "complained",
                Some(
                    "The person marked the invitation as unwanted; please do not send another one.",
                ),
            ),
            (
                rejection,
                "failed",
                Some("please check your gym's name and the athlete's"),
            ),
            (rendering_failure, "failed", Some("our fault")),
        ];
        for (event, status, words) in cases {
            let invited = Invited::new(app).await;
            invited.gets(event).await;
            let seen = invited.in_roster().await;
            assert_eq!(seen["status"], status);
            match words {
                Some(words) => assert!(
                    seen["last_error"]
                        .as_str()
                        .is_some_and(|error| error.contains(words)),
                    "{seen}"
                ),
                None => assert_eq!(seen["last_error"], json!(null)),
            }
        }
    });
}

#[test]
fn unknown_mails_and_other_events_change_nothing() {
    story(async |app| {
        let invited = Invited::new(app).await;
        let before = invited.row().await;
        for event in [delivery, bounce_for_now, complaint] {
            let unknown = Report::UnknownMessage {
                message_id: "id-of-another-system".to_owned(),
            };
            assert_eq!(record(app, event("id-of-another-system")).await, unknown);
        }
        let delayed = bounce(
            &invited.message_id,
            "Transient",
            "General",
            "delayed",
            "4.0.0",
        );
        let opened = event(&invited.message_id, "Open", "open", &json!({}));
        let without_its_bounce = event(&invited.message_id, "Bounce", "delivery", &json!({}));
        for event in [
            delayed,
            opened,
            without_its_bounce,
            json!({}),
            json!(null),
            json!([1, 2]),
        ] {
            assert!(matches!(record(app, event).await, Report::Ignored { .. }));
        }
        assert_eq!(invited.row().await, before);
    });
}

/// The same event with the tags of an attempt, as SES has it.
fn tagged(mut event: Value, invitation_id: Uuid, attempt: i32) -> Value {
    event["detail"]["mail"]["tags"] =
        json!({"invitation": [invitation_id.to_string()], "attempt": [attempt.to_string()]});
    event
}

fn delay(message_id: &str) -> Value {
    event(
        message_id,
        "DeliveryDelay",
        "deliveryDelay",
        &json!({"delayType": "TransientCommunicationFailure"}),
    )
}

#[test]
fn event_before_the_senders_record_settles_the_attempt() {
    let cases: [(Event, &str); 6] = [
        (delivery, "delivered"),
        (delay, "sent"),
        (bounce_for_good, "bounced"),
        (bounce_for_now, "queued"),
        (complaint, "complained"),
        (rejection, "failed"),
    ];
    story(async |app| {
        for (event, status) in cases {
            let invited = Invited::new(app).await;
            let id: Uuid = invited.ask("id").await;
            // SES has taken the mail, and its sender is about to record that.
            invited
                .set("status = 'queued', provider_message_id = NULL, sent_at = NULL, settled_attempt = 0")
                .await;
            let of_the_mail = tagged(event("id-of-ses"), id, 1);
            let recorded = Report::Recorded {
                message_id: "id-of-ses".to_owned(),
            };
            assert_eq!(record(app, of_the_mail.clone()).await, recorded, "{status}");
            let settled =
                "settled_attempt = 1 AND (status = 'queued' OR provider_message_id = 'id-of-ses')";
            assert!(invited.ask::<bool>(settled).await, "{status}");

            let attempt = Attempt {
                invitation_id: id,
                number: 1,
            };
            let late = attempt
                .record(&app.app.db, &Ok("id-of-ses".to_owned()))
                .await;
            let late = late.expect("the database answers").expect("its row");
            assert_eq!(late.get::<_, &str>("status"), status);
            assert_eq!(invited.status().await, status);
            // The same event once more.
            let before = invited.row().await;
            record(app, of_the_mail).await;
            assert_eq!(invited.row().await, before, "{status}");
        }
    });
}

#[test]
fn event_settles_an_attempt_whose_outcome_is_unknown() {
    story(async |app| {
        for is_last in [false, true] {
            let invited = Invited::new(app).await;
            let id: Uuid = invited.ask("id").await;
            invited
                .set("status = 'queued', provider_message_id = NULL, settled_attempt = 0")
                .await;
            let unknown = Err(SendError::Unknown("no answer"));
            for number in 1..=(1 + i32::from(is_last)) {
                invited.set(&format!("attempts = {number}")).await;
                let attempt = Attempt {
                    invitation_id: id,
                    number,
                };
                // The answer to the first of the two was lost.
                for _ in 0..2 {
                    let recorded = attempt.record(&app.app.db, &unknown).await;
                    recorded.expect("the database answers");
                }
            }
            let expected = if is_last { "failed" } else { "queued" };
            assert_eq!(invited.status().await, expected);
            assert!(
                invited
                    .ask::<bool>("next_attempt_at > now() + interval '10 minutes'")
                    .await
            );
            record(app, tagged(delivery("id-of-ses"), id, 1)).await;
            assert_eq!(invited.status().await, "delivered", "{expected}");
        }
    });
}

#[test]
fn events_of_an_earlier_mail_are_history() {
    story(async |app| {
        let invited = Invited::new(app).await;
        let id: Uuid = invited.ask("id").await;
        record(app, tagged(bounce_for_now(&invited.message_id), id, 1)).await;
        assert_eq!(invited.status().await, "queued");
        for late in [bounce_for_now, delivery, bounce_for_good] {
            let before = invited.row().await;
            record(app, tagged(late(&invited.message_id), id, 1)).await;
            assert_eq!(invited.row().await, before);
        }
        invited
            .set("attempts = 2, settled_attempt = 2, status = 'sent'")
            .await;
        record(app, tagged(bounce_for_now(&invited.message_id), id, 1)).await;
        assert_eq!(
            invited.status().await,
            "sent",
            "the second mail is on its way"
        );
    });
}

#[test]
fn delayed_mail_is_shown_as_delayed_until_it_arrives() {
    story(async |app| {
        let invited = Invited::new(app).await;
        assert_eq!(invited.gets(delay).await, invited.recorded());
        assert_eq!(invited.gets(delay).await, invited.unchanged());
        let seen = invited.in_roster().await;
        assert_eq!(seen["status"], "sent");
        let words = seen["last_error"].as_str().expect("a text");
        assert!(words.contains("does not take it yet"), "{words}");
        invited.gets(delivery).await;
        let seen = invited.in_roster().await;
        assert_eq!(
            (&seen["status"], &seen["last_error"]),
            (&json!("delivered"), &json!(null))
        );
        assert_eq!(invited.gets(delay).await, invited.unchanged());
    });
}

#[test]
fn suppressed_address_is_no_complaint() {
    story(async |app| {
        let invited = Invited::new(app).await;
        let suppressed = |id: &str| {
            event(
                id,
                "Complaint",
                "complaint",
                &json!({"complaintSubType": "OnAccountSuppressionList", "complaintFeedbackType": null}),
            )
        };
        invited.gets(suppressed).await;
        let seen = invited.in_roster().await;
        assert_eq!(seen["status"], "bounced");
        let words = seen["last_error"].as_str().expect("a text");
        assert!(words.contains("nothing is sent to it"), "{words}");
    });
}

#[test]
fn report_is_json_with_the_outcome_and_the_id() {
    let message_id = "id-1".to_owned();
    assert_eq!(
        json!([
            Report::Recorded {
                message_id: message_id.clone()
            },
            Report::Unchanged {
                message_id: message_id.clone()
            },
            Report::UnknownMessage { message_id },
            Report::Ignored {
                reason: "it does not come from SES"
            },
        ]),
        json!([
            {"outcome": "recorded", "message_id": "id-1"},
            {"outcome": "unchanged", "message_id": "id-1"},
            {"outcome": "unknown_message", "message_id": "id-1"},
            {"outcome": "ignored", "reason": "it does not come from SES"},
        ])
    );
}

#[test]
fn simultaneous_events_of_one_mail_end_in_the_gravest_status() {
    story(async |app| {
        for _ in 0..10 {
            let invited = Invited::new(app).await;
            let events: [Event; 6] = [
                delivery,
                bounce_for_good,
                complaint,
                delivery,
                bounce_for_good,
                complaint,
            ];
            futures::future::join_all(events.map(|event| invited.gets(event))).await;
            assert_eq!(invited.status().await, "complained");

            let again = Invited::new(app).await;
            let reports =
                futures::future::join_all((0..6).map(|_| again.gets(bounce_for_now))).await;
            assert_eq!(
                reports
                    .iter()
                    .filter(|report| **report == again.recorded())
                    .count(),
                1
            );
            assert_eq!(
                (
                    again.status().await.as_str(),
                    again.ask::<i32>("attempts").await
                ),
                ("queued", 1)
            );
        }
    });
}

#[test]
fn unreachable_database_fails_the_event_for_another_attempt() {
    story(async |app| {
        let gone = app.fresh().await;
        app.shared
            .postgres
            .drop_database(&gone.database)
            .await
            .expect("it can be dropped");
        let failure = handle(&gone.app, delivery("id-1")).await;
        assert!(failure.is_err(), "{failure:?}");
        let ignored = handle(&gone.app, json!({"source": "aws.s3", "detail": {}})).await;
        assert!(matches!(ignored, Ok(Report::Ignored { .. })), "{ignored:?}");
    });
}
