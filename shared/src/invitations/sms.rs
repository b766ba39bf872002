//! The invitation as a text message, by SNS.
//!
//! A text message holds 160 characters of seven bits (septets), in the alphabet of 3GPP TS 23.038,
//! section 6.2.1. With a single character from outside it holds only 70. A longer text is sent as
//! several messages, each of which is paid for.

use crate::{
    invitations::{AppUrl, Language, Message, SendError},
    platform::aws::{is_not_sent, is_throttling, name_of, once},
};
use any_ascii::any_ascii_char;
use aws_config::SdkConfig;
use aws_sdk_sns::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{RequestId, publish::PublishError},
    types::MessageAttributeValue,
};
use std::fmt::Debug;

/// The number of septets that one message holds.
const MAX_SEPTETS: usize = 160;

/// The end of a name that was shortened; the alphabet has no "…".
const ELLIPSIS: &str = "...";

/// Sends invitations by SNS.
pub struct SmsSender {
    client: Client,
    app_url: AppUrl,
}

impl SmsSender {
    #[must_use]
    pub fn new(app_url: AppUrl, aws: &SdkConfig) -> Self {
        Self {
            client: Client::new(&once(aws)),
            app_url,
        }
    }

    /// Hands an invitation to SNS and returns SNS's id of the message.
    pub async fn send(&self, invitation: &Message) -> Result<String, SendError> {
        let transactional = MessageAttributeValue::builder()
            .data_type("String")
            .string_value("Transactional")
            .build()
            .expect("the type is given");
        let response = self
            .client
            .publish()
            .phone_number(&invitation.to)
            .message(message(invitation, &self.app_url))
            .message_attributes("AWS.SNS.SMS.SMSType", transactional)
            .send()
            .await
            .map_err(|error| {
                let (cause, request_id) = (name_of(&error), error.request_id());
                tracing::warn!(cause, request_id, "SNS did not take the invitation");
                what_follows(&error)
            })?;
        Ok(response.message_id.unwrap_or_default())
    }
}

const REFUSED: &str = "The text message service refuses this number: correct it.";
const NOT_TAKEN: &str = "The text message service did not take it.";
const NOT_REACHED: &str = "The text message service could not be reached.";
const NOT_ANSWERED: &str =
    "The text message service did not answer; the invitation may have arrived all the same.";

/// The error of an invitation that SNS did not take. It is final only if the number itself is
/// refused.
fn what_follows<R: Debug + 'static>(error: &SdkError<PublishError, R>) -> SendError {
    match error.as_service_error() {
        Some(_) if is_throttling(error) => SendError::Throttled,
        Some(refusal) if is_of_the_number(refusal) => SendError::Refused(REFUSED),
        Some(_) => SendError::Failed(NOT_TAKEN),
        None if is_not_sent(error) => SendError::Failed(NOT_REACHED),
        None => SendError::Unknown(NOT_ANSWERED),
    }
}

/// True if SNS has refused the number. If a parameter is invalid, only the message tells which one:
/// `Invalid parameter: PhoneNumber Reason: … is not valid to publish to`.
fn is_of_the_number(refusal: &PublishError) -> bool {
    match refusal {
        PublishError::InvalidParameterException(_)
        | PublishError::InvalidParameterValueException(_)
        | PublishError::ValidationException(_) => refusal
            .message()
            .is_some_and(|message| message.contains("PhoneNumber")),
        _ => refusal
            .code()
            .is_some_and(|code| code.starts_with("OptedOut")),
    }
}

/// The text of an invitation. It always fits one message: the gym's name gets the septets that the
/// rest leaves.
#[must_use]
pub fn message(invitation: &Message, app_url: &AppUrl) -> String {
    let (code, link) = (&invitation.athlete_code, invitation.link(app_url));
    let (nameless, rest) = match Language::from(&invitation.locale) {
        Language::English => (
            "Your gym",
            format!(" invites you to GymBrah. Code {code}. Sign up: {link}"),
        ),
        Language::Italian => (
            "La tua palestra",
            format!(" ti invita su GymBrah. Codice {code}. Iscriviti: {link}"),
        ),
    };
    let name = spelt(&invitation.business);
    let name = if name.contains(char::is_alphanumeric) {
        shortened(&name, MAX_SEPTETS.saturating_sub(septets(&rest)))
    } else {
        nameless.to_owned()
    };
    name + &rest
}

/// A name in the alphabet of text messages. Other characters are transliterated, or left out where
/// that is impossible.
fn spelt(name: &str) -> String {
    let mut spelt = String::with_capacity(name.len());
    for c in name.chars() {
        let letters = match c {
            '«' | '»' => "\"",
            _ => any_ascii_char(c),
        };
        if septets_of(c).is_some() {
            spelt.push(c);
        } else if !is_the_name_of_a_picture(letters) {
            spelt.extend(letters.chars().filter(|&c| septets_of(c).is_some()));
        }
    }
    let words: Vec<&str> = spelt.split_whitespace().collect();
    words.join(" ")
}

/// True for the transliteration of an emoji, such as `:muscle:`. An emoji is a picture beside the
/// gym's name, not a part of it.
fn is_the_name_of_a_picture(letters: &str) -> bool {
    letters.len() > 2 && letters.starts_with(':') && letters.ends_with(':')
}

/// The name, or its beginning and an ellipsis, in at most `most` septets.
fn shortened(name: &str, most: usize) -> String {
    if septets(name) <= most {
        return name.to_owned();
    }
    let mut left = most.saturating_sub(ELLIPSIS.len());
    let kept: String = name
        .chars()
        .take_while(|&c| {
            let rest = septets_of(c).and_then(|cost| left.checked_sub(cost));
            left = rest.unwrap_or_default();
            rest.is_some()
        })
        .collect();
    kept.trim_end().to_owned() + ELLIPSIS
}

fn septets(text: &str) -> usize {
    text.chars().filter_map(septets_of).sum()
}

/// The number of septets that a character takes; none if messages don't use it. They use no line
/// breaks, because one line is enough, and no Greek capitals: the alphabet has only ten, and a
/// Greek name would be half transliterated.
fn septets_of(c: char) -> Option<usize> {
    const ONE: &str = "@£$¥èéùìòÇØøÅå_ÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
    const TWO: &str = "^{}\\[~]|€";
    if c.is_ascii_alphanumeric() || ONE.contains(c) {
        Some(1)
    } else if TWO.contains(c) {
        Some(2)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AthleteCode;
    use aws_sdk_sns::{
        error::{ConnectorError, ErrorMetadata},
        types::error::{
            AuthorizationErrorException, InternalErrorException, InvalidParameterException,
            InvalidParameterValueException, KmsThrottlingException, NotFoundException,
        },
    };

    /// The tables of 3GPP TS 23.038, sections 6.2.1 and 6.2.1.1, without control characters.
    const BASIC: &str = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    const EXTENSION: &str = "^{}\\[~]|€";

    fn septets_by_the_tables(text: &str) -> usize {
        text.chars()
            .map(|c| match c {
                _ if BASIC.contains(c) => 1,
                _ if EXTENSION.contains(c) => 2,
                _ => panic!("{c:?} is not in the alphabet: {text}"),
            })
            .sum()
    }

    fn message_of(business: &str, locale: &str, app_url: &str) -> String {
        let invitation = Message {
            to: "+393331234567".to_owned(),
            business: business.to_owned(),
            reply_to: None,
            full_name: None,
            locale: locale.parse().unwrap(),
            athlete_code: AthleteCode::from_entropy(7),
            is_shared: false,
            last_day: "2026-12-22".parse().unwrap(),
        };
        message(&invitation, &app_url.parse().unwrap())
    }

    #[test]
    fn message_has_the_gym_the_code_and_the_link() {
        let code = AthleteCode::from_entropy(7);
        assert_eq!(
            message_of("Iron Temple", "en", "https://app.gymbrah.example"),
            format!(
                "Iron Temple invites you to GymBrah. Code {code}. Sign up: https://app.gymbrah.example/join?code={code}"
            )
        );
        assert_eq!(
            message_of("Città del Fitness", "it-CH", "https://app.gymbrah.example"),
            format!(
                "Città del Fitness ti invita su GymBrah. Codice {code}. Iscriviti: https://app.gymbrah.example/join?code={code}"
            )
        );
    }

    #[test]
    fn any_gym_name_leaves_one_message_with_the_whole_code_and_link() {
        let longest = format!("https://{}.example", "a".repeat(44));
        let code = AthleteCode::from_entropy(7).to_string();
        let names = [
            "Iron Temple",
            "I",
            "Zoë’s Söhne & Figli – №1",
            "Palestra dell’Università di Forlì",
            "鉄の道場",
            "李小龍武館",
            "نادي الحديد",
            "מכון כושר",
            "Спортзал «Сила»",
            "ΓΥΜΝΑΣΤΗΡΙΟ ΩΜΕΓΑ",
            "जिम फिट",
            "โรงยิม",
            "헬스장",
            "Đà Nẵng Thể Hình",
            "e\u{301}\u{302}\u{303}",
            "{[~^|\\€]}",
            "💪 24/7 🏋️‍♀️",
            "💪🏋️‍♀️🔥",
            "\u{1F1EE}\u{1F1F9}",
            "﷽",
            "``` \u{A0}\u{3000}\u{2003}",
            "\u{200F}\u{200D}\u{FEFF}",
            "\u{10FFFF}\u{E000}",
            "a\nb\r\nc\u{2028}d\te",
        ];
        // Every character of Unicode too, in names of 120.
        let everything: Vec<char> = ('\0'..=char::MAX).collect();
        let repeated = names
            .iter()
            .flat_map(|name| [(*name).to_owned(), name.chars().cycle().take(120).collect()]);
        let chunks = everything.chunks(120).map(|chunk| chunk.iter().collect());

        for name in repeated.chain(chunks) {
            for locale in ["en", "it"] {
                for app_url in [&longest, "http://a"] {
                    let message = message_of(&name, locale, app_url);
                    let septets = septets_by_the_tables(&message);
                    assert!(septets <= MAX_SEPTETS, "{septets}: {message}");
                    assert!(
                        message.contains(&format!(" {code}. "))
                            && message.ends_with(&format!(" {app_url}/join?code={code}")),
                        "{message}"
                    );
                }
            }
        }
    }

    #[test]
    fn name_outside_the_alphabet_is_transliterated() {
        for (name, spelling) in [
            ("Città dello Sport è più", "Città dello Sport è più"),
            ("Söhne & Żółć – „Siła”", "Söhne & Zolc - \"Sila\""),
            ("Zoë’s Gym", "Zoe's Gym"),
            ("ΓΥΜΝΑΣΤΗΡΙΟ", "GYMNASTIRIO"),
            ("Спортзал «Сила»", "Sportzal \"Sila\""),
            ("李小龍", "LiXiaoLong"),
            ("💪  24/7 🏋️‍♀️", "24/7"),
            ("`Gym`", "Gym"),
            ("🔥🔥🔥", ""),
        ] {
            assert_eq!(spelt(name), spelling);
        }
    }

    #[test]
    fn name_without_letters_or_digits_becomes_your_gym() {
        for name in ["🔥🔥🔥", "💪!!!", "\u{200D}", "¡¿"] {
            let message = message_of(name, "en", "https://app.gymbrah.example");
            assert!(message.starts_with("Your gym invites"), "{message}");
            let message = message_of(name, "it", "https://app.gymbrah.example");
            assert!(
                message.starts_with("La tua palestra ti invita"),
                "{message}"
            );
        }
    }

    #[test]
    fn only_a_long_name_is_shortened() {
        assert_eq!(shortened("Iron Temple", 11), "Iron Temple");
        assert_eq!(shortened("Iron Temple", 10), "Iron Te...");
        assert_eq!(shortened("Iron Temple", 8), "Iron...");
        assert_eq!(shortened("€€€€", 8), "€€€€");
        assert_eq!(shortened("€€€€", 7), "€€...");
        assert_eq!(shortened("a€€€€", 8), "a€€...");
    }

    #[test]
    fn sns_error_is_throttled_refused_or_failed() {
        let service = |error: PublishError| what_follows(&SdkError::service_error(error, ()));
        let coded = |code: &str| {
            service(PublishError::generic(
                ErrorMetadata::builder().code(code).build(),
            ))
        };
        let parameter = |message: &str| {
            let meta = ErrorMetadata::builder()
                .code("InvalidParameter")
                .message(message)
                .build();
            service(PublishError::InvalidParameterException(
                InvalidParameterException::builder()
                    .message(message)
                    .meta(meta)
                    .build(),
            ))
        };

        for throttled in [
            coded("Throttled"),
            coded("Throttling"),
            coded("ThrottlingException"),
            service(PublishError::KmsThrottlingException(
                KmsThrottlingException::builder()
                    .meta(ErrorMetadata::builder().code("KMSThrottling").build())
                    .build(),
            )),
        ] {
            assert_eq!(throttled, SendError::Throttled);
        }
        for refused in [
            parameter(
                "Invalid parameter: PhoneNumber Reason: +390000000 is not valid to publish to",
            ),
            coded("OptedOut"),
        ] {
            assert_eq!(refused, SendError::Refused(REFUSED));
        }
        for failed in [
            parameter("Invalid parameter: Message Reason: Empty message"),
            service(PublishError::InvalidParameterValueException(
                InvalidParameterValueException::builder().build(),
            )),
            service(PublishError::AuthorizationErrorException(
                AuthorizationErrorException::builder().build(),
            )),
            service(PublishError::InternalErrorException(
                InternalErrorException::builder().build(),
            )),
            service(PublishError::NotFoundException(
                NotFoundException::builder().build(),
            )),
            coded("AccessDenied"),
        ] {
            assert_eq!(failed, SendError::Failed(NOT_TAKEN));
        }
        for unanswered in [
            SdkError::timeout_error("5 s"),
            SdkError::dispatch_failure(ConnectorError::timeout("connect".into())),
            SdkError::response_error("no XML", ()),
        ] {
            assert_eq!(what_follows(&unanswered), SendError::Unknown(NOT_ANSWERED));
        }
    }
}
