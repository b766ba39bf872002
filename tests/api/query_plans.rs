use crate::released;
use local::large::{self, numbered};
use serde_json::{Value, json};
use shared::{domain::AthleteCode, invitations::delivery::Attempt};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};
use tests::{Gym, Ids, Overheard, Person, TestApp, Verbatim, routes::ROUTES, story};
use tokio::time::Instant;
use tokio_postgres::{
    Client,
    types::{ToSql, Type},
};
use uuid::Uuid;

/// Rows from which on a table must not be read from end to end. Gyms are fewer here: of 200 rows
/// that is the best plan.
const MANY: f32 = 1_000.0;

const NOBODY_LISTENS: &str = "http://127.0.0.1:9";

#[test]
fn no_statement_reads_a_large_table_from_end_to_end() {
    story(async |app| {
        let postgres = &app.shared.postgres;
        let load = large::load(postgres, &app.database);
        load.await.expect("the large data can be loaded");
        let codes: Vec<String> = app.ask("SELECT array_agg(athlete_code) FROM athlete").await;
        assert_eq!(codes.len(), 100_000);
        let is_code = |code: &String| code.parse::<AthleteCode>().is_ok();
        assert!(codes.iter().all(is_code), "the codes that SQL makes");

        let due = "UPDATE invitation SET next_attempt_at = now() WHERE status = 'queued'; ANALYZE invitation";
        let made_due = postgres.run(&app.database, due);
        made_due.await.expect("thousands of invitations are due");

        let (overheard_app, wiretap) = app.overheard().await;
        send_everything(app, overheard_app).await;
        let overheard = wiretap.overheard();

        let sent: BTreeSet<&str> = overheard
            .iter()
            .map(|statement| statement.name().unwrap_or(&statement.sql))
            .collect();
        let written = statements_of(&app.shared.workspace.root);
        assert_eq!(
            sent,
            written.iter().map(String::as_str).collect(),
            "every statement that is written must be sent here, and have a name"
        );

        released::write_if_asked(app, &overheard).await;

        let mut planner = Planner::on(app).await;
        assert!(planner.tables.len() >= 7, "{:?}", planner.tables);
        let errors = planner.faults_of(&overheard).await;
        assert!(errors.is_empty(), "{errors:#?}");

        // It is not that faults go unseen: an index that is read whole, a table, a table in a
        // function that the statement calls.
        for (change, statement, fault) in [
            (
                "DROP INDEX athlete_by_open_email",
                "lock_candidates",
                ": Bitmap Index Scan of athlete_email_key",
            ),
            (
                "DROP INDEX invitation_by_message",
                "send_again",
                ": Seq Scan of invitation",
            ),
            (
                "ALTER TABLE \"user\" DROP CONSTRAINT user_email_key",
                "me",
                ", or what it calls: Seq Scan of user",
            ),
        ] {
            let changed = postgres.run(&app.database, change);
            changed.await.expect("the index is there");
            let of_this_name = |heard: &&Overheard| heard.name() == Some(statement);
            let errors = planner
                .faults_of(overheard.iter().filter(of_this_name))
                .await;
            let expected = format!("{statement}{fault}");
            assert!(
                errors.iter().any(|fault| fault.starts_with(&expected)),
                "after {change}: {errors:#?}"
            );
        }
    });
}

/// A gym with 50,000 athletes: one in a thousand has bounced, one in 2,500 has failed, and fifty
/// are called Zoë.
const LARGE_GYM: &str = "
    INSERT INTO athlete (id, invited_by, athlete_code, email, full_name, created_at)
    SELECT gen_random_uuid(), business.id, upper(lpad(to_hex(n), 10, '0')), 'member-' || n || '@large.example',
           CASE WHEN n % 1000 = 7 THEN 'Zoë' ELSE 'Somebody' END || ' ' || n, now() - n * interval '1 minute'
    FROM business, generate_series(1, 50000) AS n;
    INSERT INTO invitation (athlete_id, channel, status, expires_at)
    SELECT id, 'email', CASE WHEN n % 1000 = 0 THEN 'bounced' WHEN n % 2500 = 1 THEN 'failed' ELSE 'delivered' END,
           now() + interval '30 days'
    FROM athlete, LATERAL (SELECT substring(email, '[0-9]+')::integer AS n) AS numbered;
    ANALYZE";

/// The rows that a plan takes from tables and indexes, those included that it does not keep.
fn rows_read(node: &Value) -> f64 {
    let number = |property: &str| node[property].as_f64().unwrap_or_default();
    let is_scan = node["Relation Name"].is_string();
    let read = number("Actual Rows")
        + number("Rows Removed by Filter")
        + number("Rows Removed by Index Recheck");
    let own = if is_scan {
        read * number("Actual Loops")
    } else {
        0.0
    };
    let below = node["Plans"].as_array().into_iter().flatten();
    own + below.map(rows_read).sum::<f64>()
}

#[test]
fn roster_of_fifty_thousand_is_searched_and_filtered_from_an_index() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let postgres = &app.shared.postgres;
        let load = postgres.run(&app.database, LARGE_GYM);
        load.await.expect("the gym can be filled");
        let (overheard_app, wiretap) = app.overheard().await;
        let (owner, roster) = (
            owner.through(overheard_app),
            format!("/businesses/{gym}/athletes"),
        );

        for (query, found) in [
            ("", 50),
            ("?status=bounced", 50),
            ("?status=failed", 20),
            ("?status=bounced,failed&limit=200", 70),
            ("?status=revoked", 0),
            ("?q=zoe", 50),
            ("?q=zoe&status=bounced", 0),
            ("?q=member-4", 50),
            ("?q=member-49999@", 1),
        ] {
            let page = owner.get(&format!("{roster}{query}")).await.expect(200);
            let items = page["items"].as_array().expect("a list");
            assert_eq!(items.len(), found, "{query}");
        }
        let counts = owner.get(&format!("/businesses/{gym}")).await.expect(200);
        assert_eq!(counts["counts"]["by_status"]["delivered"], 49_930);

        let mut planner = Planner::on(app).await;
        let overheard = wiretap.overheard();
        let of_lists = overheard.iter().filter(|statement| {
            statement
                .name()
                .is_some_and(|name| name.starts_with("list_"))
        });
        for (number, statement) in of_lists.enumerate() {
            let (plan, scanned) = planner.run(statement).await;
            let plan = &plan[0]["Plan"];
            let name = statement.name().unwrap_or_default();
            assert_eq!(scanned, Vec::<String>::new(), "{name}, request {number}");
            assert_eq!(
                planner.whole_readings(plan),
                Vec::<String>::new(),
                "{name}, request {number}"
            );
            // A word with which eleven thousand begin is read as far as it goes; nothing else is.
            let most = if number == 7 { 50_000.0 } else { 2_000.0 };
            let read = rows_read(plan);
            assert!(
                read <= most,
                "{name}, request {number}, reads {read} rows: {plan:#}"
            );
        }
    });
}

/// Who sends requests, at what, on the large data.
struct Users {
    /// The application, past the wiretap.
    app: &'static TestApp,
    /// The same one with the wiretap.
    overheard: &'static TestApp,
    /// Owns gym 7.
    owner: Person,
    /// The path of the athletes of gym 7.
    roster: String,
    /// Trains at two gyms.
    athlete: Person,
}

/// Sends requests and events until every statement has been sent, with the parameters that make a
/// difference to its plan: the valid request to each route of the table, and those of these
/// functions. What a new statement needs besides is a line in one.
async fn send_everything(app: &'static TestApp, overheard: &'static TestApp) {
    let users = Users {
        app,
        overheard,
        owner: known(app, overheard, "owner-7@large.example").await,
        roster: format!("/businesses/{}/athletes", numbered('b', 7)),
        athlete: known(app, overheard, large::ATHLETE).await,
    };
    send_valid_requests(&users).await;
    open_gyms(&users).await;
    register_athletes(&users).await;
    change_invitations(&users).await;
    sign_up(&users).await;
    assign_workouts(&users).await;
    follow_workouts(&users).await;
    join_waitlist(&users).await;
    send_invitations(&users).await;
    record_mail_events(&users).await;
}

/// Each to a gym of its own, so that none meets what another has done; from the 41st on, where
/// nobody trains in two gyms.
async fn send_valid_requests(&Users { app, overheard, .. }: &Users) {
    for (route, number) in ROUTES.iter().zip(41..) {
        let gym = large_gym(app, overheard, number).await;
        let (sender, path) = (gym.sender_of(route), gym.ids.filled_in(route.path()));
        if route.is_list() {
            read(sender, &path).await;
            read(sender, &format!("{path}?limit=1")).await;
        } else {
            let response = route.sent_by(sender, &gym.ids).await;
            assert_eq!(response.status, route.status(), "{}", route.key);
        }
    }
}

/// A gym of the large data, its first workout, which all its athletes have, and those of its
/// athletes whom the routes need.
async fn large_gym(app: &TestApp, overheard: &'static TestApp, number: u32) -> Gym {
    let gym = numbered('b', number);
    let linked: String = app
        .ask(&format!(
            "SELECT min(email) FROM athlete WHERE invited_by = '{gym}' AND user_id IS NOT NULL"
        ))
        .await;
    let linked_id: Uuid = app
        .ask(&format!(
            "SELECT id FROM athlete WHERE invited_by = '{gym}' AND email = '{linked}'"
        ))
        .await;
    let invited: Vec<Uuid> = app
        .ask(&format!(
            "SELECT array_agg(athlete.id ORDER BY athlete.id) FROM athlete JOIN invitation ON athlete_id = athlete.id
             WHERE invited_by = '{gym}' AND status = 'delivered' AND expires_at > now() + interval '1 day'"
        ))
        .await;
    let athlete = known(app, overheard, &linked).await;
    let own = athlete.post("/me/workouts", &json!({"name": "Run"})).await;
    Gym {
        owner: known(app, overheard, &format!("owner-{number}@large.example")).await,
        athlete,
        ids: Ids([
            gym.to_string(),
            invited[0].to_string(),
            invited[1].to_string(),
            linked_id.to_string(),
            numbered('e', 20 * (number - 1) + 1).to_string(),
            tests::id(&own.expect(201)["workout_id"]).to_string(),
        ]),
        codes: Vec::new(),
    }
}

async fn open_gyms(Users { owner, .. }: &Users) {
    let gym = json!({"name": "Iron Temple", "time_zone": "Europe/Rome"});
    owner.post("/businesses", &gym).await.expect(201);
    read(owner, "/businesses?limit=1").await;
}

/// New ones and known ones, alone and 500 at a time, and all of them.
async fn register_athletes(
    Users {
        owner,
        roster,
        overheard,
        ..
    }: &Users,
) {
    for contact in [
        json!({"email": "new@large.example"}),
        json!({"phone": "+393200000000"}),
    ] {
        owner.post(roster, &contact).await.expect(201);
        owner.post(roster, &contact).await.expect(200);
    }
    let found = owner
        .get(&format!("{roster}?q=393200000000"))
        .await
        .expect(200);
    let code = &found["items"][0]["athlete_code"];
    overheard
        .person("known-by-phone@large.example")
        .links(Some(code))
        .await
        .expect(200);
    let address = json!({"email": "added@large.example", "phone": "+393200000000"});
    owner.post(roster, &address).await.expect(200);
    let child = |name: &str, shared: bool| json!({"email": "family@large.example", "full_name": name, "shared_contact": shared});
    owner.post(roster, &child("One", false)).await.expect(201);
    owner.post(roster, &child("Two", true)).await.expect(201);
    owner.post(roster, &child("Three", false)).await.expect(409);
    for number in [1, 500] {
        let athlete = |n| json!({"email": format!("import-{n}@large.example")});
        let file = json!({"athletes": (0..number).map(athlete).collect::<Vec<_>>()});
        for query in ["?dry_run=true", "", "?dry_run=true", ""] {
            let import = format!("{roster}/import{query}");
            owner.post(&import, &file).await.expect(200);
        }
    }
    let phone = "+393200000001";
    for athlete in [
        json!({"phone": phone}),
        json!({"phone": phone, "email": "late@large.example"}),
    ] {
        let file = json!({"athletes": [athlete]});
        owner
            .post(&format!("{roster}/import"), &file)
            .await
            .expect(200);
    }
    read(owner, roster).await;
    read(owner, &format!("{roster}?limit=200")).await;
    read(owner, &format!("{roster}?limit=5&status=revoked")).await;
    read(owner, &format!("{roster}?status=complained")).await;
    read(owner, &format!("{roster}?status=bounced,expired")).await;
    read(owner, &format!("{roster}?limit=5&q=athlete-12")).await;
    read(owner, &format!("{roster}?q=invited-15&status=sent")).await;
}

/// Again (twice within ten seconds), elsewhere, to somebody whose invitation was revoked, to a
/// member, and not at all.
async fn change_invitations(Users { owner, roster, .. }: &Users) {
    let of = |n| format!("{roster}/{}/invitation", numbered('a', n));
    let elsewhere = json!({"email": "elsewhere@large.example"});
    owner.post(&of(3109), &json!({})).await.expect(202);
    owner.post(&of(3109), &json!({})).await.expect(202);
    owner.post(&of(3001), &elsewhere).await.expect(202);
    owner.post(&of(3023), &json!({})).await.expect(202);
    owner.post(&of(3002), &json!({})).await.expect(409);
    owner.delete(&of(3111)).await.expect(204);
    let many =
        json!({"athlete_ids": [numbered('a', 3109), numbered('a', 3111), numbered('a', 3002)]});
    let invitations = roster.replace("/athletes", "/invitations");
    owner.post(&invitations, &many).await.expect(202);
}

/// By the email, by a code, by both, by a wrong code, from the waitlist, without an email, and as a
/// member of two gyms.
async fn sign_up(users: &Users) {
    let Users { app, overheard, .. } = users;
    let code_of = async |n| -> Value {
        let athlete = numbered('a', n);
        let code = format!("SELECT athlete_code FROM athlete WHERE id = '{athlete}'");
        json!(app.ask::<String>(&code).await)
    };
    for (email, code, status) in [
        ("invited-1560@large.example", None, 200),
        ("ada@example.org", Some(code_of(3105).await), 200),
        ("invited-1561@large.example", Some(code_of(3123).await), 200),
        ("bob@example.org", Some(json!("7ZQ4M-K2T9S")), 422),
        ("waiting-2@large.example", None, 200),
    ] {
        let newcomer = overheard.person(email);
        newcomer.links(code.as_ref()).await.expect(status);
    }
    let nobody = overheard.person_with(&json!({}));
    nobody.links(None).await.expect(200);
    users.athlete.links(None).await.expect(200);
    users.athlete.get("/me").await.expect(200);
    users.owner.get("/me").await.expect(200);
}

/// To the whole gym and to one athlete, for the first time and again, and who has them.
async fn assign_workouts(Users { owner, .. }: &Users) {
    let first_week = numbered('e', 20 * 6 + 1); // which the whole gym has
    let another = owner.writes_workout("Another").await;
    let whole_gym: Vec<_> = (3001..=3500).map(|n| numbered('a', n)).collect();
    for athletes in [&whole_gym[..1], &whole_gym] {
        for workout in [first_week, another] {
            let assignments = format!("/workouts/{workout}/assignments");
            let to_them = json!({"business_id": numbered('b', 7), "athlete_ids": athletes});
            owner.post(&assignments, &to_them).await.expect(200);
        }
    }
    read(owner, "/workouts?limit=5").await;
    read(owner, &format!("/workouts/{first_week}/assignments")).await;
    read(
        owner,
        &format!("/workouts/{first_week}/assignments?limit=200"),
    )
    .await;
}

/// The athlete reads what both gyms have assigned, selects and completes; the owner takes one away.
async fn follow_workouts(Users { owner, athlete, .. }: &Users) {
    let of_both_gyms = [1, 3_201].map(|number| numbered('e', number));
    read(athlete, "/me/workouts?limit=3").await;
    for workout in of_both_gyms {
        let path = format!("/me/workouts/{workout}");
        for change in [
            json!({"selected": true}),
            json!({"completed": true}),
            json!({"completed": false}),
        ] {
            athlete.patch(&path, &change).await.expect(200);
        }
    }
    let assignment = format!(
        "/workouts/{}/assignments/{}",
        numbered('e', 121),
        numbered('a', 3001)
    );
    owner.delete(&assignment).await.expect(204);
}

async fn join_waitlist(Users { overheard, .. }: &Users) {
    let somebody = overheard.stranger();
    for email in ["new@large.example", "waiting-1@large.example"] {
        let join = json!({"email": email});
        somebody.post("/waitlist", &join).await.expect(202);
    }
}

/// One round of the relay, with thousands in the queue.
async fn send_invitations(Users { app, overheard, .. }: &Users) {
    let sender = TestApp::sender(app.shared, Some(NOBODY_LISTENS));
    let relay = overheard.relay(sender).await;
    let some_rounds = Instant::now() + Duration::from_secs(10);
    let report = deliver_invitations::handle(&relay, some_rounds).await;
    assert!(report.expect("the database answers").failed > 0);

    let lost = Attempt {
        invitation_id: Uuid::nil(),
        number: 1,
    };
    let recorded = lost.record(&relay.db, &Ok("a-message".to_owned())).await;
    assert!(recorded.expect("the database answers").is_none());
}

async fn record_mail_events(Users { overheard, .. }: &Users) {
    let for_now = json!({
        "bounceType": "Transient",
        "bounceSubType": "MailboxFull",
        "bouncedRecipients": [{"emailAddress": "ada@example.org", "action": "failed", "status": "4.2.2"}],
    });
    for (message_id, happened) in [
        (
            "again-3039",
            json!({"eventType": "Delivery", "delivery": {}}),
        ),
        (
            "again-3117",
            json!({"eventType": "Bounce", "bounce": for_now}),
        ),
        (
            "unknown",
            json!({"eventType": "Complaint", "complaint": {}}),
        ),
    ] {
        let mut event = json!({"source": "aws.ses", "detail": happened});
        event["detail"]["mail"] = json!({"messageId": message_id});
        let recorded = record_mail_events::handle(&overheard.app, event).await;
        recorded.expect("the database answers");
    }
}

/// Somebody who has an account already.
async fn known(app: &TestApp, overheard: &'static TestApp, email: &str) -> Person {
    let id = format!("SELECT id::text FROM \"user\" WHERE email = '{email}'");
    let sub: String = app.ask(&id).await;
    overheard.person_with(&json!({"sub": sub, "email": email, "email_verified": "true"}))
}

/// Reads the first page of a list, and the second if there is one.
async fn read(person: &Person, path: &str) {
    let first = person.get(path).await.expect(200);
    if let Some(cursor) = first["next_cursor"].as_str() {
        let joint = if path.contains('?') { '&' } else { '?' };
        let second = format!("{path}{joint}cursor={cursor}");
        person.get(&second).await.expect(200);
    }
}

fn typed(parameters: &[(Verbatim, Type)]) -> Vec<(&(dyn ToSql + Sync), Type)> {
    let typed = parameters.iter();
    typed
        .map(|(value, of_type)| (value as _, of_type.clone()))
        .collect()
}

/// The names of the statements in the program: each opens with `-- its_name`.
fn statements_of(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut directories = vec![root.join("functions"), root.join("shared")];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().expect("a directory can be read") {
            let path = entry.expect("a directory can be read").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(path).expect("a source can be read");
                let opening = |line: &str| Some(line.split_once("\"-- ")?.1.to_owned());
                names.extend(source.lines().filter_map(opening));
            }
        }
    }
    names
}

/// What PostgreSQL makes of statements on the large tables.
struct Planner {
    client: Client,
    tables: BTreeSet<String>,
    /// The first column of each index of these tables.
    indexes: BTreeMap<String, String>,
}

impl Planner {
    async fn on(app: &TestApp) -> Self {
        let client = app.shared.postgres.connect(&app.database).await;
        let client = client.expect("the database can be reached");
        let rows = client
            .query_typed(
                "SELECT relation.relname AS table, indexrelid::regclass::text AS index, pg_get_indexdef(indexrelid, 1, true) AS column
                 FROM pg_class AS relation JOIN pg_index ON indrelid = relation.oid
                 WHERE relnamespace = 'public'::regnamespace AND reltuples >= $1",
                &[(&MANY, Type::FLOAT4)],
            )
            .await
            .expect("the catalog can be read");
        let tables: BTreeSet<String> = rows.iter().map(|row| row.get("table")).collect();
        let indexes = rows.iter().map(|row| (row.get("index"), row.get("column")));
        Self {
            indexes: indexes.collect(),
            tables,
            client,
        }
    }

    /// Every reading of a large table from end to end. It starts with the name of the statement.
    async fn faults_of(
        &mut self,
        statements: impl IntoIterator<Item = &Overheard>,
    ) -> BTreeSet<String> {
        let mut errors = BTreeSet::new();
        for statement in statements {
            let name = statement.name().unwrap_or_default();
            let (plan, scanned) = self.run(statement).await;
            for part in self.whole_readings(&plan[0]["Plan"]) {
                errors.insert(format!("{name}: {part}"));
            }
            for table in scanned {
                errors.insert(format!("{name}, or what it calls: Seq Scan of {table}"));
            }
        }
        errors
    }

    /// Runs a statement once more, to no effect: its plan, and the large tables that were scanned.
    /// Those are found in functions and foreign keys as well, whose plans EXPLAIN does not show.
    async fn run(&mut self, statement: &Overheard) -> (Value, Vec<String>) {
        let scans = "SELECT relname, seq_scan FROM pg_stat_xact_user_tables ORDER BY relid";
        let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) {}", statement.sql);
        let parameters = statement.parameters();
        let parameters = typed(&parameters);

        // Taken back when it is dropped.
        let transaction = self.client.transaction().await.expect("a transaction");
        for earlier in &statement.before {
            let parameters = earlier.parameters();
            let rows = transaction
                .query_typed(&earlier.sql, &typed(&parameters))
                .await;
            rows.expect("it has succeeded before");
        }
        let before = transaction.query_typed(scans, &[]).await;
        let plan = transaction.query_typed(&explain, &parameters).await;
        let plan = plan.unwrap_or_else(|error| panic!("{error:?} in {}", statement.sql));
        let after = transaction.query_typed(scans, &[]).await;
        let scanned = before
            .expect("the counters can be read")
            .iter()
            .zip(&after.expect("the counters can be read"))
            .filter(|(before, after)| before.get::<_, i64>("seq_scan") < after.get("seq_scan"))
            .map(|(_, after)| after.get("relname"))
            .filter(|table| self.tables.contains(table))
            .collect();
        (plan[0].get(0), scanned)
    }

    /// The parts of a plan that read a large table, or an index of one, from end to end: an index
    /// is read whole where the condition is not about its first column.
    fn whole_readings(&self, node: &Value) -> Vec<String> {
        let text = |property: &str| node[property].as_str().unwrap_or_default();
        let kind = text("Node Type");
        let condition = text("Index Cond");
        let is_about = |column: &str| {
            condition
                .split(|character: char| !character.is_alphanumeric() && character != '_')
                .any(|word| word == column)
        };
        let mut found = Vec::new();
        if kind == "Seq Scan" && self.tables.contains(text("Relation Name")) {
            found.push(format!("{kind} of {}", text("Relation Name")));
        }
        if let Some(column) = self.indexes.get(text("Index Name"))
            && !is_about(column)
        {
            found.push(format!("{kind} of {} {condition}", text("Index Name")));
        }
        let below = node["Plans"].as_array().into_iter().flatten();
        found.extend(below.flat_map(|node| self.whole_readings(node)));
        found
    }
}
