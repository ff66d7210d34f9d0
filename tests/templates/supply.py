"""The supply chain: licences, sources, and pinned versions."""

import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from license_expression import AND, Licensing

from checks import check
from templates import DOCKERFILES, NPM_LOCKFILES, PIP_LOCKFILES, Checkout

ROOT = Path(__file__).resolve().parents[2]

WORKFLOWS = ".github/workflows/*.yml"
DEPENDENCY_BOT = ".github/dependabot.yml"

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"

# Further licences of npm packages, besides those of deny.toml: of build and test tools, and of two
# typefaces. None of them applies to what is made with them.
ALSO_IN_NPM = {"0BSD", "BlueOak-1.0.0", "BSD-2-Clause", "CC0-1.0", "MPL-2.0", "OFL-1.1", "Python-2.0"}

# The ecosystems and folders that Dependabot updates.
LOCKED = {
    "cargo": {"/"},
    "docker": {"/", "/frontend"},
    "github-actions": {"/"},
    "npm": {"/dev/bench/handlers/node", "/frontend", "/tests/browser", "/tests/contract"},
    "pip": {"/dev/bench/handlers/python", "/dev/xtask", "/tests/templates"},
}

_licensing = Licensing()


# ---- Licences -------------------------------------------------------------------------------------


def allowed(checkout: Checkout) -> set[str]:
    """The licences that deny.toml allows."""
    found = re.search(r"^allow = \[(.*?)^]", checkout.read("deny.toml"), re.MULTILINE | re.DOTALL)
    return set(re.findall(r'"([^"]+)"', found[1])) if found else set()


def is_allowed(expression: str, licences: set[str]) -> bool:
    """Whether an SPDX expression is satisfied by these licences. Old crates write / for OR."""
    parsed = _licensing.parse(expression.replace("/", " OR "))
    return _is_satisfied(parsed, licences)


def _is_satisfied(expression: object, licences: set[str]) -> bool:
    arguments = getattr(expression, "args", ())
    if not arguments:
        return str(expression) in licences
    satisfied = (_is_satisfied(it, licences) for it in arguments)
    return all(satisfied) if isinstance(expression, AND) else any(satisfied)


@cache
def crates() -> list[tuple[str, str]]:
    """The crates of Cargo.lock, each with its licence."""
    command = ["cargo", "metadata", "--locked", "--format-version=1"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [(it["name"], it["license"] or "none") for it in json.loads(run.stdout)["packages"]]


@check
def every_licence_is_allowed(checkout: Checkout) -> Iterator[str]:
    licences = allowed(checkout)
    for name, licence in crates():
        if not is_allowed(licence, licences):
            yield f"Cargo.lock: {name} is under {licence}"
    count = 0
    for path in NPM_LOCKFILES:
        for name, package in json.loads(checkout.read(path))["packages"].items():
            count += 1
            if not is_allowed(package.get("license", "none"), licences | ALSO_IN_NPM) and name:
                yield f"{path}: {name} is under {package.get('license')}"
    checkout.notes.append(f"licences: of {len(crates())} crates and {count} packages of npm")


# ---- Sources and versions -------------------------------------------------------------------------


@check
def every_package_comes_from_its_registry_unchanged(checkout: Checkout) -> Iterator[str]:
    for package in checkout.read("Cargo.lock").split("[[package]]")[1:]:
        name, source = (re.search(rf'^{key} = "(.*)"', package, re.MULTILINE) for key in ("name", "source"))
        if source and (source[1] != CRATES_IO or "checksum = " not in package):
            yield f"Cargo.lock: {name[1] if name else 'a crate'} comes from {source[1]}"
    for path in NPM_LOCKFILES:
        for name, package in json.loads(checkout.read(path))["packages"].items():
            if name and not package.get("link") and not package.get("integrity", "").startswith("sha512-"):
                yield f"{path}: {name} has no checksum"
    for path in PIP_LOCKFILES:
        for line in checkout.read(path).replace("\\\n", " ").splitlines():
            if re.match(r"\w", line) and not re.match(r"[\w.\[\], -]+==\S+ .*--hash=sha256:", line):
                yield f"{path}: {line.split()[0]} is not pinned by a checksum"


@check
def every_base_image_is_named_by_its_digest(checkout: Checkout) -> Iterator[str]:
    for path in DOCKERFILES:
        for image in re.findall(r"^FROM (\S+)", checkout.read(path), re.MULTILINE):
            if not re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", image):
                yield f"{path}: {image} is not pinned by its digest"


@check
def every_workflow_is_pinned_and_read_only(checkout: Checkout) -> Iterator[str]:
    for file in checkout.files(WORKFLOWS):
        path, text = file.relative_to(checkout.root).as_posix(), file.read_text()
        for action in re.findall(r"uses: (.*)", text):
            if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action):
                yield f"{path}: {action} is not pinned by its commit and version"
        permissions = re.findall(r"^ *permissions:\n((?: +.*: .*\n)+)", text, re.MULTILINE)
        if [it.split() for it in permissions] != [["contents:", "read"]]:
            yield f"{path}: has more permissions than to read the repository"
        if "pull_request_target" in text:
            yield f"{path}: runs changes of others with the permissions of the repository"


@check
def dependabot_updates_every_lockfile(checkout: Checkout) -> Iterator[str]:
    blocks = checkout.read(DEPENDENCY_BOT).split("- package-ecosystem: ")[1:]
    known = {block.split()[0]: set(re.findall(r"- (/\S*)", block)) for block in blocks}
    for ecosystem, folders in LOCKED.items():
        for folder in folders - known.get(ecosystem, set()):
            yield f"{DEPENDENCY_BOT}: does not update {ecosystem} in {folder}"
