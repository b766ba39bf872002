//! Who may do what, and what the others learn: nothing.

use serde_json::json;
use std::time::Duration;
use tests::{
    Gym, Ids, Person, TestApp,
    routes::{CALLERS, ROUTES, Route},
    story,
};
use tokio::time::Instant;
use uuid::Uuid;

/// Each of `CALLERS`; the gym is `iron`.
async fn callers(app: &'static TestApp, iron: &Gym, steel: &Gym) -> [(&'static str, Person); 6] {
    let user = app.person("user@example.org");
    user.links(None).await.expect(200);
    let callers = [
        app.stranger(),
        app.person("new@example.org"),
        user,
        iron.athlete.clone(),
        steel.owner.clone(),
        iron.owner.clone(),
    ];
    std::array::from_fn(|index| (CALLERS[index], callers[index].clone()))
}

/// All rows of all tables.
async fn everything(app: &TestApp) -> String {
    let tables: Vec<String> = app
        .ask("SELECT array_agg(quote_ident(tablename)) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'refinery_schema_history'")
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
        for route in ROUTES {
            let Route { key, statuses, .. } = route;
            let app = app.fresh().await;
            let iron = Gym::open(app, "iron").await;
            let steel = Gym::open(app, "steel").await;
            for ((who, caller), &status) in callers(app, &iron, &steel).await.iter().zip(statuses) {
                let before = everything(app).await;
                let response = route.sent_by(caller, &iron.ids).await;
                let after = everything(app).await;

                let problem = match status {
                    401 => "unauthenticated",
                    404 => "not-found",
                    _ => "",
                };
                assert_eq!(
                    (response.status, response.problem()),
                    (status, problem),
                    "{key} by {who}: {:#}",
                    response.body
                );
                if status >= 400 {
                    assert_eq!(before, after, "{key} by {who}, who was refused");
                } else if statuses.contains(&404) && route.method() != "GET" {
                    assert_ne!(before, after, "{key} by {who}: refusing it proves nothing");
                }
                if *who != "owner" {
                    assert!(!iron.code_is_in(&response), "{key} by {who}: {response:?}");
                }
                if !["owner", "athlete"].contains(who) {
                    assert!(!iron.is_in(&response), "{key} by {who}: {response:?}");
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
            for route in ROUTES {
                responses.push(route.sent_by(caller, &iron.ids).await);
                let faulty = Route {
                    body: r#"{"athlete_code": ["?"], "limit": 7}"#,
                    ..*route
                };
                responses.push(faulty.sent_by(caller, &iron.ids).await);
            }
            // Whoever knows a code is not told it either: not whether it is used, nor once it has
            // linked them.
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
        for route in ROUTES {
            let (key, names) = (route.key, route.ids());
            // Every choice of what is the other gym's: the rest is the caller's own.
            for choice in 1..1_u32 << names.len() {
                let of_choice = names.iter().enumerate();
                let foreign: Vec<_> = of_choice
                    .filter(|(index, _)| choice >> index & 1 == 1)
                    .map(|(_, name)| *name)
                    .collect();
                let told =
                    async |ids: Ids| ids.taken_out_of(route.sent_by(&steel.owner, &ids).await);
                let not_yours =
                    told(steel.ids.with(&foreign, |index| iron.ids.0[index].clone())).await;
                let not_there = told(steel.ids.with(&foreign, of_nothing)).await;
                assert_eq!(not_yours, not_there, "{key} with another's {foreign:?}");
                let expected = match foreign[..] {
                    [alone] => route.foreign_status(alone),
                    _ => 404,
                };
                assert_eq!(
                    not_yours.status, expected,
                    "{key} with another's {foreign:?}"
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
        for route in ROUTES {
            for name in route.ids() {
                if !route.path().contains(&format!("{{{name}}}")) {
                    continue;
                }
                let not_there = route
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
                    let response = route.sent_by(&iron.owner, &ids).await;
                    if route.foreign_status(name) == 404 {
                        assert_eq!(response, not_there, "{} with the {name} {id}", route.key);
                    } else {
                        assert_eq!(
                            (response.status, response.problem()),
                            (404, "not-found"),
                            "{id}"
                        );
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

        for gym in [&iron, &steel] {
            let completions = gym.ids.filled_in("/me/workouts/{workout_id}/completions");
            for _ in 0..2 {
                let done = gym.athlete.post(&completions, &json!({})).await;
                done.expect(201);
            }
        }

        for route in ROUTES.iter().filter(|route| route.is_list()) {
            let list = route.path();
            let (whose, who) = (iron.sender_of(route), steel.sender_of(route));
            let (theirs, own) = (iron.ids.filled_in(list), steel.ids.filled_in(list));
            let page = whose.get(&format!("{theirs}?limit=1")).await.expect(200);
            let cursor = page["next_cursor"].as_str().expect("a second page");
            assert_eq!(
                whose.get(&format!("{theirs}?cursor={cursor}")).await.status,
                200
            );
            let response = who.get(&format!("{own}?cursor={cursor}")).await;
            if theirs == own {
                // The position in their list is one in the caller's: only the caller's own comes
                // after it.
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
        let import = ROUTES
            .iter()
            .find(|route| route.key.ends_with("/import"))
            .expect("a route");
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

        let mut pairs: Vec<(&str, [(Route, Ids); 2])> = Vec::new();
        for route in ROUTES.iter().filter(|route| !route.ids().is_empty()) {
            let nothing = iron.ids.with(&Ids::NAMES, of_nothing);
            pairs.push((route.key, [(*route, iron.ids.clone()), (*route, nothing)]));
        }
        let request = |body: &str| {
            let body = Box::leak(body.into());
            (Route { body, ..*import }, iron.ids.clone())
        };
        pairs.push(("who is imported", [request(&known), request(&unknown)]));
        for (what, pair) in pairs {
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..TIMES {
                for ((route, ids), times) in pair.iter().zip(&mut times) {
                    let start = Instant::now();
                    route.sent_by(&steel.owner, ids).await;
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
