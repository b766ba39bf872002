"""template.yaml as CloudFormation gets it, translated by SAM's own translator without an AWS account.

    python translation.py translated.json    writes it, for tools that only read CloudFormation
"""

import copy
import hashlib
import json
import logging
import os
import pathlib
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# The translator wants to know one; none is asked.
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-south-1")

# It misses a configuration that only SAM's own service has.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

ROOT = pathlib.Path(__file__).resolve().parents[2]

# For the parameters without a default.
PARAMETERS = {
    "AppUrl": "https://app.gymbrah.example/now",
    "DatabaseSecretArn": "arn:aws:secretsmanager:eu-south-1:123456789012:secret:gymbrah-AbCdEf",
    "MigrationsDatabaseSecretArn": "arn:aws:secretsmanager:eu-south-1:123456789012:secret:rds!cluster-AbCdEf",
    "MailDomain": "gymbrah.example",
    "Release": "1790000000-0123abc",
}


def template():
    """The template as it is written."""
    return yaml_parse((ROOT / "template.yaml").read_text())


def translated(raw, **parameters):
    """The template after SAM, with these parameters besides those without a default."""
    raw = copy.deepcopy(raw)
    for resource in raw["Resources"].values():
        properties = resource.get("Properties", {})
        for member in ("CodeUri", "ContentUri"):
            if member in properties:
                # What `sam package` does.
                digest = hashlib.sha256(properties[member].encode()).hexdigest()
                properties[member] = f"s3://artifacts/{digest}"
    defaults = {name: p["Default"] for name, p in raw["Parameters"].items() if "Default" in p}
    # The map has the ARNs of policies that a template calls by their names; this one calls none.
    translator = Translator({}, Parser())
    return translator.translate(raw, parameter_values={**defaults, **PARAMETERS, **parameters})


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).write_text(json.dumps(translated(template()), indent=2))
