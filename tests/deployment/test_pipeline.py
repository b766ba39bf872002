"""The way from a commit to a running system, as far as it goes without an account at AWS.

`.ci/run` runs it, after deploy/build.sh has built for this machine into target/ci/build.
"""

import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zipfile
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest import mock

import boto3
import tomlkit
from samcli.yamlhelper import yaml_parse

from aws import REGION, Aws, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "deploy"))
import deploy  # noqa: E402
import smoke  # noqa: E402

BUILD = ROOT / "target" / "ci" / "build"

# The least that a team sets for a stage, besides the role and who gets the alarms.
VARIABLES = {
    "APP_URL": "https://app.example.com",
    "DATABASE_SECRET_ARN": f"arn:aws:secretsmanager:{REGION}:123456789012:secret:database",
    "MAIL_DOMAIN": "example.com",
}


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

    def deploy(self):
        deploy.main(["staging", "--build", str(self.build)], VARIABLES)

    def edit(self, function: str):
        with self.bootstrap(function).open("ab") as bootstrap:
            bootstrap.write(b"another version")

    def bootstrap(self, function: str) -> Path:
        return deploy.Build(self.build).functions[function] / "bootstrap"

    def deployed(self) -> dict[str, str]:
        """The CodeSha256 of every function, by logical id."""
        names = deploy.resources(boto3.client("cloudformation"), "gymbrah-onboarding-staging")
        configuration = boto3.client("lambda").get_function_configuration
        return {
            function: configuration(FunctionName=names[function])["CodeSha256"] for function in deploy.Build(self.build).functions
        }

    def test_a_new_stack_has_the_code_that_was_built_and_is_migrated_after_that(self):
        self.deploy()

        self.assertEqual(self.aws.events, ["deploy", "invoke"])
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
        names = deploy.resources(boto3.client("cloudformation"), "gymbrah-onboarding-staging")
        build = deploy.Build(self.build)
        functions = boto3.client("lambda")
        functions.update_function_code(FunctionName=names["JoinWaitlist"], ZipFile=build.bundle("Migrate"))
        with self.assertRaisesRegex(SystemExit, "JoinWaitlist has the code"):
            deploy.compare(build, functions, names)


class Settings(unittest.TestCase):
    def parameters(self, environment, of_stage="", of_database=()):
        template = yaml_parse((ROOT / "template.yaml").read_text())
        return deploy.parameters(template, of_stage, dict(of_database), environment)

    def test_five_variables_are_enough_and_the_document_names_them(self):
        self.parameters(VARIABLES)
        with self.assertRaises(SystemExit) as missing:
            self.parameters({})
        self.assertEqual(set(str(missing.exception).partition(": ")[2].split(", ")), set(VARIABLES))
        document = (ROOT / "docs" / "OPERATIONS.md").read_text()
        for variable in ["AWS_ROLE_ARN", "ALARM_EMAIL", *VARIABLES]:
            self.assertIn(f"`{variable}`", document)
        self.assertEqual(self.parameters(VARIABLES | {"ALARM_EMAIL": "a@example.com"})["AlarmEmail"], "a@example.com")

    def test_the_databases_stack_says_where_it_is(self):
        outputs = {"DatabaseHost": "proxy.example", "SubnetIds": "subnet-1,subnet-2", "AnotherOutput": "x"}
        given = self.parameters(VARIABLES | {"DATABASE_HOST": ""}, of_database=outputs)
        self.assertEqual((given["DatabaseHost"], given["SubnetIds"]), ("proxy.example", "subnet-1,subnet-2"))
        self.assertNotIn("AnotherOutput", given)
        named = self.parameters(VARIABLES | {"DATABASE_HOST": "db.example"}, of_database=outputs)
        self.assertEqual(named["DatabaseHost"], "db.example")

    def test_every_output_of_the_optional_database_is_taken_or_known_to_be_for_people(self):
        outputs = yaml_parse((ROOT / "database.yaml").read_text())["Outputs"]
        parameters = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]
        self.assertEqual(set(outputs) - set(parameters), set())

    def test_every_deployment_is_a_release_of_its_own(self):
        pattern = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]["Release"]["AllowedPattern"]
        for environment in (VARIABLES, VARIABLES | {"GITHUB_SHA": "0123456789abcdef0123456789abcdef01234567"}):
            self.assertRegex(self.parameters(environment)["Release"], pattern)

    def test_a_variable_beats_the_stage_and_an_empty_one_is_none(self):
        self.assertEqual(self.parameters(VARIABLES, "SendRate=1")["SendRate"], "1")
        self.assertEqual(self.parameters(VARIABLES | {"SEND_RATE": "50"}, "SendRate=1")["SendRate"], "50")
        self.assertEqual(self.parameters(VARIABLES | {"SEND_RATE": ""}, "SendRate=1")["SendRate"], "1")

    def test_the_database_says_which_region_it_is(self):
        self.assertEqual(deploy.region(VARIABLES), REGION)
        for environment in ({}, {"DATABASE_SECRET_ARN": "database"}):
            with self.assertRaisesRegex(SystemExit, "must be the ARN"):
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
    def test_certificates_with_another_digest_are_refused(self):
        with tempfile.NamedTemporaryFile() as other:
            other.write(b"-----BEGIN CERTIFICATE-----\n")
            other.flush()
            run = subprocess.run([ROOT / "deploy/fetch-rds-ca.sh", f"file://{other.name}"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 1)
        self.assertIn("is not what it was", run.stderr)


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
