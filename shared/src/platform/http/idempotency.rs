use super::request::{Request, plain_uuid, route};
use crate::{
    domain::ErrorCode,
    platform::{
        auth::Caller,
        problem::{FieldError, Problem},
    },
};
use aws_lc_rs::digest::{Context, SHA256};
use uuid::{Builder, Uuid};

/// The header by which a client says that a request is an earlier one, sent again.
const HEADER: &str = "idempotency-key";

/// The id of what a request creates. With the header `Idempotency-Key`, which is a UUID that the
/// client has drawn, it is the same for every request with this key by this caller to this path:
/// the insert of a repeat meets the row of the first. Without the header it is a new one.
///
/// It is a UUID of version 8 (RFC 9562), made of a hash: nobody else's key leads to it.
pub fn idempotency_key(request: &Request, caller: &Caller) -> Result<Uuid, Problem> {
    let Some(value) = request.headers.get(HEADER) else {
        return Ok(Uuid::now_v7());
    };
    let key = value.to_str().ok().and_then(plain_uuid).ok_or_else(|| {
        Problem::invalid_input(vec![FieldError::of_header(
            "Idempotency-Key",
            ErrorCode::IdInvalid,
            "must be a UUID",
        )])
    })?;

    let mut ids: Vec<_> = request.path_parameters.iter().collect();
    ids.sort();
    let mut hash = Context::new(&SHA256);
    for part in [route(request), caller.subject.as_str()] {
        hash.update(part.as_bytes());
        hash.update(&[0]); // No part has it in it: the parts can't be told apart otherwise.
    }
    for (_, id) in ids {
        hash.update(id.to_ascii_lowercase().as_bytes());
        hash.update(&[0]);
    }
    hash.update(key.as_bytes());
    let hash = hash.finish();
    let bytes = hash.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    Ok(Builder::from_custom_bytes(*bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{auth, http::Response};
    use serde_json::json;

    const KEY: &str = "0b2ed26b-9a5c-4d0e-8d4f-4f1b0a5d9a11";

    fn id_of(route: &str, sub: &str, id: &str, key: Option<&str>) -> Result<Uuid, Problem> {
        let mut event = json!({
            "version": "2.0",
            "routeKey": route,
            "pathParameters": {"workout_id": id},
            "requestContext": {
                "routeKey": route,
                "http": {"method": "POST"},
                "authorizer": {"jwt": {"claims": {"sub": sub}, "scopes": null}},
            },
        });
        if let Some(key) = key {
            event["headers"] = json!({"Idempotency-Key": key});
        }
        let request: Request = serde_json::from_value(event).expect("an event");
        let caller = auth::caller(&request).expect("a caller");
        idempotency_key(&request, &caller)
    }

    #[test]
    fn the_same_key_of_the_same_caller_on_the_same_path_is_the_same_id() {
        let first = id_of("POST /a", "ada", "x", Some(KEY)).unwrap();
        assert_eq!(first.get_version_num(), 8);
        let again = id_of("POST /a", "ada", "X", Some(&KEY.to_uppercase()));
        assert_eq!(again.unwrap(), first);

        let other = "1b2ed26b-9a5c-4d0e-8d4f-4f1b0a5d9a11";
        for (route, sub, id, key) in [
            ("POST /b", "ada", "x", Some(KEY)),
            ("POST /a", "bob", "x", Some(KEY)),
            ("POST /a", "ada", "y", Some(KEY)),
            ("POST /a", "ada", "x", Some(other)),
            ("POST /a", "ada", "x", None),
        ] {
            assert_ne!(
                id_of(route, sub, id, key).unwrap(),
                first,
                "{route} {sub} {id}"
            );
        }
    }

    #[test]
    fn without_a_key_each_request_has_an_id_of_its_own() {
        let id = || id_of("POST /a", "ada", "x", None).unwrap();
        assert_ne!(id(), id());
    }

    #[test]
    fn a_malformed_key_is_named_by_its_header() {
        for wrong in [
            "",
            "7",
            "0b2ed26b9a5c4d0e8d4f4f1b0a5d9a11",
            &format!("{KEY},{KEY}"),
        ] {
            let problem = id_of("POST /a", "ada", "x", Some(wrong)).unwrap_err();
            assert_eq!(
                Response::problem(&problem, "id").json()["errors"],
                json!([{"header": "Idempotency-Key", "code": "id_invalid", "detail": "must be a UUID"}]),
            );
        }
    }
}
