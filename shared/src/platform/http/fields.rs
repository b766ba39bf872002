use super::request::plain_uuid;
use crate::{
    domain::{ErrorCode, ValidationError, pasted},
    platform::problem::{self, FieldError, Problem, Warning, WarningCode},
};
use serde_json::{Map, Value};
use std::{borrow::Cow, fmt, mem, ops::RangeInclusive, str::FromStr};
use uuid::Uuid;

/// Unknown members of one object that an answer names; a body can hold tens of thousands.
const MAX_UNKNOWN: usize = 50;

/// The fields of a JSON object, or the cells of a row, taken out one by one and checked. Errors are
/// gathered, so that all of them can be told at once: take out every field first, and use `?`
/// afterwards. A field that is null counts as absent, and so does a text of which nothing is seen.
#[derive(Debug)]
pub struct Fields {
    fields: Map<String, Value>,
    place: Place,
    errors: Vec<FieldError>,
}

/// A change of what is stored under a field that may be empty.
#[derive(Debug, PartialEq, Eq)]
pub enum Edit<T> {
    /// The field is absent: the value stays.
    Keep,
    /// The field is null: there is no value any more.
    Clear,
    /// The new value.
    Set(T),
}

impl<T> Edit<T> {
    /// Whether anything changes.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    /// The new value, if there is one.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }
}

/// The sign that a field had an error, which its [`Fields`] have noted.
#[derive(Debug, PartialEq, Eq)]
pub struct Noted(());

impl Noted {
    pub(super) fn error() -> Self {
        Self(())
    }
}

/// The place of the fields, in the words of the person who sent them.
#[derive(Debug)]
enum Place {
    /// A JSON object: its pointer, without the leading `#/`; empty for the body itself.
    Item(String),
    /// A row of a table, by its number, with the name that the table's header has for each field.
    Row(usize, Vec<(&'static str, String)>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item(pointer) => write!(f, "#/{pointer}"),
            Self::Row(row, _) => write!(f, "row {row}"),
        }
    }
}

impl Fields {
    /// The fields of the object that is the whole body.
    pub(super) fn of_body(fields: Map<String, Value>) -> Self {
        Self::new(fields, Place::Item(String::new()))
    }

    fn new(fields: Map<String, Value>, place: Place) -> Self {
        Self {
            fields,
            place,
            errors: Vec::new(),
        }
    }

    /// The cells of a row, each with the field that it is and the name of its column.
    pub fn of_row<'a>(
        row: usize,
        cells: impl IntoIterator<Item = (&'static str, &'a str, &'a str)>,
    ) -> Self {
        let (mut fields, mut columns) = (Map::new(), Vec::new());
        for (field, column, cell) in cells {
            fields.insert(field.to_owned(), cell.into());
            columns.push((field, column.to_owned()));
        }
        Self::new(fields, Place::Row(row, columns))
    }

    /// Takes out a string that may be absent.
    pub fn optional<T: FromStr<Err = ValidationError>>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, Noted> {
        self.optional_by(name, str::parse)
    }

    /// Takes out a string that may be absent, and reads it in its own way.
    pub fn optional_by<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, ValidationError>,
    ) -> Result<Option<T>, Noted> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => match read(&text) {
                Ok(checked) => Ok(Some(checked)),
                Err(ValidationError { code, detail }) => Err(self.note(name, code, detail)),
            },
            Some(_) => Err(self.note(name, ErrorCode::WrongType, "must be a string")),
        }
    }

    /// Takes out a string that may be absent, or null or blank to clear what is stored.
    pub fn edit<T: FromStr<Err = ValidationError>>(
        &mut self,
        name: &str,
    ) -> Result<Edit<T>, Noted> {
        if self.fields.get(name).is_some_and(is_absent) {
            self.fields.remove(name);
            return Ok(Edit::Clear);
        }
        Ok(self.optional(name)?.map_or(Edit::Keep, Edit::Set))
    }

    /// Takes out a string that must be there.
    pub fn required<T: FromStr<Err = ValidationError>>(&mut self, name: &str) -> Result<T, Noted> {
        self.optional(name)?
            .ok_or_else(|| self.note(name, ErrorCode::Required, "is required"))
    }

    /// Takes out `true` or `false`, which may be absent.
    pub fn optional_flag(&mut self, name: &str) -> Result<Option<bool>, Noted> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.note(name, ErrorCode::WrongType, "must be true or false")),
        }
    }

    /// Takes out an id that may be absent.
    pub fn optional_id(&mut self, name: &str) -> Result<Option<Uuid>, Noted> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match id(&value) {
                Some(id) => Ok(Some(id)),
                None => Err(self.note(name, ErrorCode::IdInvalid, "must be a UUID")),
            },
        }
    }

    /// Takes out an id that must be there.
    pub fn required_id(&mut self, name: &str) -> Result<Uuid, Noted> {
        self.optional_id(name)?
            .ok_or_else(|| self.note(name, ErrorCode::Required, "is required"))
    }

    /// Takes out a list of ids whose number is in `count`.
    pub fn required_ids(
        &mut self,
        name: &str,
        count: RangeInclusive<usize>,
    ) -> Result<Vec<Uuid>, Noted> {
        match self.take(name) {
            None => Err(self.note(name, ErrorCode::Required, "is required")),
            Some(Value::Array(values)) if count.contains(&values.len()) => {
                let ids = values.iter().enumerate().map(|(index, value)| {
                    let place = format!("{name}/{index}");
                    id(value)
                        .ok_or_else(|| self.note(&place, ErrorCode::IdInvalid, "must be a UUID"))
                });
                // Every id is looked at before the first error is passed on.
                ids.collect::<Vec<_>>().into_iter().collect()
            }
            Some(_) => {
                let (least, most) = (count.start(), count.end());
                Err(self.note(
                    name,
                    ErrorCode::ListLength,
                    format!("must be a list of {least} to {most} UUIDs"),
                ))
            }
        }
    }

    /// Takes out a list of objects whose number is in `count`, each with its own place and errors.
    pub fn required_objects(
        &mut self,
        name: &str,
        count: RangeInclusive<usize>,
    ) -> Result<Vec<Fields>, Noted> {
        let values = match self.take(name) {
            None => return Err(self.note(name, ErrorCode::Required, "is required")),
            Some(Value::Array(values)) => values,
            Some(_) => {
                return Err(self.note(name, ErrorCode::WrongType, "must be a list of objects"));
            }
        };
        if !count.contains(&values.len()) {
            let (least, most) = (count.start(), count.end());
            return Err(self.note(
                name,
                ErrorCode::ListLength,
                format!("must be a list of {least} to {most} objects"),
            ));
        }
        let items = values.into_iter().enumerate().map(|(index, value)| {
            let place = Place::Item(format!("{name}/{index}"));
            if let Value::Object(fields) = value {
                return Self::new(fields, place);
            }
            let mut item = Self::new(Map::new(), place);
            item.note_whole(ErrorCode::WrongType, "must be an object");
            item
        });
        Ok(items.collect())
    }

    /// Notes that what is at this pointer, given without its leading `#/` and from these fields on,
    /// is wrong.
    pub fn note(
        &mut self,
        pointer: &str,
        code: ErrorCode,
        detail: impl Into<Cow<'static, str>>,
    ) -> Noted {
        let error = FieldError::new(self.place_of(pointer), code, detail);
        self.errors.push(error);
        Noted(())
    }

    /// A warning about what is at this pointer.
    #[must_use]
    pub fn warning(&self, pointer: &str, code: WarningCode, suggestion: &str) -> Warning {
        Warning::new(self.place_of(pointer), code, suggestion)
    }

    /// The place of what is at this pointer.
    #[must_use]
    pub fn place_of(&self, pointer: &str) -> problem::Place {
        match &self.place {
            Place::Item(object) => {
                let separator = if object.is_empty() { "" } else { "/" };
                let pointer = format!("#/{object}{separator}{pointer}");
                problem::Place::Pointer { pointer }
            }
            Place::Row(row, columns) => {
                let column = columns.iter().find(|(field, _)| *field == pointer);
                let column = column.map_or(pointer, |(_, column)| column);
                problem::Place::Cell {
                    row: *row,
                    column: Some(column.to_owned()),
                }
            }
        }
    }

    /// Whether nothing is wrong with the fields, and none is left over.
    #[must_use]
    pub fn is_faultless(&self) -> bool {
        self.errors.is_empty() && self.fields.is_empty()
    }

    /// Notes that these fields as a whole are wrong.
    pub fn note_whole(&mut self, code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Noted {
        self.errors.push(match &self.place {
            Place::Item(object) => FieldError::at(object, code, detail),
            Place::Row(row, _) => FieldError::in_row(*row, None, code, detail),
        });
        Noted(())
    }

    /// The number of the row, where the fields are one.
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        match self.place {
            Place::Item(_) => None,
            Place::Row(row, _) => Some(row),
        }
    }

    /// Where these members are, to name the place in the fault of another one: `#/athletes/1`, or
    /// `row 3`.
    #[must_use]
    pub fn place(&self) -> String {
        self.place.to_string()
    }

    /// Whether there are no fields at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The text of a field, which stays.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    /// Whether there is no such member, or it is null or blank.
    #[must_use]
    pub fn is_absent(&self, name: &str) -> bool {
        self.fields.get(name).is_none_or(is_absent)
    }

    /// The input, if nothing is wrong with the fields and none is left over.
    pub fn finish<T>(self, input: Result<T, Noted>) -> Result<T, Problem> {
        let errors = self.into_errors();
        match input {
            Ok(input) if errors.is_empty() => Ok(input),
            _ => Err(Problem::invalid_input(errors)),
        }
    }

    /// The errors of the fields. A field that is left over is not known, which is an error too.
    #[must_use]
    pub fn into_errors(mut self) -> Vec<FieldError> {
        for name in mem::take(&mut self.fields).keys().take(MAX_UNKNOWN) {
            let pointer = name.replace('~', "~0").replace('/', "~1"); // RFC 6901, section 3
            self.note(&pointer, ErrorCode::UnknownField, "is not a known field");
        }
        self.errors
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !is_absent(value))
    }
}

fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => pasted::is_blank(text),
        _ => false,
    }
}

fn id(value: &Value) -> Option<Uuid> {
    plain_uuid(value.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Email, Name},
        platform::http::{Response, json_object},
    };
    use serde_json::json;

    #[test]
    fn every_fault_is_told_at_once() {
        let text = json!({"email": 7, "name": "", "ids": ["x", Uuid::nil(), 1], "id": "x", "a/b~c": 1, "gone": null, "nothing": null}).to_string();
        let mut fields = json_object(text.as_bytes()).unwrap();
        let input = (
            fields.optional::<Email>("email"),
            fields.required::<Name>("name"),
            fields.required_ids("ids", 1..=3),
            fields.required_id("id"),
            fields.required::<Name>("missing"),
            fields.required::<Name>("nothing"),
            fields.optional::<Name>("gone"),
        );
        let noted = || Noted(());
        assert_eq!(
            input,
            (
                Err(noted()),
                Err(noted()),
                Err(noted()),
                Err(noted()),
                Err(noted()),
                Err(noted()),
                Ok(None)
            )
        );
        let response = Response::problem(&fields.finish(Ok(())).unwrap_err(), "id").json();
        assert_eq!(
            response["errors"],
            json!([
                {"pointer": "#/email", "code": "wrong_type", "detail": "must be a string"},
                {"pointer": "#/name", "code": "required", "detail": "is required"},
                {"pointer": "#/ids/0", "code": "id_invalid", "detail": "must be a UUID"},
                {"pointer": "#/ids/2", "code": "id_invalid", "detail": "must be a UUID"},
                {"pointer": "#/id", "code": "id_invalid", "detail": "must be a UUID"},
                {"pointer": "#/missing", "code": "required", "detail": "is required"},
                {"pointer": "#/nothing", "code": "required", "detail": "is required"},
                {"pointer": "#/a~1b~0c", "code": "unknown_field", "detail": "is not a known field"},
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
            let mut fields = json_object(text.as_bytes()).unwrap();
            let ids = fields.required_ids("ids", 1..=1);
            assert!(fields.finish(ids).is_err(), "{wrong}");
        }
    }

    /// Reads an email and a name, and says where they were.
    fn read(fields: &mut Fields) -> String {
        let _ = fields.required::<Email>("email");
        let _ = fields.optional::<Name>("name");
        fields.place()
    }

    #[test]
    fn objects_in_a_list_are_named_by_their_pointers() {
        let text =
            json!({"people": [{"email": "ada@example.org"}, 7, {"name": "", "a/b": 1}, null, {}]})
                .to_string();
        let mut fields = json_object(text.as_bytes()).unwrap();
        let people = fields.required_objects("people", 1..=5).unwrap();
        let mut errors = Vec::new();
        for mut person in people {
            if !person.is_empty() {
                read(&mut person);
            }
            errors.extend(person.into_errors());
        }
        assert_eq!(
            json!(errors),
            json!([
                {"pointer": "#/people/1", "code": "wrong_type", "detail": "must be an object"},
                {"pointer": "#/people/2/email", "code": "required", "detail": "is required"},
                {"pointer": "#/people/2/a~1b", "code": "unknown_field", "detail": "is not a known field"},
                {"pointer": "#/people/3", "code": "wrong_type", "detail": "must be an object"},
            ])
        );

        let mut fields = json_object(text.as_bytes()).unwrap();
        let _ = fields.required_objects("people", 1..=4);
        let _ = fields.required_objects("animals", 0..=4);
        let response = Response::problem(&fields.finish(Ok(())).unwrap_err(), "id").json();
        assert_eq!(
            response["errors"],
            json!([
                {"pointer": "#/people", "code": "list_length", "detail": "must be a list of 1 to 4 objects"},
                {"pointer": "#/animals", "code": "required", "detail": "is required"},
            ])
        );
    }

    #[test]
    fn cells_are_named_by_their_row_and_column() {
        let mut row = Fields::of_row(
            7,
            [
                ("email", "E-mail", " ada@example.org "),
                ("name", "Name", "\t "),
            ],
        );
        assert!(row.is_absent("name"));
        assert_eq!(read(&mut row), "row 7");
        assert_eq!(row.into_errors(), []);

        let mut row = Fields::of_row(
            8,
            [
                ("email", "E-mail", ""),
                ("name", "Full Name", "a\nb"),
                ("age", "age", "7"),
            ],
        );
        read(&mut row);
        assert_eq!(
            json!(row.into_errors()),
            json!([
                {"row": 8, "column": "E-mail", "code": "required", "detail": "is required"},
                {"row": 8, "column": "Full Name", "code": "forbidden_characters", "detail": "must not contain line breaks, control characters or characters that reorder text"},
                {"row": 8, "column": "age", "code": "unknown_field", "detail": "is not a known field"},
            ])
        );
    }
}
