//! What an invitation says, and how it is sent: by mail or by text message.

pub mod delivery;
pub mod mail;
mod message;
pub mod sms;

pub use message::{AppUrl, Language, Message, SendError};
