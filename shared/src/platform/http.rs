//! From an API Gateway event to checked input, and from a value to a response.

mod body;
mod fields;
mod idempotency;
mod page;
mod query;
mod request;
mod response;

pub use body::{MAX_BODY, body, bytes, json_object, media_type};
pub use fields::{Edit, Fields, Noted};
pub use idempotency::idempotency_key;
pub use page::{List, Page, Position};
pub use query::{Query, no_query, page};
pub use request::{Request, path_id, route, unknown_route};
pub use response::Response;
