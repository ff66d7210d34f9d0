//! `cargo xtask screenshots`: a picture of each page, of a stack that has nothing in it but the seed
//! and what the visitors do.

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
    /// The folder that they go to.
    #[arg(long, default_value = "target/screenshots")]
    out: PathBuf,
}

/// Starts a stack, and has visitors of each role take the pictures.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let _lock = workspace.lock("test")?;
    let home = workspace.dev("test");
    let mut processes = Processes::new(&home)?;
    let chromium = chromium::find_or_install(&processes).context(chromium::HOW_TO_GET_IT)?;
    npm_packages(&workspace, &processes, "tests/browser")?;
    let file = stack::start_afresh(&workspace, &mut processes, &home, Invoker::Emulator)?;
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
