//! Who may do what, and what the others learn: nothing.

use serde_json::{Value, json};
use std::time::Duration;
use tests::{Person, Response, TestApp, story};
use tokio::time::Instant;
use uuid::Uuid;

/// What every route answers to everybody: its body, in which as in the path braces stand for the ids of a gym, and the status for
/// each of
///
/// - `nobody`, who has no token,
/// - `new`, who has signed in, and called nothing yet,
/// - `user`, who has signed up and belongs to no gym,
/// - `athlete` of the gym, who is linked and has its workout,
/// - `rival`, the owner of another gym, with athletes and workouts of their own,
/// - `owner` of the gym, and author of the workout.
#[rustfmt::skip]
const MATRIX: [Row; 17] = [
    //                                                                                                                 nobody new user athlete rival owner
    Row("GET /businesses",                                             "",                                              [401, 200, 200, 200, 200, 200]),
    Row("POST /businesses",                                            r#"{"name": "Second Temple"}"#,                  [401, 201, 201, 201, 201, 201]),
    Row("GET /businesses/{business_id}/athletes",                      "",                                              [401, 404, 404, 404, 404, 200]),
    Row("POST /businesses/{business_id}/athletes",                     r#"{"email": "dee@example.org"}"#,               [401, 404, 404, 404, 404, 201]),
    Row("POST /businesses/{business_id}/athletes/import",              r#"{"athletes": [{"email": "eli@example.org"}]}"#, [401, 404, 404, 404, 404, 200]),
    Row("DELETE /businesses/{business_id}/athletes/{athlete_id}/invitation", "",                                        [401, 404, 404, 404, 404, 204]),
    Row("POST /businesses/{business_id}/athletes/{athlete_id}/invitation", r#"{"email": "new-bob@example.org"}"#,       [401, 404, 404, 404, 404, 202]),
    Row("GET /me",                                                     "",                                              [401, 200, 200, 200, 200, 200]),
    Row("GET /me/workouts",                                            "",                                              [401, 200, 200, 200, 200, 200]),
    Row("PATCH /me/workouts/{workout_id}",                             r#"{"selected": true}"#,                         [401, 404, 404, 200, 404, 404]),
    Row("POST /signup-link",                                           "{}",                                            [401, 200, 200, 200, 200, 200]),
    Row("POST /waitlist",                                              r#"{"email": "flo@example.org"}"#,               [202, 202, 202, 202, 202, 202]),
    Row("GET /workouts",                                               "",                                              [401, 200, 200, 200, 200, 200]),
    Row("POST /workouts",                                              r#"{"name": "Arm day"}"#,                        [401, 201, 201, 201, 201, 201]),
    Row("GET /workouts/{workout_id}/assignments",                      "",                                              [401, 404, 404, 404, 404, 200]),
    Row("POST /workouts/{workout_id}/assignments",                     r#"{"business_id": "{business_id}", "athlete_ids": ["{idle_id}"]}"#, [401, 404, 404, 404, 404, 200]),
    Row("DELETE /workouts/{workout_id}/assignments/{athlete_id}",      "",                                              [401, 404, 404, 404, 404, 204]),
];

struct Row(&'static str, &'static str, [u16; 6]);

impl Row {
    /// The ids that the request names.
    fn names(&self) -> Vec<&'static str> {
        let Self(route, body, _) = self;
        let is_named = |name: &&str| {
            [route, body]
                .iter()
                .any(|text| text.contains(&braced(name)))
        };
        IDS.into_iter().filter(is_named).collect()
    }

    /// Sends the request with these ids in it.
    async fn sent_by(&self, caller: &Person, ids: &Ids) -> Response {
        let Self(route, body, _) = self;
        let route = ids.filled_in(route);
        let (method, path) = route.split_once(' ').expect("a method and a path");
        let body = Some(ids.filled_in(body)).filter(|body| !body.is_empty());
        caller.send(method, path, body.as_deref()).await
    }
}

const IDS: [&str; 4] = ["business_id", "athlete_id", "idle_id", "workout_id"];

fn braced(name: &str) -> String {
    format!("{{{name}}}")
}

/// An id for each of `IDS`.
#[derive(Clone)]
struct Ids([String; 4]);

impl Ids {
    fn filled_in(&self, text: &str) -> String {
        let ids = IDS.iter().zip(&self.0);
        ids.fold(text.to_owned(), |text, (name, id)| {
            text.replace(&braced(name), id)
        })
    }

    /// These, but what `names` says from elsewhere.
    fn with(&self, names: &[&str], id: impl Fn(usize) -> String) -> Self {
        let mut ids = self.clone();
        for (index, name) in IDS.iter().enumerate() {
            if names.contains(name) {
                ids.0[index] = id(index);
            }
        }
        ids
    }

    /// An answer without what the caller has said in the question.
    fn taken_out_of(&self, response: Response) -> Response {
        let ids = IDS.iter().zip(&self.0);
        let text = ids.fold(response.body.to_string(), |text, (name, id)| {
            text.replace(id, name)
        });
        Response {
            body: serde_json::from_str(&text).expect("ids stand in texts"),
            ..response
        }
    }
}

/// A gym, and what is in it.
struct Gym {
    owner: Person,
    /// Linked; has the workout.
    athlete: Person,
    /// Of the gym, of an athlete who is invited and has the workout, of one who has not, and of the workout.
    ids: Ids,
    codes: Vec<Value>,
}

impl Gym {
    async fn open(app: &'static TestApp, name: &str) -> Self {
        let owner = app.person(&format!("owner@{name}.example"));
        let gym = owner.opens_gym(name).await;
        let mut athletes = Vec::new();
        for who in ["ada", "bob", "cy"] {
            let email = format!("{who}@{name}.example");
            athletes.push(owner.registers(gym, &json!({"email": email})).await);
        }
        let athlete = app.person(&format!("ada@{name}.example"));
        athlete.links(None).await.expect(200);
        let workout = owner.writes_workout(name).await;
        let assignment =
            json!({"business_id": gym, "athlete_ids": [athletes[0]["id"], athletes[1]["id"]]});
        owner
            .post(&format!("/workouts/{workout}/assignments"), &assignment)
            .await
            .expect(200);
        let id_of = |athlete: &Value| athlete["id"].as_str().expect("an id").to_owned();
        Self {
            owner,
            athlete,
            ids: Ids([
                gym.to_string(),
                id_of(&athletes[1]),
                id_of(&athletes[2]),
                workout.to_string(),
            ]),
            codes: athletes
                .iter()
                .map(|athlete| athlete["athlete_code"].clone())
                .collect(),
        }
    }

    /// Whether an answer has one of the gym's codes in it, in whichever spelling.
    fn code_is_in(&self, response: &Response) -> bool {
        let plain = |text: &str| text.to_uppercase().replace(['-', ' '], "");
        let said = plain(&format!("{} {:?}", response.body, response.headers));
        let codes = self
            .codes
            .iter()
            .map(|code| plain(code.as_str().expect("a code")));
        codes.into_iter().any(|code| said.contains(&code))
    }

    /// Whether an answer has one of the gym's ids in it.
    fn is_in(&self, response: &Response) -> bool {
        let said = response.body.to_string();
        self.ids.0.iter().any(|id| said.contains(id))
    }
}

/// Everybody of the matrix, in its order; the gym is `iron`.
async fn callers(app: &'static TestApp, iron: &Gym, steel: &Gym) -> [(&'static str, Person); 6] {
    let user = app.person("user@example.org");
    user.links(None).await.expect(200);
    [
        ("nobody", app.stranger()),
        ("new", app.person("new@example.org")),
        ("user", user),
        ("athlete", iron.athlete.clone()),
        ("rival", steel.owner.clone()),
        ("owner", iron.owner.clone()),
    ]
}

/// All rows of all tables.
async fn everything(app: &TestApp) -> String {
    let tables: Vec<String> = app
        .ask("SELECT array_agg(quote_ident(tablename)) FROM pg_tables WHERE schemaname = 'public'")
        .await;
    let rows: Vec<String> = tables
        .iter()
        .map(|table| format!("SELECT '{table}' || each FROM {table} AS each"))
        .collect();
    let rows = rows.join(" UNION ALL ");
    app.ask(&format!(
        "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ({rows}) AS rows (line)"
    ))
    .await
}

#[test]
fn every_route_answers_whom_it_is_for_and_does_nothing_for_the_others() {
    story(async |app| {
        let routes = app.shared.template.routes.iter();
        let mut routes: Vec<_> = routes
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        routes.sort();
        let mut rows: Vec<_> = MATRIX.iter().map(|Row(route, ..)| *route).collect();
        rows.sort_unstable();
        assert_eq!(rows, routes, "a row for each route, a route for each row");

        for row in &MATRIX {
            let Row(route, _, expected) = row;
            let app = app.fresh().await;
            let iron = Gym::open(app, "iron").await;
            let steel = Gym::open(app, "steel").await;
            for ((who, caller), &status) in callers(app, &iron, &steel).await.iter().zip(expected) {
                let before = everything(app).await;
                let response = row.sent_by(caller, &iron.ids).await;
                let after = everything(app).await;

                let problem = match status {
                    401 => "unauthenticated",
                    404 => "not-found",
                    _ => "",
                };
                assert_eq!(
                    (response.status, response.problem()),
                    (status, problem),
                    "{route} by {who}: {:#}",
                    response.body
                );
                if status >= 400 {
                    assert_eq!(before, after, "{route} by {who}, who was refused");
                } else if expected.contains(&404) && !route.starts_with("GET") {
                    assert_ne!(
                        before, after,
                        "{route} by {who}: refusing it proves nothing"
                    );
                }
                if *who != "owner" {
                    assert!(
                        !iron.code_is_in(&response),
                        "{route} by {who}: {response:?}"
                    );
                }
                if !["owner", "athlete"].contains(who) {
                    assert!(!iron.is_in(&response), "{route} by {who}: {response:?}");
                }
            }
        }
    });
}

#[test]
fn codes_are_shown_to_the_gyms_owner_alone() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let steel = Gym::open(app, "steel").await;
        let owned = iron
            .owner
            .get(&iron.ids.filled_in("/businesses/{business_id}/athletes"))
            .await;
        assert!(iron.code_is_in(&owned), "or it would not be noticed");

        for (who, caller) in &callers(app, &iron, &steel).await[..5] {
            let mut responses = Vec::new();
            for row in &MATRIX {
                responses.push(row.sent_by(caller, &iron.ids).await);
                let faulty = Row(row.0, r#"{"athlete_code": ["?"], "limit": 7}"#, row.2);
                responses.push(faulty.sent_by(caller, &iron.ids).await);
            }
            // Whoever knows a code is not told it either: not whether it is used, nor once it has linked them.
            for code in &iron.codes {
                responses.push(caller.links(Some(code)).await);
            }
            for response in responses {
                assert!(!iron.code_is_in(&response), "told to {who}: {response:?}");
            }
        }
    });
}

/// An id that was never any.
fn of_nothing(_: usize) -> String {
    Uuid::now_v7().to_string()
}

#[test]
fn what_is_not_yours_can_not_be_told_from_what_is_not_there() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let steel = Gym::open(app, "steel").await;
        let before = everything(app).await;
        for row in &MATRIX {
            let Row(route, ..) = row;
            let names = row.names();
            // Every choice of what is the other gym's: the rest is the caller's own.
            for choice in 1..1_u32 << names.len() {
                let of_choice = names.iter().enumerate();
                let foreign: Vec<_> = of_choice
                    .filter(|(index, _)| choice >> index & 1 == 1)
                    .map(|(_, name)| *name)
                    .collect();
                let told = async |ids: Ids| ids.taken_out_of(row.sent_by(&steel.owner, &ids).await);
                let not_yours =
                    told(steel.ids.with(&foreign, |index| iron.ids.0[index].clone())).await;
                let not_there = told(steel.ids.with(&foreign, of_nothing)).await;
                assert_eq!(not_yours, not_there, "{route} with another's {foreign:?}");
                let expected = match foreign[..] {
                    // Whom the body names is a matter of input.
                    ["idle_id"] => 422,
                    // To take a workout from somebody who does not have it is no fault, whoever that is.
                    ["athlete_id"] if route.contains("/assignments/") => 204,
                    _ => 404,
                };
                assert_eq!(
                    not_yours.status, expected,
                    "{route} with another's {foreign:?}"
                );
            }
        }
        assert_eq!(everything(app).await, before, "nothing was done");
    });
}

#[test]
fn what_is_no_id_is_not_there_either() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        for row in &MATRIX {
            let Row(route, ..) = row;
            let (_, path) = route.split_once(' ').expect("a method and a path");
            for name in row
                .names()
                .iter()
                .filter(|name| path.contains(&braced(name)))
            {
                // As above: an athlete who never was does not have the workout.
                let takes_from_nobody = *name == "athlete_id" && route.contains("/assignments/");
                let not_there = row
                    .sent_by(&iron.owner, &iron.ids.with(&[name], of_nothing))
                    .await;
                for id in [
                    "7",
                    "'%20OR%20true--",
                    "..",
                    "0197f3a000007000800000000000000a",
                    "{0197f3a0-0000-7000-8000-00000000000}",
                    "0197f3a0-0000-7000-8000-00000000000\u{661}",
                ] {
                    let ids = iron.ids.with(&[name], |_| id.to_owned());
                    let response = row.sent_by(&iron.owner, &ids).await;
                    if takes_from_nobody {
                        assert_eq!(
                            (response.status, response.problem()),
                            (404, "not-found"),
                            "{id}"
                        );
                    } else {
                        assert_eq!(response, not_there, "{route} with the {name} {id}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_cursor_of_somebody_elses_list_leads_nowhere_in_it() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let steel = Gym::open(app, "steel").await;
        iron.owner.opens_gym("iron").await;
        let second = iron.owner.writes_workout("iron").await;
        let assignment = json!({"business_id": iron.ids.0[0], "athlete_ids": [iron.athlete.get("/me").await.expect(200)["athletes"][0]["athlete_id"]]});
        iron.owner
            .post(&format!("/workouts/{second}/assignments"), &assignment)
            .await
            .expect(200);

        for (list, whose, who) in [
            ("/businesses", &iron.owner, &steel.owner),
            ("/workouts", &iron.owner, &steel.owner),
            ("/me/workouts", &iron.athlete, &steel.athlete),
            (
                "/businesses/{business_id}/athletes",
                &iron.owner,
                &steel.owner,
            ),
            (
                "/workouts/{workout_id}/assignments",
                &iron.owner,
                &steel.owner,
            ),
        ] {
            let (theirs, own) = (iron.ids.filled_in(list), steel.ids.filled_in(list));
            let page = whose.get(&format!("{theirs}?limit=1")).await.expect(200);
            let cursor = page["next_cursor"].as_str().expect("a second page");
            assert_eq!(
                whose.get(&format!("{theirs}?cursor={cursor}")).await.status,
                200
            );
            let response = who.get(&format!("{own}?cursor={cursor}")).await;
            if theirs == own {
                // The position in their list is one in the caller's: only the caller's own comes after it.
                assert!(
                    response.status == 200 && !iron.is_in(&response),
                    "{response:?}"
                );
            } else {
                let garbage = who.get(&format!("{own}?cursor=x")).await;
                assert_eq!((response.status, &response), (422, &garbage), "{list}");
                let response = who.get(&format!("{theirs}?cursor={cursor}")).await;
                let without = who.get(&theirs).await;
                assert_eq!((response.status, &response), (404, &without), "{list}");
            }
        }
    });
}

/// How often each of two requests is timed.
const TIMES: usize = 60;

#[test]
fn nor_do_the_times_tell_them_apart() {
    story(async |app| {
        let iron = Gym::open(app, "iron").await;
        let steel = Gym::open(app, "steel").await;
        // Who is in a gym must not show in the time that it takes to refuse a stranger there.
        let known: Vec<_> = (0..500)
            .map(|n| json!({"email": format!("{n}@iron.example")}))
            .collect();
        let unknown = known.iter().map(|athlete| {
            json!({"email": athlete["email"].as_str().expect("a text").replace("iron", "none")})
        });
        let [known, unknown] = [known.clone(), unknown.collect()]
            .map(|athletes| json!({"athletes": athletes}).to_string());
        let import = MATRIX
            .iter()
            .find(|row| row.0.ends_with("/import"))
            .expect("a row");
        iron.owner
            .send(
                "POST",
                &iron
                    .ids
                    .filled_in("/businesses/{business_id}/athletes/import"),
                Some(&known),
            )
            .await
            .expect(200);

        let mut pairs: Vec<(String, [(Row, Ids); 2])> = Vec::new();
        for row in MATRIX.iter().filter(|row| !row.names().is_empty()) {
            let request = |ids| (Row(row.0, row.1, row.2), ids);
            let nothing = iron.ids.with(&IDS, of_nothing);
            pairs.push((
                row.0.to_owned(),
                [request(iron.ids.clone()), request(nothing)],
            ));
        }
        let request = |body: &str| {
            (
                Row(import.0, Box::leak(body.into()), import.2),
                iron.ids.clone(),
            )
        };
        pairs.push((
            "who is imported".to_owned(),
            [request(&known), request(&unknown)],
        ));
        for (what, pair) in pairs {
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..TIMES {
                for ((row, ids), times) in pair.iter().zip(&mut times) {
                    let start = Instant::now();
                    row.sent_by(&steel.owner, ids).await;
                    times.push(start.elapsed());
                }
            }
            let [there, nowhere] = times.map(|mut times| {
                times.sort();
                times[TIMES / 2]
            });
            // Generous: the machine has other things to do.
            let is_alike = |a: Duration, b: Duration| a <= b * 3 + Duration::from_millis(5);
            assert!(
                is_alike(there, nowhere) && is_alike(nowhere, there),
                "{what}: {there:?} where it is another's, {nowhere:?} where it is nobody's"
            );
        }
    });
}
