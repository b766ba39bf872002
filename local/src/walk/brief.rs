//! JSON, short enough to read in a terminal.

use serde_json::Value;

/// How long a line of JSON may get, in characters.
const WIDTH: usize = 220;

/// A text longer than this, and without a space, is an id, a token or the like.
const LONG_WORD: usize = 32;

/// How much of such a text is shown: its end, because ids that were made one after the other begin
/// the same.
const SHOWN: usize = 6;

/// A value on one line: members that are null are left out; long words, the time of day and the
/// line itself are cut.
pub(super) fn brief(value: &Value) -> String {
    let line = shortened(value).to_string();
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}

/// A path with its ids cut.
pub(super) fn brief_path(path: &str) -> String {
    path.split('/')
        .map(brief_word)
        .collect::<Vec<_>>()
        .join("/")
}

fn shortened(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(brief_word(text)),
        Value::Array(values) => values.iter().map(shortened).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), shortened(value)))
            .collect(),
        other => other.clone(),
    }
}

fn brief_word(text: &str) -> String {
    if let Some(date) = date_of(text) {
        return date.to_owned();
    }
    if text.len() < LONG_WORD || text.contains(' ') {
        return text.to_owned();
    }
    let start = text
        .char_indices()
        .rev()
        .nth(SHOWN - 1)
        .map_or(0, |(start, _)| start);
    format!("…{}", &text[start..])
}

/// The date of a time like `2026-11-22T09:40:05.123Z`.
fn date_of(text: &str) -> Option<&str> {
    text.parse::<jiff::Timestamp>().ok()?;
    Some(text.split_once('T')?.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_and_nulls_are_shortened_and_the_rest_stays() {
        let value = json!({
            "id": "019acb02-3a00-7000-8000-0000000a1b2c",
            "phone": null,
            "created_at": "2026-11-22T09:40:05.123Z",
            "name": "A name of many words, longer than any id is",
            "items": [{"linked": true, "at": null}],
        });
        assert_eq!(
            brief(&value),
            r#"{"created_at":"2026-11-22","id":"…0a1b2c","items":[{"linked":true}],"name":"A name of many words, longer than any id is"}"#
        );
        assert_eq!(
            brief_path("/workouts/019acb02-3a00-7000-8000-0000000a1b2c/assignments"),
            "/workouts/…0a1b2c/assignments"
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = brief(&json!("è ".repeat(WIDTH)));
        assert_eq!(line.chars().count(), WIDTH + 2);
        assert!(line.ends_with(" …"));
    }
}
