#!/usr/bin/env python3
"""Tries every route of a running system, as somebody without a token: `deploy/smoke.py URL`; and with SMOKE_TOKEN, an ID token in
the environment, whatever can be asked by somebody who has nothing.

The routes are those of template.yaml. Those that need a token must refuse; the others are sent what OPEN_ROUTES has, and must
answer as it says.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from samcli.yamlhelper import yaml_parse

TEMPLATE = Path(__file__).resolve().parent.parent / "template.yaml"

# What each route without an authorizer is sent, and the status that it answers. Every deployment sends it: once more must change
# nothing.
OPEN_ROUTES = {"POST /waitlist": ({"email": "smoke-test@example.com"}, 202)}

# What somebody who is signed in and has nothing may ask, and changes nothing by it: each goes through the authorizer to the database.
SIGNED_IN = [
    ("GET", "/me", 200),
    ("GET", "/me/workouts", 200),
    ("GET", "/businesses", 200),
    ("GET", "/workouts", 200),
    ("GET", "/businesses/{business_id}/athletes", 404),
]

# Stands for any id in a path.
NO_ONES_ID = "00000000-0000-7000-8000-000000000000"


class Try(NamedTuple):
    """A request, and the status that it must be answered with."""

    method: str
    path: str
    token: str | None
    body: dict | None
    status: int


def tries(template: Path = TEMPLATE, token: str | None = None) -> list[Try]:
    """What is sent: the routes of the template in their order, and one that does not exist."""
    planned = []
    resources = yaml_parse(template.read_text())["Resources"].values()
    for function in resources:
        if function["Type"] != "AWS::Serverless::Function":
            continue
        for event in function["Properties"].get("Events", {}).values():
            if event["Type"] != "HttpApi":
                continue
            route = event["Properties"]
            method, path = route["Method"], route["Path"]
            if "Authorizer" not in route.get("Auth", {}):
                if f"{method} {path}" not in OPEN_ROUTES:
                    raise SystemExit(f"{method} {path} needs no token, and OPEN_ROUTES does not say what it answers")
                body, status = OPEN_ROUTES[f"{method} {path}"]
                planned.append(Try(method, path, None, body, status))
            else:
                planned.append(Try(method, path, None, None, 401))
                planned.append(Try(method, path, "not.a.token", None, 401))
    planned.append(Try("GET", "/no-such-route", None, None, 404))
    if token:
        planned += [Try(method, path, token, None, status) for method, path, status in SIGNED_IN]
    return planned


def send(base_url: str, request: Try) -> str:
    """The status of the answer, or why there is none."""
    path = "/".join(NO_ONES_ID if part.startswith("{") else part for part in request.path.split("/"))
    headers = {"content-type": "application/json"}
    if request.token:
        headers["authorization"] = f"Bearer {request.token}"
    body = json.dumps(request.body).encode() if request.body is not None else None
    sent = urllib.request.Request(base_url + path, method=request.method, headers=headers, data=body)
    try:
        with urllib.request.urlopen(sent, timeout=30) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as refused:
        return str(refused.code)
    except OSError as error:
        return str(error)


def check(base_url: str, patience: float = 60, token: str | None = None) -> None:
    """Tries everything, and exits if an answer is wrong. A new API can take some seconds to answer: wrong answers are asked for
    again until so many seconds have passed."""
    deadline = time.monotonic() + patience
    wrong = []
    if not token:
        print("nobody is signed in: SMOKE_TOKEN has no token")
    for request in tries(token=token):
        answer = send(base_url, request)
        while answer != str(request.status) and time.monotonic() < deadline:
            time.sleep(2)
            answer = send(base_url, request)
        kind = "no token" if not request.token else "a good token" if request.token == token else "a wrong token"
        line = f"{request.method} {request.path} with {kind}: {answer}"
        if answer != str(request.status):
            line += f" instead of {request.status}"
            wrong.append(line)
        print(line, flush=True)
    if wrong:
        raise SystemExit("\n".join(["the smoke test failed:", *wrong]))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("url", help="where the system answers, without a slash at the end")
    arguments.add_argument("--patience", type=float, default=60, help="seconds to wait for right answers (default: 60)")
    given = arguments.parse_args()
    sys.exit(check(given.url, given.patience, os.environ.get("SMOKE_TOKEN")))
