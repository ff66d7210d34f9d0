//! `cargo xtask screenshots`: takes a screenshot of each page, on a new stack with the seed data.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::{
    chromium, prerequisites,
    process::Processes,
    progress::step,
    stack::{self, Invoker},
    tools::{npm, npm_packages},
    workspace::Workspace,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The output folder.
    #[arg(long, default_value = "target/screenshots")]
    out: PathBuf,
}

/// Starts a stack and takes the screenshots as visitors of each role.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let _lock = workspace.lock("test")?;
    let home = workspace.dev("test");
    let mut processes = Processes::new(&home)?;
    let chromium = chromium::find_or_install(&processes).context(chromium::HOW_TO_INSTALL)?;
    npm_packages(&workspace, &processes, "tests/browser")?;
    let file = stack::start_empty(&workspace, &mut processes, &home, Invoker::Emulator)?;
    let folder = workspace.root.join(&options.out);
    let mut visits = npm(&workspace, "tests/browser");
    visits
        .args(["run", "screenshots"])
        .env("CAUCE_STACK", &file)
        .env("CAUCE_SCREENSHOTS", &folder)
        .env("CHROMIUM", chromium);
    step("screenshots", || processes.run("screenshots", &mut visits))?;
    processes.stop();
    println!("\n{}", folder.display());
    Ok(())
}
