use super::MAX_ATHLETES;
use csv::{ReaderBuilder, StringRecord};
use shared::{
    domain::ErrorCode,
    platform::{http::Fields, problem::FieldError},
};

/// What the header may name. The order and the case are the spreadsheet's own, and what is not there is absent.
const COLUMNS: [&str; 4] = ["email", "phone", "full_name", "locale"];

/// Columns that are not ours, or twice, of which one answer tells; a header can hold thousands.
const MAX_FAULTY_COLUMNS: usize = 50;

/// What stands where bytes were no UTF-8, or where a program before us has already put it.
const LOST: char = char::REPLACEMENT_CHARACTER;

const NOT_UTF_8: &str = "has characters that are not UTF-8; save the file as CSV in UTF-8";

/// Reads a table as spreadsheets save it (RFC 4180; with a byte-order mark, and semicolons where the comma is for decimals),
/// hands each athlete to `read`, and gives everything that is wrong.
pub(super) fn read(text: &str, mut read: impl FnMut(&mut Fields)) -> Vec<FieldError> {
    let rows = rows(text);
    let Some(((header_row, header), rows)) = rows.split_first() else {
        return vec![FieldError::in_row(
            1,
            None,
            ErrorCode::HeaderMissing,
            "must name the columns",
        )];
    };
    let (columns, mut errors) = columns(*header_row, header);
    if !columns.contains(&Some("email")) && !columns.contains(&Some("phone")) {
        let detail = "must name a column email, or phone; the others are full_name and locale";
        errors.push(FieldError::in_row(
            *header_row,
            None,
            ErrorCode::HeaderMissing,
            detail,
        ));
        return errors;
    }
    if rows.is_empty() {
        let detail = "has no athletes below it";
        errors.push(FieldError::in_row(
            *header_row,
            None,
            ErrorCode::NoRows,
            detail,
        ));
    }
    for (row, cells) in rows.iter().take(MAX_ATHLETES) {
        errors.extend(read_row(*row, &columns, cells, &mut read));
    }
    if let Some((row, _)) = rows.get(MAX_ATHLETES) {
        let detail = format!("is one too many: an import has at most {MAX_ATHLETES} athletes");
        errors.push(FieldError::in_row(
            *row,
            None,
            ErrorCode::TooManyRows,
            detail,
        ));
    }
    errors
}

/// The rows that are not blank, the header first, each with its number; of those that are too many only the first.
fn rows(text: &str) -> Vec<(usize, StringRecord)> {
    let text = text.trim_start_matches('\u{FEFF}').replace("\r\n", "\n");
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(&text))
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    let (mut row, mut start) = (0, 0);
    let mut cells = StringRecord::new();
    while rows.len() < 1 + MAX_ATHLETES + 1
        && reader
            .read_record(&mut cells)
            .expect("what is in memory, is UTF-8 and may have rows of any length has no errors")
    {
        // The reader passes over empty lines, which a spreadsheet counts as well; a line within quotes is none of its rows.
        let skipped = text.as_bytes()[start..].iter();
        row += 1 + skipped.take_while(|byte| b"\r\n".contains(byte)).count();
        start = usize::try_from(reader.position().byte()).expect("a text's length is a usize");
        if cells.iter().any(|cell| !cell.trim().is_empty()) {
            rows.push((row, cells.clone()));
        }
    }
    rows
}

/// What separates the cells: whichever of the two there is more of in the header, whose names have neither.
fn delimiter(text: &str) -> u8 {
    let header = text.trim_start().lines().next().unwrap_or_default();
    let number_of = |separator| header.matches(separator).count();
    if number_of(';') > number_of(',') {
        b';'
    } else {
        b','
    }
}

/// Which of ours each column is, and what is wrong with the others.
fn columns(row: usize, header: &StringRecord) -> (Vec<Option<&'static str>>, Vec<FieldError>) {
    let mut columns = Vec::new();
    let mut errors = Vec::new();
    for name in header.iter().map(str::trim) {
        let mut ours = COLUMNS.into_iter();
        let column = ours.find(|column| name.eq_ignore_ascii_case(column));
        let mut note =
            |code, detail| errors.push(FieldError::in_row(row, Some(name), code, detail));
        if name.contains(LOST) {
            note(ErrorCode::EncodingUnknown, NOT_UTF_8);
        } else if column.is_none() {
            note(ErrorCode::UnknownField, "is not a known field");
        } else if columns.contains(&column) {
            note(ErrorCode::RepeatedField, "is there twice");
        }
        columns.push(column);
    }
    errors.truncate(MAX_FAULTY_COLUMNS);
    (columns, errors)
}

/// Hands the row's athlete to `read`, if the row is whole, and gives what is wrong with it.
fn read_row(
    row: usize,
    columns: &[Option<&'static str>],
    cells: &StringRecord,
    read: &mut impl FnMut(&mut Fields),
) -> Vec<FieldError> {
    if cells.len() != columns.len() {
        let detail = format!(
            "does not have as many cells as the header: {} instead of {}",
            cells.len(),
            columns.len()
        );
        return vec![FieldError::in_row(row, None, ErrorCode::CellCount, detail)];
    }
    let known = columns.iter().zip(cells);
    let known = known.filter_map(|(column, cell)| column.map(|column| (column, cell)));
    let lost: Vec<_> = known
        .clone()
        .filter(|(_, cell)| cell.contains(LOST))
        .map(|(column, _)| {
            FieldError::in_row(row, Some(column), ErrorCode::EncodingUnknown, NOT_UTF_8)
        })
        .collect();
    if !lost.is_empty() {
        return lost;
    }
    let mut fields = Fields::of_row(row, known);
    read(&mut fields);
    fields.into_errors()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use shared::domain::{Email, Name};

    /// The places and names of the athletes, and the faults.
    fn read_all(text: &str) -> (Vec<(String, String)>, Value) {
        let mut athletes = Vec::new();
        let errors = read(text, |athlete| {
            let _ = athlete.optional::<Email>("email");
            let name = athlete.optional::<Name>("full_name").ok().flatten();
            athletes.push((
                athlete.place(),
                name.map_or_else(String::new, |name| name.as_str().to_owned()),
            ));
        });
        (athletes, json!(errors))
    }

    #[test]
    fn a_table_is_read_as_spreadsheets_write_it() {
        let expected = [("row 2", "Ada"), ("row 3", "Bob; \"the\" boy, that is")]
            .map(|(place, name)| (place.to_owned(), name.to_owned()));
        for text in [
            "email,full_name\na@example.org,Ada\nb@example.org,\"Bob; \"\"the\"\" boy, that is\"\n",
            "email,full_name\r\na@example.org,Ada\r\nb@example.org,\"Bob; \"\"the\"\" boy, that is\"",
            "email,full_name\ra@example.org,Ada\rb@example.org,\"Bob; \"\"the\"\" boy, that is\"\r",
            "\u{FEFF}EMAIL;Full_Name\r\n a@example.org ; Ada\r\nb@example.org;\"Bob; \"\"the\"\" boy, that is\"\r\n;\r\n\r\n",
            "\" full_name \",\"email\"\nAda,a@example.org\n\"Bob; \"\"the\"\" boy, that is\",b@example.org\n , \n",
            "full_name,phone,email\nAda,,a@example.org\n\"Bob; \"\"the\"\" boy, that is\",,b@example.org\n",
        ] {
            assert_eq!(read_all(text), (expected.to_vec(), json!([])), "{text:?}");
        }
    }

    #[test]
    fn rows_are_counted_as_a_spreadsheet_shows_them() {
        for end in ["\n", "\r\n", "\r"] {
            let text = [
                "",
                "email,full_name",
                "",
                "",
                "a@example.org,Ada",
                "b@example.org,\"Bob",
                "",
                "Ross\"",
                ",",
                "c@example.org,Cy",
                "d@example.org",
                "",
            ];
            let (athletes, errors) = read_all(&text.join(end));
            let places: Vec<_> = athletes.iter().map(|(place, _)| place.as_str()).collect();
            assert_eq!(places, ["row 5", "row 6", "row 8"], "{end:?}");
            let of_lines =
                "must not contain line breaks, control characters or characters that reorder text";
            assert_eq!(
                errors,
                json!([
                    {"row": 6, "column": "full_name", "code": "forbidden_characters", "detail": of_lines},
                    {"row": 9, "code": "cell_count", "detail": "does not have as many cells as the header: 1 instead of 2"},
                ]),
                "{end:?}"
            );
        }
    }

    #[test]
    fn what_is_no_table_of_athletes_is_told() {
        let no_contact = "must name a column email, or phone; the others are full_name and locale";
        for (text, errors) in [
            (
                "",
                json!([{"row": 1, "code": "header_missing", "detail": "must name the columns"}]),
            ),
            (
                "\u{FEFF}\r\n ;;\r\n",
                json!([{"row": 1, "code": "header_missing", "detail": "must name the columns"}]),
            ),
            (
                "phone;email",
                json!([{"row": 1, "code": "no_rows", "detail": "has no athletes below it"}]),
            ),
            (
                "full_name\nAda",
                json!([{"row": 1, "code": "header_missing", "detail": no_contact}]),
            ),
            (
                "a@example.org,Ada\nb@example.org,Bob",
                json!([
                    {"row": 1, "column": "a@example.org", "code": "unknown_field", "detail": "is not a known field"},
                    {"row": 1, "column": "Ada", "code": "unknown_field", "detail": "is not a known field"},
                    {"row": 1, "code": "header_missing", "detail": no_contact},
                ]),
            ),
            (
                "email,,Email,age\na,b,c\na,b,c,d",
                json!([
                    {"row": 1, "column": "", "code": "unknown_field", "detail": "is not a known field"},
                    {"row": 1, "column": "Email", "code": "repeated_field", "detail": "is there twice"},
                    {"row": 1, "column": "age", "code": "unknown_field", "detail": "is not a known field"},
                    {"row": 2, "code": "cell_count", "detail": "does not have as many cells as the header: 3 instead of 4"},
                    {"row": 3, "column": "email", "code": "email_invalid", "detail": "must be a mail address like ada@example.org"},
                ]),
            ),
            (
                "\u{FFFD}\u{FFFD}e\0m\0a\0i\0l\0\n\0",
                json!([
                    {"row": 1, "column": "\u{FFFD}\u{FFFD}e\0m\0a\0i\0l\0", "code": "encoding_unknown", "detail": NOT_UTF_8},
                    {"row": 1, "code": "header_missing", "detail": no_contact},
                ]),
            ),
            (
                "email,full_name\na,J\u{FFFD}rg\n",
                json!([{"row": 2, "column": "full_name", "code": "encoding_unknown", "detail": NOT_UTF_8}]),
            ),
        ] {
            assert_eq!(read_all(text).1, errors, "{text:?}");
        }
    }

    #[test]
    fn faults_are_bounded_by_the_size_of_an_import() {
        let (athletes, errors) = read_all(&format!("email\n{}", "a@example.org\n".repeat(100_000)));
        assert_eq!(athletes.len(), MAX_ATHLETES);
        assert_eq!(
            errors,
            json!([{"row": 502, "code": "too_many_rows", "detail": "is one too many: an import has at most 500 athletes"}])
        );
        let (_, errors) = read_all(&format!("email{}\n", ",x".repeat(100_000)));
        assert_eq!(
            errors.as_array().map(Vec::len),
            Some(MAX_FAULTY_COLUMNS + 1)
        );
    }
}
