use serde_json::json;
use tests::story;

#[test]
fn a_new_and_a_known_address_get_the_same_answer() {
    story(async |app| {
        let somebody = app.stranger();
        let first = somebody
            .post("/waitlist", &json!({"email": "Ada@example.org"}))
            .await;
        let again = somebody
            .post("/waitlist", &json!({"email": "ada@EXAMPLE.org"}))
            .await;
        assert_eq!(
            (first.status, &first.body),
            (202, &json!({"status": "joined"}))
        );
        assert_eq!(first, again);
        assert_eq!(
            app.ask::<String>("SELECT string_agg(email, ',') FROM waitlist")
                .await,
            "ada@example.org"
        );
    });
}
