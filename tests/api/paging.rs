use serde_json::{Value, json};
use tests::{Gym, Person, routes::ROUTES, story};

/// Reads a list page by page, and does something between two pages.
async fn read_all(person: &Person, path: &str, mut between: impl AsyncFnMut()) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = person
            .get(&format!("{path}?limit=3{cursor}"))
            .await
            .expect(200);
        items.extend(page["items"].as_array().expect("a list").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
        between().await;
    }
}

#[test]
fn pages_give_every_item_once_while_others_are_added() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Gym").await;
        let workout = owner.writes_workout("Workout").await;
        let mut athletes = Vec::new();
        for n in 1..8 {
            owner.opens_gym("Gym").await;
            owner.writes_workout("Workout").await;
            athletes.push(
                owner
                    .registers(gym, &json!({"email": format!("{n}@example.org")}))
                    .await["id"]
                    .clone(),
            );
        }
        let assignments = format!("/workouts/{workout}/assignments");
        // All of the same moment: the id alone settles their order.
        owner
            .post(
                &assignments,
                &json!({"business_id": gym, "athlete_ids": athletes}),
            )
            .await
            .expect(200);

        let roster = format!("/businesses/{gym}/athletes");
        for (path, key, expected) in [
            ("/businesses", "id", 8),
            ("/workouts", "id", 8),
            (roster.as_str(), "id", 7),
            (assignments.as_str(), "athlete_id", 7),
        ] {
            let mut added = 0;
            let items = read_all(&owner, path, async || {
                added += 1;
                match path {
                    "/businesses" => drop(owner.opens_gym("Later").await),
                    "/workouts" => drop(owner.writes_workout("Later").await),
                    _ => {
                        let later = owner.registers(gym, &json!({"email": format!("later-{added}-{}@example.org", path.len())})).await["id"].clone();
                        owner.post(&assignments, &json!({"business_id": gym, "athlete_ids": [later]})).await.expect(200);
                    }
                }
            })
            .await;
            let mut ids: Vec<String> = items.iter().map(|item| item[key].to_string()).collect();
            ids.sort();
            ids.dedup();
            let later = if path == assignments { 2 } else { 0 }; // added while the roster was read
            assert_eq!(
                (items.len(), ids.len()),
                (expected + later, expected + later),
                "{path}"
            );
            assert_eq!(added, (expected + later - 1) / 3, "{path}");
        }
    });
}

#[test]
fn bad_limit_or_cursor_is_refused() {
    story(async |app| {
        let gym = Gym::open(app, "iron").await;
        for route in ROUTES.iter().filter(|route| route.is_list()) {
            let path = gym.ids.filled_in(route.path());
            for query in [
                "limit=0",
                "limit=201",
                "limit=-1",
                "limit=x",
                "cursor=x",
                "cursor=AAAA",
            ] {
                let sender = gym.sender_of(route);
                let response = sender.get(&format!("{path}?{query}")).await;
                assert_eq!(
                    (response.status, response.problem()),
                    (422, "invalid-input"),
                    "{path}?{query}"
                );
                assert_eq!(
                    response.body["errors"][0]["parameter"],
                    query.split('=').next().unwrap()
                );
            }
        }
    });
}
