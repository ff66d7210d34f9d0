"""Prints at the end how many rules were applied and what is suppressed."""

from pathlib import Path

import pytest

from checks import CHECKS
from templates import Checkout

CHECKOUT = Checkout(Path(__file__).resolve().parents[2])


@pytest.fixture(scope="session")
def checkout() -> Checkout:
    return CHECKOUT


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if CHECKOUT.notes:
        terminalreporter.section("what was checked")
        terminalreporter.write_line(f"our own: {len(CHECKS)} rules")
        for note in CHECKOUT.notes:
            terminalreporter.write_line(note)
