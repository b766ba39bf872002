//! The walk: once through the main job, from a gym that is opened to a workout that is assigned,
//! shown step by step.

mod brief;
mod client;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use client::{Client, User, get, patch, post, post_csv};

/// A gym and who owns it.
struct Gym {
    owner: User,
    id: String,
}

/// Walks through the main job at `base_url`, printing each step to standard output. Ends at the
/// first step that fails; the error says what was expected.
pub async fn walk(base_url: &str) -> Result<()> {
    let mut client = Client::new(base_url)?;
    let gym = open_gym(&mut client).await?;
    let nico = join_by_email(&mut client, &gym).await?;
    let carla = join_by_code(&mut client, &gym).await?;
    import_spreadsheet(&mut client, &gym).await?;
    let workout = assign_workout(&mut client, &gym, &[nico, carla]).await?;
    follow_workout(&mut client, &workout).await?;
    join_waitlist(&mut client).await
}

async fn open_gym(client: &mut Client) -> Result<Gym> {
    client.step("Olivia, who owns a gym, signs in.");
    let owner = client
        .sign_in("olivia@irontemple.example", "Olivia Ferrari")
        .await?;

    client.step("She opens her gym.");
    let gym = client
        .send(
            post("/businesses", json!({"name": "Iron Temple"}))
                .by(&owner)
                .expect(201),
        )
        .await?;
    Ok(Gym {
        owner,
        id: text(&gym, "/id")?,
    })
}

/// Gives the athlete's id.
async fn join_by_email(client: &mut Client, gym: &Gym) -> Result<String> {
    client.step("She registers Nico, who is invited by mail.");
    let athlete = register(client, gym, "nico@example.com", "Nico Conti").await?;

    client.step("The mail is in Nico's inbox.");
    let mail = client.mail_to("nico@example.com").await?;
    let code = text(&athlete, "/athlete_code")?;
    let line = mail.text.lines().map(str::trim).find(|line| *line == code);
    client.show(&format!("Subject: {}", mail.subject.unwrap_or_default()));
    client.show(line.unwrap_or_default());
    client.check(
        "the mail has the athlete's code on a line of its own",
        line.is_some(),
    )?;

    client.step("Nico signs up with the address that was invited: that is enough to link him.");
    let nico = client.sign_in("Nico@Example.com", "Nico Conti").await?;
    let linked = client
        .send(post("/signup-link", json!({})).by(&nico))
        .await?;
    client.check("he is linked by his email", is_linked_by(&linked, "email"))?;
    text(&athlete, "/id")
}

/// Gives the athlete's id.
async fn join_by_code(client: &mut Client, gym: &Gym) -> Result<String> {
    client.step("Olivia registers Carla, and mistypes her address.");
    let athlete = register(client, gym, "karla@office.example", "Carla Riva").await?;
    let id = text(&athlete, "/id")?;

    client.step("She corrects it: Carla is invited again, and the first code is dead.");
    let invitation = format!("/businesses/{}/athletes/{id}/invitation", gym.id);
    let address = json!({"email": "carla@office.example"});
    let corrected = client
        .send(post(&invitation, address).by(&gym.owner).expect(202))
        .await?;
    let (dead, code) = (
        text(&athlete, "/athlete_code")?,
        text(&corrected, "/athlete_code")?,
    );
    client.check("there is a new code", code != dead)?;

    client.step("Whoever got the first mail can't use it.");
    let karla = client.sign_in("karla@office.example", "Karla").await?;
    let claim = json!({"athlete_code": dead});
    client
        .send(post("/signup-link", claim).by(&karla).expect(422))
        .await?;

    client.step("Carla signs up with another address: she is asked for the code from the mail.");
    let carla = client.sign_in("carla@home.example", "Carla Riva").await?;
    let asked = client
        .send(post("/signup-link", json!({})).by(&carla))
        .await?;
    client.check("the code is asked for", asked["status"] == "code_required")?;

    client.step("She types it, in small letters.");
    let typed = json!({"athlete_code": code.to_lowercase()});
    let linked = client.send(post("/signup-link", typed).by(&carla)).await?;
    client.check("she is linked by the code", is_linked_by(&linked, "code"))?;
    Ok(id)
}

async fn import_spreadsheet(client: &mut Client, gym: &Gym) -> Result<()> {
    client.step("Olivia imports her spreadsheet, in which Nico is once more.");
    let table = "Full_Name;Email\nNico Conti;nico@example.com\nElsa Greco;elsa@example.com\nFabio Neri;fabio@example.com\n";
    let import = format!("/businesses/{}/athletes/import", gym.id);
    let imported = client.send(post_csv(&import, table).by(&gym.owner)).await?;
    let items = imported["items"].as_array().into_iter().flatten();
    let outcomes: Vec<_> = items.map(|item| &item["outcome"]).collect();
    client.check(
        "the other two are new",
        outcomes == ["already_registered", "created", "created"],
    )
}

/// Gives the workout's id.
async fn assign_workout(client: &mut Client, gym: &Gym, athletes: &[String]) -> Result<String> {
    client.step("Olivia writes a workout.");
    let workout = client
        .send(
            post("/workouts", json!({"name": "Push day"}))
                .by(&gym.owner)
                .expect(201),
        )
        .await?;
    let id = text(&workout, "/id")?;
    let assignments = format!("/workouts/{id}/assignments");

    client.step("She assigns it to both.");
    let both = json!({"business_id": gym.id, "athlete_ids": athletes});
    let assigned = client.send(post(&assignments, both).by(&gym.owner)).await?;
    client.check(
        "both have it now",
        has_length(&assigned["assigned"], athletes.len()),
    )?;

    client.step("She looks who has it.");
    let followers = client.send(get(&assignments).by(&gym.owner)).await?;
    client.check(
        "both are there",
        has_length(&followers["items"], athletes.len()),
    )?;
    Ok(id)
}

async fn follow_workout(client: &mut Client, workout: &str) -> Result<()> {
    client.step("Nico finds it among his workouts, and does it.");
    let nico = client.sign_in("nico@example.com", "Nico Conti").await?;
    let mine = client.send(get("/me/workouts").by(&nico)).await?;
    client.check("it is there", mine["items"][0]["workout_id"] == workout)?;
    let done = json!({"selected": true, "completed": true});
    let changed = client
        .send(patch(&format!("/me/workouts/{workout}"), done).by(&nico))
        .await?;
    client.check(
        "it is completed",
        changed["items"][0]["completed_at"].is_string(),
    )
}

async fn join_waitlist(client: &mut Client) -> Result<()> {
    client.step("Dario, whom nobody has invited, joins the waitlist.");
    client
        .send(post("/waitlist", json!({"email": "dario@example.com"})).expect(202))
        .await?;
    Ok(())
}

async fn register(client: &Client, gym: &Gym, email: &str, full_name: &str) -> Result<Value> {
    let athlete = json!({"email": email, "full_name": full_name});
    client
        .send(
            post(&format!("/businesses/{}/athletes", gym.id), athlete)
                .by(&gym.owner)
                .expect(201),
        )
        .await
}

fn is_linked_by(answer: &Value, via: &str) -> bool {
    answer["status"] == "linked" && answer["linked"][0]["via"] == via
}

fn has_length(list: &Value, length: usize) -> bool {
    list.as_array().is_some_and(|items| items.len() == length)
}

/// A text that the contract promises in an answer.
fn text(answer: &Value, pointer: &str) -> Result<String> {
    let text = answer.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned)
        .with_context(|| format!("the answer has no text at {pointer}: {answer}"))
}
