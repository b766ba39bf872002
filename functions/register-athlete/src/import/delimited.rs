use super::{
    spreadsheet,
    table::{MAX_ABOVE_HEADER, MAX_ROWS, Table},
};
use csv::{ReaderBuilder, StringRecord};
use shared::{domain::ErrorCode, platform::problem::FieldError};

/// What stands between the cells of a file, the most frequent first.
const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// The end of a file in the days of CP/M, which some programs still write.
const CTRL_Z: char = '\u{1A}';

/// Reads a table as spreadsheets and other programs save it as text (RFC 4180; also with a
/// byte-order mark, another delimiter, a first line `sep=;`, a title above the header).
pub(super) fn read(text: &str) -> Table {
    let text = text
        .trim_start_matches('\u{FEFF}')
        .trim_end_matches(['\0', CTRL_Z]);
    let text = text.replace("\r\n", "\n");
    let (first_row, delimiter, text) = match stated(&text) {
        Some((delimiter, rest)) => (1, delimiter, rest),
        None => (0, likely(&text), text.as_str()),
    };
    rows(text, delimiter, first_row, MAX_ROWS)
}

/// The delimiter that the first line states, and what is below it: `sep=;`.
fn stated(text: &str) -> Option<(char, &str)> {
    let (first, rest) = text.split_once(['\n', '\r']).unwrap_or((text, ""));
    let stated = first
        .trim_matches('"')
        .strip_prefix("sep=")
        .or(first.strip_prefix("SEP="))?;
    let delimiter = stated.chars().next().filter(char::is_ascii)?;
    Some((delimiter, rest))
}

/// The delimiter with which the header is best understood; where it never is, the one there is most
/// of in the first line.
fn likely(text: &str) -> char {
    let understood = |delimiter: &char| {
        let top = rows(text, *delimiter, 0, MAX_ABOVE_HEADER);
        let header = spreadsheet::header(&top.rows);
        header.map_or(0, |(_, columns)| {
            columns
                .iter()
                .filter(|column| column.used_as.is_some())
                .count()
        })
    };
    let first = text.trim_start().lines().next().unwrap_or_default();
    let frequent = |delimiter: &char| first.matches(*delimiter).count();
    // The last of equals is taken.
    let delimiters = DELIMITERS.into_iter().rev();
    delimiters
        .max_by_key(|delimiter| (understood(delimiter), frequent(delimiter)))
        .unwrap_or(',')
}

/// The rows that are not blank, up to so many.
fn rows(text: &str, delimiter: char, first_row: usize, most: usize) -> Table {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(u8::try_from(delimiter).unwrap_or(b','))
        .from_reader(text.as_bytes());
    let mut table = Table::default();
    let (mut row, mut start) = (first_row, 0);
    let mut cells = StringRecord::new();
    while table.rows.len() < most
        && !table.is_full()
        && reader
            .read_record(&mut cells)
            .expect("what is in memory, is UTF-8 and may have rows of any length has no errors")
    {
        // The reader passes over empty lines, which a spreadsheet counts as well; a line within
        // quotes is none of its rows.
        let skipped = text.as_bytes()[start..].iter();
        let skipped = skipped.take_while(|byte| b"\r\n".contains(byte)).count();
        row += 1 + skipped;
        let end = usize::try_from(reader.position().byte()).expect("a text's length is a usize");
        if end == text.len() && is_unclosed(&text[start + skipped..], delimiter) {
            let detail =
                "has a quotation mark \" that is never closed: remove it, or write it twice";
            table.errors.push(FieldError::in_row(
                row,
                None,
                ErrorCode::QuoteUnclosed,
                detail,
            ));
        } else {
            table.push(row, cells.iter().map(uncalculated));
        }
        start = end;
    }
    table
}

/// The text of a cell that keeps a spreadsheet from making a number of it: `="0039"`.
fn uncalculated(cell: &str) -> &str {
    let text = cell
        .strip_prefix("=\"")
        .and_then(|cell| cell.strip_suffix('"'));
    text.filter(|text| !text.contains('"')).unwrap_or(cell)
}

/// Whether the row's last quoted cell has no end.
fn is_unclosed(row: &str, delimiter: char) -> bool {
    let (mut at_start, mut is_quoted) = (true, false);
    let mut characters = row.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if is_quoted && characters.peek() == Some(&'"') => drop(characters.next()),
            '"' if is_quoted => is_quoted = false,
            '"' if at_start => is_quoted = true,
            _ => {}
        }
        at_start = !is_quoted && (c == delimiter || c == '\n' || c == '\r');
    }
    is_quoted
}
