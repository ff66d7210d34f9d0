//! The whole system on one machine: every tier of the cloud, or what stands in for it.

mod emulator;
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
pub(crate) use emulator::answers;
pub(crate) use signature::REGION;

/// How long a program may take until it answers.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How many calls of one function hot reload runs at once.
const FUNCTION_CONCURRENCY: &str = "8";

/// How many environments of each function our own host has.
const ENVIRONMENTS: &str = "8";

/// The folders of a stack's home that hold its data.
const DATA: [&str; 4] = ["aws", "payments", "postgres", "shipping"];

/// Keys as the providers' own test keys look.
const PAYMENTS_KEY: &str = "sk_test_laptop";
const SHIPPING_KEY: &str = "TEST_laptop";

/// What marks the shop's records at the simulators.
const SHOP_ID: &str = "laptop";

/// What the payments simulator signs its webhooks with.
const WEBHOOK_SECRET: &str = "whsec_laptop";

/// The frontend's processes.
pub(crate) const FRONTENDS: [&str; 2] = ["frontend-1", "frontend-2"];

/// Who runs the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invoker {
    /// `cargo lambda watch`: builds them anew when their code changes.
    HotReload,
    /// The emulator, many at once, with time limits, as Lambda does.
    Emulator,
    /// A host of our own, which is fast and counts: for measuring.
    Host,
}

/// Where everything is, for people and programs.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    /// The shop, through CloudFront.
    pub(crate) site: String,
    /// The API at API Gateway itself, for callers that have a key.
    api: String,
    pub(crate) aws: Aws,
    pub(crate) database: DatabaseUrls,
    /// The two simulators.
    pub(crate) payments: String,
    pub(crate) shipping: String,
    /// The host that runs the functions, if it is not the emulator.
    functions: String,
    /// What the payments simulator has to sign with.
    payments_webhook_secret: &'static str,
    /// What lets the API believe for whom one asks.
    frontend_key: String,
    /// What lets the API believe that one comes through the CDN.
    origin_key: String,
    /// The frontend's processes, without the load balancer.
    pub(crate) frontends: [String; 2],
    pub(crate) logs: PathBuf,
    #[serde(flatten)]
    pub(crate) people: People,
}

#[derive(Debug, Serialize)]
pub(crate) struct Aws {
    pub(crate) endpoint: String,
    region: &'static str,
    user_pool_id: String,
    user_pool_client_id: String,
    /// What proves to Cognito that one is that client.
    user_pool_client_secret: String,
    catalogue_table: String,
    order_state_machine_arn: String,
    refund_state_machine_arn: String,
    parked_table: String,
    breaker_table: String,
    /// What the load balancer sends visitors to.
    frontend_target_group_arn: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct DatabaseUrls {
    pub(crate) primary: String,
    pub(crate) standby: String,
}

/// Whom the seed has signed up.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct People {
    /// One for each role.
    pub(crate) users: Vec<User>,
    /// More shoppers, for tests with many at once.
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
    /// Writes it for programs; it holds passwords.
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

/// The app client of the user pool, by which the frontend signs people in.
struct AppClient {
    id: String,
    secret: String,
}

/// A stack that is being started.
struct Stack<'a> {
    workspace: &'a Workspace,
    processes: &'a mut Processes,
    home: &'a Path,
    ports: Ports,
    tools: Tools,
}

/// Forgets all orders, accounts and products of the stack in `home`, which does not run.
pub(crate) fn reset(home: &Path) -> anyhow::Result<()> {
    for folder in DATA.map(|name| home.join(name)) {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

/// Starts a stack in `home` with nothing in it but the seed. The answer is the file that describes it.
pub(crate) fn start_afresh(
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

/// The program that measures PostgreSQL.
pub(crate) fn pgbench(workspace: &Workspace, processes: &Processes) -> anyhow::Result<PathBuf> {
    Ok(Tools::set_up(workspace, processes)?
        .postgres()?
        .join("pgbench"))
}

/// Keeps the database of the stack in `home` available: where the primary has died, the standby takes over, and
/// the dead one follows it from then on. Once for each stack.
pub(crate) fn keep_database(
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

/// Sets up what is missing, starts everything, and says where it is.
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
        let people = self.seed(&postgres, &emulator, &outputs)?;
        let api = format!(
            "{}/_aws/execute-api/{}",
            emulator.endpoint,
            outputs.get("ApiId")?
        );
        let site = self.site(&outputs)?;
        self.have_providers_tell(&api)?;
        let (pool, client) = (outputs.get("UserPoolId")?, outputs.get("UserPoolClientId")?);
        let app = AppClient {
            id: client.to_owned(),
            secret: emulator.app_client_secret(pool, client)?,
        };
        self.start_frontends(&emulator, &outputs, &api, &site, &frontend_key, &app)?;
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
            origin_key,
            frontends: self.ports.frontends.map(address),
            logs: self.home.join("logs"),
            site,
            api,
            people,
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
            // The simulators' search finds at once what was done, and nobody waits for minutes here.
            ("LookUpAfterSeconds", "5".to_owned()),
            // Less than after what the simulator forgets a key when a run orders it to.
            ("IdempotencyKeySeconds", "50".to_owned()),
            ("ReconcileAfterSeconds", "30".to_owned()),
            ("BreakerOpenSeconds", "2".to_owned()),
            // As many processes as a laptop bears.
            ("ProviderConcurrency", "16".to_owned()),
            // All shoppers come from one address, and share a few test cards.
            ("UnpaidUnitsLimit", "20000".to_owned()),
            ("UnpaidCentsLimit", "100000000".to_owned()),
            ("ConfirmSignUps", "at-once".to_owned()),
            // The seed's people sign in by password alone.
            ("RequireStaffTotp", "false".to_owned()),
            // All stories share the seed's one person of support.
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

    /// Runs the functions with the environment that the template gives them.
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

    /// The same, by our own host, as they are deployed.
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
            .wait_until("the functions' host", READY_WITHIN, || {
                std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            })
    }

    fn seed(
        &mut self,
        postgres: &Postgres,
        emulator: &Emulator,
        outputs: &Outputs,
    ) -> anyhow::Result<People> {
        let mut seed = Command::new(self.workspace.program("seed"));
        seed.env("DATABASE_URL", postgres.url(self.ports.primary))
            .env("CATALOGUE_TABLE", outputs.get("CatalogueTable")?)
            .env("USER_POOL_ID", outputs.get("UserPoolId")?)
            .envs(emulator.environment());
        step("seed data", || {
            let said = self.processes.output("seed", &mut seed)?;
            serde_json::from_str(&said).context("the seed program's answer cannot be read")
        })
    }

    /// Has the simulators tell the API of what happens, as is set up at the providers themselves.
    fn have_providers_tell(&self, api: &str) -> anyhow::Result<()> {
        let of = |provider| format!("{api}/v1/webhooks/{provider}");
        let payments = json!({ "url": of("payments"), "secret": WEBHOOK_SECRET });
        let shipping = json!({ "url": of("shipping") });
        for (port, webhooks) in [
            (self.ports.payments, payments),
            (self.ports.shipping, shipping),
        ] {
            ureq::put(format!("{}/_webhooks", address(port)))
                .header("Content-Type", "application/json")
                .send(webhooks.to_string())
                .context("a simulator's webhooks cannot be set up")?;
        }
        Ok(())
    }

    /// The shop's address: the distribution's name at the emulator.
    fn site(&self, outputs: &Outputs) -> anyhow::Result<String> {
        let host = outputs.get("SiteHost")?;
        let name = host.split('.').next().unwrap_or(host);
        Ok(format!(
            "http://{name}.cloudfront.localhost:{}",
            self.ports.emulator
        ))
    }

    fn start_frontends(
        &mut self,
        emulator: &Emulator,
        outputs: &Outputs,
        api: &str,
        site: &str,
        frontend_key: &str,
        app: &AppClient,
    ) -> anyhow::Result<()> {
        let secret = secret(&self.home.join("session-secret"))?;
        let ports = self.ports.frontends;
        step(
            "two frontends, behind the load balancer and the CDN",
            || {
                for (name, port) in FRONTENDS.into_iter().zip(ports) {
                    let mut node = Command::new("node");
                    node.arg("server.js")
                        .current_dir(self.workspace.root.join("frontend"))
                        .env("HOST", "127.0.0.1")
                        .env("PORT", port.to_string())
                        .env("ORIGIN", site)
                        .env("BODY_SIZE_LIMIT", "9M")
                        // All visitors of a laptop have one address.
                        .env("REQUESTS_PER_SECOND", "1000")
                        .env("REQUEST_BURST", "1000")
                        .env("SECURITY_CONTACT", "mailto:security@cauce.example")
                        // As in frontend/Dockerfile: the CDN's function writes it.
                        .env("ADDRESS_HEADER", "cauce-viewer-address")
                        .env("API_URL", api)
                        .env("FRONTEND_KEY", frontend_key)
                        .env("AWS_REGION", REGION)
                        .env("COGNITO_ENDPOINT", &emulator.endpoint)
                        .env("COGNITO_CLIENT_ID", &app.id)
                        .env("COGNITO_CLIENT_SECRET", &app.secret)
                        .env("SESSION_SECRET", &secret);
                    self.processes.start(name, node, Signal::TERM)?;
                    self.wait_for(&format!("{}/healthz", address(port)))?;
                }
                emulator.register_frontends(outputs.get("FrontendTargets")?, ports)
            },
        )
    }

    fn wait_for(&mut self, url: &str) -> anyhow::Result<()> {
        self.processes
            .wait_until(&format!("an answer of {url}"), READY_WITHIN, || {
                answers(url)
            })
    }
}

/// What the template gives the functions, all of it together: what has one name has one value.
fn functions_environment(emulator: &Emulator) -> anyhow::Result<BTreeMap<String, String>> {
    let mut environment = BTreeMap::new();
    for (function, _) in FUNCTIONS {
        environment.extend(emulator.function_environment(function)?);
    }
    Ok(environment)
}

/// Builds just what will be asked for next, so that cargo compiles no dependency twice: with hot
/// reload, what `cargo run` would build; for tests, those too; to measure, all but this program.
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

/// The secret that the file keeps, or a new one that it keeps from now on.
fn secret(file: &Path) -> anyhow::Result<String> {
    if let Ok(kept) = fs::read_to_string(file) {
        return Ok(kept);
    }
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let secret = format!("{:032x}", u128::from_ne_bytes(bytes));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| file.write_all(secret.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(secret)
}
