//! `cargo xtask test`: runs every check and test, and prints the counts at the end.

mod audit;
mod second_dynamodb;
mod tally;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::bail;
use clap::{Args, ValueEnum};

use self::{audit::Audit, second_dynamodb::SecondDynamoDb, tally::Tally};
use crate::{
    chaos, chromium, prerequisites,
    process::{self, Processes},
    progress::step,
    sbom,
    stack::{self, Invoker},
    tools::{Python, Tools, npm, npm_packages},
    workspace::{Workspace, cargo},
};

/// The templates with SAM resources.
const SAM_TEMPLATES: [&str; 4] = [
    "template.yaml",
    "infra/api.yaml",
    "infra/auth.yaml",
    "infra/orchestration.yaml",
];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The parts to run; all by default.
    parts: Vec<Part>,
}

/// A part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Format and lints of the Rust code, and the package of the published crate.
    Lint,
    /// The deployment's templates, and the database migrations.
    Templates,
    /// Known vulnerabilities of all locked dependencies, if their databases can be reached.
    SupplyChain,
    /// The frontend's types, lints and unit tests.
    Frontend,
    /// Rust's unit tests, and system tests end to end.
    System,
    /// The simulators against the providers' official clients; the state machines.
    Contract,
    /// The whole system in a browser.
    Browser,
    /// The whole system while everything fails, for some minutes.
    Chaos,
}

/// A run of the tests, with its results so far.
struct Run<'a> {
    workspace: &'a Workspace,
    processes: Processes,
    home: PathBuf,
    tally: Tally,
    failures: Vec<String>,
}

/// Runs the selected parts. If one fails, the others still run.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let _lock = workspace.lock("test")?;
    let home = workspace.dev("test");
    let mut run = Run {
        processes: Processes::new(&home)?,
        workspace: &workspace,
        home,
        tally: Tally::default(),
        failures: Vec::new(),
    };
    let is_selected = |part| options.parts.is_empty() || options.parts.contains(&part);
    if is_selected(Part::Lint) {
        run.lint()?;
    }
    if is_selected(Part::Templates) {
        run.templates()?;
    }
    if is_selected(Part::SupplyChain) {
        run.supply_chain()?;
    }
    if is_selected(Part::Frontend) {
        run.frontend()?;
    }
    let whole = [Part::System, Part::Browser, Part::Chaos];
    let whole: Vec<Part> = whole
        .into_iter()
        .filter(|part| is_selected(*part))
        .collect();
    if !whole.is_empty() {
        run.system(&whole)?;
    }
    if is_selected(Part::Contract) {
        run.contract()?;
    }
    run.report()
}

impl Run<'_> {
    fn lint(&mut self) -> anyhow::Result<()> {
        let mut format = self.cargo(&["fmt", "--all", "--check"]);
        self.check("format", &mut format)?;
        let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--"];
        let mut clippy = self.cargo(&clippy);
        self.check("clippy", clippy.args(["--deny", "warnings"]))?;
        // --no-verify: clippy and the tests compile the same source.
        let package = ["package", "--package", "cauce-breaker", "--no-verify"];
        let mut package = self.cargo(&package);
        package.args(["--locked", "--offline", "--allow-dirty"]);
        self.check("package", &mut package)
    }

    fn templates(&mut self) -> anyhow::Result<()> {
        let tools = Tools::set_up(self.workspace, &self.processes)?;
        for template in SAM_TEMPLATES {
            let mut sam = tools.sam(self.workspace);
            sam.args(["validate", "--lint", "--template", template])
                .args(["--region", stack::REGION]);
            self.check("sam-validate", &mut sam)?;
        }
        let checks = Python::for_checks(self.workspace, &self.processes)?;
        let mut pytest = checks.pytest(self.workspace, "tests/templates");
        self.tests("template-checks", &mut pytest)?;
        let mut squawk = checks.squawk(self.workspace);
        self.check("migrations", &mut squawk)
    }

    fn supply_chain(&mut self) -> anyhow::Result<()> {
        let mut audits = audit::all(self.workspace);
        audits.iter_mut().try_for_each(|audit| self.audit(audit))?;
        let sbom = step("sbom", || sbom::write(self.workspace, &self.processes));
        let files = match sbom {
            Ok(files) => files,
            Err(error) => return self.count_check("sbom", Err(error)),
        };
        let checks = Python::for_checks(self.workspace, &self.processes)?;
        let mut validate = checks.program("python");
        validate
            .arg(self.workspace.root.join("tests/templates/valid_sbom.py"))
            .args(files);
        self.check("sbom-validate", &mut validate)
    }

    /// Runs an audit. Skips it, with the reason, if it cannot reach its database.
    fn audit(&mut self, audit: &mut Audit) -> anyhow::Result<()> {
        let name = audit.name.clone();
        if let Some(how_to_install) = audit.missing() {
            self.skip(&name, how_to_install);
            return Ok(());
        }
        let result = self.processes.run(&name, &mut audit.command);
        let output = fs::read_to_string(self.processes.log(&name))?;
        if result.is_err() && audit.is_database_unreachable(&output) {
            self.skip(&name, "its vulnerability database cannot be reached");
            return Ok(());
        }
        let result = step(&name, || result);
        self.count_check(&name, result)
    }

    /// Counts a check as skipped and prints the reason.
    fn skip(&mut self, name: &str, reason: &str) {
        eprintln!("          {name} skipped: {reason}");
        self.tally.skipped += 1;
    }

    fn frontend(&mut self) -> anyhow::Result<()> {
        npm_packages(self.workspace, &self.processes, "frontend")?;
        let mut check = npm(self.workspace, "frontend");
        self.check("frontend-check", check.args(["run", "check"]))?;
        let mut test = npm(self.workspace, "frontend");
        self.tests("frontend-test", test.arg("test"))
    }

    /// Starts a stack that contains only the seed data, and tests it.
    fn system(&mut self, parts: &[Part]) -> anyhow::Result<()> {
        let started = stack::start_empty(
            self.workspace,
            &mut self.processes,
            &self.home,
            Invoker::Emulator,
        );
        let file = match started {
            Ok(file) => file,
            Err(error) => return self.failed("stack", &error),
        };
        if parts.contains(&Part::System) {
            let second = SecondDynamoDb::start(self.workspace, &mut self.processes)?;
            let mut test = self.cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
            test.env("CAUCE_STACK", &file)
                .env("CAUCE_SECOND_DYNAMODB", second.endpoint);
            self.tests("cargo-test", &mut test)?;
            self.cloud(&file)?;
        }
        if parts.contains(&Part::Browser) {
            self.browser(&file)?;
        }
        if parts.contains(&Part::Chaos) {
            self.chaos("failover", &file, &chaos::Options::FAILOVER)?;
            self.chaos("chaos", &file, &chaos::Options::SHORT)?;
        }
        self.processes.stop();
        Ok(())
    }

    /// Checks the emulated cloud after the system tests: that every permission was used, and that
    /// alarms fire.
    fn cloud(&mut self, stack: &Path) -> anyhow::Result<()> {
        let checks = Python::for_checks(self.workspace, &self.processes)?;
        let mut pytest = checks.pytest(self.workspace, "tests/cloud");
        self.tests("cloud", pytest.env("CAUCE_STACK", stack))
    }

    fn browser(&mut self, stack: &PathBuf) -> anyhow::Result<()> {
        let Some(chromium) = chromium::find_or_install(&self.processes) else {
            self.skip("browser-test", chromium::HOW_TO_INSTALL);
            return Ok(());
        };
        npm_packages(self.workspace, &self.processes, "tests/browser")?;
        let mut test = npm(self.workspace, "tests/browser");
        test.arg("test")
            .env("CAUCE_STACK", stack)
            .env("CHROMIUM", chromium);
        self.tests_restarting("browser-test", &mut test, &stack::FRONTENDS)
    }

    /// Runs a chaos test. It must be the last to use a stack: the programs that it restarts forget
    /// their sessions.
    fn chaos(&mut self, name: &str, stack: &Path, options: &chaos::Options) -> anyhow::Result<()> {
        let log = self.processes.open_log(name)?;
        let result = step(name, || {
            let (workspace, home) = (self.workspace, &self.home);
            chaos::drive(
                workspace,
                &mut self.processes,
                home,
                stack,
                options,
                log.into(),
            )
        });
        self.print_measurements(name)?;
        self.count_check(name, result)
    }

    /// Prints the measurements in the log of a chaos test.
    fn print_measurements(&self, name: &str) -> anyhow::Result<()> {
        let log = fs::read_to_string(self.processes.log(name))?;
        let measured = log
            .lines()
            .filter(|line| line.contains("without an accepted order"));
        measured.for_each(|line| eprintln!("          {line}"));
        Ok(())
    }

    fn contract(&mut self) -> anyhow::Result<()> {
        let mut build = self.cargo(&["build", "--workspace", "--all-targets", "--locked"]);
        self.check("build", &mut build)?;
        npm_packages(self.workspace, &self.processes, "tests/contract")?;
        let mut test = npm(self.workspace, "tests/contract");
        test.arg("test");
        for name in ["payments", "shipping"] {
            let program = self.workspace.program(&format!("{name}-simulator"));
            test.env(format!("{}_SIMULATOR", name.to_uppercase()), program);
        }
        self.tests("contract-test", &mut test)
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = cargo();
        cargo.args(arguments).current_dir(&self.workspace.root);
        cargo
    }

    /// Runs a program that counts as one check.
    fn check(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        let result = step(name, || self.processes.run(name, command));
        self.count_check(name, result)
    }

    fn count_check(&mut self, name: &str, result: anyhow::Result<()>) -> anyhow::Result<()> {
        match result {
            Ok(()) => self.tally.passed += 1,
            Err(error) => {
                self.tally.failed += 1;
                return self.failed(name, &error);
            }
        }
        Ok(())
    }

    /// Runs a test program, and counts its tests.
    fn tests(&mut self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.tests_restarting(name, command, &[])
    }

    /// Like [`Run::tests`], for tests that kill programs of the stack. Those in `restartable` are
    /// started again.
    fn tests_restarting(
        &mut self,
        name: &str,
        command: &mut Command,
        restartable: &[&str],
    ) -> anyhow::Result<()> {
        command.env("NO_COLOR", "1").env_remove("FORCE_COLOR");
        let log = self.processes.open_log(name)?;
        command.stdout(log);
        let result = step(name, || {
            self.processes.run_restarting(name, command, restartable)
        });
        let tally = Tally::read(&fs::read_to_string(self.processes.log(name))?);
        eprintln!("          {tally}");
        self.tally += tally;
        match result {
            Ok(()) if tally.passed == 0 => {
                self.failed(name, &anyhow::anyhow!("{name} ran no test"))
            }
            Ok(()) => Ok(()),
            Err(error) => self.failed(name, &error),
        }
    }

    /// Records a failure, so that the other parts still run. Returns an error on an interrupt.
    fn failed(&mut self, name: &str, error: &anyhow::Error) -> anyhow::Result<()> {
        if process::interrupted() {
            bail!("stopped");
        }
        eprintln!("\n{error:#}\n");
        self.failures.push(name.to_owned());
        Ok(())
    }

    fn report(self) -> anyhow::Result<()> {
        println!("\ntotal: {}", self.tally);
        if self.failures.is_empty() && self.tally.failed == 0 {
            return Ok(());
        }
        bail!("failed: {}", self.failures.join(", "))
    }
}
