use shared::{
    domain::{Channel, Email, Locale, Name, Phone},
    platform::http::{Fields, Noted},
};

/// How often a code is drawn. A taken one comes about once in 2⁴⁵ / (athletes) draws: a second in a row is not chance.
pub(crate) const MAX_DRAWS: usize = 4;

/// An athlete as the gym describes them: an email or a phone, and more if the gym likes.
pub(crate) struct Registration {
    pub(crate) email: Option<Email>,
    pub(crate) phone: Option<Phone>,
    pub(crate) full_name: Option<Name>,
    pub(crate) locale: Locale,
}

impl Registration {
    /// Takes it out of the fields.
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, Noted> {
        let has_contact = if fields.is_absent("email") && fields.is_absent("phone") {
            Err(fields.note("email", "is required, or a phone"))
        } else {
            Ok(())
        };
        let email = fields.optional("email");
        let phone = fields.optional("phone");
        let full_name = fields.optional("full_name");
        let locale = fields.optional("locale");
        has_contact?;
        Ok(Self {
            email: email?,
            phone: phone?,
            full_name: full_name?,
            locale: locale?.unwrap_or_default(),
        })
    }

    /// The way the invitation is sent: by mail where there is an address.
    pub(crate) fn channel(&self) -> Channel {
        Channel::to(self.email.as_ref())
    }
}
