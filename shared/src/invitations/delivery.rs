//! Sending an invitation, and recording the outcome.

use crate::{
    domain::{
        AttemptOutcome, Channel, InvitationStatus,
        limits::{MAX_ATTEMPTS, THROTTLED_PAUSE},
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

/// An invitation with a lease: only the holder sends it before the lease ends, at `next_attempt_at`.
pub struct Leased {
    pub id: Uuid,
    /// The number of this attempt. A sender whose number is not the invitation's any more has lost the lease.
    pub attempt: i32,
    pub channel: Channel,
    pub message: Message,
}

/// Records the outcome of an attempt.
///
/// $1 invitation, $2 number of the attempt, $3 outcome, $4 the provider's id of the message, $5 error, $6 attempts at most,
/// $7 seconds to wait where the provider wants fewer at a time.
///
/// No row: the invitation is not queued any more (accepted or revoked meanwhile), or another sender has the lease.
const RECORD_ATTEMPT: &str = "-- record_attempt
    UPDATE invitation
    SET status = CASE WHEN $3 = 'sent' THEN 'sent'
                      WHEN $3 = 'refused' OR $3 = 'failed' AND attempts >= $6 THEN 'failed'
                      ELSE 'queued' END,
        attempts = CASE $3 WHEN 'throttled' THEN attempts - 1 ELSE attempts END,
        next_attempt_at = now() + CASE $3 WHEN 'throttled' THEN make_interval(secs => $7)
                                          ELSE retry_delay(attempts) END,
        sent_at = CASE $3 WHEN 'sent' THEN now() END,
        provider_message_id = $4,
        last_error = $5
    WHERE id = $1 AND status = 'queued' AND attempts = $2
    RETURNING status, sent_at, last_error";

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

    /// Sends an invitation and records the outcome. The row holds what is recorded; there is none if the lease was lost, or the
    /// invitation has ended meanwhile.
    ///
    /// A process that dies between sending and recording leaves the invitation queued, and it is sent again when the lease has
    /// ended. So an invitation may be sent twice, but never not at all.
    pub async fn deliver(
        &self,
        db: &Db,
        leased: &Leased,
    ) -> Result<(AttemptOutcome, Option<Row>), QueryError> {
        let sent = match leased.channel {
            Channel::Email => self.mail.send(&leased.message).await,
            Channel::Sms => self.sms.send(&leased.message).await,
        };
        let (outcome, message_id, last_error) = match sent {
            Ok(message_id) => (AttemptOutcome::Sent, Some(message_id), None),
            Err(SendError::Throttled) => (AttemptOutcome::Throttled, None, None),
            Err(SendError::Refused(reason)) => (AttemptOutcome::Refused, None, Some(reason)),
            Err(SendError::Failed(reason)) => (AttemptOutcome::Failed, None, Some(reason)),
        };
        let parameters: [Parameter<'_>; 7] = [
            (&leased.id, Type::UUID),
            (&leased.attempt, Type::INT4),
            (&outcome, Type::TEXT),
            (&message_id, Type::TEXT),
            (&last_error, Type::TEXT),
            (&MAX_ATTEMPTS, Type::INT4),
            (&THROTTLED_PAUSE.as_secs_f64(), Type::FLOAT8),
        ];
        let recorded = db.query_opt(RECORD_ATTEMPT, &parameters).await?;
        match recorded.as_ref().map(|row| row.get("status")) {
            None => {}
            Some(InvitationStatus::Queued) => metrics::invitations("retried", 1),
            Some(status) => metrics::invitations(status.as_str(), 1),
        }
        Ok((outcome, recorded))
    }
}
