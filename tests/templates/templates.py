"""The templates of a checkout as data, parsed by cfn-lint, with intrinsic functions as text."""

import json
import posixpath
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cfnlint.decode import decode

MAIN = "template.yaml"

DOCKERFILES = ["Dockerfile", "frontend/Dockerfile"]

# The lockfiles of npm and of pip.
NPM_LOCKFILES = [
    "dev/bench/handlers/node/package-lock.json",
    *("frontend/package-lock.json", "tests/browser/package-lock.json", "tests/contract/package-lock.json"),
]
PIP_LOCKFILES = [
    *("dev/bench/handlers/python/requirements.txt", "dev/xtask/requirements.txt"),
    "tests/templates/requirements.txt",
]

# All files that a check reads.
CHECKED_FILES = [
    *(MAIN, "infra/**/*", "statemachines/*", "docs/runbooks/*", *DOCKERFILES, "frontend/src/lib/server/*"),
    *("frontend/src/routes/**/+page.server.ts", "frontend/src/routes/**/+server.ts"),
    *("Cargo.lock", "deny.toml", ".github/**/*", *NPM_LOCKFILES, *PIP_LOCKFILES),
    *("functions/*/Cargo.toml", "functions/*/src/**/*", "crates/*/Cargo.toml", "crates/*/src/**/*"),
]


@dataclass(frozen=True)
class Resource:
    """One resource of one template."""

    template: "Template"
    name: str
    body: dict[str, Any]

    @property
    def type(self) -> str:
        return self.body["Type"]

    @property
    def properties(self) -> dict[str, Any]:
        return self.body.get("Properties", {})

    @property
    def metadata(self) -> dict[str, Any]:
        return self.body.get("Metadata", {})

    def text(self, key: str) -> str | None:
        """A property as text. See `Template.text`."""
        value = self.properties.get(key)
        return None if value is None else self.template.text(value)

    def file(self, key: str) -> str:
        """The path in the checkout of the file that a property names."""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.template.path), self.properties[key]))

    def __str__(self) -> str:
        return f"{self.template.path}: {self.name}"


@dataclass(frozen=True)
class Template:
    """One template, with its path in the checkout."""

    path: str
    body: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        return self.body.get("Parameters", {})

    @property
    def outputs(self) -> dict[str, Any]:
        return self.body.get("Outputs", {})

    @property
    def resources(self) -> dict[str, Resource]:
        return {name: Resource(self, name, body) for name, body in self.body["Resources"].items()}

    def of_type(self, *types: str) -> Iterator[Resource]:
        return (resource for resource in self.resources.values() if resource.type in types)

    def text(self, value: Any) -> str:
        """A value in the notation of `Fn::Sub`. The stack's name is ${Name}, as in the nested stacks."""
        written = as_text(value)
        return written.replace("${AWS::StackName}", "${Name}") if self.path == MAIN else written

    def alternatives(self, value: Any) -> Iterator[Any]:
        """The possible values: each branch of a condition, and each size of a mapping."""
        match value:
            case {"Fn::If": [_, yes, no]}:
                yield from self.alternatives(yes)
                yield from self.alternatives(no)
            case {"Fn::FindInMap": [str(mapping), _, str(key)]}:
                for column in self.body["Mappings"][mapping].values():
                    yield column.get(key)
            case {"Ref": "AWS::NoValue"}:
                pass
            case {"Ref": name} if "Default" in self.parameters.get(name, {}):
                yield self.parameters[name]["Default"]
            case _:
                yield value

    def listed(self, value: Any) -> list[Any]:
        """The elements of a list or a single value, under all conditions."""
        elements = [] if value is None else list(self.alternatives(value))
        flat = [it for element in elements for it in (element if isinstance(element, list) else [element])]
        return [it for element in flat for it in self.alternatives(element)]


@dataclass(frozen=True)
class Checkout:
    """The folder of a checkout. `notes` collects what the checks report besides their findings."""

    root: Path
    notes: list[str] = field(default_factory=list)

    @cached_property
    def templates(self) -> dict[str, Template]:
        nested = sorted(self.root.glob("infra/*.yaml")) + sorted(self.root.glob("infra/eks/roles.yaml"))
        return {path: self._decode(path) for path in [MAIN, *map(self._path, nested)]}

    def _path(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _decode(self, path: str) -> Template:
        body, errors = decode(str(self.root / path))
        if errors or body is None:
            raise ValueError(f"{path}: {[str(error) for error in errors]}")
        return Template(path, body)

    @property
    def main(self) -> Template:
        return self.templates[MAIN]

    @property
    def stacks(self) -> dict[str, Template]:
        """The nested stacks by resource name, as far as their files exist."""
        paths = {
            it.name: it.properties["TemplateURL"] for it in self.main.of_type("AWS::CloudFormation::Stack")
        }
        return {name: self.templates[path] for name, path in paths.items() if path in self.templates}

    def of_type(self, *types: str) -> Iterator[Resource]:
        for template in self.templates.values():
            yield from template.of_type(*types)

    @property
    def functions(self) -> Iterator[Resource]:
        """The functions, each with the globals of its template."""
        for it in self.of_type("AWS::Serverless::Function"):
            shared = it.template.body.get("Globals", {}).get("Function", {})
            yield Resource(it.template, it.name, {**it.body, "Properties": {**shared, **it.properties}})

    def function(self, name: str) -> Resource:
        return next(it for it in self.functions if it.name == name)

    def texts(self, template: Template, value: Any) -> Iterator[str]:
        """The possible texts of a value. Parameters of nested stacks are resolved in the main template, and their
        outputs in the nested template."""
        for it in template.listed(value):
            match it:
                case {"Ref": name} if name in self._parameters_of(template):
                    yield from self.texts(self.main, self._parameters_of(template)[name])
                case {"Fn::GetAtt": [name, output]} if template is self.main and name in self.stacks:
                    stack = self.stacks[name]
                    yield from self.texts(stack, stack.outputs[output.removeprefix("Outputs.")]["Value"])
                case _:
                    yield template.text(it)

    def _parameters_of(self, template: Template) -> dict[str, Any]:
        """The parameters that the main template sets for a nested one."""
        names = (name for name, stack in self.stacks.items() if stack is template)
        return next((self.main.resources[name].properties.get("Parameters") or {} for name in names), {})

    @cached_property
    def names(self) -> dict[str, set[str]]:
        """The physical names of the resources, such as ${Name}-api, by type."""
        names: dict[str, set[str]] = {}
        for template in self.templates.values():
            for it in template.resources.values():
                for key in ("FunctionName", "Name", "QueueName", "TableName", "LogGroupName", "AlarmName"):
                    if key in it.properties:
                        names.setdefault(it.type, set()).add(it.text(key) or "")
        return names

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    def files(self, *patterns: str) -> Iterator[Path]:
        """The files whose paths match one of the patterns."""
        for pattern in patterns:
            yield from (it for it in sorted(self.root.glob(pattern)) if it.is_file())

    def copy_to(self, target: Path) -> "Checkout":
        """Copies all files that a check reads, so that a test can change them."""
        for file in self.files(*CHECKED_FILES):
            copy = target / file.relative_to(self.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        return Checkout(target)


def as_text(value: Any) -> str:
    """A value in the notation of `Fn::Sub`: `${X}` for `!Ref X`, `${X.Arn}` for `!GetAtt X.Arn`."""
    match value:
        case {"Ref": name}:
            return "${" + name + "}"
        case {"Fn::GetAtt": [resource, attribute]}:
            return "${" + f"{resource}.{attribute}" + "}"
        case {"Fn::Sub": [text, variables]}:
            by_name = {name: as_text(it) for name, it in variables.items()}
            return re.sub(r"\$\{(\w+)}", lambda found: by_name.get(found[1], found[0]), text)
        case {"Fn::Sub": text}:
            return str(text)
        case {"Fn::Join": [separator, list() as parts]}:
            return str(separator).join(as_text(part) for part in parts)
        case dict() | list():
            return json.dumps(value)
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def walk(value: Any) -> Iterator[Any]:
    """The value and all values in it, including those in policies that are text."""
    yield value
    match value:
        case {"Fn::Sub": str(text)} if re.match(r'\s*\{\s*"', text):
            yield from walk(json.loads(text))
        case dict():
            for inner in value.values():
                yield from walk(inner)
        case list():
            for inner in value:
                yield from walk(inner)


def strings(value: Any) -> Iterator[str]:
    """All texts in a value."""
    return (it for it in walk(value) if isinstance(it, str))
