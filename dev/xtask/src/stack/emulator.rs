//! The AWS emulator, and the deployment of our template to it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::{Value, json};
use signature::{ACCESS_KEY, REGION, sign_headers};
use ureq::http::{HeaderMap, Request};

use crate::{
    process::Processes,
    progress::step,
    stack::Invoker,
    tools::{Tools, unless_done},
    workspace::Workspace,
};

/// The name of the stack, and the prefix of its resources' names.
const STACK: &str = "cauce";

/// The programs of the functions.
const PROGRAMS: [&str; 5] = ["api", "auth-hooks", "breaker-probe", "migrations", "retry"];

/// The functions that another host than the emulator can run, each with its program.
pub(crate) const FUNCTIONS: [(&str, &str); 6] = [
    ("api", "api"),
    ("auth-hooks", "auth-hooks"),
    ("breaker-probe", "breaker-probe"),
    ("payments", "retry"),
    ("retry", "retry"),
    ("shipping", "retry"),
];

/// How long the emulator may take to answer.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// The program that starts the emulator with our patches.
const PROGRAM: &str = include_str!("emulator.py");

/// The sources of the deployment, besides the functions' programs.
const SOURCES: [&str; 3] = ["template.yaml", "infra", "statemachines"];

/// The emulator.
pub(crate) struct Emulator {
    home: PathBuf,
    pub(crate) endpoint: String,
}

/// The outputs of the deployed stack.
pub(crate) struct Outputs(BTreeMap<String, String>);

impl Outputs {
    pub(crate) fn get(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.with_context(|| format!("the stack has no output {name}"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    output_key: String,
    output_value: String,
}

/// The environment variables that direct AWS SDKs and tools to the emulator at this URL.
pub(crate) fn environment(url: &str) -> [(&'static str, String); 6] {
    [
        ("AWS_ENDPOINT_URL", url.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_DEFAULT_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.0.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.1.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
    ]
}

impl Emulator {
    /// Starts the emulator. `functions` is the port of the host that runs the functions, if the
    /// emulator does not run them itself.
    pub(crate) fn start(
        tools: &Tools,
        processes: &mut Processes,
        home: &Path,
        port: u16,
        invoker: Invoker,
        functions: u16,
    ) -> anyhow::Result<Self> {
        let emulator = Self {
            home: home.to_owned(),
            endpoint: format!("http://127.0.0.1:{port}"),
        };
        let temporary = home.join("tmp");
        fs::create_dir_all(&temporary)?;
        let mut command = tools.program("python");
        command
            .args(["-c", PROGRAM])
            .env("BIND_HOST", "127.0.0.1")
            // As at AWS: enforce the permissions of each function's role.
            .env("AUTH", "true")
            .env("GATEWAY_PORT", port.to_string())
            .env("IOT_MTLS_ENABLED", "0")
            // As at AWS: issue no token if the pre-token trigger, which adds the scopes, fails.
            .env("MINISTACK_COGNITO_PRETOKEN_STRICT", "1")
            .env("PERSIST_STATE", "1")
            .env("STATE_DIR", home.join("state"))
            .env("S3_PERSIST", "1")
            .env("S3_DATA_DIR", home.join("s3"))
            .env("TMPDIR", temporary)
            .envs(emulator.environment());
        if invoker != Invoker::HotReload {
            // Record the calls of the functions: tests check that each permission is used.
            command
                .env("CLOUDTRAIL_RECORDING", "1")
                .env("CLOUDTRAIL_MAX_EVENTS", "200000");
        }
        if invoker != Invoker::Emulator {
            for (function, program) in FUNCTIONS {
                let url = format!(
                    "http://127.0.0.1:{functions}/2015-03-31/functions/{program}/invocations"
                );
                command.env(format!("MINISTACK_LAMBDA_PROXY_{STACK}-{function}"), url);
            }
        }
        processes.start("emulator", command, Signal::TERM)?;
        let health = format!("{}/_ministack/health", emulator.endpoint);
        processes.wait_until("an answer from the emulator", READY_WITHIN, || {
            responds(&health)
        })?;
        Ok(emulator)
    }

    /// The environment variables that direct AWS SDKs and tools to the emulator.
    pub(crate) fn environment(&self) -> [(&'static str, String); 6] {
        environment(&self.endpoint)
    }

    /// Deploys the template, unless exactly that is already deployed. With `include_programs`, new
    /// programs also cause a deployment.
    pub(crate) fn deploy(
        &self,
        workspace: &Workspace,
        tools: &Tools,
        processes: &Processes,
        parameters: &[(&str, String)],
        include_programs: bool,
    ) -> anyhow::Result<Outputs> {
        let given = self.home.join("parameters.json");
        write_if_changed(&given, &serde_json::to_string_pretty(parameters)?)?;
        let mut sources: Vec<PathBuf> = SOURCES
            .iter()
            .map(|source| workspace.root.join(source))
            .collect();
        sources.push(given);
        if include_programs {
            sources.extend(PROGRAMS.map(|program| workspace.program(program)));
        }
        let done = self.home.join("deployed");
        if !self.has_stack() {
            _ = fs::remove_file(&done);
        }
        unless_done(&done, &sources, || {
            step("deploy template.yaml with SAM", || {
                copy_programs(workspace)?;
                let mut sam = self.sam(workspace, tools);
                sam.args(["deploy", "--template", "template.yaml", "--resolve-s3"])
                    .args(["--stack-name", STACK, "--no-confirm-changeset"])
                    .args(["--no-fail-on-empty-changeset", "--capabilities"])
                    .args(["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])
                    .arg("--parameter-overrides")
                    .args(
                        parameters
                            .iter()
                            .map(|(name, value)| format!("{name}={value}")),
                    );
                processes.run("sam-deploy", &mut sam)
            })
        })?;
        self.outputs(workspace, tools, processes)
    }

    fn outputs(
        &self,
        workspace: &Workspace,
        tools: &Tools,
        processes: &Processes,
    ) -> anyhow::Result<Outputs> {
        let mut sam = self.sam(workspace, tools);
        sam.args(["list", "stack-outputs", "--stack-name", STACK])
            .args(["--output", "json"]);
        let listed = processes.output("sam-outputs", &mut sam)?;
        let outputs: Vec<Output> = serde_json::from_str(&listed)?;
        let by_name = |output: Output| (output.output_key, output.output_value);
        Ok(Outputs(outputs.into_iter().map(by_name).collect()))
    }

    /// The environment variables of a function, as the template sets them.
    pub(crate) fn function_environment(
        &self,
        function: &str,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let path = format!("/2015-03-31/functions/{STACK}-{function}/configuration");
        let (_, text) = self.call("lambda", "GET", &path, &[], "")?;
        let configuration: Value = serde_json::from_str(&text)?;
        let variables = &configuration["Environment"]["Variables"];
        if variables.is_null() {
            return Ok(BTreeMap::new());
        }
        Ok(serde_json::from_value(variables.clone())?)
    }

    /// Invokes a function synchronously. Returns an error if it fails.
    pub(crate) fn invoke(&self, function: &str, event: &str) -> anyhow::Result<()> {
        let path = format!("/2015-03-31/functions/{STACK}-{function}/invocations");
        let (headers, body) = self.call("lambda", "POST", &path, &[], event)?;
        let failed = headers.contains_key("X-Amz-Function-Error");
        ensure!(!failed, "the function {function} failed: {body}");
        Ok(())
    }

    /// Reads a secret from Secrets Manager.
    pub(crate) fn secret(&self, arn: &str) -> anyhow::Result<String> {
        let headers = [
            ("X-Amz-Target", "secretsmanager.GetSecretValue"),
            ("Content-Type", "application/x-amz-json-1.1"),
        ];
        let body = json!({ "SecretId": arn }).to_string();
        let (_, answer) = self.call("secretsmanager", "POST", "/", &headers, &body)?;
        let answer: Value = serde_json::from_str(&answer)?;
        let secret = answer["SecretString"].as_str();
        Ok(secret.context("the secret is empty")?.to_owned())
    }

    /// Reads the secret of a user pool's app client.
    pub(crate) fn app_client_secret(&self, pool: &str, client: &str) -> anyhow::Result<String> {
        let target = "AWSCognitoIdentityProviderService.DescribeUserPoolClient";
        let headers = [
            ("X-Amz-Target", target),
            ("Content-Type", "application/x-amz-json-1.1"),
        ];
        let body = json!({ "UserPoolId": pool, "ClientId": client }).to_string();
        let (_, answer) = self.call("cognito-idp", "POST", "/", &headers, &body)?;
        let answer: Value = serde_json::from_str(&answer)?;
        let secret = answer["UserPoolClient"]["ClientSecret"].as_str();
        Ok(secret.context("the app client has no secret")?.to_owned())
    }

    /// Registers the frontend processes at the load balancer, as Fargate does with its tasks. The
    /// emulator distinguishes targets only by their host, so each gets another name of this
    /// machine.
    pub(crate) fn register_frontends(&self, group: &str, ports: [u16; 2]) -> anyhow::Result<()> {
        self.query(
            "elasticloadbalancing",
            &[
                ("Action", "RegisterTargets"),
                ("Version", "2015-12-01"),
                ("TargetGroupArn", group),
                ("Targets.member.1.Id", "127.0.0.1"),
                ("Targets.member.1.Port", &ports[0].to_string()),
                ("Targets.member.2.Id", "localhost"),
                ("Targets.member.2.Port", &ports[1].to_string()),
            ],
        )?;
        Ok(())
    }

    fn has_stack(&self) -> bool {
        let described = self.query(
            "cloudformation",
            &[
                ("Action", "DescribeStacks"),
                ("Version", "2010-05-15"),
                ("StackName", STACK),
            ],
        );
        described.is_ok_and(|answer| {
            ["CREATE_COMPLETE", "UPDATE_COMPLETE"]
                .iter()
                .any(|status| answer.contains(&format!("<StackStatus>{status}<")))
        })
    }

    /// Calls a service with the query protocol: form-encoded requests, XML answers.
    fn query(&self, service: &str, form: &[(&str, &str)]) -> anyhow::Result<String> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        let (_, answer) = self.call(service, "POST", "/", &headers, &body)?;
        Ok(answer)
    }

    /// Calls a service with the credentials of the account's owner.
    fn call(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<(HeaderMap, String)> {
        let url = format!("{}{path}", self.endpoint);
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in sign_headers(service, method, &url, body)? {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = ureq::run(request.body(body.to_owned())?)?;
        let text = answer.body_mut().read_to_string()?;
        Ok((answer.headers().clone(), text))
    }

    fn sam(&self, workspace: &Workspace, tools: &Tools) -> Command {
        let mut sam = tools.sam(workspace);
        sam.envs(self.environment());
        sam
    }
}

/// Whether a GET of the URL succeeds.
pub(crate) fn responds(url: &str) -> bool {
    ureq::get(url).call().is_ok()
}

/// Copies the functions' programs to the folder that the template reads them from.
fn copy_programs(workspace: &Workspace) -> anyhow::Result<()> {
    for name in PROGRAMS {
        let folder = workspace.root.join("target/lambda").join(name);
        fs::create_dir_all(&folder)?;
        let program = workspace.program(name);
        fs::copy(&program, folder.join("bootstrap"))
            .with_context(|| format!("cannot copy {}", program.display()))?;
    }
    Ok(())
}

/// Writes a file, unless it has this text already, so that its modification time stays the same.
fn write_if_changed(path: &Path, text: &str) -> anyhow::Result<()> {
    if fs::read_to_string(path).is_ok_and(|current| current == text) {
        return Ok(());
    }
    fs::write(path, text)?;
    Ok(())
}
