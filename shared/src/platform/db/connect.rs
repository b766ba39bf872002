use super::{error::server_message, login::Login};
use crate::platform::config::ConfigError;
use deadpool_postgres::Connect;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{
    Client, Config, Connection, Error, NoTls, Socket, config::SslMode, tls::TlsStream,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The longest time that a server is asked to stop a statement that was given up.
pub(super) const CANCEL_BUDGET: Duration = Duration::from_millis(500);

/// Makes connections, each with the login that was read last.
#[derive(Clone)]
pub(super) struct Connector {
    login: Arc<Login>,
    tls: MakeRustlsConnect,
}

impl Connector {
    /// Makes a connector that trusts the root certificates in `ca_file`, or the public ones.
    pub(super) fn new(login: Arc<Login>, ca_file: Option<&str>) -> Result<Self, ConfigError> {
        let roots = match ca_file {
            None => RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            },
            Some(file) => roots_in(file)
                .map_err(|error| ConfigError::one(format!("DATABASE_CA_FILE: {error}")))?,
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(p256_first()))
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            login,
            tls: MakeRustlsConnect::new(tls),
        })
    }
}

impl Connector {
    /// Asks the server to stop what it is doing on this connection: a statement that was given up
    /// would go on, and take effect after the client was told that it failed. `PgBouncer` passes
    /// this on, RDS Proxy does not; then the `statement_timeout` of the role ends the statement.
    pub(super) async fn cancel(&self, client: &Client) {
        let Some(login) = self.login.last_read() else {
            return;
        };
        let token = client.cancel_token();
        let asked = async {
            if login.get_ssl_mode() == SslMode::Disable {
                token.cancel_query(NoTls).await
            } else {
                token.cancel_query(self.tls.clone()).await
            }
        };
        match timeout(CANCEL_BUDGET, asked).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    error = server_message(&error),
                    "a statement is not cancelled"
                );
            }
            Err(_elapsed) => tracing::warn!("a statement is not cancelled in time"),
        }
    }
}

fn roots_in(file: &str) -> Result<RootCertStore, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        Err("holds no certificate".into())
    } else {
        Ok(roots)
    }
}

/// The cryptography of TLS, with P-256 as the first guess for the key exchange: PostgreSQL uses it
/// by default (`ssl_ecdh_curve`), and a right guess saves a round trip.
fn p256_first() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider
        .kx_groups
        .sort_by_key(|group| group.name() != rustls::NamedGroup::secp256r1);
    provider
}

impl Connect for Connector {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + '_>> {
        let login = self
            .login
            .last_read()
            .expect("the pool is asked for a connection only once the login is read");
        Box::pin(async move {
            if login.get_ssl_mode() == SslMode::Disable {
                login.connect(NoTls).await.map(in_background)
            } else {
                login.connect(self.tls.clone()).await.map(in_background)
            }
        })
    }
}

/// Drives a connection until it ends. The statement that waits for it gets the error.
fn in_background<T>(
    (client, connection): (Client, Connection<Socket, T>),
) -> (Client, JoinHandle<()>)
where
    T: TlsStream + Unpin + Send + 'static,
{
    (client, tokio::spawn(async { drop(connection.await) }))
}
