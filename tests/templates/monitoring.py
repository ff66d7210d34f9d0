"""Alarms and dashboards use existing metrics and resources, and alarms notify an operator."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from checks import check
from cloudwatch import publishes
from sources import Emitted, emitted
from templates import Checkout, Resource, Template

OURS = "Cauce"

# The dimensions with a physical name, and the type of the named resource.
NAMED_BY = {
    ("AWS/Lambda", "FunctionName"): "AWS::Serverless::Function",
    ("AWS/Lambda", "Resource"): "AWS::Serverless::Function",
    ("AWS/SQS", "QueueName"): "AWS::SQS::Queue",
    ("AWS/DynamoDB", "TableName"): "AWS::DynamoDB::Table",
    ("AWS/States", "StateMachineArn"): "AWS::Serverless::StateMachine",
}


@dataclass(frozen=True)
class Watched:
    """A metric in an alarm or a dashboard. A search has dimensions without values."""

    where: str
    namespace: str
    name: str
    dimensions: Mapping[str, str | None]


# ---- Watched metrics ------------------------------------------------------------------------------


def alarms(checkout: Checkout) -> Iterator[Resource]:
    return checkout.of_type("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")


def watched(checkout: Checkout) -> Iterator[Watched]:
    for it in checkout.of_type("AWS::CloudWatch::Alarm"):
        yield from _watched_by_alarm(it)
    for it in checkout.of_type("AWS::CloudWatch::Dashboard"):
        for widget in json.loads(it.text("DashboardBody") or "")["widgets"]:
            title = widget["properties"].get("title", widget["type"])
            yield from _watched_by_widget(f"{it}, {title}", it.template, widget["properties"])


def _watched_by_alarm(alarm: Resource) -> Iterator[Watched]:
    metrics = [alarm.properties] if "MetricName" in alarm.properties else []
    for query in alarm.properties.get("Metrics", []):
        if "MetricStat" in query:
            metrics.append(query["MetricStat"]["Metric"])
        else:
            yield from _searched(str(alarm), alarm.template.text(query["Expression"]))
    for metric in metrics:
        text = alarm.template.text
        dimensions = {it["Name"]: text(it["Value"]) for it in metric.get("Dimensions", [])}
        yield Watched(str(alarm), text(metric["Namespace"]), text(metric["MetricName"]), dimensions)


def _watched_by_widget(where: str, template: Template, properties: dict[str, Any]) -> Iterator[Watched]:
    row: list[str] = []
    for written in properties.get("metrics", []):
        fields = [it for it in written if isinstance(it, str)]
        options = written[-1] if isinstance(written[-1], dict) else {}
        if not fields:
            yield from _searched(where, options.get("expression", ""))
            continue
        # "." repeats the field of the row above, "..." all its fields except the last ones.
        if fields[0] == "...":
            fields = row[: len(row) - len(fields) + 1] + fields[1:]
        row = [row[i] if it == "." else it for i, it in enumerate(fields)]
        namespace, name, *rest = row
        dimensions = {key: template.text(value) for key, value in zip(rest[::2], rest[1::2], strict=True)}
        yield Watched(where, namespace, name, dimensions)


def _searched(where: str, expression: str) -> Iterator[Watched]:
    """`SEARCH('{Namespace,Dimension} MetricName="Name" Other="value"', ...)`"""
    for schema, terms in re.findall(r"\{([^}$]+)}([^']*)'", expression):
        namespace, *names = [it.strip().strip('"') for it in schema.split(",")]
        said = dict(re.findall(r"(\w+)=\"([^\"]+)\"", terms))
        name = said.pop("MetricName", "")
        yield Watched(where, namespace, name, {it: said.get(it) for it in names})


# ---- Metrics --------------------------------------------------------------------------------------


@check
def every_metric_of_ours_is_emitted(checkout: Checkout) -> Iterator[str]:
    there = emitted(checkout)
    seen = [it for it in watched(checkout) if it.namespace == OURS]
    names, watched_names = {it.name for it in there}, {it.name for it in seen}
    checkout.notes.append(f"metrics of ours: {len(names)} emitted, {len(watched_names)} watched")
    for it in seen:
        alike = [metric for metric in there if metric.name == it.name]
        if not alike:
            yield f"{it.where}: no code emits {it.name}"
        elif len(it.dimensions) != 1 or not any(_has(metric, it.dimensions) for metric in alike):
            said = ", ".join(f"{key}={value}" for key, value in it.dimensions.items()) or "no dimension"
            yield f"{it.where}: {it.name} is not emitted with {said}"


def _has(metric: Emitted, dimensions: Mapping[str, str | None]) -> bool:
    return all(
        key == metric.dimension and (value is None or value in metric.values)
        for key, value in dimensions.items()
    )


@check
def every_metric_of_ours_is_watched(checkout: Checkout) -> Iterator[str]:
    seen = {it.name for it in watched(checkout) if it.namespace == OURS}
    for name in sorted({it.name for it in emitted(checkout)} - seen):
        yield f"{name}: is emitted, but neither an alarm nor a dashboard uses it"


@check
def every_metric_of_aws_is_published(checkout: Checkout) -> Iterator[str]:
    for it in watched(checkout):
        if it.namespace != OURS and not publishes(it.namespace, it.name, set(it.dimensions)):
            said = " and ".join(sorted(it.dimensions)) or "no dimension"
            yield f"{it.where}: {it.namespace} does not publish {it.name} with {said}"


@check
def every_watched_resource_exists(checkout: Checkout) -> Iterator[str]:
    for it in watched(checkout):
        for dimension, value in it.dimensions.items():
            kind = NAMED_BY.get((it.namespace, dimension))
            if kind is None or value is None or re.fullmatch(r"\$\{(?!Name})[\w.]+}", value):
                continue
            # The value is the name itself, the name with an alias, or an ARN that ends with it.
            if not any(part in checkout.names[kind] for part in value.split(":")):
                yield f"{it.where}: there is no {value}"


@check
def every_function_queue_and_state_machine_has_an_alarm(checkout: Checkout) -> Iterator[str]:
    seen = {
        value.split(":")[-1]
        for it in checkout.of_type("AWS::CloudWatch::Alarm")
        for metric in _watched_by_alarm(it)
        for value in metric.dimensions.values()
        if value
    }
    for kind in ("AWS::Serverless::Function", "AWS::SQS::Queue", "AWS::Serverless::StateMachine"):
        # Migrations are run by hand or by the deployment, which check the result themselves.
        for name in sorted(checkout.names.get(kind, set()) - seen - {"${Name}-migrations"}):
            yield f"{name}: no alarm uses it"


# ---- Alarms ---------------------------------------------------------------------------------------


@check
def every_alarm_has_an_action(checkout: Checkout) -> Iterator[str]:
    for it in alarms(checkout):
        if not it.properties.get("AlarmActions") or it.properties.get("ActionsEnabled") is False:
            yield f"{it}: has no action"


@check
def every_alarm_links_to_a_runbook(checkout: Checkout) -> Iterator[str]:
    for it in alarms(checkout):
        link = re.search(r"Runbook: \$\{Runbooks}/([\w-]+\.md)$", it.text("AlarmDescription") or "")
        if link is None:
            yield f"{it}: its description does not end with a link to a runbook"
        elif not (checkout.root / "docs/runbooks" / link[1]).exists():
            yield f"{it}: docs/runbooks/{link[1]} does not exist"


@check
def every_alarm_defines_missing_data(checkout: Checkout) -> Iterator[str]:
    for it in checkout.of_type("AWS::CloudWatch::Alarm"):
        if "TreatMissingData" not in it.properties:
            yield f"{it}: does not define how missing data is treated"


@check
def every_composite_alarm_is_made_of_alarms_that_exist(checkout: Checkout) -> Iterator[str]:
    names = set().union(*checkout.names.values())
    for it in checkout.of_type("AWS::CloudWatch::CompositeAlarm"):
        for name in re.findall(
            r"(?:ALARM|OK|INSUFFICIENT_DATA)\(\"?'?([^\"')]+)\"?'?\)", it.text("AlarmRule") or ""
        ):
            if (
                not name.startswith("arn:")
                and name not in names
                and name.strip("${}") not in it.template.resources
            ):
                yield f"{it}: there is no alarm {name}"


@check
def every_deployment_rolls_back_on_an_alarm(checkout: Checkout) -> Iterator[str]:
    for it in checkout.functions:
        if "AutoPublishAlias" not in it.properties or it.name == "MigrationsFunction":
            continue
        alarms = it.properties.get("DeploymentPreference", {}).get("Alarms", [])
        if not alarms:
            yield f"{it}: no alarm rolls its deployment back"
        for name in map(it.template.text, alarms):
            if name not in checkout.names["AWS::CloudWatch::Alarm"]:
                yield f"{it}: there is no alarm {name}"
