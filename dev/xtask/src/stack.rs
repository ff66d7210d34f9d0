//! The whole system on one machine: every tier of the cloud, or a substitute for it.

pub(crate) mod emulator;
mod ports;
mod postgres;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::{
    emulator::{Emulator, FUNCTIONS, Outputs},
    ports::Ports,
    postgres::Postgres,
};
use crate::{
    process::Processes,
    progress::step,
    tools::{Tools, npm, npm_packages, unless_done},
    workspace::{Workspace, cargo},
};
pub(crate) use emulator::responds;
pub(crate) use signature::REGION;

/// How long a program may take until it responds.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How many concurrent invocations of a function hot reload allows.
const FUNCTION_CONCURRENCY: &str = "8";

/// How many environments of each function our own host starts.
const ENVIRONMENTS: &str = "8";

/// The data folders in a stack's home.
const DATA: [&str; 4] = ["aws", "payments", "postgres", "shipping"];

/// API keys in the form of the providers' test keys.
const PAYMENTS_KEY: &str = "sk_test_laptop";
const SHIPPING_KEY: &str = "TEST_laptop";

/// The shop id that marks our records at the simulators.
const SHOP_ID: &str = "laptop";

/// The secret of the payments simulator's webhooks.
const WEBHOOK_SECRET: &str = "whsec_laptop";

/// The frontend processes.
pub(crate) const FRONTENDS: [&str; 2] = ["frontend-1", "frontend-2"];

/// The program that runs the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invoker {
    /// `cargo lambda watch`: rebuilds them when their code changes.
    HotReload,
    /// The emulator: concurrently and with time limits, as Lambda does.
    Emulator,
    /// Our own host, which is fast and measures durations: for benchmarks.
    Host,
}

/// The addresses and secrets of a running stack, for people and programs.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    /// The shop, through CloudFront.
    pub(crate) site: String,
    /// The API at API Gateway, without the CDN; callers need a key.
    api: String,
    pub(crate) aws: Aws,
    pub(crate) database: DatabaseUrls,
    /// The two simulators.
    pub(crate) payments: String,
    pub(crate) shipping: String,
    /// The host that runs the functions, if it is not the emulator.
    functions: String,
    /// The secret of the payments simulator's webhooks.
    payments_webhook_secret: &'static str,
    /// The key with which the frontend proves itself to the API.
    frontend_key: String,
    /// The environment variables of the frontend, for `npm run dev`.
    frontend_environment: BTreeMap<&'static str, String>,
    /// The key with which the CDN proves itself to the API.
    origin_key: String,
    /// The frontend processes, without the load balancer.
    pub(crate) frontends: [String; 2],
    pub(crate) logs: PathBuf,
    #[serde(flatten)]
    pub(crate) accounts: Accounts,
}

#[derive(Debug, Serialize)]
pub(crate) struct Aws {
    pub(crate) endpoint: String,
    region: &'static str,
    user_pool_id: String,
    user_pool_client_id: String,
    user_pool_client_secret: String,
    catalogue_table: String,
    order_state_machine_arn: String,
    refund_state_machine_arn: String,
    parked_table: String,
    breaker_table: String,
    /// The load balancer's target group of the frontends.
    frontend_target_group_arn: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct DatabaseUrls {
    pub(crate) primary: String,
    pub(crate) standby: String,
}

/// The accounts of the seed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Accounts {
    /// One for each role.
    pub(crate) users: Vec<User>,
    /// Additional shoppers, for concurrent tests.
    shoppers: Vec<Shopper>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) role: String,
    pub(crate) email: String,
    pub(crate) password: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Shopper {
    email: String,
    password: String,
}

impl Description {
    /// Writes it as JSON, readable only by this user: it contains passwords.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(file)?;
        Ok(serde_json::to_writer_pretty(&mut file, self)?)
    }
}

/// The frontend's app client of the user pool.
struct AppClient {
    id: String,
    secret: String,
}

/// A stack that is starting.
struct Stack<'a> {
    workspace: &'a Workspace,
    processes: &'a mut Processes,
    home: &'a Path,
    ports: Ports,
    tools: Tools,
}

/// Deletes all data of the stack in `home`, which must not be running.
pub(crate) fn reset(home: &Path) -> anyhow::Result<()> {
    for folder in DATA.map(|name| home.join(name)) {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

/// Starts a stack in `home` that contains only the seed data. Returns the file with its
/// [`Description`].
pub(crate) fn start_empty(
    workspace: &Workspace,
    processes: &mut Processes,
    home: &Path,
    invoker: Invoker,
) -> anyhow::Result<PathBuf> {
    reset(home)?;
    let description = start(workspace, processes, home, invoker)?;
    let file = home.join("stack.json");
    description.write(&file)?;
    Ok(file)
}

/// The path of PostgreSQL's benchmark program.
pub(crate) fn pgbench(workspace: &Workspace, processes: &Processes) -> anyhow::Result<PathBuf> {
    Ok(Tools::set_up(workspace, processes)?
        .postgres()?
        .join("pgbench"))
}

/// If the primary database of the stack in `home` has died, promotes the standby and restarts the
/// old primary as its standby. Works once for each stack.
pub(crate) fn fail_over_if_needed(
    workspace: &Workspace,
    processes: &mut Processes,
    home: &Path,
) -> anyhow::Result<()> {
    if !processes.has_ended(postgres::PRIMARY)? {
        return Ok(());
    }
    let ports = Ports::read(&home.join("ports.json"))?;
    let tools = Tools::set_up(workspace, processes)?;
    let postgres = Postgres::new(&tools, &home.join("postgres"))?;
    postgres.fail_over(processes, ports.standby, ports.primary)
}

/// Installs missing tools, builds and starts everything.
pub(crate) fn start(
    workspace: &Workspace,
    processes: &mut Processes,
    home: &Path,
    invoker: Invoker,
) -> anyhow::Result<Description> {
    let tools = Tools::set_up(workspace, processes)?;
    step("build the functions and the simulators", || {
        build(workspace, processes, invoker)
    })?;
    build_frontend(workspace, processes)?;
    let stack = Stack {
        workspace,
        ports: Ports::choose(&home.join("ports.json"))?,
        processes,
        home,
        tools,
    };
    stack.start(invoker)
}

impl Stack<'_> {
    fn start(mut self, invoker: Invoker) -> anyhow::Result<Description> {
        let postgres = self.start_postgres()?;
        self.start_simulator("payments", self.ports.payments)?;
        self.start_simulator("shipping", self.ports.shipping)?;
        let (emulator, outputs) = self.deploy(&postgres, invoker)?;
        match invoker {
            Invoker::HotReload => self.watch_functions(&emulator)?,
            Invoker::Host => self.host_functions(&emulator)?,
            Invoker::Emulator => {}
        }
        let frontend_key = emulator.secret(outputs.get("FrontendKey")?)?;
        let origin_key = emulator.secret(outputs.get("OriginKey")?)?;
        step("migrations", || emulator.invoke("migrations", "{}"))?;
        let accounts = self.seed(&postgres, &emulator, &outputs)?;
        let api = format!(
            "{}/_aws/execute-api/{}",
            emulator.endpoint,
            outputs.get("ApiId")?
        );
        let site = self.site(&outputs)?;
        self.configure_webhooks(&api)?;
        let (pool, client) = (outputs.get("UserPoolId")?, outputs.get("UserPoolClientId")?);
        let app = AppClient {
            id: client.to_owned(),
            secret: emulator.app_client_secret(pool, client)?,
        };
        let frontend_environment =
            self.frontend_environment(&emulator, &api, &frontend_key, &app)?;
        self.start_frontends(&emulator, &outputs, &site, &frontend_environment)?;
        Ok(Description {
            aws: Aws {
                endpoint: emulator.endpoint,
                region: REGION,
                user_pool_id: pool.to_owned(),
                user_pool_client_id: app.id,
                user_pool_client_secret: app.secret,
                catalogue_table: outputs.get("CatalogueTable")?.to_owned(),
                order_state_machine_arn: outputs.get("OrderStateMachine")?.to_owned(),
                refund_state_machine_arn: outputs.get("RefundStateMachine")?.to_owned(),
                parked_table: outputs.get("ParkedTable")?.to_owned(),
                breaker_table: outputs.get("BreakerTable")?.to_owned(),
                frontend_target_group_arn: outputs.get("FrontendTargets")?.to_owned(),
            },
            database: DatabaseUrls {
                primary: postgres.primary_url(&[self.ports.primary, self.ports.standby]),
                standby: postgres.url(self.ports.standby),
            },
            payments: address(self.ports.payments),
            shipping: address(self.ports.shipping),
            functions: address(self.ports.functions),
            payments_webhook_secret: WEBHOOK_SECRET,
            frontend_key,
            frontend_environment,
            origin_key,
            frontends: self.ports.frontends.map(address),
            logs: self.home.join("logs"),
            site,
            api,
            accounts,
        })
    }

    fn start_postgres(&mut self) -> anyhow::Result<Postgres> {
        let postgres = Postgres::new(&self.tools, &self.home.join("postgres"))?;
        let (primary, standby) = (self.ports.primary, self.ports.standby);
        step("PostgreSQL primary", || {
            postgres.start_primary(self.processes, primary)
        })?;
        step("PostgreSQL hot standby", || {
            postgres.start_standby(self.processes, standby, primary)
        })?;
        Ok(postgres)
    }

    fn start_simulator(&mut self, name: &str, port: u16) -> anyhow::Result<()> {
        let program = format!("{name}-simulator");
        let mut command = Command::new(self.workspace.program(&program));
        command
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .arg("--data")
            .arg(self.home.join(name));
        step(&format!("{name} simulator"), || {
            self.processes.start(&program, command, Signal::TERM)?;
            self.wait_for(&format!("{}/_health", address(port)))
        })
    }

    fn deploy(
        &mut self,
        postgres: &Postgres,
        invoker: Invoker,
    ) -> anyhow::Result<(Emulator, Outputs)> {
        let home = self.home.join("aws");
        let emulator = step("AWS emulator", || {
            let (port, functions) = (self.ports.emulator, self.ports.functions);
            Emulator::start(&self.tools, self.processes, &home, port, invoker, functions)
        })?;
        let parameters = [
            ("Size", "laptop".to_owned()),
            ("Zones", "2".to_owned()),
            ("ApiPort", self.ports.emulator.to_string()),
            (
                "DatabaseUrl",
                postgres.app_primary_url(&[self.ports.primary, self.ports.standby]),
            ),
            ("DatabaseStandbyUrl", postgres.app_url(self.ports.standby)),
            ("DatabaseOwnerUrl", postgres.url(self.ports.primary)),
            ("PaymentsUrl", address(self.ports.payments)),
            ("PaymentsKey", PAYMENTS_KEY.to_owned()),
            ("ShippingUrl", address(self.ports.shipping)),
            ("ShippingKey", SHIPPING_KEY.to_owned()),
            ("ShopId", SHOP_ID.to_owned()),
            ("PaymentsWebhookSecret", WEBHOOK_SECRET.to_owned()),
            (
                "ShippingKeysUrl",
                format!("{}/jwks", address(self.ports.shipping)),
            ),
            // The simulators' search has no lag, so the look-up does not need to wait for minutes.
            ("LookUpAfterSeconds", "5".to_owned()),
            // Shorter than the simulator keeps keys when a test shortens that.
            ("IdempotencyKeySeconds", "50".to_owned()),
            ("ReconcileAfterSeconds", "30".to_owned()),
            ("BreakerOpenSeconds", "2".to_owned()),
            // Limited by the processes that a laptop can run.
            ("ProviderConcurrency", "16".to_owned()),
            // All shoppers have the same IP address and share a few test cards.
            ("UnpaidUnitsLimit", "20000".to_owned()),
            ("UnpaidCentsLimit", "100000000".to_owned()),
            ("ConfirmSignUps", "at-once".to_owned()),
            // The seed's accounts have only a password.
            ("RequireStaffTotp", "false".to_owned()),
            // All tests share the seed's only support account.
            ("SupportRefundDayLimitCents", "999999999".to_owned()),
            ("Viewers", "allow-all".to_owned()),
        ];
        let outputs = emulator.deploy(
            self.workspace,
            &self.tools,
            self.processes,
            &parameters,
            invoker != Invoker::HotReload,
        )?;
        Ok((emulator, outputs))
    }

    /// Runs the functions with hot reload, and with the environment of the template.
    fn watch_functions(&mut self, emulator: &Emulator) -> anyhow::Result<()> {
        let environment = functions_environment(emulator)?;
        let port = self.ports.functions;
        let mut watch = self.tools.program("cargo-lambda");
        watch
            .args(["lambda", "watch", "--invoke-address", "127.0.0.1"])
            .args(["--invoke-port", &port.to_string()])
            .args(["--concurrency", FUNCTION_CONCURRENCY])
            .current_dir(&self.workspace.root)
            .env("CARGO_TARGET_DIR", &self.workspace.target)
            .envs(emulator.environment())
            .envs(environment);
        step("functions, with hot reload", || self.start_functions(watch))
    }

    /// Runs the functions in our own host, with the same environment.
    fn host_functions(&mut self, emulator: &Emulator) -> anyhow::Result<()> {
        let programs: BTreeSet<_> = FUNCTIONS.iter().map(|(_, program)| *program).collect();
        let mut host = Command::new(self.workspace.program("lambda-host"));
        host.args(["--listen", &format!("127.0.0.1:{}", self.ports.functions)])
            .args(["--environments", ENVIRONMENTS])
            .args(programs.into_iter().map(|it| self.workspace.program(it)))
            .envs(emulator.environment())
            .envs(functions_environment(emulator)?);
        step("functions", || self.start_functions(host))
    }

    fn start_functions(&mut self, command: Command) -> anyhow::Result<()> {
        let port = self.ports.functions;
        self.processes.start("functions", command, Signal::TERM)?;
        self.processes
            .wait_until("the host of the functions", READY_WITHIN, || {
                std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            })
    }

    fn seed(
        &mut self,
        postgres: &Postgres,
        emulator: &Emulator,
        outputs: &Outputs,
    ) -> anyhow::Result<Accounts> {
        let mut seed = Command::new(self.workspace.program("seed"));
        seed.env("DATABASE_URL", postgres.url(self.ports.primary))
            .env("CATALOGUE_TABLE", outputs.get("CatalogueTable")?)
            .env("USER_POOL_ID", outputs.get("UserPoolId")?)
            .envs(emulator.environment());
        step("seed data", || {
            let output = self.processes.output("seed", &mut seed)?;
            serde_json::from_str(&output).context("cannot parse the output of the seed program")
        })
    }

    /// Configures the simulators' webhooks to the API, as in the providers' dashboards.
    fn configure_webhooks(&self, api: &str) -> anyhow::Result<()> {
        let url = |provider| format!("{api}/v1/webhooks/{provider}");
        let payments = json!({ "url": url("payments"), "secret": WEBHOOK_SECRET });
        let shipping = json!({ "url": url("shipping") });
        for (port, webhooks) in [
            (self.ports.payments, payments),
            (self.ports.shipping, shipping),
        ] {
            ureq::put(format!("{}/_webhooks", address(port)))
                .header("Content-Type", "application/json")
                .send(webhooks.to_string())
                .context("cannot configure a simulator's webhooks")?;
        }
        Ok(())
    }

    /// The shop's URL: the distribution's host name at the emulator.
    fn site(&self, outputs: &Outputs) -> anyhow::Result<String> {
        let host = outputs.get("SiteHost")?;
        let name = host.split('.').next().unwrap_or(host);
        Ok(format!(
            "http://{name}.cloudfront.localhost:{}",
            self.ports.emulator
        ))
    }

    /// The variables that connect a frontend to this stack.
    fn frontend_environment(
        &self,
        emulator: &Emulator,
        api: &str,
        frontend_key: &str,
        app: &AppClient,
    ) -> anyhow::Result<BTreeMap<&'static str, String>> {
        Ok(BTreeMap::from([
            ("API_URL", api.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("COGNITO_CLIENT_ID", app.id.clone()),
            ("COGNITO_CLIENT_SECRET", app.secret.clone()),
            ("COGNITO_ENDPOINT", emulator.endpoint.clone()),
            ("FRONTEND_KEY", frontend_key.to_owned()),
            // All visitors on a laptop have the same IP address.
            ("REQUESTS_PER_SECOND", "1000".to_owned()),
            ("REQUEST_BURST", "1000".to_owned()),
            (
                "SECURITY_CONTACT",
                "mailto:security@cauce.example".to_owned(),
            ),
            ("SESSION_SECRET", secret(&self.home.join("session-secret"))?),
        ]))
    }

    fn start_frontends(
        &mut self,
        emulator: &Emulator,
        outputs: &Outputs,
        site: &str,
        environment: &BTreeMap<&'static str, String>,
    ) -> anyhow::Result<()> {
        let ports = self.ports.frontends;
        step("two frontends behind the load balancer and the CDN", || {
            for (name, port) in FRONTENDS.into_iter().zip(ports) {
                let mut node = Command::new("node");
                node.arg("server.js")
                    .current_dir(self.workspace.root.join("frontend"))
                    .env("HOST", "127.0.0.1")
                    .env("PORT", port.to_string())
                    .env("ORIGIN", site)
                    .env("BODY_SIZE_LIMIT", "9M")
                    // As in frontend/Dockerfile: the header that the CDN's function sets.
                    .env("ADDRESS_HEADER", "cauce-viewer-address")
                    .envs(environment);
                self.processes.start(name, node, Signal::TERM)?;
                self.wait_for(&format!("{}/healthz", address(port)))?;
            }
            emulator.register_frontends(outputs.get("FrontendTargets")?, ports)
        })
    }

    fn wait_for(&mut self, url: &str) -> anyhow::Result<()> {
        self.processes
            .wait_until(&format!("an answer from {url}"), READY_WITHIN, || {
                responds(url)
            })
    }
}

/// The environments of all functions in the template, merged. A variable has the same value in each
/// of them.
fn functions_environment(emulator: &Emulator) -> anyhow::Result<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    for (function, _) in FUNCTIONS {
        environment.extend(emulator.function_environment(function)?);
    }
    Ok(environment)
}

/// Builds exactly the targets that are used next, so that cargo compiles no dependency twice: for
/// hot reload those of `cargo run`, for tests all targets, for benchmarks the release profile
/// without this program.
fn build(workspace: &Workspace, processes: &Processes, invoker: Invoker) -> anyhow::Result<()> {
    let mut build = cargo();
    build
        .args(["build", "--workspace", "--locked"])
        .current_dir(&workspace.root);
    match invoker {
        Invoker::HotReload => {}
        Invoker::Emulator => _ = build.arg("--all-targets"),
        Invoker::Host => _ = build.args(["--release", "--exclude", "xtask"]),
    }
    processes.run("cargo-build", &mut build)
}

fn build_frontend(workspace: &Workspace, processes: &Processes) -> anyhow::Result<()> {
    npm_packages(workspace, processes, "frontend")?;
    let folder = workspace.root.join("frontend");
    unless_done(
        &folder.join("build/.done"),
        std::slice::from_ref(&folder),
        || {
            step("build the frontend", || {
                let mut npm = npm(workspace, "frontend");
                processes.run("frontend-build", npm.args(["run", "build"]))
            })
        },
    )
}

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// A new secret of 128 random bits.
pub(crate) fn random_secret() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// The secret in the file. The first call generates it.
fn secret(file: &Path) -> anyhow::Result<String> {
    if let Ok(existing) = fs::read_to_string(file) {
        return Ok(existing);
    }
    let secret = random_secret()?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(secret.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(secret)
}
