"""The environment variables that the code reads and the metrics that it emits, found in its text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from templates import Checkout

# A variable is named by a literal, here with its opening quotation mark, or by a constant.
READS = re.compile(
    r"\b(?:required|lazy|number|is_set|var|var_os|with_env_var)(?:::<\w+>)?\(\s*(\"?[A-Z][A-Z0-9_]*)"
)
CONSTANT = re.compile(r"\bconst ([A-Z][A-Z0-9_]*): &str = (\"[A-Z][A-Z0-9_]*)\"")
FRONTEND_READS = re.compile(r"\b(required|optional)\(\s*'([A-Z][A-Z0-9_]*)'\s*\)")
FRONTEND_CONFIG = "frontend/src/lib/server/config-rules.ts"

# The enum of a dimension whose value is not a literal in the code.
ENUMS = {"Kind": "AttentionKind", "Provider": "Provider", "Records": "RecordKind"}


@dataclass(frozen=True)
class Emitted:
    """A metric that the code emits. Its dimension has one of these values."""

    name: str
    dimension: str
    values: frozenset[str]


# ---- The environment ------------------------------------------------------------------------------


def read_by(checkout: Checkout, program: str) -> set[str]:
    """The variables that a program in functions/ reads, including its crates."""
    read = set()
    for text in map(_text, _files(checkout, program)):
        constants = dict(CONSTANT.findall(text))
        read |= {constants.get(name, name) for name in READS.findall(text)}
    return {name.removeprefix('"') for name in read if name.startswith('"')}


def read_by_frontend(checkout: Checkout) -> dict[str, bool]:
    """The variables that the frontend reads, and whether they are required."""
    text = checkout.read(FRONTEND_CONFIG)
    return {name: kind == "required" for kind, name in FRONTEND_READS.findall(text)}


def _files(checkout: Checkout, program: str) -> Iterator[Path]:
    for folder in _folders(checkout, checkout.root / "functions" / program, set()):
        yield from (it for it in sorted(folder.glob("src/**/*.rs")) if it.name != "tests.rs")


def _folders(checkout: Checkout, folder: Path, seen: set[Path]) -> set[Path]:
    """The folders of a program and of all our crates that it depends on."""
    seen.add(folder)
    manifest = (folder / "Cargo.toml").read_text().split("[dev-dependencies]")[0]
    for name in re.findall(r"^([\w-]+)(?:\.workspace)? *=", manifest, re.MULTILINE):
        crate = checkout.root / "crates" / name
        if crate not in seen and (crate / "Cargo.toml").exists():
            _folders(checkout, crate, seen)
    return seen


def _text(file: Path) -> str:
    """A Rust source without comments and without the tests at its end."""
    text = re.sub(r"^\s*//.*$", "", file.read_text(), flags=re.MULTILINE)
    return re.split(r"^#\[cfg\(test\)]\nmod \w+ \{", text, flags=re.MULTILINE)[0]


# ---- Metrics --------------------------------------------------------------------------------------


def emitted(checkout: Checkout) -> list[Emitted]:
    """The metrics of all programs: `Metrics::of("Dimension", value).with("Name", unit, number)...`."""
    found = []
    for file in checkout.files("functions/*/src/**/*.rs", "crates/*/src/**/*.rs"):
        text = _text(file)
        for chain in re.finditer(
            r"Metrics::of\(\s*\"(\w+)\",\s*(.+?)\)\s*\.with\((.+?)\.emit\(", text, re.DOTALL
        ):
            dimension, value, rest = chain.groups()
            values = _values(checkout, dimension, value)
            for name in _names(text[: chain.start()], ".with(" + rest):
                found.append(Emitted(name, dimension, values))
    return found


def _names(before: str, chain: str) -> Iterator[str]:
    """The names in a chain. A variable may be any of the literals in its `let`."""
    for literal, variable in re.findall(r"\.with\(\s*(?:\"(\w+)\"|(\w+))\s*,", chain):
        if literal:
            yield literal
        else:
            let = before.rsplit(f"let {variable} =", 1)[-1]
            yield from re.findall(r"\"([A-Z]\w+)\"\s*[,}\n]", let)


def _values(checkout: Checkout, dimension: str, value: str) -> frozenset[str]:
    """A literal, or all values of the dimension's enum."""
    if literal := re.fullmatch(r'"(.*)"', value.strip()):
        return frozenset([literal[1]])
    return frozenset(_variants(checkout, ENUMS[dimension]))


def _variants(checkout: Checkout, enum: str) -> list[str]:
    """The variants of an enum as it displays them: in snake case, or as `strum` states."""
    for file in checkout.files("crates/*/src/**/*.rs"):
        if found := re.search(rf"^pub enum {enum} \{{(.*?)^}}", _text(file), re.MULTILINE | re.DOTALL):
            stated = r"(?:^    #\[strum\(serialize = \"(\w+)\"\)\]\n)?"
            variants = re.findall(stated + r"^    (\w+),", found[1], re.MULTILINE)
            return [name or re.sub(r"(?<!^)(?=[A-Z])", "_", it).lower() for name, it in variants]
    raise ValueError(f"there is no enum {enum}")
