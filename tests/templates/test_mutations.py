"""Deliberate mistakes, each in a copy of the checkout. Each is caught by its check."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import drift
import edge
import firewall
import linters
import security
import statemachines
import supply
import throttles
import monitoring
from checks import Check
from templates import MAIN, Checkout


API = "infra/api.yaml"
AUTH = "infra/auth.yaml"
ORCHESTRATION = "infra/orchestration.yaml"
ROUTES = "infra/routes.yaml"


@dataclass(frozen=True)
class Mistake:
    """An edit of a file: the first match of `before` in one block is replaced by `after`."""

    what: str
    caught_by: Check
    finding: str
    file: str
    block: str | None
    before: str
    after: str

    def make(self, checkout: Checkout) -> None:
        path = checkout.root / self.file
        text = path.read_text()
        start, end = self._extent(text)
        block, made = re.subn(self.before, self.after, text[start:end], count=1)
        assert made, f"{self.before} is not in {self.block or 'any block'} of {self.file}"
        path.write_text(text[:start] + block + text[end:])

    def _extent(self, text: str) -> tuple[int, int]:
        """From the block's name to the next line that is not indented further."""
        if self.block is None:
            return 0, len(text)
        indent = " " * (4 if self.file.endswith(".json") else 2)
        block = rf"^{indent}\"?{self.block}\"?:.*\n(?:{indent} .*\n|\n)*"
        found = re.search(block, text, re.MULTILINE)
        assert found, f"there is no {self.block} in {self.file}"
        return found.span()


MISTAKES = [
    # ---- Permissions
    Mistake(
        "a route without an authorizer",
        security.every_route_has_the_authorizer_unless_it_is_public,
        "PostV1OrdersRoute: POST /v1/orders has no authorizer",
        *(ROUTES, "PostV1OrdersRoute", r" +AuthorizationType: JWT\n +AuthorizerId: .*\n", ""),
    ),
    Mistake(
        "a policy for all resources",
        security.no_policy_has_a_wildcard_without_a_reason,
        r"ApiFunction: allows .*dynamodb:Query.* on \*",
        *(API, "ApiFunction", r"Resource: .*CatalogueTable}", 'Resource: "*"'),
    ),
    Mistake(
        "a policy for all tables",
        security.no_policy_has_a_wildcard_without_a_reason,
        r"ApiFunction: allows .* on arn:.*:table/\*",
        *(API, "ApiFunction", r"Resource: .*CatalogueTable}"),
        "Resource: !Sub arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/*",
    ),
    Mistake(
        "a policy for all actions of a service",
        security.no_policy_has_a_wildcard_without_a_reason,
        r"OrderStateMachine: allows the action dynamodb:\*",
        *(ORCHESTRATION, "OrderStateMachine", "Action: dynamodb:PutItem", 'Action: "dynamodb:*"'),
    ),
    Mistake(
        "a function that any principal may call",
        security.every_lambda_permission_names_its_source,
        "ApiFunctionPermission: does not restrict callers",
        *(
            API,
            "ApiFunctionPermission",
            "Principal: apigateway.amazonaws.com\n +SourceArn: .*",
            'Principal: "*"',
        ),
    ),
    Mistake(
        "an open security group",
        security.every_security_group_rule_names_its_peers,
        "LoadBalancerSecurityGroup: allows 0.0.0.0/0 in",
        *("infra/network.yaml", "LoadBalancerSecurityGroup", r"( +)SecurityGroupEgress:"),
        r'\1SecurityGroupIngress: [{IpProtocol: "-1", CidrIp: 0.0.0.0/0}]\n\1SecurityGroupEgress:',
    ),
    Mistake(
        "a client of the user pool without a secret",
        security.every_client_of_the_user_pool_has_a_secret,
        "UserPoolClient: without a secret, anyone with its id may guess passwords",
        *(AUTH, "UserPoolClient", "GenerateSecret: true", "GenerateSecret: false"),
    ),
    # ---- Data protection
    Mistake(
        "an unencrypted table",
        security.every_table_is_encrypted_and_can_be_restored,
        "CatalogueTable: is not encrypted",
        *(MAIN, "CatalogueTable", "SSEEnabled: true", "SSEEnabled: false"),
    ),
    Mistake(
        "a table that cannot be restored",
        linters.checkov_finds_nothing,
        "CatalogueTable: CKV_AWS_28",
        *(MAIN, "CatalogueTable", "PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false"),
    ),
    Mistake(
        "a table that is deleted with its stack",
        security.resources_with_data_are_retained,
        "BreakerTable: DeletionPolicy",
        *(MAIN, "BreakerTable", "DeletionPolicy: Retain", "DeletionPolicy: Delete"),
    ),
    Mistake(
        "an unencrypted queue",
        security.every_queue_and_topic_is_encrypted,
        "ProviderEventsQueue: is not encrypted",
        *(ORCHESTRATION, "ProviderEventsQueue", "(SqsManagedSseEnabled|KmsMasterKeyId): .*\n", "DelaySeconds: 0\n"),
    ),
    Mistake(
        "a log without a retention period",
        security.every_log_group_has_a_retention,
        "RetryLogs: has no retention period",
        *(ORCHESTRATION, "RetryLogs", r" +RetentionInDays: .*\n", ""),
    ),
    Mistake(
        "a database that logs parameters",
        security.database_logs_contain_no_parameters,
        "Parameters: log_parameter_max_length is None, not 0",
        *("infra/database.yaml", "Parameters", r" +log_parameter_max_length: .*\n", ""),
    ),
    Mistake(
        "a plan that is logged with its parameters",
        security.database_logs_contain_no_parameters,
        "Parameters: auto_explain.log_parameter_max_length is None, not 0",
        *(
            "infra/database.yaml",
            "Parameters",
            "rds.force_ssl:",
            "shared_preload_libraries: auto_explain\n        rds.force_ssl:",
        ),
    ),
    Mistake(
        "an access log with an e-mail address",
        security.access_logs_of_the_api_contain_no_queries,
        r"Stage: logs \$context.authorizer.claims.email",
        *(ROUTES, "Stage", "claims.sub", "claims.email"),
    ),
    Mistake(
        "a secret with a default",
        security.no_parameter_has_a_secret_by_default,
        "PaymentsKey: has a default",
        *(MAIN, "PaymentsKey", "NoEcho: true", "NoEcho: true\n    Default: sk_live"),
    ),
    Mistake(
        "a bucket that may become public",
        security.every_bucket_blocks_public_access,
        "audit.yaml: .*: BlockPublicAcls is not set",
        *("infra/audit.yaml", None, "BlockPublicAcls: true", "BlockPublicAcls: false"),
    ),
    Mistake(
        "an audit trail that can be forged",
        linters.checkov_finds_nothing,
        "audit.yaml: .*CKV_AWS_36",
        *("infra/audit.yaml", None, "EnableLogFileValidation: true", "EnableLogFileValidation: false"),
    ),
    Mistake(
        "an unencrypted database",
        linters.checkov_finds_nothing,
        "database.yaml: .*CKV_AWS_96",
        *("infra/database.yaml", None, "StorageEncrypted: true", "StorageEncrypted: false"),
    ),
    Mistake(
        "a key that is never rotated",
        linters.checkov_finds_nothing,
        "keys.yaml: .*CKV_AWS_7",
        *("infra/keys.yaml", None, "EnableKeyRotation: true", "EnableKeyRotation: false"),
    ),
    # ---- The firewall
    Mistake(
        "a firewall that does not decode",
        firewall.the_firewall_counts_every_attempt_to_guess_a_secret,
        "does not count POST /%73ign-in among the guesses",
        *("infra/waf.yaml", None, "URL_DECODE\n( +- Priority: 1\n +Type: )URL_DECODE", r"NONE\n\1NONE"),
    ),
    Mistake(
        "a firewall that drops segments which the frontend keeps",
        firewall.the_firewall_counts_every_attempt_to_guess_a_secret,
        "does not count POST /sign-in/..%2f../../code ",
        *("infra/waf.yaml", None, "(Priority: 1\n +Type: )URL_DECODE", r"\1NORMALIZE_PATH"),
    ),
    Mistake(
        "a form for passwords that the firewall does not count",
        firewall.the_firewall_counts_every_attempt_to_guess_a_secret,
        r"account/password/\+page.server.ts: the firewall does not count POST /account/password ",
        *("infra/waf.yaml", None, r"\|account\|", "|"),
    ),
    Mistake(
        "a new form that the firewall does not count",
        firewall.the_firewall_counts_every_attempt_to_guess_a_secret,
        r"healthz/\+server.ts: the firewall does not count POST /healthz ",
        *("frontend/src/routes/healthz/+server.ts", None, r"export (\w+) GET", r"export \1 POST"),
    ),
    Mistake(
        "an API that is counted by one spelling only",
        firewall.the_firewall_counts_every_request_of_the_api,
        "does not count GET /%61pi/v1/products",
        *("infra/waf.yaml", None, "URL_DECODE\n( +- Priority: 1\n +Type: )URL_DECODE", r"NONE\n\1NONE"),
    ),
    # ---- The CDN
    Mistake(
        "a viewer who claims an address",
        edge.the_cdn_sets_the_viewer_address,
        "cauce-viewer-address is .*1.2.3.4.*, not the viewer's 198.51.100.7",
        *("infra/edge.yaml", "Requests", r"\{ value: event.viewer.ip \}"),
        "request.headers['x-forwarded-for']",
    ),
    Mistake(
        "a viewer who sends the frontend's headers",
        edge.the_cdn_sets_the_viewer_address,
        "lets a viewer send cauce-frontend-key",
        *("infra/edge.yaml", "Requests", r" +ours\.forEach.*\n", ""),
    ),
    Mistake(
        "a path with an encoded slash",
        edge.the_cdn_rejects_ambiguous_paths,
        "forwards /api/v1/orders/1%2frefunds as",
        *("infra/edge.yaml", "Requests", r"2\[def\]", "2[de]"),
    ),
    Mistake(
        "a path with an encoded dot segment",
        edge.the_cdn_rejects_ambiguous_paths,
        "forwards /api/v1/orders/%2e%2e/users as",
        *("infra/edge.yaml", "Requests", r"2\[def\]", "2[df]"),
    ),
    Mistake(
        "a valid path that is rejected",
        edge.the_cdn_rejects_ambiguous_paths,
        "turns /products/caf%C3%A9%20au%20lait into 400",
        *("infra/edge.yaml", "Requests", r"%\(\[01\]", "%([012]"),
    ),
    Mistake(
        "a behaviour without the function",
        edge.every_behaviour_that_reaches_code_has_the_function,
        r"Distribution: /api/\* does not go through the function",
        *("infra/edge.yaml", None, r"(PathPattern: /api/\*(?s:.*?)) +FunctionAssociations:\n.*\n.*\n", r"\1"),
    ),
    Mistake(
        "a frontend that trusts the viewer",
        edge.the_frontend_trusts_only_the_viewer_address_of_the_cdn,
        "frontend/Dockerfile: trusts a header that viewers can send",
        *("frontend/Dockerfile", None, "ADDRESS_HEADER=.*", "ADDRESS_HEADER=X-Forwarded-For XFF_DEPTH=2"),
    ),
    # ---- Limits
    Mistake(
        "functions outside the network",
        security.no_function_is_outside_the_network,
        "ApiFunction: is not in the private subnets",
        *(API, "Function", r" +VpcConfig: [^#]+?NoValue\n", ""),
    ),
    Mistake(
        "a function that may run for ten minutes",
        security.every_function_has_limits,
        "PaymentsFunction: has no timeout",
        *(ORCHESTRATION, "PaymentsFunction", "Timeout: 60", "Timeout: 600"),
    ),
    Mistake(
        "calls to a provider without reserved concurrency",
        security.functions_that_call_providers_or_the_database_have_reserved_concurrency,
        "ShippingFunction: has no reserved concurrency",
        *(ORCHESTRATION, "ShippingFunction", r" +ReservedConcurrentExecutions: .*\n", ""),
    ),
    Mistake(
        "a route without a throttle",
        throttles.every_route_has_a_throttle_of_its_own,
        "GetV1StockSkuRoute: GET /v1/stock/{sku} has no throttle",
        *(ROUTES, "Stage", r" +GET /v1/stock/{sku}: .*\n", ""),
    ),
    Mistake(
        "a throttle of a route that does not exist",
        throttles.every_route_has_a_throttle_of_its_own,
        "Stage: throttles GET /v1/stocks/{sku}, which is not a route",
        *(ROUTES, "Stage", r"GET /v1/stock/{sku}:", "GET /v1/stocks/{sku}:"),
    ),
    Mistake(
        "a stage that throttles a route before it exists",
        throttles.every_route_has_a_throttle_of_its_own,
        "Stage: does not wait for PostV1UsersSearchRoute",
        *(ROUTES, "Stage", r" +- PostV1UsersSearchRoute\n", ""),
    ),
    Mistake(
        "a throttle without a burst",
        throttles.every_route_has_a_throttle_of_its_own,
        "Stage: GET /v1/categories has no ThrottlingBurstLimit",
        *(ROUTES, "Stage", r" +ThrottlingBurstLimit: !FindInMap \[CatalogueRoutes.*\n", ""),
    ),
    Mistake(
        "shoppers who take the capacity of webhooks",
        throttles.no_class_of_routes_starves_another,
        "Stage: small: its routes may keep .* environments busy, of 100",
        *(ROUTES, "CatalogueRoutes", r"(small: .* Rate:) \d+", r"\1 900"),
    ),
    Mistake(
        "throttles that exceed the account's",
        throttles.no_class_of_routes_starves_another,
        "Stage: large: its routes may burst to .*, over the account's 5000",
        *(ROUTES, "WebhookRoutes", r"(large: { Burst:) \d+", r"\1 2000"),
    ),
    Mistake(
        "webhooks that share a throttle with shoppers",
        throttles.no_class_of_routes_starves_another,
        "Stage: POST /v1/webhooks/payments has the throttle of ShopperRoutes",
        *(ROUTES, "Stage", r"\[WebhookRoutes, (.*)\n(.*)\[WebhookRoutes"),
        r"[ShopperRoutes, \1\n\2[ShopperRoutes",
    ),
    Mistake(
        "a message that becomes visible too soon",
        security.every_message_stays_invisible_while_it_is_processed,
        "ProbesQueue: makes a message visible again",
        *(ORCHESTRATION, "ProbesQueue", "VisibilityTimeout: 90", "VisibilityTimeout: 45"),
    ),
    Mistake(
        "a deployment without an alarm",
        monitoring.every_deployment_rolls_back_on_an_alarm,
        "ApiFunction: no alarm rolls its deployment back",
        *(API, "ApiFunction", r" +Alarms: \[.*]\n", ""),
    ),
    Mistake(
        "a deployment with an unknown alarm",
        monitoring.every_deployment_rolls_back_on_an_alarm,
        r"AuthHooksFunction: there is no alarm \$\{Name}-auth-hook-errors",
        *(AUTH, "AuthHooksFunction", "-auth-hooks-errors", "-auth-hook-errors"),
    ),
    Mistake(
        "a nested stack with the URL of another queue",
        drift.every_queue_and_table_is_named_by_a_variable,
        "ProviderEventsQueue: no function has its name",
        *(MAIN, "Api", "Outputs.ProviderEventsQueue", "Outputs.ReleasesQueue"),
    ),
    # ---- Invalid templates
    Mistake(
        "a misspelt property",
        linters.cfn_lint_finds_nothing,
        "E3002: .*BilingMode",
        *(MAIN, "CatalogueTable", "BillingMode", "BilingMode"),
    ),
    Mistake(
        "a reference to an unknown resource",
        linters.cfn_lint_finds_nothing,
        "'ParkTable'",
        *(API, "ApiFunction", "PARKED_TABLE: !Ref ParkedTable", "PARKED_TABLE: !Ref ParkTable"),
    ),
    Mistake(
        "a stack without a required parameter",
        drift.every_stack_gets_all_its_parameters,
        "Network: Zones is not set",
        *(MAIN, "Network", r" +Zones: !Ref Zones\n", ""),
    ),
    Mistake(
        "a stack that would use a default",
        drift.every_stack_gets_all_its_parameters,
        "Api: Size is not set",
        *(MAIN, "Api", r" +Size: !Ref Size\n", ""),
    ),
    Mistake(
        "a stack with an unknown parameter",
        linters.cfn_lint_finds_nothing,
        "E3043: .*Zone.*exist",
        *(MAIN, "Alarms", r"Size: !Ref Size", r"Size: !Ref Size\n        Zone: !Ref Zones"),
    ),
    Mistake(
        "an output that a stack does not have",
        linters.cfn_lint_finds_nothing,
        "LoadBalancerHosts",
        *(
            MAIN,
            "Edge",
            r"LoadBalancer\.Outputs\.LoadBalancerHost\b",
            "LoadBalancer.Outputs.LoadBalancerHosts",
        ),
    ),
    Mistake(
        "a state machine with an unknown next state",
        statemachines.every_state_can_be_reached,
        "order.asl.json: there is no state BuyLabels",
        *("statemachines/order.asl.json", None, '"Next": "BuyLabel"', '"Next": "BuyLabels"'),
    ),
    Mistake(
        "a misspelt field of a state",
        statemachines.every_state_machine_is_valid,
        "order.asl.json: E3601",
        *("statemachines/order.asl.json", None, '"TimeoutSeconds"', '"TimeoutSecond"'),
    ),
    Mistake(
        "an order that resumes at another step",
        statemachines.a_parked_execution_resumes_at_its_step,
        "Park is parked as BuyLabel, but resumes with CapturePayment",
        *("statemachines/order.asl.json", "Resume", '("Next": )"BuyLabel"', r'\1"CapturePayment"'),
    ),
    # ---- Names in the code
    Mistake(
        "a misspelt variable",
        drift.every_function_is_given_what_it_reads,
        "ApiFunction: api reads CATALOGUE_TABLE, which is not set",
        *(API, "ApiFunction", "CATALOGUE_TABLE:", "CATALOG_TABLE:"),
    ),
    Mistake(
        "a variable that no code reads",
        drift.every_function_reads_what_it_is_given,
        "BreakerProbeFunction: sets PARKED_TABLE",
        *(
            ORCHESTRATION,
            "BreakerProbeFunction",
            "( +)BREAKER_TABLE:",
            r"\1PARKED_TABLE: !Ref ParkedTable\n\1BREAKER_TABLE:",
        ),
    ),
    Mistake(
        "a variable that is not set",
        drift.every_function_is_given_what_it_reads,
        "RetryFunction: retry reads RELEASES_PER_SECOND",
        *("functions/retry/src/main.rs", None, "RELEASED_CALLS_PER_SECOND", "RELEASES_PER_SECOND"),
    ),
    Mistake(
        "a queue that no function uses",
        drift.every_queue_and_table_is_named_by_a_variable,
        "ForgottenQueue: no function has its name",
        *(
            ORCHESTRATION,
            None,
            "\n  ProbesQueue:\n",
            "\n  ForgottenQueue:\n    Type: AWS::SQS::Queue\n\n  ProbesQueue:\n",
        ),
    ),
    Mistake(
        "a state machine with a wrong name",
        drift.every_literal_name_exists,
        r"\$\{Name}-refunds: there is no such StateMachine",
        *(ORCHESTRATION, "RetryFunction", r"(stateMachine:\$\{Name}-refund)", r"\1s"),
    ),
    Mistake(
        "a setting that the containers do not have",
        drift.every_container_on_kubernetes_is_given_what_it_reads,
        "infra/eks: the programs read PROBES_QUEUE_URL",
        *("infra/eks/base/settings.env", None, "PROBES_QUEUE_URL=.*\n", ""),
    ),
    Mistake(
        "a setting that the frontend does not have",
        drift.every_container_of_the_frontend_is_given_what_it_reads,
        "the frontend reads SESSION_SECRET, which is not set",
        *("infra/frontend.yaml", None, "SESSION_SECRET", "SESSION_KEY"),
    ),
    # ---- Suppressions
    Mistake(
        "a suppression without a reason",
        linters.every_suppression_has_a_reason,
        "ApiFunction: CKV_AWS_116 is suppressed without a reason",
        *(API, "ApiFunction", r"(CKV_AWS_116\n +comment:) .*", r'\1 ""'),
    ),
    Mistake(
        "a suppression that suppresses nothing",
        linters.every_suppression_is_needed,
        "CKV_AWS_28 is suppressed, but does not apply",
        *(ORCHESTRATION, "ProviderEventsQueue", "CKV_AWS_27\n", "CKV_AWS_28\n"),
    ),
    # ---- Alarms
    Mistake(
        "an alarm without an action",
        monitoring.every_alarm_has_an_action,
        "ApiErrors: has no action",
        *("infra/alarms.yaml", "ApiErrors", r" +AlarmActions: .*\n", ""),
    ),
    Mistake(
        "an alarm without a runbook",
        monitoring.every_alarm_links_to_a_runbook,
        "NeedsAttention: docs/runbooks/need-attention.md does not exist",
        *("infra/alarms.yaml", "NeedsAttention", "needs-attention.md", "need-attention.md"),
    ),
    Mistake(
        "a dropped alarm",
        monitoring.every_function_queue_and_state_machine_has_an_alarm,
        r"\$\{Name}-provider-events-dead-letters: no alarm uses it",
        *("infra/alarms.yaml", "ProviderEventsDead", r"(?s)^.*$", ""),
    ),
    Mistake(
        "an alarm on a metric of ours that does not exist",
        monitoring.every_metric_of_ours_is_emitted,
        "PaymentsCircuitOpen: no code emits CircuitStatus",
        *("infra/alarms.yaml", "PaymentsCircuitOpen", "CircuitState", "CircuitStatus"),
    ),
    Mistake(
        "an alarm on a provider that does not exist",
        monitoring.every_metric_of_ours_is_emitted,
        "PaymentsCircuitOpen: CircuitState is not emitted with Provider=payment",
        *("infra/alarms.yaml", "PaymentsCircuitOpen", "Value: payments", "Value: payment"),
    ),
    Mistake(
        "a metric by another name in the code",
        monitoring.every_metric_of_ours_is_emitted,
        "NeedsAttention: no code emits NeedsAttention",
        *("functions/retry/src/jobs/sweep.rs", None, '"NeedsAttention"', '"AttentionNeeded"'),
    ),
    Mistake(
        "an alarm on a metric that AWS does not publish",
        monitoring.every_metric_of_aws_is_published,
        "ApiErrors: AWS/Lambda does not publish Error with",
        *("infra/alarms.yaml", "ApiErrors", "MetricName: Errors", "MetricName: Error"),
    ),
    Mistake(
        "an alarm on a queue that does not exist",
        monitoring.every_watched_resource_exists,
        r"ProviderEventsDead: there is no \$\{Name}-provider-events-dead$",
        *("infra/alarms.yaml", "ProviderEventsDead", "(QueueName\n.*-provider-events-dead)-letters", r"\1"),
    ),
    # ---- Containers
    Mistake(
        "a container as root",
        linters.checkov_finds_nothing,
        "Dockerfile: .*CKV_DOCKER_8",
        *("Dockerfile", None, "USER .*", "USER root"),
    ),
    Mistake(
        "a pod that may write to its own disk",
        linters.checkov_finds_nothing,
        "program.yaml: Deployment.* CKV_K8S_22",
        *(
            "infra/eks/program/program.yaml",
            None,
            "readOnlyRootFilesystem: true",
            "readOnlyRootFilesystem: false",
        ),
    ),
    Mistake(
        "a misspelt field of a Deployment",
        linters.every_kubernetes_object_is_valid,
        "Deployment cauce: .*progressDeadline",
        *("infra/eks/program/program.yaml", None, "progressDeadlineSeconds", "progressDeadline"),
    ),
    # ---- Supply chain
    Mistake(
        "a crate whose licence is not allowed",
        supply.every_licence_is_allowed,
        "Cargo.lock: webpki-roots is under CDLA-Permissive-2.0",
        *("deny.toml", None, r'  "CDLA-Permissive-2.0",\n', ""),
    ),
    Mistake(
        "a package of npm whose licence is not allowed",
        supply.every_licence_is_allowed,
        "frontend/package-lock.json: node_modules/.* is under GPL-3.0-only",
        *("frontend/package-lock.json", None, '(sha512-.*\n.*\n +"license": )"MIT"', r'\1"GPL-3.0-only"'),
    ),
    Mistake(
        "a crate from somewhere else",
        supply.every_package_comes_from_its_registry_unchanged,
        r"Cargo.lock: \w+ comes from git\+https://",
        *("Cargo.lock", None, r"registry\+https://github.com/rust-lang/crates.io-index"),
        "git+https://example.com/it",
    ),
    Mistake(
        "an npm package without a checksum",
        supply.every_package_comes_from_its_registry_unchanged,
        "tests/contract/package-lock.json: node_modules/.* has no checksum",
        *("tests/contract/package-lock.json", None, r' +"integrity": .*\n', ""),
    ),
    Mistake(
        "a Python package without a checksum",
        supply.every_package_comes_from_its_registry_unchanged,
        "dev/xtask/requirements.txt: .* is not pinned by a checksum",
        *("dev/xtask/requirements.txt", None, r"(\n\w\S*)==", r"\1>="),
    ),
    Mistake(
        "a base image pinned by its tag",
        supply.every_base_image_is_named_by_its_digest,
        "frontend/Dockerfile: node:24.19.0-bookworm-slim is not pinned by its digest",
        *("frontend/Dockerfile", None, "@sha256:[0-9a-f]+", ""),
    ),
    Mistake(
        "an action pinned by its tag",
        supply.every_workflow_is_pinned_and_read_only,
        "ci.yml: actions/checkout@v7 is not pinned by its commit",
        *(".github/workflows/ci.yml", None, "checkout@.*", "checkout@v7"),
    ),
    Mistake(
        "a workflow that may write",
        supply.every_workflow_is_pinned_and_read_only,
        "ci.yml: has more permissions than to read",
        *(".github/workflows/ci.yml", None, "contents: read", "contents: write"),
    ),
    Mistake(
        "a lockfile that Dependabot does not update",
        supply.dependabot_updates_every_lockfile,
        "does not update npm in /tests/browser",
        *(".github/dependabot.yml", None, r" +- /tests/browser\n", ""),
    ),
]


@pytest.fixture
def copy(checkout: Checkout, tmp_path: Path) -> Checkout:
    return checkout.copy_to(tmp_path)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda it: it.what)
def test_is_caught(mistake: Mistake, copy: Checkout) -> None:
    mistake.make(copy)
    findings = "\n".join(mistake.caught_by(Checkout(copy.root)))
    assert re.search(mistake.finding, findings, re.MULTILINE), findings or "no findings"


def test_the_copy_without_a_mistake_passes(copy: Checkout) -> None:
    rules = {it.caught_by: None for it in MISTAKES}
    assert not [finding for rule in rules for finding in rule(copy)]
