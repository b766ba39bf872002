"""AWS on the loopback address: moto, and before it what moto lacks, the transform of SAM templates and functions that run."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

REGION = "eu-south-1"

# moto's server, taught to keep the outputs of a stack that comes from a change set, and that a list which stays what it was is text
# like any other parameter.
MOTO = """
import sys
from moto.cloudformation.models import ChangeSet
from moto.server import main

apply = ChangeSet.apply

def apply_with_outputs(change_set):
    given = (change_set.parameters or {}).items()
    change_set.parameters = {name: ",".join(value) if isinstance(value, list) else value for name, value in given}
    apply(change_set)
    change_set.stack.template_dict = change_set.template_dict
    change_set.stack.output_map = change_set.stack._create_output_map()

ChangeSet.apply = apply_with_outputs
main(sys.argv[1:])
"""


class Aws:
    """AWS as a deployment uses it, for as long as a `with` block."""

    def __init__(self):
        # What happened, in its order: the stack "deploy", a function's new code "code", an invocation "invoke".
        self.events = []
        # What an invocation answers: the payload, and whether the function failed.
        self.answer = ({"applied": []}, False)
        # How many invocations are refused first, as by a function that is Inactive.
        self.asleep = 0
        # Environments of the account, which moto does not count.
        self.environments = 1000
        # Whether the stack that was deployed last is protected.
        self.is_protected = False
        # What the stack is said to be, instead of what it is; to delete it changes no more than that.
        self.status = None

    def __enter__(self):
        server = shutil.which("moto_server")
        assert server, "the environment of tests/deployment/pipeline.txt must be on PATH"
        python = Path(server).with_name("python")
        self.moto_port = free_port()
        self.moto = subprocess.Popen(
            [python, "-c", MOTO, "-H", "127.0.0.1", "-p", str(self.moto_port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        )
        self.front = ThreadingHTTPServer(("127.0.0.1", 0), lambda *of_request: Front(self, *of_request))
        threading.Thread(target=self.front.serve_forever, daemon=True).start()
        deadline = time.monotonic() + 60
        while not answers(self.moto_port):
            assert self.moto.poll() is None and time.monotonic() < deadline, "moto does not start"
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.front.shutdown()
        self.front.server_close()
        self.moto.terminate()
        self.moto.wait()

    def environment(self) -> dict[str, str]:
        """The variables with which every SDK and sam find it, and nothing else of AWS."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.front.server_port}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            # samtranslator knows no other name.
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def forward(self, method: str, path: str, headers: dict, body: bytes):
        """Asks moto."""
        connection = http.client.HTTPConnection("127.0.0.1", self.moto_port, timeout=120)
        connection.request(method, path, body, headers | {"Content-Length": str(len(body))})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


class Front(BaseHTTPRequestHandler):
    """Answers a request, or hands it to moto."""

    protocol_version = "HTTP/1.1"

    def __init__(self, aws: Aws, *of_request):
        self.aws = aws
        super().__init__(*of_request)

    def log_message(self, *_):
        pass

    def handle_any(self):
        body = self.read_body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("transfer-encoding", "expect")}
        if re.fullmatch(r"/2015-03-31/functions/[^/]+/invocations", urlsplit(self.path).path):
            if self.aws.asleep:
                self.aws.asleep -= 1
                self.aws.events.append("refused")
                refusal = {"Type": "User", "Message": "The function is currently in the following state: Pending"}
                return self.send(409, {"X-Amzn-ErrorType": "ResourceConflictException"}, json.dumps(refusal).encode())
            self.aws.events.append("invoke")
            payload, failed = self.aws.answer
            return self.send(200, {"X-Amz-Function-Error": "Unhandled"} if failed else {}, json.dumps(payload).encode())
        if urlsplit(self.path).path.startswith("/2016-08-19/account-settings"):
            limits = {"AccountLimit": {"ConcurrentExecutions": self.aws.environments}}
            return self.send(200, {}, json.dumps(limits).encode())
        if self.command == "PUT" and urlsplit(self.path).path.endswith("/code"):
            self.aws.events.append("code")
        if b"Action=CreateChangeSet" in body:
            body = self.transformed(body)
        if b"Action=ExecuteChangeSet" in body and b"aws-sam-cli-managed" not in body:
            self.aws.events.append("deploy")
        if b"Action=UpdateTerminationProtection" in body:  # moto has none
            self.aws.is_protected = b"EnableTerminationProtection=true" in body
            result = b"<UpdateTerminationProtectionResult><StackId>x</StackId></UpdateTerminationProtectionResult>"
            return self.send(200, {}, b"<UpdateTerminationProtectionResponse>%s</UpdateTerminationProtectionResponse>" % result)
        if b"Action=DeleteStack" in body:
            self.aws.events.append("delete")
            self.aws.status = "DELETE_COMPLETE"
            return self.send(200, {}, b"<DeleteStackResponse/>")
        status, of_answer, answer = self.aws.forward(self.command, self.path, headers, body)
        if self.aws.status and b"Action=DescribeStacks&" in body and b"managed-default" not in body:
            answer = re.sub(rb"<StackStatus>[A-Z_]+<", f"<StackStatus>{self.aws.status}<".encode(), answer)
        self.send(status, of_answer, answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, status: int, headers: dict, body: bytes):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def transformed(self, body: bytes) -> bytes:
        """The change set with its template as CloudFormation's macro AWS::Serverless makes it."""
        order = dict(parse_qsl(body.decode(), keep_blank_values=True))
        if "TemplateURL" in order:
            bucket, key = unquote(urlsplit(order.pop("TemplateURL")).path).lstrip("/").split("/", 1)
            s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.aws.moto_port}")
            order["TemplateBody"] = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        template = yaml_parse(order["TemplateBody"])
        names = [name for name in order if name.endswith(".ParameterKey")]
        values = {order[name]: order[name.replace("Key", "Value")] for name in names if name.replace("Key", "Value") in order}
        order["TemplateBody"] = json.dumps(what_functions_need(transform(template, values, ManagedPolicies())))
        return urlencode(order).encode()


class ManagedPolicies:
    """The ARNs of AWS's own policies, which moto does not look up."""

    def load(self) -> dict:
        return {}


def what_functions_need(template: dict) -> dict:
    """The functions, and whatever they refer to. Of the rest moto knows nothing (an HTTP API) or not enough (an alias)."""
    resources = template["Resources"]
    to_follow = [name for name, resource in resources.items() if resource["Type"] == "AWS::Lambda::Function"]
    if not to_follow:  # the bucket that sam makes for itself
        return template
    needed = {}
    while to_follow:
        name = to_follow.pop()
        if name not in needed:
            needed[name] = resources[name]
            # moto stumbles over one that a condition leaves out.
            needed[name]["Properties"].pop("Layers", None)
            to_follow += [word for word in re.findall(r"\w+", json.dumps(resources[name])) if word in resources]
    return template | {"Resources": needed, "Outputs": {"ApiUrl": {"Value": "https://api.example.com"}}}


def answers(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
