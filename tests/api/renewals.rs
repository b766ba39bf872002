use futures::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{Person, TestApp, story};
use uuid::Uuid;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// An owner with a gym and one athlete, who was invited by mail: the owner, and the path of the
/// invitation.
async fn an_invited_athlete(app: &'static TestApp, email: &str) -> (Person, String, Value) {
    let owner = app.person("owner@iron.example");
    let gym = owner.opens_gym("Iron Temple").await;
    let athlete = owner.registers(gym, &json!({"email": email})).await;
    let path = format!(
        "/businesses/{gym}/athletes/{}/invitation",
        athlete["id"].as_str().expect("an id")
    );
    (owner, path, athlete)
}

#[test]
fn resend_keeps_the_code_and_starts_a_new_expiry() {
    story(async |app| {
        let (owner, path, athlete) = an_invited_athlete(app, "resent@example.org").await;
        app.time_passes(20 * DAY).await;
        let again = owner.post(&path, &json!({})).await.expect(202);
        assert_eq!(
            (&again["athlete_code"], &again["invitation"]["status"]),
            (&athlete["athlete_code"], &json!("sent"))
        );
        assert!(
            app.ask::<bool>("SELECT max(expires_at) > now() + interval '29 days' FROM invitation")
                .await
        );
        assert_eq!(app.mails_to("resent@example.org").await.len(), 2);

        app.time_passes(20 * DAY).await;
        let linked = app
            .person("home@example.org")
            .links(Some(&athlete["athlete_code"]))
            .await
            .expect(200);
        assert_eq!(linked["status"], "linked");
    });
}

#[test]
fn correction_goes_to_the_right_address_and_ends_the_old_code() {
    story(async |app| {
        let (owner, path, athlete) = an_invited_athlete(app, "adda@example.org").await;
        let corrected = owner
            .post(&path, &json!({"email": "Ada-Right@example.org"}))
            .await
            .expect(202);
        assert_eq!(
            (&corrected["id"], &corrected["email"]),
            (&athlete["id"], &json!("ada-right@example.org"))
        );
        assert_ne!(corrected["athlete_code"], athlete["athlete_code"]);
        let mails = app.mails_to("ada-right@example.org").await;
        assert!(
            mails.len() == 1
                && mails[0]
                    .text
                    .contains(corrected["athlete_code"].as_str().unwrap())
        );

        let wrong_person = app.person("adda@example.org");
        assert_eq!(
            wrong_person.links(None).await.expect(200)["status"],
            "code_required"
        );
        assert_eq!(
            wrong_person
                .links(Some(&athlete["athlete_code"]))
                .await
                .problem(),
            "invalid-athlete-code"
        );
        assert_eq!(
            app.person("ada-right@example.org")
                .links(None)
                .await
                .expect(200)["status"],
            "linked"
        );
        assert_eq!(app.ask::<i64>("SELECT count(*) FROM athlete").await, 1);
    });
}

#[test]
fn correction_with_only_a_phone_is_sent_by_text_message() {
    story(async |app| {
        let (owner, path, _) = an_invited_athlete(app, "no-mail@example.org").await;
        let corrected = owner
            .post(&path, &json!({"phone": "+39 333 765 4321"}))
            .await
            .expect(202);
        assert_eq!(
            (
                &corrected["email"],
                &corrected["phone"],
                &corrected["invitation"]["channel"],
                &corrected["invitation"]["status"]
            ),
            (
                &json!(null),
                &json!("+393337654321"),
                &json!("sms"),
                &json!("sent")
            )
        );
        let messages = app.mails_to("+393337654321").await;
        assert!(
            messages.len() == 1
                && messages[0]
                    .text
                    .contains(corrected["athlete_code"].as_str().unwrap()),
            "{messages:?}"
        );

        let back = owner
            .post(&path, &json!({"email": "mail-again@example.org"}))
            .await
            .expect(202);
        assert_eq!(
            (
                &back["email"],
                &back["phone"],
                &back["invitation"]["channel"]
            ),
            (
                &json!("mail-again@example.org"),
                &json!("+393337654321"),
                &json!("email")
            )
        );
    });
}

#[test]
fn contact_of_another_athlete_of_the_gym_is_409_and_changes_nothing() {
    story(async |app| {
        let (owner, path, athlete) = an_invited_athlete(app, "ada@example.org").await;
        let gym = athlete["business_id"]
            .as_str()
            .unwrap()
            .parse::<Uuid>()
            .unwrap();
        owner
            .registers(gym, &json!({"email": "bob@example.org"}))
            .await;
        owner
            .registers(gym, &json!({"phone": "+393331234567"}))
            .await;
        for correction in [
            json!({"email": "bob@example.org"}),
            json!({"phone": "+393331234567"}),
        ] {
            let response = owner.post(&path, &correction).await;
            assert_eq!(
                (response.status, response.problem()),
                (409, "already-registered"),
                "{correction}"
            );
        }
        assert_eq!(
            app.person("ada@example.org")
                .links(Some(&athlete["athlete_code"]))
                .await
                .expect(200)["status"],
            "linked"
        );
    });
}

#[test]
fn revoked_invitation_links_nobody_and_its_renewal_has_a_new_code() {
    story(async |app| {
        let (owner, path, athlete) = an_invited_athlete(app, "revoked@example.org").await;
        for _ in 0..2 {
            assert_eq!(owner.delete(&path).await.expect(204), json!(null));
        }
        let ada = app.person("revoked@example.org");
        assert_eq!(ada.links(None).await.expect(200)["status"], "code_required");
        assert_eq!(
            ada.links(Some(&athlete["athlete_code"])).await.problem(),
            "invalid-athlete-code"
        );

        let renewed = owner.post(&path, &json!({})).await.expect(202);
        assert_ne!(renewed["athlete_code"], athlete["athlete_code"]);
        assert_eq!(
            ada.links(Some(&athlete["athlete_code"])).await.problem(),
            "invalid-athlete-code"
        );
        assert_eq!(
            ada.links(Some(&renewed["athlete_code"])).await.expect(200)["status"],
            "linked"
        );
    });
}

#[test]
fn expired_invitation_shows_without_a_job_and_a_resend_renews_it() {
    story(async |app| {
        let (owner, path, athlete) = an_invited_athlete(app, "expired@example.org").await;
        app.time_passes(31 * DAY).await;
        let roster = format!(
            "/businesses/{}/athletes",
            athlete["business_id"].as_str().unwrap()
        );
        assert_eq!(
            owner
                .get(&format!("{roster}?status=expired"))
                .await
                .expect(200)["items"][0]["id"],
            athlete["id"]
        );
        assert_eq!(
            owner
                .get(&format!("{roster}?status=sent"))
                .await
                .expect(200)["items"],
            json!([])
        );
        let ada = app.person("home@example.org");
        assert_eq!(
            ada.links(Some(&athlete["athlete_code"])).await.problem(),
            "invalid-athlete-code"
        );

        let revived = owner.post(&path, &json!({})).await.expect(202);
        assert_eq!(revived["athlete_code"], athlete["athlete_code"]);
        assert_eq!(
            ada.links(Some(&athlete["athlete_code"])).await.expect(200)["status"],
            "linked"
        );
    });
}

#[test]
fn linked_athlete_is_409_for_renewal_and_revocation() {
    story(async |app| {
        let (owner, path, _) = an_invited_athlete(app, "linked@example.org").await;
        app.person("linked@example.org")
            .links(None)
            .await
            .expect(200);
        for response in [
            owner.post(&path, &json!({})).await,
            owner
                .post(&path, &json!({"email": "other@example.org"}))
                .await,
            owner.delete(&path).await,
        ] {
            assert_eq!(
                (response.status, response.problem()),
                (409, "already-linked")
            );
        }
        assert!(
            app.ask::<bool>("SELECT bool_and(status = 'accepted') FROM invitation")
                .await
        );
    });
}

#[test]
fn sixth_renewal_in_a_day_is_refused() {
    story(async |app| {
        let (owner, path, _) = an_invited_athlete(app, "often@example.org").await;
        for _ in 0..5 {
            app.time_passes(MINUTE).await;
            owner.post(&path, &json!({})).await.expect(202);
        }
        app.time_passes(MINUTE).await;
        let response = owner
            .post(&path, &json!({"email": "not-this-way-either@example.org"}))
            .await;
        assert_eq!(
            (response.status, response.problem()),
            (429, "too-many-invitations")
        );
        let wait: u64 = response.retry_after().expect("when to try again");
        assert!((23 * 3600..24 * 3600).contains(&wait), "{wait} s");

        app.time_passes(Duration::from_secs(wait)).await;
        owner.post(&path, &json!({})).await.expect(202);
        assert_eq!(app.mails_to("often@example.org").await.len(), 7);
    });
}

#[test]
fn invitation_of_another_gym_is_404() {
    story(async |app| {
        let (_, path, _) = an_invited_athlete(app, "ada@example.org").await;
        let rival = app.person("owner@steel.example");
        let rivals_gym = rival.opens_gym("Steel Barn").await;
        let through_own_gym = format!(
            "/businesses/{rivals_gym}/{}",
            path.split_once("/athletes/")
                .map(|(_, rest)| format!("athletes/{rest}"))
                .unwrap()
        );
        for path in [
            path.clone(),
            through_own_gym,
            format!(
                "/businesses/{rivals_gym}/athletes/{}/invitation",
                Uuid::now_v7()
            ),
            format!("/businesses/{rivals_gym}/athletes/7/invitation"),
        ] {
            for response in [
                rival.post(&path, &json!({})).await,
                rival.delete(&path).await,
            ] {
                assert_eq!(
                    (response.status, response.problem()),
                    (404, "not-found"),
                    "{path}"
                );
            }
        }
        assert!(
            app.ask::<bool>("SELECT bool_and(status = 'sent') FROM invitation")
                .await
        );
    });
}

#[test]
fn simultaneous_resends_send_one_mail() {
    story(async |app| {
        for n in 0..10 {
            let email = format!("resent-twice-{n}@example.org");
            let owner = app.person("owner@iron.example");
            let gym = owner.opens_gym("Iron Temple").await;
            let athlete = owner.registers(gym, &json!({"email": email})).await;
            let path = format!(
                "/businesses/{gym}/athletes/{}/invitation",
                athlete["id"].as_str().unwrap()
            );
            let (body, at_once) = (json!({}), if n == 0 { 20 } else { 2 });
            let responses = join_all((0..at_once).map(|_| owner.post(&path, &body))).await;
            assert!(
                responses.iter().all(|response| response.status == 202),
                "{responses:#?}"
            );
            assert_eq!(
                app.mails_to(&email).await.len(),
                2,
                "the first one, and one more"
            );
        }
    });
}

#[test]
fn simultaneous_claim_and_revocation_agree() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        for n in 0..20 {
            let email = format!("race-{n}@example.org");
            let athlete = owner.registers(gym, &json!({"email": email})).await;
            let path = format!(
                "/businesses/{gym}/athletes/{}/invitation",
                athlete["id"].as_str().unwrap()
            );
            let person = app.person(&if n % 2 == 0 {
                email
            } else {
                format!("home-{n}@example.org")
            });
            let code = (n % 2 == 1).then_some(&athlete["athlete_code"]);
            let (claimed, revoked) = futures::join!(person.links(code), owner.delete(&path));
            let is_linked = claimed.status == 200 && claimed.body["status"] == "linked";
            assert_eq!(
                (is_linked, revoked.status),
                if is_linked { (true, 409) } else { (false, 204) },
                "{claimed:?}"
            );
        }
    });
}
