"""The registry of checks. A check takes a checkout and yields its findings."""

from collections.abc import Callable, Iterator

from templates import Checkout

Check = Callable[[Checkout], Iterator[str]]

CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Registers a check. Its name states the rule."""
    CHECKS.append(function)
    return function
