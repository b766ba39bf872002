use serde_json::json;
use shared::domain::AthleteCode;
use std::sync::atomic::{AtomicU64, Ordering};
use tests::{TestApp, story};

#[test]
fn registered_athlete_gets_a_mail_with_the_code() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron & Söhne <Temple>").await;
        let ada = owner.registers(gym, &json!({"email": "Ada-Mail@Example.org", "full_name": "Ada Lovelace", "locale": "it"})).await;

        assert_eq!(ada["email"], "ada-mail@example.org");
        assert_eq!(ada["business_id"], json!(gym));
        assert_eq!(
            (&ada["locale"], &ada["linked"], &ada["linked_at"]),
            (&json!("it"), &json!(false), &json!(null))
        );
        assert_eq!(
            (&ada["invitation"]["status"], &ada["invitation"]["channel"]),
            (&json!("sent"), &json!("email"))
        );
        assert!(
            ada["invitation"]["sent_at"].is_string() && ada["invitation"]["last_error"].is_null()
        );

        let mails = app.mails_to("ada-mail@example.org").await;
        assert_eq!(mails.len(), 1);
        let (text, html) = (
            &mails[0].text,
            mails[0].html.as_ref().expect("an HTML part"),
        );
        let code = ada["athlete_code"].as_str().expect("a code");
        assert!(code.parse::<AthleteCode>().is_ok());
        for part in [text, html] {
            assert!(
                part.contains(code)
                    && part.contains(&format!("https://app.gymbrah.example/join?code={code}")),
                "{part}"
            );
        }
        assert!(
            text.contains("Iron & Söhne <Temple>")
                && html.contains("Iron &#38; Söhne &#60;Temple&#62;")
        );
        assert_eq!(
            mails[0].subject.as_deref(),
            Some("Iron & Söhne <Temple> ti invita su GymBrah")
        );
        assert!(app.ask::<bool>("SELECT attempts = 1 AND provider_message_id IS NOT NULL AND expires_at = end_of_day(30, 'UTC') FROM invitation").await);
    });
}

#[test]
fn registered_contact_is_the_same_athlete_and_gets_no_second_mail() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let athletes = format!("/businesses/{gym}/athletes");

        let first = owner
            .registers(
                gym,
                &json!({"email": "twice@example.org", "full_name": "Ada"}),
            )
            .await;
        let again = owner
            .post(
                &athletes,
                &json!({"email": "TWICE@example.org", "full_name": " ADA ", "locale": "it"}),
            )
            .await
            .expect(200);
        assert_eq!(again, first);
        assert_eq!(app.mails_to("twice@example.org").await.len(), 1);

        let by_phone = owner
            .registers(gym, &json!({"phone": "+39 333 1234567"}))
            .await;
        assert_eq!(
            (&by_phone["phone"], &by_phone["invitation"]["channel"]),
            (&json!("+393331234567"), &json!("sms"))
        );
        assert_eq!(
            owner
                .post(&athletes, &json!({"phone": "+393331234567"}))
                .await
                .expect(200),
            by_phone
        );

        // The phone is a contact of its own only where there is no email: two with an address may
        // have one.
        for email in ["other@example.org", "another@example.org"] {
            let with_both = json!({"email": email, "phone": "+393337654321"});
            owner.registers(gym, &with_both).await;
        }
        // Another gym knows nothing of it.
        let other_gym = owner.opens_gym("Second Temple").await;
        owner
            .registers(other_gym, &json!({"email": "twice@example.org"}))
            .await;
        assert_eq!(app.ask::<i64>("SELECT count(*) FROM athlete").await, 5);
    });
}

#[test]
fn provider_that_is_down_leaves_the_invitation_queued_and_the_response_201() {
    story(async |app| {
        let nobody_listens_here = "http://127.0.0.1:9";
        let app = app
            .with_registrar(|registrar| {
                registrar.sender = TestApp::sender(app.shared, Some(nobody_listens_here));
            })
            .await;
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;

        let ada = owner
            .registers(gym, &json!({"email": "ada-queued@example.org"}))
            .await;
        assert_eq!(ada["invitation"]["status"], "queued");
        assert!(
            ada["invitation"]["last_error"]
                .as_str()
                .is_some_and(|error| error.contains("could not be reached")),
            "{ada}"
        );
        assert!(app.ask::<bool>("SELECT status = 'queued' AND attempts = 1 AND sent_at IS NULL AND next_attempt_at > now() FROM invitation").await);
        assert!(app.mails_to("ada-queued@example.org").await.is_empty());

        let linked = app
            .person("ada-queued@example.org")
            .links(None)
            .await
            .expect(200);
        assert_eq!(
            linked["status"], "linked",
            "the athlete signs up all the same"
        );
    });
}

#[test]
fn taken_code_is_drawn_again() {
    /// The same code twice, then others.
    fn draw() -> AthleteCode {
        static DRAWS: AtomicU64 = AtomicU64::new(0);
        AthleteCode::from_entropy(DRAWS.fetch_add(1, Ordering::Relaxed).saturating_sub(1))
    }

    story(async |app| {
        let app = app
            .with_registrar(|registrar| registrar.draw_code = draw)
            .await;
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let first = owner
            .registers(gym, &json!({"email": "first@example.org"}))
            .await;
        let second = owner
            .registers(gym, &json!({"email": "second@example.org"}))
            .await;
        assert_eq!(first["athlete_code"], json!(AthleteCode::from_entropy(0)));
        assert_eq!(second["athlete_code"], json!(AthleteCode::from_entropy(1)));
    });
}

#[test]
fn roster_shows_the_current_status_of_each_invitation() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let roster = format!("/businesses/{gym}/athletes");
        assert_eq!(
            owner.get(&roster).await.expect(200),
            json!({"items": [], "next_cursor": null})
        );

        owner
            .registers(gym, &json!({"email": "expired@example.org"}))
            .await;
        owner
            .registers(gym, &json!({"email": "linked@example.org"}))
            .await;
        let sent = owner
            .registers(gym, &json!({"email": "sent@example.org"}))
            .await;
        app.person("linked@example.org")
            .links(None)
            .await
            .expect(200);
        app.shared
            .postgres
            .run(&app.database, "UPDATE invitation SET created_at = now() - interval '31 days', expires_at = now() - interval '1 day' FROM athlete WHERE athlete.id = athlete_id AND email = 'expired@example.org'")
            .await
            .expect("time passes");

        let items = owner.get(&roster).await.expect(200)["items"].clone();
        let seen: Vec<_> = items
            .as_array()
            .expect("a list")
            .iter()
            .map(|item| {
                (
                    item["email"].as_str().unwrap(),
                    item["invitation"]["status"].as_str().unwrap(),
                    item["linked"].as_bool().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("sent@example.org", "sent", false),
                ("linked@example.org", "accepted", true),
                ("expired@example.org", "expired", false)
            ]
        );
        assert_eq!(items[0], sent, "the roster shows what registering answered");
    });
}
