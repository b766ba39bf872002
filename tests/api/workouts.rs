use serde_json::{Value, json};
use tests::{Gym, story};
use uuid::Uuid;

#[test]
fn workout_is_assigned_to_one_or_many_athletes_before_they_sign_up() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let mut ids = Vec::new();
        for email in ["ada@example.org", "bob@example.org", "cy@example.org"] {
            ids.push(owner.registers(gym, &json!({"email": email})).await["id"].clone());
        }
        app.person("ada@example.org").links(None).await.expect(200);
        let workout = owner.writes_workout("Leg day").await;
        let assignments = format!("/workouts/{workout}/assignments");
        assert_eq!(
            owner.get(&assignments).await.expect(200),
            json!({"items": [], "next_cursor": null})
        );

        let one = owner
            .post(
                &assignments,
                &json!({"business_id": gym, "athlete_ids": [ids[0]]}),
            )
            .await
            .expect(200);
        assert_eq!(one, json!({"assigned": [ids[0]], "already_assigned": []}));
        let all = owner
            .post(
                &assignments,
                &json!({"business_id": gym, "athlete_ids": [ids[2], ids[0], ids[1], ids[1]]}),
            )
            .await
            .expect(200);
        assert_eq!(
            (sorted(&all["assigned"]), &all["already_assigned"]),
            (sorted(&json!([ids[1], ids[2]])), &json!([ids[0]]))
        );
        let again = owner
            .post(
                &assignments,
                &json!({"business_id": gym, "athlete_ids": ids}),
            )
            .await
            .expect(200);
        assert_eq!(
            (&again["assigned"], sorted(&again["already_assigned"])),
            (&json!([]), sorted(&json!(ids)))
        );

        let followers = owner.get(&assignments).await.expect(200)["items"].clone();
        let followers = followers.as_array().expect("a list");
        assert_eq!(followers.len(), 3);
        let ada = followers
            .iter()
            .find(|follower| follower["athlete_id"] == ids[0])
            .expect("Ada has it");
        assert_eq!(
            (
                &ada["linked"],
                &ada["selected"],
                &ada["completed_at"],
                &ada["email"]
            ),
            (
                &json!(true),
                &json!(false),
                &json!(null),
                &json!("ada@example.org")
            )
        );
        assert_eq!(
            followers
                .iter()
                .filter(|follower| follower["linked"] == json!(false))
                .count(),
            2
        );
    });
}

fn sorted(ids: &Value) -> Vec<String> {
    let mut ids: Vec<String> = ids
        .as_array()
        .expect("a list")
        .iter()
        .map(ToString::to_string)
        .collect();
    ids.sort();
    ids
}

#[test]
fn athletes_of_another_gym_are_each_named_and_nothing_is_assigned() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let (gym, second_gym) = (
            owner.opens_gym("Iron Temple").await,
            owner.opens_gym("Second Temple").await,
        );
        let ours = owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await["id"]
            .clone();
        let of_the_second = owner
            .registers(second_gym, &json!({"email": "bob@example.org"}))
            .await["id"]
            .clone();
        let nobody = json!(Uuid::now_v7());
        let workout = owner.writes_workout("Leg day").await;

        let body = json!({"business_id": gym, "athlete_ids": [of_the_second, ours, nobody]});
        let response = owner
            .post(&format!("/workouts/{workout}/assignments"), &body)
            .await;
        assert_eq!(
            (response.status, response.problem()),
            (422, "invalid-input")
        );
        assert_eq!(response.pointers(), ["#/athlete_ids/0", "#/athlete_ids/2"]);
        assert_eq!(
            app.ask::<i64>("SELECT count(*) FROM workout_athlete").await,
            0
        );
    });
}

#[test]
fn five_hundred_athletes_are_assigned_and_one_more_is_refused() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let workout = owner.writes_workout("Leg day").await;
        let load = format!(
            "INSERT INTO athlete (id, athlete_code, invited_by, email)
             SELECT gen_random_uuid(), lpad(n::text, 10, '0'), '{gym}', n || '@example.org' FROM generate_series(1, 501) AS n"
        );
        app.shared
            .postgres
            .run(&app.database, &load)
            .await
            .expect("athletes are loaded");
        let all: Value = app.ask("SELECT json_agg(id) FROM athlete").await;
        let mut ids = all.as_array().unwrap().clone();

        let assignments = format!("/workouts/{workout}/assignments");
        assert_eq!(
            owner
                .post(
                    &assignments,
                    &json!({"business_id": gym, "athlete_ids": ids})
                )
                .await
                .status,
            422
        );
        ids.pop();
        let response = owner
            .post(
                &assignments,
                &json!({"business_id": gym, "athlete_ids": ids}),
            )
            .await
            .expect(200);
        assert_eq!(response["assigned"].as_array().map(Vec::len), Some(500));
    });
}

#[test]
fn an_author_renames_describes_and_archives_and_athletes_keep_what_they_have() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let (owner, ada) = (&iron.owner, &iron.athlete);
        let path = iron.ids.filled_in("/workouts/{workout_id}");
        let mine = iron.ids.filled_in("/me/workouts/{workout_id}");
        let change = json!({"name": "Legs", "description": "5 × 5\nsquats"});
        let changed = owner.patch(&path, &change).await.expect(200);
        assert_eq!(
            (&changed["name"], &changed["description"]),
            (&change["name"], &change["description"])
        );
        let seen = ada.get(&mine).await.expect(200)["items"][0].clone();
        assert_eq!(
            (&seen["name"], &seen["description"]),
            (&change["name"], &change["description"])
        );
        let cleared = owner.patch(&path, &json!({"description": null})).await;
        let cleared = cleared.expect(200);
        assert_eq!(
            (&cleared["name"], &cleared["description"]),
            (&json!("Legs"), &json!(null))
        );
        let nothing = owner.patch(&path, &json!({"name": null})).await;
        assert_eq!((nothing.status, nothing.pointers()), (422, vec!["#/name"]));

        for _ in 0..2 {
            owner.delete(&path).await.expect(204);
        }
        assert_eq!(owner.get("/workouts").await.expect(200)["items"], json!([]));
        assert!(owner.get(&path).await.expect(200)["archived_at"].is_string());
        let body = json!({"business_id": iron.ids.filled_in("{business_id}"), "athlete_ids": [iron.ids.filled_in("{idle_id}")]});
        let assignments = format!("{path}/assignments");
        let refused = owner.post(&assignments, &body).await;
        assert_eq!(
            (refused.status, refused.problem()),
            (409, "workout-archived")
        );

        let followers = owner.get(&assignments).await.expect(200);
        assert_eq!(followers["items"].as_array().map(Vec::len), Some(2));
        let change = json!({"selected": true, "completed": true});
        let kept = ada.patch(&mine, &change).await.expect(200);
        assert_eq!(kept["items"][0]["completions"], json!(1));
    });
}

#[test]
fn what_is_created_says_where_it_is() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let response = owner.post("/workouts", &json!({"name": "Legs"})).await;
        let path = format!("/workouts/{}", response.id());
        assert_eq!(response.header("location"), path);
        assert_eq!(owner.get(&path).await.body, response.body);

        let gym = owner.post("/businesses", &json!({"name": "Iron"})).await;
        assert_eq!(gym.header("location"), format!("/businesses/{}", gym.id()));
        let athletes = format!("/businesses/{}/athletes", gym.id());
        let athlete = json!({"email": "ada@example.org"});
        let athlete = owner.post(&athletes, &athlete).await;
        let path = format!("{athletes}/{}", athlete.id());
        assert_eq!(athlete.header("location"), path);
    });
}

#[test]
fn former_owner_neither_sees_nor_unassigns_who_was_theirs() {
    story(async |app| {
        let former = app.person("former@iron.example");
        let gym = former.opens_gym("Iron Temple").await;
        let kept = former.opens_gym("Kept").await;
        let workout = former.writes_workout("Leg day").await;
        let path = format!("/workouts/{workout}/assignments");
        let mut athletes = Vec::new();
        for gym in [gym, kept] {
            let athlete = json!({"email": format!("{gym}@example.org")});
            let id = former.registers(gym, &athlete).await["id"].clone();
            let body = json!({"business_id": gym, "athlete_ids": [id]});
            former.post(&path, &body).await.expect(200);
            athletes.push(id.as_str().expect("an id").to_owned());
        }
        let next = app.person("next@iron.example");
        next.get("/me").await.expect(200);
        let sold = format!(
            "UPDATE business SET user_id = '{}' WHERE id = '{gym}'",
            next.user_id().await
        );
        let sold = app.shared.postgres.run(&app.database, &sold).await;
        sold.expect("the gym is sold");

        let seen = former.get(&path).await.expect(200)["items"].clone();
        let seen: Vec<_> = seen.as_array().expect("a list").iter().collect();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        assert_eq!(seen[0]["athlete_id"], json!(athletes[1]));
        for athlete in &athletes {
            former
                .delete(&format!("{path}/{athlete}"))
                .await
                .expect(204);
        }
        let left = "SELECT athlete_id::text FROM workout_athlete";
        assert_eq!(app.ask::<String>(left).await, athletes[0]);
    });
}
