"""How many requests the API's routes may have, one by one and together."""

from collections.abc import Iterator
from typing import Any

from checks import check
from templates import Checkout, Resource, Template

RATE, BURST = "ThrottlingRateLimit", "ThrottlingBurstLimit"

# What API Gateway allows all HTTP APIs of an account in one region, unless AWS has raised it.
ACCOUNT_RATE, ACCOUNT_BURST = 10_000, 5_000

# For how long a request keeps an environment, in seconds, by class: generous means of what is measured.
BUSY = {"CostlyRoutes": 0.5}
BUSY_AT_MOST = 0.05

# Whose throttle must not be another class's: what comes of the providers, and of strangers.
OWN_CLASS = {
    "POST /v1/attempts": "AttemptRoutes",
    "POST /v1/guest/": "GuestRoutes",
    "POST /v1/webhooks/": "WebhookRoutes",
}


def _stage(checkout: Checkout) -> Resource:
    return next(checkout.of_type("AWS::ApiGatewayV2::Stage"))


def _settings(stage: Resource) -> dict[str, dict[str, Any]]:
    """The settings of each route, by its key."""
    default = stage.properties.get("DefaultRouteSettings", {})
    return {**stage.properties.get("RouteSettings", {}), "$default": default}


def _routes(checkout: Checkout) -> dict[str, Resource]:
    return {it.text("RouteKey") or "": it for it in checkout.of_type("AWS::ApiGatewayV2::Route")}


@check
def every_route_has_a_throttle_of_its_own(checkout: Checkout) -> Iterator[str]:
    stage, routes = _stage(checkout), _routes(checkout)
    settings = _settings(stage)
    for key in routes.keys() - settings.keys():
        yield f"{routes[key]}: {key} has no throttle"
    for key in settings.keys() - routes.keys():
        yield f"{stage}: bounds {key}, which is no route"
    for key, bounds in settings.items():
        yield from (f"{stage}: {key} has no {it}" for it in (RATE, BURST) if not bounds.get(it))
    for key in routes.keys() & settings.keys() - {"$default"}:
        if routes[key].name not in stage.body.get("DependsOn", []):
            yield f"{stage}: does not wait for {routes[key].name}"


@check
def no_class_of_routes_starves_another(checkout: Checkout) -> Iterator[str]:
    """What all routes may have together fits what there is; so what one class has, no other misses."""
    stage = _stage(checkout)
    settings = _settings(stage)
    for key, bounds in settings.items():
        for begins, mapping in OWN_CLASS.items():
            if key.startswith(begins) and _class(bounds) != mapping:
                yield f"{stage}: {key} has the throttle of {_class(bounds)}"
    function = checkout.function("ApiFunction")
    for size in stage.template.parameters["Size"]["AllowedValues"]:
        environments = _number(function.template, function.properties["ReservedConcurrentExecutions"], size)
        excess = _excess(checkout, settings, size, environments)
        yield from (f"{stage}: {size}: its routes may {it}" for it in excess)


def _excess(
    checkout: Checkout, settings: dict[str, dict[str, Any]], size: str, environments: float
) -> Iterator[str]:
    """Where the bounds of all routes together are more than there is."""
    template = _stage(checkout).template
    rates = {key: _number(template, it[RATE], size) for key, it in settings.items()}
    bursts = [_number(template, it[BURST], size) for it in settings.values()]
    rate, burst = sum(rates.values()), sum(bursts)
    busy = sum(it * BUSY.get(_class(settings[key]), BUSY_AT_MOST) for key, it in rates.items())
    checkout.notes.append(
        f"throttles, {size}: {rate:.0f} requests a second, {burst:.0f} at once,"
        f" {busy:.0f} of {environments:.0f} environments"
    )
    if busy > environments:
        yield f"keep {busy:.0f} environments busy, of {environments:.0f}"
    if rate > ACCOUNT_RATE:
        yield f"have {rate:.0f} a second, over the account's {ACCOUNT_RATE}"
    if burst > ACCOUNT_BURST:
        yield f"burst to {burst:.0f}, over the account's {ACCOUNT_BURST}"


def _class(settings: dict[str, Any]) -> str:
    """The mapping that a route's throttle is of, which is its class."""
    match settings.get(RATE):
        case {"Fn::FindInMap": [str(mapping), _, _]}:
            return mapping
    return "none"


def _number(template: Template, value: Any, size: str) -> float:
    match value:
        case {"Fn::FindInMap": [str(mapping), {"Ref": "Size"}, str(key)]}:
            return float(template.body["Mappings"][mapping][size][key])
    return float(value)
