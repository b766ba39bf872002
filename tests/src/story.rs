use crate::{
    contract::Contract,
    functions::invoke,
    log::overhear,
    lossy::Lossy,
    services::{Shared, run, shared},
    wiretap::Wiretap,
};
use ::shared::{
    domain::AthleteCode,
    invitations::{delivery::InvitationSender, mail::MailConfig},
    platform::{
        App,
        db::{Address, Db, DbConfig},
    },
};
use aws_config::SdkConfig;
use jiff::Timestamp;
use lambda_http::http::{HeaderMap, Request};
use local::{
    aws::Message,
    gateway::{Routes, event},
};
use serde_json::{Value, json, value::RawValue};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

/// Connections of one test's application: several requests of a test may be on their way at once.
const CONNECTIONS: usize = 16;

/// Where the app is that codes are typed into.
pub const APP_URL: &str = "https://app.gymbrah.example";

/// The address of whoever sends requests; one of those that are kept for documentation.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Runs a test with an application on a database of its own, which is dropped once the test has
/// passed.
pub fn story(tell: impl AsyncFnOnce(&'static TestApp)) {
    run(async {
        let app: &'static TestApp = Box::leak(Box::new(TestApp::new().await));
        tell(app).await;
        app.shared
            .postgres
            .drop_database(&app.database)
            .await
            .expect("the test's database can be dropped");
    });
}

/// The five functions on one database, called with the events that API Gateway would make.
pub struct TestApp {
    /// What the tests share.
    pub shared: &'static Shared,
    /// The name of this test's database.
    pub database: String,
    /// What most functions work with.
    pub app: App,
    /// What `register-athlete` works with.
    pub registrar: register_athlete::App,
    contract: Contract,
}

/// An answer, which the contract has been found to allow.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The JSON; null where there is none.
    pub body: Value,
}

impl Response {
    /// The value of a header; empty where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Seconds to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.header("retry-after").parse().ok()
    }

    /// The last part of a problem's `type`; empty where it is no problem.
    #[must_use]
    pub fn problem(&self) -> &str {
        self.body["type"]
            .as_str()
            .and_then(|urn| urn.strip_prefix("urn:gymbrah:problem:"))
            .unwrap_or_default()
    }

    /// Where the faults are that the answer names, in their order.
    #[must_use]
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        errors
            .iter()
            .filter_map(|error| error["pointer"].as_str())
            .collect()
    }

    /// The body of an answer that must have this status.
    #[expect(clippy::must_use_candidate, reason = "often only the status matters")]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }

    /// The id in the body.
    #[must_use]
    pub fn id(&self) -> Uuid {
        id(&self.body["id"])
    }
}

/// An id in an answer.
#[must_use]
pub fn id(value: &Value) -> Uuid {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| panic!("{value} is no id"))
}

impl TestApp {
    /// Another application like this one, on another database.
    pub async fn fresh(&self) -> &'static Self {
        Box::leak(Box::new(Self::new().await))
    }

    async fn new() -> Self {
        let shared = shared().await;
        let database = shared
            .postgres
            .migrated_database("test")
            .await
            .expect("a database can be made");
        shared
            .aws
            .put_secret(&database, &shared.postgres.secret(&database))
            .await
            .expect("a secret can be stored");
        let registrar = register_athlete::App {
            db: Self::db(shared, &database).await,
            app_url: APP_URL.parse().expect("an address"),
            sender: Self::sender(shared, None),
            invitation_days: 30,
            draw_code: AthleteCode::draw,
        };
        Self {
            shared,
            app: App {
                db: Self::db(shared, &database).await,
            },
            registrar,
            contract: Contract::read(&shared.workspace.root),
            database,
        }
    }

    async fn db(shared: &Shared, database: &str) -> Db {
        let config = DbConfig {
            secret_id: database.to_owned(),
            address: Address::default(),
            ca_file: None,
            connections: CONNECTIONS,
        };
        Db::open(config, &shared.sdk_config(None))
            .await
            .expect("the configuration has no faults")
    }

    /// This test's database, as another secret has it; with one connection.
    pub async fn db_by(&self, secret: &Value, ca_file: Option<String>) -> Db {
        let secret_id = Uuid::now_v7().to_string();
        self.shared
            .aws
            .put_secret(&secret_id, secret)
            .await
            .expect("a secret can be stored");
        self.db_of(&secret_id, ca_file).await
    }

    /// The same with a secret that is stored already, and may change.
    pub async fn db_of(&self, secret_id: &str, ca_file: Option<String>) -> Db {
        let config = DbConfig {
            secret_id: secret_id.to_owned(),
            address: Address::default(),
            ca_file,
            connections: 1,
        };
        Db::open(config, &self.shared.sdk_config(None))
            .await
            .expect("the configuration has no faults")
    }

    /// A sender that finds SES and SNS in the emulation, or at another endpoint.
    #[must_use]
    pub fn sender(shared: &Shared, endpoint: Option<&str>) -> InvitationSender {
        Self::sender_of(&shared.sdk_config(endpoint))
    }

    /// A sender with this configuration of the SDK.
    #[must_use]
    pub fn sender_of(sdk_config: &SdkConfig) -> InvitationSender {
        let config = MailConfig {
            from: format!("GymBrah <{}>", local::aws::SENDER)
                .parse()
                .expect("a sender"),
            configuration_set: None,
            app_url: APP_URL.parse().expect("an address"),
        };
        InvitationSender::new(config, sdk_config)
    }

    /// What `deliver-invitations` works with, on this test's database.
    pub async fn relay(&self, sender: InvitationSender) -> deliver_invitations::App {
        deliver_invitations::App {
            db: Self::db(self.shared, &self.database).await,
            sender,
            send_rate: 100,
        }
    }

    /// Lets time pass: everything that happened, and everything that is planned, is so much longer
    /// ago or sooner.
    pub async fn time_passes(&self, time: Duration) {
        let sql = format!(
            "UPDATE invitation SET created_at = created_at - passed, sent_at = sent_at - passed, expires_at = expires_at - passed,
                                   next_attempt_at = next_attempt_at - passed, registered_at = registered_at - passed
             FROM make_interval(secs => {seconds}) AS passed;
             UPDATE athlete SET created_at = created_at - passed, linked_at = linked_at - passed
             FROM make_interval(secs => {seconds}) AS passed",
            seconds = time.as_secs_f64()
        );
        self.shared
            .postgres
            .run(&self.database, &sql)
            .await
            .expect("time passes");
    }

    /// The same application with another `register-athlete`.
    pub async fn with_registrar(
        &self,
        change: impl FnOnce(&mut register_athlete::App),
    ) -> &'static Self {
        let mut changed = Self {
            shared: self.shared,
            database: self.database.clone(),
            app: App {
                db: Self::db(self.shared, &self.database).await,
            },
            registrar: register_athlete::App {
                db: Self::db(self.shared, &self.database).await,
                app_url: self.registrar.app_url.clone(),
                sender: Self::sender(self.shared, None),
                ..self.registrar
            },
            contract: Contract::read(&self.shared.workspace.root),
        };
        change(&mut changed.registrar);
        Box::leak(Box::new(changed))
    }

    /// The same application, with a wiretap on its way to the database. Whatever is made of it from
    /// now on has one too.
    pub async fn overheard(&self) -> (&'static Self, Wiretap) {
        let wiretap = Wiretap::on(&self.shared.postgres.secret(&self.database)).await;
        (self.by_port(wiretap.port()).await, wiretap)
    }

    /// The same application, with a place on its way to the database at which answers get lost.
    /// Whatever is made of it from now on has one too.
    pub async fn lossy(&self) -> (&'static Self, Lossy) {
        let lossy = Lossy::on(&self.shared.postgres.secret(&self.database)).await;
        (self.by_port(lossy.port()).await, lossy)
    }

    /// The same application, which finds the database at another port of this machine.
    async fn by_port(&self, port: u16) -> &'static Self {
        let mut secret = self.shared.postgres.secret(&self.database);
        secret["host"] = json!("127.0.0.1");
        secret["port"] = json!(port);
        self.shared
            .aws
            .put_secret(&self.database, &secret)
            .await
            .expect("a secret can be stored");
        self.with_registrar(|_| {}).await
    }

    /// Somebody with an account whose email is verified.
    #[must_use]
    pub fn person(&'static self, email: &str) -> Person {
        self.person_with(&json!({"email": email, "email_verified": "true"}))
    }

    /// Somebody with an account, whose token makes these claims.
    #[must_use]
    pub fn person_with(&'static self, claims: &Value) -> Person {
        let id = Uuid::now_v7();
        let mut all = json!({"sub": id});
        all.as_object_mut()
            .expect("an object")
            .extend(claims.as_object().cloned().unwrap_or_default());
        Person {
            app: self,
            id,
            claims: Some(all),
        }
    }

    /// Somebody without an account.
    #[must_use]
    pub fn stranger(&'static self) -> Person {
        Person {
            app: self,
            id: Uuid::nil(),
            claims: None,
        }
    }

    /// Calls the function behind the event's route, and holds the answer to the contract.
    pub async fn call(&self, event: &Value) -> Response {
        let route_key = event["routeKey"]
            .as_str()
            .expect("the event has a route key");
        let (method, path) = route_key
            .split_once(' ')
            .expect("a route key is a method and a path");
        let routes = &self.shared.template.routes;
        let route = routes
            .iter()
            .find(|route| route.method == method && route.path == path);
        let route = route.unwrap_or_else(|| panic!("the template has no {route_key}"));

        let response = self.invoke(&route.function, event).await;
        self.contract.check(
            method,
            path,
            response.status,
            response.header("content-type"),
            &response.body,
        );
        response
    }

    /// Hands a function an event, as Lambda does, and holds what it logs to saying nothing of what
    /// was said.
    pub async fn invoke(&self, function: &str, event: &Value) -> Response {
        let payload = RawValue::from_string(event.to_string()).expect("JSON");
        let (response, log) = overhear(invoke(&self.app, &self.registrar, function, payload)).await;
        let response = Response {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.json(),
        };
        assert_eq!(log.request()["status"], response.status);
        log.keeps_to_itself(event, &response.body);
        response
    }

    /// What a statement says of this test's database: the first column of its first row.
    pub async fn ask<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.app
            .db
            .query_one(sql, &[])
            .await
            .expect("the statement runs")
            .get(0)
    }

    /// The mails, or text messages, that were sent to an address or a number, the newest first.
    pub async fn mails_to(&self, address: &str) -> Vec<Arc<Message>> {
        let outbox = self.shared.aws.outbox().await;
        outbox.to(address).cloned().collect()
    }
}

/// Somebody who sends requests.
#[derive(Clone)]
pub struct Person {
    app: &'static TestApp,
    /// The `sub` of their token.
    pub id: Uuid,
    claims: Option<Value>,
}

impl Person {
    /// The person's own id, which they have once they have signed in.
    pub async fn user_id(&self) -> Uuid {
        let sql = format!("SELECT user_id FROM identity WHERE subject = '{}'", self.id);
        self.app.ask(&sql).await
    }

    /// The same person, at another application.
    #[must_use]
    pub fn through(&self, app: &'static TestApp) -> Self {
        Self {
            app,
            ..self.clone()
        }
    }

    /// Sends a POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.send("POST", path, Some(&body.to_string())).await
    }

    /// Sends a POST with a JSON body and the header `Idempotency-Key`.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Response {
        let mut event = self.event("POST", path, Some(&body.to_string()));
        event["headers"]["idempotency-key"] = json!(key);
        self.app.call(&event).await
    }

    /// Sends a PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Response {
        self.send("PATCH", path, Some(&body.to_string())).await
    }

    /// Sends a DELETE.
    pub async fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, None).await
    }

    /// Sends a GET; the path may have a query.
    pub async fn get(&self, path: &str) -> Response {
        self.send("GET", path, None).await
    }

    /// Sends a request.
    pub async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Response {
        self.app.call(&self.event(method, path, body)).await
    }

    /// The event that API Gateway would make of a request.
    #[must_use]
    pub fn event(&self, method: &str, path_and_query: &str, body: Option<&str>) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path_and_query)
            .header("content-type", "application/json")
            .header("user-agent", "tests");
        let (request, ()) = request
            .body(())
            .expect("the path can be asked for")
            .into_parts();
        let routes = Routes::new(self.app.shared.template.routes.clone());
        let route = routes
            .find(method, request.uri.path())
            .unwrap_or_else(|| panic!("the template has no {method} {path_and_query}"));
        let claims = self.claims.as_ref().and_then(Value::as_object).cloned();
        let body = body.unwrap_or_default().as_bytes();
        let mut event = event(
            &route,
            &request,
            body,
            SOURCE,
            claims,
            Timestamp::UNIX_EPOCH,
        );
        event["requestContext"]["requestId"] = json!("a-request");
        event
    }

    /// Opens a gym and gives its id.
    pub async fn opens_gym(&self, name: &str) -> Uuid {
        id(&self
            .post("/businesses", &json!({"name": name}))
            .await
            .expect(201)["id"])
    }

    /// Registers an athlete in a gym, for the first time.
    pub async fn registers(&self, gym: Uuid, athlete: &Value) -> Value {
        self.post(&format!("/businesses/{gym}/athletes"), athlete)
            .await
            .expect(201)
    }

    /// Writes a workout and gives its id.
    pub async fn writes_workout(&self, name: &str) -> Uuid {
        id(&self
            .post("/workouts", &json!({"name": name}))
            .await
            .expect(201)["id"])
    }

    /// Asks to be linked, by the verified email alone or with a code.
    pub async fn links(&self, code: Option<&Value>) -> Response {
        let body = code.map_or_else(|| json!({}), |code| json!({"athlete_code": code}));
        self.post("/signup-link", &body).await
    }
}
