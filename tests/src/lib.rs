//! What the tests have in common: an application on a database of its own, and the contract that
//! every answer is held to.

pub mod contract;
mod functions;
mod gym;
mod log;
mod lossy;
pub mod routes;
mod services;
mod story;
mod wiretap;

pub use functions::invoke;
pub use gym::{Gym, Ids};
pub use log::{Log, overhear};
pub use lossy::Lossy;
pub use services::{Shared, run, shared};
pub use story::{APP_URL, Person, Response, TestApp, id, story};
pub use wiretap::{Overheard, Verbatim, Wiretap};
