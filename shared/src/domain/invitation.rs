use super::{Email, closed_set::closed_set};

closed_set! {
    /// The way an invitation is sent.
    pub enum Channel {
        /// A mail, by SES.
        Email = "email",
        /// A text message, by SNS.
        Sms = "sms",
    }
}

impl Channel {
    /// The channel to somebody with this address: a mail, or a text message where there is no
    /// address.
    #[must_use]
    pub fn to(email: Option<&Email>) -> Self {
        email.map_or(Self::Sms, |_| Self::Email)
    }
}

closed_set! {
    /// The state of an invitation. In the last three it has ended; in the others it is open, and
    /// the code works until `expires_at`.
    pub enum InvitationStatus {
        /// The gym has not had it sent yet.
        Held = "held",
        /// It waits to be sent, or to be sent again.
        Queued = "queued",
        /// The provider took it.
        Sent = "sent",
        /// It is in the mailbox, or in its folder for spam.
        Delivered = "delivered",
        /// It came back.
        Bounced = "bounced",
        /// The person marked it as unwanted.
        Complained = "complained",
        /// It was refused, or could not be sent in all attempts.
        Failed = "failed",
        /// Somebody was linked by it.
        Accepted = "accepted",
        /// It was taken back, or replaced by another one.
        Revoked = "revoked",
        /// It was not accepted in time.
        Expired = "expired",
    }
}

closed_set! {
    /// The proof that an account is an athlete.
    pub enum LinkedVia {
        /// The verified address of the account is the one that was invited.
        Email = "email",
        /// The person typed the athlete's code.
        Code = "code",
    }
}

closed_set! {
    /// Whoever ended an athlete's time in a gym.
    pub enum RemovedBy {
        /// The gym removed the athlete.
        Gym = "gym",
        /// The athlete left.
        Athlete = "athlete",
    }
}

closed_set! {
    /// The outcome of an attempt to send an invitation.
    pub enum AttemptOutcome {
        /// The provider took it.
        Sent = "sent",
        /// The provider wants fewer at a time.
        Throttled = "throttled",
        /// The provider will never take it.
        Refused = "refused",
        /// The provider did not take it this time.
        Failed = "failed",
        /// Nobody knows whether the provider took it.
        Unknown = "unknown",
    }
}
