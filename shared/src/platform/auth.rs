//! The caller of a request, from the claims that API Gateway's JWT authorizer has verified.

use crate::{
    domain::{Email, Name, Subject},
    platform::{
        db::{Parameter, Type},
        http::Request,
        problem::{Kind, Problem},
    },
};
use jiff::Timestamp;
use uuid::Uuid;

/// The person whose token came with the request. The authorizer has checked the token's signature,
/// issuer, audience and times; a request that it has not checked has no claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's `sub`.
    pub subject: Subject,
    /// The id of a new person, for a subject and an address that are not known yet.
    new_id: Uuid,
    /// The token's `email`, if the identity provider has verified it. An address that is not
    /// verified links nobody, and is not kept.
    pub verified_email: Option<Email>,
    /// Whether the token has an `email` at all, verified or not.
    pub has_email: bool,
    /// The token's `name`, where it is a [`Name`].
    pub full_name: Option<Name>,
    /// The token's `picture`, where it is an https address.
    pub avatar_url: Option<String>,
    /// The time at which the person signed in, and so proved the address: the token's `auth_time`,
    /// else its `iat`.
    pub signed_in_at: Option<Timestamp>,
}

impl Caller {
    /// The parameters of the database's `sign_in`, in its order.
    #[must_use]
    pub fn parameters(&self) -> [Parameter<'_>; 6] {
        [
            (&self.new_id, Type::UUID),
            (&self.subject, Type::TEXT),
            (&self.verified_email, Type::TEXT),
            (&self.full_name, Type::TEXT),
            (&self.avatar_url, Type::TEXT),
            (&self.signed_in_at, Type::TIMESTAMPTZ),
        ]
    }
}

/// The caller of a request; 401 where there is none.
pub fn caller(request: &Request) -> Result<Caller, Problem> {
    let unauthenticated = |detail| Problem::new(Kind::Unauthenticated, detail);
    let no_token = || unauthenticated("Send a valid token: Authorization: Bearer <token>.");

    let authorizer = request.request_context.authorizer.as_ref();
    let jwt = authorizer.and_then(|authorizer| authorizer.jwt.as_ref());
    let claims = &jwt.ok_or_else(no_token)?.claims;
    let claim = |name: &str| claims.get(name).map(String::as_str);
    // Cognito's: it passes the authorizer, and says nothing of the person.
    if claim("token_use") == Some("access") {
        return Err(unauthenticated(
            "This is the access token; send the ID token, which knows the person's address.",
        ));
    }

    Ok(Caller {
        subject: claim("sub")
            .and_then(|sub| sub.parse().ok())
            .ok_or_else(no_token)?,
        new_id: Uuid::now_v7(),
        // The gateway writes every claim as text, so a JSON `true` and the text "true" look the
        // same here.
        verified_email: claim("email")
            .filter(|_| claim("email_verified") == Some("true"))
            .and_then(|email| Email::exact(email).ok()),
        has_email: claim("email").is_some_and(|email| !email.is_empty()),
        full_name: claim("name").and_then(|name| name.parse().ok()),
        avatar_url: claim("picture")
            .filter(|url| is_picture(url))
            .map(str::to_owned),
        signed_in_at: claim("auth_time")
            .and_then(time)
            .or_else(|| claim("iat").and_then(time)),
    })
}

/// The time of a claim, in seconds since 1970. The gateway may write a large number with an
/// exponent.
fn time(seconds: &str) -> Option<Timestamp> {
    let seconds: f64 = seconds.parse().ok()?;
    let nanoseconds = seconds.is_finite().then_some(seconds * 1e9)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a time that is out of range is none"
    )]
    Timestamp::from_nanosecond(nanoseconds as i128).ok()
}

/// True for an https address of plain characters: people set their own picture, and an address of
/// another kind could be one that a browser runs.
fn is_picture(url: &str) -> bool {
    url.starts_with("https://")
        && url.len() <= 2_048
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(authorizer: &Value) -> Request {
        serde_json::from_value(json!({
            "version": "2.0",
            "requestContext": {"http": {"method": "GET"}, "authorizer": authorizer},
        }))
        .expect("an event")
    }

    fn with_claims(claims: &Value) -> Result<Caller, Problem> {
        caller(&request(
            &json!({"jwt": {"claims": claims, "scopes": null}}),
        ))
    }

    const SUB: &str = "0197f3a0-0000-7000-8000-000000000001";

    #[test]
    fn verified_claims_make_a_caller() {
        let claims = json!({"sub": SUB, "email": "Ada@Example.org", "email_verified": "true", "name": "Ada", "picture": "https://a.example/p.png"});
        let caller = with_claims(&claims).unwrap();
        assert_eq!(caller.subject.as_str(), SUB);
        assert_eq!(caller.verified_email.unwrap().as_str(), "ada@example.org");
        assert_eq!(caller.full_name.unwrap().as_str(), "Ada");
        assert_eq!(
            caller.avatar_url.as_deref(),
            Some("https://a.example/p.png")
        );
    }

    #[test]
    fn any_text_is_a_subject() {
        let longest = "a".repeat(255);
        for sub in [
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "user_2abc",
            "7",
            "ÄÖÜ",
            &longest,
        ] {
            let caller = with_claims(&json!({"sub": sub, "token_use": "id"})).unwrap();
            assert_eq!(caller.subject.as_str(), sub);
        }
    }

    #[test]
    fn access_token_is_told_apart_in_words() {
        let problem = with_claims(&json!({"sub": SUB, "token_use": "access"})).unwrap_err();
        let response = crate::platform::http::Response::problem(&problem, "id").json();
        let detail = response["detail"].as_str().unwrap();
        assert!(detail.contains("ID token"), "{detail}");
    }

    #[test]
    fn sign_in_time_is_auth_time_or_else_iat() {
        for (claims, expected) in [
            (
                json!({"auth_time": "1700000000", "iat": "1700003600"}),
                Some(1_700_000_000),
            ),
            (json!({"iat": "1700003600"}), Some(1_700_003_600)),
            (json!({"iat": "1.7000036E9"}), Some(1_700_003_600)),
            (json!({"auth_time": "yesterday"}), None),
            (json!({"auth_time": "1e300"}), None),
            (json!({"auth_time": "NaN"}), None),
            (json!({}), None),
        ] {
            let mut claims = claims;
            claims["sub"] = json!(SUB);
            let signed_in_at = with_claims(&claims).unwrap().signed_in_at;
            assert_eq!(signed_in_at.map(Timestamp::as_second), expected, "{claims}");
        }
    }

    #[test]
    fn unverified_email_is_left_out() {
        for verified in ["false", "True", "1", "yes", ""] {
            let caller = with_claims(
                &json!({"sub": SUB, "email": "ada@example.org", "email_verified": verified}),
            )
            .unwrap();
            assert_eq!(caller.verified_email, None, "email_verified {verified:?}");
        }
        assert_eq!(
            with_claims(&json!({"sub": SUB, "email": "ada@example.org"}))
                .unwrap()
                .verified_email,
            None
        );
    }

    #[test]
    fn missing_claims_or_sub_are_unauthenticated() {
        for authorizer in [
            json!(null),
            json!({}),
            json!({"lambda": {"sub": SUB}}),
            json!({"jwt": {"claims": {}}}),
            json!({"jwt": {"claims": {"sub": ""}}}),
            json!({"jwt": {"claims": {"sub": "a".repeat(256)}}}),
            json!({"jwt": {"claims": {"sub": SUB, "token_use": "access"}}}),
        ] {
            assert_eq!(
                caller(&request(&authorizer)).unwrap_err().kind(),
                Kind::Unauthenticated,
                "{authorizer}"
            );
        }
    }

    #[test]
    fn malformed_claims_are_left_out() {
        let caller = with_claims(&json!({"sub": SUB, "email": "nobody", "email_verified": "true", "name": "a\u{0}b", "picture": "javascript:alert(1)"})).unwrap();
        assert_eq!(
            (caller.verified_email, caller.full_name, caller.avatar_url),
            (None, None, None)
        );
    }
}
