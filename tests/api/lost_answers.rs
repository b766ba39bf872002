//! An answer of the database gets lost: the statement was carried out, and nobody knows. It is sent
//! again, and knows its own work.

use deliver_invitations::handle;
use serde_json::{Value, json};
use shared::{invitations::delivery::Attempt, platform::db::Json};
use std::{collections::BTreeMap, time::Duration};
use tests::{Gym, TestApp, routes::ROUTES, story};
use tokio::time::Instant;
use uuid::Uuid;

/// More answers than any request gets.
const MANY: usize = 40;

/// A response without what is different each time.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let is_of_a_set = [
                    "status",
                    "outcome",
                    "kind",
                    "via",
                    "reason",
                    "last_error",
                    "type",
                ]
                .contains(&name.as_str());
                let value = if is_of_a_set {
                    value.clone()
                } else {
                    plain(value)
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => {
            // What has one time comes in any order.
            let mut items: Vec<Value> = items.iter().map(plain).collect();
            items.sort_by_key(ToString::to_string);
            items.into()
        }
        Value::String(_) => json!("a text"),
        other => other.clone(),
    }
}

/// The numbers of what is in the database, by what it is.
async fn counts(app: &TestApp) -> BTreeMap<String, i64> {
    let counted = r#"SELECT json_object_agg(what, number) FROM (
        SELECT 'users' AS what, count(*) AS number FROM "user"
        UNION ALL SELECT 'gyms', count(*) FROM business
        UNION ALL SELECT 'closed gyms', count(*) FROM business WHERE closed_at IS NOT NULL
        UNION ALL SELECT 'athletes', count(*) FROM athlete
        UNION ALL SELECT 'linked', count(*) FROM athlete WHERE user_id IS NOT NULL
        UNION ALL SELECT 'removed', count(*) FROM athlete WHERE removed_at IS NOT NULL
        UNION ALL SELECT status, count(*) FROM invitation GROUP BY status
        UNION ALL SELECT 'attempts', sum(attempts) FROM invitation
        UNION ALL SELECT 'workouts', count(*) FROM workout
        UNION ALL SELECT 'archived', count(*) FROM workout WHERE archived_at IS NOT NULL
        UNION ALL SELECT 'assignments', count(*) FROM workout_athlete
        UNION ALL SELECT 'completions', count(*) FROM completion
        UNION ALL SELECT 'waiting', count(*) FROM waitlist
    ) AS counted"#;
    let Json(counts) = app.ask(counted).await;
    counts
}

/// What has become more or less.
fn difference(
    before: &BTreeMap<String, i64>,
    after: &BTreeMap<String, i64>,
) -> BTreeMap<String, i64> {
    let number = |counts: &BTreeMap<String, i64>, what| counts.get(what).copied().unwrap_or(0);
    let names = before.keys().chain(after.keys());
    let changes = names.map(|what| (what.clone(), number(after, what) - number(before, what)));
    changes.filter(|(_, change)| *change != 0).collect()
}

#[test]
fn request_whose_answer_is_lost_has_the_same_response_and_effect() {
    story(async |app| {
        let (lossy_app, lossy) = app.lossy().await;
        let postgres = &app.shared.postgres;
        let mut gyms = 0;
        for route in ROUTES {
            let mut undisturbed = None;
            for number in 0..MANY {
                gyms += 1;
                let gym = Gym::open(app, &format!("temple-{gyms}")).await;
                let forgotten = postgres.run(&app.database, "DELETE FROM waitlist").await;
                forgotten.expect("the waitlist is empty");
                let sender = gym.sender_of(route).through(lossy_app);
                let path = gym.ids.filled_in(route.path());
                let body = gym.ids.filled_in(route.body);
                // The first connections are made before.
                for db in [&lossy_app.app.db, &lossy_app.registrar.db] {
                    db.query("SELECT 1", &[]).await.expect("it is there");
                }
                let before = counts(app).await;
                lossy.lose(number);
                let body = Some(body.as_str()).filter(|body| !body.is_empty());
                let response = sender.send(route.method(), &path, body).await;
                let has_lost = lossy.has_lost();
                let effect = difference(&before, &counts(app).await);
                let seen = (response.status, plain(&response.body), effect);
                match &undisturbed {
                    None => undisturbed = Some(seen),
                    Some(_) if !has_lost => {
                        assert!(number > 1, "{} asks the database", route.key);
                        break;
                    }
                    Some(expected) => {
                        assert_eq!(&seen, expected, "{}, answer {number}", route.key);
                    }
                }
                // Reading has no effect, whichever answer it is.
                if number == 1 && route.method() == "GET" {
                    break;
                }
            }
        }
    });
}

#[test]
fn wrong_code_counts_once_whichever_answer_is_lost() {
    story(async |app| {
        let (lossy_app, lossy) = app.lossy().await;
        let ada = app.person("ada@example.org");
        ada.get("/me").await.expect(200);
        for number in 1..MANY {
            let forget = "DELETE FROM athlete_code_attempt";
            app.shared
                .postgres
                .run(&app.database, forget)
                .await
                .expect("forgotten");
            lossy_app
                .app
                .db
                .query("SELECT 1", &[])
                .await
                .expect("it is there");
            for failures in 1..=5 {
                if failures == 5 {
                    lossy.lose(number);
                }
                let response = ada
                    .through(lossy_app)
                    .links(Some(&json!("7ZQ4M-K2T9S")))
                    .await;
                assert_eq!(
                    response.problem(),
                    "invalid-athlete-code",
                    "answer {number}"
                );
            }
            let has_lost = lossy.has_lost();
            assert_eq!(
                app.ask::<i32>("SELECT failures FROM athlete_code_attempt")
                    .await,
                5
            );
            if !has_lost {
                assert!(number > 5, "a wrong code takes several statements");
                return;
            }
        }
        panic!("every answer was lost");
    });
}

#[test]
fn second_renewal_is_sent_at_once_whichever_answer_is_lost() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        for number in 1..MANY {
            let to = format!("renewed-{number}@lost.example");
            let athlete = owner.registers(gym, &json!({"email": to})).await;
            let athlete = athlete["id"].as_str().expect("an id");
            let (lossy_app, lossy) = app.lossy().await;
            lossy_app
                .registrar
                .db
                .query("SELECT 1", &[])
                .await
                .expect("it is there");
            lossy.lose(number);
            let path = format!("/businesses/{gym}/athletes/{athlete}/invitation");
            let renewed = owner
                .through(lossy_app)
                .post(&path, &json!({}))
                .await
                .expect(202);
            let has_lost = lossy.has_lost();
            assert_eq!(renewed["invitation"]["status"], "sent", "answer {number}");
            assert_eq!(app.mails_to(&to).await.len(), 2, "answer {number}");
            if !has_lost {
                return;
            }
        }
        panic!("every answer was lost");
    });
}

#[test]
fn claim_and_record_whose_answers_are_lost_burn_no_attempt() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let athletes: Vec<Value> = (0..5)
            .map(|n| json!({"email": format!("{n}@lost-claim.example")}))
            .collect();
        let import = format!("/businesses/{gym}/athletes/import");
        owner
            .post(&import, &json!({"athletes": athletes}))
            .await
            .expect(200);
        for number in 1..MANY {
            let again = "UPDATE invitation SET status = 'queued', attempts = 0, settled_attempt = 0, next_attempt_at = now()";
            app.shared
                .postgres
                .run(&app.database, again)
                .await
                .expect("queued again");
            let (lossy_app, lossy) = app.lossy().await;
            let relay = lossy_app.relay(TestApp::sender(app.shared, None)).await;
            lossy.lose(number);
            let report = handle(&relay, Instant::now() + Duration::from_secs(30)).await;
            let has_lost = lossy.has_lost();
            let report = report.expect("the database answers");
            assert_eq!(
                (report.sent, report.unrecorded),
                (5, 0),
                "answer {number}: {report:?}"
            );
            let once = "SELECT bool_and(status = 'sent' AND attempts = 1 AND settled_attempt = 1 AND claim IS NULL) FROM invitation";
            assert!(app.ask::<bool>(once).await, "answer {number}");
            if !has_lost {
                assert!(number > 7, "a claim and five records at least");
                return;
            }
        }
        panic!("every answer was lost");
    });
}

#[test]
fn attempt_that_is_recorded_twice_has_the_status_of_the_first_time() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        let open = "UPDATE invitation SET status = 'queued', settled_attempt = 0";
        app.shared
            .postgres
            .run(&app.database, open)
            .await
            .expect("it is open");
        let invitation_id: Uuid = app.ask("SELECT id FROM invitation").await;
        let attempt = Attempt {
            invitation_id,
            number: 1,
        };
        for _ in 0..2 {
            let recorded = attempt
                .record(&app.app.db, &Ok("a-message".to_owned()))
                .await;
            let row = recorded.expect("the database answers").expect("a row");
            assert_eq!(row.get::<_, &str>("status"), "sent");
        }
    });
}
