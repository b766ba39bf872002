use super::{
    fields::Noted,
    page::{MAX_LIMIT, Page},
    request::{Request, route},
};
use crate::{
    domain::ErrorCode,
    platform::problem::{FieldError, Problem},
};
use std::{borrow::Cow, collections::BTreeSet};

/// The query parameters of a request, taken one by one like the [`Fields`](super::fields::Fields)
/// of a body. A parameter that is left over is not known, which is an error too: a request with a
/// misspelt `dry_run` must not do what it was to try.
pub struct Query<'a> {
    request: &'a Request,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl<'a> Query<'a> {
    /// The parameters of this request.
    #[must_use]
    pub fn of(request: &'a Request) -> Self {
        Self {
            request,
            known: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// The value of a parameter, which may be absent, but not there twice.
    pub fn one(&mut self, name: &'static str) -> Result<Option<&'a str>, Noted> {
        match self.all(name).as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(self.note(name, ErrorCode::RepeatedParameter, "must be there once")),
        }
    }

    /// All values of a parameter, which may be repeated or joined by commas: API Gateway makes one
    /// of the other.
    pub fn all(&mut self, name: &'static str) -> Vec<&'a str> {
        self.known.push(name);
        let values = self.request.query_string_parameters.all(name);
        values.unwrap_or_default()
    }

    /// True or false; false where it is absent.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, Noted> {
        match self.one(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(self.note(name, ErrorCode::WrongType, "must be true or false")),
        }
    }

    /// The page that `limit` and `cursor` ask for.
    pub fn page(&mut self) -> Result<Page, Noted> {
        let limit = self.one("limit").and_then(|text| {
            Page::limit(text).ok_or_else(|| {
                let detail = format!("must be a number from 1 to {MAX_LIMIT}");
                self.note("limit", ErrorCode::NotAllowed, detail)
            })
        });
        let list = list_of(self.request);
        let after = self.one("cursor").and_then(|text| {
            Page::after(text, &list).ok_or_else(|| {
                let detail = "must be the next_cursor of an earlier answer, unchanged";
                self.note("cursor", ErrorCode::CursorInvalid, detail)
            })
        });
        Ok(Page::new(list, limit?, after?))
    }

    /// Notes an error of a parameter.
    pub fn note(
        &mut self,
        name: &'static str,
        code: ErrorCode,
        detail: impl Into<Cow<'static, str>>,
    ) -> Noted {
        self.errors
            .push(FieldError::of_parameter(name, code, detail));
        Noted::error()
    }

    /// The values, if nothing is wrong with the parameters and none is left over.
    pub fn finish<T>(mut self, values: Result<T, Noted>) -> Result<T, Problem> {
        let names = self.request.query_string_parameters.iter();
        let names: BTreeSet<&str> = names.map(|(name, _)| name).collect();
        for name in names.into_iter().filter(|name| !self.known.contains(name)) {
            let meant = self.known.iter().find(|known| is_meant(name, known));
            let detail = match meant {
                Some(meant) => format!("is not a known parameter; did you mean {meant}?"),
                None => "is not a known parameter".to_owned(),
            };
            self.errors.push(FieldError::of_parameter(
                name.to_owned(),
                ErrorCode::UnknownParameter,
                detail,
            ));
        }
        match values {
            Ok(values) if self.errors.is_empty() => Ok(values),
            _ => Err(Problem::invalid_input(self.errors)),
        }
    }
}

/// The page that a list's request asks for, by its only parameters `limit` and `cursor`.
pub fn page(request: &Request) -> Result<Page, Problem> {
    let mut query = Query::of(request);
    let page = query.page();
    query.finish(page)
}

/// Refuses query parameters, for a route that has none.
pub fn no_query(request: &Request) -> Result<(), Problem> {
    Query::of(request).finish(Ok(()))
}

/// The list that a request reads: its route with the ids of its path. It is the same under every
/// base path of the API, and however the ids are written.
fn list_of(request: &Request) -> String {
    let mut ids: Vec<_> = request.path_parameters.iter().collect();
    ids.sort();
    let ids = ids.into_iter().map(|(_, id)| id.to_ascii_lowercase());
    std::iter::once(route(request).to_owned())
        .chain(ids)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether a name was meant as the one that is known: `dryRun` and `dry-run` as `dry_run`, `Status`
/// as `status`, `limits` as `limit`.
fn is_meant(name: &str, known: &str) -> bool {
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(|c| c.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let (name, known) = (plain(name), plain(known));
    name == known || (name.len() >= 3 && (known.starts_with(&name) || name.starts_with(&known)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::http::Response;
    use serde_json::{Value, json};

    fn request(query: &Value) -> Request {
        let event =
            json!({"requestContext": {"http": {"method": "GET"}}, "queryStringParameters": query});
        serde_json::from_value(event).expect("an event")
    }

    #[test]
    fn unknown_and_repeated_parameters_are_named() {
        for (query, code, detail) in [
            (
                json!({"dryRun": "true"}),
                "unknown_parameter",
                "did you mean dry_run?",
            ),
            (
                json!({"dry-run": "true"}),
                "unknown_parameter",
                "did you mean dry_run?",
            ),
            (
                json!({"nonsense": "1"}),
                "unknown_parameter",
                "is not a known parameter",
            ),
            (
                json!({"dry_run": "true,false"}),
                "repeated_parameter",
                "must be there once",
            ),
            (
                json!({"dry_run": "yes"}),
                "wrong_type",
                "must be true or false",
            ),
        ] {
            let request = request(&query);
            let mut parameters = Query::of(&request);
            let flag = parameters.flag("dry_run");
            let problem = parameters.finish(flag).expect_err("it is refused");
            let errors = Response::problem(&problem, "id").json()["errors"].clone();
            assert_eq!(errors[0]["code"], code, "{query}");
            let said = errors[0]["detail"].as_str().unwrap_or_default();
            assert!(said.contains(detail), "{query}: {said}");
        }
    }

    #[test]
    fn route_without_parameters_takes_none() {
        assert!(no_query(&request(&json!({}))).is_ok());
        assert!(no_query(&request(&json!({"limit": "1"}))).is_err());
    }
}
