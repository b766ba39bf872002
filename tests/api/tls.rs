use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use shared::platform::{
    config::Variables,
    db::{Db, DbConfig, QueryError},
};
use std::{net::Ipv4Addr, sync::Arc};
use tempfile::NamedTempFile;
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
fn certificate_of_another_authority_or_name_is_refused() {
    story(async |app| {
        let authority = Authority::new();
        let (right, wrong) = (
            authority.server(app, "localhost").await,
            authority.server(app, "elsewhere.example").await,
        );
        let file = authority.file();
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
fn server_without_tls_gets_no_login_unless_the_secret_allows_it() {
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

/// RDS keeps no more in the secret that it manages; where the database is comes from the stack that
/// made it.
#[test]
fn secret_with_user_and_password_is_enough_with_a_configured_address() {
    story(async |app| {
        let authority = Authority::new();
        let port = authority.server(app, "localhost").await.to_string();
        let file = authority.file();
        let whole = app.shared.postgres.secret(&app.database);
        let managed = json!({"username": whole["username"], "password": whole["password"]});
        app.shared
            .aws
            .put_secret(&app.database, &managed)
            .await
            .expect("a secret can be stored");

        let db = async |host: &'static str| {
            let mut variables = Variables::new(|name| match name {
                "DATABASE_SECRET_ID" | "DATABASE_NAME" => Some(app.database.clone()),
                "DATABASE_HOST" => Some(host.to_owned()),
                "DATABASE_PORT" => Some(port.clone()),
                "DATABASE_CA_FILE" => Some(file.path().to_string_lossy().into_owned()),
                _ => None,
            });
            let config = DbConfig::from_variables(&mut variables);
            let config = variables.finish(config).expect("nothing is wrong");
            Db::open(config, &app.shared.sdk_config(None))
                .await
                .expect("the file has a certificate")
        };
        let reached = db("localhost").await;
        let found = reached.query_one("SELECT current_database()::text", &[]);
        let found: String = found.await.expect("the address is known").get(0);
        assert_eq!(found, app.database);

        let lost = db("").await.query("SELECT 1", &[]).await;
        let told = lost.expect_err("an empty variable is none").to_string();
        assert!(told.contains("DATABASE_HOST is not set"), "{told}");
    });
}

/// Asks the server on this port of the loopback address something, by a secret that says nothing of
/// encryption.
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

    /// A file with its certificate, as `DATABASE_CA_FILE` names one.
    fn file(&self) -> NamedTempFile {
        let file = NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), self.0.pem()).expect("the certificate is written");
        file
    }

    /// The port of a server that shows a certificate of this name and has the test's PostgreSQL
    /// behind it: not every PostgreSQL was built to encrypt, and one's own would have to be
    /// restarted for each name.
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
