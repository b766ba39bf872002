//! An invitation as mail and as text message, whatever the gym and the athlete are called.

#![no_main]

use arbitrary::Arbitrary;
use gsm7::Gsm7Writer;
use jiff::{Span, civil::date};
use libfuzzer_sys::fuzz_target;
use mail_parser::MessageParser;
use shared::{
    domain::{AthleteCode, Email, Name},
    invitations::{Message, mail::MailConfig, sms},
};
use std::sync::LazyLock;

#[derive(Arbitrary, Debug)]
struct Words<'a> {
    business: &'a str,
    full_name: Option<&'a str>,
    owner: Option<&'a str>,
    is_italian: bool,
    entropy: u64,
    is_shared: bool,
    last_day: u16,
}

static MAIL: LazyLock<MailConfig> = LazyLock::new(|| MailConfig {
    from: "GymBrah <invitations@gymbrah.example>"
        .parse()
        .expect("a sender"),
    configuration_set: None,
    app_url: "https://app.gymbrah.example".parse().expect("an address"),
});

fuzz_target!(|words: Words<'_>| {
    let owner = words.owner.and_then(|owner| owner.parse::<Email>().ok());
    let invitation = Message {
        to: "ada@example.org".to_owned(),
        business: words.business.to_owned(),
        reply_to: owner.map(|owner| owner.as_str().to_owned()),
        full_name: words.full_name.map(str::to_owned),
        locale: if words.is_italian { "it" } else { "en" }
            .parse()
            .expect("a locale"),
        athlete_code: AthleteCode::from_entropy(words.entropy),
        is_shared: words.is_shared,
        last_day: date(1970, 1, 1) + Span::new().days(words.last_day),
    };
    mail(&invitation);
    text_message(&invitation);
});

fn mail(invitation: &Message) {
    let mail = MAIL.mail(invitation).expect("a mail is written");
    for line in mail.split_inclusive(|&byte| byte == b'\n') {
        // RFC 5322, section 2.1.1 and 2.3: at most 998 characters, and CR and LF only together.
        let content = line
            .strip_suffix(b"\r\n")
            .expect("a line ends with CR and LF");
        assert!(
            content.len() <= 998 && !content.contains(&b'\r'),
            "{content:?}"
        );
    }

    let read = MessageParser::default()
        .parse(&mail)
        .expect("a mail is read");
    let mut headers: Vec<&str> = read
        .headers()
        .iter()
        .map(mail_parser::Header::name)
        .collect();
    headers.sort_unstable();
    let mut expected = vec![
        "Content-Type",
        "Date",
        "From",
        "MIME-Version",
        "Message-ID",
        "Subject",
        "To",
    ];
    expected.extend(invitation.reply_to.as_ref().map(|_| "Reply-To"));
    expected.sort_unstable();
    assert_eq!(headers, expected);
    assert_eq!(
        (
            read.text_body_count(),
            read.html_body_count(),
            read.attachment_count()
        ),
        (1, 1, 0)
    );
    let first =
        |address: Option<&mail_parser::Address<'_>>| Some(address?.first()?.address()?.to_owned());
    assert_eq!(first(read.to()).as_ref(), Some(&invitation.to));
    assert_eq!(first(read.reply_to()), invitation.reply_to);

    let text = read.body_text(0).expect("a text");
    let html = read.body_html(0).expect("HTML");
    let code = invitation.athlete_code.to_string();
    let link = format!("https://app.gymbrah.example/join?code={code}");
    for said in [&code, &link] {
        assert!(
            text.contains(said) && html.contains(said),
            "{said} is missing in {text}"
        );
    }
    // Names are stored only as these; anything else could not be told from the words around it.
    let is_name = |name: &str| {
        name.parse::<Name>()
            .is_ok_and(|checked| checked.as_str() == name)
    };
    if is_name(&invitation.business) {
        assert!(text.contains(&invitation.business), "{text}");
        let subject = read.subject().expect("a subject");
        assert!(
            subject.contains(&invitation.business),
            "{subject:?} lacks {:?}",
            invitation.business
        );
    }
    assert_eq!(
        tags(&html),
        tags(&html_of_plain_names(invitation)),
        "{html}"
    );
}

/// What is markup in HTML: neither name brings any.
fn tags(html: &str) -> usize {
    html.matches(['<', '>', '"']).count()
}

fn html_of_plain_names(invitation: &Message) -> String {
    let invitation = Message {
        business: "Iron Temple".to_owned(),
        full_name: invitation.full_name.as_ref().map(|_| "Ada".to_owned()),
        ..invitation.clone()
    };
    shared::invitations::mail::html(&invitation, &MAIL.app_url).expect("HTML is written")
}

/// One message holds 160 septets, which are 140 octets (3GPP TS 23.040, section 9.2.3.16).
fn text_message(invitation: &Message) {
    let message = sms::message(invitation, &MAIL.app_url);
    let mut writer = Gsm7Writer::new(Vec::new());
    writer
        .write_str(&message)
        .expect("every character is in the alphabet");
    let octets = writer.into_writer().expect("all of it is written");
    assert!(octets.len() <= 140, "{message}");
    let code = invitation.athlete_code.to_string();
    assert!(
        message.ends_with(&format!("/join?code={code}")) && message.lines().count() == 1,
        "{message}"
    );
}
