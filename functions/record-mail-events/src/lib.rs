//! Events of SES, as EventBridge delivers them: what has become of an invitation that went out by mail. They come at least
//! once, and in any order (<https://docs.aws.amazon.com/ses/latest/dg/monitoring-eventbridge.html>).

mod event;

use event::{MailEvent, MailOutcome};
use serde::Serialize;
use serde_json::Value;
use shared::{
    domain::{InvitationStatus, limits::MAX_ATTEMPTS},
    platform::{
        App,
        db::{QueryError, Row, Type},
        metrics,
    },
};

/// A status follows only on those that know less, so that late and repeated events change nothing. What is accepted, revoked
/// or expired stays so; what is queued is about to be sent again, and an earlier mail does not matter to it any more.
///
/// $1 the mail, $2 the status, $3 those it follows on, $4 words for the gym's owner.
///
/// No row: no invitation went out as this mail. Otherwise `recorded` is the new status, if it is one.
const RECORD_OUTCOME: &str = "-- record_outcome
    WITH recorded AS (
        UPDATE invitation SET status = $2, last_error = $4
        WHERE provider_message_id = $1 AND status = ANY ($3)
        RETURNING status
    )
    SELECT (SELECT status FROM recorded LIMIT 1) AS recorded
    FROM invitation WHERE provider_message_id = $1
    LIMIT 1";

/// SES has tried for hours by itself before it says so. The next mail will have an id of its own; forgetting this one's makes
/// repeated events find nothing. An invitation that has run out of tries or of time has bounced for good.
///
/// $1 the mail, $2 words while there are attempts left, $3 words once there are none, $4 attempts at most.
///
/// No row: no invitation went out as this mail. Otherwise `recorded` is the new status, if it is one.
const SEND_AGAIN: &str = "-- send_again
    WITH queued AS (
        UPDATE invitation
        SET status = 'queued', next_attempt_at = now() + retry_delay(attempts), provider_message_id = NULL, sent_at = NULL,
            last_error = $2
        WHERE provider_message_id = $1 AND status IN ('sent', 'delivered') AND attempts < $4 AND expires_at > now()
        RETURNING status
    ), bounced AS (
        UPDATE invitation SET status = 'bounced', last_error = $3
        WHERE provider_message_id = $1 AND status IN ('sent', 'delivered') AND (attempts >= $4 OR expires_at <= now())
        RETURNING status
    )
    SELECT (SELECT status FROM (TABLE queued UNION ALL TABLE bounced) AS changed LIMIT 1) AS recorded
    FROM invitation WHERE provider_message_id = $1
    LIMIT 1";

/// What was made of an event. It is logged, and so has ids alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Report {
    /// The invitation says it now.
    Recorded {
        /// SES's id of the mail.
        message_id: String,
    },
    /// The invitation knew it, or knows better.
    Unchanged {
        /// SES's id of the mail.
        message_id: String,
    },
    /// No invitation waits for news of this mail.
    UnknownMessage {
        /// SES's id of the mail.
        message_id: String,
    },
    /// The event says nothing that matters here.
    Ignored {
        /// Why not.
        reason: &'static str,
    },
}

/// Records what an event says. Only the database can make it fail: an event that can't be read is no better the next time.
pub async fn handle(app: &App, event: Value) -> Result<Report, QueryError> {
    let MailEvent { message_id, fate } = match MailEvent::read(event) {
        Ok(event) => event,
        Err(reason) => return Ok(Report::Ignored { reason }),
    };
    let row = match fate {
        MailOutcome::Delivered => {
            record(
                app,
                &message_id,
                InvitationStatus::Delivered,
                &[InvitationStatus::Sent],
                None,
            )
            .await?
        }
        MailOutcome::Bounced(words) => {
            let follows_on = [InvitationStatus::Sent, InvitationStatus::Delivered];
            record(
                app,
                &message_id,
                InvitationStatus::Bounced,
                &follows_on,
                Some(words),
            )
            .await?
        }
        MailOutcome::BouncedForNow { words, last_words } => {
            let parameters = [
                (&message_id as _, Type::TEXT),
                (&words as _, Type::TEXT),
                (&last_words as _, Type::TEXT),
                (&MAX_ATTEMPTS as _, Type::INT4),
            ];
            app.db.query_opt(SEND_AGAIN, &parameters).await?
        }
        MailOutcome::Complained(words) => {
            let follows_on = [
                InvitationStatus::Sent,
                InvitationStatus::Delivered,
                InvitationStatus::Bounced,
            ];
            record(
                app,
                &message_id,
                InvitationStatus::Complained,
                &follows_on,
                Some(words),
            )
            .await?
        }
        MailOutcome::Failed(words) => {
            record(
                app,
                &message_id,
                InvitationStatus::Failed,
                &[InvitationStatus::Sent],
                Some(words),
            )
            .await?
        }
    };
    let Some(row) = row else {
        return Ok(Report::UnknownMessage { message_id });
    };
    Ok(match row.get::<_, Option<InvitationStatus>>("recorded") {
        Some(status) => {
            metrics::invitations(status.as_str(), 1);
            Report::Recorded { message_id }
        }
        None => Report::Unchanged { message_id },
    })
}

async fn record(
    app: &App,
    message_id: &str,
    status: InvitationStatus,
    follows_on: &[InvitationStatus],
    words: Option<&str>,
) -> Result<Option<Row>, QueryError> {
    let parameters = [
        (&message_id as _, Type::TEXT),
        (&status as _, Type::TEXT),
        (&follows_on as _, Type::TEXT_ARRAY),
        (&words as _, Type::TEXT),
    ];
    app.db.query_opt(RECORD_OUTCOME, &parameters).await
}
