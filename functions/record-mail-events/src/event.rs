use serde::Deserialize;
use serde_json::Value;
use shared::invitations::mail::{ATTEMPT_TAG, INVITATION_TAG};
use std::collections::HashMap;
use uuid::Uuid;

// The texts for the gym's owner, each with what can be done.

const DOES_NOT_EXIST: &str = "The address does not exist or refuses mail; please correct it.";
const SERVER_REFUSES: &str = "The recipient's mail server refuses our mail; please use another address, or hand over the code yourself.";
const DELAYED: &str =
    "The recipient's mail server does not take it yet; it is tried for some hours more.";
const SUPPRESSED: &str = "Earlier mail to this address came back or was unwanted, so nothing is sent to it; please use another address.";
const CONTENT_REFUSED: &str = "The mailbox does not take this kind of mail; please use another address, or hand over the code yourself.";
const TRIED_AGAIN: &str =
    "The mailbox is full or can't be reached at the moment; it will be tried again.";
const GIVEN_UP: &str = "The mailbox was full or could not be reached each time; please use another address, or hand over the code yourself.";
const UNWANTED: &str =
    "The person marked the invitation as unwanted; please do not send another one.";
const REJECTED: &str = "The mail service took the mail for harmful and did not send it; please check your gym's name and the athlete's.";
const NOT_WRITTEN: &str =
    "The mail could not be written, which is our fault; please tell GymBrah's support.";

/// The outcome of a mail. The texts are for the gym's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailOutcome {
    /// It is in the mailbox, or in its folder for spam.
    Delivered,
    /// SES has it, and the recipient's server does not take it yet.
    Delayed(&'static str),
    /// It came back, and so would the next one.
    Bounced(&'static str),
    /// It came back, and another one may arrive.
    BouncedForNow {
        /// The text while there are attempts left.
        words: &'static str,
        /// The text after the last attempt.
        last_words: &'static str,
    },
    /// The person does not want it.
    Complained(&'static str),
    /// SES did not send it.
    Failed(&'static str),
}

const TRY_AGAIN: MailOutcome = MailOutcome::BouncedForNow {
    words: TRIED_AGAIN,
    last_words: GIVEN_UP,
};

/// An event of a mail that matters to an invitation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MailEvent {
    /// SES's id of the mail, which it gave on sending.
    pub(crate) message_id: String,
    /// The invitation and the number of the attempt, from the mail's tags; none of a mail that had
    /// none.
    pub(crate) attempt: Option<(Uuid, i32)>,
    pub(crate) outcome: MailOutcome,
}

// The event, as far as it is read. `detail` is what SES publishes everywhere:
// https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
// SES may add fields at any time.

#[derive(Deserialize)]
struct Envelope {
    source: String,
    detail: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    event_type: String,
    mail: Mail,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mail {
    message_id: String,
    #[serde(default)]
    tags: HashMap<String, Vec<String>>,
}

impl Mail {
    fn attempt(&self) -> Option<(Uuid, i32)> {
        let tag = |name| self.tags.get(name)?.first();
        let invitation_id = tag(INVITATION_TAG)?.parse().ok()?;
        Some((invitation_id, tag(ATTEMPT_TAG)?.parse().ok()?))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    bounce_sub_type: Option<String>,
    #[serde(default)]
    bounced_recipients: Vec<BouncedRecipient>,
}

/// The report of the recipient's server (RFC 3464). All of it is absent if the bounce came without
/// a report.
#[derive(Deserialize)]
struct BouncedRecipient {
    action: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    complaint_sub_type: Option<String>,
    complaint_feedback_type: Option<String>,
}

impl MailEvent {
    pub(crate) fn invitation_id(&self) -> Option<Uuid> {
        self.attempt.map(|(invitation_id, _)| invitation_id)
    }

    pub(crate) fn attempt_number(&self) -> Option<i32> {
        self.attempt.map(|(_, number)| number)
    }

    /// Reads an event of EventBridge, or says why there is nothing to record.
    pub(crate) fn read(event: Value) -> Result<Self, &'static str> {
        let Envelope { source, detail } =
            serde_json::from_value(event).map_err(|_| "it is no event of EventBridge")?;
        if source != "aws.ses" {
            return Err("it does not come from SES");
        }
        let Detail {
            event_type,
            mail,
            bounce,
            complaint,
        } = serde_json::from_value(detail).map_err(|_| "it lacks members of an event of a mail")?;
        let outcome = match event_type.as_str() {
            "Delivery" => MailOutcome::Delivered,
            "DeliveryDelay" => MailOutcome::Delayed(DELAYED),
            "Bounce" => bounce.ok_or("it lacks the bounce")?.outcome()?,
            "Complaint" => complaint.ok_or("it lacks the complaint")?.outcome()?,
            "Reject" => MailOutcome::Failed(REJECTED),
            "Rendering Failure" => MailOutcome::Failed(NOT_WRITTEN),
            _ => return Err("events of this type change nothing"),
        };
        Ok(Self {
            attempt: mail.attempt(),
            message_id: mail.message_id,
            outcome,
        })
    }
}

impl Bounce {
    /// The outcome, by SES's type of the bounce and by the report of the recipient's server. SES
    /// guesses the type, and guesses wrong where the server was vague: an out-of-office reply is
    /// `Transient` `General`, and so are many reports of an unknown user.
    fn outcome(&self) -> Result<MailOutcome, &'static str> {
        let report = self.bounced_recipients.first();
        let action = report.and_then(|report| report.action.as_deref());
        // RFC 3463, section 2: class 5 is a permanent failure.
        let status = report
            .and_then(|report| report.status.as_deref())
            .unwrap_or_default();
        let is_permanent = status.starts_with("5.");
        // RFC 3463, section 3.8: the subject 7 is security or policy. It is not the address that is
        // wrong.
        let refused = if status.starts_with("5.7.") {
            MailOutcome::Bounced(SERVER_REFUSES)
        } else {
            MailOutcome::Bounced(DOES_NOT_EXIST)
        };
        let sub_type = self.bounce_sub_type.as_deref().unwrap_or("General");
        let is_vague = matches!(sub_type, "General" | "Undetermined");

        match (self.bounce_type.as_str(), sub_type) {
            ("Permanent", "Suppressed" | "OnAccountSuppressionList") => {
                Ok(MailOutcome::Bounced(SUPPRESSED))
            }
            ("Permanent", _) => Ok(refused),
            ("Transient", "MessageTooLarge" | "ContentRejected" | "AttachmentRejected") => {
                Ok(MailOutcome::Bounced(CONTENT_REFUSED))
            }
            ("Transient" | "Undetermined", _) => match action {
                Some("failed") | None if is_vague && is_permanent => Ok(refused),
                Some("failed") => Ok(TRY_AGAIN),
                Some(_) => Err("the recipient's server has not given up"),
                None if is_vague => Err("it is an automatic answer"),
                None => Ok(TRY_AGAIN),
            },
            _ => Err("bounces of this type are not known"),
        }
    }
}

impl Complaint {
    fn outcome(&self) -> Result<MailOutcome, &'static str> {
        // SES has not sent it: somebody complained of an earlier mail to this address.
        if self.complaint_sub_type.as_deref() == Some("OnAccountSuppressionList") {
            return Ok(MailOutcome::Bounced(SUPPRESSED));
        }
        // https://www.iana.org/assignments/marf-parameters: the other types are complaints.
        match self.complaint_feedback_type.as_deref() {
            Some("not-spam") => Err("it takes a complaint back"),
            Some("auth-failure") => Err("it is about the authentication of the sender"),
            _ => Ok(MailOutcome::Complained(UNWANTED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A sample event, as it is.
    fn sample(name: &str) -> Value {
        let events = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../events/record-mail-events"
        );
        serde_json::from_slice(&std::fs::read(format!("{events}/{name}.json")).unwrap()).unwrap()
    }

    fn outcome(event: Value) -> Result<MailOutcome, &'static str> {
        MailEvent::read(event).map(|event| event.outcome)
    }

    fn bounced(kind: &str, sub_type: &str, recipient: &Value) -> Result<MailOutcome, &'static str> {
        let mut event = sample("bounced-for-good");
        event["detail"]["bounce"]["bounceType"] = json!(kind);
        event["detail"]["bounce"]["bounceSubType"] = json!(sub_type);
        event["detail"]["bounce"]["bouncedRecipients"] = json!([recipient]);
        outcome(event)
    }

    #[test]
    fn every_event_type_gives_its_outcome() {
        let delivered = MailEvent::read(sample("delivered")).unwrap();
        assert_eq!(
            delivered.message_id,
            "0110019c4e09b830-0420dbfd-b7a6-4f4d-ade4-b5b03ed2f7ad-000000"
        );
        for (event, expected) in [
            (sample("delivered"), MailOutcome::Delivered),
            (
                sample("bounced-for-good"),
                MailOutcome::Bounced(DOES_NOT_EXIST),
            ),
            (sample("bounced-for-now"), TRY_AGAIN),
            (sample("complained"), MailOutcome::Complained(UNWANTED)),
            (sample("rejected"), MailOutcome::Failed(REJECTED)),
            (sample("rendering-failed"), MailOutcome::Failed(NOT_WRITTEN)),
        ] {
            assert_eq!(outcome(event), Ok(expected));
        }
    }

    #[test]
    fn vague_bounce_type_is_decided_by_the_servers_report() {
        let no_report = json!({"emailAddress": "ada@example.org"});
        let report = |action: &str, status: &str| json!({"action": action, "status": status});
        let (for_now, for_good) = (report("failed", "4.4.7"), report("failed", "5.1.1"));

        for (kind, sub_type, recipient, expected) in [
            (
                "Permanent",
                "General",
                &no_report,
                MailOutcome::Bounced(DOES_NOT_EXIST),
            ),
            (
                "Permanent",
                "NoEmail",
                &for_good,
                MailOutcome::Bounced(DOES_NOT_EXIST),
            ),
            (
                "Permanent",
                "Suppressed",
                &for_good,
                MailOutcome::Bounced(SUPPRESSED),
            ),
            (
                "Permanent",
                "OnAccountSuppressionList",
                &for_good,
                MailOutcome::Bounced(SUPPRESSED),
            ),
            ("Transient", "General", &for_now, TRY_AGAIN),
            (
                "Transient",
                "General",
                &for_good,
                MailOutcome::Bounced(DOES_NOT_EXIST),
            ),
            ("Transient", "MailboxFull", &no_report, TRY_AGAIN),
            (
                "Transient",
                "MailboxFull",
                &report("failed", "5.2.2"),
                TRY_AGAIN,
            ),
            (
                "Transient",
                "ContentRejected",
                &for_now,
                MailOutcome::Bounced(CONTENT_REFUSED),
            ),
            (
                "Transient",
                "MessageTooLarge",
                &no_report,
                MailOutcome::Bounced(CONTENT_REFUSED),
            ),
            ("Undetermined", "Undetermined", &for_now, TRY_AGAIN),
        ] {
            assert_eq!(
                bounced(kind, sub_type, recipient),
                Ok(expected),
                "{kind} {sub_type} {recipient}"
            );
        }
        // An out-of-office reply, a server on the way that has not given up, and a type that does
        // not exist yet.
        for (kind, sub_type, recipient) in [
            ("Transient", "General", &no_report),
            ("Undetermined", "Undetermined", &no_report),
            ("Transient", "General", &report("delayed", "4.4.1")),
            ("Transient", "MailboxFull", &report("delayed", "4.2.2")),
            ("Unheard", "Of", &for_good),
        ] {
            assert!(
                bounced(kind, sub_type, recipient).is_err(),
                "{kind} {sub_type} {recipient}"
            );
        }
    }

    #[test]
    fn servers_refusal_is_told_from_a_wrong_address() {
        let report = |status: &str| json!({"action": "failed", "status": status});
        let without_action = |status: &str| json!({"status": status});
        for (kind, recipient, expected) in [
            ("Permanent", report("5.1.1"), DOES_NOT_EXIST),
            ("Permanent", report("5.7.1"), SERVER_REFUSES),
            ("Permanent", report("5.7.26"), SERVER_REFUSES),
            ("Transient", report("5.7.1"), SERVER_REFUSES),
            ("Transient", without_action("5.1.1"), DOES_NOT_EXIST),
            ("Transient", without_action("5.7.1"), SERVER_REFUSES),
            ("Undetermined", without_action("5.1.1"), DOES_NOT_EXIST),
        ] {
            assert_eq!(
                bounced(kind, "General", &recipient),
                Ok(MailOutcome::Bounced(expected)),
                "{kind} {recipient}"
            );
        }
        assert!(bounced("Transient", "General", &without_action("4.4.7")).is_err());
    }

    #[test]
    fn suppressed_address_is_no_complaint() {
        let mut event = sample("complained");
        event["detail"]["complaint"]["complaintSubType"] = json!("OnAccountSuppressionList");
        assert_eq!(outcome(event), Ok(MailOutcome::Bounced(SUPPRESSED)));
    }

    #[test]
    fn tags_name_the_attempt() {
        let id = "0197f3a0-0000-7000-8000-000000000001";
        for (tags, expected) in [
            (
                json!({"invitation": [id], "attempt": ["2"], "ses:operation": ["SendEmail"]}),
                Some((id.parse().unwrap(), 2)),
            ),
            (json!({"invitation": [id]}), None),
            (json!({"invitation": [], "attempt": []}), None),
            (json!({"invitation": ["none"], "attempt": ["2"]}), None),
            (
                json!({"invitation": [id], "attempt": ["99999999999"]}),
                None,
            ),
            (json!({}), None),
        ] {
            let mut event = sample("delivered");
            event["detail"]["mail"]["tags"] = tags;
            assert_eq!(MailEvent::read(event).unwrap().attempt, expected);
        }
    }

    #[test]
    fn only_complaints_of_the_person_count() {
        for (feedback_type, is_complaint) in [
            (json!("abuse"), true),
            (json!("other"), true),
            (json!(null), true),
            (json!("not-spam"), false),
            (json!("auth-failure"), false),
        ] {
            let mut event = sample("complained");
            event["detail"]["complaint"]["complaintFeedbackType"] = feedback_type;
            assert_eq!(outcome(event.clone()).is_ok(), is_complaint, "{event}");
        }
    }

    #[test]
    fn events_that_are_not_of_a_mail_are_ignored() {
        let ignored = [
            json!(null),
            json!([]),
            json!("text"),
            json!({}),
            json!({"source": "aws.ses"}),
            json!({"source": "aws.ses", "detail": null}),
            json!({"source": "aws.ses", "detail": {"eventType": "Delivery"}}),
            json!({"source": "aws.ses", "detail": {"eventType": "Delivery", "mail": {"messageId": 7}}}),
            json!({"source": "aws.ses", "detail": {"mail": {"messageId": "id-1"}}}),
            json!({"source": "aws.ses", "detail": {"eventType": "Bounce", "mail": {"messageId": "id-1"}}}),
            json!({"source": "aws.ses", "detail": {"eventType": "Bounce", "mail": {"messageId": "id-1"}, "bounce": {}}}),
            json!({"source": "aws.ses", "detail": {"eventType": "Complaint", "mail": {"messageId": "id-1"}}}),
            json!({"source": "aws.ses", "detail": {"eventType": "Send", "mail": {"messageId": "id-1"}, "send": {}}}),
            json!({"source": "aws.s3", "detail": {"eventType": "Delivery", "mail": {"messageId": "id-1"}}}),
            sample("not-a-mail-event"),
            sample("opened"),
            sample("out-of-office"),
        ];
        for event in ignored {
            assert!(MailEvent::read(event.clone()).is_err(), "{event}");
        }
    }
}
