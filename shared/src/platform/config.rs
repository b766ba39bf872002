//! Configuration: environment variables, read once, with all errors reported together.

use std::{fmt, str::FromStr};

/// The variables that configure a function, read one by one. Errors are gathered, so that all of
/// them are reported together.
pub struct Variables<Read> {
    read: Read,
    errors: Vec<String>,
}

/// The environment variables of this process.
#[must_use]
pub fn variables() -> Variables<impl Fn(&str) -> Option<String>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that the others are sent to"
    )]
    Variables::new(|name| std::env::var(name).ok())
}

/// The number of requests that this environment gets at once: 1, unless it is a Lambda Managed
/// Instance (<https://docs.aws.amazon.com/lambda/latest/dg/lambda-managed-instances.html>). It
/// decides the number of threads and of connections.
#[must_use]
pub fn concurrency() -> usize {
    let concurrency = variables()
        .optional("AWS_LAMBDA_MAX_CONCURRENCY")
        .unwrap_or(1);
    std::cmp::max(1, concurrency)
}

/// The name of this function in its AWS account; empty outside Lambda.
#[must_use]
pub fn function_name() -> String {
    variables()
        .optional("AWS_LAMBDA_FUNCTION_NAME")
        .unwrap_or_default()
}

impl<Read: Fn(&str) -> Option<String>> Variables<Read> {
    /// The variables that `read` finds; an empty one counts as not set, because a template can't
    /// leave one out.
    pub fn new(read: Read) -> Self {
        Self {
            read,
            errors: Vec::new(),
        }
    }

    /// A variable that must be set.
    pub fn required<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let value = self.optional(name);
        if value.is_none() && self.text(name).is_none() {
            self.errors.push(format!("{name} is not set"));
        }
        value
    }

    /// A variable that may be absent.
    pub fn optional<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        self.text(name)?
            .parse()
            .map_err(|error| self.errors.push(format!("{name}: {error}")))
            .ok()
    }

    /// The configuration, if there was no error. `configuration` is `None` only after an error was
    /// noted.
    pub fn finish<T>(self, configuration: Option<T>) -> Result<T, ConfigError> {
        match configuration {
            Some(configuration) if self.errors.is_empty() => Ok(configuration),
            _ => Err(ConfigError(self.errors)),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        (self.read)(name).filter(|value| !value.is_empty())
    }
}

/// All errors of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    /// A single error, found after the variables were read.
    #[must_use]
    pub fn one(error: String) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has faults: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_are_reported_together() {
        let mut variables = Variables::new(|name: &str| match name {
            "DAYS" => Some("many".to_owned()),
            "EMPTY" => Some(String::new()),
            "NAME" => Some("Ada".to_owned()),
            _ => None,
        });
        let days = variables.optional::<u32>("DAYS");
        let read = (
            variables.required::<String>("NAME"),
            variables.optional::<String>("EMPTY"),
            variables.required::<String>("ABSENT"),
        );
        assert_eq!((days, read), (None, (Some("Ada".to_owned()), None, None)));
        let Err(ConfigError(errors)) = variables.finish(Some(())) else {
            panic!("faults were passed over")
        };
        assert_eq!(
            errors,
            ["DAYS: invalid digit found in string", "ABSENT is not set"]
        );
    }
}
