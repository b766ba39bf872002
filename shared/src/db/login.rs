use aws_config::SdkConfig;
use aws_sdk_secretsmanager::{Client, error::DisplayErrorContext};
use serde::Deserialize;
use std::{
    error::Error,
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::sync::Mutex;
use tokio_postgres::{Config, config::SslMode};

/// What the server has not acknowledged by then was sent into a dead connection: one that was frozen with its environment
/// while a NAT gateway forgot it. It leaves the budget time to send again over a fresh one.
const DEAD_PEER: Duration = Duration::from_secs(1);

/// Where to connect and as whom: the secret, read when it is first needed and again once the server refuses it.
pub(super) struct Login {
    secrets: Client,
    secret_id: String,
    known: RwLock<Known>,
    reading: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    config: Option<Arc<Config>>,
    is_refused: bool,
}

/// The JSON that RDS keeps in a secret, and `sslmode`, as libpq names it.
#[derive(Deserialize)]
struct Secret {
    host: String,
    port: u16,
    username: String,
    password: String,
    dbname: String,
    sslmode: Option<String>,
}

impl Login {
    pub(super) fn new(aws: &SdkConfig, secret_id: String) -> Self {
        Self {
            secrets: Client::new(aws),
            secret_id,
            known: RwLock::default(),
            reading: Mutex::default(),
        }
    }

    /// The login that was read last.
    pub(super) fn last_read(&self) -> Option<Arc<Config>> {
        self.known().config
    }

    /// The login, read from Secrets Manager where there is none that works.
    pub(super) async fn get(&self) -> Result<Arc<Config>, Box<dyn Error + Send + Sync>> {
        if let Known {
            config: Some(config),
            is_refused: false,
        } = self.known()
        {
            return Ok(config);
        }
        let _one_reads_for_all = self.reading.lock().await;
        if let Known {
            config: Some(config),
            is_refused: false,
        } = self.known()
        {
            return Ok(config);
        }
        let answer = self
            .secrets
            .get_secret_value()
            .secret_id(&self.secret_id)
            .send()
            .await;
        let answer = answer
            .map_err(|error| format!("the secret can't be read: {}", DisplayErrorContext(error)))?;
        let config = Arc::new(parse(answer.secret_string().unwrap_or_default())?);
        *self.known.write().expect(LOCK) = Known {
            config: Some(Arc::clone(&config)),
            is_refused: false,
        };
        Ok(config)
    }

    /// Notes that the server refused this login, unless another request has read a newer one since.
    pub(super) fn refused(&self, refused: &Config) {
        let mut known = self.known.write().expect(LOCK);
        known.is_refused |= known.config.as_deref() == Some(refused);
    }

    fn known(&self) -> Known {
        self.known.read().expect(LOCK).clone()
    }
}

const LOCK: &str = "nothing panics while it holds this lock";

fn parse(secret: &str) -> Result<Config, Box<dyn Error + Send + Sync>> {
    // The parser's own message could repeat the password.
    let secret: Secret = serde_json::from_str(secret).map_err(
        |_| "the secret is not RDS's JSON with host, port, username, password and dbname",
    )?;
    let ssl_mode = if secret.sslmode.as_deref() == Some("disable") {
        SslMode::Disable
    } else {
        SslMode::Require
    };

    let mut config = Config::new();
    config
        .host(secret.host)
        .port(secret.port)
        .user(secret.username)
        .password(secret.password)
        .dbname(secret.dbname)
        .ssl_mode(ssl_mode)
        .application_name("gymbrah-onboarding")
        .tcp_user_timeout(DEAD_PEER);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_a_login_with_tls_unless_it_says_otherwise() {
        let secret = r#"{"engine": "postgres", "host": "db.example", "port": 5432, "username": "u", "password": "p", "dbname": "d"}"#;
        assert_eq!(parse(secret).unwrap().get_ssl_mode(), SslMode::Require);
        for (sslmode, expected) in [
            ("disable", SslMode::Disable),
            ("prefer", SslMode::Require),
            ("verify-full", SslMode::Require),
        ] {
            let secret = secret.replace('{', &format!(r#"{{"sslmode": "{sslmode}", "#));
            assert_eq!(
                parse(&secret).unwrap().get_ssl_mode(),
                expected,
                "{sslmode}"
            );
        }
    }

    #[test]
    fn a_secret_of_another_form_is_not_repeated_in_the_error() {
        for secret in [
            "",
            "hunter2",
            r#"{"host": "db.example", "port": "hunter2"}"#,
        ] {
            assert!(!parse(secret).unwrap_err().to_string().contains("hunter2"));
        }
    }
}
