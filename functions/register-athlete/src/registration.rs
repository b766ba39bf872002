use crate::athlete::Athlete;
use serde::Serialize;
use shared::{
    domain::{Channel, Country, Email, ErrorCode, Locale, Name, Phone},
    platform::{
        http::{Fields, Noted},
        problem::{Warning, WarningCode},
    },
};

/// The largest number of draws for a free code. A draw gives a taken code once in 2⁴⁵ / (athletes)
/// times: two in a row are not chance.
pub(crate) const MAX_DRAWS: usize = 4;

/// An athlete as the gym describes them.
#[derive(Clone)]
pub(crate) struct Registration {
    pub(crate) contact: Contact,
    pub(crate) full_name: Option<Name>,
    /// The gym's, where it is not given.
    pub(crate) locale: Option<Locale>,
}

/// Whether an athlete is the one who has the contact already. Without two names to compare it is
/// the same person, unless the gym says otherwise of a person with a name.
pub(crate) fn is_one_person(
    has_the_name: Option<bool>,
    has_name: bool,
    shared_contact: bool,
) -> bool {
    has_the_name.unwrap_or(!shared_contact || !has_name)
}

/// The way to reach an athlete: an email, a phone or both.
#[derive(Clone)]
pub(crate) struct Contact {
    pub(crate) email: Option<Email>,
    pub(crate) phone: Option<Phone>,
}

impl Registration {
    /// Reads a registration from the fields. Numbers without a country code are of `country`, the
    /// gym's.
    pub(crate) fn read(fields: &mut Fields, country: Option<&Country>) -> Result<Self, Noted> {
        let contact = Contact::read(fields, country);
        let full_name = fields.optional("full_name");
        let locale = fields.optional("locale");
        Ok(Self {
            contact: contact?,
            full_name: full_name?,
            locale: locale?,
        })
    }

    /// The channel of the invitation: a mail if there is an address, else a text message.
    pub(crate) fn channel(&self) -> Channel {
        Channel::to(self.contact.email.as_ref())
    }

    /// What its sender may want to look at again, though it was taken.
    pub(crate) fn warnings(&self, fields: &Fields) -> Vec<Warning> {
        email_warnings(self.contact.email.as_ref(), fields)
    }

    /// The fields that were given and that the athlete has otherwise.
    pub(crate) fn differs_from(&self, athlete: &Athlete) -> Vec<&'static str> {
        let phone = self.contact.phone.as_ref();
        let full_name = self.full_name.as_ref();
        let differs = [
            ("phone", phone.is_some() && phone != athlete.phone.as_ref()),
            (
                "full_name",
                full_name.is_some() && full_name != athlete.full_name.as_ref(),
            ),
        ];
        differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(field, _)| field)
            .collect()
    }

    /// Adds what only `other` has, which is the same athlete, and gives the fields that it has
    /// otherwise.
    pub(crate) fn complete(&mut self, other: &Self) -> Vec<&'static str> {
        let mut differs = Vec::new();
        complete(
            &mut self.contact.email,
            other.contact.email.as_ref(),
            "email",
            &mut differs,
        );
        complete(
            &mut self.contact.phone,
            other.contact.phone.as_ref(),
            "phone",
            &mut differs,
        );
        // A name that is written otherwise is the same: that is how they met.
        self.full_name = self.full_name.take().or_else(|| other.full_name.clone());
        self.locale = self.locale.take().or_else(|| other.locale.clone());
        differs
    }
}

fn complete<T: Clone + PartialEq>(
    own: &mut Option<T>,
    other: Option<&T>,
    field: &'static str,
    differs: &mut Vec<&'static str>,
) {
    match own {
        None => *own = other.cloned(),
        Some(own) if other.is_some_and(|other| other != own) => differs.push(field),
        Some(_) => {}
    }
}

/// An athlete with what may be looked at again.
#[derive(Serialize)]
pub(crate) struct WithWarnings<'a> {
    #[serde(flatten)]
    pub(crate) athlete: &'a Athlete,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) warnings: &'a [Warning],
}

/// The warning that an address is probably mistyped.
pub(crate) fn email_warnings(email: Option<&Email>, fields: &Fields) -> Vec<Warning> {
    let meant = email.and_then(Email::likely_meant);
    meant
        .map(|meant| fields.warning("email", WarningCode::EmailTypo, meant.as_str()))
        .into_iter()
        .collect()
}

impl Contact {
    /// Where the invitation goes: by this, athletes are told apart.
    pub(crate) fn key(&self) -> String {
        let email = self.email.as_ref().map(Email::as_str);
        let phone = self.phone.as_ref().map(Phone::as_str);
        email.or(phone).unwrap_or_default().to_owned()
    }

    /// Reads a contact from the fields.
    pub(crate) fn read(fields: &mut Fields, country: Option<&Country>) -> Result<Self, Noted> {
        if fields.is_absent("email") && fields.is_absent("phone") {
            let _ = fields.optional::<Email>("email");
            let _ = fields.optional::<Phone>("phone");
            return Err(fields.note("email", ErrorCode::Required, "is required, or a phone"));
        }
        let email = fields.optional("email");
        let phone = fields.optional_by("phone", |text| Phone::read(text, country));
        Ok(Self {
            email: email?,
            phone: phone?,
        })
    }
}
