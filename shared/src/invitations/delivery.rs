//! Sending an invitation, and writing down what came of it.

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

/// An invitation that is the holder's to send: nobody else tries before its lease, `next_attempt_at`, has run out.
pub struct Leased {
    /// The invitation's id.
    pub id: Uuid,
    /// Which attempt this is. Whoever records the outcome of another one has lost the lease.
    pub attempt: i32,
    /// The way it is sent.
    pub channel: Channel,
    /// What it says.
    pub message: Message,
}

/// $1 invitation, $2 the attempt, $3 outcome, $4 the provider's id of the message, $5 what went wrong, $6 attempts at most,
/// $7 seconds to wait where the provider wants fewer at a time.
///
/// No row: the invitation is not queued any more (accepted or revoked meanwhile), or somebody else has the lease.
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
    /// By mail.
    pub mail: MailSender,
    /// By text message.
    pub sms: SmsSender,
}

impl InvitationSender {
    /// With SES and SNS as this configuration of the SDK finds them.
    #[must_use]
    pub fn new(config: MailConfig, aws: &SdkConfig) -> Self {
        Self {
            sms: SmsSender::new(config.app_url.clone(), aws),
            mail: MailSender::new(config, aws),
        }
    }

    /// Sends an invitation and records the outcome; the row, where there is one, is what is recorded now.
    ///
    /// Whoever dies between the two leaves it queued, and it is sent again when the lease has run out: twice perhaps, but
    /// never not at all.
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
