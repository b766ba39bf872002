#!/usr/bin/env python3
"""Puts a database as it was at a moment in the place of the one that is there. docs/OPERATIONS.md says when, and what comes between.

    deploy/restore.py stop STACK                 nobody writes any more: the functions get no concurrency
    deploy/restore.py copy CLUSTER MOMENT        a cluster CLUSTER-restored as it was at MOMENT (UTC, 2026-11-22T12:34:56Z), beside it
    deploy/restore.py swap CLUSTER               the restored one gets the name, and so the address, and the proxy's connections
    deploy/restore.py migrate STACK              the migrating function may run again, and nobody else
    deploy/restore.py start STACK                everybody writes again

The region is AWS_REGION's. What the functions had is noted in concurrency-STACK.json meanwhile. Nothing is deleted: the cluster that was
there stays as CLUSTER-before-DATE. Each step refuses to begin where the one before it is missing.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

# In seconds; tests don't wait.
PAUSE = 15

# A restored volume takes as long as it takes; a name is there within minutes.
LONGEST = 3 * 60 * 60


def functions_of(stack: str) -> list[str]:
    """The functions of a stack, but for the one that CodeDeploy asks, which has no connection to the database."""
    names = []
    pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    for resource in (resource for page in pages for resource in page["StackResourceSummaries"]):
        if resource["ResourceType"] == "AWS::Lambda::Function" and resource["LogicalResourceId"] != "BeforeTraffic":
            names.append(resource["PhysicalResourceId"])
    if not names:
        raise SystemExit(f"{stack} has no function: is it the stack's name?")
    return names


def reserved(functions, name: str) -> int | None:
    return functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")


def stop(stack: str) -> None:
    notes, functions, names = notes_of(stack), boto3.client("lambda"), functions_of(stack)
    if notes.exists():
        raise SystemExit(f"{notes} is there: {stack} has been stopped already, and this would note the zeros")
    notes.write_text(json.dumps({name: reserved(functions, name) for name in names}, indent=2))
    for name in names:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    running = [name for name in names if reserved(functions, name) != 0]
    if running:
        raise SystemExit(f"still running: {', '.join(running)}")
    print(f"{len(names)} functions of {stack} are stopped: callers get 503; what they had is in {notes}")
    print("those that are at work have a minute at most: wait that long")


def start(stack: str) -> None:
    notes, functions = notes_of(stack), boto3.client("lambda")
    if not notes.exists():
        raise SystemExit(f"there is no {notes}: {stack} was not stopped from here")
    for name, limit in json.loads(notes.read_text()).items():
        give_back(functions, name, limit)
    notes.unlink()
    print(f"{stack} serves again")


def let_migrate(stack: str) -> None:
    """`deploy.py --stopped` invokes the migrating function, which is the first to look at the restored database."""
    notes, functions = notes_of(stack), boto3.client("lambda")
    noted = json.loads(notes.read_text())
    cloudformation = boto3.client("cloudformation")
    found = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId="Migrate")
    name = found["StackResourceDetail"]["PhysicalResourceId"]
    give_back(functions, name, noted.get(name))
    print(f"{name} may run, and nobody else")


def give_back(functions, name: str, limit: int | None) -> None:
    if limit is None:
        functions.delete_function_concurrency(FunctionName=name)
    else:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=limit)


def notes_of(stack: str) -> Path:
    return Path(f"concurrency-{stack}.json")


def about(rds, cluster: str) -> dict | None:
    try:
        return rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "DBClusterNotFoundFault":
            raise
        return None


def wait_for(what: str, is_so) -> None:
    deadline = time.monotonic() + LONGEST
    print(f"waiting: {what}", flush=True)
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(f"not after {LONGEST} seconds: {what}")
        time.sleep(PAUSE)


def instances_of(rds, cluster: str) -> list[dict]:
    pages = rds.get_paginator("describe_db_instances").paginate()
    found = [i for page in pages for i in page["DBInstances"] if i.get("DBClusterIdentifier") == cluster]
    return sorted(found, key=lambda instance: instance["DBInstanceIdentifier"])


def is_available(rds, cluster: str) -> bool:
    found = about(rds, cluster)
    instances = instances_of(rds, cluster)
    return bool(found) and found["Status"] == "available" and all(i["DBInstanceStatus"] == "available" for i in instances)


def copy(cluster: str, moment: str) -> None:
    rds = boto3.client("rds")
    source, restored = about(rds, cluster), f"{cluster}-restored"
    if not source:
        raise SystemExit(f"there is no cluster {cluster}")
    if about(rds, restored):
        raise SystemExit(f"{restored} is there already: `swap` it, or delete it")
    scaling = source.get("ServerlessV2ScalingConfiguration") or {"MinCapacity": 0.5, "MaxCapacity": 4.0}
    rds.restore_db_cluster_to_point_in_time(
        SourceDBClusterIdentifier=cluster,
        DBClusterIdentifier=restored,
        RestoreToTime=moment,
        DBSubnetGroupName=source["DBSubnetGroup"],
        VpcSecurityGroupIds=[group["VpcSecurityGroupId"] for group in source["VpcSecurityGroups"]],
        DBClusterParameterGroupName=source["DBClusterParameterGroup"],
        ServerlessV2ScalingConfiguration={name: scaling[name] for name in ("MinCapacity", "MaxCapacity")},
        EnableCloudwatchLogsExports=["postgresql"],
        CopyTagsToSnapshot=True,
        DeletionProtection=True,
    )
    wait_for(f"{restored} is made", lambda: is_available(rds, restored))
    for instance in instances_of(rds, cluster):
        rds.create_db_instance(
            DBInstanceIdentifier=f"{instance['DBInstanceIdentifier'][:54]}-restored",
            DBClusterIdentifier=restored,
            DBInstanceClass=instance["DBInstanceClass"],
            Engine=instance["Engine"],
            PubliclyAccessible=False,
            AutoMinorVersionUpgrade=False,
        )
    wait_for("its instances are made", lambda: is_available(rds, restored))
    # Its own: the one that is there belongs to the other cluster.
    rds.modify_db_cluster(DBClusterIdentifier=restored, ManageMasterUserPassword=True, ApplyImmediately=True)
    wait_for("its owner has a password", lambda: is_available(rds, restored))
    print(f"{restored} is as {cluster} was at {moment}. Look at it, then: deploy/restore.py swap {cluster}")


def swap(cluster: str) -> None:
    rds = boto3.client("rds")
    restored, before = f"{cluster}-restored", f"{cluster[:40]}-before-{time.strftime('%Y%m%d%H%M', time.gmtime())}"
    if not about(rds, restored):
        raise SystemExit(f"there is no {restored}: `copy` comes first")
    proxy = proxy_of(rds, cluster)
    if proxy:
        rds.deregister_db_proxy_targets(DBProxyName=proxy, DBClusterIdentifiers=[cluster])
    # Broken off between the two, it goes on here when it is run again.
    if about(rds, cluster):
        rename(rds, cluster, before, lambda name: f"{name[:50]}-before")
    rename(rds, restored, cluster, lambda name: name.removesuffix("-restored"))
    if proxy:
        rds.register_db_proxy_targets(DBProxyName=proxy, DBClusterIdentifiers=[cluster])
    secret = about(rds, cluster).get("MasterUserSecret", {}).get("SecretArn", "the secret of the cluster, in the console")
    print(f"{cluster} is the restored one; what was there is {before}")
    print(f"Next: export MIGRATIONS_DATABASE_SECRET_ARN='{secret}'; deploy/restore.py migrate STACK; deploy/deploy.py STAGE --stopped")


def rename(rds, old: str, new: str, name_of_instance) -> None:
    """A cluster and its instances, so that the stack that made them finds them by their names."""
    rds.modify_db_cluster(DBClusterIdentifier=old, NewDBClusterIdentifier=new, ApplyImmediately=True)
    wait_for(f"{old} is called {new}", lambda: about(rds, old) is None and is_available(rds, new))
    for instance in instances_of(rds, new):
        name = instance["DBInstanceIdentifier"]
        if name_of_instance(name) != name:
            rds.modify_db_instance(DBInstanceIdentifier=name, NewDBInstanceIdentifier=name_of_instance(name), ApplyImmediately=True)
            there = f"{name} is called {name_of_instance(name)}"
            wait_for(there, lambda name=name: name not in names_of(instances_of(rds, new)) and is_available(rds, new))


def names_of(instances: list[dict]) -> list[str]:
    return [instance["DBInstanceIdentifier"] for instance in instances]


def proxy_of(rds, cluster: str) -> str | None:
    """The proxy before the cluster, which database.yaml calls like it."""
    try:
        return rds.describe_db_proxies(DBProxyName=cluster)["DBProxies"][0]["DBProxyName"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("DBProxyNotFoundFault", "DBProxyNotFound"):
            raise
        return None


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    for step, what in (("stop", "stack"), ("migrate", "stack"), ("start", "stack"), ("swap", "cluster")):
        steps.add_parser(step).add_argument(what)
    copying = steps.add_parser("copy")
    copying.add_argument("cluster")
    copying.add_argument("moment")
    given = vars(parser.parse_args(arguments))
    {"stop": stop, "copy": copy, "swap": swap, "migrate": let_migrate, "start": start}[given.pop("step")](**given)


if __name__ == "__main__":
    main(sys.argv[1:])
