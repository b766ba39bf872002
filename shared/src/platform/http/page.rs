use crate::platform::db::{Parameter, Type};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

const DEFAULT_LIMIT: i64 = 50;
pub(super) const MAX_LIMIT: i64 = 200;

/// The position of an item in a list that runs from the newest to the oldest. The next page holds
/// the items after it in this order, so that pages neither repeat nor skip an item when others are
/// added meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub created_at: Timestamp,
    /// The item's id, which decides the order of two items of the same moment.
    pub id: Uuid,
}

impl Position {
    /// The position before every item.
    const START: Self = Self {
        created_at: Timestamp::MAX,
        id: Uuid::max(),
    };

    /// The opaque text for this position in a list: microseconds since 1970 (PostgreSQL's
    /// precision), the id, and a checksum. The checksum needs no secret: a cursor never decides
    /// whose rows are read.
    fn cursor(self, list: &str) -> String {
        let mut bytes = [0; POSITION + CHECK];
        bytes[..8].copy_from_slice(&self.created_at.as_microsecond().to_be_bytes());
        bytes[8..POSITION].copy_from_slice(self.id.as_bytes());
        let check = check(list, &bytes[..POSITION]);
        bytes[POSITION..].copy_from_slice(&check);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn from_cursor(cursor: &str, list: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (position, found) = bytes.split_at_checked(POSITION)?;
        let (microseconds, id) = position.split_first_chunk()?;
        let microseconds = i64::from_be_bytes(*microseconds);
        // No item is older than 1970, and a made-up cursor could name a time too old for
        // PostgreSQL.
        if microseconds < 0 || found != check(list, position) {
            return None;
        }
        Some(Self {
            created_at: Timestamp::from_microsecond(microseconds).ok()?,
            id: Uuid::from_slice(id).ok()?,
        })
    }
}

/// The bytes of a position, and of its checksum.
const POSITION: usize = 24;
const CHECK: usize = 4;

/// The checksum of a position in a list, by FNV-1a (RFC 9923). It reveals a cursor that was
/// changed, or belongs to another list.
fn check(list: &str, position: &[u8]) -> [u8; CHECK] {
    let bytes = list.bytes().chain(position.iter().copied());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash.to_be_bytes()
}

/// The part of a list that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    list: String,
    after: Position,
    /// The number of rows to read: one more than are shown, which tells whether there is a next
    /// page.
    rows: i64,
}

impl Page {
    pub(super) fn new(list: String, limit: i64, after: Position) -> Self {
        Self {
            list,
            after,
            rows: limit + 1,
        }
    }

    /// The number of items that a text asks for; none where it is no number that is allowed.
    pub(super) fn limit(text: Option<&str>) -> Option<i64> {
        let Some(text) = text else {
            return Some(DEFAULT_LIMIT);
        };
        let number = text.parse().ok().filter(|_| !text.starts_with('+'));
        number.filter(|number| (1..=MAX_LIMIT).contains(number))
    }

    /// The position in this list that a cursor stands for; none where it is no cursor of it.
    pub(super) fn after(cursor: Option<&str>, list: &str) -> Option<Position> {
        cursor.map_or(Some(Position::START), |cursor| {
            Position::from_cursor(cursor, list)
        })
    }

    /// The parameters of a statement that reads the page: where it starts (time and id), and how
    /// many rows to read.
    #[must_use]
    pub fn parameters(&self) -> [Parameter<'_>; 3] {
        [
            (&self.after.created_at, Type::TIMESTAMPTZ),
            (&self.after.id, Type::UUID),
            (&self.rows, Type::INT8),
        ]
    }
}

/// One page of a list.
#[derive(Debug, Serialize)]
pub struct List<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

impl<T> List<T> {
    /// The items and the next cursor of `page`, from the rows that its parameters asked for.
    pub fn new(page: &Page, mut items: Vec<T>, position: impl Fn(&T) -> Position) -> Self {
        let limit = usize::try_from(page.rows - 1).expect("a limit is 1 to 200");
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items
            .last()
            .filter(|_| more)
            .map(|last| position(last).cursor(&page.list));
        Self { items, next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{
        http::{Response, page},
        problem::Problem,
    };
    use serde_json::json;

    fn with_query(query: &serde_json::Value) -> Result<Page, Problem> {
        let event = json!({"requestContext": {"routeKey": "GET /list", "http": {"method": "GET"}}, "queryStringParameters": query});
        page(&serde_json::from_value(event).expect("an event"))
    }

    fn some_position() -> Position {
        Position {
            created_at: Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
            id: Uuid::from_u128(7),
        }
    }

    #[test]
    fn cursor_leads_back_to_its_position() {
        let read =
            with_query(&json!({"cursor": some_position().cursor("GET /list"), "limit": "200"}))
                .unwrap();
        assert_eq!(
            read,
            Page {
                list: "GET /list".to_owned(),
                after: some_position(),
                rows: 201
            }
        );
        assert_eq!(
            with_query(&json!({})).unwrap(),
            Page {
                list: "GET /list".to_owned(),
                after: Position::START,
                rows: DEFAULT_LIMIT + 1
            }
        );
    }

    #[test]
    fn bad_limit_or_cursor_is_refused() {
        let whole = some_position().cursor("GET /list");
        for wrong in [
            json!({"limit": "0"}),
            json!({"limit": "201"}),
            json!({"limit": "ten"}),
            json!({"limit": ""}),
            json!({"cursor": "x"}),
            json!({"cursor": &whole[1..]}),
            json!({"cursor": format!("{whole}AAAA")}),
            json!({"cursor": format!("f{}", "_".repeat(31))}),
            json!({"cursor": "_".repeat(32)}),
            json!({"limit": "+1"}),
        ] {
            assert!(with_query(&wrong).is_err(), "{wrong}");
        }
        let both = with_query(&json!({"limit": "x", "cursor": "x"})).unwrap_err();
        let both = Response::problem(&both, "id").json();
        assert_eq!(both["errors"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn changed_cursor_is_refused() {
        let whole = some_position().cursor("GET /list");
        for position in 0..whole.len() {
            for other in ["A", "b", "-", "7"] {
                let mut changed = whole.clone();
                changed.replace_range(position..=position, other);
                assert_eq!(
                    with_query(&json!({"cursor": changed})).is_ok(),
                    changed == whole,
                    "{changed}"
                );
            }
        }
        let of_another_list = some_position().cursor("GET /another");
        assert!(with_query(&json!({"cursor": of_another_list})).is_err());
    }

    #[test]
    fn only_a_list_with_more_items_has_a_next_cursor() {
        let page = Page {
            list: "GET /list".to_owned(),
            after: Position::START,
            rows: 3,
        };
        let list = |n: usize| List::new(&page, vec![(); n], |()| some_position());
        assert_eq!((list(2).items.len(), list(2).next_cursor), (2, None));
        assert_eq!(
            (list(3).items.len(), list(3).next_cursor),
            (2, Some(some_position().cursor("GET /list")))
        );
    }
}
