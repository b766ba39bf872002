//! A person signs in by several accounts, and an account by any subject.

use serde_json::json;
use tests::story;

#[test]
fn new_subject_with_the_same_verified_address_finds_everything_again() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let workout = owner.writes_workout("Leg day").await;
        let athlete = owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        let ada = app.person("ada@example.org");
        ada.links(None).await.expect(200);

        let made_anew = app.person("ada@example.org");
        let me = made_anew.get("/me").await.expect(200);
        assert_eq!(me["athletes"][0]["athlete_id"], athlete["id"]);
        assert_eq!(me, ada.get("/me").await.expect(200));
        assert_eq!(
            made_anew.links(None).await.expect(200)["status"],
            "linked",
            "and needs no code"
        );

        let claims =
            json!({"sub": "auth0|owner", "email": "owner@iron.example", "email_verified": "true"});
        let owner_anew = app.person_with(&claims);
        let gyms = owner_anew.get("/me").await.expect(200);
        assert_eq!(gyms["businesses"][0]["id"], json!(gym));
        let assigned = json!({"business_id": gym, "athlete_ids": [athlete["id"]]});
        let path = format!("/workouts/{workout}/assignments");
        owner_anew.post(&path, &assigned).await.expect(200);
        owner.get(&path).await.expect(200);
    });
}

#[test]
fn new_subject_with_an_unverified_address_is_nobody_yet() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        owner.opens_gym("Iron Temple").await;
        let claims = json!({"email": "owner@iron.example", "email_verified": "false"});
        let me = app.person_with(&claims).get("/me").await.expect(200);
        assert_eq!(me["businesses"], json!([]));
    });
}

#[test]
fn person_who_proves_the_address_of_another_takes_it_and_nothing_else() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let bob = app.person_with(
            &json!({"sub": "bob", "email": "bob@example.org", "email_verified": "true"}),
        );
        let before = bob.get("/me").await.expect(200);

        let renamed =
            json!({"sub": "bob", "email": "owner@iron.example", "email_verified": "true"});
        let me = app.person_with(&renamed).get("/me").await.expect(200);
        assert_eq!(me["user"]["id"], before["user"]["id"]);
        assert_eq!(me["user"]["email"], "owner@iron.example");
        assert_eq!(me["businesses"], json!([]));

        let without_address = app.person_with(&json!({"sub": owner.id}));
        let owners = without_address.get("/me").await.expect(200);
        assert_eq!(owners["user"]["email"], json!(null));
        assert_eq!(owners["businesses"][0]["id"], json!(gym));
    });
}

#[test]
fn fifty_first_requests_of_one_account_are_one_person() {
    story(async |app| {
        for email in [
            json!({}),
            json!({"email": "ada@example.org", "email_verified": "true"}),
        ] {
            let ada = app.person_with(&email);
            let responses = futures::future::join_all((0..50).map(|_| ada.get("/me"))).await;
            let mut ids: Vec<_> = responses
                .into_iter()
                .map(|response| response.expect(200)["user"]["id"].to_string())
                .collect();
            ids.dedup();
            assert_eq!(ids.len(), 1);
        }
        assert_eq!(app.ask::<i64>(r#"SELECT count(*) FROM "user""#).await, 2);
    });
}

#[test]
fn access_token_is_refused_in_words() {
    story(async |app| {
        let person = app.person_with(&json!({"token_use": "access", "client_id": "a"}));
        let response = person.get("/me").await;
        assert_eq!(response.status, 401);
        let detail = response.body["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("ID token"), "{detail}");
    });
}
