//! The content of an invitation, the same for every channel, and the errors of sending it.

use crate::domain::{AthleteCode, Locale};
use jiff::civil::Date;
use std::str::FromStr;

/// The content of an invitation.
#[derive(Clone)]
pub struct Message {
    /// The recipient: a mail address or a telephone number, as the channel needs it.
    pub to: String,
    /// The gym's name.
    pub business: String,
    /// The address of the gym's owner, to which replies go; none while the owner has no verified
    /// address.
    pub reply_to: Option<String>,
    /// The athlete's name, if the gym gave one.
    pub full_name: Option<String>,
    /// True if other athletes of the gym have this contact too.
    pub is_shared: bool,
    /// The language the athlete is written to.
    pub locale: Locale,
    pub athlete_code: AthleteCode,
    /// The last day on which the code works, in the gym's time zone.
    pub last_day: Date,
}

impl Message {
    /// The address of the page that takes the code, with the code in it. Opening the page does not
    /// use the code.
    #[must_use]
    pub fn link(&self, app_url: &AppUrl) -> String {
        app_url.join(&self.athlete_code)
    }
}

/// The reason why a provider did not take an invitation, by what happens next. The texts are for
/// the gym's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The provider wants fewer at a time. The invitation is sent later, and this does not count as
    /// an attempt.
    Throttled,
    /// The provider will never take it: the gym's owner has to correct the contact first.
    Refused(&'static str),
    /// The provider has not taken it, and may take it another time.
    Failed(&'static str),
    /// The provider gave no answer: it may have taken it or not.
    Unknown(&'static str),
}

/// The languages that messages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// The language for all locales that have no translation, too.
    English,
    Italian,
}

impl From<&Locale> for Language {
    fn from(locale: &Locale) -> Self {
        match locale.language().to_ascii_lowercase().as_str() {
            "it" => Self::Italian,
            _ => Self::English,
        }
    }
}

/// The address of the app, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppUrl(pub(crate) String);

impl AppUrl {
    /// The address of the page that takes a code, with the code in it. Opening the page does not
    /// use the code.
    #[must_use]
    pub fn join(&self, athlete_code: &AthleteCode) -> String {
        let Self(app_url) = self;
        format!("{app_url}/join?code={athlete_code}")
    }
}

/// The longest address of the app: a longer one would leave no room for the gym's name in a text
/// message.
const MAX_APP_URL: usize = 60;

/// The characters of an address besides letters and digits. All others count double in a text
/// message, can't stand in one, or would end the path.
const IN_AN_APP_URL: &str = "-._:/%";

impl FromStr for AppUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_end_matches('/');
        let host = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        match host {
            Some(host)
                if !host.is_empty()
                    && text.len() <= MAX_APP_URL
                    && host
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || IN_AN_APP_URL.contains(c)) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => {
                Err("must be an address of at most 60 characters, like https://app.gymbrah.example")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locale_without_a_translation_gets_english() {
        for (locale, language) in [
            ("it", Language::Italian),
            ("IT-ch", Language::Italian),
            ("en-GB", Language::English),
            ("de", Language::English),
        ] {
            assert_eq!(
                Language::from(&locale.parse::<Locale>().unwrap()),
                language,
                "{locale}"
            );
        }
    }

    #[test]
    fn malformed_app_url_is_refused() {
        assert_eq!(
            "https://app.gymbrah.example/".parse(),
            Ok(AppUrl("https://app.gymbrah.example".to_owned()))
        );
        for wrong in [
            "",
            "app.gymbrah.example",
            "https://",
            "ftp://app.gymbrah.example",
            "https://a b",
            "https://a.example/~ada",
            "https://a.example/?from=mail",
            &format!("https://{}.example", "a".repeat(60)),
        ] {
            assert!(wrong.parse::<AppUrl>().is_err(), "{wrong}");
        }
    }
}
