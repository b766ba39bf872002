//! The invitation mail, by SES.

use crate::{
    config::Variables,
    types::{AthleteCode, Email},
};
use askama::Template;
use aws_config::SdkConfig;
use aws_sdk_sesv2::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{Destination, EmailContent, RawMessage},
};
use jiff::Timestamp;
use mail_builder::MessageBuilder;
use std::{fmt, str::FromStr};

/// Who mails come from and where their links lead.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// The sender, at an identity that SES has verified.
    pub from: Sender,
    /// The SES configuration set that publishes what becomes of a mail.
    pub configuration_set: Option<String>,
    /// Where the app is.
    pub app_url: AppUrl,
}

impl MailConfig {
    /// `MAIL_FROM`, `APP_URL`, and `MAIL_CONFIGURATION_SET` where it is set.
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

/// The address of the app, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppUrl(String);

impl FromStr for AppUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        match rest {
            Some(rest) if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self(text.trim_end_matches('/').to_owned()))
            }
            _ => Err("must be an address like https://app.gymbrah.example"),
        }
    }
}

/// What an invitation says.
#[derive(Clone)]
pub struct Invitation<'a> {
    /// Whom it goes to.
    pub to: &'a str,
    /// The gym's name.
    pub business: &'a str,
    /// What the gym calls the athlete, if anything.
    pub full_name: Option<&'a str>,
    /// The code it carries.
    pub athlete_code: &'a AthleteCode,
    /// Until when the code works.
    pub expires_at: Timestamp,
}

/// Sends mails.
pub struct Mailer {
    client: Client,
    config: MailConfig,
}

impl Mailer {
    /// With SES as this configuration of the SDK finds it.
    #[must_use]
    pub fn new(config: MailConfig, aws: &SdkConfig) -> Self {
        Self {
            client: Client::new(aws),
            config,
        }
    }

    /// Hands an invitation to SES and gives the id under which SES will speak of it.
    ///
    /// The mail is built here (MIME, RFC 2045) and sent as it is, so that what arrives is what was written.
    pub async fn send(&self, invitation: &Invitation<'_>) -> Result<String, MailError> {
        let mail = self
            .mail(invitation)
            .map_err(|_| MailError("the mail could not be written".to_owned()))?;
        let content = EmailContent::builder()
            .raw(
                RawMessage::builder()
                    .data(Blob::new(mail))
                    .build()
                    .expect("data is given"),
            )
            .build();
        let answer = self
            .client
            .send_email()
            .from_email_address(self.config.from.address.as_str())
            .destination(Destination::builder().to_addresses(invitation.to).build())
            .set_configuration_set_name(self.config.configuration_set.clone())
            .content(content)
            .send()
            .await
            .map_err(|error| MailError(name_of(&error)))?;
        Ok(answer.message_id.unwrap_or_default())
    }

    fn mail(&self, invitation: &Invitation<'_>) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let letter = Letter::new(invitation, &self.config.app_url);
        let mail = MessageBuilder::new()
            .from((
                self.config.from.name.as_str(),
                self.config.from.address.as_str(),
            ))
            .to(invitation.to)
            .subject(letter.subject())
            .text_body(InvitationText(&letter).render()?)
            .html_body(InvitationHtml(&letter).render()?);
        Ok(mail.write_to_vec()?)
    }
}

/// What the templates show.
struct Letter<'a> {
    business: &'a str,
    full_name: Option<&'a str>,
    athlete_code: String,
    link: String,
    /// A day, in UTC: to the hour it would be wrong for most readers.
    expires_on: String,
}

impl<'a> Letter<'a> {
    fn new(invitation: &Invitation<'a>, AppUrl(app_url): &AppUrl) -> Self {
        Self {
            business: invitation.business,
            full_name: invitation.full_name,
            athlete_code: invitation.athlete_code.to_string(),
            link: format!("{app_url}/join?code={}", invitation.athlete_code),
            expires_on: invitation.expires_at.strftime("%-d %B %Y").to_string(),
        }
    }

    fn subject(&self) -> String {
        format!("{} invites you to GymBrah", self.business)
    }
}

#[derive(Template)]
#[template(path = "invitation.txt")]
struct InvitationText<'a>(&'a Letter<'a>);

#[derive(Template)]
#[template(path = "invitation.html")]
struct InvitationHtml<'a>(&'a Letter<'a>);

/// What SES calls its refusal, or what kept it from hearing us. Its message is left out: it repeats addresses.
fn name_of<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    let what = match error {
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(_) => "not reached",
        SdkError::ServiceError(service) => service.err().code().unwrap_or("refused"),
        _ => "no answer that makes sense",
    };
    what.to_owned()
}

/// Why SES did not take a mail.
#[derive(Debug)]
pub struct MailError(String);

impl fmt::Display for MailError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MailError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter_to(business: &str, full_name: Option<&str>) -> (String, String, String) {
        let invitation = Invitation {
            to: "ada@example.org",
            business,
            full_name,
            athlete_code: &AthleteCode::from_entropy(7),
            expires_at: "2026-12-22T23:30:00Z".parse().unwrap(),
        };
        let letter = Letter::new(
            &invitation,
            &"https://app.gymbrah.example/".parse().unwrap(),
        );
        (
            letter.subject(),
            InvitationText(&letter).render().unwrap(),
            InvitationHtml(&letter).render().unwrap(),
        )
    }

    #[test]
    fn both_parts_say_everything() {
        let (subject, text, html) = letter_to("Iron Temple", Some("Ada"));
        let code = AthleteCode::from_entropy(7).to_string();
        assert_eq!(subject, "Iron Temple invites you to GymBrah");
        for part in [text, html] {
            for said in [
                "Ada",
                "Iron Temple",
                &code,
                &format!("https://app.gymbrah.example/join?code={code}"),
                "22 December 2026",
                "you got this",
            ] {
                assert!(part.contains(said), "{said} is missing in:\n{part}");
            }
        }
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let (_, text, html) =
            letter_to("<script>alert(1)</script> & \"Söhne\"", Some("<b>Ada</b>"));
        assert!(
            !html.contains("<script>")
                && !html.contains("<b>Ada")
                && html.contains("&#38; &#34;Söhne"),
            "{html}"
        );
        assert!(
            text.contains("<script>alert(1)</script> & \"Söhne\"") && text.contains("<b>Ada</b>"),
            "{text}"
        );
    }

    #[test]
    fn configuration_is_checked() {
        assert!(
            "GymBrah <invitations@gymbrah.example>"
                .parse::<Sender>()
                .is_ok()
        );
        for wrong in ["", "invitations@gymbrah.example", "GymBrah <nobody>"] {
            assert!(wrong.parse::<Sender>().is_err(), "{wrong}");
        }
        for wrong in [
            "",
            "app.gymbrah.example",
            "https://",
            "ftp://app.gymbrah.example",
            "https://a b",
        ] {
            assert!(wrong.parse::<AppUrl>().is_err(), "{wrong}");
        }
    }
}
