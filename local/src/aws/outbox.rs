//! The outbox: what the functions have sent, read from their calls of SES and SNS.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};

/// The way by which a message is sent.
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
    /// The way by which it went.
    pub channel: Channel,
    /// The time at which it was sent.
    pub sent_at: Timestamp,
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

/// Messages in the order in which they were sent.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Vec<Arc<Message>>);

impl Outbox {
    pub(super) fn add(&mut self, message: Message) {
        self.0.push(Arc::new(message));
    }

    /// The number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where nothing was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All messages, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.0.iter().rev()
    }

    /// The messages to an address or a number, the newest first.
    pub fn to(&self, receiver: &str) -> impl Iterator<Item = &Arc<Message>> {
        self.newest_first()
            .filter(move |message| message.to == receiver)
    }
}

/// SES's `SendEmail`, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEmail {
    destination: Destination,
    content: Content,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    to_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    raw: Raw,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    data: String,
}

/// The message that a call of AWS sends; `None` for any other call.
pub(super) fn message(call: &Parts, body: &[u8]) -> Result<Option<Message>> {
    match call.uri.path() {
        "/v2/email/outbound-emails" => {
            let call: SendEmail = serde_json::from_slice(body)
                .context("the local inbox knows mails that are sent raw, to addresses")?;
            mail(&call).map(Some)
        }
        "/" => Ok(text_message(body)),
        _ => Ok(None),
    }
}

fn mail(call: &SendEmail) -> Result<Message> {
    let source = STANDARD
        .decode(&call.content.raw.data)
        .context("a sent mail is not in base 64")?;
    let parsed = MessageParser::new()
        .parse(&source)
        .context("a sent mail is not a MIME message")?;
    Ok(Message {
        channel: Channel::Email,
        sent_at: Timestamp::now(),
        to: call.destination.to_addresses.join(", "),
        subject: parsed.subject().map(str::to_owned),
        text: parsed.body_text(0).unwrap_or_default().into_owned(),
        // A mail without an HTML part would be given one that is made from its text.
        html: parsed
            .html_bodies()
            .find(|part| part.is_text_html())
            .and_then(|part| part.text_contents())
            .map(str::to_owned),
        source: Some(String::from_utf8_lossy(&source).into_owned()),
    })
}

/// SNS's `Publish` to a telephone number.
fn text_message(body: &[u8]) -> Option<Message> {
    let parameter = |wanted| {
        form_urlencoded::parse(body)
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    if parameter("Action")? != "Publish" {
        return None;
    }
    Some(Message {
        channel: Channel::Sms,
        sent_at: Timestamp::now(),
        to: parameter("PhoneNumber")?,
        subject: None,
        text: parameter("Message")?,
        html: None,
        source: None,
    })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde_json::{Value, json};

    use super::*;

    const MAIL: &str = "From: GymBrah <invitations@gymbrah.example>\r\nTo: ann@example.com\r\n\
        Subject: =?utf-8?Q?Pi=C3=B9_forte?=\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/alternative; boundary=\"b\"\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        Codice: =C3=A8 qui\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Codice</p>\r\n--b--\r\n";

    fn read(path: &str, body: &str) -> Result<Option<Message>> {
        let (call, ()) = Request::post(path).body(()).unwrap().into_parts();
        message(&call, body.as_bytes())
    }

    fn send_email(content: &Value) -> Result<Option<Message>> {
        let call = json!({
            "FromEmailAddress": "invitations@gymbrah.example",
            "Destination": {"ToAddresses": ["ann@example.com"]},
            "Content": content,
        });
        read("/v2/email/outbound-emails", &call.to_string())
    }

    #[test]
    fn a_mail_is_decoded() {
        let raw = json!({"Raw": {"Data": STANDARD.encode(MAIL)}});
        let mail = send_email(&raw).unwrap().unwrap();
        assert_eq!(mail.to, "ann@example.com");
        assert_eq!(mail.subject.as_deref(), Some("Più forte"));
        assert_eq!(mail.text.trim_end(), "Codice: è qui");
        assert_eq!(
            mail.html.as_deref().map(str::trim_end),
            Some("<p>Codice</p>")
        );
        assert_eq!(mail.source.as_deref(), Some(MAIL));
    }

    #[test]
    fn a_mail_that_is_not_raw_is_an_error() {
        let simple = json!({"Simple": {"Subject": {"Data": "hi"}}});
        let error = send_email(&simple).unwrap_err().to_string();
        assert!(error.contains("raw"), "{error}");
    }

    #[test]
    fn a_text_message_has_no_subject() {
        let call = "Action=Publish&PhoneNumber=%2B391&Message=hi+there";
        let sms = read("/", call).unwrap().unwrap();
        assert_eq!((sms.to.as_str(), sms.text.as_str()), ("+391", "hi there"));
        assert_eq!((&sms.subject, &sms.html), (&None, &None));
        assert_eq!(serde_json::to_value(&sms).unwrap()["channel"], "sms");
    }

    #[test]
    fn another_call_is_no_message() {
        assert_eq!(read("/", r#"{"SecretId": "x"}"#).unwrap(), None);
        assert_eq!(
            read("/", "Action=Publish&TopicArn=x&Message=hi").unwrap(),
            None
        );
        assert_eq!(
            read("/v2/email/identities", r#"{"EmailIdentity": "x"}"#).unwrap(),
            None
        );
    }

    #[test]
    fn messages_of_both_channels_come_newest_first() {
        let mut outbox = Outbox::default();
        for to in ["+391", "+392"] {
            let sms = format!("Action=Publish&PhoneNumber={to}&Message=hi").replace('+', "%2B");
            outbox.add(read("/", &sms).unwrap().unwrap());
            let raw = json!({"Raw": {"Data": STANDARD.encode(MAIL)}});
            outbox.add(send_email(&raw).unwrap().unwrap());
        }
        let receivers: Vec<_> = outbox.newest_first().map(|one| one.to.as_str()).collect();
        assert_eq!(
            receivers,
            ["ann@example.com", "+392", "ann@example.com", "+391"]
        );
        assert_eq!(outbox.to("ann@example.com").count(), 2);
    }
}
