use crate::registration::Registration;
use jiff::Timestamp;
use serde::Serialize;
use shared::{
    domain::{AthleteCode, Channel, Email, InvitationStatus, Locale, Name, Phone},
    platform::{
        db::{QueryError, Row, Transaction, Type},
        http::Position,
    },
};
use uuid::Uuid;

/// The columns of the view `roster` that make an [`Athlete`].
macro_rules! roster_columns {
    () => {
        "roster.id, roster.business_id, roster.email, roster.phone, roster.full_name, roster.locale,
         roster.athlete_code, roster.linked_at, roster.created_at, roster.invitation_id,
         roster.invitation_status, roster.invitation_channel, roster.invitation_sent_at,
         roster.invitation_expires_at, roster.invitation_last_error"
    };
}
pub(crate) use roster_columns;

/// $1 athlete.
const READ_ATHLETE: &str = concat!(
    "-- read_athlete
    SELECT ",
    roster_columns!(),
    " FROM roster WHERE id = $1"
);

/// An athlete as the owner of the gym sees them.
#[derive(Serialize)]
pub(crate) struct Athlete {
    pub(crate) id: Uuid,
    business_id: Uuid,
    pub(crate) email: Option<Email>,
    pub(crate) phone: Option<Phone>,
    pub(crate) full_name: Option<Name>,
    pub(crate) locale: Locale,
    pub(crate) athlete_code: AthleteCode,
    linked: bool,
    linked_at: Option<Timestamp>,
    created_at: Timestamp,
    pub(crate) invitation: Invitation,
}

/// The athlete's last invitation.
#[derive(Serialize)]
pub(crate) struct Invitation {
    #[serde(skip)]
    pub(crate) id: Uuid,
    pub(crate) status: InvitationStatus,
    pub(crate) channel: Channel,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    pub(crate) last_error: Option<String>,
}

impl Athlete {
    /// The athlete that was registered just now, with a queued invitation. The columns of `row` are `id`, `created_at`,
    /// `invitation_id` and `expires_at`.
    pub(crate) fn registered(
        row: &Row,
        business_id: Uuid,
        registration: &Registration,
        athlete_code: AthleteCode,
    ) -> Self {
        Self {
            id: row.get("id"),
            business_id,
            email: registration.contact.email.clone(),
            phone: registration.contact.phone.clone(),
            full_name: registration.full_name.clone(),
            locale: registration.locale.clone(),
            athlete_code,
            linked: false,
            linked_at: None,
            created_at: row.get("created_at"),
            invitation: Invitation {
                id: row.get("invitation_id"),
                status: InvitationStatus::Queued,
                channel: registration.channel(),
                sent_at: None,
                expires_at: row.get("expires_at"),
                last_error: None,
            },
        }
    }

    /// Reads the athlete, as they are at this point of the transaction.
    pub(crate) async fn read(tx: &Transaction, id: Uuid) -> Result<Self, QueryError> {
        let row = tx.query_one(READ_ATHLETE, &[(&id, Type::UUID)]).await?;
        Ok(Self::from(&row))
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            created_at: self.created_at,
            id: self.id,
        }
    }
}

impl From<&Row> for Athlete {
    fn from(row: &Row) -> Self {
        let linked_at: Option<Timestamp> = row.get("linked_at");
        Self {
            id: row.get("id"),
            business_id: row.get("business_id"),
            email: row.get("email"),
            phone: row.get("phone"),
            full_name: row.get("full_name"),
            locale: row.get("locale"),
            athlete_code: row.get("athlete_code"),
            linked: linked_at.is_some(),
            linked_at,
            created_at: row.get("created_at"),
            invitation: Invitation {
                id: row.get("invitation_id"),
                status: row.get("invitation_status"),
                channel: row.get("invitation_channel"),
                sent_at: row.get("invitation_sent_at"),
                expires_at: row.get("invitation_expires_at"),
                last_error: row.get("invitation_last_error"),
            },
        }
    }
}
