use serde_json::json;
use tests::story;
use uuid::Uuid;

#[test]
fn what_is_not_yours_looks_like_what_is_not_there() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let athlete = owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await["id"]
            .clone();
        let workout = owner.writes_workout("Leg day").await;
        let rival = app.person("owner@steel.example");
        let rivals_gym = rival.opens_gym("Steel Barn").await;
        let rivals_workout = rival.writes_workout("Arm day").await;
        let ada = app.person("ada@example.org");
        ada.links(None).await.expect(200);

        for intruder in [&rival, &ada] {
            for id in [
                gym.to_string(),
                Uuid::now_v7().to_string(),
                "7".to_owned(),
                "'%20OR%20true--".to_owned(),
            ] {
                let register = intruder
                    .post(
                        &format!("/businesses/{id}/athletes"),
                        &json!({"email": "eve@example.org"}),
                    )
                    .await;
                let roster = intruder.get(&format!("/businesses/{id}/athletes")).await;
                assert_eq!((register.status, &register), (404, &roster), "{id}");
            }
            for id in [
                workout.to_string(),
                Uuid::now_v7().to_string(),
                "7".to_owned(),
            ] {
                let followers = intruder.get(&format!("/workouts/{id}/assignments")).await;
                assert_eq!(
                    (followers.status, followers.problem()),
                    (404, "not-found"),
                    "{id}"
                );
            }
        }
        // An assignment needs both: the author's workout, and the owner's gym.
        let body = json!({"business_id": gym, "athlete_ids": [athlete]});
        let whose = [
            (&rival, workout, gym),
            (&rival, rivals_workout, gym),
            (&rival, workout, rivals_gym),
            (&owner, rivals_workout, gym),
            (&owner, workout, rivals_gym),
            (&ada, workout, gym),
        ];
        for (caller, workout, gym) in whose {
            let mut body = body.clone();
            body["business_id"] = json!(gym);
            let answer = caller
                .post(&format!("/workouts/{workout}/assignments"), &body)
                .await;
            assert_eq!((answer.status, answer.problem()), (404, "not-found"));
        }
        assert_eq!(app.ask::<i64>("SELECT count(*) FROM athlete").await, 1);
        assert_eq!(
            app.ask::<i64>("SELECT count(*) FROM workout_athlete").await,
            0
        );
    });
}

#[test]
fn lists_are_the_callers_own() {
    story(async |app| {
        let (ada, bob) = (app.person("ada@example.org"), app.person("bob@example.org"));
        ada.opens_gym("Ada's").await;
        ada.writes_workout("Ada's").await;
        for path in ["/businesses", "/workouts"] {
            assert_eq!(ada.get(path).await.expect(200)["items"][0]["name"], "Ada's");
            assert_eq!(bob.get(path).await.expect(200)["items"], json!([]));
        }
    });
}
