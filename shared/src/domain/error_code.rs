use super::closed_set::closed_set;

closed_set! {
    /// The kind of an error of the input: stable, so that a program can say it in any language.
    /// openapi.yaml lists them.
    pub enum ErrorCode {
        /// The field is absent, null or empty.
        Required = "required",
        /// There is no such field here.
        UnknownField = "unknown_field",
        /// The field is there more than once.
        RepeatedField = "repeated_field",
        /// There is no such query parameter here.
        UnknownParameter = "unknown_parameter",
        /// The query parameter is there more than once.
        RepeatedParameter = "repeated_parameter",
        /// The value is of another type.
        WrongType = "wrong_type",
        /// The value is none of those that are allowed.
        NotAllowed = "not_allowed",
        /// The list has too few items or too many.
        ListLength = "list_length",
        /// The text is too long.
        TooLong = "too_long",
        /// The text has characters that can't stand there.
        ForbiddenCharacters = "forbidden_characters",
        /// The text is no mail address.
        EmailInvalid = "email_invalid",
        /// There are several mail addresses where one is meant.
        EmailSeveral = "email_several",
        /// It is no telephone number.
        PhoneInvalid = "phone_invalid",
        /// The telephone number has no country code, and the gym no country.
        PhoneWithoutCountry = "phone_without_country",
        /// The telephone number has an extension, behind which nobody gets a text message.
        PhoneExtension = "phone_extension",
        /// There are several telephone numbers where one is meant.
        PhoneSeveral = "phone_several",
        /// A spreadsheet has rounded the telephone number: its last digits are lost.
        PhoneDestroyed = "phone_destroyed",
        /// It is no language tag.
        LocaleInvalid = "locale_invalid",
        /// The text is no country of ISO 3166.
        CountryInvalid = "country_invalid",
        /// The text is no time zone of the IANA database.
        TimeZoneInvalid = "time_zone_invalid",
        /// The text is no athlete code.
        AthleteCodeInvalid = "athlete_code_invalid",
        /// The text has the form of an athlete code, but its check character does not fit: a typo.
        AthleteCodeTypo = "athlete_code_typo",
        /// The text is no id.
        IdInvalid = "id_invalid",
        /// The athlete is not in this gym.
        NotInGym = "not_in_gym",
        /// The item is in the request twice.
        Duplicate = "duplicate",
        /// The text is no `next_cursor` of this list.
        CursorInvalid = "cursor_invalid",
        /// The table has no header, or none with a contact.
        HeaderMissing = "header_missing",
        /// The table has no rows below its header.
        NoRows = "no_rows",
        /// The table has too many rows.
        TooManyRows = "too_many_rows",
        /// The row has more cells than the header, or more columns than are read.
        CellCount = "cell_count",
        /// The text has lost letters when it was saved.
        EncodingUnknown = "encoding_unknown",
        /// The row has a quotation mark that is never closed.
        QuoteUnclosed = "quote_unclosed",
        /// The contact is another person's in what was sent: another name has it.
        ContactInUse = "contact_in_use",
        /// The file is of a kind that is not read.
        FileKind = "file_kind",
        /// The file is damaged.
        FileDamaged = "file_damaged",
        /// The file unpacks to more than is read.
        FileTooLarge = "file_too_large",
    }
}
