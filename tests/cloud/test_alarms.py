"""The alarms of the template fire on the metrics that the functions emit.

Unlike CloudWatch, the emulator does not extract metrics from log lines, so the tests do.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from emulator import STACK, Emulator

TIMEOUT = 60


def emitted(emulator: Emulator, function: str, metric: str) -> Iterator[dict[str, Any]]:
    """The function's log lines with the metric."""
    logs = emulator.client("logs").get_paginator("filter_log_events")
    for page in logs.paginate(logGroupName=f"/aws/lambda/{STACK}-{function}"):
        for event in page["events"]:
            if '"_aws"' in event["message"] and f'"{metric}"' in event["message"]:
                yield json.loads(event["message"])


def emitted_of(emulator: Emulator, function: str, metric: str, **dimension: str) -> dict[str, Any]:
    """Waits for the first such line with this dimension, because logs may be delayed."""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        for line in emitted(emulator, function, metric):
            if dimension.items() <= line.items():
                return line
        time.sleep(1)
    raise AssertionError(f"{function} did not emit {metric} of {dimension}")


def put_metric(emulator: Emulator, line: dict[str, Any], metric: str, value: float) -> None:
    """Publishes the line's metric as CloudWatch does, with another value."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        names = {it["Name"] for it in directive["Metrics"]}
        if metric in names:
            dimensions = [{"Name": name, "Value": line[name]} for name in directive["Dimensions"][0]]
            data = [{"MetricName": metric, "Dimensions": dimensions, "Value": value}]
            emulator.client("cloudwatch").put_metric_data(Namespace=directive["Namespace"], MetricData=data)
            return
    raise AssertionError(f"{line} does not declare {metric}")


@contextmanager
def unreadable_circuit(emulator: Emulator, circuit: str) -> Iterator[None]:
    """Stores an invalid version in the circuit's item, and restores the item afterwards."""
    dynamodb, table = emulator.client("dynamodb"), f"{STACK}-breaker"
    key = {"pk": {"S": circuit}, "sk": {"S": "circuit"}}
    before = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
    dynamodb.put_item(TableName=table, Item={**key, "version": {"S": "new"}})
    try:
        yield
    finally:
        if before:
            dynamodb.put_item(TableName=table, Item=before)
        else:
            dynamodb.delete_item(TableName=table, Key=key)


def wait_for_state(emulator: Emulator, alarm: str, state: str) -> None:
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        alarms = emulator.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
        assert alarms, f"there is no alarm {alarm}"
        if alarms[0]["StateValue"] == state:
            return
        time.sleep(1)
    raise AssertionError(f"{alarm} did not become {state} but is {alarms[0]['StateValue']}")


def test_an_attention_item_raises_an_alarm() -> None:
    emulator = Emulator()
    line = next(emitted(emulator, "retry", "NeedsAttention"))
    put_metric(emulator, line, "NeedsAttention", 1)
    wait_for_state(emulator, f"{STACK}-needs-attention", "ALARM")


def test_an_unreadable_circuit_raises_an_alarm() -> None:
    emulator = Emulator()
    with unreadable_circuit(emulator, "payments"):
        emulator.client("lambda").invoke(FunctionName=f"{STACK}-breaker-probe", Payload=b"{}")
    line = emitted_of(emulator, "breaker-probe", "CircuitUnguarded", Provider="payments")
    put_metric(emulator, line, "CircuitUnguarded", 1)
    wait_for_state(emulator, f"{STACK}-payments-unguarded", "ALARM")


def test_a_security_event_raises_an_alarm() -> None:
    emulator = Emulator()
    for metric, alarm in (("RouteMismatches", "route-mismatches"), ("AuditFailures", "audit-failures")):
        # As functions/api writes it. tests/templates compares its code with the template.
        line = {
            "Service": "api",
            "_aws": {
                "CloudWatchMetrics": [
                    {"Namespace": "Cauce", "Dimensions": [["Service"]], "Metrics": [{"Name": metric}]}
                ]
            },
        }
        put_metric(emulator, line, metric, 1)
        wait_for_state(emulator, f"{STACK}-{alarm}", "ALARM")


def test_the_alarms_of_the_template_exist() -> None:
    emulator = Emulator()
    pages = emulator.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=STACK)
    names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    assert len(names) > 20, names
