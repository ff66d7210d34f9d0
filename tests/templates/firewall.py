"""Evaluates the firewall's rules for guessed secrets against paths and their alternative spellings."""

import posixpath
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from checks import check
from templates import Checkout

WAF = "infra/waf.yaml"
ROUTES = "frontend/src/routes"

# Forms in these folders cannot be used to guess a password, code, order number or card.
HARMLESS = {"cart", "language", "orders", "products", "sign-out", "staff"}

# The API's routes on which order numbers can be guessed.
GUESSING_ROUTES = ("/api/v1/guest/orders", "/api/v1/guest/orders/find", "/api/v1/guest/orders/cancel")


# ---- The rules ------------------------------------------------------------------------------------


def counts(statement: dict[str, Any], method: str, path: str) -> bool:
    """Whether a request matches a WAF statement. The path is the one that was sent."""
    match statement:
        case {"AndStatement": {"Statements": list() as inner}}:
            return all(counts(it, method, path) for it in inner)
        case {"OrStatement": {"Statements": list() as inner}}:
            return any(counts(it, method, path) for it in inner)
        case {"NotStatement": {"Statement": dict() as inner}}:
            return not counts(inner, method, path)
        case {"RegexMatchStatement": it}:
            return re.search(it["RegexString"], _field(it, method, path)) is not None
        case {"ByteMatchStatement": it}:
            return _byte_match(it["PositionalConstraint"], it["SearchString"], _field(it, method, path))
    raise ValueError(f"unknown statement: {', '.join(statement)}")


def _field(statement: dict[str, Any], method: str, path: str) -> str:
    """The field that a statement inspects, after its transformations in order of priority."""
    value = {"Method": method, "UriPath": path}[next(iter(statement["FieldToMatch"]))]
    for it in sorted(statement["TextTransformations"], key=lambda it: it["Priority"]):
        value = _transform(it["Type"], value)
    return value


def _transform(kind: str, value: str) -> str:
    match kind:
        case "NONE":
            return value
        case "URL_DECODE":
            return unquote(value, errors="replace")
        case "LOWERCASE":
            return value.lower()
        case "NORMALIZE_PATH":
            return posixpath.normpath("/" + value.lstrip("/"))
        case "NORMALIZE_PATH_WIN":
            return posixpath.normpath("/" + value.replace("\\", "/").lstrip("/"))
    raise ValueError(f"unknown transformation: {kind}")


def _byte_match(constraint: str, text: str, value: str) -> bool:
    match constraint:
        case "EXACTLY":
            return value == text
        case "STARTS_WITH":
            return value.startswith(text)
        case "ENDS_WITH":
            return value.endswith(text)
        case "CONTAINS":
            return text in value
    raise ValueError(f"unknown constraint: {constraint}")


def _scope_of(checkout: Checkout, rule: str) -> dict[str, Any]:
    """The scope-down statement of a rate-based rule."""
    rules = checkout.templates[WAF].resources["WebAcl"].properties["Rules"]
    named = next(it for it in rules if it["Name"] == rule)
    scope: dict[str, Any] = named["Statement"]["RateBasedStatement"]["ScopeDownStatement"]
    return scope


# ---- Alternative spellings ------------------------------------------------------------------------


def spellings(path: str) -> Iterator[str]:
    """The path as an attacker may write it. All but the last four reach the same route of the frontend,
    because URL parsers resolve dot segments and backslashes, and SvelteKit decodes each segment once."""
    first, *rest = path.removeprefix("/").split("/")
    tail = "".join(f"/{it}" for it in rest)
    yield path
    yield f"/%{ord(first[0]):02x}{first[1:]}{tail}"
    yield "/" + "".join(f"%{ord(it):02X}" for it in first) + tail
    yield f"/{first.replace('-', '%2d')}{tail}"
    yield f"/.{path}"
    yield f"/%2e{path}"
    yield f"/x/..{path}"
    yield f"/x/%2E%2e{path}"
    yield f"/x%2fy/..{path}"
    yield f"/api/..{path}"
    yield f"/%zz/../%{ord(first[0]):02x}{first[1:]}{tail}"
    yield f"/x\\..\\{first}{tail}"
    yield f"/{first}/..%2f../..{tail}"
    yield f"/{first}/..%5c..%5c../..{tail}"
    # These are redirected or not found today, but are counted too.
    yield f"{path}/"
    yield f"/{path}"
    yield f"/%25{ord(first[0]):02x}{first[1:]}{tail}"
    yield f"//x/..//{first}{tail}"


# ---- The frontend's forms -------------------------------------------------------------------------


def forms(checkout: Checkout) -> dict[str, str]:
    """The frontend's routes that accept a form, each with its file: pages with actions, and POST handlers."""
    found = {}
    for pattern, takes in (("+page.server.ts", r"\bactions\b"), ("+server.ts", r"\bPOST\b")):
        for file in checkout.files(f"{ROUTES}/**/{pattern}"):
            exports = rf"^export (const|async function|function) {takes}"
            if re.search(exports, file.read_text(), re.MULTILINE):
                folders = file.relative_to(checkout.root / ROUTES).parent.parts
                # Route groups are not part of the path.
                route = "/".join(it for it in folders if not it.startswith("("))
                found[f"/{route}"] = file.relative_to(checkout.root).as_posix()
    return found


@check
def the_firewall_counts_every_attempt_to_guess_a_secret(checkout: Checkout) -> Iterator[str]:
    scope = _scope_of(checkout, "guesses")
    all_forms = forms(checkout)
    guarded = {route: file for route, file in all_forms.items() if route.split("/")[1] not in HARMLESS}
    if not guarded:
        yield f"{ROUTES}: has no form for a secret"
    for path, where in {**guarded, **dict.fromkeys(GUESSING_ROUTES, WAF)}.items():
        for spelling in spellings(path):
            if not counts(scope, "POST", spelling):
                yield f"{where}: the firewall does not count POST {spelling} among the guesses"
    for route in all_forms.keys() - guarded.keys():
        if counts(scope, "POST", route):
            yield f"{WAF}: counts POST {route} among the guesses, although it guesses nothing"


@check
def the_firewall_counts_every_request_of_the_api(checkout: Checkout) -> Iterator[str]:
    scope = _scope_of(checkout, "api")
    for spelling in spellings("/api/v1/products"):
        if not counts(scope, "GET", spelling):
            yield f"{WAF}: does not count GET {spelling} among the API's requests"
    if counts(scope, "GET", "/products"):
        yield f"{WAF}: counts GET /products among the API's requests"
