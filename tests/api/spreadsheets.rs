//! Spreadsheets as programs save them: text in all encodings and forms, workbooks, and what is
//! neither.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use std::io::{Cursor, Write};
use tests::{Person, Response, TestApp, story};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// Sends the bytes of a file, only to see how it is read.
async fn upload(
    app: &TestApp,
    owner: &Person,
    path: &str,
    media_type: &str,
    file: &[u8],
) -> Response {
    let path = format!("{path}?dry_run=true");
    let mut event = owner.event("POST", &path, Some(&BASE64_STANDARD.encode(file)));
    event["isBase64Encoded"] = json!(true);
    event["headers"]["content-type"] = json!(media_type);
    app.call(&event).await
}

/// The parts of a zip archive.
fn zip(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        let options = SimpleFileOptions::default();
        // A document's type stands at the beginning, unpacked.
        let options = if *name == "mimetype" {
            options.compression_method(CompressionMethod::Stored)
        } else {
            options
        };
        archive.start_file(*name, options).expect("a part");
        archive.write_all(content).expect("its content");
    }
    archive.finish().expect("an archive").into_inner()
}

/// A workbook with one sheet, whose rows are given as XML.
fn workbook(rows: &str) -> Vec<u8> {
    let sheet = format!(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#
    );
    zip(&[
        ("[Content_Types].xml", br#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>"#),
        ("_rels/.rels", br#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#),
        ("xl/workbook.xml", br#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Members" sheetId="1" r:id="rId1"/></sheets></workbook>"#),
        ("xl/_rels/workbook.xml.rels", br#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ])
}

/// A row of texts; a cell that is a number stands as one.
fn row(number: usize, cells: &[&str]) -> String {
    let cells = cells.iter().enumerate().map(|(column, cell)| {
        let at = format!(
            "{}{number}",
            char::from(b'A' + u8::try_from(column).expect("few"))
        );
        if cell.bytes().all(|byte| byte.is_ascii_digit()) && !cell.is_empty() {
            format!(r#"<c r="{at}"><v>{cell}</v></c>"#)
        } else {
            format!(r#"<c r="{at}" t="inlineStr"><is><t>{cell}</t></is></c>"#)
        }
    });
    format!(r#"<row r="{number}">{}</row>"#, cells.collect::<String>())
}

fn utf_16(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    b"\xFF\xFE".iter().copied().chain(units).collect()
}

#[test]
fn files_of_every_program_are_read() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        owner
            .patch(&format!("/businesses/{gym}"), &json!({"country": "IT"}))
            .await
            .expect(200);
        let path = format!("/businesses/{gym}/athletes/import");
        let table = "Full Name,Email,Phone\nZoë Müller,zoe@example.org,333 765 4322\n";
        let semicolons = table.replace(',', ";");
        let wide = {
            let columns = ",Custom".repeat(60);
            let cells = ",some words of no use".repeat(60);
            let rows: Vec<String> = (0..480)
                .map(|n| format!("N. {n},{n}@example.org{cells}"))
                .collect();
            let rows = rows.join(
                "
",
            );
            format!("Full Name,Email{columns}\n{rows}")
        };
        for (what, media_type, file, rows) in [
            ("plain", "text/csv", table.as_bytes().to_vec(), 1),
            (
                "a mark",
                "text/csv",
                format!("\u{FEFF}{table}").into_bytes(),
                1,
            ),
            (
                "tabs",
                "text/tab-separated-values",
                table.replace(',', "\t").into_bytes(),
                1,
            ),
            (
                "bars",
                "text/plain",
                table.replace(',', "|").into_bytes(),
                1,
            ),
            (
                "sep=",
                "application/vnd.ms-excel",
                format!("sep=;\r\n{semicolons}").into_bytes(),
                1,
            ),
            (
                "a title",
                "application/octet-stream",
                format!("Member list; March\n\n{semicolons}").into_bytes(),
                1,
            ),
            (
                "empty columns",
                "application/csv",
                table.replace('\n', ",,\n").into_bytes(),
                1,
            ),
            (
                "Ctrl-Z",
                "text/csv",
                format!("{table},,\r\n\u{1A}").into_bytes(),
                1,
            ),
            ("UTF-16", "text/csv", utf_16(&table.replace(',', "\t")), 1),
            (
                "Windows-1252",
                "text/csv",
                table
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap())
                    .collect(),
                1,
            ),
            ("60 columns", "text/csv", wide.into_bytes(), 480),
            (
                "a workbook",
                "application/json",
                workbook(&format!(
                    "{}{}{}",
                    row(1, &["Members"]),
                    row(3, &["Full Name", "Email", "Phone"]),
                    row(4, &["Zoë Müller", "zoe@example.org", "3337654322"])
                )),
                1,
            ),
        ] {
            let read = upload(app, &owner, &path, media_type, &file).await;
            assert_eq!(read.status, 200, "{what}: {:#}", read.body);
            assert_eq!(
                read.body["counts"]["created"], rows,
                "{what}: {:#}",
                read.body
            );
        }
    });
}

#[test]
fn names_in_parts_and_numbers_of_a_workbook_are_put_together() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let country = json!({"country": "IT"});
        let business = format!("/businesses/{gym}");
        owner.patch(&business, &country).await.expect(200);
        let path = format!("{business}/athletes/import");
        let names = workbook(&format!(
            "{}{}",
            row(1, &["Nome", "Cognome", "Cellulare", "Note"]),
            row(2, &["Zoë", "Müller", "3337654322", "x"])
        ));
        let event_path = format!("{path}?skip_faulty=false");
        let mut event = owner.event("POST", &event_path, Some(&BASE64_STANDARD.encode(&names)));
        event["isBase64Encoded"] = json!(true);
        let read = app.call(&event).await.expect(200);
        assert_eq!(read["items"][0]["athlete"]["full_name"], "Zoë Müller");
        assert_eq!(read["items"][0]["athlete"]["phone"], "+393337654322");
        assert_eq!(
            read["columns"][3],
            json!({"header": "Note", "used_as": null})
        );
    });
}

#[test]
fn what_can_not_be_read_is_named() {
    story(async |app| {
        let owner = app.person("owner@iron.example");
        let gym = owner.opens_gym("Iron Temple").await;
        let path = format!("/businesses/{gym}/athletes/import");
        let sheet = row(1, &["Email"]) + &row(2, &["a@example.org"]);
        let whole = workbook(&sheet);
        let zeros = vec![b' '; 64 * 1024 * 1024];
        let bomb = zip(&[
            ("xl/workbook.xml", b"<workbook/>"),
            ("xl/worksheets/sheet1.xml", &zeros),
        ]);
        let columns: String = (0..1_100).map(|_| "x,".to_owned()).collect();
        for (what, file, code, words) in [
            (
                "xls",
                b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1rest".to_vec(),
                "file_kind",
                "an old Excel workbook (.xls)",
            ),
            (
                "ods",
                zip(&[(
                    "mimetype",
                    b"application/vnd.oasis.opendocument.spreadsheet",
                )]),
                "file_kind",
                ".ods",
            ),
            ("pdf", b"%PDF-1.7".to_vec(), "file_kind", "a PDF"),
            (
                "html",
                b"<html><table></table></html>".to_vec(),
                "file_kind",
                "web page",
            ),
            (
                "half a workbook",
                whole[..whole.len() / 2].to_vec(),
                "file_damaged",
                "damaged",
            ),
            ("a bomb", bomb, "file_too_large", "unpacks to"),
            (
                "too many columns",
                format!("{columns}email\n").into_bytes(),
                "cell_count",
                "more than 1000 columns",
            ),
            (
                "no header",
                b"Ada,Novak\nBob,Ross\n".to_vec(),
                "header_missing",
                "one of them Email or Phone",
            ),
            ("no rows", b"email\n".to_vec(), "no_rows", "no athletes"),
            (
                "a quote",
                b"Full Name,Email\n\"Ada,a@example.org\nBob,b@example.org\n".to_vec(),
                "quote_unclosed",
                "never closed",
            ),
            (
                "Excel",
                b"Phone\n3.93338E+11\n".to_vec(),
                "phone_destroyed",
                "rounded",
            ),
        ] {
            let skip = if what == "Excel" {
                "&skip_faulty=false"
            } else {
                ""
            };
            assert!(file.len() < 1024 * 1024, "{what} is small");
            let mut event = owner.event(
                "POST",
                &format!("{path}?dry_run=false{skip}"),
                Some(&BASE64_STANDARD.encode(&file)),
            );
            event["isBase64Encoded"] = json!(true);
            let refused = app.call(&event).await;
            assert_eq!(refused.status, 422, "{what}: {:#}", refused.body);
            let error: &Value = &refused.body["errors"][0];
            assert_eq!(error["code"], code, "{what}: {error}");
            let detail = error["detail"].as_str().unwrap_or_default();
            assert!(detail.contains(words), "{what}: {detail}");
        }
        let too_large = vec![b'x'; 1024 * 1024 + 3];
        let refused = upload(app, &owner, &path, "text/csv", &too_large).await;
        assert_eq!((refused.status, refused.problem()), (413, "body-too-large"));
        assert_eq!(app.ask::<i64>("SELECT count(*) FROM athlete").await, 0);
    });
}
