//! Prints the HTML of an invitation, to look at it in a browser: `cargo run -p shared --example
//! invitation it > it.html`.

use shared::{
    domain::AthleteCode,
    invitations::{AppUrl, Message, mail},
};
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |position: usize, otherwise: &str| {
        std::env::args()
            .nth(position)
            .unwrap_or_else(|| otherwise.to_owned())
    };
    let invitation = Message {
        to: "ada@example.org".to_owned(),
        business: argument(2, "Iron Temple"),
        reply_to: Some("owner@iron.example".to_owned()),
        full_name: Some(argument(3, "Ada Lovelace")),
        locale: argument(1, "en")
            .parse()
            .map_err(|error| format!("{error}"))?,
        athlete_code: AthleteCode::from_entropy(0x0123_4567_89AB),
        is_shared: false,
        last_day: "2026-12-22".parse()?,
    };
    let app_url: AppUrl = "https://app.gymbrah.example".parse()?;
    let html = mail::html(&invitation, &app_url)?;
    std::io::stdout().write_all(html.as_bytes())?;
    Ok(())
}
