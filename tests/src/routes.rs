//! The table of the routes: a valid request to each, and what the callers are answered. The tests
//! that hold of every route read it: who may do what, faulty bodies, hostile texts, pages, query
//! plans.

use crate::{
    gym::{Ids, braced},
    story::{Person, Response},
};
use serde_json::{Map, Value};

/// The callers, in the order of [`Route::statuses`]:
///
/// - `nobody`, who has no token,
/// - `new`, who has signed in, and called nothing yet,
/// - `user`, who has signed up and belongs to no gym,
/// - `athlete` of the gym, who is linked and has its workout,
/// - `rival`, the owner of another gym, with athletes and workouts of their own,
/// - `owner` of the gym, and author of the workout.
pub const CALLERS: [&str; 6] = ["nobody", "new", "user", "athlete", "rival", "owner"];

/// The routes of `template.yaml`. In paths and bodies `{business_id}`, `{workout_id}`,
/// `{athlete_id}` (invited, has the workout), `{idle_id}` (invited, does not have it),
/// `{linked_id}` (linked) and `{own_id}` (what they wrote for themselves) stand for the ids of a
/// gym.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route("GET /businesses", signed_in(200)).query(&["limit", "cursor"]),
    route("POST /businesses", signed_in(201))
        .body(r#"{"name": "Second Temple"}"#)
        .and(r#"{"locale": "it", "country": "IT", "time_zone": "Europe/Rome"}"#),
    route("GET /businesses/{business_id}", owner(200)),
    route("PATCH /businesses/{business_id}", owner(200))
        .body(r#"{"name": "Third Temple"}"#)
        .and(r#"{"locale": "it", "country": "IT", "time_zone": "Europe/Rome"}"#),
    route("DELETE /businesses/{business_id}", owner(204)),
    route("GET /businesses/{business_id}/athletes", owner(200)).query(&["limit", "cursor", "q", "status"]),
    route("POST /businesses/{business_id}/athletes", owner(201))
        .body(r#"{"email": "dee@example.org"}"#)
        .and(r#"{"phone": "+393331234567", "full_name": "Dee", "locale": "en", "shared_contact": true}"#),
    route("POST /businesses/{business_id}/athletes/import", owner(200))
        .body(r#"{"athletes": [{"email": "eli@example.org"}]}"#)
        .and(r#"{"athletes": [{"email": "eli@example.org", "phone": "+393331234567", "full_name": "Eli", "locale": "en"}]}"#)
        .query(&["dry_run", "skip_faulty", "shared_contacts", "invite"]),
    route("POST /businesses/{business_id}/invitations", owner(202))
        .body(r#"{"athlete_ids": ["{athlete_id}"]}"#)
        // Each athlete has an outcome of their own.
        .foreign(&[("athlete_id", 202)]),
    route("GET /businesses/{business_id}/athletes/{athlete_id}", owner(200)),
    route("PATCH /businesses/{business_id}/athletes/{athlete_id}", owner(200))
        .body(r#"{"full_name": "Robert"}"#)
        .and(r#"{"locale": "it"}"#),
    route("DELETE /businesses/{business_id}/athletes/{athlete_id}", owner(204)),
    route("DELETE /businesses/{business_id}/athletes/{athlete_id}/link", owner(200))
        .at("/businesses/{business_id}/athletes/{linked_id}/link"),
    route("DELETE /businesses/{business_id}/athletes/{athlete_id}/invitation", owner(204)),
    route("POST /businesses/{business_id}/athletes/{athlete_id}/invitation", owner(202))
        .body(r#"{"email": "new-bob@example.org"}"#)
        .and(r#"{"phone": "+393331234567"}"#),
    route("GET /me", signed_in(200)),
    route("DELETE /me/athletes/{athlete_id}", athlete(204)).at("/me/athletes/{linked_id}"),
    route("GET /me/workouts", signed_in(200)).by_athlete().query(&["limit", "cursor"]),
    route("POST /me/workouts", athlete(201))
        .body(r#"{"name": "Morning run"}"#)
        .and(r#"{"description": "5 km,\neasy", "athlete_id": null}"#),
    route("GET /me/workouts/{workout_id}", athlete(200)),
    route("PATCH /me/workouts/{workout_id}", athlete(200))
        .at("/me/workouts/{own_id}")
        .body(r#"{"selected": true}"#)
        .and(r#"{"completed": true, "name": "Evening run", "description": "5 km,\neasy"}"#),
    route("DELETE /me/workouts/{workout_id}", athlete(204)).at("/me/workouts/{own_id}"),
    route("POST /me/workouts/{workout_id}/completions", athlete(201)).body("{}"),
    route("GET /me/workouts/{workout_id}/completions", athlete(200)).query(&["limit", "cursor"]),
    route("POST /signup-link", signed_in(200)).body("{}").and(r#"{"athlete_code": "7ZQ4M-K2T9S"}"#),
    route("POST /waitlist", everybody(202)).body(r#"{"email": "flo@example.org"}"#),
    route("GET /workouts", signed_in(200)).query(&["limit", "cursor"]),
    route("POST /workouts", signed_in(201))
        .body(r#"{"name": "Arm day"}"#)
        .and(r#"{"description": "3 × 8 curls,\nslow"}"#),
    route("GET /workouts/{workout_id}", owner(200)),
    route("PATCH /workouts/{workout_id}", owner(200))
        .body(r#"{"name": "Chest day"}"#)
        .and(r#"{"description": "3 × 8 presses,\nslow"}"#),
    route("DELETE /workouts/{workout_id}", owner(204)),
    route("GET /workouts/{workout_id}/assignments", owner(200)).query(&["limit", "cursor"]),
    route("POST /workouts/{workout_id}/assignments", owner(200))
        .body(r#"{"business_id": "{business_id}", "athlete_ids": ["{idle_id}"]}"#)
        // Whom the body names is a matter of input.
        .foreign(&[("idle_id", 422)]),
    route("DELETE /workouts/{workout_id}/assignments/{athlete_id}", owner(204))
        // To take a workout from somebody who does not have it is no fault, whoever that is.
        .foreign(&[("athlete_id", 204)]),
];

/// A route, with a valid request.
#[derive(Clone, Copy)]
pub struct Route {
    /// Method and path, as API Gateway calls the route.
    pub key: &'static str,
    /// The status that each of [`CALLERS`] gets for the valid request.
    pub statuses: [u16; 6],
    /// The body; empty where the route has none.
    pub body: &'static str,
    /// The members of the body that may be there besides, or have more in them. Well-formed, but
    /// the valid request does without.
    pub optional: &'static str,
    /// The path of the valid request, where its ids are others than those that the key names.
    pub at: Option<&'static str>,
    /// The query parameters. All but `q` are of closed sets or forms, and take no other text.
    pub query: &'static [&'static str],
    /// The answer where one id alone is another gym's. For all others it is 404.
    pub foreign: &'static [(&'static str, u16)],
    /// Whether the athlete sends the valid request where it is not about callers; else the owner
    /// does.
    pub by_athlete: bool,
}

const fn route(key: &'static str, statuses: [u16; 6]) -> Route {
    Route {
        key,
        statuses,
        body: "",
        optional: "{}",
        at: None,
        query: &[],
        foreign: &[],
        by_athlete: statuses[5] >= 300,
    }
}

/// The owner gets this status, and for everybody else there is nothing.
const fn owner(status: u16) -> [u16; 6] {
    [401, 404, 404, 404, 404, status]
}

/// The athlete gets this status, and for everybody else there is nothing.
const fn athlete(status: u16) -> [u16; 6] {
    [401, 404, 404, status, 404, 404]
}

/// Whoever is signed in gets this status.
const fn signed_in(status: u16) -> [u16; 6] {
    [401, status, status, status, status, status]
}

/// Everybody gets this status.
const fn everybody(status: u16) -> [u16; 6] {
    [status; 6]
}

impl Route {
    const fn body(mut self, body: &'static str) -> Self {
        self.body = body;
        self
    }

    const fn and(mut self, optional: &'static str) -> Self {
        self.optional = optional;
        self
    }

    const fn at(mut self, path: &'static str) -> Self {
        self.at = Some(path);
        self
    }

    const fn query(mut self, parameters: &'static [&'static str]) -> Self {
        self.query = parameters;
        self
    }

    const fn foreign(mut self, statuses: &'static [(&'static str, u16)]) -> Self {
        self.foreign = statuses;
        self
    }

    const fn by_athlete(mut self) -> Self {
        self.by_athlete = true;
        self
    }

    /// `GET`, for instance.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.key
            .split_once(' ')
            .expect("a key is a method and a path")
            .0
    }

    /// The path as the contract has it.
    #[must_use]
    pub fn contract_path(&self) -> &'static str {
        let key = self.key.split_once(' ');
        key.expect("a key is a method and a path").1
    }

    /// The path, with the names of its parameters in braces.
    #[must_use]
    pub fn path(&self) -> &'static str {
        let key = self.key.split_once(' ');
        self.at
            .unwrap_or_else(|| key.expect("a key is a method and a path").1)
    }

    /// The names of the ids in the request.
    #[must_use]
    pub fn ids(&self) -> Vec<&'static str> {
        let is_named = |name: &&str| {
            [self.path(), self.body]
                .iter()
                .any(|text| text.contains(&braced(name)))
        };
        Ids::NAMES.into_iter().filter(is_named).collect()
    }

    /// The status where only the id of this name is another gym's.
    #[must_use]
    pub fn foreign_status(&self, name: &str) -> u16 {
        let named = self.foreign.iter().find(|(id, _)| *id == name);
        named.map_or(404, |(_, status)| *status)
    }

    /// Whether the answer is a page of a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.query.contains(&"cursor")
    }

    /// The status for whoever sends the valid request: see [`crate::Gym::sender_of`].
    #[must_use]
    pub fn status(&self) -> u16 {
        self.statuses[if self.by_athlete { 3 } else { 5 }]
    }

    /// Sends the valid request.
    pub async fn sent_by(&self, caller: &Person, ids: &Ids) -> Response {
        let body = Some(ids.filled_in(self.body)).filter(|body| !body.is_empty());
        let path = ids.filled_in(self.path());
        caller.send(self.method(), &path, body.as_deref()).await
    }

    /// The body with everything that may be in it; none where the route has no body.
    #[must_use]
    pub fn whole_body(&self, ids: &Ids) -> Option<Value> {
        if self.body.is_empty() {
            return None;
        }
        let members = |text: &str| -> Map<String, Value> {
            serde_json::from_str(&ids.filled_in(text)).expect("bodies are JSON objects")
        };
        let mut body = members(self.body);
        body.extend(members(self.optional));
        Some(Value::Object(body))
    }

    /// The values of [`Self::whole_body`] that hold no others.
    #[must_use]
    pub fn fields(&self, ids: &Ids) -> Vec<Field> {
        let mut fields = Vec::new();
        if let Some(body) = self.whole_body(ids) {
            find_fields(&body, "", "", &mut fields);
        }
        fields
    }
}

/// A value in the body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Where it is, as a JSON pointer: `/athletes/0/email`.
    pub pointer: String,
    /// The name of the member that it is, or of the list that it is in.
    pub name: String,
    /// The value.
    pub value: Value,
}

impl Field {
    /// Whether people write what they like in it, on one line.
    #[must_use]
    pub fn is_name(&self) -> bool {
        ["name", "full_name"].contains(&self.name.as_str())
    }

    /// Whether people write what they like in it, on any number of lines.
    #[must_use]
    pub fn is_description(&self) -> bool {
        self.name == "description"
    }

    /// The pointer as problem documents write it: a fragment of a URL.
    #[must_use]
    pub fn fragment(&self) -> String {
        format!("#{}", self.pointer)
    }

    /// The body with another value in this place.
    #[must_use]
    pub fn changed(&self, body: &Value, value: Value) -> Value {
        let mut body = body.clone();
        *body.pointer_mut(&self.pointer).expect("it is there") = value;
        body
    }
}

fn find_fields(value: &Value, pointer: &str, name: &str, found: &mut Vec<Field>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                find_fields(value, &format!("{pointer}/{name}"), name, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                find_fields(value, &format!("{pointer}/{index}"), name, found);
            }
        }
        value => found.push(Field {
            pointer: pointer.to_owned(),
            name: name.to_owned(),
            value: value.clone(),
        }),
    }
}
