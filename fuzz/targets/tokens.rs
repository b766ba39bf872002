//! What clients are given and bring back: codes and cursors. Whatever they stand for, they are read
//! as what they were, and one that was changed on the way is not read at all.

#![no_main]

use arbitrary::Arbitrary;
use bytes::BytesMut;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use shared::{
    domain::AthleteCode,
    platform::{
        db::{Parameter, Type},
        http::{List, Page, Position, Request, page},
    },
};
use uuid::Uuid;

#[derive(Arbitrary, Debug)]
struct Tokens<'a> {
    entropy: u64,
    microseconds: u64,
    id: u128,
    path: &'a str,
    /// Where a token is changed, and to which character.
    change: (usize, u8),
}

fuzz_target!(|tokens: Tokens<'_>| {
    code(&tokens);
    cursor(&tokens);
});

fn code(tokens: &Tokens<'_>) {
    let code = AthleteCode::from_entropy(tokens.entropy);
    let shown = code.to_string();
    assert_eq!(shown.parse(), Ok(code.clone()));
    assert_eq!(
        shown.to_lowercase().replace('-', " ").parse(),
        Ok(code.clone())
    );
    if let Ok(read) = changed(&shown, tokens.change).parse::<AthleteCode>() {
        assert_eq!(read, code, "one wrong character went unnoticed");
    }
}

fn cursor(tokens: &Tokens<'_>) {
    let number_of_times = Timestamp::MAX.as_microsecond().unsigned_abs();
    let microseconds = i64::try_from(tokens.microseconds % number_of_times).expect("a time");
    let position = Position {
        created_at: Timestamp::from_microsecond(microseconds).expect("a time"),
        id: Uuid::from_u128(tokens.id),
    };
    let first = asked(tokens.path, None).expect("the first page");
    let list = List::new(&first, vec![(); 51], |()| position);
    let list = serde_json::to_value(list).expect("a list is JSON");
    let cursor = list["next_cursor"].as_str().expect("there is a next page");

    let next = asked(tokens.path, Some(cursor)).expect("a cursor is read");
    let [created_at, id, _] = next.parameters();
    let given: [Parameter<'_>; 2] = [
        (&position.created_at, Type::TIMESTAMPTZ),
        (&position.id, Type::UUID),
    ];
    assert_eq!(sent(&[created_at, id]), sent(&given));

    let changed = changed(cursor, tokens.change);
    let is_read = asked(tokens.path, Some(&changed)).is_some();
    assert_eq!(is_read, changed == cursor, "{changed}");
}

/// The page of the list at this path that a request asks for.
fn asked(path: &str, cursor: Option<&str>) -> Option<Page> {
    let query = cursor.map_or(json!({}), |cursor| json!({"cursor": cursor}));
    let event = json!({
        "rawPath": path,
        "requestContext": {"http": {"method": "GET"}},
        "queryStringParameters": query,
    });
    let request: Request = serde_json::from_value(event).expect("an event");
    page(&request).ok()
}

/// What goes to the database.
fn sent(parameters: &[Parameter<'_>]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for (value, kind) in parameters {
        value
            .to_sql_checked(kind, &mut bytes)
            .expect("it is of this kind");
    }
    bytes
}

/// The token with another character in one place, or the same one.
fn changed(token: &str, (position, character): (usize, u8)) -> String {
    let position = position % token.len();
    let mut changed = token.to_owned();
    changed.replace_range(
        position..=position,
        &char::from(character % 128).to_string(),
    );
    changed
}
