#!/usr/bin/env python3
"""Gives the functions a new password for the database: `deploy/rotate.py STAGE`.

The new one is stored first, then the migrating function tells the database. In the second between the two a new connection is refused,
and tried again for three seconds; connections that are open stay open. The region is AWS_REGION's. Repeating it does no harm.
"""

import argparse
import json
import sys

import boto3
import tomlkit
from botocore.config import Config

import deploy


def main(arguments: list[str]) -> None:
    config = tomlkit.parse((deploy.ROOT / "samconfig.toml").read_text())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=[name for name in config if name != "version"])
    stack = config[parser.parse_args(arguments).stage]["deploy"]["parameters"]["stack_name"]

    cloudformation, vault = boto3.client("cloudformation"), boto3.client("secretsmanager")
    functions = boto3.client("lambda", config=Config(read_timeout=deploy.LONGEST_MIGRATION, tcp_keepalive=True))
    name = deploy.resources(cloudformation, stack)[deploy.MIGRATE]
    secret_id = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]["FUNCTIONS_SECRET_ID"]
    secret = json.loads(vault.get_secret_value(SecretId=secret_id)["SecretString"])
    secret["password"] = vault.get_random_password(PasswordLength=40, ExcludePunctuation=True)["RandomPassword"]
    vault.put_secret_value(SecretId=secret_id, SecretString=json.dumps(secret))
    deploy.migrate(functions, name)
    print(f"{secret_id} has a new password, and the database knows it")


if __name__ == "__main__":
    main(sys.argv[1:])
