"""The templates of this checkout follow every rule."""

import pytest

import drift  # noqa: F401
import edge  # noqa: F401
import firewall  # noqa: F401
import linters  # noqa: F401
import security  # noqa: F401
import statemachines  # noqa: F401
import supply  # noqa: F401
import throttles  # noqa: F401
import monitoring  # noqa: F401
from checks import CHECKS, Check
from templates import Checkout


@pytest.mark.parametrize("rule", CHECKS, ids=lambda it: it.__name__)
def test_the_checkout(rule: Check, checkout: Checkout) -> None:
    findings = list(rule(checkout))
    if findings:
        pytest.fail("\n".join(findings), pytrace=False)
