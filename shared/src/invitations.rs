//! The texts of an invitation, and sending it by mail or by text message.

pub mod delivery;
pub mod mail;
mod message;
pub mod sms;

pub use message::{AppUrl, Language, Message, SendError};
