use crate::{
    routes::Route,
    story::{Person, Response, TestApp},
};
use serde_json::{Value, json};

pub(crate) fn braced(name: &str) -> String {
    format!("{{{name}}}")
}

/// An id for each of [`Ids::NAMES`].
#[derive(Clone)]
pub struct Ids(pub [String; 6]);

impl Ids {
    /// Of the gym, of an athlete who is invited and has the workout, of one who has not, of one who
    /// is linked, of the workout, and of what the linked one wrote for themselves.
    pub const NAMES: [&str; 6] = [
        "business_id",
        "athlete_id",
        "idle_id",
        "linked_id",
        "workout_id",
        "own_id",
    ];

    /// A text in which the ids stand where it has their names in braces.
    #[must_use]
    pub fn filled_in(&self, text: &str) -> String {
        let ids = Self::NAMES.iter().zip(&self.0);
        ids.fold(text.to_owned(), |text, (name, id)| {
            text.replace(&braced(name), id)
        })
    }

    /// These, but what `names` says from elsewhere.
    #[must_use]
    pub fn with(&self, names: &[&str], id: impl Fn(usize) -> String) -> Self {
        let mut ids = self.clone();
        for (index, name) in Self::NAMES.iter().enumerate() {
            if names.contains(name) {
                ids.0[index] = id(index);
            }
        }
        ids
    }

    /// An answer without what the caller has said in the question.
    #[must_use]
    pub fn taken_out_of(&self, response: Response) -> Response {
        let ids = Self::NAMES.iter().zip(&self.0);
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
pub struct Gym {
    /// The owner, who has written the workout.
    pub owner: Person,
    /// Linked; has the workout.
    pub athlete: Person,
    /// The ids that requests name.
    pub ids: Ids,
    /// The codes of the athletes.
    pub codes: Vec<Value>,
}

impl Gym {
    /// Opens a gym of this name, with everything that the table of the routes needs.
    pub async fn open(app: &'static TestApp, name: &str) -> Self {
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
        let own = athlete.post("/me/workouts", &json!({"name": name})).await;
        let own = own.expect(201)["workout_id"].clone();
        let id_of = |athlete: &Value| athlete["id"].as_str().expect("an id").to_owned();
        Self {
            owner,
            athlete,
            ids: Ids([
                gym.to_string(),
                id_of(&athletes[1]),
                id_of(&athletes[2]),
                id_of(&athletes[0]),
                workout.to_string(),
                id_of(&json!({"id": own})),
            ]),
            codes: athletes
                .iter()
                .map(|athlete| athlete["athlete_code"].clone())
                .collect(),
        }
    }

    /// Who sends the valid request of a route.
    #[must_use]
    pub fn sender_of(&self, route: &Route) -> &Person {
        if route.by_athlete {
            &self.athlete
        } else {
            &self.owner
        }
    }

    /// Whether an answer has one of the gym's codes in it, in whichever spelling.
    #[must_use]
    pub fn code_is_in(&self, response: &Response) -> bool {
        let plain = |text: &str| text.to_uppercase().replace(['-', ' '], "");
        let said = plain(&format!("{} {:?}", response.body, response.headers));
        let codes = self
            .codes
            .iter()
            .map(|code| plain(code.as_str().expect("a code")));
        codes.into_iter().any(|code| said.contains(&code))
    }

    /// Whether an answer has one of the gym's ids in it.
    #[must_use]
    pub fn is_in(&self, response: &Response) -> bool {
        let said = response.body.to_string();
        self.ids.0.iter().any(|id| said.contains(id))
    }
}
