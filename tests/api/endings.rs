//! How a gym's and an athlete's data is mended, and how each of them ends.

use futures::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{APP_URL, Response, TestApp, id, story};
use tokio::time::Instant;

const AT_ONCE: usize = 50;

fn with_status(responses: &[Response], status: u16) -> usize {
    responses
        .iter()
        .filter(|response| response.status == status)
        .count()
}

/// The names on a page of the roster, in its order.
fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a list");
    items
        .iter()
        .map(|athlete| athlete["full_name"].as_str().unwrap_or("nobody"))
        .collect()
}

/// A text as it stands in a query.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
fn a_gym_is_described_anew() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let described = json!({"name": "Iron Temple", "locale": "it", "country": "it", "time_zone": "Europe/Rome"});
        let gym = owner.post("/businesses", &described).await.expect(201);
        assert_eq!(gym["country"], "IT");
        let path = format!("/businesses/{}", gym["id"].as_str().unwrap());

        let change = json!({"name": "Steel Temple", "country": null, "locale": null});
        let changed = owner.patch(&path, &change).await.expect(200);
        assert_eq!(
            [
                &changed["name"],
                &changed["locale"],
                &changed["country"],
                &changed["time_zone"]
            ],
            [
                &json!("Steel Temple"),
                &json!("it"),
                &json!(null),
                &json!("Europe/Rome")
            ]
        );
        let read = owner.get(&path).await.expect(200);
        assert_eq!(read["name"], "Steel Temple");

        for (wrong, code) in [
            (json!({"time_zone": "Europe/Atlantis"}), "time_zone_invalid"),
            (json!({"time_zone": "CET"}), "time_zone_invalid"),
            (json!({"country": "UK"}), "country_invalid"),
            (json!({"locale": "italian"}), "locale_invalid"),
            (json!({}), "required"),
        ] {
            let refused = owner.patch(&path, &wrong).await.expect(422);
            assert_eq!(refused["errors"][0]["code"], code, "{wrong}");
        }
        let nowhere = json!({"name": "Iron Temple", "time_zone": "Mars/Olympus"});
        let refused = owner.post("/businesses", &nowhere).await;
        assert_eq!(refused.pointers(), ["#/time_zone"]);
    });
}

#[test]
fn an_athlete_without_a_language_is_written_to_in_the_gyms() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let italian = json!({"name": "Palestra Aurora", "locale": "it"});
        let gym = owner.post("/businesses", &italian).await.id();
        let ada = json!({"email": "ada-in-italian@example.org"});
        assert_eq!(owner.registers(gym, &ada).await["locale"], "it");
        let mails = app.mails_to("ada-in-italian@example.org").await;
        assert_eq!(
            mails[0].subject.as_deref(),
            Some("Palestra Aurora ti invita su GymBrah")
        );

        let athletes = json!({"athletes": [{"email": "bob@example.org"}, {"email": "cy@example.org", "locale": "en"}]});
        let path = format!("/businesses/{gym}/athletes/import");
        let imported = owner.post(&path, &athletes).await.expect(200);
        assert_eq!(imported["items"][0]["athlete"]["locale"], "it");
        assert_eq!(imported["items"][1]["athlete"]["locale"], "en");
    });
}

#[test]
fn an_invitation_is_good_until_the_end_of_a_day_where_the_gym_is() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        for (number, zone) in [
            "Pacific/Kiritimati",
            "Europe/Rome",
            "Pacific/Pago_Pago",
            "UTC",
        ]
        .into_iter()
        .enumerate()
        {
            let described = json!({"name": "Iron Temple", "time_zone": zone});
            let gym = owner.post("/businesses", &described).await.id();
            let email = format!("zone-{number}@example.org");
            let athlete = owner.registers(gym, &json!({"email": email})).await;
            let ends = athlete["invitation"]["expires_at"].as_str().unwrap();
            let local = format!(
                "SELECT to_char('{ends}'::timestamptz AT TIME ZONE '{zone}', 'HH24:MI:SS')
                     || (('{ends}'::timestamptz AT TIME ZONE '{zone}')::date - (now() AT TIME ZONE '{zone}')::date)"
            );
            assert_eq!(app.ask::<String>(&local).await, "00:00:0031", "{zone}");

            let last = format!(
                "SELECT to_char((now() AT TIME ZONE '{zone}') + interval '30 days', 'FMDD FMMonth YYYY')"
            );
            let last: String = app.ask(&last).await;
            let mail = &app.mails_to(&email).await[0];
            assert!(
                mail.text.contains(&format!("good until {last}")),
                "{zone}: {}",
                mail.text
            );
        }
    });
}

#[test]
fn a_gym_counts_its_athletes() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let mut athletes = Vec::new();
        for who in ["ada", "bob", "cy", "dee"] {
            let email = format!("{who}-counted@example.org");
            athletes.push(owner.registers(gym, &json!({"email": email})).await);
        }
        let of = |n: usize| format!("/businesses/{gym}/athletes/{}", id(&athletes[n]["id"]));
        let bob = app.person("bob-counted@example.org");
        bob.links(None).await.expect(200);
        app.person("ada-counted@example.org")
            .links(None)
            .await
            .expect(200);
        owner
            .delete(&format!("{}/invitation", of(2)))
            .await
            .expect(204);
        let leaving = format!("/me/athletes/{}", id(&athletes[1]["id"]));
        bob.delete(&leaving).await.expect(204);

        let counts = owner.get(&format!("/businesses/{gym}")).await.expect(200)["counts"].clone();
        assert_eq!(
            [&counts["athletes"], &counts["linked"], &counts["left"]],
            [&json!(3), &json!(1), &json!(1)]
        );
        let by_status = &counts["by_status"];
        assert_eq!(
            [
                &by_status["accepted"],
                &by_status["revoked"],
                &by_status["sent"],
                &by_status["bounced"]
            ],
            [&json!(1), &json!(1), &json!(1), &json!(0)]
        );
    });
}

#[test]
fn a_closed_gym_invites_nobody_and_its_athletes_keep_what_they_did() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let ada = owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        let bob = owner
            .registers(gym, &json!({"email": "bob@example.org"}))
            .await;
        let person = app.person("ada@example.org");
        person.links(None).await.expect(200);
        let workout = owner.writes_workout("Leg day").await;
        let assigning = json!({"business_id": gym, "athlete_ids": [ada["id"]]});
        owner
            .post(&format!("/workouts/{workout}/assignments"), &assigning)
            .await
            .expect(200);
        person
            .patch(
                &format!("/me/workouts/{workout}"),
                &json!({"completed": true}),
            )
            .await
            .expect(200);

        let path = format!("/businesses/{gym}");
        for _ in 0..2 {
            owner.delete(&path).await.expect(204);
        }
        for refused in [
            owner.get(&path).await,
            owner.patch(&path, &json!({"name": "Again"})).await,
            owner.get(&format!("{path}/athletes")).await,
            owner
                .post(
                    &format!("{path}/athletes"),
                    &json!({"email": "cy@example.org"}),
                )
                .await,
            owner
                .post(
                    &format!("{path}/athletes/{}/invitation", id(&bob["id"])),
                    &json!({}),
                )
                .await,
        ] {
            assert_eq!(refused.problem(), "not-found");
        }
        assert_eq!(
            owner.get("/businesses").await.expect(200)["items"],
            json!([])
        );
        assert_eq!(owner.get("/me").await.expect(200)["businesses"], json!([]));
        let late = app
            .person("late@example.org")
            .links(Some(&bob["athlete_code"]))
            .await;
        assert_eq!(late.problem(), "invalid-athlete-code");
        assert_eq!(
            app.person("bob@example.org").links(None).await.expect(200)["status"],
            "code_required"
        );
        let done = person.get("/me/workouts").await.expect(200);
        assert!(done["items"][0]["completed_at"].is_string(), "{done}");
        let open = "SELECT count(*) FROM invitation WHERE NOT has_ended(status)";
        assert_eq!(app.ask::<i64>(open).await, 0);
    });
}

#[test]
fn a_removed_athlete_is_gone_from_the_gym_and_keeps_what_they_did() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let ada = owner
            .registers(
                gym,
                &json!({"email": "ada@example.org", "full_name": "Ada"}),
            )
            .await;
        let person = app.person("ada@example.org");
        person.links(None).await.expect(200);
        let mut workouts = Vec::new();
        for name in ["Leg day", "Arm day"] {
            let workout = owner.writes_workout(name).await;
            let assigning = json!({"business_id": gym, "athlete_ids": [ada["id"]]});
            owner
                .post(&format!("/workouts/{workout}/assignments"), &assigning)
                .await
                .expect(200);
            workouts.push(workout);
        }
        let of_leg_day = format!("/me/workouts/{}", workouts[0]);
        person
            .patch(&of_leg_day, &json!({"completed": true, "selected": true}))
            .await
            .expect(200);

        let path = format!("/businesses/{gym}/athletes/{}", id(&ada["id"]));
        for _ in 0..2 {
            owner.delete(&path).await.expect(204);
        }
        let removed = owner.get(&path).await.expect(200);
        assert_eq!(
            (&removed["removed_by"], removed["removed_at"].is_string()),
            (&json!("gym"), true)
        );
        let roster = owner
            .get(&format!("/businesses/{gym}/athletes"))
            .await
            .expect(200);
        assert_eq!(roster["items"], json!([]));
        for refused in [
            owner.patch(&path, &json!({"full_name": "Eve"})).await,
            owner.post(&format!("{path}/invitation"), &json!({})).await,
            owner.delete(&format!("{path}/invitation")).await,
            owner.delete(&format!("{path}/link")).await,
            person.patch(&of_leg_day, &json!({"selected": true})).await,
        ] {
            assert_eq!(refused.problem(), "not-found");
        }
        assert_eq!(person.get("/me").await.expect(200)["athletes"], json!([]));
        assert_eq!(
            person.links(None).await.expect(200)["status"],
            "code_required"
        );
        let kept = person.get("/me/workouts").await.expect(200);
        assert_eq!(kept["items"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&kept["items"][0]["name"], &kept["items"][0]["selected"]),
            (&json!("Leg day"), &json!(false))
        );
        let assigning = json!({"business_id": gym, "athlete_ids": [ada["id"]]});
        let late = owner
            .post(
                &format!("/workouts/{}/assignments", workouts[1]),
                &assigning,
            )
            .await;
        assert_eq!(late.pointers(), ["#/athlete_ids/0"]);

        // The contact is free, and the person can come back.
        let again = owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        assert_ne!(again["id"], ada["id"]);
        assert_eq!(
            person.links(None).await.expect(200)["linked"][0]["athlete_id"],
            again["id"]
        );
    });
}

#[test]
fn a_removed_athletes_code_is_dead_and_no_mail_goes_out() {
    story(async |app| {
        let nobody_listens = TestApp::sender(app.shared, Some("http://127.0.0.1:9"));
        let down = app
            .with_registrar(|registrar| registrar.sender = nobody_listens)
            .await;
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let email = "removed-while-queued@example.org";
        let ada = owner
            .through(down)
            .registers(gym, &json!({"email": email}))
            .await;
        assert_eq!(ada["invitation"]["status"], "queued");
        owner
            .delete(&format!("/businesses/{gym}/athletes/{}", id(&ada["id"])))
            .await
            .expect(204);

        app.time_passes(Duration::from_hours(1)).await;
        let relay = app.relay(TestApp::sender(app.shared, None)).await;
        let deadline = Instant::now() + Duration::from_secs(10);
        let report = deliver_invitations::handle(&relay, deadline).await.unwrap();
        assert_eq!(report.sent, 0);
        assert_eq!(app.mails_to(email).await.len(), 0);
        for code in [None, Some(&ada["athlete_code"])] {
            let person = app.person(email);
            let linked = person.links(code).await;
            assert!(
                linked.status == 422 || linked.body["status"] == "code_required",
                "{linked:?}"
            );
        }
    });
}

/// Old code queues an invitation at the moment in which a new one closes the gym, or removes the
/// athlete.
#[test]
fn nothing_is_sent_for_a_closed_gym_or_a_removed_athlete_whatever_is_queued() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .registers(gym, &json!({"email": "of-a-closed-gym@example.org"}))
            .await;
        for (ending, sent) in [
            ("UPDATE business SET closed_at = now()", 0),
            (
                "UPDATE business SET closed_at = NULL; UPDATE athlete SET removed_at = now(), removed_by = 'gym'",
                0,
            ),
            ("UPDATE athlete SET removed_at = NULL, removed_by = NULL", 1),
        ] {
            let queued = format!(
                "UPDATE invitation SET status = 'queued', next_attempt_at = now(); {ending}"
            );
            app.shared
                .postgres
                .run(&app.database, &queued)
                .await
                .unwrap();
            let relay = app.relay(TestApp::sender(app.shared, None)).await;
            let deadline = Instant::now() + Duration::from_secs(10);
            let report = deliver_invitations::handle(&relay, deadline).await.unwrap();
            assert_eq!(report.sent, sent, "{ending}");
        }
    });
}

#[test]
fn who_leaves_is_seen_to_have_left() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let ada = owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        let leaving = format!("/me/athletes/{}", id(&ada["id"]));
        let person = app.person("ada@example.org");
        assert_eq!(
            person.delete(&leaving).await.problem(),
            "not-found",
            "who is not linked"
        );
        person.links(None).await.expect(200);
        assert_eq!(
            owner.delete(&leaving).await.problem(),
            "not-found",
            "somebody else"
        );
        for _ in 0..2 {
            person.delete(&leaving).await.expect(204);
        }
        assert_eq!(person.get("/me").await.expect(200)["athletes"], json!([]));
        let path = format!("/businesses/{gym}/athletes/{}", id(&ada["id"]));
        owner.delete(&path).await.expect(204);
        assert_eq!(owner.get(&path).await.expect(200)["removed_by"], "athlete");
    });
}

#[test]
fn the_wrong_person_is_unlinked_and_the_right_one_invited() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let ada = owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        let (wrong, right) = (app.person("eve@example.org"), app.person("ada@example.org"));
        wrong.links(Some(&ada["athlete_code"])).await.expect(200);
        let path = format!("/businesses/{gym}/athletes/{}", id(&ada["id"]));
        let linked = owner.get(&path).await.expect(200);
        assert_eq!(
            [&linked["athlete_code"], &linked["invitation"]["url"]],
            [&json!(null), &json!(null)]
        );

        let unlinked = owner.delete(&format!("{path}/link")).await.expect(200);
        assert_eq!(
            [&unlinked["linked"], &unlinked["invitation"]["status"]],
            [&json!(false), &json!("revoked")]
        );
        assert_ne!(unlinked["athlete_code"], ada["athlete_code"]);
        let url = format!(
            "{APP_URL}/join?code={}",
            unlinked["athlete_code"].as_str().unwrap()
        );
        assert_eq!(unlinked["invitation"]["url"], url);
        assert_eq!(
            owner.delete(&format!("{path}/link")).await.expect(200),
            unlinked,
            "again"
        );
        assert_eq!(wrong.get("/me").await.expect(200)["athletes"], json!([]));
        for code in [&ada["athlete_code"], &unlinked["athlete_code"]] {
            assert_eq!(
                wrong.links(Some(code)).await.problem(),
                "invalid-athlete-code"
            );
        }
        assert_eq!(
            right.links(None).await.expect(200)["status"],
            "code_required"
        );

        owner
            .post(&format!("{path}/invitation"), &json!({}))
            .await
            .expect(202);
        assert_eq!(right.links(None).await.expect(200)["status"], "linked");
    });
}

#[test]
fn a_name_is_mended_and_cleared() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let ada = owner
            .registers(
                gym,
                &json!({"email": "ada@example.org", "full_name": "Adda"}),
            )
            .await;
        let path = format!("/businesses/{gym}/athletes/{}", id(&ada["id"]));
        let mended = owner
            .patch(&path, &json!({"full_name": "Ada", "locale": "it"}))
            .await
            .expect(200);
        assert_eq!(
            [&mended["full_name"], &mended["locale"]],
            [&json!("Ada"), &json!("it")]
        );
        let cleared = owner
            .patch(&path, &json!({"full_name": null, "locale": null}))
            .await
            .expect(200);
        assert_eq!(
            [&cleared["full_name"], &cleared["locale"]],
            [&json!(null), &json!("it")]
        );
        assert_eq!(
            owner.patch(&path, &json!({})).await.pointers(),
            ["#/full_name"]
        );
        assert_eq!(
            owner
                .patch(&path, &json!({"email": "x@example.org"}))
                .await
                .pointers(),
            ["#/email"]
        );
    });
}

#[test]
fn a_family_has_one_contact_and_several_athletes() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let path = format!("/businesses/{gym}/athletes");
        let mother = "mother-of-three@example.org";
        let kid = |name: &str| json!({"email": mother, "full_name": name});
        let one = owner.registers(gym, &kid("Kid One")).await;
        for same in [kid(" kid  ONE"), json!({"email": mother}), kid("Kid Oné")] {
            assert_eq!(
                owner.post(&path, &same).await.expect(200)["id"],
                one["id"],
                "{same}"
            );
        }
        let in_use = owner.post(&path, &kid("Kid Two")).await;
        assert_eq!(in_use.problem(), "contact-in-use");
        assert_eq!(
            in_use.body["athlete"],
            json!({"id": one["id"], "full_name": "Kid One"})
        );

        let mut shared = kid("Kid Two");
        shared["shared_contact"] = json!(true);
        let two = owner.registers(gym, &shared).await;
        assert_eq!(
            owner.post(&path, &shared).await.expect(200)["id"],
            two["id"],
            "again"
        );
        assert_eq!(
            owner.post(&path, &kid("kid two")).await.expect(200)["id"],
            two["id"],
            "by the name"
        );
        let mails = app.mails_to(mother).await;
        assert_eq!(
            mails[0].subject.as_deref(),
            Some("Kid Two: Iron Temple invites you to GymBrah")
        );
        assert_eq!(
            mails[1].subject.as_deref(),
            Some("Iron Temple invites you to GymBrah")
        );

        // The address links the one who had it first, the code whoever it is of.
        let linked = app.person(mother).links(None).await.expect(200);
        assert_eq!(linked["linked"].as_array().map(Vec::len), Some(1));
        assert_eq!(linked["linked"][0]["athlete_id"], one["id"]);
        let son = app
            .person("son@example.org")
            .links(Some(&two["athlete_code"]))
            .await
            .expect(200);
        assert_eq!(son["linked"][0]["athlete_id"], two["id"]);

        let of_two = format!("{path}/{}", id(&two["id"]));
        let renamed = owner.patch(&of_two, &json!({"full_name": "Kid One"})).await;
        assert_eq!(renamed.problem(), "already-registered");
    });
}

#[test]
fn who_is_known_by_a_phone_gets_the_address_that_comes_later() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let path = format!("/businesses/{gym}/athletes");
        let bob = owner
            .registers(gym, &json!({"phone": "+393331110010", "full_name": "Bob"}))
            .await;
        let later = json!({"email": "bob-later@example.org", "phone": "+39 333 111 0010", "full_name": "bob"});
        let corrected = owner.post(&path, &later).await.expect(200);
        assert_eq!(
            [&corrected["id"], &corrected["email"]],
            [&bob["id"], &json!("bob-later@example.org")]
        );
        assert_eq!(corrected["invitation"]["channel"], "email");
        assert_ne!(corrected["athlete_code"], bob["athlete_code"]);
        assert_eq!(app.mails_to("bob-later@example.org").await.len(), 1);
        for known in [&later, &json!({"phone": "+393331110010"})] {
            assert_eq!(owner.post(&path, known).await.expect(200)["id"], bob["id"]);
        }

        let cy = owner
            .registers(gym, &json!({"phone": "+393331110011"}))
            .await;
        app.person("cy@example.org")
            .links(Some(&cy["athlete_code"]))
            .await
            .expect(200);
        let member =
            json!({"email": "cy@example.org", "phone": "+393331110011", "full_name": "Cy"});
        let corrected = owner.post(&path, &member).await.expect(200);
        assert_eq!(
            [&corrected["id"], &corrected["email"], &corrected["linked"]],
            [&cy["id"], &json!("cy@example.org"), &json!(true)]
        );
        let another =
            json!({"email": "dee@example.org", "phone": "+393331110011", "full_name": "Dee"});
        assert_ne!(
            owner.registers(gym, &another).await["id"],
            cy["id"],
            "two addresses, two people"
        );
    });
}

#[test]
fn the_roster_is_searched_and_filtered() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let (gym, other) = (
            owner.opens_gym("Iron Temple").await,
            owner.opens_gym("Other").await,
        );
        for athlete in [
            json!({"email": "m.rossi@example.org", "full_name": "Mário Rossi"}),
            json!({"phone": "+393331234567", "full_name": "Anna-Maria D’Angelo"}),
            json!({"email": "zoe+gym@mail.example", "full_name": "ZOË Łuczak"}),
            json!({"email": "o'neil@example.org"}),
            json!({"email": "vera@example.net", "full_name": "Вера Жукова"}),
        ] {
            owner.registers(gym, &athlete).await;
        }
        owner
            .registers(
                other,
                &json!({"email": "maria@example.org", "full_name": "Maria"}),
            )
            .await;
        let roster = format!("/businesses/{gym}/athletes");
        for (q, found) in [
            ("mar", vec!["Anna-Maria D’Angelo", "Mário Rossi"]),
            ("MARI ROS", vec!["Mário Rossi"]),
            ("marí", vec!["Anna-Maria D’Angelo", "Mário Rossi"]),
            ("d'ang", vec!["Anna-Maria D’Angelo"]),
            ("zoe luc", vec!["ZOË Łuczak"]),
            ("zoe+gym@ma", vec!["ZOË Łuczak"]),
            ("rossi@", vec![]),
            ("m.rossi@EX", vec!["Mário Rossi"]),
            ("o'n", vec!["nobody"]),
            ("жук", vec!["Вера Жукова"]),
            ("ВЕРА", vec!["Вера Жукова"]),
            ("333 12", vec!["Anna-Maria D’Angelo"]),
            ("+39 333 1234", vec!["Anna-Maria D’Angelo"]),
            ("0039333", vec!["Anna-Maria D’Angelo"]),
            ("333 99", vec![]),
            ("ossi", vec![]),
            ("' | *:&!()\\", vec![]),
            ("--", vec![]),
        ] {
            let page = owner
                .get(&format!("{roster}?q={}", encoded(q)))
                .await
                .expect(200);
            assert_eq!(names(&page), found, "{q}");
        }
        assert_eq!(
            names(&owner.get(&format!("{roster}?q=%20")).await.expect(200)).len(),
            5
        );
        let long = "x".repeat(121);
        for (wrong, parameter) in [
            (format!("q={long}"), "q"),
            ("q=a%00b".to_owned(), "q"),
            ("status=sent,nonsense".to_owned(), "status"),
            ("status=".to_owned(), "status"),
        ] {
            let refused = owner.get(&format!("{roster}?{wrong}")).await.expect(422);
            assert_eq!(refused["errors"][0]["parameter"], parameter, "{wrong}");
        }
    });
}

#[test]
fn several_states_are_asked_for_at_once() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let roster = format!("/businesses/{gym}/athletes");
        for (who, status, expires) in [
            ("sent", "sent", "1 day"),
            ("bounced", "bounced", "1 day"),
            ("failed", "failed", "1 day"),
            ("late", "sent", "-1 day"),
            ("over", "expired", "-1 day"),
            ("gone", "revoked", "-1 day"),
        ] {
            let athlete = json!({"email": format!("{who}@states.example"), "full_name": format!("was-{who}")});
            let athlete = id(&owner.registers(gym, &athlete).await["id"]);
            let stands = format!(
                "UPDATE invitation SET status = '{status}', created_at = now() - interval '9 days', expires_at = now() + interval '{expires}'
                 WHERE athlete_id = '{athlete}'"
            );
            app.shared
                .postgres
                .run(&app.database, &stands)
                .await
                .unwrap();
        }
        for (query, found) in [
            ("status=bounced,failed", vec!["was-failed", "was-bounced"]),
            (
                "status=bounced&status=failed",
                vec!["was-failed", "was-bounced"],
            ),
            ("status=expired", vec!["was-over", "was-late"]),
            ("status=sent", vec!["was-sent"]),
            (
                "status=expired,sent,revoked",
                vec!["was-gone", "was-over", "was-late", "was-sent"],
            ),
            (
                "status=expired,revoked&q=states",
                vec!["was-gone", "was-over", "was-late"],
            ),
            ("status=accepted", vec![]),
        ] {
            let mut seen = Vec::new();
            let mut path = format!("{roster}?limit=2&{query}");
            loop {
                let page = owner.get(&path).await.expect(200);
                seen.extend(names(&page).into_iter().map(str::to_owned));
                let Some(cursor) = page["next_cursor"].as_str() else {
                    break;
                };
                path = format!("{roster}?limit=2&{query}&cursor={cursor}");
            }
            assert_eq!(seen, found, "{query}");
        }
    });
}

#[test]
fn of_fifty_names_at_one_address_one_is_registered_and_the_others_are_asked_about() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let path = format!("/businesses/{gym}/athletes");
        let kid = |n: usize, shared: bool| {
            let name = format!("Kid {n}");
            json!({"email": "fifty-kids@example.org", "full_name": name, "shared_contact": shared})
        };
        let of_each = |n: usize| kid(n, false);
        let bodies: Vec<_> = (0..AT_ONCE).map(of_each).collect();
        let responses = join_all(bodies.iter().map(|body| owner.post(&path, body))).await;
        assert_eq!(
            (with_status(&responses, 201), with_status(&responses, 409)),
            (1, AT_ONCE - 1)
        );

        // Five children, each ten times.
        let bodies: Vec<_> = (0..AT_ONCE).map(|n| kid(100 + n % 5, true)).collect();
        let responses = join_all(bodies.iter().map(|body| owner.post(&path, body))).await;
        assert_eq!(
            (with_status(&responses, 201), with_status(&responses, 200)),
            (5, AT_ONCE - 5)
        );
        assert_eq!(app.ask::<i64>("SELECT count(*) FROM athlete").await, 6);
    });
}

#[test]
fn who_claims_a_code_while_the_athlete_is_removed_is_in_the_gym_or_not() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let each = (0..AT_ONCE).map(async |n| {
            let email = format!("claimed-{n}@example.org");
            let athlete = owner.registers(gym, &json!({"email": email})).await;
            let path = format!("/businesses/{gym}/athletes/{}", id(&athlete["id"]));
            let person = app.person(&format!("another-{n}@example.org"));
            let (removed, claimed) = futures::join!(
                owner.delete(&path),
                person.links(Some(&athlete["athlete_code"]))
            );
            removed.expect(204);
            assert!([200, 422].contains(&claimed.status), "{claimed:?}");
            assert_eq!(person.get("/me").await.expect(200)["athletes"], json!([]));
        });
        join_all(each).await;
        let open = "SELECT count(*) FROM invitation WHERE NOT has_ended(status) OR is_current";
        assert_eq!(app.ask::<i64>(open).await, 0);
    });
}

#[test]
fn who_is_unlinked_while_they_follow_a_workout_follows_none() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let workout = owner.writes_workout("Leg day").await;
        let each = (0..AT_ONCE).map(async |n| {
            let email = format!("unlinked-{n}@example.org");
            let athlete = owner.registers(gym, &json!({"email": email})).await;
            let assigning = json!({"business_id": gym, "athlete_ids": [athlete["id"]]});
            let assignments = format!("/workouts/{workout}/assignments");
            owner.post(&assignments, &assigning).await.expect(200);
            let person = app.person(&email);
            person.links(None).await.expect(200);
            let link = format!("/businesses/{gym}/athletes/{}/link", id(&athlete["id"]));
            let (mine, follow) = (format!("/me/workouts/{workout}"), json!({"selected": true}));
            let (unlinked, selected) =
                futures::join!(owner.delete(&link), person.patch(&mine, &follow));
            unlinked.expect(200);
            assert!([200, 404].contains(&selected.status), "{selected:?}");
        });
        join_all(each).await;
        let followed = "SELECT count(*) FROM workout_athlete WHERE selected";
        assert_eq!(app.ask::<i64>(followed).await, 0);
    });
}

#[test]
fn a_gym_that_is_closed_while_athletes_come_in_has_no_open_invitation() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        for round in 0..5 {
            let gym = owner.opens_gym("Iron Temple").await;
            let path = format!("/businesses/{gym}");
            let known = json!({"email": format!("known-{round}@example.org")});
            let known = owner.registers(gym, &known).await;
            let registering = (0..AT_ONCE / 5).map(async |n| {
                let email = format!("closing-{round}-{n}@example.org");
                owner
                    .post(&format!("{path}/athletes"), &json!({"email": email}))
                    .await
            });
            let importing = (0..AT_ONCE / 5).map(async |n| {
                let email = format!("imported-{round}-{n}@example.org");
                let athletes = json!({"athletes": [{"email": email}]});
                owner
                    .post(&format!("{path}/athletes/import"), &athletes)
                    .await
            });
            let invitation = format!("{path}/athletes/{}/invitation", id(&known["id"]));
            let correction = json!({"email": format!("corrected-{round}@example.org")});
            let (registered, imported, renewed, closed) = futures::join!(
                join_all(registering),
                join_all(importing),
                owner.post(&invitation, &correction),
                owner.delete(&path)
            );
            closed.expect(204);
            for response in registered.iter().chain(&imported).chain([&renewed]) {
                assert!(
                    [200, 201, 202, 404].contains(&response.status),
                    "{response:?}"
                );
            }
        }
        let open = "SELECT count(*) FROM invitation WHERE NOT has_ended(status)";
        assert_eq!(app.ask::<i64>(open).await, 0);
    });
}

#[test]
fn fifty_who_remove_leave_and_close_at_once_all_succeed() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let ada = owner
            .registers(gym, &json!({"email": "ada@example.org"}))
            .await;
        let person = app.person("ada@example.org");
        person.links(None).await.expect(200);
        let path = format!("/businesses/{gym}/athletes/{}", id(&ada["id"]));
        let leaving = format!("/me/athletes/{}", id(&ada["id"]));
        let each = (0..AT_ONCE).map(async |n| {
            if n % 2 == 0 {
                owner.delete(&path).await
            } else {
                person.delete(&leaving).await
            }
        });
        assert_eq!(with_status(&join_all(each).await, 204), AT_ONCE);

        let gym = format!("/businesses/{gym}");
        let closed = join_all((0..AT_ONCE).map(|_| owner.delete(&gym))).await;
        assert_eq!(with_status(&closed, 204), AT_ONCE);
    });
}
