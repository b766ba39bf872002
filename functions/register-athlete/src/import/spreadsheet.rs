use super::{
    MAX_ATHLETES,
    columns::{Column, Field, columns},
    table::{MAX_ABOVE_HEADER, Row, Table},
};
use shared::{
    domain::{ErrorCode, pasted},
    platform::{http::Fields, problem::FieldError},
};

/// What stands where a program before us has lost a letter.
const LOST: char = char::REPLACEMENT_CHARACTER;

/// The row that names the columns, by its position, and the columns: the first one that names a
/// contact.
pub(super) fn header(rows: &[Row]) -> Option<(usize, Vec<Column>)> {
    rows.iter()
        .take(MAX_ABOVE_HEADER)
        .enumerate()
        .find_map(|(position, row)| {
            let names = row.cells.iter().map(String::as_str);
            let columns = columns(names);
            let is_contact =
                |column: &Column| matches!(column.used_as, Some(Field::Email | Field::Phone));
            columns
                .iter()
                .any(is_contact)
                .then_some((position, columns))
        })
}

/// Hands each athlete of the table to `read`, and gives the columns; or what is wrong with the
/// table as a whole.
pub(super) fn read(
    table: Table,
    mut read: impl FnMut(Fields),
) -> Result<Vec<Column>, Vec<FieldError>> {
    let Some((position, columns)) = header(&table.rows) else {
        return Err(if table.errors.is_empty() {
            vec![without_header(&table.rows)]
        } else {
            table.errors
        });
    };
    let mut errors = table.errors;
    let (header, rows) = (&table.rows[position], &table.rows[position + 1..]);
    if rows.is_empty() && errors.is_empty() {
        let detail = "has no athletes below it";
        errors.push(FieldError::in_row(
            header.number,
            None,
            ErrorCode::NoRows,
            detail,
        ));
    }
    if let Some(row) = rows.get(MAX_ATHLETES) {
        let detail = format!(
            "is one too many: an import has at most {MAX_ATHLETES} athletes; split the file, each part with the header"
        );
        errors.push(FieldError::in_row(
            row.number,
            None,
            ErrorCode::TooManyRows,
            detail,
        ));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    for row in rows {
        read(fields(row, &columns));
    }
    Ok(columns)
}

fn without_header(rows: &[Row]) -> FieldError {
    let row = rows.first().map_or(1, |row| row.number);
    let detail =
        "must name the columns, one of them Email or Phone: write the names above the athletes";
    FieldError::in_row(row, None, ErrorCode::HeaderMissing, detail)
}

/// The fields of a row. What is wrong with the row as a whole is noted with them.
fn fields(row: &Row, columns: &[Column]) -> Fields {
    let cell = |wanted: Field| {
        let position = columns
            .iter()
            .position(|column| column.used_as == Some(wanted))?;
        let text = row.cells.get(position)?.as_str();
        (!pasted::is_blank(text)).then_some((columns[position].header.as_str(), text))
    };
    let (first, last) = (cell(Field::FirstName), cell(Field::LastName));
    let parts = [first, last]
        .into_iter()
        .flatten()
        .map(|(_, part)| pasted::line(part).into_owned());
    let joined = parts.collect::<Vec<_>>().join(" ");
    let name_column = first.or(last).map(|(header, _)| header);
    let full_name = cell(Field::FullName).or(name_column.map(|header| (header, joined.as_str())));
    let language = cell(Field::Locale).map(|(header, text)| (header, language(text)));
    let cells = [
        ("email", cell(Field::Email)),
        ("phone", cell(Field::Phone)),
        ("full_name", full_name),
        ("locale", language),
    ];
    let cells = cells
        .into_iter()
        .filter_map(|(field, cell)| cell.map(|(header, text)| (field, header, text)));
    let mut fields = Fields::of_row(
        row.number,
        cells.clone().filter(|(.., text)| !text.contains(LOST)),
    );
    for (field, ..) in cells.filter(|(.., text)| text.contains(LOST)) {
        let detail = "has letters that were lost when the file was saved (\u{FFFD}): save it as an Excel workbook (.xlsx), or as CSV UTF-8";
        fields.note(field, ErrorCode::EncodingUnknown, detail);
    }
    if row.cells.len() > columns.len() {
        let detail = "has more cells than the header: a cell with a comma in it must stand in quotation marks";
        fields.note_whole(ErrorCode::CellCount, detail);
    }
    fields
}

/// A language by its tag, where people have written its name.
fn language(text: &str) -> &str {
    match pasted::plain(text).to_lowercase().as_str() {
        "english" | "inglese" => "en",
        "italian" | "italiano" => "it",
        _ => text,
    }
}
