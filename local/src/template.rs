//! What `template.yaml` says of the functions and their routes. It is the only place where routes
//! are written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, de::IgnoredAny};

/// What is deployed, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The functions.
    pub functions: Vec<Function>,
    /// The HTTP API's routes, in the order of their paths.
    pub routes: Vec<Route>,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name, which is that of its binary and of its directory in `functions/`.
    pub name: String,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// How often it is invoked by itself, if it is.
    pub every: Option<Duration>,
    /// The names of the environment variables that it is given.
    pub variables: BTreeSet<String>,
}

/// A method and a path of the HTTP API, and what answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method, in capitals.
    pub method: String,
    /// The path; a segment `{name}` stands for any one segment.
    pub path: String,
    /// The function's name.
    pub function: String,
    /// Whether the JWT authorizer lets only signed-in callers through.
    pub needs_token: bool,
}

// The YAML, as far as it is read. What is not named here is skipped.

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(default)]
    globals: Globals,
    resources: BTreeMap<String, Resource>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Globals {
    function: FunctionGlobals,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct FunctionGlobals {
    timeout: Option<u64>,
    environment: Environment,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Environment {
    #[expect(
        clippy::zero_sized_map_values,
        reason = "the YAML has a map, and only its keys are read"
    )]
    variables: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Properties", default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Properties {
    code_uri: Option<String>,
    timeout: Option<u64>,
    environment: Environment,
    events: BTreeMap<String, Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    properties: EventProperties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EventProperties {
    method: String,
    path: String,
    auth: EventAuth,
    schedule_expression: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct EventAuth {
    authorizer: Option<String>,
}

impl Template {
    /// Reads the template of a workspace.
    pub fn read(workspace_root: &Path) -> Result<Self> {
        let path = workspace_root.join("template.yaml");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("can't read {}", path.display()))?;
        Self::parse(&text)
            .with_context(|| format!("{} is not as the local gateway needs it", path.display()))
    }

    fn parse(yaml: &str) -> Result<Self> {
        let document: Document = serde_saphyr::from_str(yaml)?;
        let mut template = Self {
            functions: Vec::new(),
            routes: Vec::new(),
        };
        for (logical_id, resource) in document.resources {
            if resource.kind != "AWS::Serverless::Function" {
                continue;
            }
            let function = resource
                .properties
                .code_uri
                .as_deref()
                .and_then(|uri| uri.trim_end_matches('/').strip_prefix("functions/"))
                .with_context(|| format!("{logical_id} has no CodeUri of the form functions/NAME"))?
                .to_owned();
            let mut every = None;
            for (event_id, event) in resource.properties.events {
                let place = || format!("in the event {event_id} of {logical_id}");
                match event.kind.as_str() {
                    "HttpApi" => {
                        let route = route(&function, event.properties).with_context(place)?;
                        template.routes.push(route);
                    }
                    "ScheduleV2" => {
                        let expression = event.properties.schedule_expression;
                        every = Some(rate(&expression).with_context(place)?);
                    }
                    _ => {}
                }
            }
            // In seconds; 3 are Lambda's default.
            let timeout = resource
                .properties
                .timeout
                .or(document.globals.function.timeout)
                .unwrap_or(3);
            let of_all = document.globals.function.environment.variables.keys();
            let its_own = resource.properties.environment.variables.into_keys();
            template.functions.push(Function {
                name: function,
                timeout: Duration::from_secs(timeout),
                every,
                variables: of_all.cloned().chain(its_own).collect(),
            });
        }
        template
            .routes
            .sort_by(|a, b| (&a.path, &a.method).cmp(&(&b.path, &b.method)));
        Ok(template)
    }
}

fn route(function: &str, event: EventProperties) -> Result<Route> {
    if !event.path.starts_with('/') || event.path.contains("+}") {
        bail!(
            "the local gateway knows paths like /a/{{b}}, not {:?}",
            event.path
        );
    }
    let method = event.method.to_uppercase();
    if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()) {
        bail!("the local gateway knows no method {method:?}");
    }
    Ok(Route {
        method,
        path: event.path,
        function: function.to_owned(),
        needs_token: event.auth.authorizer.is_some(),
    })
}

/// The time of a schedule like `rate(5 minutes)`.
fn rate(expression: &str) -> Result<Duration> {
    let minutes = expression
        .strip_prefix("rate(")
        .and_then(|rest| rest.split_once(" minute"))
        .and_then(|(minutes, _)| minutes.parse().ok());
    match minutes {
        Some(minutes) => Ok(Duration::from_mins(minutes)),
        None => bail!("the local stack knows schedules like rate(5 minutes), not {expression:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = r#"
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Issuer: {Type: String}
Globals:
  Function:
    Timeout: 10
    Environment:
      Variables:
        SECRET: !Ref Secret
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        Authorizers:
          Jwt:
            JwtConfiguration:
              issuer: !Ref Issuer
              audience: [!Sub "${AWS::StackName}-x", !GetAtt A.B]
  Bucket:
    Type: AWS::S3::Bucket
  Athletes:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: rust-cargolambda}
    Properties:
      CodeUri: functions/register-athlete
      Policies:
        - Statement:
            - Effect: Allow
              Action: ses:SendEmail
              Resource: !Sub arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/x
              Condition: !If [A, B, !Ref AWS::NoValue]
      Environment:
        Variables:
          URL: !If [A, !Ref Url, ""]
      Events:
        Register:
          Type: HttpApi
          Properties: {ApiId: !Ref Api, Method: post, Path: "/businesses/{business_id}/athletes", Auth: {Authorizer: Jwt}}
        EveryMinute:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 minute)}
  Waitlist:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/join-waitlist/
      Timeout: 20
      Events:
        Join:
          Type: HttpApi
          Properties:
            ApiId: !Ref Api
            Method: POST
            Path: /waitlist
"#;

    #[test]
    fn routes_are_read_past_everything_else() {
        let template = Template::parse(YAML).unwrap();
        let function = |name: &str, seconds, every, variables: &[&str]| Function {
            name: name.into(),
            timeout: Duration::from_secs(seconds),
            every,
            variables: variables.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(
            template.functions,
            [
                function(
                    "register-athlete",
                    10,
                    Some(Duration::from_mins(1)),
                    &["SECRET", "URL"]
                ),
                function("join-waitlist", 20, None, &["SECRET"])
            ]
        );
        assert_eq!(
            template.routes,
            [
                Route {
                    method: "POST".into(),
                    path: "/businesses/{business_id}/athletes".into(),
                    function: "register-athlete".into(),
                    needs_token: true,
                },
                Route {
                    method: "POST".into(),
                    path: "/waitlist".into(),
                    function: "join-waitlist".into(),
                    needs_token: false,
                },
            ]
        );
    }

    #[test]
    fn without_an_authorizer_of_its_own_a_route_is_open_as_it_would_be_on_aws() {
        let template = Template::parse(&YAML.replace(", Auth: {Authorizer: Jwt}", "")).unwrap();
        assert!(template.routes.iter().all(|route| !route.needs_token));
    }

    #[test]
    fn what_the_gateway_can_not_do_is_refused_by_name() {
        let greedy =
            Template::parse(&YAML.replace("Path: /waitlist", "Path: /{proxy+}")).unwrap_err();
        assert!(
            format!("{greedy:#}").contains("Join of Waitlist"),
            "{greedy:#}"
        );
        let any = Template::parse(&YAML.replace("Method: POST", "Method: ANY")).unwrap_err();
        assert!(format!("{any:#}").contains("ANY"), "{any:#}");
        let elsewhere =
            Template::parse(&YAML.replace("functions/join", "lambdas/join")).unwrap_err();
        assert!(
            format!("{elsewhere:#}").contains("Waitlist has no CodeUri"),
            "{elsewhere:#}"
        );
    }

    #[test]
    fn the_template_of_this_workspace_opens_the_waitlist_and_nothing_else() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let template = Template::read(root).unwrap();
        let open: Vec<_> = template
            .routes
            .iter()
            .filter(|route| !route.needs_token)
            .map(|route| &route.path)
            .collect();
        assert_eq!(open, ["/waitlist"]);
        assert!(template.routes.len() > 10);
    }
}
