//! What can go wrong with a request, as the client is told (RFC 9457, Problem Details for HTTP
//! APIs).

use crate::domain::{ErrorCode, Name};
use serde::Serialize;
use std::{borrow::Cow, error::Error, time::Duration};
use uuid::Uuid;

/// A kind of problem. A 4xx is the client's to mend, 500 is our bug, 503 says to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The event does not come from API Gateway.
    NotAnHttpEvent,
    /// The body is missing or is not JSON.
    MalformedBody,
    /// No valid token.
    Unauthenticated,
    /// There is no such thing, or it is somebody else's: nothing tells the two apart.
    NotFound,
    /// The account has an athlete in this gym already.
    AlreadyAMember,
    /// The athlete is linked to an account: there is nothing left to invite to.
    AlreadyLinked,
    /// Another athlete of the gym has this contact.
    AlreadyRegistered,
    /// An athlete with another name has this contact, which may be the same person or not.
    ContactInUse,
    /// The workout is archived: it is not assigned any more.
    WorkoutArchived,
    /// The caller is not linked to the athlete any more.
    NotAMember,
    /// The body is larger than the route takes.
    BodyTooLarge,
    /// The body is declared as something that the route does not read.
    UnsupportedMediaType,
    /// The body or the query holds something that can't be taken; `errors` names each.
    InvalidInput,
    /// The code is wrong, used, revoked or expired: nothing tells these apart.
    InvalidAthleteCode,
    /// Too many of the caller's codes were wrong.
    TooManyAttempts,
    /// The athlete was sent as many invitations as one day allows.
    TooManyInvitations,
    /// A bug of ours.
    Internal,
    /// Something that we need does not answer in time.
    Unavailable,
}

impl Kind {
    /// Status code, slug and title: the one place where they are written.
    fn definition(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NotAnHttpEvent => (
                400,
                "not-an-http-event",
                "The event does not come from API Gateway",
            ),
            Self::MalformedBody => (400, "malformed-body", "The body is not a JSON object"),
            Self::Unauthenticated => (401, "unauthenticated", "A valid token is required"),
            Self::NotFound => (404, "not-found", "Not found"),
            Self::AlreadyAMember => (409, "already-a-member", "Already a member of this gym"),
            Self::AlreadyLinked => (409, "already-linked", "The athlete has signed up"),
            Self::AlreadyRegistered => (
                409,
                "already-registered",
                "Another athlete has this contact",
            ),
            Self::ContactInUse => (
                409,
                "contact-in-use",
                "An athlete with another name has this contact",
            ),
            Self::WorkoutArchived => (409, "workout-archived", "The workout is archived"),
            Self::NotAMember => (409, "not-a-member", "No member of this gym any more"),
            Self::BodyTooLarge => (413, "body-too-large", "The body is too large"),
            Self::UnsupportedMediaType => (
                415,
                "unsupported-media-type",
                "The body is of another media type",
            ),
            Self::InvalidInput => (422, "invalid-input", "The input has faults"),
            Self::InvalidAthleteCode => (422, "invalid-athlete-code", "This code can't be used"),
            Self::TooManyAttempts => (429, "too-many-attempts", "Too many wrong codes"),
            Self::TooManyInvitations => (429, "too-many-invitations", "Too many invitations today"),
            Self::Internal => (500, "internal", "Something is wrong on our side"),
            Self::Unavailable => (503, "unavailable", "Not available at the moment"),
        }
    }

    /// The status code of the answer.
    #[must_use]
    pub fn status(self) -> u16 {
        self.definition().0
    }

    /// The last part of the problem's `type`.
    #[must_use]
    pub fn slug(self) -> &'static str {
        self.definition().1
    }
}

/// One fault of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    #[serde(flatten)]
    place: Place,
    code: ErrorCode,
    detail: Cow<'static, str>,
}

/// A place in what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Place {
    /// A member of the body.
    Pointer {
        /// A JSON pointer (RFC 6901) as a URI fragment.
        pointer: String,
    },
    /// A query parameter.
    Parameter {
        /// Its name.
        parameter: Cow<'static, str>,
    },
    Header {
        header: &'static str,
    },
    /// A cell of a table, or a whole row. Rows are counted as a spreadsheet shows them: from 1,
    /// blank ones too.
    Cell {
        /// The row's number.
        row: usize,
        /// The column's name in the header.
        #[serde(skip_serializing_if = "Option::is_none")]
        column: Option<String>,
    },
}

impl FieldError {
    /// An error of what is in this place.
    pub fn new(place: Place, code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            place,
            code,
            detail: detail.into(),
        }
    }

    /// A fault of the member of the body at this JSON pointer (RFC 6901), given without its leading
    /// `#/`.
    pub fn at(
        pointer: impl std::fmt::Display,
        code: ErrorCode,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            place: Place::Pointer {
                pointer: format!("#/{pointer}"),
            },
            code,
            detail: detail.into(),
        }
    }

    /// A fault of a query parameter.
    pub fn of_parameter(
        name: impl Into<Cow<'static, str>>,
        code: ErrorCode,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            place: Place::Parameter {
                parameter: name.into(),
            },
            code,
            detail: detail.into(),
        }
    }

    /// A fault of a header.
    pub fn of_header(
        header: &'static str,
        code: ErrorCode,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            place: Place::Header { header },
            code,
            detail: detail.into(),
        }
    }

    /// A fault of a cell of a table, or of a whole row. Rows are counted as a spreadsheet shows
    /// them: from 1, blank ones too.
    pub fn in_row(
        row: usize,
        column: Option<&str>,
        code: ErrorCode,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let column = column.map(str::to_owned);
        Self {
            place: Place::Cell { row, column },
            code,
            detail: detail.into(),
        }
    }
}

/// Something that was taken, and that its sender may want to look at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    #[serde(flatten)]
    place: Place,
    code: WarningCode,
    suggestion: String,
}

/// The kind of a warning: stable, as the codes of errors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningCode {
    /// The domain of the address looks like a mistyped one of a provider that many people have.
    EmailTypo,
}

impl Warning {
    /// A warning about what is in this place.
    pub fn new(place: Place, code: WarningCode, suggestion: impl Into<String>) -> Self {
        Self {
            place,
            code,
            suggestion: suggestion.into(),
        }
    }
}

/// Why a request is refused: what the client is told, and apart from it the cause, for the log
/// alone.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    athlete: Option<Box<KnownAs>>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem with a sentence that says what to do.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            athlete: None,
            retry_after: None,
            cause: None,
        }
    }

    /// Not there, or not the caller's.
    #[must_use]
    pub fn not_found(what: &'static str) -> Self {
        Self::new(
            Kind::NotFound,
            format!("There is no such {what}, or it is not yours."),
        )
    }

    /// Input with these faults.
    #[must_use]
    pub fn invalid_input(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            1 => Cow::from("There is 1 fault; nothing was done."),
            n => Cow::from(format!("There are {n} faults; nothing was done.")),
        };
        Self {
            errors,
            ..Self::new(Kind::InvalidInput, detail)
        }
    }

    /// The contact is that of this athlete of the same gym, who has another name.
    #[must_use]
    pub fn contact_in_use(id: Uuid, full_name: Option<Name>) -> Self {
        Self {
            athlete: Some(Box::new(KnownAs { id, full_name })),
            ..Self::new(
                Kind::ContactInUse,
                "If they are two people who share it, send the request with \"shared_contact\": true.",
            )
        }
    }

    /// A bug of ours, with its cause for the log.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            Kind::Internal,
            "This is our fault and has been recorded; trying again later may help.",
        )
        .caused_by(cause)
    }

    /// Something that we need does not answer in time; the client is to come back after a second.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            Kind::Unavailable,
            "Nothing is lost: please send the same request again.",
        )
        .retry_after(Duration::from_secs(1))
        .caused_by(cause)
    }

    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The cause and the causes behind it, on one line, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let mut cause: &dyn Error = self.cause.as_deref()?;
        let mut text = cause.to_string();
        while let Some(deeper) = cause.source() {
            text = format!("{text}: {deeper}");
            cause = deeper;
        }
        Some(text)
    }

    /// The seconds after which to try again, at least one.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| wait.as_secs().max(1))
    }

    /// The problem as it is sent; `instance` is the id of the request.
    #[must_use]
    pub fn document<'a>(&'a self, instance: &'a str) -> Document<'a> {
        let (status, slug, title) = self.kind.definition();
        Document {
            urn: format!("urn:gymbrah:problem:{slug}"),
            title,
            status,
            detail: &self.detail,
            instance,
            errors: &self.errors,
            athlete: self.athlete.as_deref(),
        }
    }
}

/// A problem as it is sent, its members in the order of RFC 9457.
#[derive(Serialize)]
pub struct Document<'a> {
    #[serde(rename = "type")]
    urn: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    athlete: Option<&'a KnownAs>,
}

/// An athlete whom a problem is about, as their gym knows them.
#[derive(Debug, Serialize)]
struct KnownAs {
    id: Uuid,
    full_name: Option<Name>,
}

/// Both values, or the errors of both.
pub fn zip_errors<A, B>(a: Result<A, Problem>, b: Result<B, Problem>) -> Result<(A, B), Problem> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(a), Err(b)) if a.kind == Kind::InvalidInput && b.kind == Kind::InvalidInput => {
            Err(Problem::invalid_input([a.errors, b.errors].concat()))
        }
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    }
}
