"""What must hold of the template once SAM has translated it. No other tool looks at these.

A rule takes the translated template and gives its faults, one sentence each; none is good.
"""

import json
import re

from translation import PARAMETERS

# Routes that answer without a token, each for a reason.
OPEN_ROUTES = {("post", "/waitlist")}  # who joins has no account yet

# Functions that may send mails and text messages.
SENDERS = {"RegisterAthlete", "DeliverInvitations"}

# Statements that name no single resource, each for a reason.
WIDE_STATEMENTS = {
    "SendTextMessages",  # a telephone number is no resource; topics are left out by name
    "SendInvitations",  # in SES's sandbox the recipient is a resource too; the sender's address bounds it
    "InvokeVersions",  # all versions of functions that are named
    "TellCodeDeploy",  # all groups of an application that is named
}

# AWS's own policies, of which some name no resource either: all that SAM adds to a role, and nothing else.
MANAGED_POLICIES = {
    "service-role/AWSLambdaBasicExecutionRole",  # writes logs
    "service-role/AWSLambdaVPCAccessExecutionRole",  # network interfaces have no names beforehand
    "AWSXrayWriteOnlyAccess",  # traces are no resources
    "service-role/AWSCodeDeployRoleForLambda",  # CodeDeploy's, to shift the traffic
}

# Invoked by a deployment, by name, so that it is the newest code that migrates.
WITHOUT_ALIAS = {"Migrate"}

# CodeDeploy invokes it, before functions get their aliases' traffic.
HOOK = "BeforeTraffic"

# Resources whose loss loses data or locks everybody out.
KEPT = {"UserPool", "UserPoolClient", "MailDomainIdentity", "UnrecordedMailEvents"}


def of_type(template, kind):
    """The resources of a type, by their names."""
    return {name: r for name, r in template["Resources"].items() if r["Type"] == kind}


def functions(template):
    return of_type(template, "AWS::Lambda::Function")


def branches(value):
    """What a value can be, whatever the conditions are: both sides of every Fn::If, nothing for AWS::NoValue."""
    if isinstance(value, dict) and "Fn::If" in value:
        _, one, other = value["Fn::If"]
        return branches(one) + branches(other)
    return [] if value == {"Ref": "AWS::NoValue"} else [value]


def value_of(value, parameters, conditions, known=None):
    """What CloudFormation makes of a value: Ref, Fn::If, Fn::Sub, Fn::Join and conditions; a resource is its own name."""
    if isinstance(value, list):
        found = (value_of(item, parameters, conditions, known) for item in value)
        return [item for item in found if item != {"Ref": "AWS::NoValue"}]
    if not isinstance(value, dict):
        return value
    known = known or {}

    def inner(part):
        return value_of(part, parameters, conditions, known)

    match list(value.items()):
        case [("Ref", "AWS::NoValue")]:
            return value
        case [("Ref", name)]:
            return known.get(name, parameters.get(name, name))
        case [("Condition", name)]:
            return inner(conditions[name])
        case [("Fn::If", [name, one, other])]:
            return inner(one if inner(conditions[name]) else other)
        case [("Fn::Equals", [one, other])]:
            return str(inner(one)) == str(inner(other))
        case [("Fn::Not", [one])]:
            return not inner(one)
        case [("Fn::And", all_of)]:
            return all(inner(one) for one in all_of)
        case [("Fn::Or", any_of)]:
            return any(inner(one) for one in any_of)
        case [("Fn::Join", [between, parts])]:
            return between.join(inner(parts) if isinstance(inner(parts), list) else [inner(parts)])
        case [("Fn::Sub", text)]:
            text, variables = (text, {}) if isinstance(text, str) else text
            names = {**parameters, **{name: inner(variable) for name, variable in variables.items()}}
            return re.sub(r"\$\{([^!}]+)\}", lambda found: str(names.get(found[1], found[1])), text)
    found = {name: inner(part) for name, part in value.items()}
    return {name: part for name, part in found.items() if part != {"Ref": "AWS::NoValue"}}


def as_deployed(template, value, **parameters):
    """A value of the template, deployed with these parameters and the others' defaults."""
    given = {name: parameter.get("Default", f"the {name}") for name, parameter in template["Parameters"].items()}
    return value_of(value, {**given, **parameters}, template["Conditions"])


def as_list(value):
    """One thing or a list of them, as policies have it."""
    items = value if isinstance(value, list) else [value]
    return [branch for item in items for branch in branches(item)]


def references(value):
    """The names that a value refers to: by Ref, Fn::GetAtt and Fn::Sub, wherever in it they are."""
    if isinstance(value, list):
        return {name for item in value for name in references(item)}
    if not isinstance(value, dict):
        return set()
    names = set()
    for key, inner in value.items():
        if key == "Ref":
            names.add(inner)
        elif key == "Fn::GetAtt":
            names.add(inner.split(".")[0] if isinstance(inner, str) else inner[0])
        elif key == "Fn::Sub":
            text, variables = (inner, {}) if isinstance(inner, str) else inner
            used = {name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text)}
            names |= (used - variables.keys()) | references(variables)
        else:
            names |= references(inner)
    return names


def statements(template):
    """Every statement of every policy, with the resource that it belongs to."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        inline = properties.get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []
        for holder in [properties, *inline]:
            for statement in as_list(holder.get("PolicyDocument", {}).get("Statement", [])):
                yield name, statement


def allowed(template, function):
    """The actions that a function's role allows it."""
    role = functions(template)[function]["Properties"]["Role"]["Fn::GetAtt"][0]
    return {action for name, statement in statements(template) if name == role for action in as_list(statement["Action"])}


def every_route_needs_a_token(template):
    (api,) = of_type(template, "AWS::ApiGatewayV2::Api").values()
    body = api["Properties"]["Body"]
    scheme = body.get("components", {}).get("securitySchemes", {}).get("Jwt", {})
    if scheme.get("x-amazon-apigateway-authorizer", {}).get("type") != "jwt":
        yield "there is no JWT authorizer"
    for path, methods in body["paths"].items():
        for method, route in methods.items():
            is_open = not route.get("security")
            for scheme in (name for way in route.get("security", []) for name in way):
                # SAM's own NONE, too: API Gateway may refuse an API over it.
                if scheme not in body.get("components", {}).get("securitySchemes", {}):
                    yield f"{method.upper()} {path} has the scheme {scheme}, which is not defined"
            if is_open != ((method, path) in OPEN_ROUTES):
                yield f"{method.upper()} {path} is {'open' if is_open else 'not open'}"
            elif not is_open and route["security"] != [{"Jwt": []}]:
                yield f"{method.upper()} {path} has another authorizer"


def tokens_of_any_issuer_are_taken_to_the_letter(template):
    (api,) = of_type(template, "AWS::ApiGatewayV2::Api").values()
    authorizer = api["Properties"]["Body"].get("components", {}).get("securitySchemes", {}).get("Jwt", {})
    configuration = authorizer.get("x-amazon-apigateway-authorizer", {}).get("jwtConfiguration", {})
    # Auth0's tokens have the slash, Cognito's and Okta's have none.
    for issuer in ("https://gym.eu.auth0.com/", "https://gym.okta.com/oauth2/default"):
        if not re.match(template["Parameters"]["JwtIssuer"]["AllowedPattern"], issuer):
            yield f"the issuer {issuer} is refused"
        given = as_deployed(template, configuration, JwtIssuer=issuer, JwtAudience="a")
        if (given.get("issuer"), given.get("audience")) != (issuer, ["a"]):
            yield f"the tokens of {issuer} are not what the authorizer takes"
    for pool in of_type(template, "AWS::Cognito::UserPool").values():
        if pool["Properties"].get("UserPoolTier") != {"Ref": "UserPoolTier"}:
            yield "the user pool's tier, which has a price, is no choice"


def what_a_route_takes_is_a_parameter(template):
    (stage,) = of_type(template, "AWS::ApiGatewayV2::Stage").values()
    usual = stage["Properties"].get("DefaultRouteSettings", {})
    for member, parameter in (("ThrottlingRateLimit", "RouteRate"), ("ThrottlingBurstLimit", "RouteBurst")):
        if usual.get(member) != {"Ref": parameter}:
            yield f"{member} is not {parameter}"
    # What is written for a route of its own replaces the rest: only for the open ones, which take less.
    own = stage["Properties"].get("RouteSettings", {})
    for route in own.keys() ^ {f"{method.upper()} {path}" for method, path in OPEN_ROUTES}:
        yield f"{route} has {'settings of its own' if route in own else 'the rate of those with a token'}"
    for route, settings in own.items():
        if not settings.get("ThrottlingRateLimit", 100) <= 5 or not settings.get("ThrottlingBurstLimit", 100) <= 10:
            yield f"{route} lets anybody fill a table"


def the_api_may_have_a_name_of_its_own(template):
    names, mappings = (of_type(template, f"AWS::ApiGatewayV2::{kind}") for kind in ("DomainName", "ApiMapping"))
    for name, resource in (names | mappings).items():
        condition = {"Condition": resource.get("Condition")}
        if condition["Condition"] is None or as_deployed(template, condition) or not as_deployed(template, condition, ApiDomain="d"):
            yield f"{name} is not there for ApiDomain alone"
    if not any(references(mapping["Properties"]) >= {"Api", *names, "ApiApiGatewayDefaultStage"} for mapping in mappings.values()):
        yield "ApiDomain leads nowhere"


def browsers_call_from_the_app_alone(template):
    (api,) = of_type(template, "AWS::ApiGatewayV2::Api").values()
    cors = api["Properties"]["Body"].get("x-amazon-apigateway-cors", {})
    # SAM has put AppUrl's value in its place.
    if len(cors.get("allowOrigins", [])) != 1 or PARAMETERS["AppUrl"] not in json.dumps(cors["allowOrigins"]):
        yield "other origins than that of AppUrl may call"
    for member in ("allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders"):
        if any("*" in str(value) for value in cors.get(member, [])):
            yield f"{member} has a wildcard"


def policies_name_their_actions_and_resources(template):
    for name, statement in statements(template):
        sid = statement.get("Sid", "?")
        for action in as_list(statement.get("Action", "*")):
            if "*" in action:
                yield f"{name}, {sid}: the action {action}"
        is_wide = "NotResource" in statement or any("*" in json.dumps(r) for r in as_list(statement.get("Resource", "*")))
        if is_wide and sid not in WIDE_STATEMENTS:
            yield f"{name}, {sid}: no single resource"
    for name, role in of_type(template, "AWS::IAM::Role").items():
        for arn in as_deployed(template, role["Properties"].get("ManagedPolicyArns", [])):
            if arn.split(":policy/")[-1] not in MANAGED_POLICIES:
                yield f"{name}: the managed policy {arn}"


def every_role_is_bounded(template):
    """The deploying role may make none that is not."""
    for name, role in of_type(template, "AWS::IAM::Role").items():
        if references(role["Properties"].get("PermissionsBoundary")) != {"PermissionsBoundary", "AWS::NoValue"}:
            yield f"{name} has no boundary"


def every_function_has_a_role_of_its_own(template):
    roles = [json.dumps(function["Properties"]["Role"]) for function in functions(template).values()]
    for name, function in functions(template).items():
        if roles.count(json.dumps(function["Properties"]["Role"])) > 1:
            yield f"{name} shares its role"


def mail_goes_out_by_one_address(template):
    for name, statement in statements(template):
        if any(action.startswith("ses:") for action in as_list(statement["Action"])):
            sender = statement.get("Condition", {}).get("StringEquals", {}).get("ses:FromAddress")
            if sender != {"Fn::Sub": "${MailSender}@${MailDomain}"}:
                yield f"{name} sends from any address"
            resources = [json.dumps(resource) for resource in as_list(statement["Resource"])]
            for part in (":identity/*", ":configuration-set/"):
                if not any(part in resource for resource in resources):
                    yield f"{name} may not use {part}, about which SES asks"


def only_the_senders_may_send(template):
    for name in functions(template):
        sends = any(action.startswith("ses:") or action == "sns:Publish" for action in allowed(template, name))
        if sends != (name in SENDERS):
            yield f"{name} may {'' if sends else 'not '}send"


def who_is_told_of_a_secret_may_read_it_and_nobody_else(template):
    """Who is told of it is who opens the database: a Rust test holds the variables to what the code reads."""
    for name, function in functions(template).items():
        variables = function["Properties"].get("Environment", {}).get("Variables", {})
        told = references([value for variable, value in variables.items() if variable.endswith("SECRET_ID")])
        role = function["Properties"]["Role"]["Fn::GetAtt"][0]
        may_read = {
            secret
            for holder, statement in statements(template)
            if holder == role and "secretsmanager:GetSecretValue" in as_list(statement["Action"])
            for secret in references(statement["Resource"])
        }
        for secret in told ^ may_read:
            yield f"{name} is {'' if secret in told else 'not '}told of {secret}"
        owner = "MigrationsDatabaseSecretArn"
        if (owner in told) != (name == "Migrate"):
            yield f"{name} logs in as {'' if owner in told else 'not '}the owner of the tables"


def logs_are_kept_for_a_time_and_traces_made(template):
    groups = of_type(template, "AWS::Logs::LogGroup")
    taken = set()
    for name, function in functions(template).items():
        logging = function["Properties"].get("LoggingConfig", {})
        group = logging.get("LogGroup", {}).get("Ref")
        if "RetentionInDays" not in groups.get(group, {}).get("Properties", {}):
            yield f"{name} has no log group with a retention"
        if group in taken:
            yield f"{name} shares its log group"
        taken.add(group)
        if logging.get("LogFormat") != "JSON":
            yield f"{name} does not log JSON"
        if function["Properties"].get("TracingConfig") != {"Mode": "Active"}:
            yield f"{name} is not traced"


def every_function_can_be_held_back(template):
    for name, function in functions(template).items():
        if name == HOOK:  # as many as there are functions to check, and without a connection to the database
            continue
        reserved = branches(function["Properties"].get("ReservedConcurrentExecutions", {"Ref": "AWS::NoValue"}))
        if not reserved:
            yield f"{name} takes as many environments as it likes"


def new_code_comes_by_the_alias(template):
    """Whatever invokes a function invokes its alias: the function itself would be all of the new code at once."""
    resources = template["Resources"]
    (api,) = of_type(template, "AWS::ApiGatewayV2::Api").values()
    callers = {
        f"{method.upper()} {path}": route["x-amazon-apigateway-integration"]["uri"]
        for path, methods in api["Properties"]["Body"]["paths"].items()
        for method, route in methods.items()
    }
    callers |= {name: s["Properties"]["Target"]["Arn"] for name, s in of_type(template, "AWS::Scheduler::Schedule").items()}
    for name, rule in of_type(template, "AWS::Events::Rule").items():
        callers |= {name: target["Arn"] for target in rule["Properties"]["Targets"]}
    for caller, target in callers.items():
        if any(resources.get(name, {}).get("Type") == "AWS::Lambda::Function" for name in references(target)):
            yield f"{caller} passes the alias by"
    for name, config in of_type(template, "AWS::Lambda::EventInvokeConfig").items():
        if config["Properties"]["Qualifier"] != "live":
            yield f"{name} is not the alias's"

    aliases = of_type(template, "AWS::Lambda::Alias").values()
    shifted = [alias for alias in aliases if "CodeDeployLambdaAliasUpdate" in alias.get("UpdatePolicy", {})]
    with_alias = {alias["Properties"]["FunctionName"]["Ref"] for alias in shifted}
    for name in functions(template):
        if (name in with_alias) == (name in WITHOUT_ALIAS | {HOOK}):
            yield f"{name} has {'an' if name in with_alias else 'no'} alias that CodeDeploy shifts"
    for alias in shifted:
        name = alias["Properties"]["FunctionName"]["Ref"]
        if alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"].get("BeforeAllowTrafficHook") != {"Ref": HOOK}:
            yield f"{name} gets its traffic unseen"
    hook = functions(template).get(HOOK, {"Properties": {}})["Properties"]
    # CodeDeploy's policy lets it invoke no other names.
    if not str(as_deployed(template, hook.get("FunctionName"))).startswith("CodeDeployHook_"):
        yield f"CodeDeploy may not invoke {HOOK}"
    versions = {name.partition("Version")[0] for name in references(hook.get("Environment")) if "Version" in name}
    code = hook.get("Code", {}).get("ZipFile", "")
    for name in with_alias:
        if name not in versions or f'"{name}": (' not in code:
            yield f"{HOOK} does not check {name}"
    for name, group in of_type(template, "AWS::CodeDeploy::DeploymentGroup").items():
        alarms = [branch for branch in branches(group["Properties"].get("AlarmConfiguration", {})) if branch]
        if [references(branch) for branch in alarms] != [{"FunctionErrors", "ServerErrors"}]:
            yield f"{name} does not go back on the alarms"


def a_release_makes_new_versions(template):
    """SAM calls a version by the first ten characters of Release: where it does not, the alias stays on the old variables."""
    for name, version in of_type(template, "AWS::Lambda::Version").items():
        if not name.startswith(f"{version['Properties']['FunctionName']['Ref']}Version{PARAMETERS['Release'][:10]}"):
            yield f"{name} does not follow Release"


def a_failed_creation_leaves_nothing_in_the_way(template):
    """What is kept with a good stack is removed with one that never came about, or the second try meets it."""
    for name in KEPT:
        resource = template["Resources"][name]
        if resource.get("DeletionPolicy") != "RetainExceptOnCreate" or resource.get("UpdateReplacePolicy") != "Retain":
            yield f"{name} is lost with the stack, or in the way of the next"
    for name, pool in of_type(template, "AWS::Cognito::UserPool").items():
        if as_deployed(template, pool["Properties"]["DeletionProtection"]) != "INACTIVE":
            yield f"{name} can't be undone"
        if as_deployed(template, pool["Properties"]["DeletionProtection"], DeletionProtection="true") != "ACTIVE":
            yield f"{name} can't be protected"
        # Cognito refuses a pool whose identity is not verified yet, and it is this stack that makes it.
        if as_deployed(template, pool["Properties"]["EmailConfiguration"]) != {"EmailSendingAccount": "COGNITO_DEFAULT"}:
            yield f"{name} needs a verified identity at once"
        if as_deployed(template, pool["Properties"]["EmailConfiguration"], UserPoolMail="ses")["EmailSendingAccount"] != "DEVELOPER":
            yield f"{name} can't send by SES"


def nothing_waits_for_itself(template):
    """CloudFormation refuses circles, but only once the stack is made; and what an UpdatePolicy refers to counts too."""
    resources = template["Resources"]
    waits_for = {}
    for name, resource in resources.items():
        others = {key: value for key, value in resource.items() if key not in ("Metadata", "DependsOn")}
        waits_for[name] = (references(others) | set(as_list(resource.get("DependsOn", [])))) & resources.keys()
    while leaves := [name for name, others in waits_for.items() if not others]:
        waits_for = {name: others - set(leaves) for name, others in waits_for.items() if name not in leaves}
    if waits_for:
        yield f"a circle among {', '.join(sorted(waits_for))}"


def dead_letters_are_kept(template):
    """What EventBridge sends to a queue needs the queue's leave; what is invoked without a caller needs a queue."""
    welcome = set()
    for name, statement in statements(template):
        if template["Resources"][name]["Type"] == "AWS::SQS::QueuePolicy" \
                and statement["Principal"] == {"Service": "events.amazonaws.com"} and statement["Action"] == "sqs:SendMessage":
            welcome |= references(statement["Resource"])
    for name, rule in of_type(template, "AWS::Events::Rule").items():
        for target in rule["Properties"]["Targets"]:
            if not references(target.get("DeadLetterConfig")) & welcome:
                yield f"{name} loses what Lambda does not take"
    for name, schedule in of_type(template, "AWS::Scheduler::Schedule").items():
        if not references(schedule["Properties"]["Target"].get("DeadLetterConfig")):
            yield f"{name} loses what Lambda does not take"
    for config in of_type(template, "AWS::Lambda::EventInvokeConfig").values():
        name = config["Properties"]["FunctionName"]["Ref"]
        if "DeadLetterConfig" not in functions(template)[name]["Properties"]:
            yield f"{name} loses the events that it fails on"


def alarms_reach_somebody(template):
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        for member in ("AlarmActions", "OKActions"):
            if properties.get(member) != [{"Ref": "Alarms"}]:
                yield f"{name} has no {member}"
        for member in ("AlarmDescription", "TreatMissingData"):
            if member not in properties:
                yield f"{name} has no {member}"


def alarms_tell_the_truth(template):
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        metrics = [m["MetricStat"]["Metric"] for m in properties.get("Metrics", []) if "MetricStat" in m] or [properties]
        if len(properties.get("Metrics", [])) - sum("Expression" in m for m in properties.get("Metrics", [])) > 10:
            yield f"{name} is made of more than ten metrics"
        expressions = " ".join(m["Expression"] for m in properties.get("Metrics", []) if "Expression" in m)
        # The newest moment has no data yet, and FILL makes a 0 of nothing.
        if "FILL(" in expressions and properties.get("DatapointsToAlarm", properties["EvaluationPeriods"]) >= properties["EvaluationPeriods"]:
            yield f"{name} forgets what it saw as soon as a moment has no data yet"
        # An alarm is made before what it watches has any data. A database that is named is there.
        if properties["TreatMissingData"] == "breaching" and properties.get("Namespace") != "AWS/RDS":
            yield f"{name} rings while the stack is made"
        if properties["TreatMissingData"] == "missing" and properties.get("InsufficientDataActions") != [{"Ref": "Alarms"}]:
            yield f"{name} does not tell of silence"
        for metric in metrics:
            dimensions = [d["Name"] for d in as_deployed(template, metric.get("Dimensions", []), DatabaseClusterId="c")]
            if metric["MetricName"] in ("FreeLocalStorage", "FreeStorageSpace") and "DBClusterIdentifier" in dimensions:
                yield f"{name} watches what an Aurora cluster does not count"
    # What takes back a deployment, or wakes somebody, is a share of the requests: of 3,500 one always fails.
    for name in ("FunctionErrors", "ServerErrors", "Throttles", "ApiErrors", "TooManyRequests", "Unauthorized"):
        metrics = template["Resources"].get(name, {}).get("Properties", {}).get("Metrics", [])
        expression = " ".join(m.get("Expression", "") for m in metrics)
        if not re.search(r">= \d+ AND .* > \(?.*0?\.\d+ \* FILL\((invocations|requests), 0\)", expression):
            yield f"{name} is no share with a floor"


def what_may_go_wrong_has_an_alarm(template):
    watched = json.dumps([alarm["Properties"] for alarm in of_type(template, "AWS::CloudWatch::Alarm").values()])
    for metric in ("SMSMonthToDateSpentUSD", "TooManyRequests", "Unauthorized", "OldestQueuedInvitation", "Reputation.BounceRate",
                   "Reputation.ComplaintRate", "ApproximateNumberOfMessagesVisible", "Lockouts"):
        if f'"MetricName": "{metric}"' not in watched:
            yield f"nobody is told of {metric}"
    # The relay moves what is refused: only its tries tell.
    in_vain = json.dumps(template["Resources"].get("InvitationsNotTaken", {}))
    for outcome in ("sent", "retried", "failed"):
        for function in SENDERS:
            if f'"Id": "{"taken" if outcome == "sent" else "tried"}_{outcome}_' not in in_vain or function not in in_vain:
                yield f"nobody is told that {function} tries in vain"


def no_function_is_overlooked(template):
    """Who adds a function adds it to the alarms that are made of every function's counts."""
    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    for name in functions(template).keys() - WITHOUT_ALIAS - {HOOK}:
        for alarm in ("FunctionErrors", "Throttles"):
            if name not in references(alarms[alarm]["Properties"]["Metrics"]):
                yield f"{alarm} does not know of {name}"
    (dashboard,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    for name in functions(template).keys() - references(dashboard["Properties"]["DashboardBody"]):
        yield f"the dashboard does not show {name}"


def the_dashboard_can_be_read(template):
    for name, dashboard in of_type(template, "AWS::CloudWatch::Dashboard").items():
        for given in ({}, {"DatabaseClusterId": "cluster"}, {"DatabaseInstanceId": "instance"}):
            yield from faults_of_a_dashboard(name, as_deployed(template, dashboard["Properties"]["DashboardBody"], **given))


def faults_of_a_dashboard(name, text):
    try:
        widgets = json.loads(text)["widgets"]
    except ValueError as error:
        yield f"{name} is no JSON: {error}"
        return
    places = set()
    for widget in widgets:
        for metric in widget["properties"]["metrics"]:
            if "" in metric:
                yield f"{name}: {widget['properties']['title']} has an empty dimension, which CloudWatch refuses"
        for x in range(widget["x"], widget["x"] + widget["width"]):
            for y in range(widget["y"], widget["y"] + widget["height"]):
                if (x, y) in places or x >= 24:
                    yield f"{name}: {widget['properties']['title']} has no place"
                    break
                places.add((x, y))


def parameters_explain_and_defend_themselves(template):
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    used = references({key: template.get(key, {}) for key in ("Resources", "Conditions", "Outputs", "Rules")})
    for name, parameter in template["Parameters"].items():
        if not {"Description", "ConstraintDescription"} <= parameter.keys():
            yield f"{name} is not described"
        if not ({"AllowedPattern", "AllowedValues"} & parameter.keys() or {"MinValue", "MaxValue"} <= parameter.keys()):
            yield f"{name} takes anything"
        if grouped.count(name) != 1:
            yield f"{name} is in {grouped.count(name)} groups"
        if name not in used and name != "Release":  # which SAM has used up
            yield f"{name} is for nothing"


RULES = [
    every_route_needs_a_token,
    tokens_of_any_issuer_are_taken_to_the_letter,
    what_a_route_takes_is_a_parameter,
    the_api_may_have_a_name_of_its_own,
    browsers_call_from_the_app_alone,
    policies_name_their_actions_and_resources,
    every_role_is_bounded,
    mail_goes_out_by_one_address,
    every_function_has_a_role_of_its_own,
    only_the_senders_may_send,
    who_is_told_of_a_secret_may_read_it_and_nobody_else,
    logs_are_kept_for_a_time_and_traces_made,
    every_function_can_be_held_back,
    new_code_comes_by_the_alias,
    a_release_makes_new_versions,
    a_failed_creation_leaves_nothing_in_the_way,
    nothing_waits_for_itself,
    dead_letters_are_kept,
    alarms_reach_somebody,
    alarms_tell_the_truth,
    what_may_go_wrong_has_an_alarm,
    no_function_is_overlooked,
    the_dashboard_can_be_read,
    parameters_explain_and_defend_themselves,
]
