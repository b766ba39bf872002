use crate::system::{System, Visitor};
use futures::future::join_all;
use local::lambda::Outcome;
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tests::id;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Clients that send requests at the same time, each one after the other.
const CLIENTS: usize = 8;

/// What no answer may take: three times the database's budget and once SES's, and what the gateway
/// and a slow machine add.
const LONGEST: Duration = Duration::from_secs(12);

/// What a client waits when it was answered 503. It should wait longer, as `Retry-After` says; this
/// is the harder case.
const IMPATIENCE: Duration = Duration::from_millis(50);

/// What clients sent and were told.
#[derive(Debug, Default)]
pub struct Told {
    /// How often each status was answered.
    statuses: BTreeMap<u16, usize>,
    slowest: Duration,
    /// The athletes that were registered, invited, and assigned to a workout.
    athletes: Vec<Athlete>,
    /// The addresses that have joined the waitlist.
    waitlist: Vec<String>,
}

/// An athlete, as the answers were.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Athlete {
    email: String,
    id: Uuid,
    /// Who has claimed the code.
    user_id: Option<Uuid>,
}

/// How often the athletes were mailed.
#[derive(Debug)]
pub struct Mails {
    /// Sent by the relay in the end, because the registration's own try failed or was not recorded.
    pub by_relay: usize,
    /// Athletes who got two.
    pub twice: usize,
}

/// Has clients send requests without a pause while something happens. Each repeats what was
/// answered 503 until it is done.
///
/// No answer is another failure than 503, which says when to come back, and none is late.
pub async fn under_load(system: &'static System, what_happens: impl Future<Output = ()>) -> Told {
    let clients = join_all((0..CLIENTS).map(|number| Client::new(system, number))).await;
    let is_over = AtomicBool::new(false);
    let all = join_all(clients.into_iter().map(|client| client.work(&is_over)));
    let happening = async {
        what_happens.await;
        is_over.store(true, Ordering::Relaxed);
    };
    let (all, ()) = tokio::join!(all, happening);

    let mut told = Told::default();
    for one in all {
        for (status, number) in one.statuses {
            *told.statuses.entry(status).or_default() += number;
        }
        told.slowest = told.slowest.max(one.slowest);
        told.athletes.extend(one.athletes);
        told.waitlist.extend(one.waitlist);
    }
    told.athletes.sort();
    told.waitlist.sort();
    told
}

struct Client {
    system: &'static System,
    number: usize,
    owner: Visitor,
    gym: Uuid,
    workout: Uuid,
    told: Told,
}

impl Client {
    async fn new(system: &'static System, number: usize) -> Self {
        let owner = system.visitor(&format!("owner-{number}@load.example"));
        let mut client = Self {
            system,
            number,
            owner: owner.clone(),
            gym: Uuid::nil(),
            workout: Uuid::nil(),
            told: Told::default(),
        };
        let named = json!({"name": "Iron Temple"});
        client.gym = id(&client.post(&owner, "/businesses", named.clone()).await["id"]);
        client.workout = id(&client.post(&owner, "/workouts", named).await["id"]);
        client
    }

    async fn work(mut self, is_over: &AtomicBool) -> Told {
        let mut round = 0;
        while !is_over.load(Ordering::Relaxed) {
            self.round(round).await;
            round += 1;
        }
        self.told
    }

    /// An athlete is registered and assigned to a workout, and every other one claims the code.
    async fn round(&mut self, round: usize) {
        let Self {
            number,
            gym,
            workout,
            ..
        } = *self;
        let owner = self.owner.clone();
        let roster = format!("/businesses/{gym}/athletes");

        let email = format!("{round}@gym-{number}.example");
        let registered = self.post(&owner, &roster, json!({"email": email})).await;
        let athlete_id = id(&registered["id"]);
        let mut user_id = None;
        if round.is_multiple_of(2) {
            let athlete = self
                .system
                .visitor(&format!("{round}@elsewhere-{number}.example"));
            let code = json!({"athlete_code": registered["athlete_code"]});
            let linked = self.post(&athlete, "/signup-link", code).await;
            user_id = Some(id(&linked["user"]["id"]));
        }
        let assigning = json!({"business_id": gym, "athlete_ids": [athlete_id]});
        let assignments = format!("/workouts/{workout}/assignments");
        self.post(&owner, &assignments, assigning).await;
        self.ask(&owner, Method::GET, &format!("{roster}?limit=5"), None)
            .await;
        let joining = json!({"email": email});
        self.post(&self.system.stranger(None), "/waitlist", joining)
            .await;

        self.told.athletes.push(Athlete {
            email: email.clone(),
            id: athlete_id,
            user_id,
        });
        self.told.waitlist.push(email);
    }

    async fn post(&mut self, visitor: &Visitor, path: &str, body: Value) -> Value {
        self.ask(visitor, Method::POST, path, Some(body)).await
    }

    /// Sends a request until it is not answered with 503.
    async fn ask(
        &mut self,
        visitor: &Visitor,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Value {
        loop {
            let asked = Instant::now();
            let response = visitor.send(method.clone(), path, body.clone()).await;
            let took = asked.elapsed();
            assert!(
                took < LONGEST,
                "{method} {path} took {took:?}: {response:?}"
            );
            *self.told.statuses.entry(response.status).or_default() += 1;
            self.told.slowest = self.told.slowest.max(took);
            match response.status {
                503 => assert!(
                    response.retry_after.is_some(),
                    "{method} {path}: {response:?}"
                ),
                200..300 => return response.body,
                _ => panic!("{method} {path}: {response:?}"),
            }
            sleep(IMPATIENCE).await;
        }
    }
}

impl Told {
    /// How often the answer was 503.
    pub fn unavailable(&self) -> usize {
        self.statuses.get(&503).copied().unwrap_or_default()
    }

    /// Whether the database has exactly what the clients were told, once each.
    pub async fn is_in_the_database(&self, system: &System) {
        let database = system.stack.database();
        let db = system.stack.services().postgres.connect(database).await;
        let db = db.expect("the server is there");
        let ask = async |sql: &str| db.query_typed(sql, &[]).await.expect("the statement runs");
        let ids = async |sql: &str| -> Vec<Uuid> {
            ask(sql).await.iter().map(|row| row.get(0)).collect()
        };

        let rows = ask("SELECT email, id, user_id FROM athlete ORDER BY email COLLATE \"C\"").await;
        let stored = rows.iter().map(|row| Athlete {
            email: row.get(0),
            id: row.get(1),
            user_id: row.get(2),
        });
        assert_eq!(stored.collect::<Vec<_>>(), self.athletes, "athletes");
        let mut athletes: Vec<_> = self.athletes.iter().map(|athlete| athlete.id).collect();
        athletes.sort();
        assert_eq!(
            ids("SELECT athlete_id FROM invitation ORDER BY 1").await,
            athletes,
            "invitations"
        );
        assert_eq!(
            ids("SELECT athlete_id FROM workout_athlete ORDER BY 1").await,
            athletes,
            "assignments"
        );
        let rows = ask("SELECT email FROM waitlist ORDER BY email COLLATE \"C\"").await;
        let waitlist: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(waitlist, self.waitlist, "waitlist");
    }

    /// Has the relay send what is still to be sent, when that is due, and looks what everybody got:
    /// one mail, or two where the database did not get to know of the first. Whoever was linked
    /// before anything could be sent needs none.
    pub async fn is_sent_in_the_end(&self, system: &System) -> Mails {
        let services = system.stack.services();
        let db = services.postgres.connect(system.stack.database()).await;
        let is_due = "UPDATE invitation SET next_attempt_at = now() FROM athlete
             WHERE invitation.status = 'queued' AND athlete.id = invitation.athlete_id
             RETURNING athlete.email";
        let rows = db
            .expect("the server is there")
            .query_typed(is_due, &[])
            .await;
        let rows = rows.expect("the invitations are due");
        let due: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let event = json!({});
        let relay = system.stack.lambda().invoke("deliver-invitations", &event);
        match relay.await.expect("the relay is invoked") {
            Outcome::Returned(report) => assert_eq!(report["sent"], due.len(), "{report}"),
            Outcome::Failed(why) => panic!("the relay failed: {why}"),
        }

        let mut mails = BTreeMap::<String, usize>::new();
        for mail in services.aws.outbox().await.newest_first() {
            *mails.entry(mail.to.clone()).or_default() += 1;
        }
        let mut twice = 0;
        for athlete in &self.athletes {
            let number = mails.remove(&athlete.email).unwrap_or_default();
            let is_due = due.contains(&athlete.email);
            let least = usize::from(athlete.user_id.is_none() || is_due);
            let most = 1 + usize::from(is_due);
            assert!(
                (least..=most).contains(&number),
                "{athlete:?} got {number} mails"
            );
            twice += usize::from(number == 2);
        }
        assert!(mails.is_empty(), "mails to nobody's athletes: {mails:?}");
        Mails {
            by_relay: due.len(),
            twice,
        }
    }
}

impl fmt::Display for Mails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by_relay, twice } = self;
        write!(f, "{by_relay} mails left to the relay, {twice} sent twice")
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requests: usize = self.statuses.values().sum();
        write!(
            f,
            "{requests} requests {:?}, slowest {:.2} s",
            self.statuses,
            self.slowest.as_secs_f64()
        )
    }
}
