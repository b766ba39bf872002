use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::HashSet;
use tests::{Gym, TestApp, id, story};
use uuid::Uuid;

/// A gym whose athlete has a workout: the gym, the athlete's id, the paths of the workout for the
/// athlete and the owner.
struct Assigned {
    gym: Gym,
    athlete_id: Value,
    mine: String,
    completions: String,
    assignments: String,
}

impl Assigned {
    async fn in_gym(app: &'static TestApp, name: &str) -> Self {
        let gym = Gym::open(app, name).await;
        let me = gym.athlete.get("/me").await.expect(200);
        let path = |path: &str| gym.ids.filled_in(path);
        Self {
            athlete_id: me["athletes"][0]["athlete_id"].clone(),
            mine: path("/me/workouts/{workout_id}"),
            completions: path("/me/workouts/{workout_id}/completions"),
            assignments: path("/workouts/{workout_id}/assignments"),
            gym,
        }
    }

    /// The last time and the number, as the athlete sees them, and as the author does.
    async fn seen(&self) -> [Value; 2] {
        let last_and_number =
            |item: &Value| json!([item["completed_at"].clone(), item["completions"].clone()]);
        let mine = self.gym.athlete.get(&self.mine).await.expect(200);
        let followers = self.gym.owner.get(&self.assignments).await.expect(200);
        let followers = followers["items"].as_array().expect("a list");
        let follower = followers
            .iter()
            .find(|follower| follower["athlete_id"] == self.athlete_id);
        [
            last_and_number(&mine["items"][0]),
            last_and_number(follower.expect("the athlete has it")),
        ]
    }

    async fn does_it(&self) -> Value {
        let done = self.gym.athlete.post(&self.completions, &json!({})).await;
        done.expect(201)["completed_at"].clone()
    }

    async fn is_assigned_again(&self) {
        let business = self.gym.ids.filled_in("{business_id}");
        let body = json!({"business_id": business, "athlete_ids": [self.athlete_id]});
        let response = self.gym.owner.post(&self.assignments, &body).await;
        assert_eq!(response.expect(200)["assigned"], json!([self.athlete_id]));
    }
}

#[test]
fn a_workout_is_done_three_weeks_running_and_each_time_is_kept() {
    story(async |app| {
        let assigned = Assigned::in_gym(app, "iron").await;
        assert_eq!(assigned.seen().await, [json!([null, 0]), json!([null, 0])]);

        let mut times = Vec::new();
        for _ in 0..3 {
            times.push(assigned.does_it().await);
        }
        let last = json!([times[2], 3]);
        assert_eq!(assigned.seen().await, [last.clone(), last.clone()]);
        times.reverse();

        let athlete = &assigned.gym.athlete;
        let first = athlete
            .get(&format!("{}?limit=2", assigned.completions))
            .await;
        let first = first.expect(200);
        let cursor = first["next_cursor"].as_str().expect("a second page");
        let second = athlete
            .get(&format!("{}?cursor={cursor}", assigned.completions))
            .await
            .expect(200);
        let told = [&first, &second].map(|page| page["items"].as_array().expect("a list").clone());
        let told = told.concat();
        let at: Vec<_> = told
            .iter()
            .map(|item| item["completed_at"].clone())
            .collect();
        assert_eq!(at, times);
        assert!(
            told.iter()
                .all(|item| item["athlete_ids"] == json!([assigned.athlete_id]))
        );

        let whole = athlete.get("/me/workouts").await.expect(200);
        let item = whole["items"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|item| item["kind"] == "assigned");
        assert_eq!(item.expect("it is there")["completions"], json!(3));
    });
}

#[test]
fn completed_true_adds_none_where_there_is_one_and_false_takes_the_last_back() {
    story(async |app| {
        let assigned = Assigned::in_gym(app, "iron").await;
        let athlete = &assigned.gym.athlete;
        let set = async |completed: bool| {
            let change = json!({"completed": completed});
            athlete.patch(&assigned.mine, &change).await.expect(200)["items"][0].clone()
        };
        let first = set(true).await["completed_at"].clone();
        assert_eq!(set(true).await["completed_at"], first, "it keeps its time");
        let second = assigned.does_it().await;
        assert_eq!(assigned.seen().await[1], json!([second, 2]));

        assert_eq!(set(false).await["completed_at"], first);
        assert_eq!(assigned.seen().await[1], json!([first, 1]));
        assert_eq!(set(false).await["completed_at"], json!(null));
        assert_eq!(set(false).await["completions"], json!(0));
    });
}

#[test]
fn what_was_completed_is_there_when_it_is_assigned_again() {
    story(async |app| {
        let assigned = Assigned::in_gym(app, "iron").await;
        assigned.does_it().await;
        let last = assigned.does_it().await;
        let athlete_id = assigned.athlete_id.as_str().expect("an id");
        let assignment = format!("{}/{athlete_id}", assigned.assignments);
        assigned.gym.owner.delete(&assignment).await.expect(204);

        let athlete = &assigned.gym.athlete;
        assert_eq!(athlete.get(&assigned.mine).await.problem(), "not-found");
        let refused = athlete.post(&assigned.completions, &json!({})).await;
        assert_eq!(refused.problem(), "not-found");
        let kept = athlete.get(&assigned.completions).await.expect(200);
        assert_eq!(kept["items"].as_array().map(Vec::len), Some(2));

        assigned.is_assigned_again().await;
        let both = json!([last, 2]);
        assert_eq!(assigned.seen().await, [both.clone(), both]);
    });
}

#[test]
fn one_completion_is_for_every_gym_that_has_assigned_the_workout() {
    story(async |app| {
        let assigned = Assigned::in_gym(app, "iron").await;
        let Assigned { gym, .. } = &assigned;
        let second_gym = gym.owner.opens_gym("Second").await;
        let ada = json!({"email": "ada@iron.example"});
        let second = gym.owner.registers(second_gym, &ada).await["id"].clone();
        gym.athlete.links(None).await.expect(200);
        let body = json!({"business_id": second_gym, "athlete_ids": [second]});
        gym.owner
            .post(&assigned.assignments, &body)
            .await
            .expect(200);

        let done = gym.athlete.post(&assigned.completions, &json!({})).await;
        let done = done.expect(201);
        let as_whom: HashSet<_> = done["athlete_ids"]
            .as_array()
            .expect("a list")
            .iter()
            .map(id)
            .collect();
        assert_eq!(
            as_whom,
            HashSet::from([id(&assigned.athlete_id), id(&second)])
        );
        let list = gym.athlete.get(&assigned.completions).await.expect(200);
        assert_eq!(list["items"], json!([done]), "it was done once");
        let mine = gym.athlete.get(&assigned.mine).await.expect(200);
        for item in mine["items"].as_array().expect("a list") {
            assert_eq!(
                (&item["completed_at"], &item["completions"]),
                (&done["completed_at"], &json!(1))
            );
        }
    });
}

#[test]
fn a_completion_that_is_sent_again_with_its_key_is_one() {
    story(async |app| {
        let assigned = Assigned::in_gym(app, "iron").await;
        let athlete = &assigned.gym.athlete;
        let key = Uuid::now_v7().to_string();
        let nothing = json!({});
        let send = || athlete.post_once(&assigned.completions, &key, &nothing);
        let bodies: HashSet<String> =
            join_all((0..50).map(|_| async { send().await.expect(201).to_string() }))
                .await
                .into_iter()
                .collect();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        assert_eq!(app.ask::<i64>("SELECT count(*) FROM completion").await, 1);
        let response = send().await;
        assert_eq!(response.header("location"), assigned.completions);

        let malformed = athlete
            .post_once(&assigned.completions, "7", &json!({}))
            .await;
        assert_eq!(
            (malformed.status, &malformed.body["errors"]),
            (
                422,
                &json!([{"header": "Idempotency-Key", "code": "id_invalid", "detail": "must be a UUID"}])
            )
        );
    });
}

#[test]
fn of_fifty_completions_at_once_each_is_kept_and_the_last_is_told() {
    story(async |app| {
        let assigned = Assigned::in_gym(app, "iron").await;
        let athlete = &assigned.gym.athlete;
        let nothing = json!({});
        let done = join_all((0..50).map(|_| athlete.post(&assigned.completions, &nothing))).await;
        let times: Vec<String> = done
            .into_iter()
            .map(|response| response.expect(201)["completed_at"].to_string())
            .collect();
        let [mine, followers] = assigned.seen().await;
        assert_eq!((&mine[1], &mine), (&json!(50), &followers));
        let last = app
            .ask::<String>("SELECT to_jsonb(max(completed_at))::text FROM workout_athlete")
            .await;
        let written: String = app
            .ask("SELECT to_jsonb(max(completed_at))::text FROM completion")
            .await;
        assert_eq!(last, written, "where earlier code reads it");
        assert!(times.contains(&mine[0].to_string()));
    });
}

#[test]
fn what_the_last_release_completes_is_a_completion() {
    story(async |app| {
        let assigned = Assigned::in_gym(app, "iron").await;
        let athlete_id = assigned.athlete_id.as_str().expect("an id");
        // As its statement change_my_workout has it.
        let set = async |completed: bool| -> Value {
            app.ask(&format!(
                "UPDATE workout_athlete
                 SET completed_at = CASE WHEN {completed} THEN coalesce(completed_at, now()) ELSE NULL END
                 WHERE athlete_id = '{athlete_id}' AND workout_id = '{}'
                 RETURNING to_jsonb(completed_at)",
                assigned.gym.ids.filled_in("{workout_id}")
            ))
            .await
        };
        let told_as = |time: &Value| {
            time.as_str()
                .map(|text| text.parse::<jiff::Timestamp>().unwrap())
        };
        let first = set(true).await;
        assert_eq!(set(true).await, first);
        let [mine, _] = assigned.seen().await;
        assert_eq!((told_as(&mine[0]), &mine[1]), (told_as(&first), &json!(1)));

        let second = assigned.does_it().await;
        assert_eq!(told_as(&set(true).await), told_as(&second));
        assert_eq!(
            told_as(&set(false).await),
            told_as(&first),
            "the last is taken back"
        );
        assert_eq!(assigned.seen().await[0][1], json!(1));
        let none: Option<Value> = app
            .ask(&format!(
                "UPDATE workout_athlete SET completed_at = NULL WHERE athlete_id = '{athlete_id}' RETURNING to_jsonb(completed_at)"
            ))
            .await;
        assert_eq!(none, None);
        assert_eq!(assigned.seen().await[0], json!([null, 0]));
    });
}
