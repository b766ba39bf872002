#!/usr/bin/env python3
"""Brings a stage to what deploy/build.sh has built: `deploy/deploy.py staging`.

1. A stack that is there is migrated first: its migrating function alone gets the new code, and is invoked. The other functions
   go on with the old code meanwhile, so a migration must leave that working: it adds (expand), and takes away only what no
   code that still runs asks for (contract).
2. `sam deploy`.
3. A stack that was not there is migrated now, deployed once more with what only the first deployment could tell (its address) and
   what only a stack that is made can stand (protection against deletion).
4. The code that AWS has is compared with the code that was built, every route is tried, by somebody and by nobody, and versions
   that nothing goes back to any more are removed.

The first step that fails ends the deployment with the reason, and can be repeated from the start. docs/OPERATIONS.md names the
variables that it reads.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import boto3
import tomlkit
from botocore.config import Config
from botocore.exceptions import ClientError
from samcli.lib.package.utils import make_zip_with_lambda_permissions
from samcli.yamlhelper import yaml_parse

import smoke

ROOT = Path(__file__).resolve().parent.parent

# The logical id of the function that applies the migrations.
MIGRATE = "Migrate"

# In seconds: longer than the migrating function may take.
LONGEST_MIGRATION = 330

# The pages' address before the API has one. Nobody is invited meanwhile: a new stack has no gym.
NO_ADDRESS_YET = "https://not-yet.invalid"

# Environments of all functions but the four behind a token, together; and what Lambda wants to be left unreserved.
OTHER_CONCURRENCY, UNRESERVED = 19, 100

# A function's newest versions, which are kept; the alias's own is kept in any case.
KEPT_VERSIONS = 5

# What an update may never replace or remove: with it go all accounts, or the domain's records.
PRECIOUS = ("UserPool", "UserPoolClient", "MailDomainIdentity", "UnrecordedMailEvents")


class Build:
    """What deploy/build.sh has left: a template, and a directory for each function."""

    def __init__(self, directory: Path):
        self.template_file = directory / "template.yaml"
        if not self.template_file.exists():
            raise SystemExit(f"there is no {self.template_file}: run deploy/build.sh first")
        self.template = yaml_parse(self.template_file.read_text())
        self.functions = {
            logical_id: directory / resource["Properties"]["CodeUri"]
            for logical_id, resource in self.template["Resources"].items()
            if resource["Type"] == "AWS::Serverless::Function"
        }

    def bundle(self, logical_id: str) -> bytes:
        """A function's code, zipped as `sam deploy` zips it: byte for byte, or the comparison at the end fails."""
        with tempfile.TemporaryDirectory() as directory:
            return Path(make_zip_with_lambda_permissions(f"{directory}/bundle", str(self.functions[logical_id]))).read_bytes()


def digest(bundle: bytes) -> str:
    """What Lambda calls CodeSha256."""
    return base64.b64encode(hashlib.sha256(bundle).digest()).decode()


def variable(parameter: str) -> str:
    """The variable that sets a parameter of the template: JWT_ISSUER sets JwtIssuer."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", parameter).upper()


def parameters(
    template: Mapping,
    of_stage: str,
    of_database: Mapping[str, str],
    environment: Mapping[str, str],
    found: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The template's parameters, by name: from the environment, else from what was found in the account, else from the outputs of
    the database's stack, else from what samconfig.toml has for the stage."""
    given = dict(pair.split("=", 1) for pair in of_stage.split())
    given |= {name: value for name, value in of_database.items() if name in template["Parameters"]}
    given |= found or {}
    given |= {name: environment[variable(name)] for name in template["Parameters"] if environment.get(variable(name))}
    given["Release"] = release(environment)
    missing = [
        variable(name)
        for name, parameter in template["Parameters"].items()
        if name not in given and "Default" not in parameter
    ]
    if missing:
        raise SystemExit(f"these variables are not set: {', '.join(missing)} (DATABASE_STACK gives those of the database)")
    return given


def release(environment: Mapping[str, str]) -> str:
    """What is deployed: when, the number of the run that built it, the commit. Its beginning is new with every deployment, which
    is what makes versions of the functions."""
    number = environment.get("GITHUB_RUN_NUMBER", "0")
    return f"{int(time.time())}-{number}-{environment.get('GITHUB_SHA', 'by-hand')}"


def refuse_to_go_back(deployed: str, environment: Mapping[str, str]) -> None:
    """An older build must not overtake a newer one: a run that waited for somebody, or was run again."""
    numbers = [int(found[1]) for found in map(re.compile(r"\d{10,}-(\d+)-").match, (deployed, release(environment))) if found]
    if len(numbers) == 2 and 0 < numbers[1] < numbers[0] and not environment.get("OLDER_BUILD"):
        raise SystemExit(
            f"run {numbers[0]} is deployed already, and this is run {numbers[1]}: set OLDER_BUILD=1 if it is meant to go back"
        )


def region(environment: Mapping[str, str]) -> str:
    """The region of the database, and so of everything."""
    for name, service in (("DATABASE_STACK", "cloudformation"), ("DATABASE_SECRET_ARN", "secretsmanager")):
        match = re.match(rf"arn:aws[a-z-]*:{service}:([a-z0-9-]+):", environment.get(name, ""))
        if match:
            return match[1]
    raise SystemExit("DATABASE_STACK must be the ARN of the database's stack, or DATABASE_SECRET_ARN that of a secret")


class Account:
    """What the account and the region say of themselves, for the parameters that nobody should have to look up."""

    def __init__(self, session: boto3.Session, names: Mapping[str, str]):
        self.session = session
        self.names = names

    def parameters(self, stage: str, given: Mapping[str, str]) -> dict[str, str]:
        found = {
            "MailIdentity": self.mail_identity(given["MailDomain"]),
            "UserPoolMail": self.user_pool_mail(given["MailDomain"]),
            "ApiConcurrency": self.concurrency(int(given.get("ApiConcurrency", "20"))),
        }
        if boundary := self.boundary(stage):
            found["PermissionsBoundary"] = boundary
        return found

    def identity(self, domain: str) -> dict:
        try:
            return self.session.client("sesv2").get_email_identity(EmailIdentity=domain)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NotFoundException":
                raise
            return {}

    def mail_identity(self, domain: str) -> str:
        """Found, if somebody else has made it; what this stack has made stays in it."""
        return "exists" if self.identity(domain) and "MailDomainIdentity" not in self.names else "create"

    def user_pool_mail(self, domain: str) -> str:
        """Cognito refuses an identity that is not verified; and in SES's sandbox nobody could sign up."""
        verified = self.identity(domain).get("VerifiedForSendingStatus", False)
        if verified and self.session.client("sesv2").get_account().get("ProductionAccessEnabled"):
            return "ses"
        print("Cognito sends the user pool's mails, 50 a day: the domain is not verified, or SES is in its sandbox")
        return "cognito"

    def concurrency(self, wanted: int) -> str:
        limit = self.session.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
        if wanted and 4 * wanted + OTHER_CONCURRENCY + UNRESERVED > limit:
            print(f"nothing is reserved for any function: the account has {limit} environments, too few for ApiConcurrency={wanted}")
            return "0"
        return str(wanted)

    def boundary(self, stage: str) -> str | None:
        """The policy of deploy/role.yaml, without which the role that it makes may make no other."""
        caller = self.session.client("sts").get_caller_identity()
        partition = caller["Arn"].split(":")[1]
        arn = f"arn:{partition}:iam::{caller['Account']}:policy/gymbrah-onboarding-{stage}-boundary"
        try:
            self.session.client("iam").get_policy(PolicyArn=arn)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchEntity":
                raise
            return None
        return arn


def settled(cloudformation, stack: str) -> dict:
    """The stack, once it can be deployed to; empty if there is none. A first creation that failed is cleared away."""
    try:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        return {}
    status = found["StackStatus"]
    if status == "REVIEW_IN_PROGRESS":  # a change set that was never executed
        return {}
    if status == "ROLLBACK_COMPLETE":
        print(f"the first creation of {stack} failed: what is left of it is deleted")
        cloudformation.delete_stack(StackName=stack)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack)
        return {}
    if status.endswith("_IN_PROGRESS"):
        raise SystemExit(f"{stack} is at work ({status}): try again when it is done")
    if status.endswith("_FAILED") and status != "UPDATE_FAILED":
        raise SystemExit(f"{stack} is {status}: the events of the stack say why, and docs/OPERATIONS.md what to do")
    return found


def outputs(cloudformation, stack: str) -> dict[str, str]:
    """What the stack puts out, by name."""
    found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in found}


def resources(cloudformation, stack: str) -> dict[str, str]:
    """What the resources of the stack are called, by logical id; empty if there is no such stack."""
    found = {}
    try:
        for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack):
            for resource in page["StackResourceSummaries"]:
                if "PhysicalResourceId" in resource and resource["ResourceStatus"] != "DELETE_COMPLETE":
                    found[resource["LogicalResourceId"]] = resource["PhysicalResourceId"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
    return found


def update_code(functions, name: str, bundle: bytes) -> None:
    """Gives a function new code, and waits until it is there."""
    updated = functions.update_function_code(FunctionName=name, ZipFile=bundle)
    if updated["CodeSha256"] != digest(bundle):
        raise SystemExit(f"{name} has the code {updated['CodeSha256']} instead of {digest(bundle)}")
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)


def invoke(functions, name: str) -> dict:
    """Invokes a function. One that nobody has invoked for weeks is Inactive: its first invocation is refused, and wakes it."""
    for _ in range(3):
        try:
            return functions.invoke(FunctionName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("ResourceConflictException", "ResourceNotReadyException"):
                raise
            refusal = error
            functions.get_waiter("function_active_v2").wait(FunctionName=name)
    raise SystemExit(f"{name} does not wake up: {refusal}")


def migrate(functions, name: str) -> None:
    """Applies the migrations. Where that fails, the database is as the last migration that succeeded left it."""
    answer = invoke(functions, name)
    payload = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise SystemExit(f"the migrations failed: {json.loads(payload).get('errorMessage', payload)}")
    print(f"applied: {', '.join(json.loads(payload)['applied']) or 'nothing, the schema is the newest'}")


def sam_deploy(build: Build, stage: str, region_name: str, overrides: Mapping[str, str]) -> None:
    """Creates or updates the stack."""

    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    command = [Path(sys.executable).with_name("sam"), "deploy", "--no-progressbar"]
    command += ["--config-file", ROOT / "samconfig.toml", "--config-env", stage]
    command += ["--template-file", build.template_file, "--region", region_name]
    command += ["--parameter-overrides", *(f"{name}={quoted(value)}" for name, value in overrides.items())]
    if subprocess.run(command, env=os.environ | {"SAM_CLI_TELEMETRY": "0"}).returncode != 0:
        raise SystemExit("sam deploy failed: the reason is above, and in the events of the stack")


def compare(build: Build, functions, names: Mapping[str, str]) -> None:
    """Whether every function has the code that was built."""
    for logical_id in build.functions:
        built = digest(build.bundle(logical_id))
        deployed = functions.get_function_configuration(FunctionName=names[logical_id])["CodeSha256"]
        print(f"{logical_id}: {deployed}")
        if deployed != built:
            raise SystemExit(f"{logical_id} has the code {deployed}, and {built} was built")


def protect(cloudformation, stack: str) -> None:
    """The stack can't be deleted, nor what is precious in it be replaced, without somebody who means it."""
    cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=True)
    precious = [f"LogicalResourceId/{name}" for name in PRECIOUS]
    everything = {"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"}
    but = {"Effect": "Deny", "Principal": "*", "Action": ["Update:Replace", "Update:Delete"], "Resource": precious}
    cloudformation.set_stack_policy(StackName=stack, StackPolicyBody=json.dumps({"Statement": [everything, but]}))


def prune(functions, names: Mapping[str, str], logical_ids: Iterable[str]) -> None:
    """Removes versions that nothing goes back to: they count against the account's storage."""
    for name in (names[logical_id] for logical_id in logical_ids):
        in_use = set()
        for alias in functions.list_aliases(FunctionName=name)["Aliases"]:
            in_use |= {alias["FunctionVersion"], *alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})}
        pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
        versions = [int(v["Version"]) for page in pages for v in page["Versions"] if v["Version"] != "$LATEST"]
        for version in sorted(versions)[:-KEPT_VERSIONS]:
            if str(version) not in in_use:
                functions.delete_function(FunctionName=name, Qualifier=str(version))
                print(f"removed {name}:{version}")


def token_of_nobody(session: boto3.Session, stack_outputs: Mapping[str, str], environment: Mapping[str, str]) -> str | None:
    """An ID token with which nothing can be seen but that the system answers: of an account without a proved address. Where the
    issuer is a team's own, the team gives it."""
    if environment.get("SMOKE_TOKEN") or "CheckClientId" not in stack_outputs:
        return environment.get("SMOKE_TOKEN")
    pool, client = stack_outputs["UserPoolId"], stack_outputs["CheckClientId"]
    cognito = session.client("cognito-idp")
    address, password = "smoke-test@example.com", f"Aa1!{secrets.token_urlsafe(30)}"
    try:
        attributes = [{"Name": "email", "Value": address}, {"Name": "email_verified", "Value": "false"}]
        cognito.admin_create_user(UserPoolId=pool, Username=address, UserAttributes=attributes, MessageAction="SUPPRESS")
    except cognito.exceptions.UsernameExistsException:
        pass
    cognito.admin_set_user_password(UserPoolId=pool, Username=address, Password=password, Permanent=True)
    signed_in = cognito.admin_initiate_auth(
        UserPoolId=pool,
        ClientId=client,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": address, "PASSWORD": password},
    )
    return signed_in["AuthenticationResult"]["IdToken"]


def main(arguments: list[str], environment: Mapping[str, str]) -> None:
    config = tomlkit.parse((ROOT / "samconfig.toml").read_text())
    stages = [name for name in config if name != "version"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=stages)
    parser.add_argument("--build", type=Path, default=ROOT / ".aws-sam" / "build", help="what deploy/build.sh has built")
    parser.add_argument(
        "--stopped",
        action="store_true",
        help="deploy/restore.py has stopped the functions: nothing is migrated before, no traffic shifted bit by bit, no route tried",
    )
    given = parser.parse_args(arguments)

    # A workflow of GitHub can hand over all of its variables at once only as JSON.
    environment = json.loads(environment.get("GITHUB_VARIABLES") or "{}") | dict(environment)
    if given.stopped:
        environment["DEPLOYMENT"] = "AllAtOnce"
    build = Build(given.build)
    settings = config[given.stage]["deploy"]["parameters"]
    stack = settings["stack_name"]

    session = boto3.Session(region_name=region(environment))
    cloudformation = session.client("cloudformation")
    deployed = settled(cloudformation, stack)
    before = resources(cloudformation, stack) if deployed else {}
    if deployed:
        now = {parameter["ParameterKey"]: parameter.get("ParameterValue", "") for parameter in deployed.get("Parameters", [])}
        refuse_to_go_back(now.get("Release", ""), environment)

    database = environment.get("DATABASE_STACK")
    of_database = outputs(cloudformation, database) if database else {}
    address = outputs(cloudformation, stack).get("ApiUrl") if deployed else None
    found = {"AppUrl": address or NO_ADDRESS_YET, "DeletionProtection": "true" if deployed else "false"}

    def overrides() -> dict[str, str]:
        return parameters(build.template, settings["parameter_overrides"], of_database, environment, found)

    found |= Account(session, before).parameters(given.stage, overrides())
    # A migration that was given up waiting for would be started a second time beside the first; and what is silent for some minutes
    # is forgotten on the way.
    patient = Config(read_timeout=LONGEST_MIGRATION, retries={"max_attempts": 0}, tcp_keepalive=True)
    functions = session.client("lambda", config=patient)

    if MIGRATE in before and not given.stopped:
        step(f"migrate {stack}")
        update_code(functions, before[MIGRATE], build.bundle(MIGRATE))
        migrate(functions, before[MIGRATE])
    step(f"deploy {stack} to {session.region_name}")
    first = overrides()
    sam_deploy(build, given.stage, session.region_name, first)
    names = resources(cloudformation, stack)
    if not deployed or given.stopped:
        step(f"migrate {stack}{'' if deployed else ', which is new'}")
        migrate(functions, names[MIGRATE])
    if not deployed:
        step(f"deploy {stack} once more: its address is known, and it is protected")
        found |= {"AppUrl": outputs(cloudformation, stack)["ApiUrl"], "DeletionProtection": "true"}
        sam_deploy(build, given.stage, session.region_name, overrides() | {"Release": first["Release"]})
    protect(cloudformation, stack)
    step("compare the code")
    compare(build, functions, names)
    if given.stopped:
        print("the routes are not tried: the functions are stopped. Next: deploy/restore.py start")
        return
    step("try every route")
    known = outputs(cloudformation, stack)
    smoke.check(known["ApiUrl"], token=token_of_nobody(session, known, environment))
    step("remove old versions")
    prune(functions, names, build.functions)


def step(name: str) -> None:
    print(f"\n== {name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
