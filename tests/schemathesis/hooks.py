"""What the contract can't tell schemathesis: where cursors come from, and why a request of the right form may be refused."""

import os
import re
import uuid

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

# The cursors that each list has given.
cursors: dict[str, str] = {}

# The faults of a request that fits its schema: no schema compares a text with another, or with what is stored.
INEXPRESSIBLE = re.compile(
    "|".join(
        (
            "^has a typo: ",  # the check character of an athlete code
            "^is also the contact of ",  # two athletes with one contact
            "is no athlete of this gym$",
            "^is required: you are an athlete of ",  # of several gyms, as it depends on what is stored
            "^must be a time zone of the IANA database",  # of this form, and in no database
            "^must be a country's code",  # two letters that are no country's
            "^has too many or too few digits",  # of a country with another plan of numbers
            "^must be a telephone number",  # of no country
            "^is .* can't be read: ",  # bytes of a file
        )
    )
)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Gives a request that should succeed what nobody can make up."""
    operation = case.operation.definition.raw["operationId"]
    # The other requests need this gym and this athlete, who has an invitation; those that are made on the way are closed and removed.
    gym, invited = os.environ["GYM"], os.environ["ATHLETES"].split()[1]
    if operation == "closeBusiness" and str(case.path_parameters.get("business_id")).lower() == gym:
        case.path_parameters["business_id"] = str(uuid.uuid4())
    if operation == "removeAthlete" and str(case.path_parameters.get("athlete_id")).lower() == invited:
        case.path_parameters["athlete_id"] = str(uuid.uuid4())
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.query and "cursor" in case.query:
        path = case.formatted_path
        if path in cursors:
            case.query["cursor"] = cursors[path]
        else:
            del case.query["cursor"]
    if operation in ("getAthlete", "revokeInvitation"):
        case.path_parameters.update(business_id=gym, athlete_id=invited)
    if operation == "removeAthlete":
        case.path_parameters.update(business_id=gym, athlete_id=os.environ["REMOVED"])
    if "Idempotency-Key" in (case.headers or {}):
        # A key says that a request is an earlier one; the examples would say so of all of them, also once a gym is closed.
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if operation == "assignWorkout":
        case.body = {"business_id": gym, "athlete_ids": os.environ["ATHLETES"].split()}


@schemathesis.hook
def after_call(context, case, response):
    if response.status_code == 200 and case.query is not None and "limit" in case.operation.query:
        cursor = response.json()["next_cursor"]
        if cursor:
            cursors[case.formatted_path] = cursor


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether it is a failure: that a request of the right form was refused, or one of another form taken."""
    if isinstance(failure, AcceptedNegativeData):
        # The contract has the plain form of a text; one of which nothing is seen counts as absent.
        # An import that is tried, or that passes over what is faulty, names the faults of an athlete in its answer.
        operation = case.operation.definition.raw["operationId"]
        names_faults = operation == "importAthletes" and response.json()["counts"]["faulty"] > 0
        return not (names_faults or has_blank_text(case.body))
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 422:
        return True
    problem = response.json()
    if problem["type"] == "urn:gymbrah:problem:invalid-athlete-code":
        return False
    # Of a spreadsheet the contract says only that it is text.
    return not all("row" in fault or INEXPRESSIBLE.search(fault["detail"]) for fault in problem["errors"])


def has_blank_text(value):
    """Whether there is a text in this JSON of which nothing is seen."""
    if isinstance(value, dict):
        return any(has_blank_text(member) for member in value.values())
    if isinstance(value, list):
        return any(has_blank_text(item) for item in value)
    return isinstance(value, str) and not value.strip()
