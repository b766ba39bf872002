//! The identity provider of the local stack: it signs in whoever asks, as whoever they say they
//! are.

use std::fmt;

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{Timestamp, ToSpan};
use jsonwebtoken::DecodingKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Whom tokens are for: what a Cognito user pool calls the app client.
pub(super) const AUDIENCE: &str = "gymbrah-local";

/// How long a token holds.
const LIFETIME_HOURS: i64 = 12;

/// Signs tokens with a key that exists only as long as this value.
pub struct Issuer {
    /// The `iss` of its tokens.
    pub(super) url: String,
    key: KeyPair,
    pub(super) verifying_key: DecodingKey,
}

/// Who wants to sign in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The account's address; the same one, in whichever case, is the same user.
    pub email: String,
    /// Whether the user has proved to receive mail there.
    #[serde(default = "yes")]
    pub email_verified: bool,
    /// The user's name, for the claim `name`.
    pub full_name: Option<String>,
    /// The token's subject; without it the same address is the same subject.
    pub sub: Option<String>,
    /// Further claims, which go before those that the token has otherwise.
    #[serde(default)]
    pub claims: Map<String, Value>,
}

fn yes() -> bool {
    true
}

/// A signed-in user.
#[derive(Clone, Debug, Serialize)]
pub struct Token {
    /// The JWT for the header `Authorization: Bearer …`.
    pub token: String,
    /// The token's subject.
    pub sub: String,
}

/// The claims of a Cognito ID token that matter to the functions.
#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iss: &'a str,
    aud: &'a str,
    email: &'a str,
    email_verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    token_use: &'a str,
    iat: i64,
    exp: i64,
}

/// The claims of a sign-in over those of a token, each by its name.
fn merged(claims: &Claims<'_>, further: &Map<String, Value>) -> Result<Value> {
    let mut all = serde_json::to_value(claims)?;
    if let Some(all) = all.as_object_mut() {
        all.extend(further.clone());
    }
    Ok(all)
}

impl Issuer {
    /// Makes an issuer with a new RSA key, which takes up to half a second.
    pub fn new(url: String) -> Result<Self> {
        let key = KeyPair::generate(KeySize::Rsa2048).context("can't make an RSA key")?;
        let verifying_key = DecodingKey::from_rsa_der(key.public_key().as_ref());
        Ok(Self {
            url,
            key,
            verifying_key,
        })
    }

    /// Signs a user in. The error is meant for the person who asked.
    pub fn sign_in(&self, who: &SignIn, now: Timestamp) -> Result<Token> {
        let email = who.email.trim();
        if !email.contains('@')
            || email.contains(|character: char| character.is_whitespace() || character.is_control())
        {
            return Err(anyhow!("email: {email:?} is not an address"));
        }
        let sub = match &who.sub {
            Some(sub) => sub.clone(),
            None => subject_of(email).to_string(),
        };
        let claims = Claims {
            sub: &sub,
            iss: &self.url,
            aud: AUDIENCE,
            email,
            email_verified: who.email_verified,
            name: who.full_name.as_deref(),
            token_use: "id",
            iat: now.as_second(),
            exp: (now + LIFETIME_HOURS.hours()).as_second(),
        };
        Ok(Token {
            token: self.sign(&merged(&claims, &who.claims)?)?,
            sub,
        })
    }

    /// A token with these claims. Put together by hand: jsonwebtoken reads private keys in another
    /// form than the one in which aws-lc-rs hands them out.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String> {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
        let signed = format!("{header}.{payload}");
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .context("can't sign a token")?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The same for the same address after every start, so that what a user has made in a database that
/// is kept stays theirs.
fn subject_of(email: &str) -> Uuid {
    let hash = digest(&SHA256, email.to_lowercase().as_bytes());
    let bytes = hash
        .as_ref()
        .first_chunk()
        .expect("SHA-256 has 32 bytes, a UUID 16");
    uuid::Builder::from_custom_bytes(*bytes).into_uuid()
}

impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Issuer")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(email: &str) -> SignIn {
        SignIn {
            email: email.into(),
            email_verified: true,
            full_name: None,
            sub: None,
            claims: Map::new(),
        }
    }

    #[test]
    fn the_same_address_in_any_case_is_the_same_user_with_every_issuer() {
        let now = Timestamp::now();
        let first = Issuer::new("http://a".into()).unwrap();
        let second = Issuer::new("http://b".into()).unwrap();
        let id = first.sign_in(&who("Ann@Example.com"), now).unwrap().sub;
        assert_eq!(
            second.sign_in(&who(" ann@example.COM "), now).unwrap().sub,
            id
        );
        assert_ne!(
            second.sign_in(&who("bob@example.com"), now).unwrap().sub,
            id
        );
        assert_eq!(id.parse::<Uuid>().unwrap().get_version_num(), 8);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let issuer = Issuer::new("http://a".into()).unwrap();
        for email in ["", "ann", "a b@example.com", "a@b\u{0}"] {
            let error = issuer.sign_in(&who(email), Timestamp::now()).unwrap_err();
            assert!(error.to_string().contains("is not an address"), "{error}");
        }
    }
}
