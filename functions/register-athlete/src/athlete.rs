use crate::registration::Registration;
use jiff::{Timestamp, civil::Date};
use serde::Serialize;
use shared::{
    domain::{AthleteCode, Channel, Email, InvitationStatus, Locale, Name, Phone, RemovedBy},
    invitations::AppUrl,
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
         roster.invitation_expires_at, roster.invitation_last_error, roster.invitation_last_day,
         roster.removed_at, roster.removed_by, roster.contact_is_shared"
    };
}
pub(crate) use roster_columns;

/// $1 athlete.
const READ_ATHLETE: &str = concat!(
    "-- read_athlete
    SELECT ",
    roster_columns!(),
    " FROM known_athlete AS roster WHERE id = $1"
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
    /// The code; none once an account is linked.
    pub(crate) athlete_code: Option<AthleteCode>,
    linked: bool,
    linked_at: Option<Timestamp>,
    created_at: Timestamp,
    /// The time at which the athlete was removed or left.
    removed_at: Option<Timestamp>,
    removed_by: Option<RemovedBy>,
    /// True if other athletes of the gym have the same contact.
    pub(crate) contact_is_shared: bool,
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
    expires_at: Timestamp,
    #[serde(skip)]
    pub(crate) last_day: Date,
    pub(crate) last_error: Option<String>,
    /// The page that the code is typed into, with the code in it; none once an account is linked.
    url: Option<String>,
}

impl Athlete {
    /// The athlete that was registered just now, with a queued invitation. The columns of `row` are
    /// `id`, `locale`, `created_at`, `shares_contact`, `invitation_id`, `expires_at` and
    /// `last_day`.
    pub(crate) fn registered(
        row: &Row,
        business_id: Uuid,
        registration: &Registration,
        athlete_code: AthleteCode,
        app_url: &AppUrl,
    ) -> Self {
        let url = app_url.join(&athlete_code);
        Self {
            id: row.get("id"),
            business_id,
            email: registration.contact.email.clone(),
            phone: registration.contact.phone.clone(),
            full_name: registration.full_name.clone(),
            locale: row.get("locale"),
            athlete_code: Some(athlete_code),
            linked: false,
            linked_at: None,
            created_at: row.get("created_at"),
            removed_at: None,
            removed_by: None,
            contact_is_shared: row.get("shares_contact"),
            invitation: Invitation {
                id: row.get("invitation_id"),
                status: InvitationStatus::Queued,
                channel: registration.channel(),
                sent_at: None,
                expires_at: row.get("expires_at"),
                last_day: row.get("last_day"),
                last_error: None,
                url: Some(url),
            },
        }
    }

    /// Reads the athlete, as they are at this point of the transaction.
    pub(crate) async fn read(
        tx: &Transaction,
        id: Uuid,
        app_url: &AppUrl,
    ) -> Result<Self, QueryError> {
        let row = tx.query_one(READ_ATHLETE, &[(&id, Type::UUID)]).await?;
        Ok(Self::from_row(&row, app_url))
    }

    /// Whether somebody has accepted an invitation.
    pub(crate) fn is_linked(&self) -> bool {
        self.linked
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            created_at: self.created_at,
            id: self.id,
        }
    }

    /// The athlete in a row with [`roster_columns`].
    pub(crate) fn from_row(row: &Row, app_url: &AppUrl) -> Self {
        let linked_at: Option<Timestamp> = row.get("linked_at");
        let athlete_code: AthleteCode = row.get("athlete_code");
        let athlete_code = Some(athlete_code).filter(|_| linked_at.is_none());
        let url = athlete_code.as_ref().map(|code| app_url.join(code));
        Self {
            id: row.get("id"),
            business_id: row.get("business_id"),
            email: row.get("email"),
            phone: row.get("phone"),
            full_name: row.get("full_name"),
            locale: row.get("locale"),
            athlete_code,
            linked: linked_at.is_some(),
            linked_at,
            created_at: row.get("created_at"),
            removed_at: row.get("removed_at"),
            removed_by: row.get("removed_by"),
            contact_is_shared: row.get("contact_is_shared"),
            invitation: Invitation {
                id: row.get("invitation_id"),
                status: row.get("invitation_status"),
                channel: row.get("invitation_channel"),
                sent_at: row.get("invitation_sent_at"),
                expires_at: row.get("invitation_expires_at"),
                last_day: row.get("invitation_last_day"),
                last_error: row.get("invitation_last_error"),
                url,
            },
        }
    }
}
