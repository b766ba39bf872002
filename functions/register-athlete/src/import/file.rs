use super::{delimited, table::Table, workbook};
use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use shared::{
    domain::ErrorCode,
    platform::{
        http::Request,
        problem::{FieldError, Kind, Problem},
    },
};
use std::borrow::Cow;

/// Bytes at the beginning of a file by which its kind is known.
const TOP: usize = 4_096;

/// What a file is, by its bytes: what it is declared as says little, since most programs call every
/// table an Excel file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kinds {
    Json,
    Workbook,
    Text,
}

/// A file that is not read, and what its sender can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is of a kind that is not read.
    Kind(&'static str),
    Password,
    Damaged,
    TooLarge,
}

impl From<Unreadable> for Problem {
    fn from(unreadable: Unreadable) -> Self {
        const SAVE_AS: &str =
            "open it in a spreadsheet program, and save it as an Excel workbook (.xlsx) or as CSV";
        let (code, detail) = match unreadable {
            Unreadable::Kind(kind) => (
                ErrorCode::FileKind,
                format!("is {kind}, which can't be read: {SAVE_AS}"),
            ),
            Unreadable::Password => (
                ErrorCode::FileKind,
                "is protected by a password: save it without one".to_owned(),
            ),
            Unreadable::Damaged => (
                ErrorCode::FileDamaged,
                format!("is damaged, and can't be read: {SAVE_AS}"),
            ),
            Unreadable::TooLarge => (
                ErrorCode::FileTooLarge,
                "unpacks to far more than a list of athletes: save the sheet alone as CSV"
                    .to_owned(),
            ),
        };
        Problem::invalid_input(vec![FieldError::in_row(1, None, code, detail)])
    }
}

/// The kind of this file.
pub(super) fn kind(bytes: &[u8]) -> Result<Kinds, Unreadable> {
    let contains =
        |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    let top = &bytes[..bytes.len().min(TOP)];
    if bytes.starts_with(b"PK\x03\x04") {
        // A zip names its parts at the end again, unpacked.
        let has = |word: &str| contains(bytes, word.as_bytes());
        return match () {
            () if has("xl/workbook.bin") => {
                Err(Unreadable::Kind("a binary Excel workbook (.xlsb)"))
            }
            () if has("opendocument.spreadsheet") => {
                Err(Unreadable::Kind("an OpenDocument spreadsheet (.ods)"))
            }
            () if has("opendocument") => Err(Unreadable::Kind("an OpenDocument file")),
            () if has("word/document.xml") => Err(Unreadable::Kind("a Word document (.docx)")),
            () if has("Index/Document.iwa") => {
                Err(Unreadable::Kind("an Apple Numbers file (.numbers)"))
            }
            () if has("xl/") => Ok(Kinds::Workbook),
            () => Err(Unreadable::Kind("a zip archive")),
        };
    }
    if bytes.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") {
        let encrypted: Vec<u8> = "EncryptedPackage"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let is_encrypted = contains(bytes, &encrypted);
        return Err(if is_encrypted {
            Unreadable::Password
        } else {
            Unreadable::Kind("an old Excel workbook (.xls)")
        });
    }
    for (magic, kind) in [
        (&b"%PDF"[..], "a PDF"),
        (b"\x89PNG", "a picture"),
        (b"\xFF\xD8\xFF", "a picture"),
        (b"GIF8", "a picture"),
        (b"{\\rtf", "a text document (.rtf)"),
        (b"\x1F\x8B", "a gzip archive"),
        (b"Rar!", "a rar archive"),
        (b"BEGIN:VCARD", "an address book's card (.vcf)"),
        (b"SQLite format 3", "a database"),
    ] {
        if bytes.starts_with(magic) {
            return Err(Unreadable::Kind(kind));
        }
    }
    let text = String::from_utf8_lossy(top)
        .trim_start_matches('\u{FEFF}')
        .trim_start()
        .to_ascii_lowercase();
    for (start, kind) in [
        ("<?xml", "an XML file"),
        (
            "<!doctype html",
            "a web page (HTML), even if it is called .xls",
        ),
        ("<html", "a web page (HTML), even if it is called .xls"),
        ("<table", "a web page (HTML), even if it is called .xls"),
        ("<meta", "a web page (HTML), even if it is called .xls"),
        ("<style", "a web page (HTML), even if it is called .xls"),
    ] {
        if text.starts_with(start) {
            return Err(Unreadable::Kind(kind));
        }
    }
    Ok(if text.starts_with(['{', '[']) {
        Kinds::Json
    } else {
        Kinds::Text
    })
}

/// The rows of a spreadsheet, whatever program saved it.
pub(super) fn table(request: &Request, kind: &Kinds, bytes: &[u8]) -> Result<Table, Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::new(
            Kind::MalformedBody,
            "There is no file; send a spreadsheet or a JSON object.",
        ));
    }
    match kind {
        Kinds::Workbook => Ok(workbook::read(bytes)?),
        Kinds::Json | Kinds::Text => Ok(delimited::read(&decoded(bytes, charset(request)))),
    }
}

/// The encoding that the media type names.
fn charset(request: &Request) -> Option<&'static Encoding> {
    let content_type = request.headers.get("content-type")?.to_str().ok()?;
    let parameters = content_type.split(';').skip(1);
    let mut named = parameters.filter_map(|parameter| parameter.trim().split_once('='));
    let (_, label) = named.find(|(name, _)| name.eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(label.trim_matches('"').as_bytes())
}

/// The text of these bytes: in the encoding that a mark at the beginning tells, else in UTF-8 or
/// UTF-16 if they are that, else in the encoding that they are declared to be in, else in the one
/// that they most likely are in.
fn decoded<'a>(bytes: &'a [u8], declared: Option<&'static Encoding>) -> Cow<'a, str> {
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0;
    }
    if let Some(encoding) = utf_16(bytes) {
        return encoding.decode_without_bom_handling(bytes).0;
    }
    if let Ok(text) = str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let declared = declared
        .filter(|encoding| encoding.is_ascii_compatible() && *encoding != encoding_rs::UTF_8);
    let encoding = declared.unwrap_or_else(|| {
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(bytes, true);
        detector.guess(None, Utf8Detection::Deny)
    });
    encoding.decode_without_bom_handling(bytes).0
}

/// UTF-16 without a mark: every other byte of a header is zero.
fn utf_16(bytes: &[u8]) -> Option<&'static Encoding> {
    let top = &bytes[..bytes.len().min(64) & !1];
    let zeros = |odd: usize| {
        top.iter()
            .skip(odd)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    let most = top.len() * 3 / 8;
    if top.len() < 4 {
        None
    } else if zeros(1) > most {
        Some(UTF_16LE)
    } else if zeros(0) > most {
        Some(UTF_16BE)
    } else {
        None
    }
}
