use crate::system::{System, with_system};
use serde_json::{Value, json};

#[test]
fn registered_athlete_signs_up_and_gets_the_workout() {
    with_system(async |system| {
        let owner = system.visitor("owner@journey.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let ada = owner.registers(gym, "ada@journey.example").await;
        let bob = owner.registers(gym, "bob@journey.example").await;
        assert_eq!(
            (&ada["invitation"]["status"], &bob["invitation"]["status"]),
            (&json!("sent"), &json!("sent"))
        );

        // What the athlete sees is in the inbox, as mail and as a page.
        let mail = mail_to(system, "ada@journey.example").await;
        let code = ada["athlete_code"].as_str().unwrap();
        assert!(
            mail["text"].as_str().unwrap().contains(code)
                && mail["html"].as_str().unwrap().contains(code)
        );

        let ada_signed_up = system.visitor("Ada@journey.example");
        let linked = ada_signed_up
            .post("/signup-link", json!({}))
            .await
            .expect(200);
        assert_eq!(
            (&linked["status"], &linked["linked"][0]["via"]),
            (&json!("linked"), &json!("email"))
        );
        let elsewhere = system.visitor("bob@elsewhere.example");
        assert_eq!(
            elsewhere.post("/signup-link", json!({})).await.expect(200)["status"],
            "code_required"
        );
        let linked = elsewhere
            .post("/signup-link", json!({"athlete_code": bob["athlete_code"]}))
            .await
            .expect(200);
        assert_eq!(
            (&linked["status"], &linked["linked"][0]["via"]),
            (&json!("linked"), &json!("code"))
        );
        assert_eq!(
            elsewhere.get("/me").await.expect(200)["athletes"][0]["business"]["name"],
            "Iron Temple"
        );

        let workout = owner
            .post("/workouts", json!({"name": "Leg day"}))
            .await
            .expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let assigned = owner
            .post(
                &format!("/workouts/{workout}/assignments"),
                json!({"business_id": gym, "athlete_ids": [ada["id"], bob["id"]]}),
            )
            .await
            .expect(200);
        assert_eq!(assigned["assigned"].as_array().map(Vec::len), Some(2));
        let followers = owner
            .get(&format!("/workouts/{workout}/assignments?limit=1"))
            .await
            .expect(200);
        let next = followers["next_cursor"].as_str().expect("a second page");
        let rest = owner
            .get(&format!(
                "/workouts/{workout}/assignments?limit=1&cursor={next}"
            ))
            .await
            .expect(200);
        assert_eq!(
            (
                followers["items"].as_array().map(Vec::len),
                rest["items"].as_array().map(Vec::len),
                &rest["next_cursor"]
            ),
            (Some(1), Some(1), &json!(null))
        );

        let joined = system
            .stranger(None)
            .post("/waitlist", json!({"email": "cy@journey.example"}))
            .await;
        assert_eq!(
            (joined.status, joined.body),
            (202, json!({"status": "joined"}))
        );
    });
}

/// The mail to this address, as the inbox shows it.
async fn mail_to(system: &System, address: &str) -> Value {
    let inbox = format!("{}/_local/inbox?to={address}", system.stack.base_url());
    let request = reqwest::Client::new()
        .get(inbox)
        .header("accept", "application/json");
    let inbox = request.send().await.expect("the inbox answers");
    let mails: Value = inbox.json().await.expect("it is JSON");
    let mut mails = mails.as_array().expect("it is a list").iter();
    let mail = mails.find(|mail| mail["to"] == address);
    mail.expect("there is a mail").clone()
}
