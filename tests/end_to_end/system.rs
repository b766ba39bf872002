use local::{
    gateway::SignIn,
    lambda::Instances,
    services::Services,
    stack::{Options, Stack},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::sync::Arc;
use tests::{contract::Contract, run, shared};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// The running system, as its users see it.
pub struct System {
    pub stack: Stack,
    pub contract: Contract,
    http: Client,
}

/// An answer, which the contract has been found to allow.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Seconds to wait before the next try.
    pub retry_after: Option<u64>,
    pub body: Value,
}

/// Somebody with a token, or without one.
#[derive(Clone)]
pub struct Visitor {
    system: &'static System,
    pub token: Option<String>,
}

/// Tells whoever runs the tests with `--nocapture` a figure.
#[expect(
    clippy::print_stdout,
    reason = "it is what tests print that is asked for"
)]
pub fn report(line: &str) {
    println!("{line}");
}

/// Runs a test on the system that the tests of this program share, whose functions take several
/// requests at once.
pub fn with_system(test: impl AsyncFnOnce(&'static System)) {
    static SYSTEM: OnceCell<System> = OnceCell::const_new();
    run(async {
        let system = SYSTEM
            .get_or_init(|| System::on_shared(Instances::Concurrent(8)))
            .await;
        test(system).await;
    });
}

/// Runs a test on a system of its own, of which each function has so many environments that take
/// one request at a time.
pub fn with_environments(number: u16, test: impl AsyncFnOnce(&'static System)) {
    run(async {
        let system: &'static System =
            Box::leak(Box::new(System::on_shared(Instances::Serial(number)).await));
        test(system).await;
        system
            .stack
            .lambda()
            .stop()
            .await
            .expect("the functions end");
    });
}

impl System {
    async fn on_shared(instances: Instances) -> Self {
        let options = Options {
            instances,
            ..Options::default()
        };
        Self::start(Arc::clone(&shared().await.services), options).await
    }

    /// Starts a system on services that run already.
    pub async fn start(services: Arc<Services>, options: Options) -> Self {
        let contract = Contract::read(&services.workspace.root);
        let stack = Stack::start_on(services, options)
            .await
            .expect("the system starts");
        Self {
            stack,
            contract,
            http: Client::new(),
        }
    }

    /// Somebody who has signed up with this address, and proved it.
    pub fn visitor(&'static self, email: &str) -> Visitor {
        let who = SignIn {
            email: email.to_owned(),
            email_verified: true,
            full_name: None,
            sub: None,
            claims: serde_json::Map::new(),
        };
        let token = self
            .stack
            .sign_in(&who)
            .expect("the local issuer signs")
            .token;
        Visitor {
            system: self,
            token: Some(token),
        }
    }

    /// Somebody without a token, or with this one.
    pub fn stranger(&'static self, token: Option<&str>) -> Visitor {
        Visitor {
            system: self,
            token: token.map(str::to_owned),
        }
    }
}

impl Visitor {
    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, None).await
    }

    /// Sends a request, and holds the answer to the contract.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self.system.http.request(
            method.clone(),
            format!("{}{path}", self.system.stack.base_url()),
        );
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the gateway answers");
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().expect("ASCII").to_owned())
        };
        let content_type = header("content-type");
        let retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
        let body = response.json().await.unwrap_or(Value::Null);
        if let Some(route) = self.system.contract.path_of(method.as_str(), path) {
            self.system.contract.check(
                method.as_str(),
                &route,
                status,
                content_type.as_deref().unwrap_or_default(),
                &body,
            );
        }
        Response {
            status,
            retry_after,
            body,
        }
    }

    pub async fn opens_gym(&self, name: &str) -> Uuid {
        self.post("/businesses", json!({"name": name}))
            .await
            .expect(201)["id"]
            .as_str()
            .expect("a text")
            .parse()
            .expect("an id")
    }

    pub async fn registers(&self, gym: Uuid, email: &str) -> Value {
        self.post(
            &format!("/businesses/{gym}/athletes"),
            json!({"email": email}),
        )
        .await
        .expect(201)
    }
}

impl Response {
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        self.body
    }
}
