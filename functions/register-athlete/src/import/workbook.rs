use super::{file::Unreadable, spreadsheet, table::Table};
use calamine::{
    Data, DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxError, open_workbook_from_rs,
};
use shared::{domain::ErrorCode, platform::problem::FieldError};
use std::{
    io::{self, Cursor, Read},
    panic::catch_unwind,
};
use zip::ZipArchive;

/// Parts that a workbook may have: sheets, pictures, notes.
const MAX_PARTS: usize = 2_000;

/// Bytes that all parts together may have once they are unpacked: far more than a megabyte of a
/// real workbook holds.
const MAX_UNPACKED: u64 = 24 * 1024 * 1024;

/// Sheets that are looked at for a header.
const MAX_SHEETS: usize = 20;

/// Reads the first visible sheet of an Excel workbook that has a header; where none has, the first
/// one.
pub(super) fn read(bytes: &[u8]) -> Result<Table, Unreadable> {
    check(bytes)?;
    // The reader panics over some numbers that no workbook has, such as that of a cell far beyond
    // the last one.
    catch_unwind(|| first_table(bytes)).unwrap_or(Err(Unreadable::Damaged))
}

fn first_table(bytes: &[u8]) -> Result<Table, Unreadable> {
    let mut workbook: Xlsx<_> =
        open_workbook_from_rs(Cursor::new(bytes)).map_err(|error| match error {
            XlsxError::Password => Unreadable::Password,
            _ => Unreadable::Damaged,
        })?;
    let sheets = workbook.sheets_metadata().iter();
    let visible = sheets.filter(|sheet| {
        sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible
    });
    let names: Vec<_> = visible
        .take(MAX_SHEETS)
        .map(|sheet| sheet.name.clone())
        .collect();
    let mut first = None;
    for name in names {
        let table = sheet(&mut workbook, &name)?;
        if spreadsheet::header(&table.rows).is_some() {
            return Ok(table);
        }
        first = first.or(Some(table).filter(|table| !table.rows.is_empty()));
    }
    Ok(first.unwrap_or_default())
}

/// The rows of a sheet, as its cells come, in the order of rows and columns.
fn sheet<R: Read + io::Seek>(workbook: &mut Xlsx<R>, name: &str) -> Result<Table, Unreadable> {
    let mut reader = workbook
        .worksheet_cells_reader(name)
        .map_err(|_| Unreadable::Damaged)?;
    let mut table = Table::default();
    let mut row: Vec<String> = Vec::new();
    let mut number = 0;
    while let Some(cell) = reader.next_cell().map_err(|_| Unreadable::Damaged)? {
        let (at, column) = cell.get_position();
        let at = at as usize + 1;
        if at != number {
            table.push(number, row.iter().map(String::as_str));
            row.clear();
            number = at;
        }
        if table.is_full() {
            return Ok(table);
        }
        let text = text(cell.get_value());
        let column = column as usize;
        if text.is_empty() {
            continue;
        }
        if column >= super::table::MAX_COLUMNS {
            let detail = "has too many columns: leave those out that are not needed";
            table.errors.push(FieldError::in_row(
                number,
                None,
                ErrorCode::CellCount,
                detail,
            ));
            return Ok(table);
        }
        if row.len() <= column {
            row.resize(column + 1, String::new());
        }
        row[column] = text;
    }
    table.push(number, row.iter().map(String::as_str));
    Ok(table)
}

/// A cell as the spreadsheet shows it, at least where it is a text or a whole number.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::String(text) => shortened(text),
        DataRef::SharedString(text) => shortened(text),
        // A number of telephone has at most 15 digits, which a float holds exactly; its display is
        // never in powers of ten.
        DataRef::Float(number) => number.to_string(),
        other => Data::from(other.clone()).to_string(),
    }
}

/// One text may stand in every cell of a sheet: it is not copied whole.
fn shortened(text: &str) -> String {
    text.chars().take(super::table::MAX_CELL).collect()
}

/// Unpacks every part once, without keeping it, to see that the workbook is as large as it says: a
/// few kilobytes can unpack to gigabytes. The number of texts that it promises is what is reserved
/// for them, so that is seen through too.
fn check(bytes: &[u8]) -> Result<(), Unreadable> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| Unreadable::Damaged)?;
    if archive.len() > MAX_PARTS {
        return Err(Unreadable::TooLarge);
    }
    let mut left = MAX_UNPACKED;
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).map_err(|_| Unreadable::Damaged)?;
        let name = part.name().map_err(|_| Unreadable::Damaged)?;
        let has_texts = name.to_ascii_lowercase().ends_with("sharedstrings.xml");
        let mut bounded = (&mut part).take(left + 1);
        let read = if has_texts {
            let mut texts = Vec::new();
            let read = bounded.read_to_end(&mut texts).map(|read| read as u64);
            promises_what_it_has(&texts)?;
            read
        } else {
            io::copy(&mut bounded, &mut io::sink())
        };
        let read = read.map_err(|_| Unreadable::Damaged)?;
        left = left.checked_sub(read).ok_or(Unreadable::TooLarge)?;
    }
    Ok(())
}

/// Whether the texts, of at least five bytes each (`<si/>`), are as many as is said of them.
fn promises_what_it_has(texts: &[u8]) -> Result<(), Unreadable> {
    const COUNT: &[u8] = b"uniqueCount";
    // In UTF-16 the number would not be found here; no program writes it so.
    if texts.contains(&0) {
        return Err(Unreadable::Damaged);
    }
    for at in texts
        .windows(COUNT.len())
        .enumerate()
        .filter(|(_, word)| *word == COUNT)
        .map(|(at, _)| at)
    {
        let rest = texts[at + COUNT.len()..].iter();
        let digits = rest
            .skip_while(|byte| !byte.is_ascii_digit() && **byte != b'>')
            .take_while(|byte| byte.is_ascii_digit());
        let promised = digits.fold(0_usize, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(usize::from(digit - b'0'))
        });
        if promised > texts.len() / 5 {
            return Err(Unreadable::Damaged);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, time::Instant};
    use zip::{ZipWriter, write::SimpleFileOptions};

    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006/relationships";

    /// A workbook with this sheet and these texts.
    fn workbook(sheet: &str, texts: &str) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in [
            (
                "_rels/.rels",
                format!(
                    r#"<Relationships xmlns="{PACKAGE}"><Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
                ),
            ),
            (
                "xl/workbook.xml",
                format!(
                    r#"<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets><sheet name="A" sheetId="1" r:id="rId1"/></sheets></workbook>"#
                ),
            ),
            (
                "xl/_rels/workbook.xml.rels",
                format!(
                    r#"<Relationships xmlns="{PACKAGE}"><Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#
                ),
            ),
            ("xl/sharedStrings.xml", texts.to_owned()),
            (
                "xl/worksheets/sheet1.xml",
                format!(r#"<worksheet xmlns="{MAIN}"><sheetData>{sheet}</sheetData></worksheet>"#),
            ),
        ] {
            archive
                .start_file(name, SimpleFileOptions::default())
                .unwrap();
            archive.write_all(content.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn texts(text: &str) -> String {
        format!(r#"<sst xmlns="{MAIN}" uniqueCount="1"><si><t>{text}</t></si></sst>"#)
    }

    #[test]
    fn texts_and_numbers_are_read_as_they_are_shown() {
        let sheet = r#"<row r="2"><c r="B2" t="s"><v>0</v></c></row><row r="4"><c r="B4"><v>393337654322</v></c></row>"#;
        let table = read(&workbook(sheet, &texts("Cellulare"))).unwrap();
        let rows: Vec<_> = table
            .rows
            .iter()
            .map(|row| (row.number, row.cells.join("|")))
            .collect();
        assert_eq!(
            rows,
            [
                (2, "|Cellulare".to_owned()),
                (4, "|393337654322".to_owned())
            ]
        );
    }

    #[test]
    fn a_small_file_that_holds_much_costs_little() {
        let row = |number: usize, cells: &str| format!(r#"<row r="{number}">{cells}</row>"#);
        let wide: String = (0..60_000)
            .map(|_| r#"<c t="inlineStr"><is><t>x</t></is></c>"#)
            .collect();
        let long = "x".repeat(5_000_000);
        let repeated: String = (1..=300)
            .map(|number| row(number, &r#"<c t="s"><v>0</v></c>"#.repeat(100)))
            .collect();
        let deep = "<a>".repeat(100_000);
        let promise = format!(r#"<sst xmlns="{MAIN}" uniqueCount="4000000000"></sst>"#);
        for (what, file) in [
            ("many columns", workbook(&row(1, &wide), &texts("x"))),
            (
                "the last cell of all",
                workbook(
                    r#"<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>"#,
                    &texts("x"),
                ),
            ),
            (
                "a cell beyond all",
                workbook(
                    r#"<row r="1"><c r="ZZZZZZZ99999999999"><v>1</v></c></row>"#,
                    &texts("x"),
                ),
            ),
            (
                "one long text in many cells",
                workbook(&repeated, &texts(&long)),
            ),
            ("a promise of texts", workbook(&row(1, ""), &promise)),
            ("deep XML", workbook(&deep, &texts("x"))),
            (
                "more than is unpacked",
                workbook(&row(1, &" ".repeat(30_000_000)), &texts("x")),
            ),
        ] {
            assert!(file.len() < 1024 * 1024, "{what} is small: {}", file.len());
            let started = Instant::now();
            let bytes = match read(&file) {
                Ok(table) => table
                    .rows
                    .iter()
                    .flat_map(|row| &row.cells)
                    .map(String::len)
                    .sum(),
                Err(_) => 0,
            };
            assert!(bytes < 40_000_000, "{what} makes {bytes} bytes");
            // Without optimisation, and beside other tests.
            let took = started.elapsed();
            assert!(took.as_secs() < 20, "{what} takes {took:?}");
        }
    }
}
