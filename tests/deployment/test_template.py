"""The template keeps the rules, and each rule notices a template that does not."""

import copy
import json

import pytest

import rules
from rules import as_list, of_type
from translation import ROOT, template, translated

RAW = template()


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_template_keeps_the_rules(rule):
    assert list(rule(translated(RAW))) == []


def properties(raw, name):
    return raw["Resources"][name]["Properties"]


def drop(raw, name, member):
    del properties(raw, name)[member]


def let(raw, name, **changed):
    properties(raw, name).update(changed)


def invitations(raw):
    """The statement that lets RegisterAthlete send mails."""
    return properties(raw, "RegisterAthlete")["Policies"][1]["Statement"][0]


def policy(**statement):
    return {"Statement": [{"Sid": "X", "Effect": "Allow", **statement}]}


# A rule, what breaks it, and a word of the fault that it must find.
BREAKAGES = [
    (
        rules.every_route_needs_a_token,
        lambda raw: properties(raw, "Api")["Auth"]["Authorizers"].update(Jwt={"AuthorizerPayloadFormatVersion": "2.0", "FunctionArn": "x"}),
        "there is no JWT authorizer",
    ),
    (
        rules.every_route_needs_a_token,
        lambda raw: properties(raw, "SignupLink")["Events"]["WhoAmI"]["Properties"].pop("Auth"),
        "GET /me is open",
    ),
    (
        rules.every_route_needs_a_token,
        lambda raw: properties(raw, "JoinWaitlist")["Events"]["Join"]["Properties"].update(Auth={"Authorizer": "Jwt"}),
        "POST /waitlist is not open",
    ),
    (
        rules.every_route_needs_a_token,
        lambda raw: properties(raw, "Api")["Auth"].update(DefaultAuthorizer="Jwt")
        or properties(raw, "JoinWaitlist")["Events"]["Join"]["Properties"].update(Auth={"Authorizer": "NONE"}),
        "POST /waitlist has the scheme NONE, which is not defined",
    ),
    (
        rules.tokens_of_any_issuer_are_taken_to_the_letter,
        lambda raw: raw["Parameters"]["JwtIssuer"].update(AllowedPattern=r"^(https://\S*[^/\s])?$"),
        "the issuer https://gym.eu.auth0.com/ is refused",
    ),
    (
        rules.tokens_of_any_issuer_are_taken_to_the_letter,
        lambda raw: properties(raw, "Api")["Auth"]["Authorizers"]["Jwt"]["JwtConfiguration"].update(issuer={"Fn::Sub": "${JwtIssuer}/"}),
        "the tokens of https://gym.eu.auth0.com/ are not",
    ),
    (
        rules.tokens_of_any_issuer_are_taken_to_the_letter,
        lambda raw: drop(raw, "UserPool", "UserPoolTier"),
        "tier, which has a price",
    ),
    (
        rules.what_a_route_takes_is_a_parameter,
        lambda raw: properties(raw, "Api")["DefaultRouteSettings"].update(ThrottlingRateLimit=100),
        "ThrottlingRateLimit is not RouteRate",
    ),
    (
        rules.what_a_route_takes_is_a_parameter,
        lambda raw: drop(raw, "Api", "RouteSettings"),
        "POST /waitlist has the rate of those with a token",
    ),
    (
        rules.the_api_may_have_a_name_of_its_own,
        lambda raw: raw["Resources"].pop("ApiDomainMapping"),
        "ApiDomain leads nowhere",
    ),
    (
        rules.the_api_may_have_a_name_of_its_own,
        lambda raw: raw["Resources"]["ApiDomainName"].pop("Condition"),
        "ApiDomainName is not there for ApiDomain alone",
    ),
    (
        rules.browsers_call_from_the_app_alone,
        lambda raw: properties(raw, "Api")["CorsConfiguration"].update(AllowOrigins=["*"]),
        "allowOrigins has a wildcard",
    ),
    (
        rules.browsers_call_from_the_app_alone,
        lambda raw: properties(raw, "Api")["CorsConfiguration"].update(AllowOrigins=["https://elsewhere.example"]),
        "other origins",
    ),
    (
        rules.policies_name_their_actions_and_resources,
        lambda raw: properties(raw, "SignupLink")["Policies"].append(policy(Action="sqs:*", Resource="arn:aws:sqs:::q")),
        "the action sqs:*",
    ),
    (
        rules.policies_name_their_actions_and_resources,
        lambda raw: properties(raw, "SignupLink")["Policies"].append(
            policy(Action=["sqs:SendMessage"], Resource=[{"Fn::If": ["HasVpc", "*", {"Ref": "AWS::NoValue"}]}])
        ),
        "no single resource",
    ),
    (
        rules.policies_name_their_actions_and_resources,
        lambda raw: properties(raw, "SignupLink")["Policies"].append("arn:aws:iam::aws:policy/AdministratorAccess"),
        "AdministratorAccess",
    ),
    (
        rules.every_role_is_bounded,
        lambda raw: raw["Globals"]["Function"].pop("PermissionsBoundary"),
        "SignupLinkRole has no boundary",
    ),
    (
        rules.mail_goes_out_by_one_address,
        lambda raw: invitations(raw).pop("Condition"),
        "sends from any address",
    ),
    (
        rules.mail_goes_out_by_one_address,
        lambda raw: invitations(raw).update(Resource=[{"Fn::Sub": "arn:aws:ses:x:1:identity/${MailDomain}"}]),
        "may not use :identity/*",
    ),
    (
        rules.every_function_has_a_role_of_its_own,
        lambda raw: [let(raw, name, Role={"Fn::GetAtt": ["Shared", "Arn"]}) for name in ("SignupLink", "Migrate")],
        "SignupLink shares its role",
    ),
    (
        rules.only_the_senders_may_send,
        lambda raw: properties(raw, "JoinWaitlist")["Policies"].append(policy(Action="sns:Publish", Resource="arn:aws:sns:::t")),
        "JoinWaitlist may send",
    ),
    (
        rules.only_the_senders_may_send,
        lambda raw: properties(raw, "DeliverInvitations")["Policies"].pop(),
        "DeliverInvitations may not send",
    ),
    (
        rules.who_is_told_of_a_secret_may_read_it_and_nobody_else,
        lambda raw: properties(raw, "Migrate").update(Policies=[]),
        "Migrate is told of DatabaseSecretArn",
    ),
    (
        rules.who_is_told_of_a_secret_may_read_it_and_nobody_else,
        lambda raw: raw["Globals"]["Function"]["Environment"]["Variables"].pop("DATABASE_SECRET_ID"),
        "SignupLink is not told of DatabaseSecretArn",
    ),
    (
        rules.who_is_told_of_a_secret_may_read_it_and_nobody_else,
        lambda raw: let(raw, "SignupLink", Environment={"Variables": {"DATABASE_SECRET_ID": {"Ref": "MigrationsDatabaseSecretArn"}}}),
        "SignupLink logs in as the owner",
    ),
    (
        rules.logs_are_kept_for_a_time_and_traces_made,
        lambda raw: drop(raw, "MigrateLog", "RetentionInDays"),
        "Migrate has no log group",
    ),
    (
        rules.logs_are_kept_for_a_time_and_traces_made,
        lambda raw: let(raw, "Migrate", LoggingConfig={"LogGroup": {"Ref": "SignupLinkLog"}}),
        "Migrate shares its log group",
    ),
    (
        rules.logs_are_kept_for_a_time_and_traces_made,
        lambda raw: raw["Globals"]["Function"].pop("LoggingConfig"),
        "does not log JSON",
    ),
    (
        rules.logs_are_kept_for_a_time_and_traces_made,
        lambda raw: let(raw, "SignupLink", Tracing="PassThrough"),
        "SignupLink is not traced",
    ),
    (
        rules.every_function_can_be_held_back,
        lambda raw: raw["Globals"]["Function"].pop("ReservedConcurrentExecutions"),
        "SignupLink takes as many",
    ),
    (
        rules.new_code_comes_by_the_alias,
        lambda raw: raw["Globals"]["Function"].pop("DeploymentPreference"),
        "no alias that CodeDeploy",
    ),
    (
        rules.new_code_comes_by_the_alias,
        lambda raw: raw["Globals"]["Function"]["DeploymentPreference"].pop("Alarms"),
        "does not go back on the alarms",
    ),
    (
        rules.new_code_comes_by_the_alias,
        lambda raw: let(raw, "SignupLink", DeploymentPreference={"Enabled": False}) or drop(raw, "SignupLink", "AutoPublishAlias"),
        "GET /me passes the alias by",
    ),
    (
        rules.new_code_comes_by_the_alias,
        lambda raw: raw["Globals"]["Function"]["DeploymentPreference"].pop("Hooks"),
        "SignupLink gets its traffic unseen",
    ),
    (
        rules.new_code_comes_by_the_alias,
        lambda raw: let(raw, "BeforeTraffic", FunctionName="before-traffic"),
        "CodeDeploy may not invoke",
    ),
    (
        rules.new_code_comes_by_the_alias,
        lambda raw: properties(raw, "BeforeTraffic")["Environment"]["Variables"].pop("VERSIONS"),
        "BeforeTraffic does not check SignupLink",
    ),
    (rules.a_release_makes_new_versions, lambda raw: drop(raw, "SignupLink", "AutoPublishCodeSha256"), "SignupLinkVersion"),
    (
        rules.nothing_waits_for_itself,
        lambda raw: raw["Globals"]["Function"]["DeploymentPreference"].update(Alarms=[{"Ref": "ApiErrors"}]),
        "a circle among",
    ),
    (
        rules.a_failed_creation_leaves_nothing_in_the_way,
        lambda raw: raw["Resources"]["MailDomainIdentity"].update(DeletionPolicy="Retain"),
        "MailDomainIdentity is lost with the stack, or in the way",
    ),
    (
        rules.a_failed_creation_leaves_nothing_in_the_way,
        lambda raw: let(raw, "UserPool", DeletionProtection="ACTIVE"),
        "UserPool can't be undone",
    ),
    (
        rules.a_failed_creation_leaves_nothing_in_the_way,
        lambda raw: raw["Parameters"]["UserPoolMail"].update(Default="ses"),
        "UserPool needs a verified identity",
    ),
    (
        rules.dead_letters_are_kept,
        lambda raw: raw["Resources"].pop("UnrecordedMailEventsPolicy"),
        "RecordMailEventsMailEvents loses",
    ),
    (rules.dead_letters_are_kept, lambda raw: drop(raw, "RecordMailEvents", "DeadLetterQueue"), "RecordMailEvents loses"),
    (
        rules.dead_letters_are_kept,
        lambda raw: properties(raw, "DeliverInvitations")["Events"]["EveryMinute"]["Properties"].pop("DeadLetterConfig"),
        "DeliverInvitationsEveryMinute loses",
    ),
    (rules.alarms_reach_somebody, lambda raw: drop(raw, "Throttles", "AlarmActions"), "Throttles has no AlarmActions"),
    (
        rules.alarms_reach_somebody,
        lambda raw: drop(raw, "Throttles", "TreatMissingData"),
        "Throttles has no TreatMissingData",
    ),
    (
        rules.alarms_tell_the_truth,
        lambda raw: let(raw, "DeadLetters", EvaluationPeriods=1),
        "DeadLetters forgets what it saw",
    ),
    (
        rules.alarms_tell_the_truth,
        lambda raw: let(raw, "RelayStopped", TreatMissingData="breaching"),
        "RelayStopped rings while the stack is made",
    ),
    (
        rules.alarms_tell_the_truth,
        lambda raw: drop(raw, "RelayStopped", "InsufficientDataActions"),
        "RelayStopped does not tell of silence",
    ),
    (
        rules.alarms_tell_the_truth,
        lambda raw: let(raw, "DatabaseCapacity", MetricName="FreeLocalStorage"),
        "DatabaseCapacity watches what an Aurora cluster does not count",
    ),
    (
        rules.alarms_tell_the_truth,
        lambda raw: properties(raw, "ServerErrors")["Metrics"].__setitem__(0, {"Id": "all", "Expression": "SUM(FILL(METRICS(), 0))"}),
        "ServerErrors is no share with a floor",
    ),
    (
        rules.alarms_tell_the_truth,
        lambda raw: properties(raw, "FunctionErrors")["Metrics"].extend(properties(raw, "Throttles")["Metrics"][2:]),
        "FunctionErrors is made of more than ten metrics",
    ),
    (
        rules.what_may_go_wrong_has_an_alarm,
        lambda raw: raw["Resources"].pop("TextMessageSpend"),
        "nobody is told of SMSMonthToDateSpentUSD",
    ),
    (
        rules.what_may_go_wrong_has_an_alarm,
        lambda raw: raw["Resources"].pop("InvitationsNotTaken"),
        "DeliverInvitations tries in vain",
    ),
    (
        rules.no_function_is_overlooked,
        lambda raw: properties(raw, "Throttles")["Metrics"].pop(),
        "Throttles does not know of RecordMailEvents",
    ),
    (
        rules.no_function_is_overlooked,
        lambda raw: let(raw, "Dashboard", DashboardBody={"Fn::Sub": '{"widgets": []}'}),
        "the dashboard does not show Migrate",
    ),
    (
        rules.the_dashboard_can_be_read,
        lambda raw: let(raw, "Dashboard", DashboardBody={"Fn::Sub": '{"widgets": [}'}),
        "no JSON",
    ),
    (
        rules.the_dashboard_can_be_read,
        lambda raw: properties(raw, "Dashboard")["DashboardBody"]["Fn::Sub"][1].update(
            DatabaseWidget={"Fn::Sub": ', {"x": 16, "y": 24, "width": 8, "height": 6, "properties": {"title": "Connections", "metrics": [["AWS/RDS", "DatabaseConnections", "DBClusterIdentifier", "${DatabaseClusterId}"]]}}'}
        ),
        "Connections has an empty dimension",
    ),
    (
        rules.parameters_explain_and_defend_themselves,
        lambda raw: raw["Parameters"].update(Extra={"Type": "String"}),
        "Extra takes anything",
    ),
]


@pytest.mark.parametrize(("rule", "breakage", "fault"), BREAKAGES, ids=[fault for _, _, fault in BREAKAGES])
def test_a_rule_notices_what_breaks_it(rule, breakage, fault):
    raw = copy.deepcopy(RAW)
    breakage(raw)
    assert fault in "\n".join(rule(translated(raw)))


def test_every_rule_is_broken_once():
    assert {rule for rule, _, _ in BREAKAGES} == set(rules.RULES)


# The events of mails: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html, as far as the rule
# needs it. A list of the pattern has the value, or one of the values that a list of the event has.


# One sample of each kind that the function reads.
FATES = ["delivered", "delayed", "bounced-for-good", "complained", "rejected", "rendering-failed"]


def matches(pattern, event):
    if isinstance(pattern, dict):
        return isinstance(event, dict) and all(key in event and matches(inner, event[key]) for key, inner in pattern.items())
    return any(value in pattern for value in as_list(event))


def sample(name):
    return json.loads((ROOT / "events/record-mail-events" / f"{name}.json").read_text())


@pytest.fixture
def pattern():
    (rule,) = of_type(translated(RAW), "AWS::Events::Rule").values()
    # The samples are of a configuration set of this name.
    text = json.dumps(rule["Properties"]["EventPattern"]).replace('{"Ref": "MailConfigurationSet"}', '"gymbrah"')
    return json.loads(text)


@pytest.mark.parametrize("name", [*FATES, "bounced-for-now"])
def test_events_of_the_stacks_own_mails_reach_the_function(pattern, name):
    assert matches(pattern, sample(name))


def test_events_of_another_stacks_mails_do_not(pattern):
    event = sample("delivered")
    event["detail"]["mail"]["tags"]["ses:configuration-set"] = ["gymbrah-dev"]
    assert not matches(pattern, event)


@pytest.mark.parametrize("name", ["opened", "not-a-mail-event"])
def test_other_events_do_not(pattern, name):
    assert not matches(pattern, sample(name))


def test_ses_publishes_what_the_rule_asks_for(pattern):
    published = properties(RAW, "MailEventsToEventBridge")["EventDestination"]["MatchingEventTypes"]
    kinds = {sample(name)["detail"]["eventType"].replace("DeliveryDelay", "Delivery_Delay").upper().replace(" ", "_") for name in FATES}
    assert kinds == set(published)
    assert {sample(name)["detail-type"] for name in FATES} == set(pattern["detail-type"])
