"""What is checked: each check takes a checkout and says what is wrong with it; nothing, if all is well."""

from collections.abc import Callable, Iterator

from templates import Checkout

Check = Callable[[Checkout], Iterator[str]]

CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Adds a check. Its name is the rule that it checks."""
    CHECKS.append(function)
    return function
