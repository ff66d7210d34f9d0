"""Third-party rules: cfn-lint, checkov, and the schemas of Kubernetes."""

import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from cfnlint.config import ConfigMixIn, ManualArgs
from cfnlint.runner import Runner

from checks import check
from templates import DOCKERFILES, MAIN, Checkout

os.environ.setdefault("LOG_LEVEL", "ERROR")  # checkov reads it when it is loaded.

from checkov.cloudformation.runner import Runner as CloudFormation
from checkov.common.models.enums import CheckResult
from checkov.common.output.record import Record
from checkov.dockerfile.runner import Runner as Dockerfile
from checkov.kubernetes.runner import Runner as Kubernetes
from checkov.runner_filter import RunnerFilter

# The regions of the stack. The CDN's firewall is always in us-east-1.
REGIONS = ["us-east-1", "eu-west-1"]

# The oldest version of Kubernetes that infra/eks supports, and the newest with schemas.
KUBERNETES = ["1.31.0", kubernetes_validate.latest_version()]


@dataclass(frozen=True)
class Suppression:
    """A suppressed check of a resource, with its reason."""

    file: str
    check: str
    resource: str
    reason: str


# ---- cfn-lint -------------------------------------------------------------------------------------

# Informational rules that are enforced nevertheless.
INFORMATION = ["I3042", "I3510"]

# Findings by file contents, so that a test which changes one file lints only that file again.
_linted: dict[tuple[str, ...], list[tuple[str, str, str]]] = {}


def lint(checkout: Checkout, path: str) -> list[tuple[str, str, str]]:
    """The findings of cfn-lint in a template: place, rule and message."""
    # The main template is linted together with the files that it names.
    named = checkout.files("infra/*.yaml", "statemachines/*.json") if path == MAIN else []
    key = (path, *(it.read_text() for it in [checkout.root / path, *named]))
    if key not in _linted:
        arguments = ManualArgs(regions=REGIONS, include_checks=INFORMATION)
        runner = Runner(ConfigMixIn(["--template", str(checkout.root / path)], **arguments))
        _linted[key] = [(f"{path}:{it.linenumber}", it.rule.id, it.message) for it in runner.run()]
    return _linted[key]


@check
def cfn_lint_finds_nothing(checkout: Checkout) -> Iterator[str]:
    known = Runner(ConfigMixIn([])).rules
    rules = [it for it in known if not it.startswith("I")] + INFORMATION
    templates = f"{len(checkout.templates)} templates for {' and '.join(REGIONS)}"
    checkout.notes.append(f"cfn-lint: {len(rules)} rules, {templates}")
    for path in checkout.templates:
        for place, rule, message in lint(checkout, path):
            yield f"{place}: {rule}: {message}"


# ---- checkov --------------------------------------------------------------------------------------

RUNNERS = {"cloudformation": CloudFormation, "dockerfile": Dockerfile, "kubernetes": Kubernetes}


@dataclass(frozen=True)
class Result:
    """The result of a checkov check of a resource: passed, failed or suppressed."""

    file: str
    resource: str
    check: str
    rule: str
    outcome: Any
    reason: str


@cache
def checkov(framework: str, files: tuple[tuple[str, str], ...]) -> list[Result]:
    """The results of checkov for files, given as paths and contents. Cached by contents."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for path, text in files:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        report = RUNNERS[framework]().run(
            root_folder=None,
            files=[str(root / path) for path, _ in files],
            runner_filter=RunnerFilter(framework=[framework]),
        )
        if report.parsing_errors:
            raise ValueError(f"checkov cannot read {report.parsing_errors}")
        return [
            _result(root, it) for it in report.passed_checks + report.failed_checks + report.skipped_checks
        ]


def _result(root: Path, record: Record) -> Result:
    file = Path(record.file_abs_path).resolve().relative_to(root).as_posix()
    reason = (record.check_result.get("suppress_comment") or "").strip()
    # Some resources have the path of their file as a name.
    resource = record.resource.replace(f"{root}/{file}.", "") or "all"
    return Result(file, resource, record.check_id, record.check_name, record.check_result["result"], reason)


def manifests(checkout: Checkout) -> list[str]:
    """The files with Kubernetes objects."""
    files = checkout.files("infra/eks/**/*.yaml")
    names = [it.relative_to(checkout.root).as_posix() for it in files]
    return [it for it in names if not it.endswith(("/kustomization.yaml", "/roles.yaml"))]


def results(checkout: Checkout) -> dict[str, list[Result]]:
    """The results of checkov by framework. It checks Kubernetes objects together, and other files one by one."""
    together = {
        "cloudformation": [[path] for path in checkout.templates],
        "dockerfile": [[path] for path in DOCKERFILES],
        "kubernetes": [manifests(checkout)],
    }
    return {
        framework: [
            it
            for paths in groups
            for it in checkov(framework, tuple((path, checkout.read(path)) for path in paths))
        ]
        for framework, groups in together.items()
    }


@check
def checkov_finds_nothing(checkout: Checkout) -> Iterator[str]:
    for framework, found in results(checkout).items():
        outcomes = Counter(it.outcome for it in found)
        rules = {it.check for it in found}
        checkout.notes.append(
            f"checkov, {framework}: {len(rules)} rules were applied,"
            f" {outcomes[CheckResult.PASSED]} checks passed, {outcomes[CheckResult.FAILED]} failed,"
            f" {outcomes[CheckResult.SKIPPED]} suppressed"
        )
        for it in found:
            if it.outcome is CheckResult.FAILED:
                yield f"{it.file}: {it.resource}: {it.check}: {it.rule}"


# ---- Suppressions ---------------------------------------------------------------------------------


def suppressions(checkout: Checkout) -> Iterator[Suppression]:
    """The suppressions of checkov, from its results, and of cfn-lint, from the templates."""
    for given in results(checkout).values():
        for it in given:
            if it.outcome is CheckResult.SKIPPED:
                yield Suppression(it.file, it.check, it.resource, it.reason)
    for template in checkout.templates.values():
        lines = checkout.read(template.path).splitlines()
        of_all = {"all": template.body.get("Metadata", {})}
        of_each = {it.name: it.metadata for it in template.resources.values()}
        for name, metadata in {**of_all, **of_each}.items():
            for rule in metadata.get("cfn-lint", {}).get("config", {}).get("ignore_checks", []):
                reason = _comment_over(lines, rule.start_mark.line)
                yield Suppression(template.path, rule, name, reason)


def _comment_over(lines: list[str], line: int) -> str:
    """The comment above a line of a resource's metadata, or above the metadata."""
    for over in range(line, 0, -1):
        if lines[over - 1].strip().startswith("#"):
            return lines[over - 1].strip(" #")
        if lines[over].strip().startswith("Metadata:"):
            return ""
    return ""


@check
def every_suppression_has_a_reason(checkout: Checkout) -> Iterator[str]:
    by_reason: dict[tuple[str, str, str], list[str]] = {}
    for it in suppressions(checkout):
        if len(it.reason.split()) < 3:
            yield f"{it.file}: {it.resource}: {it.check} is suppressed without a reason"
        by_reason.setdefault((it.file, it.check, it.reason), []).append(it.resource.split(".", 1)[-1])
    for (file, rule, reason), names in by_reason.items():
        checkout.notes.append(f"suppressed in {file}: {rule} of {', '.join(sorted(names))}: {reason}")


@check
def every_suppression_is_needed(checkout: Checkout) -> Iterator[str]:
    """Checks the files without their suppressions. At least one of the resources must need each of them."""
    there = list(suppressions(checkout))
    failed = _found_without_suppressions(checkout, {it.file for it in there})
    needed = {(it.file, it.check, it.reason) for it in there if (it.file, it.check, it.resource) in failed}
    for it in there:
        if (it.file, it.check, it.reason) not in needed:
            yield f"{it.file}: {it.resource}: {it.check} is suppressed, but finds nothing"
    # checkov does not report suppressions of checks that do not apply to the resource.
    known = {(it.file, it.check) for it in there}
    for template in checkout.templates.values():
        for resource in template.resources.values():
            for skip in resource.metadata.get("checkov", {}).get("skip", []):
                if (template.path, skip["id"]) not in known:
                    yield f"{resource}: {skip['id']} is suppressed, but does not apply"


def _found_without_suppressions(checkout: Checkout, files: set[str]) -> set[tuple[str, str, str]]:
    found = set()
    with tempfile.TemporaryDirectory() as folder:
        bare = checkout.copy_to(Path(folder))
        for path in files:
            text = checkout.read(path).replace("checkov", "formerly")
            (bare.root / path).write_text(text.replace("ignore_checks", "formerly_ignored"))
        for given in results(bare).values():
            found |= {(it.file, it.check, it.resource) for it in given if it.outcome is CheckResult.FAILED}
        for path in files.intersection(bare.templates):
            text = checkout.read(path)
            if "ignore_checks" in text:
                names = {"all", *bare.templates[path].resources}
                found |= {(path, rule, name) for _, rule, _ in lint(bare, path) for name in names}
    return found


# ---- Kubernetes -----------------------------------------------------------------------------------


def rendered(checkout: Checkout) -> dict[str, str]:
    """The overlays as kubectl renders them, if it is installed."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        checkout.notes.append("kubernetes: kubectl is not installed, so the overlays are not checked")
        return {}
    outputs = {}
    for overlay in sorted(checkout.root.glob("infra/eks/overlays/*")):
        command = [kubectl, "kustomize", str(overlay)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise ValueError(run.stderr)
        outputs[f"infra/eks/overlays/{overlay.name}"] = run.stdout
    return outputs


@check
def every_kubernetes_object_is_valid(checkout: Checkout) -> Iterator[str]:
    texts = {it: checkout.read(it) for it in manifests(checkout)} | rendered(checkout)
    count = 0
    for place, text in texts.items():
        try:
            documents = [it for it in yaml.safe_load_all(text) if it is not None]
        except yaml.YAMLError as error:
            yield f"{place}: {error}"
            continue
        for document in documents:
            if not isinstance(document, dict):
                yield f"{place}: {document}"
                continue
            count += 1
            name = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
            for version in KUBERNETES:
                yield from (f"{place}: {name}: {it}" for it in _unknown(json.dumps(document), version))
    checkout.notes.append(f"kubernetes: {count} objects by the schemas of {' and '.join(KUBERNETES)}")


@cache
def _unknown(document: str, version: str) -> list[str]:
    """The errors of an object in a version of Kubernetes."""
    try:
        kubernetes_validate.validate(json.loads(document), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'/'.join(map(str, error.path))}: {error.message} (Kubernetes {version})"]
    except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as error:
        return [f"{error} (Kubernetes {version})"]
    return []
