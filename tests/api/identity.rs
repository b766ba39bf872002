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

#[test]
fn address_is_whose_who_proved_it_last_whoever_calls_last() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let claims = |sub: &str, email: &str, auth_time: &str| json!({"sub": sub, "email": email, "email_verified": "true", "auth_time": auth_time, "iat": "1800000000"});
        let email = async |person: &tests::Person| {
            person.get("/me").await.expect(200)["user"]["email"].clone()
        };
        // Both have an account of their own before.
        let earlier = app.person_with(&claims("earlier", "earlier@example.org", "1600000000"));
        let later = app.person_with(&claims("later", "later@example.org", "1600000000"));
        assert_eq!(email(&earlier).await, "earlier@example.org");
        assert_eq!(email(&later).await, "later@example.org");
        // The mailbox has a new owner, who proves it; the old one has a token of before.
        let before = app.person_with(&claims("earlier", "box@example.org", "1700000000"));
        let after = app.person_with(&claims("later", "box@example.org", "1700000001"));
        let never_called = app.person_with(&claims("third", "box@example.org", "1700000000"));
        assert_eq!(email(&after).await, "box@example.org");
        assert_eq!(email(&before).await, "earlier@example.org");
        assert_eq!(email(&never_called).await, json!(null));
        assert_eq!(email(&after).await, "box@example.org");

        // Nor is anybody linked by an address that is another's by now.
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .registers(gym, &json!({"email": "box@example.org"}))
            .await;
        for person in [&before, &never_called] {
            assert_eq!(person.links(None).await.expect(200)["linked"], json!([]));
        }
        assert_eq!(after.links(None).await.expect(200)["status"], "linked");

        // Who proves it anew has it again.
        let again = app.person_with(&claims("earlier", "box@example.org", "1700000002"));
        assert_eq!(email(&again).await, "box@example.org");
        assert_eq!(email(&after).await, json!(null));
    });
}

/// A clock that is ahead holds no address for ever.
#[test]
fn token_of_the_future_is_of_now() {
    story(async |app| {
        let claims = |sub: &str, auth_time: &str| json!({"sub": sub, "email": "box@example.org", "email_verified": "true", "auth_time": auth_time});
        let ahead = app.person_with(&claims("ahead", "4000000000"));
        ahead.get("/me").await.expect(200);
        let other = app.person_with(&json!({"sub": "other"}));
        other.get("/me").await.expect(200);
        let other = app.person_with(&claims("other", "4000000000"));
        let me = other.get("/me").await.expect(200);
        assert_eq!(me["user"]["email"], "box@example.org");
    });
}
