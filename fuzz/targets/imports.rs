//! The same athletes in a spreadsheet and in JSON: what the one import takes the other takes, and
//! what the one refuses the other refuses for the same reasons.

#![no_main]

use arbitrary::Arbitrary;
use csv::{QuoteStyle, Terminator, WriterBuilder};
use fuzz::sample;
use libfuzzer_sys::{Corpus, fuzz_target};
use register_athlete::errors_of_import;
use serde_json::{Map, Value, json};
use shared::domain::pasted::is_blank;
use std::sync::LazyLock;

const COLUMNS: [&str; 4] = ["email", "phone", "full_name", "locale"];

/// What every import takes at most.
const MAX_ATHLETES: usize = 500;

/// Some athletes, and how a spreadsheet writes them.
#[derive(Arbitrary, Debug)]
struct Table<'a> {
    has_semicolons: bool,
    has_byte_order_mark: bool,
    quotes_everything: bool,
    line_end: LineEnd,
    /// How far the columns are turned, so that each can be the first.
    turn: u8,
    athletes: Vec<[Cell<'a>; 4]>,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum LineEnd {
    Lf,
    Cr,
    CrLf,
}

/// A cell, often one that is right.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Cell<'a> {
    Empty,
    Email(u8),
    Phone(u8),
    Locale(bool),
    Text(&'a str),
}

impl Cell<'_> {
    fn text(self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Email(n) => format!("ada{n}@example.org"),
            Self::Phone(n) => format!("+39 333 1234{n:03}"),
            Self::Locale(is_italian) => if is_italian { "it" } else { "pt-BR" }.to_owned(),
            Self::Text(text) => text.to_owned(),
        }
    }
}

static EVENT: LazyLock<Value> = LazyLock::new(|| sample("register-athlete/import-csv"));

fuzz_target!(|table: Table<'_>| -> Corpus {
    let rows = rows(&table);
    if rows.is_empty() {
        return Corpus::Reject;
    }
    let of_csv = errors("text/csv", &csv(&table, &rows));
    let of_json = errors("application/json", &json(&rows));
    let of_json: Vec<Value> = of_json.into_iter().map(in_table).collect();
    assert_eq!(of_csv, of_json, "{rows:?}");
    Corpus::Keep
});

/// The table's rows, without what only a spreadsheet has: blank rows, and what stands for bytes
/// that were no UTF-8.
fn rows(table: &Table<'_>) -> Vec<[String; 4]> {
    let whole = |text: String| text.replace(char::REPLACEMENT_CHARACTER, "");
    let rows = table.athletes.iter();
    rows.map(|cells| cells.map(|cell| whole(cell.text())))
        .filter(|cells| cells.iter().any(|cell| !is_blank(cell)))
        .take(MAX_ATHLETES)
        .collect()
}

/// What is wrong with the athletes.
fn errors(media_type: &str, body: &str) -> Vec<Value> {
    let mut event = EVENT.clone();
    event["headers"]["content-type"] = json!(media_type);
    event["body"] = json!(body);
    let request = serde_json::from_value(event).expect("an event");
    let errors = errors_of_import(&request, None).expect("a table of athletes");
    errors.iter().map(|error| json!(error)).collect()
}

fn csv(table: &Table<'_>, rows: &[[String; 4]]) -> String {
    let mut writer = WriterBuilder::new();
    writer.delimiter(if table.has_semicolons { b';' } else { b',' });
    writer.quote_style(if table.quotes_everything {
        QuoteStyle::Always
    } else {
        QuoteStyle::Necessary
    });
    writer.terminator(match table.line_end {
        LineEnd::Lf => Terminator::Any(b'\n'),
        LineEnd::Cr => Terminator::Any(b'\r'),
        LineEnd::CrLf => Terminator::CRLF,
    });
    let mut writer = writer.from_writer(Vec::new());
    let mut write = |mut cells: [&str; COLUMNS.len()]| {
        cells.rotate_left(usize::from(table.turn) % COLUMNS.len());
        writer.write_record(cells).expect("a row is written");
    };
    write(COLUMNS);
    for row in rows {
        write(row.each_ref().map(String::as_str));
    }
    let bytes = writer.into_inner().expect("all of it is written");
    let text = String::from_utf8(bytes).expect("what is written is UTF-8");
    if table.has_byte_order_mark {
        format!("\u{FEFF}{text}")
    } else {
        text
    }
}

/// The rows as objects, in which an empty cell is no member.
fn json(rows: &[[String; 4]]) -> String {
    let athlete = |cells: &[String; 4]| -> Map<String, Value> {
        let fields = COLUMNS
            .into_iter()
            .zip(cells)
            .map(|(name, cell)| (name, cell.trim()));
        fields
            .filter(|(_, cell)| !is_blank(cell))
            .map(|(name, cell)| (name.to_owned(), json!(cell)))
            .collect()
    };
    json!({"athletes": rows.iter().map(athlete).collect::<Vec<_>>()}).to_string()
}

/// A fault of the JSON, in the words of the table: the first athlete is in the second row.
fn in_table(mut fault: Value) -> Value {
    let pointer = fault["pointer"]
        .as_str()
        .expect("a fault of JSON has a pointer");
    let mut path = pointer.split('/').skip(2);
    let row = row_of(path.next().expect("an index"));
    let column = path.next().expect("a member").to_owned();
    fault = json!({"row": row, "column": column, "code": fault["code"], "detail": fault["detail"]});
    fault
}

fn row_of(index: &str) -> usize {
    index.parse::<usize>().expect("an index") + 2
}
