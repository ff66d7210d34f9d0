"""Names in the code and in the templates agree."""

import re
from collections.abc import Iterator

import yaml

from checks import check
from linters import manifests
from sources import read_by, read_by_frontend
from templates import Checkout, Resource, strings, walk

# Read only outside Lambda. infra/eks sets them.
OUTSIDE_LAMBDA = {"LISTEN", "TOKEN_CLIENT", "TOKEN_ISSUER", "TOKEN_KEYS_URL"}

# Optional variables. Lambda sets the second itself.
OPTIONAL = {"LOG_LEVEL", "AWS_XRAY_DAEMON_ADDRESS"}

# Read by the AWS SDK, and set by Lambda, ECS and Kubernetes.
SDK_VARIABLES = {"AWS_SDK_UA_APP_ID"}
PLATFORM_VARIABLES = {"AWS_REGION"}

# Read by the frontend's server (adapter-node) and by Node.
SERVER_VARIABLES = {
    *("ADDRESS_HEADER", "BODY_SIZE_LIMIT", "HOST", "HOST_HEADER", "NODE_ENV", "NODE_OPTIONS", "ORIGIN"),
    *("PORT", "PORT_HEADER", "PROTOCOL_HEADER", "SHUTDOWN_TIMEOUT", "XFF_DEPTH"),
}

# The programs that also run on Kubernetes.
CONTAINERS = ["api", "breaker-probe", "retry"]


def program(function: Resource) -> str:
    """The folder in functions/ that a function is built from."""
    return function.file("CodeUri").removeprefix("target/lambda/")


def variables_of(checkout: Checkout, function: Resource) -> dict[str, str]:
    """A function's environment. The values are text, under all conditions."""
    variables = function.properties.get("Environment", {}).get("Variables", {})
    return {name: " ".join(checkout.texts(function.template, value)) for name, value in variables.items()}


# ---- Variables ------------------------------------------------------------------------------------


@check
def every_function_is_given_what_it_reads(checkout: Checkout) -> Iterator[str]:
    for it in checkout.functions:
        required = read_by(checkout, program(it)) - OUTSIDE_LAMBDA - OPTIONAL - PLATFORM_VARIABLES
        for name in sorted(required - variables_of(checkout, it).keys()):
            yield f"{it}: {program(it)} reads {name}, which is not set"


@check
def every_function_reads_what_it_is_given(checkout: Checkout) -> Iterator[str]:
    for it in checkout.functions:
        for name in sorted(variables_of(checkout, it).keys() - read_by(checkout, program(it)) - SDK_VARIABLES):
            yield f"{it}: sets {name}, which {program(it)} does not read"


@check
def every_program_is_a_function(checkout: Checkout) -> Iterator[str]:
    deployed = {program(it) for it in checkout.functions}
    there = {it.parent.name for it in checkout.files("functions/*/Cargo.toml")}
    yield from (f"functions/{it}: is not in the template" for it in sorted(there - deployed))
    yield from (f"template.yaml: functions/{it} does not exist" for it in sorted(deployed - there))


@check
def every_container_of_the_frontend_is_given_what_it_reads(checkout: Checkout) -> Iterator[str]:
    read = read_by_frontend(checkout)
    for it in checkout.of_type("AWS::ECS::TaskDefinition"):
        given = {
            variable["Name"]
            for container in it.properties["ContainerDefinitions"]
            for key in ("Environment", "Secrets")
            for variable in it.template.listed(container.get(key))
        }
        required = {name for name, has_to in read.items() if has_to}
        for name in sorted(required - given - PLATFORM_VARIABLES):
            yield f"{it}: the frontend reads {name}, which is not set"
        for name in sorted(given - read.keys() - SERVER_VARIABLES):
            yield f"{it}: sets {name}, which the frontend does not read"


@check
def every_container_on_kubernetes_is_given_what_it_reads(checkout: Checkout) -> Iterator[str]:
    settings = checkout.read("infra/eks/base/settings.env")
    given = set(re.findall(r"^(\w+)=", settings, re.MULTILINE))
    for file in manifests(checkout):
        for document in yaml.safe_load_all(checkout.read(file)):
            given |= {it["name"] for it in _environment(document)}
    read = set().union(*(read_by(checkout, it) for it in CONTAINERS))
    for name in sorted(read - given - OPTIONAL):
        yield f"infra/eks: the programs read {name}, which is not set"
    for name in sorted(given - read - SDK_VARIABLES - PLATFORM_VARIABLES):
        yield f"infra/eks: {name} is set, but no program reads it"


def _environment(document: object) -> Iterator[dict[str, str]]:
    match document:
        case {"containers": list() as containers}:
            for container in containers:
                # Variables in the container's own command line are not read by our programs.
                command = str([container.get(key) for key in ("command", "args")])
                yield from (
                    it
                    for it in container.get("env", [])
                    if not re.search(rf"\$[({{]?{it['name']}\b", command)
                )
        case dict():
            for inner in document.values():
                yield from _environment(inner)


# ---- Queues, tables, state machines, secrets ------------------------------------------------------


@check
def every_queue_and_table_is_named_by_a_variable(checkout: Checkout) -> Iterator[str]:
    """Dead-letter queues are excepted, because only people read them."""
    values = [value for it in checkout.functions for value in variables_of(checkout, it).values()]
    resources = [it for template in checkout.templates.values() for it in template.resources.values()]
    kept = [text for it in resources for text in _dead_letters(it)]
    for it in checkout.of_type("AWS::SQS::Queue", "AWS::DynamoDB::Table"):
        if not _named(it, values) and not _named(it, kept):
            yield f"{it}: no function has its name"


@check
def every_state_machine_is_named_by_a_variable(checkout: Checkout) -> Iterator[str]:
    values = [value for it in checkout.functions for value in variables_of(checkout, it).values()]
    for it in checkout.of_type("AWS::Serverless::StateMachine"):
        if not _named(it, values) and not any(value.endswith(f":{it.text('Name')}") for value in values):
            yield f"{it}: no function has its name"


@check
def every_secret_is_named_by_a_variable_or_a_stack(checkout: Checkout) -> Iterator[str]:
    values = [value for it in checkout.functions for value in variables_of(checkout, it).values()]
    for stack in checkout.main.of_type("AWS::CloudFormation::Stack"):
        for value in (stack.properties.get("Parameters") or {}).values():
            values += checkout.texts(checkout.main, value)
    for it in checkout.of_type("AWS::SecretsManager::Secret"):
        if not _named(it, values):
            yield f"{it}: no function or stack has its name"


def _named(resource: Resource, texts: list[str]) -> bool:
    return any(re.search(rf"\$\{{{resource.name}(\.\w+)?}}", text) for text in texts)


def _dead_letters(resource: Resource) -> Iterator[str]:
    """The dead-letter queues of a queue, a function or its schedules."""
    template = resource.template
    redrive = resource.properties.get("RedrivePolicy", {})
    kept = [
        redrive.get("deadLetterTargetArn"),
        resource.properties.get("DeadLetterQueue", {}).get("TargetArn"),
    ]
    for event in resource.properties.get("Events", {}).values():
        kept.append(event["Properties"].get("DeadLetterConfig", {}).get("Arn"))
    return (template.text(it) for it in kept if it is not None)


# Names that are literals, because a reference would be circular or cross stacks.
LITERAL_NAMES = {
    "AWS::Serverless::Function": r":function:(\$\{Name}-[\w-]+)",
    "AWS::Serverless::StateMachine": r":(?:stateMachine|execution):(\$\{Name}-[\w-]+)",
    "AWS::DynamoDB::Table": r":table/(\$\{Name}-[\w-]+)",
    "AWS::SQS::Queue": r":sqs:[^:]*:[^:]*:(\$\{Name}-[\w-]+)",
    "AWS::SecretsManager::Secret": r":secret:(\$\{Name}/[a-z-]+?)(?=-\?{6})",
    "AWS::Logs::LogGroup": r"((?:/aws/lambda/|/aws/vendedlogs/states/|/aws/apigateway/)\$\{Name}[\w-]*)",
}


@check
def every_literal_name_exists(checkout: Checkout) -> Iterator[str]:
    for template in checkout.templates.values():
        for text in sorted(set(strings(template.body))):
            text = re.sub(r"\$\{AWS::(Region|AccountId|Partition)}", "it", text).replace(
                "AWS::StackName", "Name"
            )
            for kind, pattern in LITERAL_NAMES.items():
                for name in re.findall(pattern, text):
                    if name not in checkout.names.get(kind, set()):
                        yield f"{template.path}: {name}: there is no such {kind.rsplit('::', 1)[1]}"


# ---- Nested stacks --------------------------------------------------------------------------------
# cfn-lint checks that a stack has the parameters that are set and the outputs that are used.


@check
def every_template_is_deployed(checkout: Checkout) -> Iterator[str]:
    """By the main template. The registry, which is deployed before it, and Kubernetes are excepted."""
    named = {it.properties["TemplateURL"] for it in checkout.main.of_type("AWS::CloudFormation::Stack")}
    apart = {"template.yaml", "infra/registry.yaml", "infra/eks/roles.yaml"}
    yield from (f"{it}: no stack uses it" for it in sorted(checkout.templates.keys() - named - apart))
    yield from (f"template.yaml: {it} does not exist" for it in sorted(named - checkout.templates.keys()))


@check
def every_stack_gets_all_its_parameters(checkout: Checkout) -> Iterator[str]:
    """Also those with a default, which would be used silently: the size laptop in a cloud."""
    for name, stack in checkout.stacks.items():
        given = checkout.main.resources[name].properties.get("Parameters") or {}
        asked = stack.parameters.keys()
        yield from (f"template.yaml: {name}: {it} is not set" for it in sorted(asked - given.keys()))


@check
def every_output_of_a_stack_is_used(checkout: Checkout) -> Iterator[str]:
    texts = {checkout.main.text(it) for it in walk(checkout.main.body)}
    for name, stack in checkout.stacks.items():
        for output in stack.outputs:
            if not any(f"${{{name}.Outputs.{output}}}" in text for text in texts):
                yield f"{stack.path}: {output}: the output is not used"


@check
def everything_has_a_description(checkout: Checkout) -> Iterator[str]:
    for template in checkout.templates.values():
        if not template.body.get("Description"):
            yield f"{template.path}: has no description"
        for name, it in [*template.parameters.items(), *template.outputs.items()]:
            if not it.get("Description"):
                yield f"{template.path}: {name}: has no description"
