use shared::{
    invitations::{delivery::InvitationSender, mail::MailConfig},
    platform::{
        config::{ConfigError, Variables, variables},
        db::{Db, DbConfig},
    },
};

/// The number of invitations in a second, unless `SEND_RATE` says otherwise: SES's quota for an
/// account that has just left the sandbox
/// (<https://docs.aws.amazon.com/ses/latest/dg/quotas.html>).
const SEND_RATE: u16 = 14;

/// The number of connections to the database: outcomes are recorded while other invitations are
/// still being sent.
const CONNECTIONS: usize = 4;

/// The state of the function. It is made once for the life of an environment.
pub struct App {
    /// The database, which is the outbox.
    pub db: Db,
    pub sender: InvitationSender,
    /// The largest number of invitations in a second.
    pub send_rate: u16,
}

impl App {
    pub async fn from_env() -> Result<Self, ConfigError> {
        Self::from_variables(variables()).await
    }

    /// Makes the state from variables that need not be those of the process, as in tests.
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
