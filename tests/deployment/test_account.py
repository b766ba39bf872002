"""What must hold of the templates that a person deploys: the database, where its backups are copied to, and the deploying role."""

import json
import re

import pytest
from samtranslator.yaml_helper import yaml_parse

from rules import as_deployed, as_list, of_type, references
from translation import ROOT, template, translated

DATABASE = yaml_parse((ROOT / "database.yaml").read_text())
ROLE = yaml_parse((ROOT / "deploy/role.yaml").read_text())


def properties(name):
    return DATABASE["Resources"][name]["Properties"]


def deployed(value, **parameters):
    return as_deployed(DATABASE, value, **parameters)


def test_the_cluster_has_a_key_of_its_own_that_outlives_it():
    assert references(properties("Cluster")["KmsKeyId"]) == {"Key"}
    assert DATABASE["Resources"]["Key"]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert properties("Key")["PendingWindowInDays"] == 30


def test_a_failed_creation_can_be_undone_and_a_good_one_protected():
    assert deployed(properties("Cluster")["DeletionProtection"]) == "false"
    assert deployed(properties("Cluster")["DeletionProtection"], DeletionProtection="true") == "true"


def test_a_copy_of_each_day_is_kept_where_it_is_locked_and_elsewhere_where_that_is_given():
    assert deployed(properties("BackupVault")["LockConfiguration"]) == {"MinRetentionDays": 35}
    assert references(properties("BackupSelection")) >= {"Cluster", "BackupRole"}
    (rule,) = deployed(properties("BackupPlan"), BackupCopyVaultArn="arn:elsewhere")["BackupPlan"]["BackupPlanRule"]
    assert [copy["DestinationBackupVaultArn"] for copy in rule["CopyActions"]] == ["arn:elsewhere"]


def test_only_the_functions_go_by_the_proxy_and_not_as_the_owner_of_the_tables():
    (login,) = properties("ConnectionProxy")["Auth"]
    assert login["SecretArn"] == {"Ref": "FunctionsSecret"}
    role = re.search(r"CREATE ROLE (\w+)", (ROOT / "migrations/V0010__roles.sql").read_text())[1]
    assert json.loads(properties("FunctionsSecret")["GenerateSecretString"]["SecretStringTemplate"]) == {"username": role}
    outputs = {name: references(output["Value"]) for name, output in DATABASE["Outputs"].items()}
    assert (outputs["DatabaseSecretArn"], outputs["MigrationsDatabaseSecretArn"]) == ({"FunctionsSecret"}, {"Cluster"})


def test_a_version_with_long_term_support_stays_what_it_is():
    for instance in of_type(DATABASE, "AWS::RDS::DBInstance").values():
        assert instance["Properties"]["AutoMinorVersionUpgrade"] is False


@pytest.mark.parametrize("egress", ["endpoints", "nat"])
def test_the_way_in_is_there_for_whoever_asks_for_it_alone(egress):
    there = {
        name
        for name, resource in DATABASE["Resources"].items()
        if "Condition" in resource and deployed({"Condition": resource["Condition"]}, Access="true", Egress=egress)
    }
    assert {"AccessInstance", "ClusterFromAccess"} <= there
    # Without a way to the internet the instance needs Session Manager's endpoints.
    assert ("SessionEndpoint" in there) == (egress == "endpoints")
    assert not deployed({"Condition": DATABASE["Resources"]["AccessInstance"]["Condition"]})


def statements():
    for policy in ROLE["Resources"]["Role"]["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def test_the_deploying_role_makes_no_role_without_the_boundary():
    for statement in statements():
        changes = {"iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy"} & set(as_list(statement["Action"]))
        if changes:
            assert statement["Condition"]["StringEquals"]["iam:PermissionsBoundary"] == {"Ref": "Boundary"}, changes
        for action in as_list(statement["Action"]):
            assert action not in ("iam:*", "*", "iam:PutRolePermissionsBoundary", "iam:DeleteRolePermissionsBoundary")
            assert action != "iam:CreatePolicyVersion"


def test_the_boundary_allows_whatever_a_role_of_the_stack_is_given_and_nothing_about_roles():
    (boundary,) = ROLE["Resources"]["Boundary"]["Properties"]["PolicyDocument"]["Statement"]
    allowed = set(boundary["Action"])
    assert not any(action.startswith(("iam:", "sts:")) or "*" in action for action in allowed)
    stack = translated(template())
    for role in of_type(stack, "AWS::IAM::Role").values():
        for policy in role["Properties"].get("Policies", []):
            for statement in as_list(policy["PolicyDocument"]["Statement"]):
                assert set(as_list(statement["Action"])) <= allowed
    for policy in of_type(stack, "AWS::IAM::RolePolicy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert set(as_list(statement["Action"])) <= allowed


# What each kind of resource needs that IAM grants on no single resource, as AWS's service authorization reference has it.
NEEDED_ON_EVERYTHING = {
    "AWS::SNS::Subscription": {"sns:Unsubscribe", "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes"},
    "AWS::CodeDeploy::DeploymentGroup": {"codedeploy:StopDeployment", "codedeploy:GetDeploymentConfig"},
    "AWS::Lambda::Function": {"ec2:DescribeNetworkInterfaces", "lambda:GetAccountSettings"},
    "AWS::SES::ConfigurationSetEventDestination": {"ses:DescribeConfigurationSet"},
    "AWS::Logs::LogGroup": {"logs:DescribeLogGroups", "logs:DescribeIndexPolicies"},
    "AWS::Cognito::UserPoolClient": {"cognito-idp:ListUserPoolClientSecrets", "cognito-idp:DescribeUserPoolClient"},
}


def test_what_is_granted_on_no_single_resource_is_granted():
    granted = {action for s in statements() if s["Resource"] == "*" for action in as_list(s["Action"])}
    kinds = {resource["Type"] for resource in translated(template())["Resources"].values()}
    for kind, needed in NEEDED_ON_EVERYTHING.items():
        assert kind in kinds and needed <= granted, (kind, needed - granted)


def test_a_role_has_no_more_of_policies_than_iam_takes():
    for policy in ROLE["Resources"]["Role"]["Properties"]["Policies"]:
        # 10,240 characters for all of a role's together, without white space.
        text = json.dumps(policy["PolicyDocument"], separators=(",", ":")).replace('{"Fn::Sub":', "").replace("}", "")
        assert len(text) < 6_000
