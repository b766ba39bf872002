#!/usr/bin/env python3
"""Makes the stack of database.yaml, or changes it: `deploy/database.py gymbrah-database Name=gymbrah-onboarding MaxCapacity=8`.

What is not given stays as it is, or is database.yaml's default. A stack that is made is protected afterwards: the cluster, its key and its
backups can be neither deleted nor replaced until somebody says so. The region is AWS_REGION's. Its last line is the stack's ARN, which is
the variable DATABASE_STACK.
"""

import argparse
import json
import sys
from collections.abc import Mapping

import boto3
from botocore.exceptions import ClientError
from samcli.yamlhelper import yaml_parse

import deploy

TEMPLATE = deploy.ROOT / "database.yaml"

# What can't be had back.
PRECIOUS = ("Cluster", "Key", "BackupVault", "FunctionsSecret", "Network", "ClusterLog")


def change(cloudformation, stack: str, given: Mapping[str, str], is_new: bool) -> None:
    known = {} if is_new else {p["ParameterKey"] for p in described(cloudformation, stack)["Parameters"]}
    kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in known if name not in given]
    order = {
        "StackName": stack,
        "TemplateBody": TEMPLATE.read_text(),
        "Capabilities": ["CAPABILITY_IAM"],
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()] + kept,
    }
    try:
        if is_new:
            cloudformation.create_stack(**order)
        else:
            cloudformation.update_stack(**order)
    except ClientError as error:
        if "No updates are to be performed" in error.response["Error"]["Message"]:
            return
        raise
    waiter = cloudformation.get_waiter("stack_create_complete" if is_new else "stack_update_complete")
    # Two instances of Aurora and a proxy take half an hour.
    waiter.wait(StackName=stack, WaiterConfig={"Delay": 15, "MaxAttempts": 400})


def described(cloudformation, stack: str) -> dict:
    return cloudformation.describe_stacks(StackName=stack)["Stacks"][0]


def protect(cloudformation, stack: str) -> None:
    cloudformation.update_termination_protection(StackName=stack, EnableTerminationProtection=True)
    everything = {"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"}
    precious = [f"LogicalResourceId/{name}" for name in PRECIOUS]
    but = {"Effect": "Deny", "Principal": "*", "Action": ["Update:Replace", "Update:Delete"], "Resource": precious}
    cloudformation.set_stack_policy(StackName=stack, StackPolicyBody=json.dumps({"Statement": [everything, but]}))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stack")
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    parser.add_argument("--throw-away", action="store_true", help="a stage that nobody will miss: it is not protected")
    order = parser.parse_args(arguments)
    pairs = [pair.partition("=") for pair in order.parameters]
    known = yaml_parse(TEMPLATE.read_text())["Parameters"]
    wrong = [name for name, equals, _ in pairs if not equals or name not in known]
    if wrong:
        raise SystemExit(f"no parameters of database.yaml: {', '.join(wrong)}")
    given = {name: value for name, _, value in pairs}

    cloudformation = boto3.client("cloudformation")
    is_new = not deploy.settled(cloudformation, order.stack)
    change(cloudformation, order.stack, given, is_new)
    if not order.throw_away:
        change(cloudformation, order.stack, {"DeletionProtection": "true"}, is_new=False)
        protect(cloudformation, order.stack)
    for name, value in deploy.outputs(cloudformation, order.stack).items():
        print(f"{name}: {value}")
    print(described(cloudformation, order.stack)["StackId"])


if __name__ == "__main__":
    main(sys.argv[1:])
