use super::Address;
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

/// The time after which a connection counts as dead if the server has not acknowledged what was
/// sent. A connection can die unnoticed: its environment is frozen, and a NAT gateway forgets it
/// meanwhile. Within the budget there is time left to send again over a new one.
const DEAD_PEER: Duration = Duration::from_secs(1);

/// The address and the credentials of the database. The secret is read when it is first needed, and
/// again after the server has refused it.
pub(super) struct Login {
    secrets: Client,
    secret_id: String,
    address: Address,
    known: RwLock<Known>,
    reading: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    config: Option<Arc<Config>>,
    is_refused: bool,
}

/// PostgreSQL's default port, used where neither the secret nor the configuration names one.
const PORT: u16 = 5432;

/// The JSON of RDS's secrets, and `sslmode`, as libpq names it. A secret that RDS manages holds
/// only the user and the password; variables then name the host and the database.
#[derive(Deserialize)]
struct Secret {
    host: Option<String>,
    port: Option<u16>,
    username: String,
    password: String,
    dbname: Option<String>,
    sslmode: Option<String>,
}

impl Login {
    pub(super) fn new(aws: &SdkConfig, secret_id: String, address: Address) -> Self {
        Self {
            secrets: Client::new(aws),
            secret_id,
            address,
            known: RwLock::default(),
            reading: Mutex::default(),
        }
    }

    /// The login that was read last.
    pub(super) fn last_read(&self) -> Option<Arc<Config>> {
        self.known().config
    }

    /// The login. It is read from Secrets Manager if none was read yet, or if the server has
    /// refused the last one.
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
        let secret = read(&self.secrets, &self.secret_id).await?;
        let config = Arc::new(configuration(secret, &self.address)?);
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

/// A user of the database, and their password.
pub struct Credentials {
    /// The role's name.
    pub username: String,
    /// In the clear.
    pub password: String,
}

/// The user and the password in a secret.
pub async fn credentials(
    secret_id: &str,
    aws: &SdkConfig,
) -> Result<Credentials, Box<dyn Error + Send + Sync>> {
    let secret = read(&Client::new(aws), secret_id).await?;
    Ok(Credentials {
        username: secret.username,
        password: secret.password,
    })
}

async fn read(secrets: &Client, secret_id: &str) -> Result<Secret, Box<dyn Error + Send + Sync>> {
    let answer = secrets.get_secret_value().secret_id(secret_id).send().await;
    let answer = answer
        .map_err(|error| format!("the secret can't be read: {}", DisplayErrorContext(error)))?;
    secret(answer.secret_string().unwrap_or_default())
}

const LOCK: &str = "nothing panics while it holds this lock";

fn secret(text: &str) -> Result<Secret, Box<dyn Error + Send + Sync>> {
    // The parser's own message could repeat the password.
    serde_json::from_str(text)
        .map_err(|_| "the secret is not RDS's JSON with username and password".into())
}

fn configuration(
    secret: Secret,
    address: &Address,
) -> Result<Config, Box<dyn Error + Send + Sync>> {
    let host = address.host.clone().or(secret.host);
    let host = host.ok_or("the secret has no host, and DATABASE_HOST is not set")?;
    let database = address.database.clone().or(secret.dbname);
    let database = database.ok_or("the secret has no dbname, and DATABASE_NAME is not set")?;
    let port = address.port.or(secret.port).unwrap_or(PORT);
    let ssl_mode = if secret.sslmode.as_deref() == Some("disable") {
        SslMode::Disable
    } else {
        SslMode::Require
    };

    let mut config = Config::new();
    config
        .host(host)
        .port(port)
        .user(secret.username)
        .password(secret.password)
        .dbname(database)
        .ssl_mode(ssl_mode)
        .application_name("gymbrah-onboarding")
        .tcp_user_timeout(DEAD_PEER);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, address: &Address) -> Result<Config, Box<dyn Error + Send + Sync>> {
        configuration(secret(text)?, address)
    }
    use tokio_postgres::config::Host;

    const WHOLE: &str = r#"{"engine": "postgres", "host": "db.example", "port": 6432, "username": "u", "password": "p", "dbname": "d"}"#;

    /// A secret that RDS manages.
    const MANAGED: &str = r#"{"username": "u", "password": "p"}"#;

    fn address(host: &str, port: u16, database: &str) -> Address {
        Address {
            host: Some(host.to_owned()),
            port: Some(port),
            database: Some(database.to_owned()),
        }
    }

    /// Host, port and database of a login.
    fn place(config: &Config) -> (&[Host], &[u16], Option<&str>) {
        (config.get_hosts(), config.get_ports(), config.get_dbname())
    }

    fn host(name: &str) -> [Host; 1] {
        [Host::Tcp(name.to_owned())]
    }

    #[test]
    fn tls_is_required_unless_sslmode_is_disable() {
        let tls = |secret: &str| parse(secret, &Address::default()).unwrap().get_ssl_mode();
        assert_eq!(tls(WHOLE), SslMode::Require);
        for (sslmode, expected) in [
            ("disable", SslMode::Disable),
            ("prefer", SslMode::Require),
            ("verify-full", SslMode::Require),
        ] {
            let secret = WHOLE.replace('{', &format!(r#"{{"sslmode": "{sslmode}", "#));
            assert_eq!(tls(&secret), expected, "{sslmode}");
        }
    }

    #[test]
    fn configured_address_goes_before_the_secrets() {
        let login = parse(WHOLE, &Address::default()).unwrap();
        assert_eq!(
            place(&login),
            (&host("db.example")[..], &[6432][..], Some("d"))
        );

        let proxy = address("proxy.example", 7432, "gym");
        for secret in [WHOLE, MANAGED] {
            let login = parse(secret, &proxy).unwrap();
            assert_eq!(
                place(&login),
                (&host("proxy.example")[..], &[7432][..], Some("gym"))
            );
            assert_eq!(login.get_user(), Some("u"));
            assert_eq!(login.get_password(), Some(&b"p"[..]));
        }
    }

    #[test]
    fn missing_host_or_dbname_names_the_variable() {
        let proxy = address("proxy.example", 7432, "gym");
        for (address, expected) in [
            (
                Address {
                    host: None,
                    ..proxy.clone()
                },
                "the secret has no host, and DATABASE_HOST is not set",
            ),
            (
                Address {
                    database: None,
                    ..proxy.clone()
                },
                "the secret has no dbname, and DATABASE_NAME is not set",
            ),
        ] {
            assert_eq!(parse(MANAGED, &address).unwrap_err().to_string(), expected);
        }
        let login = parse(
            MANAGED,
            &Address {
                port: None,
                ..proxy
            },
        )
        .unwrap();
        assert_eq!(login.get_ports(), [PORT]);
    }

    #[test]
    fn malformed_secret_is_not_repeated_in_the_error() {
        for secret in [
            "",
            "hunter2",
            r#"{"host": "db.example", "port": "hunter2"}"#,
            r#"{"username": "hunter2", "host": "db.example", "dbname": "d"}"#,
        ] {
            let error = parse(secret, &Address::default()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
