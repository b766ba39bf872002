//! A client of the API that shows what it does.

#![expect(
    clippy::print_stdout,
    reason = "the walk is shown to the person who started it"
)]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::brief::{brief, brief_path};

/// The longest time that a mail may be on its way.
const MAIL_TIME: Duration = Duration::from_secs(5);

/// Sends requests to a gateway and prints them, numbered by steps.
pub(super) struct Client {
    http: reqwest::Client,
    base_url: String,
    steps: usize,
}

/// A request, and the status with which it is to be answered.
pub(super) struct Call {
    method: Method,
    path: String,
    body: Option<Body>,
    token: Option<String>,
    expected: u16,
}

/// The body of a request.
enum Body {
    Json(Value),
    Csv(&'static str),
}

/// Someone who has signed in.
#[derive(Deserialize)]
pub(super) struct User {
    token: String,
}

/// A mail in the inbox.
#[derive(Deserialize)]
pub(super) struct Mail {
    /// The subject.
    pub subject: Option<String>,
    /// The text part.
    pub text: String,
}

/// A `GET` that is answered with 200.
pub(super) fn get(path: &str) -> Call {
    Call {
        method: Method::GET,
        path: path.to_owned(),
        body: None,
        token: None,
        expected: 200,
    }
}

/// A `POST` that is answered with 200.
pub(super) fn post(path: &str, body: Value) -> Call {
    Call {
        method: Method::POST,
        body: Some(Body::Json(body)),
        ..get(path)
    }
}

/// A `PATCH` that is answered with 200.
pub(super) fn patch(path: &str, body: Value) -> Call {
    Call {
        method: Method::PATCH,
        ..post(path, body)
    }
}

/// A `POST` of a table that is answered with 200.
pub(super) fn post_csv(path: &str, table: &'static str) -> Call {
    Call {
        method: Method::POST,
        body: Some(Body::Csv(table)),
        ..get(path)
    }
}

impl Call {
    /// The same with the token of a user.
    pub fn by(mut self, user: &User) -> Self {
        self.token = Some(user.token.clone());
        self
    }

    /// The same with another status for its answer.
    pub fn expect(mut self, status: u16) -> Self {
        self.expected = status;
        self
    }
}

impl Client {
    pub fn new(base_url: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .context("can't make an HTTP client")?;
        Ok(Self {
            http,
            base_url: base_url.to_owned(),
            steps: 0,
        })
    }

    /// Announces the next step.
    pub fn step(&mut self, what: &str) {
        self.steps += 1;
        println!("\n{:>2}  {what}", self.steps);
    }

    /// Prints a line that belongs to the current step.
    #[expect(
        clippy::unused_self,
        reason = "what is shown belongs to a step of this client"
    )]
    pub fn show(&self, line: &str) {
        println!("      {line}");
    }

    /// Sends a request and shows it with its answer, which is returned if it has the expected
    /// status.
    pub async fn send(&self, call: Call) -> Result<Value> {
        let line = format!("{} {}", call.method, brief_path(&call.path));
        let shown = match &call.body {
            None => String::new(),
            Some(Body::Json(value)) => format!("  {}", brief(value)),
            Some(Body::Csv(table)) => format!("  {}", brief(&json!(table))),
        };
        println!("    {line}{shown}");

        let mut request = self
            .http
            .request(call.method, format!("{}{}", self.base_url, call.path));
        request = match call.body {
            None => request,
            Some(Body::Json(value)) => request.json(&value),
            Some(Body::Csv(table)) => request.header("content-type", "text/csv").body(table),
        };
        if let Some(token) = call.token {
            request = request.bearer_auth(token);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{line} got no answer"))?;
        let status = response.status().as_u16();
        let body = response
            .text()
            .await
            .with_context(|| format!("{line}: the answer breaks off"))?;
        let answer = serde_json::from_str(&body).unwrap_or(Value::String(body));

        let holds = status == call.expected;
        println!(
            "    {} {status}  {}",
            if holds { '✓' } else { '✗' },
            brief(&answer)
        );
        if !holds {
            bail!(
                "{line} was answered with {status} where {} was expected: {answer}",
                call.expected
            );
        }
        Ok(answer)
    }

    /// Fails the current step unless what is said of its answer is so.
    pub fn check(&self, what: &str, is_so: bool) -> Result<()> {
        if !is_so {
            self.show(&format!("✗ expected: {what}"));
            bail!("it was expected that {what}");
        }
        Ok(())
    }

    /// Signs in at the local issuer.
    pub async fn sign_in(&self, email: &str, full_name: &str) -> Result<User> {
        let who = json!({"email": email, "full_name": full_name});
        let answer = self.send(post("/_local/token", who)).await?;
        serde_json::from_value(answer).context("the answer has no token")
    }

    /// The newest mail to an address, once it is in the inbox.
    pub async fn mail_to(&self, address: &str) -> Result<Mail> {
        let path = format!("/_local/inbox?to={address}");
        println!("    GET {path}");
        let deadline = Instant::now() + MAIL_TIME;
        loop {
            let request = self
                .http
                .get(format!("{}{path}", self.base_url))
                .header("accept", "application/json");
            let inbox: Vec<Mail> = request
                .send()
                .await?
                .error_for_status()?
                .json()
                .await
                .context("can't read the inbox")?;
            if let Some(mail) = inbox.into_iter().next() {
                println!("    ✓ 200");
                return Ok(mail);
            }
            if Instant::now() > deadline {
                println!("    ✗ no mail to {address}");
                bail!("no mail to {address} came within {} s", MAIL_TIME.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
