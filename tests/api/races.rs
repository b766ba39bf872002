use futures::future::join_all;
use serde_json::json;
use std::{collections::HashSet, time::Duration};
use tests::{Response, TestApp, story};
use tokio::time::sleep;

const AT_ONCE: usize = 50;

fn with_status(responses: &[Response], status: u16) -> usize {
    responses
        .iter()
        .filter(|response| response.status == status)
        .count()
}

#[test]
fn fifty_claims_of_one_code_link_one_person() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let code = &owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await["athlete_code"];

        let people: Vec<_> = (0..AT_ONCE)
            .map(|n| app.person(&format!("{n}@example.org")))
            .collect();
        let responses = join_all(people.iter().map(|person| person.links(Some(code)))).await;
        assert_eq!(
            (with_status(&responses, 200), with_status(&responses, 422)),
            (1, AT_ONCE - 1)
        );
        let winner = responses
            .iter()
            .position(|response| response.status == 200)
            .expect("a winner");
        assert_eq!(
            people[winner].links(Some(code)).await,
            responses[winner],
            "the winner's repeat gets the same"
        );
        assert_eq!(
            app.ask::<uuid::Uuid>("SELECT user_id FROM athlete").await,
            people[winner].user_id().await
        );
    });
}

#[test]
fn fifty_claims_of_one_person_all_succeed() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let code = &owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await["athlete_code"];

        let ada = app.person("home@example.org");
        let responses = join_all((0..AT_ONCE).map(|_| ada.links(Some(code)))).await;
        assert_eq!(with_status(&responses, 200), AT_ONCE, "{responses:#?}");
        assert!(
            responses
                .iter()
                .all(|response| response.body["linked"] == responses[0].body["linked"])
        );
    });
}

#[test]
fn fifty_registrations_of_one_address_are_one_athlete_and_one_mail() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let path = format!("/businesses/{gym}/athletes");
        let body = json!({"email": "everybody-at-once@example.org"});
        let responses = join_all((0..AT_ONCE).map(|_| owner.post(&path, &body))).await;

        assert_eq!(
            (with_status(&responses, 201), with_status(&responses, 200)),
            (1, AT_ONCE - 1)
        );
        let ids: HashSet<_> = responses.iter().map(Response::id).collect();
        assert_eq!(ids.len(), 1);
        assert_eq!(
            app.ask::<i64>(
                "SELECT count(*) FROM athlete JOIN invitation ON athlete.id = athlete_id"
            )
            .await,
            1
        );
        assert_eq!(app.mails_to("everybody-at-once@example.org").await.len(), 1);
    });
}

#[test]
fn fifty_registrations_of_different_addresses_are_fifty_athletes() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let responses = join_all((0..AT_ONCE).map(async |n| {
            owner
                .registers(gym, &json!({"email": format!("different-{n}@example.org")}))
                .await
        }))
        .await;
        let codes: HashSet<_> = responses
            .iter()
            .map(|athlete| athlete["athlete_code"].to_string())
            .collect();
        assert_eq!(codes.len(), AT_ONCE);
        assert!(
            responses
                .iter()
                .all(|athlete| athlete["invitation"]["status"] == "sent")
        );
    });
}

#[test]
fn fifty_joins_of_one_address_are_one_entry() {
    story(async |app| {
        let (stranger, body) = (app.stranger(), json!({"email": "ada@example.org"}));
        let responses = join_all((0..AT_ONCE).map(|_| stranger.post("/waitlist", &body))).await;
        assert_eq!(with_status(&responses, 202), AT_ONCE);
        assert_eq!(app.ask::<i64>("SELECT count(*) FROM waitlist").await, 1);
    });
}

#[test]
fn fifty_accounts_that_prove_one_address_at_once_all_sign_in() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .registers(gym, &json!({"email": "shared@example.org"}))
            .await;

        let people: Vec<_> = (0..AT_ONCE)
            .map(|_| app.person("shared@example.org"))
            .collect();
        let responses = join_all(people.iter().map(|person| person.links(None))).await;
        assert_eq!(with_status(&responses, 200), AT_ONCE);
        assert_eq!(
            responses
                .iter()
                .filter(|response| response.body["status"] == "linked")
                .count(),
            AT_ONCE,
            "one verified address is one person"
        );
        assert_eq!(
            app.ask::<i64>(r#"SELECT count(*) FROM "user" WHERE email = 'shared@example.org'"#)
                .await,
            1
        );
        assert_eq!(
            app.ask::<i64>(
                "SELECT count(DISTINCT user_id) FROM identity JOIN athlete USING (user_id)"
            )
            .await,
            1
        );
    });
}

#[test]
fn fifty_assignments_of_overlapping_lists_do_not_deadlock() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let workout = owner.writes_workout("Leg day").await;
        let load = format!(
            "INSERT INTO athlete (id, athlete_code, invited_by, email)
             SELECT gen_random_uuid(), lpad(n::text, 10, '0'), '{gym}', n || '@example.org'
             FROM generate_series(1, 400) AS n"
        );
        let loaded = app.shared.postgres.run(&app.database, &load).await;
        loaded.expect("athletes are loaded");
        let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
        let before = app.ask::<i64>(deadlocks).await;

        let path = format!("/workouts/{workout}/assignments");
        let mut bodies = Vec::new();
        for n in 0..AT_ONCE {
            // Each another choice of three quarters of them, in an order of its own.
            let ids: serde_json::Value = app
                .ask(&format!(
                    "SELECT json_agg(id ORDER BY md5(id::text || {n})) FROM athlete WHERE (hashtext(id::text) + {n}) % 4 <> 0"
                ))
                .await;
            bodies.push(json!({"business_id": gym, "athlete_ids": ids}));
        }
        let responses = join_all(bodies.iter().map(|body| owner.post(&path, body))).await;
        assert_eq!(with_status(&responses, 200), AT_ONCE);
        let assigned =
            |response: &tests::Response| response.body["assigned"].as_array().map_or(0, Vec::len);
        let stored: i64 = app.ask("SELECT count(*) FROM workout_athlete").await;
        assert_eq!(responses.iter().map(assigned).sum::<usize>(), 400);
        assert_eq!(stored, 400);
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await; // The server counts once a second.
        assert_eq!(app.ask::<i64>(deadlocks).await, before);
    });
}

#[test]
fn simultaneous_assignments_assign_a_workout_once() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let workout = owner.writes_workout("Leg day").await;
        let mut ids = Vec::new();
        for n in 0..3 {
            ids.push(
                owner
                    .registers(gym, &json!({"email": format!("{n}@example.org")}))
                    .await["id"]
                    .clone(),
            );
        }
        let reversed: Vec<_> = ids.iter().rev().cloned().collect();
        let path = format!("/workouts/{workout}/assignments");
        // In both orders, which is how deadlocks come about.
        let bodies = [
            json!({"business_id": gym, "athlete_ids": ids}),
            json!({"business_id": gym, "athlete_ids": reversed}),
        ];
        let responses = join_all((0..AT_ONCE).map(|n| owner.post(&path, &bodies[n % 2]))).await;
        assert_eq!(with_status(&responses, 200), AT_ONCE);
        let assigned: usize = responses
            .iter()
            .map(|response| response.body["assigned"].as_array().map_or(0, Vec::len))
            .sum();
        assert_eq!(
            (
                assigned,
                app.ask::<i64>("SELECT count(*) FROM workout_athlete").await
            ),
            (3, 3)
        );
    });
}

/// The deadlocks that the server has broken in this test's database.
async fn deadlocks(app: &TestApp) -> i64 {
    // Sessions report theirs at most once a second.
    sleep(Duration::from_millis(1_500)).await;
    app.ask("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        .await
}

#[test]
fn fifty_pairs_that_swap_their_addresses_all_sign_in() {
    story(async |app| {
        let person = |sub: usize, email: usize| {
            let email = format!("{email}@swap.example");
            app.person_with(
                &json!({"sub": sub.to_string(), "email": email, "email_verified": "true"}),
            )
        };
        let count = 2 * AT_ONCE;
        join_all((0..count).map(|n| async move { person(n, n).get("/me").await.expect(200) }))
            .await;
        for _ in 0..4 {
            // n and its neighbour have each other's address.
            for swapped in [1, 0] {
                let calls =
                    (0..count).map(|n| async move { person(n, n ^ swapped).get("/me").await });
                let responses = join_all(calls).await;
                assert_eq!(with_status(&responses, 200), count, "{responses:#?}");
            }
        }
        assert_eq!(deadlocks(app).await, 0);
    });
}

/// Each person is invited by all gyms, and signs up while all the gyms are closed: nobody is in a
/// gym by an invitation that was taken back.
#[test]
fn fifty_who_join_many_gyms_while_they_close_are_in_each_or_not() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let people: Vec<_> = (0..AT_ONCE)
            .map(|n| app.person(&format!("{n}@closing.example")))
            .collect();
        let athletes: Vec<_> = (0..AT_ONCE)
            .map(|n| json!({"email": format!("{n}@closing.example")}))
            .collect();
        let mut gyms = Vec::new();
        for n in 0..6 {
            let gym = owner.opens_gym(&format!("Gym {n}")).await;
            let import = format!("/businesses/{gym}/athletes/import");
            owner
                .post(&import, &json!({"athletes": athletes}))
                .await
                .expect(200);
            gyms.push(gym);
        }
        let closing = async {
            sleep(Duration::from_millis(100)).await;
            let close = async |gym: &uuid::Uuid| owner.delete(&format!("/businesses/{gym}")).await;
            join_all(gyms.iter().map(close)).await
        };
        let joining = join_all(people.iter().map(|person| person.links(None)));
        let (joined, closed) = futures::join!(joining, closing);
        assert_eq!(with_status(&joined, 200), AT_ONCE, "{joined:#?}");
        assert_eq!(with_status(&closed, 204), gyms.len(), "{closed:#?}");
        assert_eq!(deadlocks(app).await, 0);
        let mismatched =
            "SELECT count(*) FROM athlete JOIN invitation ON invitation.athlete_id = athlete.id
                          WHERE (athlete.user_id IS NOT NULL) <> (invitation.status = 'accepted')";
        assert_eq!(app.ask::<i64>(mismatched).await, 0);
    });
}

/// Of an import and corrections of the same roster at one moment, each item is about the address
/// that was given.
#[test]
fn import_beside_corrections_names_no_other_athlete() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        for round in 0..6 {
            let gym = owner.opens_gym(&format!("Gym {round}")).await;
            let address = |name: &str, n: usize| format!("{name}-{n}@correct.example");
            let import = format!("/businesses/{gym}/athletes/import");
            let list = |name: &str| -> Vec<_> {
                (0..10)
                    .map(|n| json!({"email": address(name, n)}))
                    .collect()
            };
            let known = owner
                .post(&import, &json!({"athletes": list("old")}))
                .await
                .expect(200);
            let both = [list("new"), list("old")].concat();
            let correct = (0..10).map(|n| {
                let id = known["items"][n]["athlete"]["id"]
                    .as_str()
                    .expect("an id")
                    .to_owned();
                let path = format!("/businesses/{gym}/athletes/{id}/invitation");
                let owner = &owner;
                async move {
                    owner
                        .post(&path, &json!({"email": address("new", n)}))
                        .await
                }
            });
            let register = (0..10).map(|n| {
                let path = format!("/businesses/{gym}/athletes");
                let owner = &owner;
                async move {
                    let email = address(if n % 2 == 0 { "new" } else { "old" }, n);
                    (owner.post(&path, &json!({"email": email})).await, email)
                }
            });
            let body = json!({"athletes": both});
            let (imported, corrected, registered) = futures::join!(
                owner.post(&import, &body),
                join_all(correct),
                join_all(register)
            );
            let items = imported.expect(200)["items"]
                .as_array()
                .expect("a list")
                .clone();
            assert_eq!(items.len(), both.len());
            for (item, given) in items.iter().zip(&both) {
                assert_eq!(item["athlete"]["email"], given["email"], "{item}");
            }
            for (response, email) in registered {
                assert!([200, 201].contains(&response.status), "{:#}", response.body);
                assert_eq!(response.body["email"], json!(email));
            }
            for response in corrected {
                assert!([202, 409].contains(&response.status), "{:#}", response.body);
            }
        }
    });
}
