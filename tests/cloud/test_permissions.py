"""Each function's role allows only what the function calls.

The other tests show that it allows all calls, because the emulator refuses others as AWS does. These tests
require that each permission has been used by the time the other tests have ended.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from emulator import STACK, Emulator

# Actions of Lambda itself with a function's role, which are not among our calls.
OF_LAMBDA = {
    "sqs:ChangeMessageVisibility": "the mapping of a queue to a function",
    "sqs:DeleteMessage": "the mapping of a queue to a function",
    "sqs:GetQueueAttributes": "the mapping of a queue to a function",
    "sqs:ReceiveMessage": "the mapping of a queue to a function",
}

# The permissions that the operations of a DynamoDB transaction need.
IN_TRANSACTIONS = {
    "dynamodb:DeleteItem": "Delete",
    "dynamodb:PutItem": "Put",
    "dynamodb:UpdateItem": "Update",
}

# Functions with the same program. A permission that one of them has used is needed by all.
SAME_PROGRAM = ["payments", "retry", "shipping"]

LONG = "only in an outage longer than these tests wait for; the chaos test has one, but no record of its calls"

# Permissions that no earlier test uses: the function, the action, the end of the resource, and the reason.
NOT_SEEN: dict[tuple[str, str, str], str] = {
    ("auth-hooks", "cognito-idp:AdminAddUserToGroup", ""): "the emulator has no PostConfirmation trigger",
    ("auth-hooks", "cognito-idp:AdminGetUser", ""): "a laptop's staff need no second factor",
    ("auth-hooks", "cognito-idp:AdminUserGlobalSignOut", ""): "the emulator has no PostConfirmation trigger",
    ("breaker-probe", "sqs:SendMessage", "-probes"): LONG,
    ("retry", "sqs:SendMessage", "-releases"): LONG,
    ("retry", "states:DescribeExecution", "-refund:*"): LONG,
    ("retry", "states:StartExecution", "-refund"): LONG,
    # Lambda sends failed asynchronous invocations there.
    ("breaker-probe", "sqs:SendMessage", "-schedules-dead-letters"): "Lambda itself sends them",
    ("retry", "sqs:SendMessage", "-schedules-dead-letters"): "Lambda itself sends them",
}


@dataclass(frozen=True)
class Permission:
    """One action on one resource."""

    function: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.function} may {self.action} on {self.resource}"


class Account(Emulator):
    """The permissions and calls of the functions in the emulated account."""

    def functions(self) -> list[dict[str, Any]]:
        pages = self.client("lambda").get_paginator("list_functions").paginate()
        found = [function for page in pages for function in page["Functions"]]
        return [it for it in found if it["FunctionName"].startswith(f"{STACK}-")]

    def permissions(self, function: dict[str, Any]) -> Iterator[Permission]:
        """The permissions of the function's own policies, without those of managed policies."""
        iam, role = self.client("iam"), function["Role"].rsplit("/", 1)[-1]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            policy = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for statement in policy["Statement"]:
                for action in listed(statement["Action"]):
                    for resource in listed(statement["Resource"]):
                        yield Permission(function["FunctionName"], action, resource)

    def keys(self, function: dict[str, Any]) -> Iterator[str]:
        """The access keys of the function's environments, one for each version."""
        name = function["FunctionName"]
        pages = self.client("lambda").get_paginator("list_versions_by_function")
        for page in pages.paginate(FunctionName=name):
            for version in page["Versions"]:
                for arn in {version["FunctionArn"], function["FunctionArn"]}:
                    digest = hashlib.sha256(f"{arn}:{version['Role']}".encode()).hexdigest()
                    yield f"ASIA{digest[:16].upper()}"

    def calls(self, key: str, name: str) -> Iterator[dict[str, Any]]:
        """The calls of an operation with the key, the newest first."""
        trail, before = self.client("cloudtrail"), {}
        attributes = {"AccessKeyId": key, "EventName": name}
        lookup = [{"AttributeKey": k, "AttributeValue": v} for k, v in attributes.items()]
        while True:
            page = trail.lookup_events(LookupAttributes=lookup, **before)["Events"]
            if not page:
                return
            yield from (json.loads(event["CloudTrailEvent"]) for event in page)
            # The emulator pages by time alone.
            before = {"EndTime": page[-1]["EventTime"].timestamp() - 0.001}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def uses(event: dict[str, Any], permission: Permission) -> bool:
    """Whether the call needed the permission: its parameters contain the name at the end of the ARN."""
    name = permission.resource.rstrip("*").rstrip(":").rsplit(":", 1)[-1].rsplit("/", 1)[-1]
    parameters = event["requestParameters"]
    if event["eventName"] == "TransactWriteItems":
        kind = IN_TRANSACTIONS[permission.action]
        return any(name in json.dumps(item[kind]) for item in parameters["TransactItems"] if kind in item)
    # A task token does not reveal its state machine.
    return event["eventName"] == "SendTaskSuccess" or name in json.dumps(parameters)


def granted() -> list[Permission]:
    account = Account()
    found = {it for function in account.functions() for it in account.permissions(function)}
    return sorted(found, key=str)


def excuse(permission: Permission) -> str | None:
    """Why the permission need not be used."""
    short = permission.function.removeprefix(f"{STACK}-")
    for (function, action, end), reason in NOT_SEEN.items():
        if (function, action) == (short, permission.action) and permission.resource.endswith(end):
            return reason
    # A function itself reads dead letters. Lambda reads the other queues for it.
    is_read_by_lambda = not permission.resource.endswith("dead-letters")
    return OF_LAMBDA.get(permission.action) if is_read_by_lambda else None


def functions_with_program_of(function: str) -> list[str]:
    """The functions that run the same program."""
    short = function.removeprefix(f"{STACK}-")
    return [f"{STACK}-{name}" for name in SAME_PROGRAM] if short in SAME_PROGRAM else [function]


@pytest.mark.parametrize("permission", granted(), ids=str)
def test_each_permission_is_used(permission: Permission) -> None:
    if reason := excuse(permission):
        pytest.skip(reason)
    account = Account()
    _, name = permission.action.split(":")
    wanted = [name, "TransactWriteItems"] if permission.action in IN_TRANSACTIONS else [name]
    same = functions_with_program_of(permission.function)
    seen = any(
        uses(event, permission)
        for function in account.functions()
        if function["FunctionName"] in same
        for key in account.keys(function)
        for call in wanted
        for event in account.calls(key, call)
    )
    assert seen, f"{permission}, but has not used it"
