use crate::{app::App, athlete::Athlete};
use shared::{
    domain::{AttemptOutcome, Channel, Email, Phone},
    invitations::{Message, delivery::Leased},
    platform::{db::Row, metrics},
};

/// The gym as its invitations show it.
pub(crate) struct Gym {
    name: String,
    reply_to: Option<String>,
}

impl From<&Row> for Gym {
    /// Reads the columns `business_name` and `owner_email`.
    fn from(row: &Row) -> Self {
        Self {
            name: row.get("business_name"),
            reply_to: row.get("owner_email"),
        }
    }
}

/// Sends the invitation that was just queued, on which this request has the lease, and updates
/// `athlete` with the outcome. An error here does not fail the request: the invitation stays queued
/// in the database, and is sent later.
pub(crate) async fn deliver(app: &App, gym: Gym, athlete: &mut Athlete) {
    metrics::invitations("queued", 1);
    let to = match athlete.invitation.channel {
        Channel::Email => athlete.email.as_ref().map(Email::as_str),
        Channel::Sms => athlete.phone.as_ref().map(Phone::as_str),
    };
    let Some(athlete_code) = athlete.athlete_code.clone() else {
        return; // Linked since: there is nothing left to invite to.
    };
    let leased = Leased {
        id: athlete.invitation.id,
        attempt: 1,
        channel: athlete.invitation.channel,
        message: Message {
            to: to.unwrap_or_default().to_owned(),
            business: gym.name,
            reply_to: gym.reply_to,
            full_name: athlete
                .full_name
                .as_ref()
                .map(|name| name.as_str().to_owned()),
            is_shared: athlete.contact_is_shared,
            locale: athlete.locale.clone(),
            athlete_code,
            last_day: athlete.invitation.last_day,
        },
    };
    match app.sender.deliver(&app.db, &leased).await {
        Ok((outcome, recorded)) => {
            if let Some(recorded) = recorded {
                athlete.invitation.status = recorded.get("status");
                athlete.invitation.sent_at = recorded.get("sent_at");
                athlete.invitation.last_error = recorded.get("last_error");
            }
            if outcome != AttemptOutcome::Sent {
                tracing::warn!(invitation_id = %leased.id, ?outcome, "not sent at once");
            }
        }
        Err(error) => {
            tracing::warn!(invitation_id = %leased.id, %error, "the attempt is not recorded");
        }
    }
}
