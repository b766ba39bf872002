//! Random sequences of whatever can happen to invitations, against a simple model of what must come
//! of it.

use record_mail_events::Report;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{Person, TestApp, story};
use tokio::time::Instant;
use uuid::Uuid;

const SEQUENCES: u64 = 12;
const STEPS: usize = 60;

const NOBODY_LISTENS: &str = "http://127.0.0.1:9";

/// In minutes.
const DAY: u64 = 24 * 60;
const GOOD_FOR: u64 = 30 * DAY;

#[test]
fn random_requests_leave_invitations_as_the_model_says() {
    for seed in 1..=SEQUENCES {
        story(async move |app| Run::new(app, seed).await.steps().await);
    }
}

/// One athlete, as the model has them.
#[derive(Debug)]
struct Athlete {
    id: Value,
    email: String,
    code: Value,
    dead_codes: Vec<Value>,
    /// Whether the person at its address is linked to it.
    is_linked_by_email: bool,
    /// The last invitation's status, its age left aside.
    status: &'static str,
    attempts: u32,
    /// Minutes since the last invitation.
    age: u64,
    /// Minutes since each resend.
    resends: Vec<u64>,
}

impl Athlete {
    fn is_closed(&self) -> bool {
        matches!(self.status, "accepted" | "revoked")
    }

    fn is_claimable(&self) -> bool {
        !self.is_closed() && self.age < GOOD_FOR
    }

    fn shown_status(&self) -> &'static str {
        if !self.is_closed() && self.age >= GOOD_FOR {
            "expired"
        } else {
            self.status
        }
    }
}

struct Run {
    up: &'static TestApp,
    down: &'static TestApp,
    owner: Person,
    gym: Uuid,
    random: u64,
    /// Makes every address of every run a different one.
    name: String,
    addresses: u32,
    provider_is_up: bool,
    athletes: Vec<Athlete>,
    log: Vec<String>,
}

impl Run {
    async fn new(up: &'static TestApp, seed: u64) -> Self {
        let down = up
            .with_registrar(|registrar| {
                registrar.sender = TestApp::sender(up.shared, Some(NOBODY_LISTENS));
            })
            .await;
        let owner = up.person("owner@model.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self {
            up,
            down,
            owner,
            gym,
            random,
            name: format!("run-{seed}"),
            addresses: 0,
            provider_is_up: true,
            athletes: Vec::new(),
            log: Vec::new(),
        }
    }

    /// A number below `bound` (xorshift; the same in every run of a seed).
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % bound as u64).expect("below a usize")
    }

    fn new_address(&mut self) -> String {
        self.addresses += 1;
        format!("{}-{}@model.example", self.name, self.addresses)
    }

    fn provider(&self) -> (&'static TestApp, &'static str) {
        if self.provider_is_up {
            (self.up, "sent")
        } else {
            (self.down, "queued")
        }
    }

    /// The owner, through an application whose provider is up or down at this moment.
    fn owner_now(&self) -> Person {
        self.owner.through(self.provider().0)
    }

    fn invitation(&self, index: usize) -> String {
        format!(
            "/businesses/{}/athletes/{}/invitation",
            self.gym,
            self.athletes[index].id.as_str().expect("an id")
        )
    }

    async fn steps(mut self) {
        self.register().await;
        for _ in 0..STEPS {
            let index = self.below(self.athletes.len());
            match self.below(20) {
                0 | 1 => self.register().await,
                2..=4 => self.resend(index).await,
                5 | 6 => self.correct(index).await,
                7 | 8 => self.revoke(index).await,
                9 => self.claim(index).await,
                10 | 11 => self.claim_by_dead_code(index).await,
                12 => self.sign_up(index).await,
                13 => self.time_passes(31 * DAY).await,
                14 => self.provider_is_up = !self.provider_is_up,
                15..=17 => self.mail_event(index).await,
                _ => self.relay().await,
            }
            self.check().await;
        }
        // Once the provider is there, whatever is still queued goes out.
        self.provider_is_up = true;
        self.relay().await;
        self.check().await;
        assert!(self.up.ask::<bool>("SELECT count(*) = 0 FROM invitation WHERE status = 'queued' AND expires_at > now()").await, "{:#?}", self.log);
    }

    async fn register(&mut self) {
        let (email, (_, status)) = (self.new_address(), self.provider());
        let response = self
            .owner_now()
            .registers(self.gym, &json!({"email": email}))
            .await;
        self.log.push(format!("register {email}: {status}"));
        self.athletes.push(Athlete {
            id: response["id"].clone(),
            email,
            code: response["athlete_code"].clone(),
            dead_codes: Vec::new(),
            is_linked_by_email: false,
            status,
            attempts: 1,
            age: 0,
            resends: Vec::new(),
        });
    }

    async fn resend(&mut self, index: usize) {
        self.time_passes(1).await;
        self.renew(index, json!({})).await;
    }

    async fn correct(&mut self, index: usize) {
        let email = self.new_address();
        self.renew(index, json!({"email": email})).await;
    }

    async fn renew(&mut self, index: usize, correction: Value) {
        let (owner, path, (_, status)) =
            (self.owner_now(), self.invitation(index), self.provider());
        let response = owner.post(&path, &correction).await;
        self.log
            .push(format!("renew {index} {correction}: {}", response.status));
        let athlete = &mut self.athletes[index];
        let today = athlete.resends.iter().filter(|age| **age < DAY).count();
        let expected = if athlete.status == "accepted" {
            409
        } else if today >= 5 {
            429
        } else {
            202
        };
        assert_eq!(response.status, expected, "{:#?}", self.log);
        if expected != 202 {
            return;
        }
        let code = response.body["athlete_code"].clone();
        let draws = athlete.status == "revoked" || correction["email"].is_string();
        assert_eq!(code != athlete.code, draws, "{:#?}", self.log);
        if draws {
            athlete
                .dead_codes
                .push(std::mem::replace(&mut athlete.code, code));
        }
        if let Some(email) = correction["email"].as_str() {
            email.clone_into(&mut athlete.email);
        }
        (athlete.status, athlete.attempts, athlete.age) = (status, 1, 0);
        athlete.resends.push(0);
    }

    async fn revoke(&mut self, index: usize) {
        let response = self.owner.delete(&self.invitation(index)).await;
        self.log
            .push(format!("revoke {index}: {}", response.status));
        let athlete = &mut self.athletes[index];
        if athlete.status == "accepted" {
            assert_eq!(response.status, 409, "{:#?}", self.log);
        } else {
            assert_eq!(response.status, 204, "{:#?}", self.log);
            athlete.status = "revoked";
        }
    }

    async fn claim(&mut self, index: usize) {
        let code = self.athletes[index].code.clone();
        let email = self.new_address();
        let response = self.up.person(&email).links(Some(&code)).await;
        self.log.push(format!("claim {index}: {}", response.status));
        let athlete = &mut self.athletes[index];
        assert_eq!(
            response.status,
            if athlete.is_claimable() { 200 } else { 422 },
            "{:#?}",
            self.log
        );
        if athlete.is_claimable() {
            athlete.status = "accepted";
        }
    }

    async fn claim_by_dead_code(&mut self, index: usize) {
        let email = self.new_address();
        for code in &self.athletes[index].dead_codes {
            let response = self.up.person(&email).links(Some(code)).await;
            assert_eq!(
                response.problem(),
                "invalid-athlete-code",
                "{:#?}",
                self.log
            );
        }
    }

    async fn sign_up(&mut self, index: usize) {
        let response = self
            .up
            .person(&self.athletes[index].email)
            .links(None)
            .await
            .expect(200);
        self.log
            .push(format!("sign up {index}: {}", response["status"]));
        let athlete = &mut self.athletes[index];
        assert_eq!(
            response["status"],
            if athlete.is_claimable() || athlete.is_linked_by_email {
                "linked"
            } else {
                "code_required"
            },
            "{:#?}",
            self.log
        );
        if athlete.is_claimable() {
            athlete.status = "accepted";
            athlete.is_linked_by_email = true;
        }
    }

    async fn time_passes(&mut self, minutes: u64) {
        self.log.push(format!("{minutes} minutes"));
        self.up.time_passes(Duration::from_mins(minutes)).await;
        for athlete in &mut self.athletes {
            athlete.age += minutes;
            athlete.resends.iter_mut().for_each(|age| *age += minutes);
        }
    }

    /// An event of SES about the last mail, or one before.
    async fn mail_event(&mut self, index: usize) {
        let id = self.athletes[index].id.as_str().expect("an id").to_owned();
        let message: Option<String> = self.up.ask(&format!("SELECT provider_message_id FROM (SELECT) AS one LEFT JOIN (SELECT provider_message_id FROM invitation WHERE athlete_id = '{id}' ORDER BY created_at DESC LIMIT 1) AS last ON true")).await;
        let Some(message) = message else { return };
        let kind = ["Delivery", "Permanent", "Transient", "Complaint"][self.below(4)];
        let bounce = |kind: &str, sub_type: &str, status: &str| json!({"eventType": "Bounce", "mail": {"messageId": message}, "bounce": {"bounceType": kind, "bounceSubType": sub_type, "bouncedRecipients": [{"emailAddress": "x@model.example", "action": "failed", "status": status}]}});
        let detail = match kind {
            "Permanent" => bounce("Permanent", "NoEmail", "5.1.1"),
            "Transient" => bounce("Transient", "MailboxFull", "4.2.2"),
            "Complaint" => {
                json!({"eventType": "Complaint", "mail": {"messageId": message}, "complaint": {"complaintFeedbackType": "abuse"}})
            }
            _ => json!({"eventType": "Delivery", "mail": {"messageId": message}, "delivery": {}}),
        };
        let report = record_mail_events::handle(
            &self.up.app,
            json!({"source": "aws.ses", "detail": detail}),
        )
        .await
        .expect("the database answers");
        self.log.push(format!("{kind} {index}: {report:?}"));

        let athlete = &mut self.athletes[index];
        let gives_up = athlete.attempts >= 8 || athlete.age >= GOOD_FOR;
        let next = match (kind, athlete.status) {
            ("Delivery", "sent") => "delivered",
            ("Permanent", "sent" | "delivered") => "bounced",
            ("Transient", "sent" | "delivered") => {
                if gives_up {
                    "bounced"
                } else {
                    "queued"
                }
            }
            ("Complaint", "sent" | "delivered" | "bounced") => "complained",
            _ => athlete.status,
        };
        assert_eq!(
            matches!(report, Report::Recorded { .. }),
            next != athlete.status,
            "{:#?}",
            self.log
        );
        athlete.status = next;
    }

    /// A day passes, so that every back-off is over; then the relay runs.
    async fn relay(&mut self) {
        self.time_passes(DAY).await;
        let endpoint = (!self.provider_is_up).then_some(NOBODY_LISTENS);
        let relay = self
            .up
            .relay(TestApp::sender(self.up.shared, endpoint))
            .await;
        let report = deliver_invitations::handle(&relay, Instant::now() + Duration::from_mins(1))
            .await
            .expect("the database answers");
        self.log.push(format!("relay: {report:?}"));
        for athlete in self
            .athletes
            .iter_mut()
            .filter(|athlete| athlete.status == "queued" && athlete.age < GOOD_FOR)
        {
            athlete.attempts += 1;
            athlete.status = if self.provider_is_up {
                "sent"
            } else if athlete.attempts >= 8 {
                "failed"
            } else {
                "queued"
            };
        }
    }

    async fn check(&self) {
        let roster = self
            .owner
            .get(&format!("/businesses/{}/athletes?limit=200", self.gym))
            .await
            .expect(200);
        let items = roster["items"].as_array().expect("a list");
        assert_eq!(items.len(), self.athletes.len());
        for athlete in &self.athletes {
            let item = items
                .iter()
                .find(|item| item["id"] == athlete.id)
                .expect("the athlete is on the roster");
            let seen = (
                item["invitation"]["status"].as_str(),
                item["linked"].as_bool(),
                &item["athlete_code"],
            );
            assert_eq!(
                seen,
                (
                    Some(athlete.shown_status()),
                    Some(athlete.status == "accepted"),
                    if athlete.status == "accepted" {
                        &Value::Null
                    } else {
                        &athlete.code
                    }
                ),
                "{athlete:#?} {:#?}",
                self.log
            );
        }
        let open = "SELECT count(*) FROM (SELECT FROM invitation WHERE status NOT IN ('accepted', 'revoked', 'expired') GROUP BY athlete_id HAVING count(*) > 1) AS twice";
        assert_eq!(self.up.ask::<i64>(open).await, 0, "{:#?}", self.log);
    }
}
