"""The way from a commit to a running system, as far as it goes without an account at AWS.

`.ci/run` runs it, after .ci/arm64 has built with deploy/build.sh into target/ci/build-arm64.
"""

import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile
from contextlib import ExitStack, contextmanager, redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest import mock

import boto3
import pytest
import tomlkit
from samcli.yamlhelper import yaml_parse

from aws import REGION, Aws, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "deploy"))
import deploy  # noqa: E402
import restore  # noqa: E402
import rotate  # noqa: E402
import smoke  # noqa: E402

BUILD = ROOT / "target" / "ci" / "build-arm64"

STACK = "gymbrah-onboarding-staging"

# What a team sets for a stage, besides the role and who gets the alarms; and its own application, if it has one.
VARIABLES = {
    "DATABASE_STACK": f"arn:aws:cloudformation:{REGION}:123456789012:stack/gymbrah-database/0a1b",
    "MAIL_DOMAIN": "example.com",
}

# The same for a team with a database of its own.
OWN_DATABASE = {
    "DATABASE_SECRET_ARN": f"arn:aws:secretsmanager:{REGION}:123456789012:secret:functions",
    "MIGRATIONS_DATABASE_SECRET_ARN": f"arn:aws:secretsmanager:{REGION}:123456789012:secret:owner",
    "MAIL_DOMAIN": "example.com",
}

# What database.yaml puts out.
OUTPUTS = {
    "DatabaseSecretArn": f"arn:aws:secretsmanager:{REGION}:123456789012:secret:functions",
    "MigrationsDatabaseSecretArn": f"arn:aws:secretsmanager:{REGION}:123456789012:secret:rds!cluster-1",
    "DatabaseHost": "proxy.example",
    "SubnetIds": "subnet-1,subnet-2",
}

# Found in the account, where there is one to look into.
FOUND = {"AppUrl": "https://api.example.com"}


class Deployment(unittest.TestCase):
    """deploy.py with the real bundles, the real sam, and moto in the place of AWS."""

    def setUp(self):
        with ExitStack() as opened:
            self.aws = opened.enter_context(Aws())
            opened.enter_context(mock.patch.dict(os.environ, self.aws.environment()))
            self.smoke = opened.enter_context(mock.patch.object(smoke, "check"))
            self.build = Path(opened.enter_context(tempfile.TemporaryDirectory())) / "build"
            self.addCleanup(opened.pop_all().close)
        shutil.copytree(BUILD, self.build)
        shutil.copytree(BUILD.parent / "layers", self.build.parent / "layers")

    def deploy(self, *arguments, **environment):
        said = io.StringIO()
        with redirect_stdout(said):
            deploy.main(["staging", "--build", str(self.build), *arguments], OWN_DATABASE | environment)
        return said.getvalue()

    def parameters(self) -> dict[str, str]:
        """What the stack was deployed with last."""
        (stack,) = boto3.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return {given["ParameterKey"]: given["ParameterValue"] for given in stack["Parameters"]}

    def edit(self, function: str):
        with self.bootstrap(function).open("ab") as bootstrap:
            bootstrap.write(b"another version")

    def bootstrap(self, function: str) -> Path:
        return deploy.Build(self.build).functions[function] / "bootstrap"

    def deployed(self) -> dict[str, str]:
        """The CodeSha256 of every function, by logical id."""
        names = deploy.resources(boto3.client("cloudformation"), STACK)
        configuration = boto3.client("lambda").get_function_configuration
        return {
            function: configuration(FunctionName=names[function])["CodeSha256"] for function in deploy.Build(self.build).functions
        }

    def test_a_new_stack_has_the_code_that_was_built_and_is_migrated_after_that(self):
        self.deploy()

        # Once more with its own address, which nobody knew before.
        self.assertEqual(self.aws.events, ["deploy", "invoke", "deploy"])
        self.assertEqual(self.parameters()["AppUrl"], "https://api.example.com")
        self.assertEqual(self.parameters()["DeletionProtection"], "true")
        self.assertRegex(self.smoke.call_args.args[0], "^https://")
        self.assertEqual(len(self.deployed()), 8)

        s3 = boto3.client("s3")
        bucket = s3.list_buckets()["Buckets"][0]["Name"]
        uploaded = {}
        for entry in s3.list_objects_v2(Bucket=bucket, Prefix="gymbrah-onboarding-staging")["Contents"]:
            body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            if zipfile.is_zipfile(io.BytesIO(body)):
                uploaded[deploy.digest(body)] = zipfile.ZipFile(io.BytesIO(body))
        for function, code in self.deployed().items():
            with self.subTest(function):
                self.assertEqual(uploaded[code].namelist(), ["bootstrap"])
                self.assertEqual(uploaded[code].read("bootstrap"), self.bootstrap(function).read_bytes())
                # Lambda runs only what everybody may read and run.
                self.assertEqual(uploaded[code].getinfo("bootstrap").external_attr >> 16 & 0o777, 0o755)

    def test_a_stack_that_is_there_is_migrated_by_its_new_code_before_the_rest_changes(self):
        self.deploy()
        before = self.deployed()
        self.edit("Migrate")
        self.edit("JoinWaitlist")
        self.aws.events.clear()
        self.deploy()

        self.assertEqual(self.aws.events, ["code", "invoke", "deploy"])
        after = self.deployed()
        self.assertEqual({name for name in after if after[name] != before[name]}, {"Migrate", "JoinWaitlist"})

    def test_migrations_that_fail_end_the_deployment_with_their_reason_and_the_old_code_stays(self):
        self.deploy()
        before = self.deployed()
        self.edit("Migrate")
        self.edit("JoinWaitlist")
        self.aws.events.clear()
        self.aws.answer = ({"errorType": "MigrationError", "errorMessage": "V0009__x: no such table (SQLSTATE 42P01)"}, True)

        with self.assertRaisesRegex(SystemExit, r"the migrations failed: V0009__x: no such table \(SQLSTATE 42P01\)"):
            self.deploy()
        self.assertEqual(self.aws.events, ["code", "invoke"])
        after = self.deployed()
        self.assertEqual({name for name in after if after[name] != before[name]}, {"Migrate"})

    def test_code_that_was_not_built_is_found(self):
        self.deploy()
        names = deploy.resources(boto3.client("cloudformation"), STACK)
        build = deploy.Build(self.build)
        functions = boto3.client("lambda")
        functions.update_function_code(FunctionName=names["JoinWaitlist"], ZipFile=build.bundle("Migrate"))
        with self.assertRaisesRegex(SystemExit, "JoinWaitlist has the code"):
            deploy.compare(build, functions, names)


# One process, so that it deploys once.
@pytest.mark.xdist_group("around a deployment")
class AroundADeployment(unittest.TestCase):
    """What deploy.py does before and after sam, which has deployed once here, and is only asked from then on."""

    @classmethod
    def setUpClass(cls):
        with ExitStack() as opened:
            cls.aws = opened.enter_context(Aws())
            opened.enter_context(mock.patch.dict(os.environ, cls.aws.environment()))
            cls.smoke = opened.enter_context(mock.patch.object(smoke, "check"))
            opened.enter_context(redirect_stdout(io.StringIO()))
            deploy.main(["staging", "--build", str(BUILD)], OWN_DATABASE | {"GITHUB_RUN_NUMBER": "41", "GITHUB_SHA": "a" * 40})
            cls.addClassCleanup(opened.pop_all().close)

    def setUp(self):
        def asked(_build, _stage, _region, overrides):
            self.aws.events.append("deploy")
            self.deployed_with = overrides

        patched = mock.patch.object(deploy, "sam_deploy", asked)
        patched.start()
        self.addCleanup(patched.stop)
        self.aws.events.clear()
        self.aws.status = None
        self.smoke.reset_mock()

    def deploy(self, *arguments, **environment):
        said = io.StringIO()
        with redirect_stdout(said):
            deploy.main(["staging", "--build", str(BUILD), *arguments], OWN_DATABASE | environment)
        return said.getvalue()

    def test_a_stack_that_is_made_is_protected(self):
        self.assertTrue(self.aws.is_protected)
        cloudformation = boto3.client("cloudformation")
        policy = cloudformation.get_stack_policy(StackName=STACK)["StackPolicyBody"]
        self.assertIn("LogicalResourceId/UserPool", policy)
        # What the policy names is in the template.
        self.assertLessEqual(set(deploy.PRECIOUS), set(deploy.Build(BUILD).template["Resources"]))

    def test_a_first_creation_that_failed_is_cleared_away(self):
        self.aws.status = "ROLLBACK_COMPLETE"
        said = self.deploy()
        self.assertIn("the first creation of gymbrah-onboarding-staging failed", said)
        self.assertEqual(self.aws.events, ["delete", "deploy", "invoke", "deploy"])

    def test_a_stack_that_is_at_work_or_stuck_is_left_alone(self):
        for status, reason in (("UPDATE_IN_PROGRESS", "is at work"), ("UPDATE_ROLLBACK_FAILED", "is UPDATE_ROLLBACK_FAILED")):
            self.aws.events.clear()
            self.aws.status = status
            with self.subTest(status), self.assertRaisesRegex(SystemExit, reason):
                self.deploy()
            self.assertEqual(self.aws.events, [])

    def test_a_function_that_nobody_has_invoked_for_weeks_is_woken(self):
        self.aws.asleep = 1
        self.assertIn("applied: nothing", self.deploy())
        self.assertEqual(self.aws.events, ["code", "refused", "invoke", "deploy"])

    def test_while_the_functions_are_stopped_nothing_is_migrated_before_nor_shifted_bit_by_bit_nor_tried(self):
        self.deploy("--stopped")
        # The migrating function comes last: it is the first to see the restored database.
        self.assertEqual(self.aws.events, ["deploy", "invoke"])
        self.assertEqual(self.deployed_with["Deployment"], "AllAtOnce")
        self.smoke.assert_not_called()

    def test_an_older_build_does_not_overtake_a_newer_one(self):
        with self.assertRaisesRegex(SystemExit, "run 41 is deployed already, and this is run 40"):
            self.deploy(GITHUB_RUN_NUMBER="40", GITHUB_SHA="b" * 40)
        self.assertEqual(self.aws.events, [])
        for meant in ({"GITHUB_RUN_NUMBER": "40", "OLDER_BUILD": "1"}, {"GITHUB_RUN_NUMBER": "41"}, {}):
            self.deploy(**meant)

    def test_an_account_with_few_environments_reserves_none(self):
        self.aws.environments = 10
        said = self.deploy()
        self.aws.environments = 1000
        self.assertIn("the account has 10 environments", said)
        self.assertEqual(self.deployed_with["ApiConcurrency"], "0")
        self.deploy()
        self.assertEqual(self.deployed_with["ApiConcurrency"], "5")

    def test_an_identity_of_somebody_else_is_found_and_ses_sends_for_cognito_once_it_may(self):
        account = deploy.Account(boto3.Session(), {})
        self.assertEqual(account.mail_identity("example.com"), "create")
        boto3.client("sesv2").create_email_identity(EmailIdentity="example.com")
        self.assertEqual(account.mail_identity("example.com"), "exists")
        self.assertEqual(deploy.Account(boto3.Session(), {"MailDomainIdentity": "example.com"}).mail_identity("example.com"), "create")
        for verified, production, expected in ((True, True, "ses"), (True, False, "cognito"), (False, True, "cognito")):
            sesv2 = mock.Mock()
            sesv2.get_email_identity.return_value = {"VerifiedForSendingStatus": verified}
            sesv2.get_account.return_value = {"ProductionAccessEnabled": production}
            found = deploy.Account(mock.Mock(client=lambda _, it=sesv2: it), {}).user_pool_mail("example.com")
            self.assertEqual(found, expected)

    def test_the_boundary_of_the_deploying_role_is_found(self):
        self.assertIsNone(deploy.Account(boto3.Session(), {}).boundary("staging"))
        statement = {"Effect": "Allow", "Action": "sns:Publish", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        boto3.client("iam").create_policy(PolicyName="gymbrah-onboarding-staging-boundary", PolicyDocument=document)
        arn = deploy.Account(boto3.Session(), {}).boundary("staging")
        self.assertTrue(arn.endswith(":policy/gymbrah-onboarding-staging-boundary"))
        name = yaml_parse((ROOT / "deploy/role.yaml").read_text())["Resources"]["Boundary"]["Properties"]["ManagedPolicyName"]
        self.assertEqual(str(name).count("gymbrah-onboarding-${Stage}-boundary"), 1)

    def test_versions_that_nothing_goes_back_to_are_removed_and_the_aliass_own_never(self):
        functions = boto3.client("lambda")
        name, document = "pruned", json.dumps({"Version": "2012-10-17", "Statement": []})
        role = boto3.client("iam").create_role(RoleName="pruned", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        code = {"ZipFile": zipped("first")}
        functions.create_function(FunctionName=name, Runtime="provided.al2023", Role=role, Handler="x", Code=code)
        for n in range(deploy.KEPT_VERSIONS + 3):
            functions.update_function_code(FunctionName=name, ZipFile=zipped(f"version {n}"))
            functions.publish_version(FunctionName=name)
        existing = {v["Version"] for v in functions.list_versions_by_function(FunctionName=name)["Versions"]} - {"$LATEST"}
        oldest = min(existing, key=int)
        functions.create_alias(FunctionName=name, Name="kept", FunctionVersion=oldest)
        with redirect_stdout(io.StringIO()):
            deploy.prune(functions, {"Pruned": name}, ["Pruned"])
        left = {v["Version"] for v in functions.list_versions_by_function(FunctionName=name)["Versions"]} - {"$LATEST"}
        self.assertEqual(left, {oldest, *sorted(existing, key=int)[-deploy.KEPT_VERSIONS:]})

    def test_the_check_signs_in_as_somebody_without_a_proved_address(self):
        cognito = boto3.client("cognito-idp")
        pool = cognito.create_user_pool(PoolName="x", UsernameAttributes=["email"])["UserPool"]["Id"]
        flows = ["ALLOW_ADMIN_USER_PASSWORD_AUTH"]
        client = cognito.create_user_pool_client(UserPoolId=pool, ClientName="x", ExplicitAuthFlows=flows)["UserPoolClient"]["ClientId"]
        known = {"UserPoolId": pool, "CheckClientId": client}
        for _ in range(2):
            token = deploy.token_of_nobody(boto3.Session(), known, {})
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
            self.assertEqual((claims["token_use"], claims["aud"]), ("id", client))
            self.assertIn(claims.get("email_verified", "false"), (False, "false"))
        self.assertEqual(deploy.token_of_nobody(boto3.Session(), {}, {"SMOKE_TOKEN": "t"}), "t")
        self.assertIsNone(deploy.token_of_nobody(boto3.Session(), {}, {}))

    def test_a_rotation_stores_a_new_password_and_has_the_database_told(self):
        vault, functions = boto3.client("secretsmanager"), boto3.client("lambda")
        secret = '{"username": "onboarding_functions", "password": "old"}'
        arn = vault.create_secret(Name="functions", SecretString=secret)["ARN"]
        migrate = deploy.resources(boto3.client("cloudformation"), STACK)["Migrate"]
        functions.update_function_configuration(FunctionName=migrate, Environment={"Variables": {"FUNCTIONS_SECRET_ID": arn}})
        with redirect_stdout(io.StringIO()):
            rotate.main(["staging"])
        self.assertEqual(self.aws.events, ["invoke"])
        now = json.loads(vault.get_secret_value(SecretId=arn)["SecretString"])
        self.assertEqual((now["username"], len(now["password"])), ("onboarding_functions", 40))


class Restoring(unittest.TestCase):
    """deploy/restore.py, as far as moto goes: the steps, their order, and what is where afterwards."""

    def setUp(self):
        with ExitStack() as opened:
            aws = opened.enter_context(Aws())
            opened.enter_context(mock.patch.dict(os.environ, aws.environment()))
            opened.enter_context(mock.patch.object(restore, "PAUSE", 0))
            opened.enter_context(redirect_stdout(io.StringIO()))
            opened.enter_context(contextlib.chdir(opened.enter_context(tempfile.TemporaryDirectory())))
            self.addCleanup(opened.pop_all().close)
        self.rds = boto3.client("rds")

    def cluster(self):
        ec2 = boto3.client("ec2")
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
        self.rds.create_db_subnet_group(DBSubnetGroupName="g", DBSubnetGroupDescription="g", SubnetIds=subnets)
        self.rds.create_db_cluster(
            DBClusterIdentifier="onboarding",
            Engine="aurora-postgresql",
            MasterUsername="onboarding",
            MasterUserPassword="long-enough",
            DBSubnetGroupName="g",
            ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 4},
        )
        for name in ("onboarding-a", "onboarding-b"):
            self.rds.create_db_instance(
                DBInstanceIdentifier=name,
                DBClusterIdentifier="onboarding",
                DBInstanceClass="db.serverless",
                Engine="aurora-postgresql",
            )
        role = "arn:aws:iam::123456789012:role/proxy"
        auth = [{"AuthScheme": "SECRETS", "SecretArn": "arn:aws:secretsmanager:x:1:secret:s", "IAMAuth": "DISABLED"}]
        self.rds.create_db_proxy(
            DBProxyName="onboarding", EngineFamily="POSTGRESQL", Auth=auth, RoleArn=role, VpcSubnetIds=subnets
        )
        self.rds.register_db_proxy_targets(DBProxyName="onboarding", DBClusterIdentifiers=["onboarding"])

    def test_the_restored_cluster_takes_the_name_and_the_proxy_of_the_one_that_stays(self):
        self.cluster()
        restore.main(["copy", "onboarding", "2026-11-22T12:34:56Z"])
        restored = restore.about(self.rds, "onboarding-restored")
        self.assertEqual(len(restore.instances_of(self.rds, "onboarding-restored")), 2)
        with self.assertRaisesRegex(SystemExit, "is there already"):
            restore.main(["copy", "onboarding", "2026-11-22T12:34:56Z"])

        restore.main(["swap", "onboarding"])
        names = [cluster["DBClusterIdentifier"] for cluster in self.rds.describe_db_clusters()["DBClusters"]]
        self.assertEqual(len(names), 2)
        self.assertIn("onboarding", names)
        (before,) = set(names) - {"onboarding"}
        self.assertRegex(before, r"^onboarding-before-\d{12}$")
        self.assertEqual(restore.about(self.rds, "onboarding")["DbClusterResourceId"], restored["DbClusterResourceId"])
        instances = restore.names_of(restore.instances_of(self.rds, "onboarding"))
        self.assertEqual(instances, ["onboarding-a", "onboarding-b"])

    def test_without_a_restored_cluster_nothing_is_renamed(self):
        self.cluster()
        with self.assertRaisesRegex(SystemExit, "`copy` comes first"):
            restore.main(["swap", "onboarding"])
        with self.assertRaisesRegex(SystemExit, "there is no cluster elsewhere"):
            restore.main(["copy", "elsewhere", "2026-11-22T12:34:56Z"])

    def test_functions_are_stopped_let_migrate_and_given_back_what_they_had(self):
        functions = boto3.client("lambda")
        document = json.dumps({"Version": "2012-10-17", "Statement": []})
        role = boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        code = {"ZipFile": zipped("x")}
        for name in ("free", "held", "migrate"):
            functions.create_function(FunctionName=name, Runtime="provided.al2023", Role=role, Handler="x", Code=code)
        functions.put_function_concurrency(FunctionName="held", ReservedConcurrentExecutions=7)
        functions.put_function_concurrency(FunctionName="migrate", ReservedConcurrentExecutions=1)
        reserved = lambda: [restore.reserved(functions, name) for name in ("free", "held", "migrate")]  # noqa: E731

        of_stack = mock.patch.object(restore, "functions_of", lambda _: ["free", "held", "migrate"])
        migrating = {"StackResourceDetail": {"PhysicalResourceId": "migrate"}}
        with of_stack:
            restore.main(["stop", "a-stack"])
            self.assertEqual(reserved(), [0, 0, 0])
            with self.assertRaisesRegex(SystemExit, "has been stopped already"):
                restore.main(["stop", "a-stack"])
        cloudformation = mock.Mock()
        cloudformation.describe_stack_resource.return_value = migrating
        client = boto3.client
        with mock.patch.object(boto3, "client", lambda kind: cloudformation if kind == "cloudformation" else client(kind)):
            restore.main(["migrate", "a-stack"])
        self.assertEqual(reserved(), [0, 0, 1])
        restore.main(["start", "a-stack"])
        self.assertEqual(reserved(), [None, 7, 1])
        with self.assertRaisesRegex(SystemExit, "was not stopped from here"):
            restore.main(["start", "a-stack"])

    def test_a_stack_without_a_function_is_no_stack_that_was_stopped(self):
        with mock.patch.object(boto3, "client") as client:
            client().get_paginator().paginate.return_value = [{"StackResourceSummaries": []}]
            with self.assertRaisesRegex(SystemExit, "has no function"):
                restore.functions_of("gymbrah-onboarding")


class BeforeTraffic(unittest.TestCase):
    """The hook, with its own code out of the template."""

    def setUp(self):
        hook = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]["BeforeTraffic"]["Properties"]
        self.code = hook["Code"]["ZipFile"]
        self.hook = {}
        exec(self.code, self.hook)
        self.versions = " ".join(f"{name}=arn:{name}:7" for name in self.hook["CHECKS"])

    def status(self, group, answer, deployment="Canary10Percent5Minutes"):
        """What CodeDeploy is told, and which versions were invoked."""
        codedeploy, functions = mock.Mock(), mock.Mock()
        codedeploy.get_deployment.return_value = {"deploymentInfo": {"deploymentGroupName": group}}
        functions.invoke.side_effect = answer
        clients = {"codedeploy": codedeploy, "lambda": functions}
        variables = {"VERSIONS": self.versions, "DEPLOYMENT": deployment}
        event = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e-1"}
        with mock.patch.dict(os.environ, variables), mock.patch.object(boto3, "client", lambda kind, **_: clients[kind]):
            with redirect_stdout(io.StringIO()), contextlib.suppress(RuntimeError):
                self.hook["handler"](event, None)
        told = codedeploy.put_lifecycle_event_hook_execution_status.call_args.kwargs
        self.assertEqual((told["deploymentId"], told["lifecycleEventHookExecutionId"]), ("d-1", "e-1"))
        return told["status"], [call.kwargs["FunctionName"] for call in functions.invoke.call_args_list]

    def right(self, **call):
        name = call["FunctionName"].split(":")[1]
        status = self.hook["CHECKS"][name][1]
        return {"Payload": io.BytesIO(json.dumps({"statusCode": status} if status else {}).encode())}

    def test_it_fits_into_a_template(self):
        self.assertLess(len(self.code), 4096)

    def test_the_version_of_the_deployments_own_function_is_tried(self):
        for name in self.hook["CHECKS"]:
            group = f"{STACK}-{name}DeploymentGroup-1ABC"
            self.assertEqual(self.status(group, self.right), ("Succeeded", [f"arn:{name}:7"]))

    def test_where_the_group_tells_nothing_all_are_tried(self):
        status, tried = self.status("another name", self.right)
        self.assertEqual((status, len(tried)), ("Succeeded", len(self.hook["CHECKS"])))

    def test_a_wrong_status_a_failure_and_a_refusal_keep_the_traffic_away(self):
        group = f"{STACK}-SignupLinkDeploymentGroup-1ABC"
        payload = lambda body: io.BytesIO(json.dumps(body).encode())  # noqa: E731
        for answer in (
            lambda **_: {"Payload": payload({"statusCode": 503})},
            lambda **_: {"FunctionError": "Unhandled", "Payload": payload({"errorMessage": "exit status 1"})},
            RuntimeError("throttled"),
        ):
            self.assertEqual(self.status(group, answer)[0], "Failed")

    def test_while_functions_are_stopped_nothing_is_tried(self):
        self.assertEqual(self.status("x", RuntimeError(), "AllAtOnce"), ("Succeeded", []))


class Settings(unittest.TestCase):
    def parameters(self, environment, of_stage="", of_database=(), found=()):
        template = yaml_parse((ROOT / "template.yaml").read_text())
        return deploy.parameters(template, of_stage, dict(of_database), environment, dict(found))

    def test_five_variables_are_enough_and_the_document_names_them(self):
        self.parameters(VARIABLES, of_database=OUTPUTS, found=FOUND)
        with self.assertRaises(SystemExit) as missing:
            self.parameters({}, found=FOUND)
        asked_for = set(str(missing.exception).partition(": ")[2].partition(" (")[0].split(", "))
        self.assertEqual(asked_for, set(OWN_DATABASE))
        document = (ROOT / "docs" / "OPERATIONS.md").read_text()
        table = document.partition("## What a team sets")[2].partition("Every other parameter")[0]
        five = {"AWS_ROLE_ARN", "ALARM_EMAIL", "APP_URL", *VARIABLES}
        self.assertEqual({line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}, five)
        given = self.parameters(VARIABLES | {"ALARM_EMAIL": "a@example.com"}, of_database=OUTPUTS, found=FOUND)
        self.assertEqual(given["AlarmEmail"], "a@example.com")

    def test_the_databases_stack_says_where_it_is_and_a_variable_goes_before_it(self):
        given = self.parameters(VARIABLES | {"DATABASE_HOST": ""}, of_database=OUTPUTS | {"AnotherOutput": "x"}, found=FOUND)
        for name, value in OUTPUTS.items():
            self.assertEqual(given[name], value)
        self.assertNotIn("AnotherOutput", given)
        named = self.parameters(VARIABLES | {"DATABASE_HOST": "db.example"}, of_database=OUTPUTS, found=FOUND)
        self.assertEqual(named["DatabaseHost"], "db.example")

    def test_what_is_found_goes_before_the_stage_and_a_variable_before_that(self):
        found = FOUND | {"ApiConcurrency": "0"}
        self.assertEqual(self.parameters(OWN_DATABASE, "ApiConcurrency=20", found=found)["ApiConcurrency"], "0")
        named = OWN_DATABASE | {"API_CONCURRENCY": "9", "APP_URL": "https://app.example.com"}
        given = self.parameters(named, "ApiConcurrency=20", found=found)
        self.assertEqual((given["ApiConcurrency"], given["AppUrl"]), ("9", "https://app.example.com"))

    def test_the_apis_own_address_is_one_that_the_pages_may_have(self):
        pattern = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]["AppUrl"]
        for address in (deploy.NO_ADDRESS_YET, "https://a1b2c3d4e5.execute-api.ap-southeast-2.amazonaws.com"):
            self.assertRegex(address, pattern["AllowedPattern"])
            self.assertLessEqual(len(address), pattern["MaxLength"])

    def test_every_output_of_the_optional_database_is_taken_or_known_to_be_for_people(self):
        outputs = yaml_parse((ROOT / "database.yaml").read_text())["Outputs"]
        parameters = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
        # The way in for people.
        self.assertEqual(set(outputs) - set(parameters), {"AccessInstance"})
        for name in OUTPUTS:
            self.assertIn(name, outputs)

    def test_every_deployment_is_a_release_of_its_own(self):
        pattern = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]["Release"]["AllowedPattern"]
        of_github = {"GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567", "GITHUB_RUN_NUMBER": "12345"}
        for environment in ({}, of_github):
            self.assertRegex(deploy.release(environment), pattern)
            self.assertLessEqual(len(deploy.release(environment)), 80)

    def test_a_variable_beats_the_stage_and_an_empty_one_is_none(self):
        self.assertEqual(self.parameters(OWN_DATABASE, "SendRate=1", found=FOUND)["SendRate"], "1")
        self.assertEqual(self.parameters(OWN_DATABASE | {"SEND_RATE": "50"}, "SendRate=1", found=FOUND)["SendRate"], "50")
        self.assertEqual(self.parameters(OWN_DATABASE | {"SEND_RATE": ""}, "SendRate=1", found=FOUND)["SendRate"], "1")

    def test_the_database_says_which_region_it_is(self):
        self.assertEqual(deploy.region(VARIABLES), REGION)
        self.assertEqual(deploy.region(OWN_DATABASE), REGION)
        for environment in ({}, {"DATABASE_SECRET_ARN": "database"}):
            with self.assertRaisesRegex(SystemExit, "must be the ARN of the database's stack"):
                deploy.region(environment)

    def test_every_stage_deploys_without_a_question_to_a_stack_of_its_own(self):
        config = tomlkit.parse((ROOT / "samconfig.toml").read_text()).unwrap()
        stages = {name: config[name]["deploy"]["parameters"] for name in ("dev", "staging", "prod")}
        for stage, settings in stages.items():
            with self.subTest(stage):
                self.assertIs(settings["confirm_changeset"], False)
                self.assertIs(settings["fail_on_empty_changeset"], False)
                self.assertIs(settings["resolve_s3"], True)
                self.assertIn(f"stage={stage}", settings["tags"])
        self.assertEqual(len({settings["stack_name"] for settings in stages.values()}), 3)


class Smoke(unittest.TestCase):
    def test_every_route_of_the_contract_is_tried(self):
        contract = yaml_parse((ROOT / "openapi.yaml").read_text())["paths"]
        promised = {(method.upper(), path) for path, item in contract.items() for method in item if method != "parameters"}
        tried = {(request.method, request.path) for request in smoke.tries() if request.status != 404}
        self.assertEqual(tried, promised)

    def test_the_local_system_passes(self):
        with local_system() as url:
            smoke.check(url, patience=0)

    def test_a_system_that_lets_everybody_in_fails_and_every_open_door_is_named(self):
        with everything_is_answered(200) as url, self.assertRaises(SystemExit) as failed:
            smoke.check(url, patience=0)
        self.assertEqual(len(str(failed.exception).splitlines()), 1 + len(smoke.tries()))

    def test_a_system_that_is_not_there_fails(self):
        with self.assertRaisesRegex(SystemExit, "refused"):
            smoke.check(f"http://127.0.0.1:{free_port()}", patience=0)


class RdsCertificates(unittest.TestCase):
    def check(self, **environment):
        return subprocess.run([ROOT / "deploy/rds-ca.sh"], capture_output=True, text=True, env=os.environ | environment)

    def test_those_in_the_repository_are_those_that_were_looked_at_and_none_of_them_ends_soon(self):
        self.assertEqual(self.check().returncode, 0)
        text = (ROOT / "layers/rds-ca/rds-ca.pem").read_text()
        ends = [ssl_end(certificate) for certificate in text.split("-----END CERTIFICATE-----\n") if certificate]
        self.assertGreater(len(ends), 80)
        self.assertGreater(min(ends), time.time() + 365 * 86400)

    def test_certificates_with_another_digest_are_refused(self):
        with tempfile.NamedTemporaryFile() as other:
            other.write(b"-----BEGIN CERTIFICATE-----\n")
            other.flush()
            run = self.check(RDS_CA_FILE=other.name)
        self.assertEqual(run.returncode, 1)
        self.assertIn("is not what it was", run.stderr)

    def test_somebody_is_reminded_of_certificates_that_have_aged(self):
        self.assertIn("rds-ca.sh renew", self.check(RDS_CA_AS_OF="2020-01-01").stderr)
        self.assertEqual(self.check(RDS_CA_AS_OF=time.strftime("%Y-%m-%d")).stderr, "")


def ssl_end(certificate: str) -> float:
    """When a certificate ends."""
    text = f"{certificate}-----END CERTIFICATE-----\n"
    run = subprocess.run(["openssl", "x509", "-noout", "-enddate"], input=text, capture_output=True, text=True, check=True)
    return ssl.cert_time_to_seconds(run.stdout.strip().removeprefix("notAfter="))


class Migrations(unittest.TestCase):
    """.ci/migrations, in a repository of its own."""

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)
        shutil.copytree(ROOT / "migrations", self.root / "migrations")
        (self.root / ".ci").mkdir()
        shutil.copy(ROOT / ".ci/migrations", self.root / ".ci")
        self.git("init", "--quiet")
        self.commit()
        self.first = next((self.root / "migrations").glob("V0001__*.sql"))
        self.sums = self.root / "migrations" / "SHA256SUMS"

    def git(self, *arguments):
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True)

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x", "--allow-empty")

    def add_digest(self, migration: Path):
        with self.sums.open("a") as sums:
            sums.write(f"{hashlib.sha256(migration.read_bytes()).hexdigest()}  {migration.name}\n")

    def outcome(self, *base):
        run = subprocess.run([self.root / ".ci/migrations", *base], capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    def test_what_is_unchanged_passes_and_so_does_the_first_push(self):
        self.assertEqual(self.outcome("HEAD"), (0, ""))
        self.assertEqual(self.outcome("0" * 40), (0, ""))

    def test_a_new_migration_needs_its_digest(self):
        new = self.root / "migrations" / "V9999__new.sql"
        new.write_text("SELECT 1;\n")
        code, message = self.outcome()
        self.assertEqual(code, 1)
        self.assertIn("V9999__new.sql is new", message)
        self.add_digest(new)
        self.commit()
        self.assertEqual(self.outcome("HEAD~1"), (0, ""))

    def test_an_edited_migration_is_refused(self):
        self.first.write_text(self.first.read_text() + "\n")
        code, message = self.outcome()
        self.assertEqual(code, 1)
        self.assertIn(f"{self.first.name}: FAILED", message)

    def test_an_edited_migration_is_refused_with_its_digest_edited_too(self):
        self.first.write_text(self.first.read_text() + "\n")
        self.sums.write_text("".join(line for line in self.sums.read_text().splitlines(True) if self.first.name not in line))
        self.add_digest(self.first)
        self.commit()
        self.assertEqual(self.outcome()[0], 0)
        code, message = self.outcome("HEAD~1")
        self.assertEqual(code, 1)
        self.assertIn(f"M\tmigrations/{self.first.name}", message)

    def test_a_renamed_or_removed_migration_is_refused(self):
        self.first.rename(self.first.with_name("V0001__renamed.sql"))
        self.assertEqual(self.outcome()[0], 1)
        self.sums.write_text(self.sums.read_text().replace(self.first.name, "V0001__renamed.sql"))
        self.commit()
        code, message = self.outcome("HEAD~1")
        self.assertEqual(code, 1)
        self.assertIn(f"D\tmigrations/{self.first.name}", message)


def zipped(text: str) -> bytes:
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("bootstrap", text)
    return bundle.getvalue()


@contextmanager
def local_system():
    """The address of the local system that `cargo dev` serves."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["cargo", "dev", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = []
    threading.Thread(target=lambda: output.extend(process.stdout), daemon=True).start()
    try:
        deadline = time.monotonic() + 300
        while smoke.send(url, smoke.Try("GET", "/no-such-route", None, None, 404)) != "404":
            assert process.poll() is None and time.monotonic() < deadline, b"".join(output).decode()
            time.sleep(0.2)
        yield url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=60)


@contextmanager
def everything_is_answered(status: int):
    """The address of a server that gives every request this answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PATCH = do_DELETE = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    unittest.main()
