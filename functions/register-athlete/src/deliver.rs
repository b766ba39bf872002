use crate::{App, athlete::Athlete};
use shared::{
    invitations::{
        Message,
        delivery::{Leased, Outcome},
    },
    platform::{db::Row, metrics},
};

/// Tries to send the invitation that was just queued, and leased to this request, and brings `athlete` up to date with what came
/// of it. Whatever fails here, the invitation stays queued in the database, from where it is sent later.
///
/// `row` is the athlete's, with the columns `business_name` and `owner_email`.
pub(crate) async fn deliver(app: &App, row: &Row, athlete: &mut Athlete) {
    metrics::invitations("queued", 1);
    let Some(to) = athlete.email.as_ref().or(athlete.phone.as_ref()) else {
        return;
    };
    let leased = Leased {
        id: athlete.invitation.id,
        attempt: 1,
        channel: athlete.invitation.channel.clone(),
        invitation: Message {
            to: to.clone(),
            business: row.get("business_name"),
            reply_to: row.get("owner_email"),
            full_name: athlete.full_name.clone(),
            locale: athlete.locale.clone(),
            athlete_code: athlete.athlete_code.clone(),
            expires_at: athlete.invitation.expires_at,
        },
    };
    match app.sender.deliver(&app.db, &leased).await {
        Ok((outcome, recorded)) => {
            if let Some(recorded) = recorded {
                athlete.invitation.status = recorded.get("status");
                athlete.invitation.sent_at = recorded.get("sent_at");
                athlete.invitation.last_error = recorded.get("last_error");
            }
            if outcome != Outcome::Sent {
                tracing::warn!(invitation_id = %leased.id, ?outcome, "not sent at once");
            }
        }
        Err(error) => {
            tracing::warn!(invitation_id = %leased.id, %error, "the attempt is not recorded");
        }
    }
}
