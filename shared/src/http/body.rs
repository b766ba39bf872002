use super::{Request, plain_uuid};
use crate::{
    problem::{InputFault, Kind, Problem},
    types::Fault,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};
use std::{borrow::Cow, ops::RangeInclusive, str::FromStr};
use uuid::Uuid;

/// Bytes a body may have: 256 KiB, several times what the largest import needs.
pub const MAX_BODY: usize = 256 * 1024;

/// Unknown members that one answer names; a body can hold tens of thousands.
const MAX_UNKNOWN: usize = 50;

/// The body of a request: one JSON object.
pub fn body(request: &Request) -> Result<Members, Problem> {
    let malformed = |detail: String| Problem::new(Kind::MalformedBody, detail);

    let text = request.body.as_deref().filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        malformed("There is no body; send a JSON object, at least {}.".to_owned())
    })?;
    if text.len()
        > if request.is_base64_encoded {
            MAX_BODY.div_ceil(3) * 4
        } else {
            MAX_BODY
        }
    {
        return Err(Problem::new(
            Kind::BodyTooLarge,
            format!("Send at most {} KiB.", MAX_BODY / 1024),
        ));
    }
    if !is_json(request) {
        return Err(Problem::new(
            Kind::UnsupportedMediaType,
            "Send the header Content-Type: application/json.",
        ));
    }
    let bytes = if request.is_base64_encoded {
        Cow::from(
            BASE64_STANDARD
                .decode(text)
                .map_err(|_| malformed("It says that it is base64 and is not.".to_owned()))?,
        )
    } else {
        Cow::from(text.as_bytes())
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => Ok(Members {
            members,
            faults: Vec::new(),
        }),
        Ok(_) => Err(malformed("Send a JSON object: {…}.".to_owned())),
        Err(error) => Err(malformed(format!("It is not JSON: {error}."))),
    }
}

fn is_json(request: &Request) -> bool {
    let content_type = request
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

/// The members of a JSON object, taken out one by one and checked; what is wrong is gathered, so that all of it can be told
/// at once. A member that is null counts as absent.
#[derive(Debug)]
pub struct Members {
    members: Map<String, Value>,
    faults: Vec<InputFault>,
}

impl Members {
    /// Takes out a text that may be absent.
    pub fn optional<T: FromStr<Err = Fault>>(&mut self, name: &str) -> Option<T> {
        match self.take(name)? {
            Value::String(text) => match text.parse() {
                Ok(checked) => Some(checked),
                Err(Fault(detail)) => self.fault(name, detail),
            },
            _ => self.fault(name, "must be a text"),
        }
    }

    /// Takes out a text that must be there.
    pub fn required<T: FromStr<Err = Fault>>(&mut self, name: &str) -> Option<T> {
        if self.is_absent(name) {
            self.members.remove(name);
            return self.fault(name, "is needed");
        }
        self.optional(name)
    }

    /// Takes out a truth that may be absent.
    pub fn optional_flag(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            _ => self.fault(name, "must be true or false"),
        }
    }

    /// Takes out an id that must be there.
    pub fn required_id(&mut self, name: &str) -> Option<Uuid> {
        match self.take(name) {
            None => self.fault(name, "is needed"),
            Some(value) => id(&value).or_else(|| self.fault(name, "must be a UUID")),
        }
    }

    /// Takes out a list of ids whose number is in `count`.
    pub fn required_ids(&mut self, name: &str, count: RangeInclusive<usize>) -> Option<Vec<Uuid>> {
        match self.take(name) {
            None => self.fault(name, "is needed"),
            Some(Value::Array(values)) if count.contains(&values.len()) => {
                let ids: Vec<Uuid> = values
                    .iter()
                    .enumerate()
                    .filter_map(|(index, value)| {
                        id(value)
                            .or_else(|| self.fault(&format!("{name}/{index}"), "must be a UUID"))
                    })
                    .collect();
                (ids.len() == values.len()).then_some(ids)
            }
            Some(_) => self.fault(
                name,
                format!(
                    "must be a list of {} to {} UUIDs",
                    count.start(),
                    count.end()
                ),
            ),
        }
    }

    /// Notes that what is at this pointer, given without its leading `#/`, is wrong.
    pub fn note(&mut self, pointer: &str, detail: impl Into<Cow<'static, str>>) {
        self.faults.push(InputFault::at(pointer, detail));
    }

    fn fault<T>(&mut self, pointer: &str, detail: impl Into<Cow<'static, str>>) -> Option<T> {
        self.note(pointer, detail);
        None
    }

    /// Whether there is no such member, or it is null.
    #[must_use]
    pub fn is_absent(&self, name: &str) -> bool {
        self.members.get(name).is_none_or(Value::is_null)
    }

    /// The input, if nothing was wrong with the members and none is left over; it is `Some` unless a fault was noted.
    pub fn finish<T>(mut self, input: Option<T>) -> Result<T, Problem> {
        for name in self.members.keys().take(MAX_UNKNOWN) {
            let pointer = name.replace('~', "~0").replace('/', "~1"); // RFC 6901, section 3
            self.faults
                .push(InputFault::at(pointer, "is not known here"));
        }
        match input {
            Some(input) if self.faults.is_empty() => Ok(input),
            _ => Err(Problem::invalid_input(self.faults)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.members.remove(name).filter(|value| !value.is_null())
    }
}

fn id(value: &Value) -> Option<Uuid> {
    plain_uuid(value.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Email, Name};
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

    #[test]
    fn every_fault_is_told_at_once() {
        let text = json!({"email": 7, "name": "", "ids": ["x", Uuid::nil(), 1], "id": "x", "a/b~c": 1, "gone": null, "nothing": null}).to_string();
        let mut members = body(&request(JSON, Some(&text), false)).unwrap();
        let input = (
            members.optional::<Email>("email"),
            members.required::<Name>("name"),
            members.required_ids("ids", 1..=3),
            members.required_id("id"),
            members.required::<Name>("missing"),
            members.required::<Name>("nothing"),
            members.optional::<Name>("gone"),
        );
        assert_eq!(input, (None, None, None, None, None, None, None));
        let answer = members.finish(Some(())).unwrap_err().answer("id").json();
        assert_eq!(
            answer["errors"],
            json!([
                {"pointer": "#/email", "detail": "must be a text"},
                {"pointer": "#/name", "detail": "must not be empty"},
                {"pointer": "#/ids/0", "detail": "must be a UUID"},
                {"pointer": "#/ids/2", "detail": "must be a UUID"},
                {"pointer": "#/id", "detail": "must be a UUID"},
                {"pointer": "#/missing", "detail": "is needed"},
                {"pointer": "#/nothing", "detail": "is needed"},
                {"pointer": "#/a~1b~0c", "detail": "is not known here"},
            ])
        );
    }

    #[test]
    fn lists_are_bounded() {
        for wrong in [
            json!([]),
            json!([Uuid::nil(), Uuid::nil()]),
            json!("x"),
            json!({}),
        ] {
            let text = json!({"ids": wrong}).to_string();
            let mut members = body(&request(JSON, Some(&text), false)).unwrap();
            let ids = members.required_ids("ids", 1..=1);
            assert!(members.finish(ids).is_err(), "{wrong}");
        }
    }
}
