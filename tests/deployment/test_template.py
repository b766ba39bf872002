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


def policy(**statement):
    return {"Statement": [{"Sid": "X", "Effect": "Allow", **statement}]}


# A rule, what breaks it, and a word of the fault that it must find.
BREAKAGES = [
    (
        rules.every_route_needs_a_token,
        lambda raw: drop(raw, "Api", "Auth") or properties(raw, "JoinWaitlist")["Events"]["Join"]["Properties"].pop("Auth"),
        "there is no JWT authorizer",
    ),
    (
        rules.every_route_needs_a_token,
        lambda raw: properties(raw, "SignupLink")["Events"]["WhoAmI"]["Properties"].update(Auth={"Authorizer": "NONE"}),
        "GET /me is open",
    ),
    (
        rules.every_route_needs_a_token,
        lambda raw: properties(raw, "JoinWaitlist")["Events"]["Join"]["Properties"].pop("Auth"),
        "POST /waitlist is not open",
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
        rules.who_is_told_of_the_secret_may_read_it_and_nobody_else,
        lambda raw: properties(raw, "Migrate").update(Policies=[]),
        "Migrate is told of the secret",
    ),
    (
        rules.who_is_told_of_the_secret_may_read_it_and_nobody_else,
        lambda raw: raw["Globals"]["Function"]["Environment"]["Variables"].pop("DATABASE_SECRET_ID"),
        "SignupLink is not told of the secret",
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
    (rules.a_release_makes_new_versions, lambda raw: drop(raw, "SignupLink", "AutoPublishCodeSha256"), "SignupLinkVersion"),
    (
        rules.nothing_waits_for_itself,
        lambda raw: raw["Globals"]["Function"]["DeploymentPreference"].update(Alarms=[{"Ref": "ApiErrors"}]),
        "a circle among",
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
FATES = ["delivered", "bounced-for-good", "complained", "rejected", "rendering-failed"]


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
    kinds = {sample(name)["detail"]["eventType"].upper().replace(" ", "_") for name in FATES}
    assert kinds == set(published)
    assert {sample(name)["detail-type"] for name in FATES} == set(pattern["detail-type"])
