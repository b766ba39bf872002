//! What is said to somebody who is invited, by whichever way, and what can come of saying it.

use crate::domain::{AthleteCode, Locale};
use jiff::Timestamp;
use std::str::FromStr;

/// What an invitation says.
#[derive(Clone)]
pub struct Message {
    /// Whom it goes to: a mail address or a telephone number, as the channel has it.
    pub to: String,
    /// The gym's name.
    pub business: String,
    /// The address of the gym's owner, where an answer goes; none while the owner has not proved one.
    pub reply_to: Option<String>,
    /// What the gym calls the athlete, if anything.
    pub full_name: Option<String>,
    /// The language the athlete is written to.
    pub locale: Locale,
    /// The code it carries.
    pub athlete_code: AthleteCode,
    /// Until when the code works.
    pub expires_at: Timestamp,
}

impl Message {
    /// The page that the code is typed into, with the code in it. It only opens: nothing is used up by a GET.
    #[must_use]
    pub fn link(&self, AppUrl(app_url): &AppUrl) -> String {
        format!("{app_url}/join?code={}", self.athlete_code)
    }
}

/// Why a provider did not take an invitation, as far as it matters to what happens next. The texts are for the gym's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// The provider wants fewer at a time. Nothing is wrong with this one: it is sent later, and this was no try.
    Throttled,
    /// It will never be taken: somebody has to do something first.
    Refused(&'static str),
    /// It may be taken another time.
    Failed(&'static str),
}

/// The languages that there are words for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English, also for whoever speaks a language that there are no words for.
    English,
    /// Italian.
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

/// A longer address would not leave the gym's name a place in a text message.
const MAX_APP_URL: usize = 60;

/// The others are counted double in a text message, or can't stand in one, or would end the path.
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
    fn there_are_words_for_every_locale() {
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
    fn the_apps_address_is_checked() {
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
