#!/usr/bin/env python3
"""Brings a stage to what deploy/build.sh has built: `deploy/deploy.py staging`.

1. A stack that is there is migrated first: its migrating function alone gets the new code, and is invoked. The other functions
   go on with the old code meanwhile, so a migration must leave that working: it adds (expand), and takes away only what no
   code that still runs asks for (contract).
2. `sam deploy`.
3. A stack that was not there is migrated now.
4. The code that AWS has is compared with the code that was built, and every route is tried.

The first step that fails ends the deployment with the reason, and can be repeated from the start. docs/OPERATIONS.md names the
variables that it reads.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
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
    template: Mapping, of_stage: str, of_database: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, str]:
    """The template's parameters, by name: from the environment, else from the outputs of the database's stack, else from what
    samconfig.toml has for the stage."""
    given = dict(pair.split("=", 1) for pair in of_stage.split())
    given |= {name: value for name, value in of_database.items() if name in template["Parameters"]}
    given |= {name: environment[variable(name)] for name in template["Parameters"] if environment.get(variable(name))}
    # Its beginning is new with every deployment, which is what makes versions of the functions.
    given["Release"] = f"{int(time.time())}-{environment.get('GITHUB_SHA', 'by-hand')}"
    missing = [
        variable(name)
        for name, parameter in template["Parameters"].items()
        if name not in given and "Default" not in parameter
    ]
    if missing:
        raise SystemExit(f"these variables are not set: {', '.join(missing)}")
    return given


def region(environment: Mapping[str, str]) -> str:
    """The region of the database, and so of everything."""
    match = re.match(r"arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):", environment.get("DATABASE_SECRET_ARN", ""))
    if not match:
        raise SystemExit("DATABASE_SECRET_ARN must be the ARN of a secret")
    return match[1]


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
                if "PhysicalResourceId" in resource:
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


def migrate(functions, name: str) -> None:
    """Applies the migrations. Where that fails, the database is as the last migration that succeeded left it."""
    answer = functions.invoke(FunctionName=name)
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


def main(arguments: list[str], environment: Mapping[str, str]) -> None:
    config = tomlkit.parse((ROOT / "samconfig.toml").read_text())
    stages = [name for name in config if name != "version"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=stages)
    parser.add_argument("--build", type=Path, default=ROOT / ".aws-sam" / "build", help="what deploy/build.sh has built")
    given = parser.parse_args(arguments)

    # A workflow of GitHub can hand over all of its variables at once only as JSON.
    environment = json.loads(environment.get("GITHUB_VARIABLES") or "{}") | dict(environment)
    build = Build(given.build)
    settings = config[given.stage]["deploy"]["parameters"]
    stack = settings["stack_name"]

    session = boto3.Session(region_name=region(environment))
    cloudformation = session.client("cloudformation")
    database = environment.get("DATABASE_STACK")
    of_database = outputs(cloudformation, database) if database else {}
    overrides = parameters(build.template, settings["parameter_overrides"], of_database, environment)
    # A migration that was given up waiting for would be started a second time beside the first.
    functions = session.client("lambda", config=Config(read_timeout=LONGEST_MIGRATION, retries={"max_attempts": 0}))

    existing = resources(cloudformation, stack).get(MIGRATE)
    if existing:
        step(f"migrate {stack}")
        update_code(functions, existing, build.bundle(MIGRATE))
        migrate(functions, existing)
    step(f"deploy {stack} to {session.region_name}")
    sam_deploy(build, given.stage, session.region_name, overrides)
    names = resources(cloudformation, stack)
    if not existing:
        step(f"migrate {stack}, which is new")
        migrate(functions, names[MIGRATE])
    step("compare the code")
    compare(build, functions, names)
    step("try every route")
    smoke.check(outputs(cloudformation, stack)["ApiUrl"])


def step(name: str) -> None:
    print(f"\n== {name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
