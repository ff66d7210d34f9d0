"""The alarms of the template, with what the functions really emit.

The emulator does not make metrics of log lines, as CloudWatch does. That much is done here.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

from emulator import STACK, Emulator

PATIENCE = 60


def emitted(emulator: Emulator, function: str, metric: str) -> Iterator[dict[str, Any]]:
    """The function's log lines that hold the metric."""
    logs = emulator.client("logs").get_paginator("filter_log_events")
    for page in logs.paginate(logGroupName=f"/aws/lambda/{STACK}-{function}"):
        for event in page["events"]:
            if '"_aws"' in event["message"] and f'"{metric}"' in event["message"]:
                yield json.loads(event["message"])


def counts(emulator: Emulator, line: dict[str, Any], metric: str, value: float) -> None:
    """Does with the line what CloudWatch does, but with another value."""
    for directive in line["_aws"]["CloudWatchMetrics"]:
        names = {it["Name"] for it in directive["Metrics"]}
        if metric in names:
            dimensions = [{"Name": name, "Value": line[name]} for name in directive["Dimensions"][0]]
            data = [{"MetricName": metric, "Dimensions": dimensions, "Value": value}]
            emulator.client("cloudwatch").put_metric_data(Namespace=directive["Namespace"], MetricData=data)
            return
    raise AssertionError(f"{line} does not declare {metric}")


def becomes(emulator: Emulator, alarm: str, state: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        alarms = emulator.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
        assert alarms, f"there is no alarm {alarm}"
        if alarms[0]["StateValue"] == state:
            return
        time.sleep(1)
    raise AssertionError(f"{alarm} did not become {state} but is {alarms[0]['StateValue']}")


def test_what_needs_a_person_raises_an_alarm() -> None:
    emulator = Emulator()
    line = next(emitted(emulator, "retry", "NeedsAttention"))
    counts(emulator, line, "NeedsAttention", 1)
    becomes(emulator, f"{STACK}-needs-attention", "ALARM")


def test_the_alarms_of_the_template_are_there() -> None:
    emulator = Emulator()
    pages = emulator.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=STACK)
    names = [alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]]
    assert len(names) > 20, names
