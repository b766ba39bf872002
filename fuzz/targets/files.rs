//! Files that are uploaded to be imported: whatever they are, they are read or refused, and what is
//! said of them is bounded. Half of them are workbooks whose parts are made up.

#![no_main]

use arbitrary::Arbitrary;
use base64::{Engine, prelude::BASE64_STANDARD};
use fuzz::sample;
use libfuzzer_sys::fuzz_target;
use register_athlete::errors_of_import;
use serde_json::{Value, json};
use std::{
    io::{Cursor, Write},
    panic,
    sync::LazyLock,
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Errors that one file can have: each athlete has four fields, and a row as a whole may be wrong.
const MAX_ERRORS: usize = 500 * 5 + 2;

#[derive(Arbitrary, Debug)]
enum File<'a> {
    Bytes(&'a [u8]),
    Workbook {
        workbook: Option<&'a str>,
        relations: Option<&'a str>,
        texts: &'a str,
        styles: &'a str,
        sheet: &'a str,
    },
}

const WORKBOOK: &str = r#"<workbook xmlns:r="r"><sheets><sheet name="A" sheetId="1" r:id="rId1"/></sheets></workbook>"#;
const RELATIONS: &str = r#"<Relationships><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;

static EVENT: LazyLock<Value> = LazyLock::new(|| sample("register-athlete/import-workbook"));

fuzz_target!(init: pass_over_panics_of_the_reader(), |file: File<'_>| {
    let bytes = match &file {
        File::Bytes(bytes) => bytes.to_vec(),
        File::Workbook {
            workbook,
            relations,
            texts,
            styles,
            sheet,
        } => zip(&[
            ("xl/workbook.xml", workbook.unwrap_or(WORKBOOK)),
            ("xl/_rels/workbook.xml.rels", relations.unwrap_or(RELATIONS)),
            ("xl/sharedStrings.xml", texts),
            ("xl/styles.xml", styles),
            ("xl/worksheets/sheet1.xml", sheet),
        ]),
    };
    let mut event = EVENT.clone();
    event["body"] = json!(BASE64_STANDARD.encode(bytes));
    let request = serde_json::from_value(event).expect("an event");
    if let Ok(errors) = errors_of_import(&request, None) {
        assert!(errors.len() <= MAX_ERRORS, "{} errors", errors.len());
    }
});

/// libFuzzer takes every panic for a crash. One of the crates that read workbooks is caught, and
/// the file refused.
fn pass_over_panics_of_the_reader() {
    let crash = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map_or("", |place| place.file());
        if !["/calamine-", "/quick-xml-", "/zip-"]
            .iter()
            .any(|name| place.contains(name))
        {
            crash(panic);
        }
    }));
}

fn zip(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in parts {
        archive.start_file(*name, options).expect("a part");
        archive.write_all(content.as_bytes()).expect("its content");
    }
    archive.finish().expect("an archive").into_inner()
}
