//! What the functions have sent, read back from moto.

use std::fmt;

use anyhow::{Context, Result};
use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};

/// By which way a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A mail, by SES.
    Email,
    /// A text message, by SNS.
    Sms,
}

impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Email => "email",
            Self::Sms => "sms",
        })
    }
}

/// One message as its receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// By which way it went.
    pub channel: Channel,
    /// The mail addresses or the telephone number, separated by `, `.
    pub to: String,
    /// The mail's subject; none in a text message.
    pub subject: Option<String>,
    /// The message as text.
    pub text: String,
    /// The mail's HTML part, if it has one.
    pub html: Option<String>,
    /// The mail as it was sent, with its headers (RFC 5322); none in a text message.
    #[serde(skip)]
    pub source: Option<String>,
}

/// What of moto's `/moto-api/data.json` is used here.
#[derive(Deserialize)]
pub(super) struct Sent {
    #[serde(default)]
    ses: Ses,
    #[serde(default)]
    sns: Sns,
}

#[derive(Default, Deserialize)]
struct Ses {
    #[serde(default, rename = "RawMessage")]
    raw_messages: Vec<RawMessage>,
}

#[derive(Deserialize)]
struct RawMessage {
    raw_data: String,
    destinations: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Sns {
    #[serde(default, rename = "SMS")]
    text_messages: Vec<TextMessage>,
}

#[derive(Deserialize)]
struct TextMessage {
    phone_number: String,
    message: String,
}

/// In which order messages were sent, as far as it was seen: moto notes no times, and keeps mails and text messages apart.
#[derive(Debug, Default)]
pub(super) struct Order(Vec<Channel>);

impl Order {
    /// Notes what is there that was not there before. Between two looks mails count as sent before text messages.
    fn note(&mut self, sent: &Sent) {
        for (channel, number) in [
            (Channel::Email, sent.ses.raw_messages.len()),
            (Channel::Sms, sent.sns.text_messages.len()),
        ] {
            let known = self.0.iter().filter(|one| **one == channel).count();
            let new = number.saturating_sub(known);
            self.0.extend(std::iter::repeat_n(channel, new));
        }
    }
}

/// Reads everything sent through the moto server at `endpoint`.
pub(super) async fn read(endpoint: &str) -> Result<Sent> {
    reqwest::get(format!("{endpoint}/moto-api/data.json"))
        .await
        .and_then(reqwest::Response::error_for_status)
        .context("moto does not tell what was sent")?
        .json()
        .await
        .context("moto tells what was sent in a form that is not known here")
}

/// The messages, the newest first.
pub(super) fn messages(sent: Sent, order: &mut Order) -> Result<Vec<Message>> {
    order.note(&sent);
    let mut mails = sent.ses.raw_messages.iter().rev().map(mail);
    let mut texts = sent.sns.text_messages.into_iter().rev().map(|sms| {
        Ok(Message {
            channel: Channel::Sms,
            to: sms.phone_number,
            subject: None,
            text: sms.message,
            html: None,
            source: None,
        })
    });
    let newest_first = order.0.iter().rev();
    newest_first
        .filter_map(|channel| match channel {
            Channel::Email => mails.next(),
            Channel::Sms => texts.next(),
        })
        .collect()
}

fn mail(raw: &RawMessage) -> Result<Message> {
    let parsed = MessageParser::new()
        .parse(raw.raw_data.as_bytes())
        .context("a sent mail is not a MIME message")?;
    let mut to = raw.destinations.clone();
    to.dedup();
    Ok(Message {
        channel: Channel::Email,
        to: to.join(", "),
        subject: parsed.subject().map(str::to_owned),
        text: parsed.body_text(0).unwrap_or_default().into_owned(),
        // A mail without an HTML part would be given one that is made from its text.
        html: parsed
            .html_bodies()
            .find(|part| part.is_text_html())
            .and_then(|part| part.text_contents())
            .map(str::to_owned),
        source: Some(raw.raw_data.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: GymBrah <invitations@gymbrah.example>\r\nTo: ann@example.com\r\n\
        Subject: =?utf-8?Q?Pi=C3=B9_forte?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative; boundary=\"b\"\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Codice: =C3=A8 qui\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Codice</p>\r\n--b--\r\n";

    fn sent(json: serde_json::Value) -> Vec<Message> {
        messages(serde_json::from_value(json).unwrap(), &mut Order::default()).unwrap()
    }

    #[test]
    fn a_mail_is_shown_decoded() {
        let messages = sent(serde_json::json!({"ses": {"RawMessage": [
            {"raw_data": MAIL, "destinations": ["ann@example.com", "ann@example.com"], "id": "1", "source": "x"}
        ]}}));
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].to, "ann@example.com");
        assert_eq!(messages[0].subject.as_deref(), Some("Più forte"));
        assert_eq!(messages[0].text.trim_end(), "Codice: è qui");
        assert_eq!(
            messages[0].html.as_deref().map(str::trim_end),
            Some("<p>Codice</p>")
        );
    }

    #[test]
    fn the_newest_comes_first_by_whichever_way_it_went() {
        let raw = |to: &str| serde_json::json!({"raw_data": "Subject: s\r\n\r\nhello", "destinations": [to]});
        let sms =
            |to: &str| serde_json::json!({"phone_number": to, "message": "hi", "message_id": "1"});
        let mut order = Order::default();
        let mut look = |mails: &[&str], texts: &[&str]| -> Vec<String> {
            let mails: Vec<_> = mails.iter().map(|to| raw(to)).collect();
            let texts: Vec<_> = texts.iter().map(|to| sms(to)).collect();
            let sent = serde_json::json!({"ses": {"RawMessage": mails}, "sns": {"SMS": texts}});
            let messages = messages(serde_json::from_value(sent).unwrap(), &mut order).unwrap();
            messages.into_iter().map(|message| message.to).collect()
        };
        assert_eq!(look(&[], &["+391"]), ["+391"]);
        assert_eq!(
            look(&["a@x.example", "b@x.example"], &["+391"]),
            ["b@x.example", "a@x.example", "+391"]
        );
        let both = look(
            &["a@x.example", "b@x.example", "c@x.example"],
            &["+391", "+392"],
        );
        assert_eq!(
            both,
            ["+392", "c@x.example", "b@x.example", "a@x.example", "+391"]
        );
    }

    #[test]
    fn a_text_message_has_no_subject() {
        let messages = sent(
            serde_json::json!({"sns": {"SMS": [{"phone_number": "+391", "message": "hi", "message_id": "1"}]}}),
        );
        assert_eq!((&messages[0].subject, &messages[0].html), (&None, &None));
        assert_eq!(
            serde_json::to_value(&messages[0]).unwrap()["channel"],
            "sms"
        );
    }

    #[test]
    fn nothing_sent_is_an_empty_outbox() {
        assert!(sent(serde_json::json!({"kms": {}})).is_empty());
    }
}
