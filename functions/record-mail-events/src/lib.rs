//! Records the events of SES, which EventBridge delivers: the outcome of an invitation that was sent by mail. Events come at least
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

/// Records the status that an event reports, if the invitation has one of the statuses that come before it. So late and repeated
/// events change nothing. An invitation that is accepted, revoked or expired stays so. One that is queued is about to be sent
/// again, and the events of its earlier mail do not matter any more.
///
/// $1 SES's id of the mail, $2 new status, $3 statuses before it, $4 text for the gym's owner.
///
/// No row: no invitation was sent as this mail. Otherwise `recorded` is the new status, or null if nothing changed.
const RECORD_OUTCOME: &str = "-- record_outcome
    WITH recorded AS (
        UPDATE invitation SET status = $2, last_error = $4
        WHERE provider_message_id = $1 AND status = ANY ($3)
        RETURNING status
    )
    SELECT (SELECT status FROM recorded LIMIT 1) AS recorded
    FROM invitation WHERE provider_message_id = $1
    LIMIT 1";

/// Queues an invitation again whose mail bounced for now: SES reports that only after hours of attempts of its own. The id of the
/// mail is deleted, so that repeated events find nothing; the next mail has its own. An invitation that has no attempts or no
/// time left has bounced for good.
///
/// $1 SES's id of the mail, $2 text while there are attempts left, $3 text after the last one, $4 attempts at most.
///
/// No row: no invitation was sent as this mail. Otherwise `recorded` is the new status, or null if nothing changed.
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

/// The outcome of an event. It is logged, and so holds ids only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Report {
    /// The invitation has a new status.
    Recorded { message_id: String },
    /// The invitation had this status already, or a later one.
    Unchanged { message_id: String },
    /// No invitation was sent as this mail.
    UnknownMessage { message_id: String },
    /// The event does not change an invitation.
    Ignored { reason: &'static str },
}

/// Records an event. Only an error of the database fails the invocation, so that the event comes again. An event that can't be
/// read is ignored: it would be no better the next time.
pub async fn handle(app: &App, event: Value) -> Result<Report, QueryError> {
    let MailEvent {
        message_id,
        outcome,
    } = match MailEvent::read(event) {
        Ok(event) => event,
        Err(reason) => return Ok(Report::Ignored { reason }),
    };
    let row = match outcome {
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
