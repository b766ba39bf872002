use shared::{
    invitations::{delivery::InvitationSender, mail::MailConfig},
    platform::{
        config::{ConfigError, Variables, variables},
        db::{Db, DbConfig},
    },
};

/// Invitations a second, unless `SEND_RATE` says otherwise: what SES allows an account that has just left the sandbox
/// (<https://docs.aws.amazon.com/ses/latest/dg/quotas.html>).
const SEND_RATE: u16 = 14;

/// Connections to the database: outcomes are recorded while others are still being sent.
const CONNECTIONS: usize = 4;

/// What the function works with. It is made once for an environment's life.
pub struct App {
    /// The database, which is the outbox.
    pub db: Db,
    /// Sends the invitations.
    pub sender: InvitationSender,
    /// How many it may send in a second.
    pub send_rate: u16,
}

impl App {
    /// From the environment variables.
    pub async fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(variables()).await
    }

    /// From variables that are found otherwise.
    pub async fn from_variables(
        mut variables: Variables<impl Fn(&str) -> Option<String>>,
    ) -> Result<Self, ConfigError> {
        let db = DbConfig::from_variables(&mut variables);
        let mail = MailConfig::from_variables(&mut variables);
        let send_rate = variables.optional("SEND_RATE").unwrap_or(SEND_RATE);
        let (db, mail) = variables.finish(db.zip(mail))?;

        let aws = shared::platform::aws::config().await;
        let db = DbConfig {
            connections: CONNECTIONS,
            ..db
        };
        Ok(Self {
            db: Db::open(db, &aws).await?,
            sender: InvitationSender::new(mail, &aws),
            send_rate: send_rate.max(1),
        })
    }
}
