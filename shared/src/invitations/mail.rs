//! The invitation as a mail, by SES.

use crate::{
    domain::Email,
    invitations::{AppUrl, Language, Message, SendError, delivery::Leased},
    platform::{
        aws::{is_not_sent, is_throttling, name_of, once},
        config::Variables,
    },
};
use askama::Template;
use aws_config::SdkConfig;
use aws_sdk_sesv2::{
    Client,
    error::SdkError,
    operation::{RequestId, send_email::SendEmailError},
    primitives::Blob,
    types::{Destination, EmailContent, MessageTag, RawMessage, error::MessageRejected},
};
use jiff::civil::Date;
use mail_builder::MessageBuilder;
use std::{fmt::Debug, str::FromStr};

/// The configuration of mails: their sender, and the app that their links lead to.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The sender, at an identity that SES has verified.
    pub from: Sender,
    /// The SES configuration set, which publishes the events of a mail.
    pub configuration_set: Option<String>,
    pub app_url: AppUrl,
}

impl MailConfig {
    /// Reads `MAIL_FROM`, `APP_URL`, and `MAIL_CONFIGURATION_SET` where it is set.
    pub fn from_variables(
        variables: &mut Variables<impl Fn(&str) -> Option<String>>,
    ) -> Option<Self> {
        let from = variables.required("MAIL_FROM");
        let app_url = variables.required("APP_URL");
        let configuration_set = variables.optional("MAIL_CONFIGURATION_SET");
        Some(Self {
            from: from?,
            configuration_set,
            app_url: app_url?,
        })
    }
}

/// A sender: a name and an address, written `GymBrah <invitations@gymbrah.example>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    name: String,
    address: Email,
}

impl FromStr for Sender {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "must be a name and an address, like GymBrah <invitations@gymbrah.example>";
        let (name, address) = text
            .strip_suffix('>')
            .and_then(|text| text.split_once(" <"))
            .ok_or(FORM)?;
        Ok(Self {
            name: name.to_owned(),
            address: address.parse().map_err(|_| FORM)?,
        })
    }
}

/// Sends invitations by SES.
pub struct MailSender {
    client: Client,
    config: MailConfig,
}

impl MailSender {
    #[must_use]
    pub fn new(config: MailConfig, aws: &SdkConfig) -> Self {
        Self {
            client: Client::new(&once(aws)),
            config,
        }
    }

    /// Hands an invitation to SES and returns the id that the mail has in SES's events.
    ///
    /// The mail is built here (MIME, RFC 2045), and SES sends it unchanged. Its tags come back in
    /// the events: they tell whose mail it is also where the id was never known here.
    pub async fn send(&self, leased: &Leased) -> Result<String, SendError> {
        let invitation = &leased.message;
        let mail = self.config.mail(invitation).map_err(|error| {
            tracing::warn!(%error, "the invitation could not be written");
            SendError::Failed(NOT_TAKEN)
        })?;
        let content = EmailContent::builder()
            .raw(
                RawMessage::builder()
                    .data(Blob::new(mail))
                    .build()
                    .expect("data is given"),
            )
            .build();
        let response = self
            .client
            .send_email()
            .from_email_address(self.config.from.address.as_str())
            .destination(Destination::builder().to_addresses(&invitation.to).build())
            .set_configuration_set_name(self.config.configuration_set.clone())
            .email_tags(tag(INVITATION_TAG, &leased.id))
            .email_tags(tag(ATTEMPT_TAG, &leased.attempt))
            .content(content)
            .send()
            .await
            .map_err(|error| {
                let (cause, request_id) = (name_of(&error), error.request_id());
                tracing::warn!(cause, request_id, "SES did not take the invitation");
                what_follows(&error)
            })?;
        Ok(response.message_id.unwrap_or_default())
    }
}

/// The tag of a mail that has the invitation's id.
pub const INVITATION_TAG: &str = "invitation";

/// The tag of a mail that has the number of the attempt.
pub const ATTEMPT_TAG: &str = "attempt";

fn tag(name: &str, value: &impl ToString) -> MessageTag {
    let tag = MessageTag::builder().name(name).value(value.to_string());
    tag.build().expect("name and value are given")
}

const REFUSED: &str = "The mail service refuses this address: correct it.";
const NOT_TAKEN: &str = "The mail service did not take it.";
const NOT_REACHED: &str = "The mail service could not be reached.";
const NOT_ANSWERED: &str =
    "The mail service did not answer; the invitation may have arrived all the same.";

/// The error of an invitation that SES did not take. It is final only if the mail itself is
/// refused. An account that is paused, or a sender that is not verified, is for us to repair, and
/// the invitation is sent afterwards.
fn what_follows<R: Debug + 'static>(error: &SdkError<SendEmailError, R>) -> SendError {
    match error.as_service_error() {
        Some(_) if is_throttling(error) => SendError::Throttled,
        Some(SendEmailError::BadRequestException(_)) => SendError::Refused(REFUSED),
        Some(SendEmailError::MessageRejected(rejected)) if !is_of_an_identity(rejected) => {
            SendError::Refused(REFUSED)
        }
        Some(_) => SendError::Failed(NOT_TAKEN),
        None if is_not_sent(error) => SendError::Failed(NOT_REACHED),
        None => SendError::Unknown(NOT_ANSWERED),
    }
}

/// True if SES has refused our identity, not the recipient. Only the message tells: "Email address
/// is not verified. The following identities failed the check in region …".
fn is_of_an_identity(rejected: &MessageRejected) -> bool {
    rejected
        .message()
        .is_some_and(|message| message.contains("not verified"))
}

impl MailConfig {
    /// The mail in the form in which SES gets it: MIME.
    pub fn mail(&self, invitation: &Message) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let language = Language::from(&invitation.locale);
        let letter = Letter::new(invitation, &self.app_url, language);
        let mut mail = MessageBuilder::new()
            .from((self.from.name.as_str(), self.from.address.as_str()))
            .to(invitation.to.as_str())
            .subject(letter.subject.as_str())
            .text_body(letter.text(language)?)
            .html_body(letter.html(language)?);
        if let Some(owner) = &invitation.reply_to {
            mail = mail.reply_to(owner.as_str());
        }
        Ok(mail.write_to_vec()?)
    }
}

/// The HTML of a mail, to look at it in a browser.
pub fn html(invitation: &Message, app_url: &AppUrl) -> Result<String, askama::Error> {
    let language = Language::from(&invitation.locale);
    Letter::new(invitation, app_url, language).html(language)
}

/// The values that the templates show.
struct Letter {
    subject: String,
    business: String,
    full_name: Option<String>,
    athlete_code: String,
    link: String,
    /// The last day on which the code works.
    until: String,
    /// True if other athletes have this address too: it does not identify the reader then.
    is_shared: bool,
    /// True if a reply reaches the gym's owner.
    is_answered: bool,
}

impl Letter {
    fn new(invitation: &Message, app_url: &AppUrl, language: Language) -> Self {
        let business = on_its_own(&invitation.business);
        let full_name = invitation.full_name.as_deref().map(on_its_own);
        let subject = match language {
            Language::English => format!("{business} invites you to GymBrah"),
            Language::Italian => format!("{business} ti invita su GymBrah"),
        };
        Self {
            // A parent who reads the mails of several children sees at once whose code it is.
            subject: match &full_name {
                Some(name) if invitation.is_shared => format!("{name}: {subject}"),
                _ => subject,
            },
            business,
            full_name,
            athlete_code: invitation.athlete_code.to_string(),
            link: invitation.link(app_url),
            until: until(invitation.last_day, language),
            is_shared: invitation.is_shared,
            is_answered: invitation.reply_to.is_some(),
        }
    }

    fn text(&self, language: Language) -> Result<String, askama::Error> {
        #[derive(Template)]
        #[template(path = "invitation.en.txt")]
        struct English<'a> {
            letter: &'a Letter,
        }

        #[derive(Template)]
        #[template(path = "invitation.it.txt")]
        struct Italian<'a> {
            letter: &'a Letter,
        }

        match language {
            Language::English => English { letter: self }.render(),
            Language::Italian => Italian { letter: self }.render(),
        }
    }

    fn html(&self, language: Language) -> Result<String, askama::Error> {
        #[derive(Template)]
        #[template(path = "invitation.en.html")]
        struct English<'a> {
            letter: &'a Letter,
        }

        #[derive(Template)]
        #[template(path = "invitation.it.html")]
        struct Italian<'a> {
            letter: &'a Letter,
        }

        match language {
            Language::English => English { letter: self }.render(),
            Language::Italian => Italian { letter: self }.render(),
        }
    }
}

/// The last day, as it follows "until" and "fino": in Italian with the article, which depends on
/// the day.
fn until(end: Date, language: Language) -> String {
    const MESI: [&str; 12] = [
        "gennaio",
        "febbraio",
        "marzo",
        "aprile",
        "maggio",
        "giugno",
        "luglio",
        "agosto",
        "settembre",
        "ottobre",
        "novembre",
        "dicembre",
    ];
    match language {
        Language::English => end.strftime("%-d %B %Y").to_string(),
        Language::Italian => {
            let day = match end.day() {
                1 => "al 1º".to_owned(),
                day @ (8 | 11) => format!("all’{day}"),
                day => format!("al {day}"),
            };
            let month = usize::try_from(end.month() - 1).expect("months count from 1");
            format!("{day} {} {}", MESI[month], end.year())
        }
    }
}

/// A name, between isolates (UAX #9, section 2.4) where it could change the text around it.
/// Isolates work in text, in HTML and in a subject. Two kinds of names need them:
///
/// - A name that reads from right to left: it would change the order of the words around it.
/// - A name with `=?`, the beginning of an encoded word (RFC 2047): in a subject that is all ASCII
///   it would be decoded, into a text that nobody has checked. Isolates are not ASCII, so the
///   subject is encoded, and its `=?` too.
fn on_its_own(name: &str) -> String {
    if name.chars().any(reads_from_right_to_left) || name.contains("=?") {
        format!("\u{2068}{name}\u{2069}")
    } else {
        name.to_owned()
    }
}

/// True for the characters of right-to-left scripts, by Unicode's blocks: Hebrew, Arabic, Syriac,
/// Thaana, N'Ko and others.
fn reads_from_right_to_left(c: char) -> bool {
    matches!(
        c,
        '\u{590}'..='\u{8FF}'
            | '\u{200F}'
            | '\u{FB1D}'..='\u{FDFF}'
            | '\u{FE70}'..='\u{FEFF}'
            | '\u{10800}'..='\u{10FFF}'
            | '\u{1E800}'..='\u{1EFFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AthleteCode;
    use aws_sdk_sesv2::{
        error::{ConnectorError, ErrorMetadata},
        types::error::{
            AccountSuspendedException, BadRequestException, LimitExceededException,
            MailFromDomainNotVerifiedException, NotFoundException, SendingPausedException,
            TooManyRequestsException,
        },
    };

    fn invitation(business: &str, locale: &str) -> Message {
        Message {
            to: "ada@example.org".to_owned(),
            business: business.to_owned(),
            reply_to: Some("owner@iron.example".to_owned()),
            full_name: Some("Ada".to_owned()),
            locale: locale.parse().unwrap(),
            athlete_code: AthleteCode::from_entropy(7),
            is_shared: false,
            last_day: "2026-12-22".parse().unwrap(),
        }
    }

    fn app_url() -> AppUrl {
        "https://app.gymbrah.example/".parse().unwrap()
    }

    /// Subject, text and HTML.
    fn written(invitation: &Message) -> [String; 3] {
        let language = Language::from(&invitation.locale);
        let letter = Letter::new(invitation, &app_url(), language);
        [
            letter.subject.clone(),
            letter.text(language).unwrap(),
            html(invitation, &app_url()).unwrap(),
        ]
    }

    /// The mail as SES gets it.
    fn mail(invitation: &Message) -> String {
        let config = MailConfig {
            from: "GymBrah <invitations@gymbrah.example>".parse().unwrap(),
            configuration_set: None,
            app_url: app_url(),
        };
        String::from_utf8(config.mail(invitation).unwrap()).unwrap()
    }

    fn headers(mail: &str) -> Vec<&str> {
        mail.split_once("\r\n\r\n")
            .unwrap()
            .0
            .split("\r\n")
            .collect()
    }

    #[test]
    fn text_and_html_are_complete_in_both_languages() {
        let code = AthleteCode::from_entropy(7).to_string();
        let link = format!("https://app.gymbrah.example/join?code={code}");
        for (locale, subject, lang, words) in [
            (
                "en-GB",
                "Iron Temple invites you to GymBrah",
                "<html lang=\"en\">",
                ["Hi Ada", "22 December 2026", "Why you got this"],
            ),
            (
                "it",
                "Iron Temple ti invita su GymBrah",
                "<html lang=\"it\">",
                [
                    "Ciao Ada",
                    "al 22 dicembre 2026",
                    "Perché ricevi questa email",
                ],
            ),
        ] {
            let [its_subject, text, html] = written(&invitation("Iron Temple", locale));
            assert_eq!(its_subject, subject);
            assert!(html.contains(lang), "{html}");
            for part in [text, html] {
                for said in words.iter().copied().chain(["Iron Temple", &code, &link]) {
                    assert!(part.contains(said), "{said} is missing in:\n{part}");
                }
            }
        }
    }

    #[test]
    fn athlete_without_a_name_is_greeted() {
        for (locale, greeting) in [("en", "Hi,"), ("it", "Ciao,")] {
            let mut invitation = invitation("Iron Temple", locale);
            invitation.full_name = None;
            let [_, text, html] = written(&invitation);
            assert!(text.starts_with(greeting) && html.contains(&format!(">{greeting} ")));
        }
    }

    #[test]
    fn at_a_shared_address_the_name_stands_first_and_the_code_is_asked_for() {
        for (locale, subject, words, others) in [
            (
                "en",
                "Kid Two: Iron Temple invites you to GymBrah",
                "Sign up, and type your",
                "you are in",
            ),
            (
                "it",
                "Kid Two: Iron Temple ti invita su GymBrah",
                "Registrati e inserisci il tuo",
                "non serve altro",
            ),
        ] {
            let mut invitation = invitation("Iron Temple", locale);
            invitation.full_name = Some("Kid Two".to_owned());
            invitation.is_shared = true;
            let [its_subject, text, html] = written(&invitation);
            assert_eq!(its_subject, subject);
            for part in [text, html] {
                assert!(part.contains(words) && !part.contains(others), "{part}");
            }
        }
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        for locale in ["en", "it"] {
            let mut invitation = invitation("<script>alert(1)</script> & \"Söhne\"", locale);
            invitation.full_name = Some("<b>Ada</b>".to_owned());
            let [_, text, html] = written(&invitation);
            assert!(
                !html.contains("<script>")
                    && !html.contains("<b>Ada")
                    && html.contains("&#38; &#34;Söhne"),
                "{html}"
            );
            assert!(
                text.contains("<script>alert(1)</script> & \"Söhne\"")
                    && text.contains("<b>Ada</b>"),
                "{text}"
            );
        }
    }

    #[test]
    fn right_to_left_name_is_isolated() {
        for part in written(&invitation("نادي الحديد", "en")) {
            assert!(part.contains("\u{2068}نادي الحديد\u{2069}"), "{part}");
        }
        for part in written(&invitation("鉄の道場 Zoë", "en")) {
            assert!(!part.contains('\u{2068}'), "{part}");
        }
    }

    #[test]
    fn last_day_is_written_as_people_say_it() {
        for (end, english, italian) in [
            ("2026-12-22", "22 December 2026", "al 22 dicembre 2026"),
            ("2027-01-01", "1 January 2027", "al 1º gennaio 2027"),
            ("2027-05-08", "8 May 2027", "all’8 maggio 2027"),
            ("2027-08-11", "11 August 2027", "all’11 agosto 2027"),
        ] {
            let end = end.parse().unwrap();
            assert_eq!(until(end, Language::English), english);
            assert_eq!(until(end, Language::Italian), italian);
        }
    }

    #[test]
    fn reply_goes_to_the_gyms_owner_if_there_is_an_address() {
        let mut invitation = invitation("Iron Temple", "en");
        let told = |mail: &str, text: &str| {
            mail.contains("Any questions?") && text.contains("Any questions?")
        };

        let mail_with = mail(&invitation);
        assert!(headers(&mail_with).contains(&"Reply-To: <owner@iron.example>"));
        let [_, text, html] = written(&invitation);
        assert!(told(&html, &text));

        invitation.reply_to = None;
        assert!(!mail(&invitation).contains("Reply-To"));
        let [_, text, html] = written(&invitation);
        assert!(!told(&html, &text) && !html.contains("Any questions?"));
    }

    #[test]
    fn names_add_no_headers() {
        for business in [
            "Iron Temple",
            "Eve\r\nBcc: eve@example.org",
            "Eve\nBcc: eve@example.org\n\n<p>",
            &"鉄".repeat(120),
            &"x".repeat(120),
            &"\u{1F4AA} ".repeat(60),
        ] {
            let mut invitation = invitation(business, "it");
            invitation.full_name = Some("Ada\r\nX-Eve: 1".to_owned());
            invitation.reply_to = Some("owner@iron.example\r\nBcc: eve@example.org".to_owned());
            let mail = mail(&invitation);
            let headers = headers(&mail);
            let names: Vec<&str> = headers
                .iter()
                .filter(|line| !line.starts_with([' ', '\t']))
                .map(|line| line.split_once(':').unwrap().0)
                .collect();
            for name in &names {
                assert!(
                    [
                        "From",
                        "To",
                        "Reply-To",
                        "Subject",
                        "Message-ID",
                        "Date",
                        "MIME-Version",
                        "Content-Type"
                    ]
                    .contains(name),
                    "{name} is in:\n{mail}"
                );
            }
            for said in [
                "From: \"GymBrah\" <invitations@gymbrah.example>",
                "To: <ada@example.org>",
            ] {
                assert!(headers.contains(&said), "{said} is missing in:\n{mail}");
            }
            assert!(headers.iter().all(|line| line.len() <= 78), "{mail}");
        }
    }

    #[test]
    fn ses_error_is_throttled_refused_or_failed() {
        let service = |error: SendEmailError| what_follows(&SdkError::service_error(error, ()));
        let rejected = |message: &str| {
            service(SendEmailError::MessageRejected(
                MessageRejected::builder().message(message).build(),
            ))
        };
        let coded = |code: &str| {
            service(SendEmailError::generic(
                ErrorMetadata::builder().code(code).build(),
            ))
        };
        let named = |code: &str| ErrorMetadata::builder().code(code).build();

        for throttled in [
            service(SendEmailError::TooManyRequestsException(
                TooManyRequestsException::builder()
                    .meta(named("TooManyRequestsException"))
                    .build(),
            )),
            service(SendEmailError::LimitExceededException(
                LimitExceededException::builder()
                    .meta(named("LimitExceededException"))
                    .build(),
            )),
            coded("Throttling"),
            coded("ThrottlingException"),
        ] {
            assert_eq!(throttled, SendError::Throttled);
        }
        for refused in [
            service(SendEmailError::BadRequestException(
                BadRequestException::builder()
                    .message("Missing final '@domain'")
                    .build(),
            )),
            rejected("Address is on the suppression list"),
        ] {
            assert_eq!(refused, SendError::Refused(REFUSED));
        }
        for failed in [
            rejected(
                "Email address is not verified. The following identities failed the check in region EU-SOUTH-1: invitations@gymbrah.example",
            ),
            service(SendEmailError::AccountSuspendedException(
                AccountSuspendedException::builder().build(),
            )),
            service(SendEmailError::MailFromDomainNotVerifiedException(
                MailFromDomainNotVerifiedException::builder().build(),
            )),
            service(SendEmailError::NotFoundException(
                NotFoundException::builder().build(),
            )),
            service(SendEmailError::SendingPausedException(
                SendingPausedException::builder().build(),
            )),
            coded("AccessDeniedException"),
            coded("InternalFailure"),
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

    #[test]
    fn sender_without_a_name_or_an_address_is_refused() {
        assert!(
            "GymBrah <invitations@gymbrah.example>"
                .parse::<Sender>()
                .is_ok()
        );
        for wrong in ["", "invitations@gymbrah.example", "GymBrah <nobody>"] {
            assert!(wrong.parse::<Sender>().is_err(), "{wrong}");
        }
    }
}
