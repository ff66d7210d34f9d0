"""The throttles of the API's routes, each alone and all together."""

from collections.abc import Iterator
from typing import Any

from checks import check
from templates import Checkout, Resource, Template

RATE, BURST = "ThrottlingRateLimit", "ThrottlingBurstLimit"

# API Gateway's default limits for all HTTP APIs of an account in one region.
ACCOUNT_RATE, ACCOUNT_BURST = 10_000, 5_000

# How long a request occupies an environment, in seconds, by class: generous averages of measurements.
SECONDS_PER_REQUEST = {"CostlyRoutes": 0.5}
DEFAULT_SECONDS_PER_REQUEST = 0.05

# Routes that must not share a throttle with other classes: webhooks, and routes for anonymous callers.
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
        yield f"{stage}: throttles {key}, which is not a route"
    for key, bounds in settings.items():
        yield from (f"{stage}: {key} has no {it}" for it in (RATE, BURST) if not bounds.get(it))
    for key in routes.keys() & settings.keys() - {"$default"}:
        if routes[key].name not in stage.body.get("DependsOn", []):
            yield f"{stage}: does not wait for {routes[key].name}"


@check
def no_class_of_routes_starves_another(checkout: Checkout) -> Iterator[str]:
    """The throttles of all routes together fit the capacity, so that no class takes the share of another."""
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
    """How the throttles of all routes together exceed the capacity."""
    template = _stage(checkout).template
    rates = {key: _number(template, it[RATE], size) for key, it in settings.items()}
    bursts = [_number(template, it[BURST], size) for it in settings.values()]
    rate, burst = sum(rates.values()), sum(bursts)
    busy = sum(it * _seconds_per_request(settings[key]) for key, it in rates.items())
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


def _seconds_per_request(settings: dict[str, Any]) -> float:
    return SECONDS_PER_REQUEST.get(_class(settings), DEFAULT_SECONDS_PER_REQUEST)


def _class(settings: dict[str, Any]) -> str:
    """The mapping of a route's throttle, which is its class."""
    match settings.get(RATE):
        case {"Fn::FindInMap": [str(mapping), _, _]}:
            return mapping
    return "none"


def _number(template: Template, value: Any, size: str) -> float:
    match value:
        case {"Fn::FindInMap": [str(mapping), {"Ref": "Size"}, str(key)]}:
            return float(template.body["Mappings"][mapping][size][key])
    return float(value)
