"""Our own security rules: permissions, network access, encryption, retention and limits."""

import re
from collections.abc import Iterator
from typing import Any

from checks import check
from templates import Checkout, Resource, Template, walk

ENDPOINT = "AWS::EC2::VPCEndpoint"

# The only traffic that may leave the network by address: HTTPS to external services.
OUTBOUND = ("tcp", "443", "443")

# The routes that require no token. Each needs a reason.
PUBLIC_ROUTES = {
    # The catalogue is public.
    *("GET /v1/categories", "GET /v1/products", "GET /v1/products/{sku}"),
    # Guests have no account. These routes have their own limits.
    *("POST /v1/guest/orders", "POST /v1/guest/orders/cancel"),
    *("POST /v1/guest/orders/erase", "POST /v1/guest/orders/find"),
    "POST /v1/guest/orders/placed",
    # It requires the frontend's key.
    "POST /v1/attempts",
    # The external services sign their requests.
    *("POST /v1/webhooks/payments", "POST /v1/webhooks/shipping"),
    # Monitors, and tools that read the API's description.
    *("GET /healthz", "GET /readyz", "GET /openapi.json"),
    # 404.
    "$default",
}

# A rule with only these addresses allows nothing. A group without any egress rule allows everything.
NO_PEER = {"127.0.0.1/32", "255.255.255.255/32", "::1/128"}


# ---- Permissions ----------------------------------------------------------------------------------


@check
def every_route_has_the_authorizer_unless_it_is_public(checkout: Checkout) -> Iterator[str]:
    authorizers = {it.name for it in checkout.of_type("AWS::ApiGatewayV2::Authorizer")}
    for route in checkout.of_type("AWS::ApiGatewayV2::Route"):
        key = route.text("RouteKey")
        if key in PUBLIC_ROUTES:
            continue
        named = checkout.texts(route.template, route.properties.get("AuthorizerId"))
        if route.text("AuthorizationType") != "JWT":
            yield f"{route}: {key} has no authorizer"
        elif {it.strip("${}") for it in named} - authorizers:
            yield f"{route}: {key} does not name one of our authorizers"


@check
def no_policy_has_a_wildcard_without_a_reason(checkout: Checkout) -> Iterator[str]:
    """A reason covers one statement. An endpoint's covers all, because its policy only restricts other grants."""
    for template in checkout.templates.values():
        for it in template.resources.values():
            wide = _wide_statements(it)
            reason = it.metadata.get("Wildcard")
            if wide and reason and (len(wide) == 1 or it.type == ENDPOINT):
                checkout.notes.append(f"wildcard in {it}: {reason}")
            elif reason and not wide:
                yield f"{it}: has a reason for a wildcard, but no wildcard"
            else:
                yield from (f"{it}: {wildcard}" for statement in wide for wildcard in statement)


def _wide_statements(resource: Resource) -> list[list[str]]:
    """The wildcards of each statement that has some."""
    statements = [
        it for it in walk(resource.properties) if isinstance(it, dict) and it.get("Effect") == "Allow"
    ]
    wide = [list(_wildcards(resource, it)) for it in statements]
    return [it for it in wide if it]


def _wildcards(resource: Resource, statement: dict[str, Any]) -> Iterator[str]:
    template = resource.template
    # In a key policy, the resource * is the key itself.
    own_key = resource.type in ("AWS::KMS::Key", "AWS::KMS::ReplicaKey")
    yield from (f"allows {key}" for key in ("NotAction", "NotResource", "NotPrincipal") if key in statement)
    for action in map(template.text, template.listed(statement.get("Action"))):
        if "*" in action and not (own_key and _is_usual_in_a_key_policy(template, statement, action)):
            yield f"allows the action {action}"
    for target in map(template.text, template.listed(statement.get("Resource"))):
        if not own_key and not _is_named(target):
            yield f"allows {statement.get('Action')} on {target}"
    grants = resource.type != ENDPOINT and "Condition" not in statement
    if grants and _is_any_principal(template, statement.get("Principal")):
        yield "allows any principal"


def _is_usual_in_a_key_policy(template: Template, statement: dict[str, Any], action: str) -> bool:
    """The usual statements of a key policy: the account administers it, and services use these actions."""
    if action in ("kms:GenerateDataKey*", "kms:ReEncrypt*"):
        return True
    principal = template.text((statement.get("Principal") or {}).get("AWS", ""))
    return action == "kms:*" and principal.endswith(":iam::${AWS::AccountId}:root")


def _is_named(arn: str) -> bool:
    """Whether the ARN contains a part of the resource's name. `table/*` does not."""
    if "*" not in arn or not arn.startswith("arn:"):
        return arn != "*"
    service, name = _split(arn)
    _, _, rest = name.partition("/" if "/" in name else ":")
    return re.search(r"\w", name if service == "s3" or not rest else rest) is not None


def _split(arn: str) -> tuple[str, str]:
    """The service and the resource of an ARN, whose parts may be ${AWS::Region} and the like."""
    parts = re.sub(r"\$\{AWS::\w+}", "it", arn).split(":", 5)
    return (parts[2], parts[5]) if len(parts) == 6 else ("", arn)


def _is_any_principal(template: Template, principal: Any) -> bool:
    named = principal.values() if isinstance(principal, dict) and "AWS" in principal else [principal]
    return any(it == "*" for value in named if value is not None for it in template.listed(value))


@check
def every_client_of_the_user_pool_has_a_secret(checkout: Checkout) -> Iterator[str]:
    for it in checkout.of_type("AWS::Cognito::UserPoolClient"):
        if it.properties.get("GenerateSecret") is not True:
            yield f"{it}: without a secret, anyone with its id may guess passwords"


@check
def every_lambda_permission_names_its_source(checkout: Checkout) -> Iterator[str]:
    for it in checkout.of_type("AWS::Lambda::Permission"):
        if not (it.text("Principal") or "").endswith(".amazonaws.com") or not it.properties.get("SourceArn"):
            yield f"{it}: does not restrict callers of the function to one source"


# ---- Network --------------------------------------------------------------------------------------


@check
def every_security_group_rule_names_its_peers(checkout: Checkout) -> Iterator[str]:
    for it, direction, rule in _rules(checkout):
        addresses = {key: rule[key] for key in ("CidrIp", "CidrIpv6") if key in rule}
        if not addresses or set(addresses.values()) <= NO_PEER:
            continue
        ports = tuple(str(rule.get(key)) for key in ("IpProtocol", "FromPort", "ToPort"))
        if direction == "in":
            yield f"{it}: allows {', '.join(map(str, addresses.values()))} in, not a group or a prefix list"
        elif ports != OUTBOUND:
            yield f"{it}: allows {' '.join(ports)} out to {', '.join(map(str, addresses.values()))}"


def _rules(checkout: Checkout) -> Iterator[tuple[Resource, str, dict[str, Any]]]:
    for it in checkout.of_type("AWS::EC2::SecurityGroup"):
        for key, direction in (("SecurityGroupIngress", "in"), ("SecurityGroupEgress", "out")):
            for rule in it.template.listed(it.properties.get(key)):
                yield it, direction, rule
    for it in checkout.of_type("AWS::EC2::SecurityGroupIngress"):
        yield it, "in", it.properties
    for it in checkout.of_type("AWS::EC2::SecurityGroupEgress"):
        yield it, "out", it.properties


@check
def every_security_group_rule_has_a_description(checkout: Checkout) -> Iterator[str]:
    for it, direction, rule in _rules(checkout):
        if not rule.get("Description"):
            yield f"{it}: a rule for traffic {direction} has no description"


@check
def only_nat_gateways_are_in_public_subnets(checkout: Checkout) -> Iterator[str]:
    """All other resources are in private or isolated subnets."""
    public = re.compile(r"\bPublicSubnet")
    allowed = (
        "AWS::EC2::NatGateway",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::SubnetNetworkAclAssociation",
    )
    for template in checkout.templates.values():
        for it in template.resources.values():
            if it.type in (*allowed, "AWS::CloudFormation::Stack", "AWS::EC2::Subnet"):
                continue
            if any(isinstance(value, dict) and public.search(str(value)) for value in walk(it.properties)):
                yield f"{it}: is in a public subnet"


@check
def no_function_is_outside_the_network(checkout: Checkout) -> Iterator[str]:
    for it in checkout.functions:
        networks = [value for value in it.template.listed(it.properties.get("VpcConfig")) if value]
        if not any("PrivateSubnets" in str(network) for network in networks):
            yield f"{it}: is not in the private subnets"


# ---- Data protection ------------------------------------------------------------------------------


@check
def every_bucket_blocks_public_access(checkout: Checkout) -> Iterator[str]:
    blocks = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    for it in checkout.of_type("AWS::S3::Bucket"):
        configuration = it.properties.get("PublicAccessBlockConfiguration", {})
        for missing in [key for key in blocks if configuration.get(key) is not True]:
            yield f"{it}: {missing} is not set"
        if "BucketEncryption" not in it.properties:
            yield f"{it}: is not encrypted"


@check
def every_bucket_requires_tls(checkout: Checkout) -> Iterator[str]:
    policies = list(checkout.of_type("AWS::S3::BucketPolicy"))
    for bucket in checkout.of_type("AWS::S3::Bucket"):
        own = [
            it
            for it in policies
            if it.template is bucket.template and bucket.name in str(it.properties["Bucket"])
        ]
        denied = [
            statement
            for policy in own
            for statement in walk(policy.properties)
            if isinstance(statement, dict)
            and statement.get("Effect") == "Deny"
            and "aws:SecureTransport" in str(statement.get("Condition"))
        ]
        if not denied:
            yield f"{bucket}: no policy denies requests without TLS"


@check
def every_table_is_encrypted_and_can_be_restored(checkout: Checkout) -> Iterator[str]:
    for it in checkout.of_type("AWS::DynamoDB::Table"):
        if it.properties.get("SSESpecification", {}).get("SSEEnabled") is not True:
            yield f"{it}: is not encrypted with our key"
        if (
            it.properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled")
            is not True
        ):
            yield f"{it}: has no point-in-time recovery"
        if True not in it.template.listed(it.properties.get("DeletionProtectionEnabled")):
            yield f"{it}: has no deletion protection"


@check
def every_queue_and_topic_is_encrypted(checkout: Checkout) -> Iterator[str]:
    for it in checkout.of_type("AWS::SQS::Queue"):
        if it.properties.get("SqsManagedSseEnabled") is not True and not _key(it, "KmsMasterKeyId"):
            yield f"{it}: is not encrypted"
    for it in checkout.of_type("AWS::SNS::Topic"):
        if not _key(it, "KmsMasterKeyId"):
            yield f"{it}: is not encrypted"


@check
def every_log_group_has_a_retention(checkout: Checkout) -> Iterator[str]:
    for it in checkout.of_type("AWS::Logs::LogGroup"):
        days = it.template.listed(it.properties.get("RetentionInDays"))
        if not days or not all(isinstance(it, int) for it in days):
            yield f"{it}: has no retention period"


def _key(resource: Resource, property: str) -> list[Any]:
    """The keys that a property names, under all conditions."""
    return [it for it in resource.template.listed(resource.properties.get(property)) if it]


@check
def database_logs_contain_no_parameters(checkout: Checkout) -> Iterator[str]:
    """The parameters of a statement are personal data, and so is the DETAIL of an error, which quotes the row."""
    demanded = {
        "log_error_verbosity": "terse",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }
    by_library = {
        "auto_explain": {"auto_explain.log_parameter_max_length": "0"},
        "pgaudit": {"pgaudit.log_parameter": "0"},
    }
    for it in checkout.of_type("AWS::RDS::DBClusterParameterGroup", "AWS::RDS::DBParameterGroup"):
        parameters = it.properties.get("Parameters", {})
        loaded = str(parameters.get("shared_preload_libraries", ""))
        libraries = [named for library, named in by_library.items() if library in loaded]
        for name, value in {**demanded, **{k: v for named in libraries for k, v in named.items()}}.items():
            if str(parameters.get(name)) != value:
                yield f"{it}: {name} is {parameters.get(name)}, not {value}"
        if parameters.get("log_statement", "none") != "none":
            yield f"{it}: logs statements that are neither slow nor failed"


@check
def access_logs_of_the_api_contain_no_queries(checkout: Checkout) -> Iterator[str]:
    """A query may contain an e-mail address, and so may a claim. The path and the user's id are enough."""
    allowed = {
        *("requestTime", "requestId", "identity.sourceIp", "routeKey", "path", "status", "error.message"),
        *("authorizer.claims.sub", "authorizer.error", "responseLatency", "integrationLatency"),
        "integration.requestId",
    }
    for it in checkout.of_type("AWS::ApiGatewayV2::Stage"):
        logged = re.findall(r"\$context\.([\w.]+)", str(it.properties.get("AccessLogSettings", {})))
        yield from (f"{it}: logs $context.{name}" for name in logged if name not in allowed)


@check
def no_parameter_has_a_secret_by_default(checkout: Checkout) -> Iterator[str]:
    for template in checkout.templates.values():
        for name, it in template.parameters.items():
            if it.get("NoEcho") and it.get("Default"):
                yield f"{template.path}: {name}: has a default, which everyone can read"


@check
def resources_with_data_are_retained(checkout: Checkout) -> Iterator[str]:
    kept = (
        *("AWS::DynamoDB::Table", "AWS::Cognito::UserPool", "AWS::RDS::DBCluster", "AWS::RDS::DBInstance"),
        *("AWS::S3::Bucket", "AWS::KMS::Key"),
    )
    for it in checkout.of_type(*kept):
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if it.body.get(policy) not in ("Retain", "RetainExceptOnCreate", "Snapshot"):
                yield f"{it}: {policy} does not retain it"


# ---- Limits ---------------------------------------------------------------------------------------


@check
def every_function_has_limits(checkout: Checkout) -> Iterator[str]:
    for it in checkout.functions:
        # A migration may take as long as Lambda allows.
        if not 0 < it.properties.get("Timeout", 0) <= (900 if it.name == "MigrationsFunction" else 60):
            yield f"{it}: has no timeout of a minute or less"
        if not 0 < it.properties.get("MemorySize", 0) <= 1024:
            yield f"{it}: has no memory limit of a gigabyte or less"
        if "LogGroup" not in it.properties.get("LoggingConfig", {}):
            yield f"{it}: writes to a log group that is not declared"


@check
def functions_that_call_providers_or_the_database_have_reserved_concurrency(checkout: Checkout) -> Iterator[str]:
    for name in ("ApiFunction", "PaymentsFunction", "ShippingFunction"):
        function = checkout.function(name)
        if not function.properties.get("ReservedConcurrentExecutions"):
            yield f"{function}: has no reserved concurrency"


@check
def every_message_stays_invisible_while_it_is_processed(checkout: Checkout) -> Iterator[str]:
    for function in checkout.functions:
        queues = function.template.resources
        for event in function.properties.get("Events", {}).values():
            if event["Type"] != "SQS":
                continue
            queue = queues[function.template.text(event["Properties"]["Queue"]).strip("${}").split(".")[0]]
            if queue.properties.get("VisibilityTimeout", 30) < function.properties["Timeout"]:
                yield f"{queue}: makes a message visible again while {function.name} still processes it"


@check
def the_api_logs_its_requests(checkout: Checkout) -> Iterator[str]:
    for it in checkout.of_type("AWS::ApiGatewayV2::Stage"):
        if "AccessLogSettings" not in it.properties:
            yield f"{it}: has no access log"
