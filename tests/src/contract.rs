//! `openapi.yaml`, and whether an answer keeps to it.

use jsonschema::Validator;
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex},
};

/// The HTTP contract.
pub struct Contract {
    document: Value,
    /// Those that have been used, each by the answer that it is for: compiling one takes longer
    /// than using it.
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// A route as the contract has it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// `POST`, for instance.
    pub method: String,
    /// With the names of its parameters: `/businesses/{business_id}/athletes`.
    pub path: String,
    /// Whether it is answered only with a token.
    pub needs_token: bool,
}

impl Contract {
    /// Reads it from the root of the workspace.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let text =
            std::fs::read_to_string(root.join("openapi.yaml")).expect("openapi.yaml is there");
        Self {
            document: serde_saphyr::from_str(&text).expect("openapi.yaml is YAML"),
            validators: Mutex::default(),
        }
    }

    /// The values that a schema allows.
    #[must_use]
    pub fn values_of(&self, schema: &str) -> BTreeSet<String> {
        let values = &self.document["components"]["schemas"][schema]["enum"];
        let values = values.as_array().expect("the schema is an enum").iter();
        values
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()
    }

    /// Every route.
    #[must_use]
    pub fn operations(&self) -> BTreeSet<Operation> {
        let paths = self.document["paths"]
            .as_object()
            .expect("the contract has paths");
        paths
            .iter()
            .flat_map(|(path, item)| {
                let item = item.as_object().expect("a path is an object");
                item.iter()
                    .filter(|(member, _)| *member != "parameters")
                    .map(move |(method, operation)| Operation {
                        method: method.to_uppercase(),
                        path: path.clone(),
                        needs_token: operation["security"] != json!([]),
                    })
            })
            .collect()
    }

    /// The path, as the contract writes it, of a request to this path and query; none where it is
    /// no route.
    #[must_use]
    pub fn path_of(&self, method: &str, path_and_query: &str) -> Option<String> {
        let path = path_and_query.split('?').next().unwrap_or_default();
        let fits = |pattern: &str| {
            pattern.split('/').count() == path.split('/').count()
                && pattern
                    .split('/')
                    .zip(path.split('/'))
                    .all(|(expected, given)| expected.starts_with('{') || expected == given)
        };
        self.operations()
            .into_iter()
            .find(|route| route.method == method && fits(&route.path))
            .map(|route| route.path)
    }

    /// The query parameters of a route.
    #[must_use]
    pub fn parameters(&self, method: &str, path: &str) -> BTreeSet<String> {
        let item = &self.document["paths"][path];
        let lists = [
            &item["parameters"],
            &item[method.to_lowercase()]["parameters"],
        ];
        let parameters = lists.into_iter().filter_map(Value::as_array).flatten();
        parameters
            .map(|parameter| self.resolve(parameter))
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned()))
            .collect()
    }

    /// The fields of a route's JSON body, each as a JSON pointer without the places in lists:
    /// `/athletes/email`.
    #[must_use]
    pub fn fields(&self, method: &str, path: &str) -> BTreeSet<String> {
        let body = &self.document["paths"][path][method.to_lowercase()]["requestBody"];
        let schema = &self.resolve(body)["content"]["application/json"]["schema"];
        let mut found = BTreeSet::new();
        if !schema.is_null() {
            self.find_fields(schema, "", &mut found);
        }
        found
    }

    fn find_fields(&self, schema: &Value, pointer: &str, found: &mut BTreeSet<String>) {
        let schema = self.resolve(schema);
        if let Some(members) = schema["properties"].as_object() {
            for (name, schema) in members {
                self.find_fields(schema, &format!("{pointer}/{name}"), found);
            }
        } else if schema["items"].is_object() {
            self.find_fields(&schema["items"], pointer, found);
        } else if schema["type"] != "object" {
            found.insert(pointer.to_owned());
        }
    }

    /// Fails the test where the contract does not allow this answer to this route.
    pub fn check(&self, method: &str, path: &str, status: u16, content_type: &str, body: &Value) {
        let operation = &self.document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "the contract has no {method} {path}");
        let response = self.resolve(&operation["responses"][status.to_string()]);
        assert!(
            response.is_object(),
            "the contract has no {status} for {method} {path}; the answer was {body}"
        );
        if response["content"].is_null() {
            assert!(
                body.is_null(),
                "the contract has no body for {status} of {method} {path}; the answer was {body}"
            );
            return;
        }
        let schema = &response["content"][content_type]["schema"];
        assert!(
            schema.is_object(),
            "the contract has no {content_type} for {status} of {method} {path}; the answer was {body}"
        );
        let response = format!("{status} {content_type} of {method} {path}");
        let validator = self.validator(response, schema);
        let errors: Vec<String> = validator
            .iter_errors(body)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{status} of {method} {path} is not what the contract says: {errors:#?}\n{body:#}"
        );
    }

    fn validator(&self, response: String, schema: &Value) -> Arc<Validator> {
        let compiled = || {
            let schema = json!({"components": self.document["components"], "allOf": [schema]});
            let validator = jsonschema::validator_for(&schema);
            Arc::new(validator.expect("the contract's schemas are JSON Schema"))
        };
        let mut validators = self.validators.lock().expect("no schema has failed");
        Arc::clone(validators.entry(response).or_insert_with(compiled))
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self
                .document
                .pointer(&reference[1..])
                .expect("references lead somewhere"),
            None => value,
        }
    }
}
