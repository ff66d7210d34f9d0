//! Audits of the locked dependencies: licences, sources and known vulnerabilities.

use std::process::Command;

use crate::workspace::{Workspace, cargo};

/// The folders with a lock file of npm.
const NPM_FOLDERS: [&str; 4] = [
    "dev/bench/handlers/node",
    "frontend",
    "tests/browser",
    "tests/contract",
];

/// The lock files of pip.
const PIP_LOCKFILES: [&str; 3] = [
    "dev/bench/handlers/python/requirements.txt",
    "dev/xtask/requirements.txt",
    "tests/templates/requirements.txt",
];

/// An audit program, and how to tell that it could not run.
pub(super) struct Audit {
    pub(super) name: String,
    pub(super) command: Command,
    /// Prints the program's version: fails if it is not installed.
    version: Command,
    how_to_install: &'static str,
    /// The texts that it prints if it cannot reach its database.
    unreachable: &'static [&'static str],
}

impl Audit {
    /// How to install the program, if it is missing.
    pub(super) fn missing(&mut self) -> Option<&'static str> {
        let works = self.version.output().is_ok_and(|it| it.status.success());
        (!works).then_some(self.how_to_install)
    }

    /// Whether a run failed only because it could not reach its database.
    pub(super) fn is_database_unreachable(&self, output: &str) -> bool {
        self.unreachable.iter().any(|text| output.contains(text))
    }
}

/// All audits of the checkout.
pub(super) fn all(workspace: &Workspace) -> Vec<Audit> {
    let npm = NPM_FOLDERS.iter().map(|folder| npm(workspace, folder));
    let pip = PIP_LOCKFILES.iter().map(|file| pip(workspace, file));
    let crates = [
        deny(workspace, "crates", &["licenses", "bans", "sources"]),
        deny(workspace, "crates-advisories", &["advisories"]),
    ];
    crates.into_iter().chain(npm).chain(pip).collect()
}

fn deny(workspace: &Workspace, name: &str, checks: &[&str]) -> Audit {
    let mut command = cargo();
    command
        .args(["deny", "--locked", "check"])
        .args(checks)
        .current_dir(&workspace.root);
    let mut version = cargo();
    version.args(["deny", "--version"]);
    Audit {
        name: format!("audit-{name}"),
        command,
        version,
        how_to_install: "cargo-deny is not installed: cargo install --locked cargo-deny",
        unreachable: &["failed to fetch advisory database"],
    }
}

fn npm(workspace: &Workspace, folder: &str) -> Audit {
    let mut command = Command::new("npm");
    command
        .args(["audit", "--package-lock-only", "--audit-level=high"])
        .current_dir(workspace.root.join(folder));
    let mut version = Command::new("npm");
    version.arg("--version");
    Audit {
        name: format!("audit-npm-{}", folder.replace('/', "-")),
        command,
        version,
        how_to_install: "npm is not installed",
        unreachable: &["audit endpoint returned an error"],
    }
}

fn pip(workspace: &Workspace, file: &str) -> Audit {
    let mut command = Command::new("pip-audit");
    command
        .args(["--disable-pip", "--require-hashes", "--requirement", file])
        .current_dir(&workspace.root);
    let mut version = Command::new("pip-audit");
    version.arg("--version");
    let folder = file.trim_end_matches("/requirements.txt");
    Audit {
        name: format!("audit-pip-{}", folder.replace('/', "-")),
        command,
        version,
        how_to_install: "pip-audit is not installed: pipx install pip-audit",
        unreachable: &["ConnectionError", "HTTPError", "ServiceError"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_database_is_not_a_finding() -> anyhow::Result<()> {
        let npm = npm(&Workspace::find()?, "frontend");
        assert!(npm.is_database_unreachable("npm error audit endpoint returned an error"));
        assert!(!npm.is_database_unreachable("2 high severity vulnerabilities"));
        Ok(())
    }

    #[test]
    fn every_lockfile_is_audited() -> anyhow::Result<()> {
        let workspace = Workspace::find()?;
        for folder in NPM_FOLDERS {
            let lockfile = workspace.root.join(folder).join("package-lock.json");
            assert!(lockfile.exists(), "{}", lockfile.display());
        }
        for file in PIP_LOCKFILES {
            assert!(workspace.root.join(file).exists(), "{file}");
        }
        Ok(())
    }
}
