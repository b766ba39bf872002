use serde_json::json;
use tests::story;

#[test]
fn new_and_known_address_get_the_same_response() {
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

#[test]
fn sign_up_takes_the_place_on_the_waitlist_along() {
    story(async |app| {
        app.stranger()
            .post("/waitlist", &json!({"email": "ada@example.org"}))
            .await
            .expect(202);
        let unproved =
            app.person_with(&json!({"email": "ada@example.org", "email_verified": "false"}));
        assert_eq!(
            unproved
                .links(None)
                .await
                .expect(200)
                .get("waitlisted_since"),
            None
        );

        let ada = app.person("Ada@example.org");
        let response = ada.links(None).await.expect(200);
        assert!(response["waitlisted_since"].is_string(), "{response}");
        assert_eq!(
            ada.links(None).await.expect(200),
            response,
            "a repeat gives the same"
        );
        assert_eq!(
            app.ask::<uuid::Uuid>("SELECT user_id FROM waitlist").await,
            ada.user_id().await
        );
        assert_eq!(
            app.person("bob@example.org")
                .links(None)
                .await
                .expect(200)
                .get("waitlisted_since"),
            None
        );
    });
}
