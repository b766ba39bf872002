use crate::system::{Response, System, with_environments, with_system};
use futures::future::join_all;
use serde_json::json;

const AT_ONCE: usize = 50;

fn with_status(responses: &[Response], status: u16) -> usize {
    responses
        .iter()
        .filter(|response| response.status == status)
        .count()
}

#[test]
fn races_within_one_environment_have_one_winner() {
    with_system(races);
}

#[test]
fn races_across_environments_have_one_winner() {
    with_environments(3, races);
}

/// 50 of each at once, through everything that stands between a client and the database.
async fn races(system: &'static System) {
    let owner = system.visitor("owner@races.example");
    let gym = owner.opens_gym("Iron Temple").await;
    let code = &owner.registers(gym, "ada@races.example").await["athlete_code"];

    let claims = join_all((0..AT_ONCE).map(async |n| {
        system
            .visitor(&format!("{n}@races.example"))
            .post("/signup-link", json!({"athlete_code": code}))
            .await
    }))
    .await;
    assert_eq!(
        (with_status(&claims, 200), with_status(&claims, 422)),
        (1, AT_ONCE - 1)
    );

    let path = format!("/businesses/{gym}/athletes");
    let same =
        join_all((0..AT_ONCE).map(|_| owner.post(&path, json!({"email": "same@races.example"}))))
            .await;
    assert_eq!(
        (with_status(&same, 201), with_status(&same, 200)),
        (1, AT_ONCE - 1)
    );

    let different = join_all((0..AT_ONCE).map(|n| {
        owner.post(
            &path,
            json!({"email": format!("athlete-{n}@races.example")}),
        )
    }))
    .await;
    assert_eq!(with_status(&different, 201), AT_ONCE);
    let roster = owner.get(&format!("{path}?limit=200")).await.expect(200);
    assert_eq!(roster["items"].as_array().map(Vec::len), Some(AT_ONCE + 2));

    let joins = join_all((0..AT_ONCE).map(async |_| {
        system
            .stranger(None)
            .post("/waitlist", json!({"email": "cy@races.example"}))
            .await
    }))
    .await;
    assert_eq!(with_status(&joins, 202), AT_ONCE);
}
