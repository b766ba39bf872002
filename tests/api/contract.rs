use serde_json::json;
use shared::{
    domain::{Channel, ErrorCode, InvitationStatus, LinkedVia},
    platform::config::Variables,
};
use std::{cell::RefCell, collections::BTreeSet};
use tests::{
    Ids,
    contract::{Contract, Operation},
    routes::ROUTES,
    story,
};

#[test]
fn the_contract_and_the_template_have_the_same_routes() {
    story(async |app| {
        let in_template: BTreeSet<Operation> = app
            .shared
            .template
            .routes
            .iter()
            .map(|route| Operation {
                method: route.method.clone(),
                path: route.path.clone(),
                needs_token: route.needs_token,
            })
            .collect();
        assert_eq!(
            in_template,
            Contract::read(&app.shared.workspace.root).operations()
        );
    });
}

#[test]
fn every_route_of_the_template_is_in_the_table() {
    story(async |app| {
        let routes = app.shared.template.routes.iter();
        let mut in_template: Vec<_> = routes
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        in_template.sort();
        let mut in_table: Vec<_> = ROUTES.iter().map(|route| route.key).collect();
        in_table.sort_unstable();
        assert_eq!(in_table, in_template, "tests/src/routes.rs, template.yaml");
    });
}

#[test]
fn the_table_names_every_field_and_parameter_of_the_contract() {
    story(async |app| {
        let contract = Contract::read(&app.shared.workspace.root);
        let no_ids = Ids(Default::default());
        for route in ROUTES {
            let fields = route.fields(&no_ids);
            // The place in a list says nothing.
            let in_table = fields.iter().map(|field| field.pointer.replace("/0", ""));
            assert_eq!(
                in_table.collect::<BTreeSet<_>>(),
                contract.fields(route.method(), route.contract_path()),
                "the body of {}",
                route.key
            );
            let in_table = route.query.iter().map(|&name| name.to_owned());
            assert_eq!(
                in_table.collect::<BTreeSet<_>>(),
                contract.parameters(route.method(), route.contract_path()),
                "the query of {}",
                route.key
            );
        }
    });
}

#[test]
fn only_the_waitlist_is_open_to_strangers() {
    story(async |app| {
        let open: Vec<_> = app
            .shared
            .template
            .routes
            .iter()
            .filter(|route| !route.needs_token)
            .map(|route| route.path.as_str())
            .collect();
        assert_eq!(open, ["/waitlist"]);
    });
}

#[test]
fn no_route_that_needs_a_token_answers_without_claims() {
    story(async |app| {
        for route in app
            .shared
            .template
            .routes
            .iter()
            .filter(|route| route.needs_token)
        {
            let some_id = uuid::Uuid::now_v7().to_string();
            let segments = route.path.split('/');
            let path = segments.map(|segment| {
                if segment.starts_with('{') {
                    &some_id
                } else {
                    segment
                }
            });
            let path = path.collect::<Vec<_>>().join("/");
            let response = app.stranger().send(&route.method, &path, Some("{}")).await;
            assert_eq!(
                (response.status, response.problem()),
                (401, "unauthenticated"),
                "{} {}",
                route.method,
                route.path
            );
        }
    });
}

#[test]
fn a_function_is_given_the_variables_that_it_reads_and_no_others() {
    story(async |app| {
        for function in &app.shared.template.functions {
            let asked_for = RefCell::new(BTreeSet::new());
            // None is found, so that all faults are gathered and nothing is opened.
            let variables = Variables::new(|name: &str| {
                asked_for.borrow_mut().insert(name.to_owned());
                None
            });
            let errors = match function.name.as_str() {
                "register-athlete" => register_athlete::App::from_variables(variables).await.err(),
                "deliver-invitations" => deliver_invitations::App::from_variables(variables)
                    .await
                    .err(),
                "migrate" => migrate::Config::from_variables(variables).err(),
                _ => shared::platform::App::from_variables(variables).await.err(),
            };
            assert!(errors.is_some(), "{} needs no variable", function.name);
            assert_eq!(
                asked_for.into_inner(),
                function.variables,
                "{}",
                function.name
            );
        }
    });
}

#[test]
fn closed_sets_are_the_same_in_the_program_the_contract_and_the_schema() {
    story(async |app| {
        let contract = Contract::read(&app.shared.workspace.root);
        let codes = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned());
        assert_eq!(contract.values_of("ErrorCode"), codes.collect());

        for (constraint, texts) in [
            (
                "invitation_status",
                texts(InvitationStatus::ALL, InvitationStatus::as_str),
            ),
            ("invitation_channel", texts(Channel::ALL, Channel::as_str)),
            (
                "athlete_linked_via",
                texts(LinkedVia::ALL, LinkedVia::as_str),
            ),
        ] {
            let definition: String = app
                .ask(&format!(
                    "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = '{constraint}'"
                ))
                .await;
            let allowed = definition.split('\'').skip(1).step_by(2).map(str::to_owned);
            assert_eq!(allowed.collect::<BTreeSet<_>>(), texts, "{constraint}");
        }
    });
}

fn texts<T: Copy>(all: &[T], as_str: impl Fn(T) -> &'static str) -> BTreeSet<String> {
    all.iter()
        .map(|member| as_str(*member).to_owned())
        .collect()
}

#[test]
#[should_panic(expected = "is not what the contract says")]
fn an_answer_that_drifts_from_the_contract_is_noticed() {
    story(async |app| {
        let contract = Contract::read(&app.shared.workspace.root);
        contract.check(
            "POST",
            "/waitlist",
            202,
            "application/json",
            &json!({"status": "joined"}),
        );
        contract.check(
            "POST",
            "/waitlist",
            202,
            "application/json",
            &json!({"status": "joined", "position": 7}),
        );
    });
}
