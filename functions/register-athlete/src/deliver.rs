use crate::{App, athlete::Athlete};
use shared::{db::Type, mail};

/// What a gym's owner reads when sending has failed.
const TRIED_AGAIN: &str = "The mail service did not take it; it will be tried again.";

/// $1 invitation, $2 the provider's id of the message, $3 what went wrong instead.
const RECORD_ATTEMPT: &str = "-- record_attempt
    UPDATE invitation
    SET attempts            = attempts + 1,
        status              = CASE WHEN $3 IS NULL THEN 'sent' ELSE status END,
        sent_at             = CASE WHEN $3 IS NULL THEN now() END,
        provider_message_id = $2,
        last_error          = $3,
        next_attempt_at     = now() + interval '1 minute'
    WHERE id = $1 AND status = 'queued'
    RETURNING status, sent_at, last_error";

/// Tries to send the athlete's invitation, and brings `athlete` up to date with what came of it. Whatever fails here, the
/// invitation stays queued in the database, from where it is sent later.
pub(crate) async fn deliver(app: &App, business: &str, athlete: &mut Athlete) {
    let Some(to) = &athlete.email else { return };
    let mail = mail::Invitation {
        to,
        business,
        full_name: athlete.full_name.as_deref(),
        athlete_code: &athlete.athlete_code,
        expires_at: athlete.invitation.expires_at,
    };
    let (message_id, last_error) = match app.mailer.send(&mail).await {
        Ok(message_id) => (Some(message_id), None),
        Err(error) => {
            tracing::warn!(invitation_id = %athlete.invitation.id, %error, "the invitation is not sent yet");
            (None, Some(TRIED_AGAIN))
        }
    };

    let parameters = [
        (&athlete.invitation.id as _, Type::UUID),
        (&message_id as _, Type::TEXT),
        (&last_error as _, Type::TEXT),
    ];
    match app.db.query_opt(RECORD_ATTEMPT, &parameters).await {
        Ok(Some(row)) => {
            athlete.invitation.status = row.get("status");
            athlete.invitation.sent_at = row.get("sent_at");
            athlete.invitation.last_error = row.get("last_error");
        }
        Ok(None) => {} // accepted already: the athlete was quicker than we are
        Err(error) => {
            tracing::warn!(invitation_id = %athlete.invitation.id, %error, "the attempt is not recorded");
        }
    }
}
