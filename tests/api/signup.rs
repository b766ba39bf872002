use futures::future::join_all;
use serde_json::{Value, json};
use shared::domain::AthleteCode;
use tests::{TestApp, story};
use uuid::Uuid;

/// A gym with one invited athlete: the gym, and the athlete as registering answered.
async fn a_gym_with_an_athlete(app: &'static TestApp, email: &str) -> (Uuid, Value) {
    let owner = app.person("owner@iron.example");
    let gym = owner.opens_gym("Iron Temple").await;
    let athlete = owner.registers(gym, &json!({"email": email})).await;
    (gym, athlete)
}

#[test]
fn verified_email_links_the_athletes_of_all_gyms() {
    story(async |app| {
        let (gym, athlete) = a_gym_with_an_athlete(app, "ada@example.org").await;
        let other_owner = app.person("owner@steel.example");
        let other_gym = other_owner.opens_gym("Steel Barn").await;
        other_owner
            .registers(other_gym, &json!({"email": "ada@example.org"}))
            .await;
        other_owner
            .registers(other_gym, &json!({"email": "bob@example.org"}))
            .await;

        let ada = app.person_with(
            &json!({"email": "ADA@example.org", "email_verified": "true", "name": "Ada Lovelace"}),
        );
        let response = ada.links(None).await.expect(200);
        assert_eq!(response["status"], "linked");
        assert_eq!(
            (
                &response["user"]["id"],
                &response["user"]["email"],
                &response["user"]["full_name"]
            ),
            (
                &json!(ada.user_id().await),
                &json!("ada@example.org"),
                &json!("Ada Lovelace")
            )
        );
        let linked = response["linked"].as_array().expect("a list");
        assert_eq!(linked.len(), 2);
        assert!(linked.iter().any(|link| link["athlete_id"] == athlete["id"]
            && link["business"] == json!({"id": gym, "name": "Iron Temple"})
            && link["via"] == "email"));

        assert_eq!(
            ada.links(None).await.expect(200),
            response,
            "a repeat gives the same"
        );
        assert_eq!(
            app.ask::<i64>("SELECT count(*) FROM invitation WHERE status = 'accepted'")
                .await,
            2
        );
    });
}

#[test]
fn unverified_email_links_nobody() {
    story(async |app| {
        a_gym_with_an_athlete(app, "ada@example.org").await;
        for claims in [
            json!({"email": "ada@example.org", "email_verified": "false"}),
            json!({"email": "ada@example.org"}),
            json!({}),
        ] {
            let response = app.person_with(&claims).links(None).await.expect(200);
            assert_eq!(
                (
                    &response["status"],
                    &response["linked"],
                    &response["user"]["email"]
                ),
                (&json!("code_required"), &json!([]), &json!(null)),
                "{claims}"
            );
        }
        // Nor does it keep the address from the one it belongs to.
        assert_eq!(
            app.person("ada@example.org").links(None).await.expect(200)["status"],
            "linked"
        );
    });
}

#[test]
fn code_links_a_person_with_another_address() {
    story(async |app| {
        let (_, athlete) = a_gym_with_an_athlete(app, "work@example.org").await;
        let ada = app.person("home@example.org");
        assert_eq!(ada.links(None).await.expect(200)["status"], "code_required");

        let typed = athlete["athlete_code"]
            .as_str()
            .unwrap()
            .to_lowercase()
            .replace('-', " ");
        let response = ada.links(Some(&json!(typed))).await.expect(200);
        assert_eq!(
            (
                &response["status"],
                &response["linked"][0]["athlete_id"],
                &response["linked"][0]["via"]
            ),
            (&json!("linked"), &athlete["id"], &json!("code"))
        );
        assert_eq!(
            ada.links(Some(&athlete["athlete_code"])).await.expect(200),
            response,
            "the winner's repeat gets the same"
        );
        assert_eq!(ada.links(None).await.expect(200), response);
    });
}

#[test]
fn linked_athlete_can_not_be_claimed_again() {
    story(async |app| {
        let (_, athlete) = a_gym_with_an_athlete(app, "ada@example.org").await;
        let ada = app.person("ada@example.org");
        ada.links(None).await.expect(200);

        let thief = app.person("thief@example.org");
        assert_eq!(
            thief.links(Some(&athlete["athlete_code"])).await.problem(),
            "invalid-athlete-code"
        );
        assert_eq!(
            app.ask::<Uuid>("SELECT user_id FROM athlete").await,
            ada.user_id().await
        );
    });
}

#[test]
fn wrong_used_revoked_and_expired_codes_look_the_same() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let mut codes = vec![json!(AthleteCode::draw())]; // unknown
        for (email, change) in [
            ("used@example.org", "UPDATE invitation SET status = status"),
            (
                "revoked@example.org",
                "UPDATE invitation SET status = 'revoked'",
            ),
            (
                "expired@example.org",
                "UPDATE invitation SET status = 'expired'",
            ),
            (
                "late@example.org",
                "UPDATE invitation SET created_at = now() - interval '31 days', expires_at = now() - interval '1 second'",
            ),
        ] {
            codes
                .push(owner.registers(gym, &json!({"email": email})).await["athlete_code"].clone());
            let change = format!(
                "{change} FROM athlete WHERE athlete.id = athlete_id AND email = '{email}'"
            );
            app.shared
                .postgres
                .run(&app.database, &change)
                .await
                .expect("the invitation changes");
        }
        app.person("used@example.org").links(None).await.expect(200);

        let mut responses = Vec::new();
        for code in &codes {
            let guesser = app.person(&format!("guesser-{}@example.org", responses.len()));
            responses.push(guesser.links(Some(code)).await);
            let failures = format!(
                "SELECT failures FROM athlete_code_attempt WHERE user_id = '{}'",
                guesser.user_id().await
            );
            assert_eq!(app.ask::<i32>(&failures).await, 1, "{code}");
        }
        assert_eq!(
            (responses[0].status, responses[0].problem()),
            (422, "invalid-athlete-code")
        );
        for (response, code) in responses.iter().zip(&codes) {
            assert_eq!(response, &responses[0], "{code}");
        }
        // By email they are as dead as by code.
        for email in [
            "revoked@example.org",
            "expired@example.org",
            "late@example.org",
        ] {
            assert_eq!(
                app.person(email).links(None).await.expect(200)["status"],
                "code_required",
                "{email}"
            );
        }
    });
}

#[test]
fn person_is_linked_to_one_athlete_in_a_gym() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        let second = owner
            .registers(gym, &json!({"email": "ada-at-work@example.org"}))
            .await;

        let ada = app.person("ada@example.org");
        ada.links(None).await.expect(200);
        let response = ada.links(Some(&second["athlete_code"])).await;
        assert_eq!(
            (response.status, response.problem()),
            (409, "already-a-member")
        );

        // The other way round: once linked by code, the email passes this gym over, and still opens
        // the others.
        let bob = app.person("bob@example.org");
        let by_code = owner
            .registers(gym, &json!({"email": "bob-at-work@example.org"}))
            .await;
        bob.links(Some(&by_code["athlete_code"])).await.expect(200);
        owner
            .registers(gym, &json!({"email": "bob@example.org"}))
            .await;
        let other_gym = owner.opens_gym("Second Temple").await;
        owner
            .registers(other_gym, &json!({"email": "bob@example.org"}))
            .await;
        let linked = bob.links(None).await.expect(200)["linked"].clone();
        let gyms: Vec<_> = linked
            .as_array()
            .unwrap()
            .iter()
            .map(|link| &link["business"]["id"])
            .collect();
        assert_eq!(gyms, [&json!(gym), &json!(other_gym)]);
    });
}

#[test]
fn code_goes_before_the_email_of_another_athlete_in_the_gym() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let (gym, other_gym) = (
            owner.opens_gym("Iron Temple").await,
            owner.opens_gym("Second Temple").await,
        );
        owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        owner
            .registers(other_gym, &json!({"email": "ada@example.org"}))
            .await;
        let typed = owner
            .registers(gym, &json!({"email": "ada-at-work@example.org"}))
            .await;

        let ada = app.person("ada@example.org");
        let response = ada.links(Some(&typed["athlete_code"])).await.expect(200);
        let mut linked: Vec<_> = response["linked"]
            .as_array()
            .unwrap()
            .iter()
            .map(|link| {
                (
                    link["business"]["name"].as_str().unwrap(),
                    link["via"].as_str().unwrap(),
                )
            })
            .collect();
        linked.sort_unstable();
        assert_eq!(
            linked,
            [("Iron Temple", "code"), ("Second Temple", "email")]
        );
        assert_eq!(ada.links(None).await.expect(200), response);
    });
}

#[test]
fn me_shows_the_user_the_gyms_and_the_athletes() {
    story(async |app| {
        let (gym, athlete) = a_gym_with_an_athlete(app, "ada@example.org").await;
        let ada = app.person("ada@example.org");
        let before = ada.get("/me").await.expect(200);
        assert_eq!(
            (
                &before["user"]["id"],
                &before["businesses"],
                &before["athletes"]
            ),
            (&json!(ada.user_id().await), &json!([]), &json!([]))
        );

        let linked = ada.links(None).await.expect(200);
        let own_gym = ada
            .post("/businesses", &json!({"name": "Ada's"}))
            .await
            .expect(201);
        let me = ada.get("/me").await.expect(200);
        assert_eq!(
            me,
            json!({"user": linked["user"], "businesses": [own_gym], "athletes": linked["linked"]})
        );
        assert_eq!(
            (
                &me["athletes"][0]["athlete_id"],
                &me["athletes"][0]["business"]["id"]
            ),
            (&athlete["id"], &json!(gym))
        );
    });
}

#[test]
fn right_code_after_five_wrong_ones_has_to_wait() {
    story(async |app| {
        let (_, athlete) = a_gym_with_an_athlete(app, "ada@example.org").await;
        let guesser = app.person("guesser@example.org");
        for _ in 0..5 {
            assert_eq!(
                guesser
                    .links(Some(&json!(AthleteCode::draw())))
                    .await
                    .problem(),
                "invalid-athlete-code"
            );
        }
        for code in [json!(AthleteCode::draw()), athlete["athlete_code"].clone()] {
            let response = guesser.links(Some(&code)).await;
            assert_eq!(
                (response.status, response.problem()),
                (429, "too-many-attempts")
            );
            assert!(
                response
                    .retry_after()
                    .is_some_and(|wait| (840..=900).contains(&wait)),
                "{:?}",
                response.retry_after()
            );
        }
        // Somebody else is not kept waiting, nor is the guesser, by the email or once the time is
        // over.
        assert_eq!(
            app.person("bob@example.org")
                .links(Some(&json!(AthleteCode::draw())))
                .await
                .problem(),
            "invalid-athlete-code"
        );
        assert_eq!(
            guesser.links(None).await.expect(200)["status"],
            "code_required"
        );
        app.shared
            .postgres
            .run(
                &app.database,
                r#"UPDATE athlete_code_attempt SET "window" = "window" - interval '15 minutes'"#,
            )
            .await
            .expect("time passes");
        assert_eq!(
            guesser
                .links(Some(&athlete["athlete_code"]))
                .await
                .expect(200)["status"],
            "linked"
        );
        for _ in 0..10 {
            guesser
                .links(Some(&athlete["athlete_code"]))
                .await
                .expect(200);
        }
    });
}

#[test]
fn hundred_guesses_at_once_get_five_codes_looked_at() {
    story(async |app| {
        let guesser = app.person("guesser@example.org");
        let codes: Vec<_> = (0..100).map(|_| json!(AthleteCode::draw())).collect();
        // On a slow machine some don't get their turn in time; they are told to come back.
        let guess = async |code| loop {
            let response = guesser.links(Some(code)).await;
            if response.status != 503 {
                return response;
            }
        };
        let responses = join_all(codes.iter().map(guess)).await;
        let with = |problem: &str| {
            let responses = responses.iter();
            responses
                .filter(|response| response.problem() == problem)
                .count()
        };
        let (looked_at, locked) = (with("invalid-athlete-code"), with("too-many-attempts"));
        assert_eq!(looked_at + locked, 100);
        assert!((1..=5).contains(&looked_at), "{looked_at} are looked at");
        let failures = "SELECT failures FROM athlete_code_attempt";
        assert_eq!(app.ask::<i32>(failures).await, 5);
    });
}

#[test]
fn code_of_the_own_gym_takes_no_other_link_back() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let first = owner.opens_gym("First").await;
        let second = owner.opens_gym("Second").await;
        let ada = json!({"email": "ada@example.org"});
        owner.registers(first, &ada).await;
        let other = owner
            .registers(first, &json!({"email": "other@example.org"}))
            .await;
        let person = app.person("ada@example.org");
        person.links(None).await.expect(200);
        owner.registers(second, &ada).await;

        let response = person.links(Some(&other["athlete_code"])).await;
        assert_eq!(response.problem(), "already-a-member");
        let linked = "SELECT count(*) FROM athlete WHERE user_id IS NOT NULL";
        assert_eq!(
            app.ask::<i64>(linked).await,
            2,
            "the address links in the second gym"
        );
        assert_eq!(
            person.links(None).await.expect(200)["linked"]
                .as_array()
                .map(Vec::len),
            Some(2)
        );
    });
}
