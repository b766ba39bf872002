//! The body of a request: its bytes, what it is declared as, and the JSON object that it is.

use super::{fields::Fields, request::Request};
use crate::platform::problem::{Kind, Problem};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, fmt};
/// Bytes a JSON body may have: 256 KiB.
pub const MAX_BODY: usize = 256 * 1024;

/// Characters of a field's name that a detail repeats.
const MAX_NAME: usize = 60;

/// The body of a request: one JSON object.
pub fn body(request: &Request) -> Result<Fields, Problem> {
    if request.body.as_deref().is_none_or(str::is_empty) {
        return Err(malformed(
            "There is no body; send a JSON object, at least {}.",
        ));
    }
    let bytes = bytes(request, MAX_BODY)?;
    if media_type(request) != "application/json" {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "Send the header Content-Type: application/json.",
        ));
    }
    json_object(&bytes)
}

/// One JSON object, whatever it is declared as.
pub fn json_object(bytes: &[u8]) -> Result<Fields, Problem> {
    match serde_json::from_slice(bytes).map(|OnceEach(value)| value) {
        Ok(Value::Object(fields)) => Ok(Fields::of_body(fields)),
        Ok(_) => Err(malformed("Send a JSON object: {…}.")),
        Err(error) if error.is_data() => Err(malformed(format!("{error}."))),
        Err(error) => Err(malformed(format!("It is not JSON: {error}."))),
    }
}

/// JSON in which no object has a name twice (RFC 8259, section 4): of two values under one name the
/// last would win, without a word.
struct OnceEach(Value);

impl<'de> Deserialize<'de> for OnceEach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceEachVisitor).map(Self)
    }
}

struct OnceEachVisitor;

impl<'de> Visitor<'de> for OnceEachVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(OnceEach(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, OnceEach(value))) = object.next_entry::<String, _>()? {
            if fields.contains_key(&name) {
                let name: String = name.chars().take(MAX_NAME).collect();
                let twice = format_args!("The field \"{}\" is there twice", name.escape_default());
                return Err(de::Error::custom(twice));
            }
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
}

/// The bytes of the body, whatever they are and at most so many; none where there is no body.
pub fn bytes(request: &Request, most: usize) -> Result<Cow<'_, [u8]>, Problem> {
    let text = request.body.as_deref().unwrap_or_default();
    let longest = if request.is_base64_encoded {
        most.div_ceil(3) * 4
    } else {
        most
    };
    if text.len() > longest {
        let detail = format!("Send at most {} KiB.", most / 1024);
        return Err(Problem::new(Kind::BodyTooLarge, detail));
    }
    if request.is_base64_encoded {
        let bytes = BASE64_STANDARD.decode(text).map(Cow::from);
        bytes.map_err(|_| malformed("It says that it is base64 and is not."))
    } else {
        Ok(Cow::from(text.as_bytes()))
    }
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(Kind::MalformedBody, detail)
}

/// What the body is declared as, in lower case and without parameters: `application/json`.
#[must_use]
pub fn media_type(request: &Request) -> String {
    let content_type = request
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(content_type: Option<&str>, body: Option<&str>, is_base64_encoded: bool) -> Request {
        let mut event = json!({
            "requestContext": {"http": {"method": "POST"}},
            "headers": {},
            "isBase64Encoded": is_base64_encoded,
        });
        if let Some(content_type) = content_type {
            event["headers"]["content-type"] = content_type.into();
        }
        if let Some(body) = body {
            event["body"] = body.into();
        }
        serde_json::from_value(event).expect("an event")
    }

    fn kind(content_type: Option<&str>, text: Option<&str>, is_base64_encoded: bool) -> Kind {
        body(&request(content_type, text, is_base64_encoded))
            .expect_err("no body")
            .kind()
    }

    const JSON: Option<&str> = Some("application/json");

    #[test]
    fn a_body_is_one_json_object() {
        for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
            assert!(
                body(&request(Some(content_type), Some("{}"), false)).is_ok(),
                "{content_type}"
            );
        }
        for text in [
            None,
            Some(""),
            Some("{"),
            Some("[]"),
            Some("1"),
            Some("\"{}\""),
            Some("{} {}"),
            Some("\u{feff}{}"),
            Some(&"[".repeat(10_000)),
        ] {
            assert_eq!(kind(JSON, text, false), Kind::MalformedBody, "{text:?}");
        }
        for content_type in [
            None,
            Some(""),
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("application/jsonp"),
        ] {
            assert_eq!(
                kind(content_type, Some("{}"), false),
                Kind::UnsupportedMediaType,
                "{content_type:?}"
            );
        }
    }

    #[test]
    fn base64_is_decoded() {
        assert!(body(&request(JSON, Some(&BASE64_STANDARD.encode("{}")), true)).is_ok());
        assert_eq!(kind(JSON, Some("not base64!"), true), Kind::MalformedBody);
        assert_eq!(
            kind(JSON, Some(&BASE64_STANDARD.encode([0xff, 0xfe])), true),
            Kind::MalformedBody
        );
    }

    #[test]
    fn size_is_bounded_in_both_encodings() {
        let object_of = |size: usize| format!("{{{}}}", " ".repeat(size - 2));
        for (size, fits) in [(MAX_BODY, true), (MAX_BODY + 4, false), (300_000, false)] {
            let text = object_of(size);
            assert_eq!(
                body(&request(JSON, Some(&text), false)).is_ok(),
                fits,
                "{size} bytes"
            );
            assert_eq!(
                body(&request(JSON, Some(&BASE64_STANDARD.encode(&text)), true)).is_ok(),
                fits,
                "{size} bytes in base64"
            );
        }
        assert_eq!(
            kind(JSON, Some(&object_of(300_000)), false),
            Kind::BodyTooLarge
        );
    }
}
