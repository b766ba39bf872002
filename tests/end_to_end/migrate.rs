use crate::system::with_environments;
use local::lambda::Outcome;
use serde_json::{Value, json};
use tests::shared;

#[test]
fn refused_migration_fails_the_function_with_the_reason() {
    with_environments(1, async |system| {
        let edited = "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1";
        let postgres = &shared().await.postgres;
        postgres
            .run(system.stack.database(), edited)
            .await
            .expect("the history can be changed");

        let outcome = system.stack.lambda().invoke("migrate", &json!({})).await;
        let Outcome::Failed(payload) = outcome.expect("it can be invoked") else {
            panic!("it did not fail");
        };
        let error: Value = serde_json::from_str(&payload).expect("JSON");
        let reason = error["errorMessage"].as_str().unwrap_or_default();
        assert!(
            reason.starts_with("V1__onboarding was edited after it was applied"),
            "{payload}"
        );
    });
}
