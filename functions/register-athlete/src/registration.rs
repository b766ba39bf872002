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
    pub(crate) fn read(members: &mut Fields) -> Self {
        if members.is_absent("email") && members.is_absent("phone") {
            members.note("email", "is required, or a phone");
        }
        Self {
            email: members.optional("email"),
            phone: members.optional("phone"),
            full_name: members.optional("full_name"),
            locale: members.optional("locale").unwrap_or_default(),
        }
    }
}
