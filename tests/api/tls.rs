use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use shared::db::QueryError;
use std::{net::Ipv4Addr, sync::Arc};
use tests::{TestApp, story};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

#[test]
fn the_server_must_show_a_certificate_of_the_authority_and_of_its_name() {
    story(async |app| {
        let authority = Authority::new();
        let (right, wrong) = (
            authority.server(app, "localhost").await,
            authority.server(app, "elsewhere.example").await,
        );
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), authority.0.pem()).expect("the certificate is written");
        let trusted = Some(file.path().to_string_lossy().into_owned());

        assert!(
            asks(app, right, trusted.clone()).await.is_ok(),
            "the right name, and the authority is trusted"
        );
        for (what, port, ca_file) in [
            ("an authority that nobody knows", right, None),
            ("the name of another server", wrong, trusted),
        ] {
            let refusal = asks(app, port, ca_file).await.expect_err(what);
            assert!(
                matches!(refusal, QueryError::Unavailable(_)),
                "{what}: {refusal}"
            );
            let told = refusal.to_string();
            assert!(
                told.contains("TLS handshake") && told.contains("certificate"),
                "{what}: {told}"
            );
        }
    });
}

#[test]
fn without_encryption_nothing_is_said_unless_the_secret_allows_it() {
    story(async |app| {
        let secret = app.shared.postgres.secret(&app.database);
        let port = secret["port"]
            .as_u64()
            .and_then(|port| port.try_into().ok())
            .expect("a port");
        let refusal = asks(app, port, None)
            .await
            .expect_err("this server speaks in the clear");
        assert!(
            refusal.to_string().contains("does not support TLS"),
            "{refusal}"
        );
    });
}

/// Asks the server on this port of the loopback address something, by a secret that says nothing of encryption.
async fn asks(app: &TestApp, port: u16, ca_file: Option<String>) -> Result<(), QueryError> {
    let mut secret = app.shared.postgres.secret(&app.database);
    let members = secret.as_object_mut().expect("an object");
    members.remove("sslmode");
    members.insert("host".to_owned(), json!("localhost"));
    members.insert("port".to_owned(), json!(port));
    let db = app.db_by(&secret, ca_file).await;
    db.query("SELECT 1", &[]).await.map(drop)
}

/// Who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// The port of a server that shows a certificate of this name and has the test's PostgreSQL behind it: not every PostgreSQL
    /// was built to encrypt, and one's own would have to be restarted for each name.
    async fn server(&self, app: &TestApp, name: &str) -> u16 {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("the key is the certificate's")));

        let secret = app.shared.postgres.secret(&app.database);
        let postgres = format!(
            "{}:{}",
            secret["host"].as_str().expect("a host"),
            secret["port"]
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(encrypt(client, acceptor.clone(), postgres.clone()));
            }
        });
        port
    }
}

/// Answers the request for encryption (PostgreSQL, 55.2.10), and hands on what is said then.
async fn encrypt(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    postgres: String,
) -> std::io::Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    assert_eq!(
        request,
        [0, 0, 0, 8, 4, 210, 22, 47],
        "the first thing that is said is that it should be encrypted"
    );
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(postgres).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
