use futures::future::join_all;
use serde_json::{Value, json};
use tests::{Gym, Person, TestApp, story};
use uuid::Uuid;

/// What is selected, of assigned and own workouts together.
const SELECTED: &str = "SELECT (SELECT count(*) FROM workout WHERE selected) + (SELECT count(*) FROM workout_athlete WHERE selected)";

async fn writes(person: &Person, body: &Value) -> Value {
    let response = person.post("/me/workouts", body).await;
    let location = response.header("location").to_owned();
    let written = response.expect(201);
    let path = format!(
        "/me/workouts/{}",
        written["workout_id"].as_str().expect("an id")
    );
    assert_eq!(location, path);
    assert_eq!(
        person.get(&path).await.expect(200)["items"],
        json!([written])
    );
    written
}

fn path_of(workout: &Value) -> String {
    format!(
        "/me/workouts/{}",
        workout["workout_id"].as_str().expect("an id")
    )
}

/// Each of the caller's workouts, as its kind and its name.
async fn names(person: &Person) -> Vec<String> {
    let list = person.get("/me/workouts").await.expect(200);
    let items = list["items"].as_array().expect("a list").iter();
    let texts = items.map(|item| [&item["kind"], &item["name"]].map(|text| text.as_str()));
    texts
        .map(|[kind, name]| format!("{}: {}", kind.expect("a kind"), name.expect("a name")))
        .collect()
}

#[test]
fn an_athlete_writes_renames_does_and_archives_a_workout_of_their_own() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let ada = &iron.athlete;
        let run = writes(ada, &json!({"name": "Run", "description": "5 km\r\neasy"})).await;
        assert_eq!(
            (
                &run["kind"],
                &run["description"],
                &run["selected"],
                &run["completions"]
            ),
            (
                &json!("own"),
                &json!("5 km\neasy"),
                &json!(false),
                &json!(0)
            )
        );
        assert_eq!(
            names(ada).await,
            ["own: Run", "own: iron", "assigned: iron"]
        );
        assert_eq!(
            ada.get("/workouts").await.expect(200)["items"],
            json!([]),
            "they are not for others"
        );

        let path = path_of(&run);
        let change =
            json!({"name": "Long run", "description": null, "selected": true, "completed": true});
        let changed = ada.patch(&path, &change).await.expect(200)["items"][0].clone();
        assert_eq!(
            (
                &changed["name"],
                &changed["description"],
                &changed["selected"],
                &changed["completions"]
            ),
            (&json!("Long run"), &json!(null), &json!(true), &json!(1))
        );
        ada.post(&format!("{path}/completions"), &json!({}))
            .await
            .expect(201);

        for _ in 0..2 {
            ada.delete(&path).await.expect(204);
        }
        assert_eq!(names(ada).await, ["own: iron", "assigned: iron"]);
        assert_eq!(
            app.ask::<i64>(SELECTED).await,
            0,
            "what is put aside is not followed"
        );
        for response in [
            ada.get(&path).await,
            ada.patch(&path, &json!({"selected": true})).await,
            ada.post(&format!("{path}/completions"), &json!({})).await,
        ] {
            assert_eq!(response.problem(), "not-found");
        }
        let done = ada.get(&format!("{path}/completions")).await.expect(200);
        assert_eq!(
            done["items"].as_array().map(Vec::len),
            Some(2),
            "what was done stays told"
        );
    });
}

#[test]
fn nobody_else_sees_or_assigns_an_own_workout_and_an_assigned_one_is_its_authors() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let (owner, ada) = (&iron.owner, &iron.athlete);
        let own = iron.ids.filled_in("/me/workouts/{own_id}");
        for response in [
            owner.get(&own).await,
            owner.patch(&own, &json!({"name": "x"})).await,
            owner.delete(&own).await,
            owner.get(&iron.ids.filled_in("/workouts/{own_id}")).await,
            ada.get(&iron.ids.filled_in("/workouts/{own_id}")).await,
            ada.delete(&iron.ids.filled_in("/workouts/{own_id}")).await,
            ada.delete(&iron.ids.filled_in("/me/workouts/{workout_id}"))
                .await,
        ] {
            assert_eq!(response.problem(), "not-found");
        }
        let assigned = iron.ids.filled_in("/me/workouts/{workout_id}");
        let renamed = ada
            .patch(
                &assigned,
                &json!({"name": "x", "description": null, "completed": true}),
            )
            .await;
        assert_eq!(
            (renamed.status, renamed.pointers()),
            (422, vec!["#/name", "#/description"])
        );
        assert_eq!(
            app.ask::<i64>("SELECT count(*) FROM completion").await,
            0,
            "nothing was done"
        );

        // Somebody who owns a gym and is an athlete of it can't assign what they wrote for
        // themselves either.
        let business = iron.ids.filled_in("{business_id}");
        iron.owner
            .registers(
                business.parse().unwrap(),
                &json!({"email": "owner@iron.example"}),
            )
            .await;
        owner.links(None).await.expect(200);
        let mine = writes(owner, &json!({"name": "Mine"})).await;
        let assignments = format!(
            "/workouts/{}/assignments",
            mine["workout_id"].as_str().unwrap()
        );
        let body =
            json!({"business_id": business, "athlete_ids": [iron.ids.filled_in("{idle_id}")]});
        assert_eq!(owner.post(&assignments, &body).await.problem(), "not-found");
    });
}

#[test]
fn who_trains_in_two_gyms_says_in_which() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let steel = Gym::open(app, "steel").await;
        let ada = json!({"email": "ada@iron.example"});
        let gym = steel.ids.filled_in("{business_id}").parse().unwrap();
        let in_steel = steel.owner.registers(gym, &ada).await["id"].clone();
        iron.athlete.links(None).await.expect(200);

        let unsaid = iron
            .athlete
            .post("/me/workouts", &json!({"name": "Run"}))
            .await;
        assert_eq!(
            (unsaid.status, unsaid.pointers()),
            (422, vec!["#/athlete_id"])
        );
        let run = writes(
            &iron.athlete,
            &json!({"name": "Run", "athlete_id": in_steel}),
        )
        .await;
        assert_eq!(run["business"]["id"], json!(gym));
        let foreign = json!({"name": "Run", "athlete_id": iron.ids.filled_in("{idle_id}")});
        assert_eq!(
            iron.athlete.post("/me/workouts", &foreign).await.problem(),
            "not-found"
        );
    });
}

#[test]
fn of_simultaneous_selections_of_own_and_assigned_workouts_one_is_left() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let ada = &iron.athlete;
        let mut paths = vec![
            iron.ids.filled_in("/me/workouts/{workout_id}"),
            iron.ids.filled_in("/me/workouts/{own_id}"),
        ];
        for n in 0..3 {
            paths.push(path_of(
                &writes(ada, &json!({"name": format!("Own {n}")})).await,
            ));
        }
        let select = json!({"selected": true});
        let responses =
            join_all((0..50).map(|n| ada.patch(&paths[n % paths.len()], &select))).await;
        assert!(
            responses.iter().all(|response| response.status == 200),
            "{responses:#?}"
        );
        assert_eq!(app.ask::<i64>(SELECTED).await, 1);

        for path in &paths {
            ada.patch(path, &select).await.expect(200);
            let list = ada.get("/me/workouts").await.expect(200);
            let selected: Vec<_> = list["items"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|item| item["selected"] == json!(true))
                .map(path_of)
                .collect();
            assert_eq!(selected, [path.as_str()]);
        }
    });
}

#[test]
fn an_own_workout_that_is_archived_at_this_moment_is_not_selected() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let path = iron.ids.filled_in("/me/workouts/{own_id}");
        let select = json!({"selected": true});
        let races = (0..50).map(async |n| {
            if n == 25 {
                iron.athlete.delete(&path).await.status
            } else {
                iron.athlete.patch(&path, &select).await.status
            }
        });
        let statuses = join_all(races).await;
        assert!(
            statuses
                .iter()
                .all(|status| [200, 204, 404].contains(status)),
            "{statuses:?}"
        );
        assert_eq!(
            app.ask::<i64>("SELECT count(*) FROM workout WHERE selected")
                .await,
            0
        );
    });
}

#[test]
fn the_list_is_one_whatever_its_kinds_and_pages() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let (owner, ada) = (&iron.owner, &iron.athlete);
        let me = ada.get("/me").await.expect(200);
        let business = iron.ids.filled_in("{business_id}");
        let mut expected = vec!["assigned: iron".to_owned(), "own: iron".to_owned()];
        for n in 0..7 {
            let name = format!("Number {n}");
            if n % 3 == 0 {
                writes(ada, &json!({"name": name})).await;
                expected.push(format!("own: {name}"));
            } else {
                let workout = owner.writes_workout(&name).await;
                let body = json!({"business_id": business, "athlete_ids": [me["athletes"][0]["athlete_id"]]});
                owner
                    .post(&format!("/workouts/{workout}/assignments"), &body)
                    .await
                    .expect(200);
                expected.push(format!("assigned: {name}"));
            }
        }
        expected.reverse();
        for limit in 1..10 {
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = ada
                    .get(&format!("/me/workouts?limit={limit}{cursor}"))
                    .await
                    .expect(200);
                for item in page["items"].as_array().unwrap() {
                    seen.push(format!(
                        "{}: {}",
                        item["kind"].as_str().unwrap(),
                        item["name"].as_str().unwrap()
                    ));
                }
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(seen, expected, "{limit} at a time");
        }
    });
}

/// How long the list may take with a quarter of a million assignments; without an index it takes
/// more than a second.
const SOON: std::time::Duration = std::time::Duration::from_millis(150);

#[test]
fn a_person_with_very_many_assignments_is_answered_soon() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let load = "INSERT INTO workout (id, name, user_id, created_at)
                    SELECT gen_random_uuid(), 'Week ' || n, user_id, now() - n * interval '1 minute'
                    FROM business, generate_series(1, 250000) AS n;
                    ALTER TABLE workout_athlete DISABLE TRIGGER ALL;
                    INSERT INTO workout_athlete (workout_id, athlete_id, business_id, created_at)
                    SELECT workout.id, athlete.id, athlete.invited_by, workout.created_at
                    FROM workout, athlete WHERE athlete.user_id IS NOT NULL AND workout.name LIKE 'Week %';
                    ALTER TABLE workout_athlete ENABLE TRIGGER ALL;
                    ANALYZE";
        let loaded = app.shared.postgres.run(&app.database, load).await;
        loaded.expect("the assignments are loaded");
        let mut times = Vec::new();
        for _ in 0..5 {
            let start = tokio::time::Instant::now();
            let page = iron.athlete.get("/me/workouts?limit=200").await.expect(200);
            times.push(start.elapsed());
            assert_eq!(page["items"].as_array().map(Vec::len), Some(200));
        }
        times.sort_unstable();
        assert!(times[2] < SOON, "{times:?}");
    });
}

#[test]
fn a_key_makes_one_workout_of_any_number_of_requests() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let key = Uuid::now_v7().to_string();
        for (person, path, id) in [
            (&iron.owner, "/workouts", "id"),
            (&iron.athlete, "/me/workouts", "workout_id"),
        ] {
            let bodies: Vec<_> = (0..50)
                .map(|n| json!({"name": format!("Attempt {n}")}))
                .collect();
            let responses =
                join_all(bodies.iter().map(|body| person.post_once(path, &key, body))).await;
            let first = responses[0].clone().expect(201);
            assert!(
                responses
                    .into_iter()
                    .all(|response| response.expect(201) == first),
                "it is the first one again"
            );
            let other = person
                .post_once(path, &Uuid::now_v7().to_string(), &bodies[0])
                .await
                .expect(201);
            assert_ne!(other[id], first[id]);
        }
        let written: i64 = app
            .ask("SELECT count(*) FROM workout WHERE name LIKE 'Attempt %'")
            .await;
        assert_eq!(written, 4);

        let rival: &'static TestApp = app;
        let rival = rival.person("rival@example.org");
        let theirs = rival
            .post_once("/workouts", &key, &json!({"name": "Theirs"}))
            .await;
        assert_eq!(
            theirs.expect(201)["name"],
            "Theirs",
            "a key is its sender's alone"
        );
    });
}
