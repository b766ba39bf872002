//! Sending an invitation, and recording the outcome.

use crate::{
    domain::{
        AttemptOutcome, Channel, InvitationStatus,
        limits::{MAX_ATTEMPTS, THROTTLED_PAUSE, UNKNOWN_PAUSE},
    },
    invitations::{
        Message, SendError,
        mail::{MailConfig, MailSender},
        sms::SmsSender,
    },
    platform::{
        db::{Db, Parameter, QueryError, Row, Type},
        metrics,
    },
};
use aws_config::SdkConfig;
use uuid::Uuid;

/// An invitation with a lease: only the holder sends it before the lease ends, at
/// `next_attempt_at`.
pub struct Leased {
    pub id: Uuid,
    /// The number of this attempt. A sender whose number is not the invitation's any more has lost
    /// the lease.
    pub attempt: i32,
    pub channel: Channel,
    pub message: Message,
}

/// Records the outcome of an attempt. The next attempt of one whose outcome is unknown waits for
/// the provider's event; after a second one of this kind the invitation has failed.
///
/// $1 invitation, $2 number of the attempt, $3 outcome, $4 the provider's id of the message, $5
/// error, $6 attempts at most, $7 seconds to wait where the provider wants fewer at a time, $8
/// seconds to wait where the outcome is unknown.
///
/// No row: the invitation is not queued any more (accepted or revoked meanwhile), another sender
/// has the lease, or the outcome is known already: from an event, or because this statement was
/// carried out before and its answer was lost.
const RECORD_ATTEMPT: &str = "-- record_attempt
    UPDATE invitation
    SET status = CASE WHEN $3 = 'sent' THEN 'sent'
                      WHEN $3 = 'refused'
                        OR $3 = 'failed' AND attempts - throttled >= $6
                        OR $3 = 'unknown' AND unknown_attempt <> attempts THEN 'failed'
                      ELSE 'queued' END,
        throttled = CASE $3 WHEN 'throttled' THEN throttled + 1 ELSE throttled END,
        settled_attempt = CASE $3 WHEN 'unknown' THEN settled_attempt ELSE attempts END,
        unknown_attempt = CASE $3 WHEN 'unknown' THEN coalesce(unknown_attempt, attempts) ELSE unknown_attempt END,
        next_attempt_at = now() + CASE $3 WHEN 'throttled' THEN make_interval(secs => $7)
                                          WHEN 'unknown' THEN make_interval(secs => $8)
                                          ELSE retry_delay(attempts - throttled) END,
        claim = NULL,
        sent_at = CASE $3 WHEN 'sent' THEN now() END,
        provider_message_id = $4,
        last_error = $5
    WHERE id = $1 AND status = 'queued' AND attempts = $2 AND settled_attempt < attempts
    RETURNING status, sent_at, last_error";

/// The invitation as it is. $1 invitation, $2 number of the attempt. No row: there was another
/// attempt since.
const ATTEMPT_AS_RECORDED: &str = "-- attempt_as_recorded
    SELECT status, sent_at, last_error FROM invitation WHERE id = $1 AND attempts = $2";

/// Sends invitations, each by its channel.
pub struct InvitationSender {
    pub mail: MailSender,
    pub sms: SmsSender,
}

impl InvitationSender {
    #[must_use]
    pub fn new(config: MailConfig, aws: &SdkConfig) -> Self {
        Self {
            sms: SmsSender::new(config.app_url.clone(), aws),
            mail: MailSender::new(config, aws),
        }
    }

    /// Sends an invitation and records the outcome. The row holds the state of the invitation after
    /// that; there is none if the lease was lost.
    ///
    /// A process that dies between sending and recording leaves the invitation queued, and it is
    /// sent again when the lease has ended, once. So an invitation may be sent twice, but never
    /// more often, and never not at all.
    pub async fn deliver(
        &self,
        db: &Db,
        leased: &Leased,
    ) -> Result<(AttemptOutcome, Option<Row>), QueryError> {
        let sent = match leased.channel {
            Channel::Email => self.mail.send(leased).await,
            Channel::Sms => self.sms.send(&leased.message).await,
        };
        let attempt = Attempt {
            invitation_id: leased.id,
            number: leased.attempt,
        };
        let outcome = outcome(&sent);
        Ok((outcome, attempt.record(db, &sent).await?))
    }
}

fn outcome(sent: &Result<String, SendError>) -> AttemptOutcome {
    match sent {
        Ok(_) => AttemptOutcome::Sent,
        Err(SendError::Throttled) => AttemptOutcome::Throttled,
        Err(SendError::Refused(_)) => AttemptOutcome::Refused,
        Err(SendError::Failed(_)) => AttemptOutcome::Failed,
        Err(SendError::Unknown(_)) => AttemptOutcome::Unknown,
    }
}

/// An attempt to send an invitation.
pub struct Attempt {
    pub invitation_id: Uuid,
    pub number: i32,
}

impl Attempt {
    /// Records what came of it: the provider's id of the message, or an error.
    pub async fn record(
        &self,
        db: &Db,
        sent: &Result<String, SendError>,
    ) -> Result<Option<Row>, QueryError> {
        let outcome = outcome(sent);
        let (message_id, last_error) = match sent {
            Ok(message_id) => (Some(message_id), None),
            Err(SendError::Throttled) => (None, None),
            Err(
                SendError::Refused(reason) | SendError::Failed(reason) | SendError::Unknown(reason),
            ) => (None, Some(*reason)),
        };
        let parameters: [Parameter<'_>; 8] = [
            (&self.invitation_id, Type::UUID),
            (&self.number, Type::INT4),
            (&outcome, Type::TEXT),
            (&message_id, Type::TEXT),
            (&last_error, Type::TEXT),
            (&MAX_ATTEMPTS, Type::INT4),
            (&THROTTLED_PAUSE.as_secs_f64(), Type::FLOAT8),
            (&UNKNOWN_PAUSE.as_secs_f64(), Type::FLOAT8),
        ];
        let Some(recorded) = db.query_opt(RECORD_ATTEMPT, &parameters).await? else {
            return db.query_opt(ATTEMPT_AS_RECORDED, &parameters[..2]).await;
        };
        match recorded.get("status") {
            InvitationStatus::Queued => metrics::invitations("retried", 1),
            status => metrics::invitations(status.as_str(), 1),
        }
        Ok(Some(recorded))
    }
}
