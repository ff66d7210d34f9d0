"""The state machines are valid, and parked executions resume at their step."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from cfnlint import api

from checks import check
from templates import Checkout, Resource


def _definitions(checkout: Checkout) -> Iterator[tuple[Resource, str]]:
    for it in checkout.of_type("AWS::Serverless::StateMachine"):
        yield it, checkout.read(it.file("DefinitionUri"))


def _states(checkout: Checkout) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """The file, the state's name, the state, and all states of its machine."""
    for it, text in _definitions(checkout):
        states = json.loads(text)["States"]
        yield from ((it.file("DefinitionUri"), name, state, states) for name, state in states.items())


@check
def every_state_machine_is_valid(checkout: Checkout) -> Iterator[str]:
    """By cfn-lint's schema of the language, which cfn-lint applies only to inline definitions."""
    for it, text in _definitions(checkout):
        yield from (f"{it.file('DefinitionUri')}: {finding}" for finding in _linted(text))


@cache
def _linted(definition: str) -> list[str]:
    properties = {
        "RoleArn": "arn:aws:iam::111122223333:role/states",
        "Definition": json.loads(
            re.sub(r"\$\{\w+Arn}", "arn:aws:lambda:us-east-1:111122223333:function:it", definition)
        ),
    }
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    return [f"{it.rule.id}: {it.message}" for it in api.lint(json.dumps({"Resources": {"It": machine}}))]


@check
def every_substitution_is_defined_and_used(checkout: Checkout) -> Iterator[str]:
    for it, text in _definitions(checkout):
        used = set(re.findall(r"\$\{(\w+)}", text))
        given = it.properties.get("DefinitionSubstitutions", {}).keys()
        yield from (f"{it}: {name} is used, but not defined" for name in sorted(used - given))
        yield from (f"{it}: {name} is defined, but not used" for name in sorted(given - used))


@check
def every_state_can_be_reached(checkout: Checkout) -> Iterator[str]:
    for it, text in _definitions(checkout):
        definition = json.loads(text)
        reached: set[str] = set()
        ahead = [definition["StartAt"]]
        while ahead:
            name = ahead.pop()
            if name not in definition["States"]:
                yield f"{it.file('DefinitionUri')}: there is no state {name}"
            elif name not in reached:
                reached.add(name)
                ahead += _next(definition["States"][name])
        for name in sorted(definition["States"].keys() - reached):
            yield f"{it.file('DefinitionUri')}: {name} cannot be reached"


def _next(state: dict[str, Any]) -> list[str]:
    branches = [*state.get("Choices", []), *state.get("Catch", []), state]
    return [branch[key] for branch in branches for key in ("Next", "Default") if key in branch]


@check
def every_task_is_retried(checkout: Checkout) -> Iterator[str]:
    """Failed tasks are retried for longer than any outage, so that no order ends because of a failed call."""
    for where, name, state, _ in _states(checkout):
        retries = [it for it in state.get("Retry", []) if "States.ALL" in it["ErrorEquals"]]
        if state["Type"] == "Task" and not any(it.get("MaxAttempts", 3) >= 1000 for it in retries):
            yield f"{where}: {name} is not retried long enough"


@check
def a_parked_execution_resumes_at_its_step(checkout: Checkout) -> Iterator[str]:
    for where, name, state, states in _states(checkout):
        if not state.get("Resource", "").endswith(".waitForTaskToken"):
            continue
        for step in _steps_parked_in(name, states):
            resumed = _resumed(state["Next"], step, states)
            if resumed != step:
                yield f"{where}: {name} is parked as {step}, but resumes with {resumed}"
        if not state.get("TimeoutSeconds"):
            yield f"{where}: {name} waits for its token without a timeout"


def _steps_parked_in(name: str, states: dict[str, Any]) -> list[str | None]:
    """The steps that the choices which lead to a state pass to it."""
    branches = [branch for state in states.values() for branch in state.get("Choices", [])]
    return [it.get("Output", {}).get("step") for it in branches if it["Next"] == name]


def _resumed(name: str, step: str | None, states: dict[str, Any]) -> str:
    """The state that an execution resumes with, by the choices for its step."""
    state = states[name]
    if state["Type"] != "Choice":
        return name
    condition = f"{{% $states.input.step = '{step}' %}}"
    chosen = [branch["Next"] for branch in state["Choices"] if branch["Condition"] == condition]
    return _resumed(chosen[0] if chosen else state["Default"], step, states)
