//! Finding the route of a request, as HTTP APIs do.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::template::Route;

/// The routes of the API.
#[derive(Debug)]
pub struct Routes(Vec<Route>);

/// A route and the values of the parameters in its path.
#[derive(Debug)]
pub struct Match<'a> {
    /// The route.
    pub route: &'a Route,
    /// The parameters by their names, decoded.
    pub parameters: BTreeMap<String, String>,
}

impl Routes {
    /// The routes of a template.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self(routes)
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Route] {
        &self.0
    }

    /// The route for a method and a percent-encoded path; the one with the fewest parameters if
    /// several fit.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Option<Match<'_>> {
        self.0
            .iter()
            .filter(|route| route.method == method)
            .filter_map(|route| {
                Some(Match {
                    route,
                    parameters: parameters(&route.path, path)?,
                })
            })
            .min_by_key(|found| found.parameters.len())
    }
}

/// The values of the parameters of `pattern` in `path`, or `None` where the two don't fit. A
/// parameter is never empty.
fn parameters(pattern: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (mut expected, mut given) = (pattern.split('/'), path.split('/'));
    let mut parameters = BTreeMap::new();
    loop {
        match (expected.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(segment), Some(value)) => match segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
            {
                Some(name) if !value.is_empty() => {
                    let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
                    parameters.insert(name.to_owned(), value);
                }
                None if segment == value => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        let route = |method: &str, path: &str| Route {
            method: method.into(),
            path: path.into(),
            function: "f".into(),
            needs_token: true,
        };
        Routes::new(vec![
            route("GET", "/workouts/{workout_id}"),
            route("GET", "/workouts/mine"),
            route("POST", "/workouts"),
            route("GET", "/businesses/{business_id}/athletes/{athlete_id}"),
        ])
    }

    fn found(method: &str, path: &str) -> Option<String> {
        routes()
            .find(method, path)
            .map(|found| found.route.path.clone())
    }

    #[test]
    fn parameters_are_decoded() {
        let routes = routes();
        let found = routes
            .find("GET", "/businesses/a%20b/athletes/%C3%A8%2Fx")
            .unwrap();
        let expected = [("athlete_id", "è/x"), ("business_id", "a b")]
            .map(|(name, value)| (name.into(), value.into()));
        assert_eq!(found.parameters, BTreeMap::from(expected));
    }

    #[test]
    fn a_literal_segment_beats_a_parameter() {
        assert_eq!(
            found("GET", "/workouts/mine").as_deref(),
            Some("/workouts/mine")
        );
        assert_eq!(
            found("GET", "/workouts/other").as_deref(),
            Some("/workouts/{workout_id}")
        );
    }

    #[test]
    fn method_number_of_segments_and_emptiness_count() {
        assert_eq!(found("GET", "/workouts"), None);
        assert_eq!(found("POST", "/workouts/"), None);
        assert_eq!(found("GET", "/workouts/"), None);
        assert_eq!(found("GET", "/workouts/1/2"), None);
        assert_eq!(found("POST", "/Workouts"), None);
        assert_eq!(found("POST", "/workouts").as_deref(), Some("/workouts"));
    }
}
