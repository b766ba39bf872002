//! AWS on the loopback address: moto's server, with what the functions use of it set up.

mod outbox;
mod recorder;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use serde_json::Value;

pub use outbox::{Channel, Message, Outbox};
use recorder::Recorder;

use crate::child::{Child, Stop, guarded};
use crate::logs::Logs;
use crate::port;
use crate::tools::Tools;

/// The region everything is in; any would do.
pub const REGION: &str = "eu-south-1";

/// The mail address that invitations are sent from.
pub const SENDER: &str = "invitations@gymbrah.example";

/// Credentials that no AWS account has: nothing here may ever reach the real one.
const ACCESS_KEY: &str = "local";
const SECRET_KEY: &str = "local";

/// A running emulation of SES, SNS and Secrets Manager.
#[derive(Debug)]
pub struct Aws {
    server: Child,
    /// The way to the server, on which what is sent is noted.
    recorder: Recorder,
}

impl Aws {
    /// Starts moto, in about 1 s, and registers the address that mail is sent from.
    pub async fn start(tools: &Tools, logs: &Logs) -> Result<Self> {
        let port = port::free()?;
        let mut command = guarded(tools.python(), Stop::Terminate, None);
        command.args([
            "-m",
            "moto.server",
            "-H",
            "127.0.0.1",
            "-p",
            &port.to_string(),
        ]);
        strip_aws_settings(&mut command);
        let server = Child::spawn("moto", command, &logs.file("moto"))?;
        server
            .ready(Duration::from_secs(30), || port::answers(port))
            .await?;

        let recorder = Recorder::start(port).await?;
        let aws = Self { server, recorder };
        aws.ses()
            .create_email_identity()
            .email_identity(SENDER)
            .send()
            .await
            .context("moto refuses the sender's address")?;
        Ok(aws)
    }

    /// The port on which all services answer.
    pub fn port(&self) -> u16 {
        self.recorder.port()
    }

    /// Where all services answer, for `AWS_ENDPOINT_URL`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// The environment variables with which the SDK finds this emulation.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint()),
        ]
    }

    /// Stores a secret, as a new version if one of this name is there.
    pub async fn put_secret(&self, name: &str, secret: &Value) -> Result<()> {
        let secrets = self.secrets_manager();
        let text = secret.to_string();
        let created = secrets
            .create_secret()
            .name(name)
            .secret_string(&text)
            .send()
            .await;
        match created.map_err(aws_sdk_secretsmanager::Error::from) {
            Err(aws_sdk_secretsmanager::Error::ResourceExistsException(_)) => secrets
                .put_secret_value()
                .secret_id(name)
                .secret_string(text)
                .send()
                .await
                .map(drop)
                .map_err(Into::into),
            other => other.map(drop),
        }
        .with_context(|| format!("can't store the secret {name} in moto"))
    }

    /// Everything that was sent so far, mail and text messages.
    pub async fn outbox(&self) -> Outbox {
        self.recorder.outbox().await
    }

    /// Stops the server.
    pub async fn stop(&self) -> Result<()> {
        self.server.stop().await
    }

    /// A client for Secrets Manager. Made for every use: its connections live on the runtime of the
    /// first, which in tests ends before the next one begins.
    fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(credentials())
            .endpoint_url(self.endpoint())
            .build();
        aws_sdk_secretsmanager::Client::from_conf(config)
    }

    fn ses(&self) -> aws_sdk_sesv2::Client {
        let config = aws_sdk_sesv2::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(credentials())
            .endpoint_url(self.endpoint())
            .build();
        aws_sdk_sesv2::Client::from_conf(config)
    }
}

fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "the local stack")
}

/// Takes away what the developer's shell says about AWS: a profile or a role there must not change
/// what runs here.
pub fn strip_aws_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
    }
}
