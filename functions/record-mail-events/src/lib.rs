//! Records the events of SES, which EventBridge delivers: the outcome of an invitation that was
//! sent by mail. Events come at least once, and in any order
//! (<https://docs.aws.amazon.com/ses/latest/dg/monitoring-eventbridge.html>).

mod event;

use event::{MailEvent, MailOutcome};
use serde::Serialize;
use serde_json::Value;
use shared::{
    domain::{
        InvitationStatus::{self, Bounced, Complained, Delivered, Failed, Sent},
        limits::MAX_ATTEMPTS,
    },
    platform::{
        App,
        db::{Parameter, QueryError, Row, Type},
        metrics,
    },
};

/// Records the status that an event reports, if the invitation has one of the statuses that come
/// before it. So late and repeated events change nothing. An invitation that is accepted, revoked
/// or expired stays so.
///
/// The mail is found by its tags, or without tags by its id. An event may come before the sender
/// has recorded that SES took the mail, and may be the only sign of that: then it settles the
/// attempt. An attempt that is settled and was queued again is history.
///
/// $1 SES's id of the mail, $2 new status, $3 statuses before it, $4 text for the gym's owner, $5
/// invitation, $6 number of the attempt; null without tags.
///
/// No row: no invitation was sent as this mail. Otherwise `recorded` is the new status, or null if
/// nothing changed.
const RECORD_OUTCOME: &str = "-- record_outcome
    WITH mailed AS (
        SELECT id FROM invitation WHERE id = $5
        UNION ALL
        SELECT id FROM invitation WHERE $5 IS NULL AND provider_message_id = $1
        LIMIT 1
    ), recorded AS (
        UPDATE invitation
        SET status = $2, last_error = $4, provider_message_id = $1, sent_at = coalesce(sent_at, now()), claim = NULL,
            settled_attempt = greatest(settled_attempt, attempts)
        FROM mailed
        WHERE invitation.id = mailed.id
          AND (status = ANY ($3)
               OR status IN ('queued', 'failed') AND attempts >= $6
                  AND ($6 > settled_attempt OR $6 = unknown_attempt))
          AND (status, coalesce(last_error, '')) IS DISTINCT FROM ($2, coalesce($4, ''))
        RETURNING status
    )
    SELECT (SELECT status FROM recorded) AS recorded FROM mailed";

/// Queues an invitation again whose mail bounced for now: SES reports that only after hours of
/// attempts of its own. The id of the mail is deleted, so that repeated events find nothing; the
/// next mail has its own. An invitation that has no attempts or no time left has bounced for good.
/// Of an earlier mail than the last one it changes nothing.
///
/// $1 SES's id of the mail, $2 text while there are attempts left, $3 text after the last one, $4
/// attempts at most, $5 invitation, $6 number of the attempt; null without tags.
///
/// No row: no invitation was sent as this mail. Otherwise `recorded` is the new status, or null if
/// nothing changed.
const SEND_AGAIN: &str = "-- send_again
    WITH mailed AS (
        SELECT id FROM invitation WHERE id = $5
        UNION ALL
        SELECT id FROM invitation WHERE $5 IS NULL AND provider_message_id = $1
        LIMIT 1
    ), recorded AS (
        UPDATE invitation
        SET status = CASE WHEN attempts - throttled < $4 AND expires_at > now() THEN 'queued' ELSE 'bounced' END,
            last_error = CASE WHEN attempts - throttled < $4 AND expires_at > now() THEN $2 ELSE $3 END,
            next_attempt_at = now() + retry_delay(attempts - throttled),
            sent_at = CASE WHEN attempts - throttled < $4 AND expires_at > now() THEN NULL ELSE sent_at END,
            provider_message_id = CASE WHEN attempts - throttled < $4 AND expires_at > now() THEN NULL ELSE $1 END,
            settled_attempt = attempts, unknown_attempt = NULL, claim = NULL
        FROM mailed
        WHERE invitation.id = mailed.id AND attempts = coalesce($6, attempts)
          AND (status IN ('sent', 'delivered') OR status IN ('queued', 'failed') AND $6 > settled_attempt)
        RETURNING status
    )
    SELECT (SELECT status FROM recorded) AS recorded FROM mailed";

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

/// Records an event. Only an error of the database fails the invocation, so that the event comes
/// again. An event that can't be read is ignored: it would be no better the next time.
pub async fn handle(app: &App, event: Value) -> Result<Report, QueryError> {
    let event = match MailEvent::read(event) {
        Ok(event) => event,
        Err(reason) => return Ok(Report::Ignored { reason }),
    };
    let row = match event.outcome {
        MailOutcome::Delivered => record(app, &event, Delivered, &[Sent], None).await?,
        MailOutcome::Delayed(words) => record(app, &event, Sent, &[Sent], Some(words)).await?,
        MailOutcome::Bounced(words) => {
            record(app, &event, Bounced, &[Sent, Delivered], Some(words)).await?
        }
        MailOutcome::BouncedForNow { words, last_words } => {
            send_again(app, &event, words, last_words).await?
        }
        MailOutcome::Complained(words) => {
            let follows_on = [Sent, Delivered, Bounced];
            record(app, &event, Complained, &follows_on, Some(words)).await?
        }
        MailOutcome::Failed(words) => record(app, &event, Failed, &[Sent], Some(words)).await?,
    };
    let message_id = event.message_id;
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
    event: &MailEvent,
    status: InvitationStatus,
    follows_on: &[InvitationStatus],
    words: Option<&str>,
) -> Result<Option<Row>, QueryError> {
    let parameters: [Parameter<'_>; 6] = [
        (&event.message_id, Type::TEXT),
        (&status, Type::TEXT),
        (&follows_on, Type::TEXT_ARRAY),
        (&words, Type::TEXT),
        (&event.invitation_id(), Type::UUID),
        (&event.attempt_number(), Type::INT4),
    ];
    app.db.query_opt(RECORD_OUTCOME, &parameters).await
}

async fn send_again(
    app: &App,
    event: &MailEvent,
    words: &str,
    last_words: &str,
) -> Result<Option<Row>, QueryError> {
    let parameters: [Parameter<'_>; 6] = [
        (&event.message_id, Type::TEXT),
        (&words, Type::TEXT),
        (&last_words, Type::TEXT),
        (&MAX_ATTEMPTS, Type::INT4),
        (&event.invitation_id(), Type::UUID),
        (&event.attempt_number(), Type::INT4),
    ];
    app.db.query_opt(SEND_AGAIN, &parameters).await
}
