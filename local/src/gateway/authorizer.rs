//! The JWT authorizer of an HTTP API: lets a request through if its token holds.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Validation, decode};
use serde_json::{Map, Value};

use super::issuer::{AUDIENCE, Issuer};

/// API Gateway takes tokens signed with RSA, and no others.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];

/// The claims of the token in an `Authorization` header, or `None` if there is none that holds at
/// the time `now`.
pub(super) fn claims(
    issuer: &Issuer,
    authorization: Option<&str>,
    now: Timestamp,
) -> Option<Map<String, Value>> {
    let header = authorization?;
    let token = header.strip_prefix("Bearer ").unwrap_or(header).trim();

    let mut validation = Validation::new(Algorithm::RS256);
    validation.algorithms = ALGORITHMS.to_vec();
    validation.set_issuer(&[&issuer.url]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // The times are compared below, with the clock that was handed in.
    validation.validate_exp = false;
    let claims = decode::<Map<String, Value>>(token, &issuer.verifying_key, &validation)
        .ok()?
        .claims;

    let now = now.as_second();
    let time = |name| claims.get(name).and_then(Value::as_f64);
    let began =
        |name| claims.get(name).is_none() || time(name).is_some_and(|then| then <= as_number(now));
    let holds = time("exp").is_some_and(|end| end > as_number(now)) && began("nbf") && began("iat");
    holds.then_some(claims)
}

/// Seconds as the number that a token has them in; exact for the next 200 million years.
#[expect(clippy::cast_precision_loss, reason = "below 2^53")]
fn as_number(seconds: i64) -> f64 {
    seconds as f64
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jiff::ToSpan;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::super::issuer::SignIn;
    use super::*;

    static ISSUER: LazyLock<Issuer> =
        LazyLock::new(|| Issuer::new("http://127.0.0.1:1/_local".into()).unwrap());
    static OTHER: LazyLock<Issuer> =
        LazyLock::new(|| Issuer::new("http://127.0.0.1:1/_local".into()).unwrap());

    fn now() -> Timestamp {
        "2026-11-22T09:00:00Z".parse().unwrap()
    }

    fn token(issuer: &Issuer) -> String {
        let who = SignIn {
            email: "ann@example.com".into(),
            email_verified: false,
            full_name: Some("Ann".into()),
            sub: None,
            claims: serde_json::Map::new(),
        };
        issuer.sign_in(&who, now()).unwrap().token
    }

    fn signed(change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims = claims(&ISSUER, Some(&token(&ISSUER)), now()).unwrap();
        change(&mut claims);
        ISSUER.sign(&claims).unwrap()
    }

    fn lets_through(token: &str) -> bool {
        claims(&ISSUER, Some(&format!("Bearer {token}")), now()).is_some()
    }

    #[test]
    fn a_token_of_the_issuer_gives_its_claims() {
        let claims = claims(&ISSUER, Some(&format!("Bearer {}", token(&ISSUER))), now()).unwrap();
        assert_eq!(claims["email"], "ann@example.com");
        assert_eq!(claims["email_verified"], false);
        assert_eq!(claims["name"], "Ann");
        assert_eq!(claims["token_use"], "id");
    }

    #[test]
    fn no_token_or_no_jwt_is_refused() {
        assert!(claims(&ISSUER, None, now()).is_none());
        for header in ["", "Bearer", "Bearer ", "Bearer x.y.z", "Basic YTpi"] {
            assert!(claims(&ISSUER, Some(header), now()).is_none(), "{header:?}");
        }
    }

    #[test]
    fn a_token_holds_from_its_time_to_its_end() {
        let token = token(&ISSUER);
        let at = |time| claims(&ISSUER, Some(&token), time).is_some();
        assert!(at(now() + 719.minutes()));
        assert!(!at(now() + 720.minutes()));
        assert!(!at(now() - 1.minute()));
        assert!(lets_through(&signed(|_| ())));
        assert!(!lets_through(&signed(|claims| drop(
            claims.insert("nbf".into(), json!(now().as_second() + 60))
        ))));
        assert!(!lets_through(&signed(|claims| drop(
            claims.insert("nbf".into(), json!("soon"))
        ))));
        assert!(!lets_through(&signed(|claims| drop(claims.remove("exp")))));
    }

    #[test]
    fn issuer_audience_and_key_have_to_be_right() {
        assert!(!lets_through(&signed(|claims| drop(
            claims.insert("iss".into(), json!("http://elsewhere"))
        ))));
        assert!(!lets_through(&signed(|claims| drop(claims.remove("iss")))));
        assert!(!lets_through(&signed(|claims| drop(
            claims.insert("aud".into(), json!("another"))
        ))));
        assert!(!lets_through(&signed(|claims| drop(claims.remove("aud")))));
        assert!(lets_through(&signed(|claims| drop(
            claims.insert("aud".into(), json!(["x", AUDIENCE]))
        ))));
        assert!(!lets_through(&token(&OTHER)), "signed with another key");
    }

    #[test]
    fn a_changed_or_unsigned_token_is_refused() {
        let token = token(&ISSUER);
        let parts: Vec<_> = token.split('.').collect();
        let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let changed = URL_SAFE_NO_PAD
            .encode(claims.replace("\"email_verified\":false", "\"email_verified\":true"));
        assert_ne!(changed, parts[1]);
        assert!(!lets_through(&format!(
            "{}.{changed}.{}",
            parts[0], parts[2]
        )));

        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        assert!(!lets_through(&format!("{none}.{}.", parts[1])));

        // The classic: the public key, which everybody has, used as the secret of an HMAC.
        let secret = EncodingKey::from_secret(ISSUER.verifying_key.try_get_as_bytes().unwrap());
        let claims: Map<String, Value> = serde_json::from_str(&claims).unwrap();
        assert!(!lets_through(
            &encode(&Header::new(Algorithm::HS256), &claims, &secret).unwrap()
        ));
    }
}
