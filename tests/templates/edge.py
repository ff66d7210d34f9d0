"""Runs the CDN's function from the template in Node, with requests as viewers send them."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from checks import check
from firewall import spellings
from templates import DOCKERFILES, Checkout, Resource

EDGE = "infra/edge.yaml"
VIEWER = "cauce-viewer-address"

# Runs each event in a context of its own, so that no state is shared.
RUNNER = """
const { code, events } = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const vm = require('vm');
const answers = events.map((event) => {
  const context = vm.createContext({});
  vm.runInContext(code, context);
  context.event = JSON.stringify(event);
  return JSON.parse(vm.runInContext('JSON.stringify(handler(JSON.parse(event)))', context));
});
process.stdout.write(JSON.stringify(answers));
"""

# Paths that every tier parses alike. They are forwarded unchanged, except for the API's prefix.
PLAIN = {
    "/": "/",
    "/sign-in": "/sign-in",
    "/sign-in/": "/sign-in/",
    "/products/RED-SHIRT_1.5~x": "/products/RED-SHIRT_1.5~x",
    "/products/caf%C3%A9%20au%20lait": "/products/caf%C3%A9%20au%20lait",
    "/_app/env.js": "/_app/env.js",
    "/.well-known/security.txt": "/.well-known/security.txt",
    "/api/v1/products": "/v1/products",
    "/api/v1/orders/1/cancel": "/v1/orders/1/cancel",
    "/apis": "/apis",
}

# Further spellings, which an API once routed differently from how it authorised them.
AMBIGUOUS = [
    *("/api/v1/orders/1%5crefunds%23/cancel", "/api/v1/orders/..%5cusers", "/orders/..%5caudit%23/live"),
    *("/api/v1/orders/1\\refunds/cancel", "/api/v1/orders/1%2frefunds", "/api/v1/orders/1%00", "/x%0d%0ay"),
    *("/api/v1/orders/%2e%2e/users", "/api/v1/orders/1%252frefunds", "/%", "/%4", "/%gg", "/a b"),
    *("/é", "/a#b", "/a/.", "/a/..", "//", "/a//b", "/%7e", "/a%3fb%7Fc", "sign-in"),
]


@dataclass(frozen=True)
class Request:
    """A viewer's request and network address."""

    uri: str
    ip: str = "198.51.100.7"
    headers: dict[str, Any] = field(default_factory=dict)

    def event(self) -> dict[str, Any]:
        request = {"method": "GET", "uri": self.uri, "headers": self.headers}
        request |= {"querystring": {}, "cookies": {}}
        return {"version": "1.0", "viewer": {"ip": self.ip}, "request": request}


def answers(checkout: Checkout, requests: list[Request]) -> list[dict[str, Any]]:
    """The function's results for the requests."""
    code = checkout.templates[EDGE].resources["Requests"].properties["FunctionCode"]
    return json.loads(_run(code, json.dumps([it.event() for it in requests])))  # type: ignore[no-any-return]


@cache
def _run(code: str, events: str) -> str:
    node = shutil.which("node")
    if node is None:
        raise ValueError("node is needed to run the CDN's function")
    payload = json.dumps({"code": code, "events": json.loads(events)})
    run = subprocess.run([node, "-e", RUNNER], input=payload, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise ValueError(run.stderr)
    return run.stdout


@check
def the_cdn_sets_the_viewer_address(checkout: Checkout) -> Iterator[str]:
    """Headers of viewers that claim an address or use our names are dropped."""
    forged = {
        VIEWER: {"value": "1.2.3.4", "multiValue": [{"value": "1.2.3.4"}, {"value": "5.6.7.8"}]},
        "cauce-client-address": {"value": "1.2.3.4"},
        "cauce-frontend-key": {"value": "guess"},
        "x-forwarded-for": {"value": "1.2.3.4"},
        "accept": {"value": "text/html"},
    }
    sent = [Request("/api/v1/products", ip, forged) for ip in ("198.51.100.7", "2001:db8::7")]
    for request, answer in zip(sent, answers(checkout, sent), strict=True):
        headers = answer["headers"]
        if headers.get(VIEWER) != {"value": request.ip}:
            yield f"{EDGE}: {VIEWER} is {headers.get(VIEWER)}, not the viewer's {request.ip}"
        for name in headers.keys() - {VIEWER}:
            if name.startswith("cauce-"):
                yield f"{EDGE}: lets a viewer send {name}"
        if "accept" not in headers:
            yield f"{EDGE}: drops headers that are not ours"


@check
def the_cdn_rejects_ambiguous_paths(checkout: Checkout) -> Iterator[str]:
    # SvelteKit redirects a trailing slash.
    odd = [it for it in spellings("/sign-in/code") if it not in ("/sign-in/code", "/sign-in/code/")]
    refused = [Request(uri) for uri in [*odd, *AMBIGUOUS]]
    for request, answer in zip(refused, answers(checkout, refused), strict=True):
        if answer.get("statusCode") != 400:
            yield f"{EDGE}: forwards {request.uri} as {answer.get('uri')}"
    plain = [Request(uri) for uri in PLAIN]
    for request, answer in zip(plain, answers(checkout, plain), strict=True):
        if answer.get("uri") != PLAIN[request.uri]:
            yield f"{EDGE}: turns {request.uri} into {answer.get('uri') or answer.get('statusCode')}"


@check
def every_behaviour_that_reaches_code_has_the_function(checkout: Checkout) -> Iterator[str]:
    """Hashed files need no viewer address. All other requests go through the function."""
    distribution = checkout.templates[EDGE].resources["Distribution"]
    config = distribution.properties["DistributionConfig"]
    for behaviour in [config["DefaultCacheBehavior"], *config["CacheBehaviors"]]:
        path = behaviour.get("PathPattern", "*")
        if path == "/_app/immutable/*":
            continue
        functions = behaviour.get("FunctionAssociations", [])
        if not any(_is_ours(distribution, it) for it in functions):
            yield f"{distribution}: {path} does not go through the function"


def _is_ours(distribution: Resource, association: dict[str, Any]) -> bool:
    arn = distribution.template.text(association["FunctionARN"])
    return association["EventType"] == "viewer-request" and arn.startswith("${Requests.")


@check
def the_frontend_trusts_only_the_viewer_address_of_the_cdn(checkout: Checkout) -> Iterator[str]:
    dockerfile = next(it for it in DOCKERFILES if it.startswith("frontend/"))
    text = checkout.read(dockerfile)
    if f"ADDRESS_HEADER={VIEWER}\n" not in text or "XFF_DEPTH" in text:
        yield f"{dockerfile}: trusts a header that viewers can send for the viewer's address"
