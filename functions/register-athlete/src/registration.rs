use shared::{
    domain::{Email, Locale, Name, Phone},
    platform::http::Fields,
};

/// What a gym says of an athlete: an email or a phone, and what it likes to add.
pub(crate) struct Registration {
    pub(crate) email: Option<Email>,
    pub(crate) phone: Option<Phone>,
    pub(crate) full_name: Option<Name>,
    pub(crate) locale: Locale,
}

impl Registration {
    /// Takes it out of the members, which hold what is wrong with it.
    pub(crate) fn read(fields: &mut Fields) -> Self {
        if fields.is_absent("email") && fields.is_absent("phone") {
            fields.note("email", "is required, or a phone");
        }
        Self {
            email: fields.optional("email"),
            phone: fields.optional("phone"),
            full_name: fields.optional("full_name"),
            locale: fields.optional("locale").unwrap_or_default(),
        }
    }
}
