use shared::{
    domain::{Channel, Email, ErrorCode, Locale, Name, Phone},
    platform::http::{Fields, Noted},
};

/// The largest number of draws for a free code. A draw gives a taken code once in 2⁴⁵ / (athletes) times: two in a row are not
/// chance.
pub(crate) const MAX_DRAWS: usize = 4;

/// An athlete as the gym describes them.
pub(crate) struct Registration {
    pub(crate) contact: Contact,
    pub(crate) full_name: Option<Name>,
    /// The gym's, where it is not given.
    pub(crate) locale: Option<Locale>,
}

/// The way to reach an athlete: an email, a phone or both.
#[derive(Clone)]
pub(crate) struct Contact {
    pub(crate) email: Option<Email>,
    pub(crate) phone: Option<Phone>,
}

impl Registration {
    /// Reads a registration from the fields.
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, Noted> {
        let contact = Contact::read(fields);
        Self::with_contact(contact, fields)
    }

    /// Reads the rest of a registration from the fields, after the contact.
    pub(crate) fn with_contact(
        contact: Result<Contact, Noted>,
        fields: &mut Fields,
    ) -> Result<Self, Noted> {
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
}

impl Contact {
    /// Reads a contact from the fields.
    pub(crate) fn read(fields: &mut Fields) -> Result<Self, Noted> {
        if fields.is_absent("email") && fields.is_absent("phone") {
            let _ = fields.optional::<Email>("email");
            let _ = fields.optional::<Phone>("phone");
            return Err(fields.note("email", ErrorCode::Required, "is required, or a phone"));
        }
        let email = fields.optional("email");
        let phone = fields.optional("phone");
        Ok(Self {
            email: email?,
            phone: phone?,
        })
    }
}
