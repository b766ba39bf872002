use futures::future::join_all;
use serde_json::{Value, json};
use tests::{Person, TestApp, story};
use uuid::Uuid;

/// A gym that has assigned workouts to an athlete: the owner, the gym, the athlete's id, the
/// workouts.
struct Assigned {
    owner: Person,
    gym: Uuid,
    athlete: Value,
    workouts: Vec<Uuid>,
}

async fn assigned(app: &'static TestApp, email: &str, workouts: usize) -> Assigned {
    let owner = app.person("owner@iron.example");
    let gym = owner.opens_gym("Iron Temple").await;
    let athlete = owner.registers(gym, &json!({"email": email})).await["id"].clone();
    let mut ids = Vec::new();
    for n in 0..workouts {
        let workout = owner.writes_workout(&format!("Workout {n}")).await;
        owner
            .post(
                &format!("/workouts/{workout}/assignments"),
                &json!({"business_id": gym, "athlete_ids": [athlete]}),
            )
            .await
            .expect(200);
        ids.push(workout);
    }
    Assigned {
        owner,
        gym,
        athlete,
        workouts: ids,
    }
}

#[test]
fn workouts_assigned_before_sign_up_are_there_at_once_from_every_gym() {
    story(async |app| {
        let iron = assigned(app, "ada@example.org", 2).await;
        let steel = assigned(app, "ada@example.org", 1).await;
        assigned(app, "bob@example.org", 1).await;

        let ada = app.person("ada@example.org");
        assert_eq!(
            ada.get("/me/workouts").await.expect(200),
            json!({"items": [], "next_cursor": null}),
            "not before she is linked"
        );
        ada.links(None).await.expect(200);
        let mine = ada.get("/me/workouts").await.expect(200);
        let items = mine["items"].as_array().expect("a list");
        let seen: Vec<_> = items
            .iter()
            .map(|item| {
                (
                    &item["workout_id"],
                    &item["business"]["id"],
                    &item["athlete_id"],
                )
            })
            .collect();
        let expected = [
            json!([steel.workouts[0], steel.gym, steel.athlete]),
            json!([iron.workouts[1], iron.gym, iron.athlete]),
            json!([iron.workouts[0], iron.gym, iron.athlete]),
        ];
        assert_eq!(json!(seen), json!(expected));
        assert!(
            items
                .iter()
                .all(|item| item["selected"] == json!(false) && item["completed_at"].is_null())
        );
    });
}

#[test]
fn athlete_follows_one_workout_at_a_time_and_completes_it() {
    story(async |app| {
        let Assigned {
            owner, workouts, ..
        } = assigned(app, "ada@example.org", 2).await;
        let ada = app.person("ada@example.org");
        ada.links(None).await.expect(200);
        let (first, second) = (
            format!("/me/workouts/{}", workouts[0]),
            format!("/me/workouts/{}", workouts[1]),
        );

        let selected = ada
            .patch(&first, &json!({"selected": true}))
            .await
            .expect(200);
        assert_eq!(
            (
                &selected["items"][0]["selected"],
                &selected["items"][0]["completed_at"]
            ),
            (&json!(true), &json!(null))
        );
        ada.patch(&second, &json!({"selected": true}))
            .await
            .expect(200);
        let mine = ada.get("/me/workouts").await.expect(200);
        assert_eq!(
            (&mine["items"][0]["selected"], &mine["items"][1]["selected"]),
            (&json!(true), &json!(false))
        );

        let completed = ada
            .patch(&second, &json!({"completed": true, "selected": false}))
            .await
            .expect(200);
        let at = completed["items"][0]["completed_at"].clone();
        assert!(at.is_string() && completed["items"][0]["selected"] == json!(false));
        let again = ada
            .patch(&second, &json!({"completed": true}))
            .await
            .expect(200);
        assert_eq!(
            again["items"][0]["completed_at"], at,
            "to complete it again keeps its time"
        );

        let followers = owner
            .get(&format!("/workouts/{}/assignments", workouts[1]))
            .await
            .expect(200);
        assert_eq!(
            (
                &followers["items"][0]["completed_at"],
                &followers["items"][0]["linked"]
            ),
            (&at, &json!(true))
        );
        let reopened = ada
            .patch(&second, &json!({"completed": false}))
            .await
            .expect(200);
        assert_eq!(reopened["items"][0]["completed_at"], json!(null));
    });
}

#[test]
fn simultaneous_selections_leave_one_selected() {
    story(async |app| {
        let Assigned { workouts, .. } = assigned(app, "ada@example.org", 5).await;
        let ada = app.person("ada@example.org");
        ada.links(None).await.expect(200);
        let (select, unselect) = (json!({"selected": true}), json!({"selected": false}));
        let paths: Vec<_> = workouts
            .iter()
            .map(|workout| format!("/me/workouts/{workout}"))
            .collect();
        let responses = join_all((0..50).map(|n| {
            ada.patch(
                &paths[n % paths.len()],
                if n % 7 == 6 { &unselect } else { &select },
            )
        }))
        .await;
        assert!(
            responses.iter().all(|response| response.status == 200),
            "{responses:#?}"
        );
        ada.patch(&paths[0], &select).await.expect(200);
        assert_eq!(
            app.ask::<i64>("SELECT count(*) FROM workout_athlete WHERE selected")
                .await,
            1
        );
    });
}

#[test]
fn only_the_athlete_changes_their_assignment() {
    story(async |app| {
        let Assigned {
            owner, workouts, ..
        } = assigned(app, "ada@example.org", 1).await;
        let path = format!("/me/workouts/{}", workouts[0]);
        let not_linked = app.person("ada@example.org");
        for person in [&owner, &app.person("bob@example.org"), &not_linked] {
            for path in [
                path.as_str(),
                "/me/workouts/7",
                &format!("/me/workouts/{}", Uuid::now_v7()),
            ] {
                let response = person.patch(path, &json!({"completed": true})).await;
                assert_eq!(
                    (response.status, response.problem()),
                    (404, "not-found"),
                    "{path}"
                );
            }
        }
        for (body, pointer) in [
            (json!({}), "#/selected"),
            (json!({"selected": "yes"}), "#/selected"),
            (json!({"completed": 1}), "#/completed"),
            (json!({"selected": true, "colour": "x"}), "#/colour"),
        ] {
            let response = not_linked.patch(&path, &body).await;
            assert_eq!(
                (response.status, &response.body["errors"][0]["pointer"]),
                (422, &json!(pointer)),
                "{body}"
            );
        }
    });
}

#[test]
fn only_the_author_takes_an_assignment_back() {
    story(async |app| {
        let Assigned {
            owner,
            athlete,
            workouts,
            ..
        } = assigned(app, "ada@example.org", 2).await;
        let ada = app.person("ada@example.org");
        ada.links(None).await.expect(200);
        let path = format!(
            "/workouts/{}/assignments/{}",
            workouts[0],
            athlete.as_str().expect("an id")
        );
        for intruder in [&ada, &app.person("owner@steel.example")] {
            assert_eq!(intruder.delete(&path).await.problem(), "not-found");
        }
        for _ in 0..2 {
            owner.delete(&path).await.expect(204);
        }
        let mine = ada.get("/me/workouts").await.expect(200);
        assert_eq!(mine["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(mine["items"][0]["workout_id"], json!(workouts[1]));
    });
}

#[test]
fn selecting_a_workout_that_is_being_taken_back_deselects_nothing() {
    story(async |app| {
        let Assigned { workouts, .. } = assigned(app, "ada@example.org", 2).await;
        let ada = app.person("ada@example.org");
        ada.links(None).await.expect(200);
        ada.patch(
            &format!("/me/workouts/{}", workouts[0]),
            &json!({"selected": true}),
        )
        .await
        .expect(200);

        let other = app
            .shared
            .postgres
            .connect(&app.database)
            .await
            .expect("a connection");
        other
            .batch_execute(&format!(
                "BEGIN; DELETE FROM workout_athlete WHERE workout_id = '{}'",
                workouts[1]
            ))
            .await
            .expect("it is being taken back");
        let (path, body) = (
            format!("/me/workouts/{}", workouts[1]),
            json!({"selected": true}),
        );
        let (response, ()) = futures::join!(ada.patch(&path, &body), async {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            other
                .batch_execute("COMMIT")
                .await
                .expect("it is taken back");
        });
        assert_eq!(response.problem(), "not-found");
        assert_eq!(
            app.ask::<Uuid>("SELECT workout_id FROM workout_athlete WHERE selected")
                .await,
            workouts[0]
        );
    });
}
