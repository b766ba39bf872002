//! The event for a function: payload format 2.0, as AWS documents it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, USER_AGENT};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::routes::Match;

/// The 12 digits of AWS's own examples: no account.
const ACCOUNT_ID: &str = "123456789012";

/// The identifier of the API, which on AWS is random.
const API_ID: &str = "local";

/// Makes the event for a request. `claims` are those of the caller's token, on routes that need
/// one.
#[must_use]
pub fn event(
    found: &Match<'_>,
    request: &Parts,
    body: &[u8],
    source: IpAddr,
    claims: Option<Map<String, Value>>,
    now: Timestamp,
) -> Value {
    let header = |name| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let path = percent_decode_str(request.uri.path()).decode_utf8_lossy();
    let query = request.uri.query().unwrap_or_default();
    let route_key = format!("{} {}", found.route.method, found.route.path);
    let host = header(HOST);

    let mut context = json!({
        "accountId": ACCOUNT_ID,
        "apiId": API_ID,
        "domainName": host,
        "domainPrefix": host.split('.').next(),
        "http": {
            "method": request.method.as_str(),
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": source,
            "userAgent": header(USER_AGENT),
        },
        "requestId": uuid::Uuid::now_v7().simple().to_string(),
        "routeKey": route_key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "timeEpoch": now.as_millisecond(),
    });
    if let Some(claims) = claims {
        context["authorizer"] = json!({ "jwt": { "claims": as_strings(claims), "scopes": null } });
    }

    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers(&request.headers, host, source),
        "requestContext": context,
        "isBase64Encoded": false,
    });
    let cookies = cookies(&request.headers);
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query_parameters(query));
    }
    if !found.parameters.is_empty() {
        event["pathParameters"] = json!(found.parameters);
    }
    if !body.is_empty() {
        if let Some(text) = text(header(CONTENT_TYPE), body) {
            event["body"] = text.into();
        } else {
            event["body"] = STANDARD.encode(body).into();
            event["isBase64Encoded"] = true.into();
        }
    }
    event
}

/// The headers, their names in lower case; those that came several times joined by commas, cookies
/// left out.
fn headers(given: &HeaderMap, host: &str, source: IpAddr) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in given.iter().filter(|(name, _)| **name != COOKIE) {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    headers.insert("x-forwarded-for".to_owned(), source.to_string());
    headers.insert("x-forwarded-port".to_owned(), port.to_owned());
    headers.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    headers
}

/// The cookies of all cookie headers, one by one.
fn cookies(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .split(';')
                .map(|cookie| cookie.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

/// The decoded parameters of the query string; those that came several times joined by commas.
fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    parameters
}

/// The body as text, if its type is one that API Gateway hands on as text and it is.
fn text<'a>(content_type: &str, body: &'a [u8]) -> Option<&'a str> {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_text = essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || [
            "application/json",
            "application/javascript",
            "application/xml",
        ]
        .contains(&essence.as_str());
    if is_text {
        str::from_utf8(body).ok()
    } else {
        None
    }
}

/// Claims as the JWT authorizer hands them on: every one is a string, whatever it is in the token.
fn as_strings(claims: Map<String, Value>) -> Map<String, Value> {
    claims
        .into_iter()
        .map(|(name, value)| (name, Value::String(as_string(&value))))
        .collect()
}

fn as_string(claim: &Value) -> String {
    match claim {
        Value::String(text) => text.clone(),
        Value::Array(values) => format!(
            "[{}]",
            values.iter().map(as_string).collect::<Vec<_>>().join(" ")
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::Request;

    use super::*;
    use crate::template::Route;

    fn build(request: Request<&[u8]>, parameters: &[(&str, &str)], claims: Option<Value>) -> Value {
        let route = Route {
            method: request.method().to_string(),
            path: "/businesses/{business_id}/athletes".into(),
            function: "register-athlete".into(),
            needs_token: claims.is_some(),
        };
        let parameters = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let claims = claims.map(|claims| serde_json::from_value(claims).unwrap());
        let now = "2026-11-22T09:40:05.123Z".parse().unwrap();
        let (parts, body) = request.into_parts();
        event(
            &Match {
                route: &route,
                parameters,
            },
            &parts,
            body,
            Ipv4Addr::LOCALHOST.into(),
            claims,
            now,
        )
    }

    fn post(content_type: &str, body: &'static [u8]) -> Value {
        build(
            Request::post("/x")
                .header("content-type", content_type)
                .body(body)
                .unwrap(),
            &[],
            None,
        )
    }

    #[test]
    fn the_event_has_the_documented_form() {
        let request = Request::post("/businesses/a%20b/athletes?limit=5&tag=x&tag=y%20z")
            .header("Host", "127.0.0.1:3000")
            .header("User-Agent", "curl/8")
            .header("Content-Type", "application/json")
            .header("X-Twice", "1")
            .header("X-Twice", "2")
            .header("Cookie", "a=1; b=2")
            .header("Cookie", "c=3")
            .body(br#"{"email":"x"}"#.as_slice())
            .unwrap();
        let mut event = build(
            request,
            &[("business_id", "a b")],
            Some(json!({"sub": "u"})),
        );

        let request_id = event["requestContext"]["requestId"].take();
        assert_eq!(request_id.as_str().map(str::len), Some(32));
        assert_eq!(
            event,
            json!({
                "version": "2.0",
                "routeKey": "POST /businesses/{business_id}/athletes",
                "rawPath": "/businesses/a b/athletes",
                "rawQueryString": "limit=5&tag=x&tag=y%20z",
                "cookies": ["a=1", "b=2", "c=3"],
                "headers": {
                    "content-type": "application/json",
                    "host": "127.0.0.1:3000",
                    "user-agent": "curl/8",
                    "x-forwarded-for": "127.0.0.1",
                    "x-forwarded-port": "3000",
                    "x-forwarded-proto": "http",
                    "x-twice": "1,2",
                },
                "queryStringParameters": {"limit": "5", "tag": "x,y z"},
                "pathParameters": {"business_id": "a b"},
                "requestContext": {
                    "accountId": "123456789012",
                    "apiId": "local",
                    "authorizer": {"jwt": {"claims": {"sub": "u"}, "scopes": null}},
                    "domainName": "127.0.0.1:3000",
                    "domainPrefix": "127",
                    "http": {
                        "method": "POST",
                        "path": "/businesses/a b/athletes",
                        "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1",
                        "userAgent": "curl/8",
                    },
                    "requestId": null,
                    "routeKey": "POST /businesses/{business_id}/athletes",
                    "stage": "$default",
                    "time": "22/Nov/2026:09:40:05 +0000",
                    "timeEpoch": 1_795_340_405_123_i64,
                },
                "body": "{\"email\":\"x\"}",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn every_claim_is_a_string() {
        let claims = json!({
            "email_verified": true, "iat": 1_795_340_405, "ratio": 1.5, "groups": ["a", 2, true], "nothing": null, "o": {"a": 1},
        });
        let event = build(Request::get("/x").body(&[][..]).unwrap(), &[], Some(claims));
        assert_eq!(
            event["requestContext"]["authorizer"]["jwt"]["claims"],
            json!({
                "email_verified": "true", "iat": "1795340405", "ratio": "1.5", "groups": "[a 2 true]", "nothing": "null",
                "o": "{\"a\":1}",
            })
        );
    }

    #[test]
    fn an_open_route_has_no_authorizer() {
        let event = build(Request::get("/x").body(&[][..]).unwrap(), &[], None);
        assert_eq!(event["requestContext"].get("authorizer"), None);
        for absent in ["body", "cookies", "queryStringParameters", "pathParameters"] {
            assert_eq!(event.get(absent), None, "{absent}");
        }
    }

    #[test]
    fn text_goes_as_text_and_the_rest_in_base_64() {
        let json = post("Application/JSON; charset=utf-8", b"{}");
        assert_eq!(
            (&json["body"], &json["isBase64Encoded"]),
            (&json!("{}"), &json!(false))
        );

        for (content_type, body) in [
            ("text/csv", &b"\xff"[..]),
            ("application/octet-stream", b"{}"),
            ("", b"{}"),
        ] {
            let event = post(content_type, body);
            assert_eq!(event["isBase64Encoded"], true, "{content_type}");
            assert_eq!(
                STANDARD.decode(event["body"].as_str().unwrap()).unwrap(),
                body
            );
        }
    }
}
