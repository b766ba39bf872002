use any_ascii::any_ascii;
use serde::Serialize;

/// A field that a column of a spreadsheet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    Email,
    Phone,
    FullName,
    FirstName,
    LastName,
    Locale,
}

/// A column as the header names it, and the field it was used as; none where it was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Column {
    pub(super) header: String,
    pub(super) used_as: Option<Field>,
}

/// The columns of a header. Where several hold one field, the best of them is used.
pub(super) fn columns<'a>(header: impl Iterator<Item = &'a str> + Clone) -> Vec<Column> {
    let ranked: Vec<_> = header.clone().map(|name| ranked(&key(name))).collect();
    let has = |field| ranked.iter().flatten().any(|(found, _)| *found == field);
    let (has_first, has_last) = (has(Field::FirstName), has(Field::LastName));
    let best = |field| {
        let of_field = ranked.iter().enumerate().filter_map(|(column, ranked)| {
            ranked
                .filter(|(found, _)| *found == field)
                .map(|(_, rank)| (rank, column))
        });
        of_field.min().map(|(_, column)| column)
    };
    let named = header.enumerate().map(|(column, header)| {
        let field = ranked[column]
            .map(|(field, _)| field)
            .filter(|field| best(*field) == Some(column));
        // Beside a last name and without a first one, a `Name` is the first one: `Name;Cognome`.
        let is_first_name = field == Some(Field::FullName) && has_last && !has_first;
        Column {
            header: header.trim().to_owned(),
            used_as: if is_first_name {
                Some(Field::FirstName)
            } else {
                field
            },
        }
    });
    let mut columns: Vec<_> = named.collect();
    // And where nothing is the last name, a `Nome` is the whole one.
    if has_first && !has_last && !has(Field::FullName) {
        for column in &mut columns {
            if column.used_as == Some(Field::FirstName) {
                column.used_as = Some(Field::FullName);
            }
        }
    }
    columns
}

/// A name in lower case, without accents and without what stands between its words: `E-mail 1 -
/// Value` is `email1value`.
fn key(name: &str) -> String {
    let ascii = any_ascii(name).to_ascii_lowercase();
    ascii.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The field that a column of this name holds, and how well: 0 is best.
fn ranked(key: &str) -> Option<(Field, usize)> {
    let names = NAMES.iter().enumerate();
    let mut found =
        names.filter(|(_, (_, names))| names.split_whitespace().any(|name| name == key));
    found.next().map(|(rank, (field, _))| (*field, rank))
}

/// The names that gym products (Mindbody, Glofox, `TeamUp`, `PushPress`, Wodify, Zen Planner,
/// Gymdesk), address books (Google, Outlook, Apple) and people give to a column, in English and
/// Italian, as [`key`] has them. Of one field, the first line that fits is the best.
const NAMES: &[(Field, &str)] = &[
    (
        Field::Email,
        "email emailaddress mail mailaddress emailid emailaddresses primaryemail primaryemailaddress emailprimary email1 email1value \
         email1address emailaddress1 memberemail clientemail customeremail contactemail athleteemail useremail \
         indirizzoemail indirizzomail indirizzodiemail postaelettronica indirizzopostaelettronica \
         indirizzodipostaelettronica indirizzodipostaelettronica1 posta emailcliente emailatleta emailprincipale",
    ),
    (
        Field::Email,
        "personalemail homeemail emailhome emailpersonal emailpersonale email2 email2value email2address workemail emailwork \
         businessemail otheremail parentemail guardianemail emaillavoro emailgenitore indirizzodipostaelettronica2",
    ),
    (
        Field::Phone,
        "mobile mobilephone mobilenumber mobilephonenumber mobileno cell cellphone cellphonenumber cellnumber cellular \
         phonemobile phonecell smsnumber textnumber \
         cellulare numerocellulare numerodicellulare telefonocellulare telefonomobile cellulareprincipale telcellulare \
         ncellulare numcellulare",
    ),
    (
        Field::Phone,
        "phone phonenumber phoneno telephone telephonenumber tel contactnumber contactphone primaryphone primaryphonenumber \
         phoneprimary phone1 phone1value phonenumber1 memberphone clientphone customerphone athletephone whatsapp \
         whatsappnumber number1 \
         telefono numerotelefono numeroditelefono recapito recapitotelefonico numerotel telefono1 telefonoprincipale ntelefono",
    ),
    (
        Field::Phone,
        "homephone phonehome phone2 phone2value otherphone workphone phonework businessphone parentphone guardianphone \
         telefono2 telefonocasa telefonoabitazione abitazione telefonoufficio telefonouff telefonolavoro telefonogenitore",
    ),
    (
        Field::FullName,
        "fullname name displayname membername clientname customername athletename contactname studentname personname \
         nomecompleto nomecognome nomeecognome cognomenome cognomeenome nominativo nomevisualizzato nomecliente \
         nomeatleta nomeiscritto iscritto atleta cliente socio member athlete client",
    ),
    (
        Field::FirstName,
        "firstname givenname forename fname first memberfirstname clientfirstname customerfirstname name1givenname \
         nome nomedibattesimo primonome",
    ),
    (
        Field::LastName,
        "lastname familyname surname lname last memberlastname clientlastname customerlastname secondname name1familyname \
         cognome cognomi",
    ),
    (
        Field::Locale,
        "locale language lang preferredlanguage languagecode lingua linguapreferita",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use Field::{Email, FirstName, FullName, LastName, Locale, Phone};

    fn used(header: &str) -> Vec<(String, Field)> {
        let columns = columns(header.split(','));
        columns
            .into_iter()
            .filter_map(|column| Some((column.header, column.used_as?)))
            .collect()
    }

    #[test]
    fn headers_of_real_exports_are_understood() {
        for (header, expected) in [
            (
                "email,phone,full_name,locale",
                vec![
                    ("email", Email),
                    ("phone", Phone),
                    ("full_name", FullName),
                    ("locale", Locale),
                ],
            ),
            (
                "Client ID,First Name,Last Name,Email,Mobile Phone,Last Visit,Visits,Membership",
                vec![
                    ("First Name", FirstName),
                    ("Last Name", LastName),
                    ("Email", Email),
                    ("Mobile Phone", Phone),
                ],
            ),
            (
                "Name,Cognome,E-mail,Cellulare",
                vec![
                    ("Name", FirstName),
                    ("Cognome", LastName),
                    ("E-mail", Email),
                    ("Cellulare", Phone),
                ],
            ),
            (
                "Nome,Cognome,Email,Cellulare",
                vec![
                    ("Nome", FirstName),
                    ("Cognome", LastName),
                    ("Email", Email),
                    ("Cellulare", Phone),
                ],
            ),
            (
                "Nome,Telefono",
                vec![("Nome", FullName), ("Telefono", Phone)],
            ),
            (
                "Full Name,Email,Phone",
                vec![("Full Name", FullName), ("Email", Email), ("Phone", Phone)],
            ),
            (
                "Name,Given Name,Family Name,E-mail 1 - Type,E-mail 1 - Value,E-mail 2 - Value,Phone 1 - Type,Phone 1 - Value",
                vec![
                    ("Name", FullName),
                    ("Given Name", FirstName),
                    ("Family Name", LastName),
                    ("E-mail 1 - Value", Email),
                    ("Phone 1 - Value", Phone),
                ],
            ),
            (
                "First Name,Middle Name,Last Name,E-mail Address,Home Phone,Mobile Phone,Primary Phone",
                vec![
                    ("First Name", FirstName),
                    ("Last Name", LastName),
                    ("E-mail Address", Email),
                    ("Mobile Phone", Phone),
                ],
            ),
            (
                " E_MAIL ,TÉLÉPHONE,Home Phone",
                vec![("E_MAIL", Email), ("TÉLÉPHONE", Phone)],
            ),
            ("Email,Email,,Age", vec![("Email", Email)]),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, field)| (name.to_owned(), field))
                .collect();
            assert_eq!(used(header), expected, "{header}");
        }
    }
}
