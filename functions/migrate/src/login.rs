use crate::MigrationError;
use postgres_protocol::password::scram_sha_256;
use shared::platform::db::Credentials;
use tokio_postgres::Client;

/// The role that the functions log in as, which the migrations make.
pub const FUNCTIONS_ROLE: &str = "onboarding_functions";

/// Gives the functions' role the password that Secrets Manager has for it, whatever it had before:
/// a new one after a rotation, that of another time after the database was restored.
///
/// The server is sent what it would store, so that no log of statements has the password.
pub async fn let_functions_in(client: &Client, login: &Credentials) -> Result<(), MigrationError> {
    if login.username != FUNCTIONS_ROLE {
        return Err(MigrationError::Login(format!(
            "the functions' secret must be the login of {FUNCTIONS_ROLE}, not of {:?}",
            login.username
        )));
    }
    let verifier = scram_sha_256(login.password.as_bytes());
    client
        .batch_execute(&format!(
            "ALTER ROLE {FUNCTIONS_ROLE} LOGIN PASSWORD '{verifier}'"
        ))
        .await?;
    Ok(())
}
