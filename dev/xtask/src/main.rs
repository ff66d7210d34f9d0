//! The project's commands:
//!
//! - `cargo xtask dev` runs the whole system on this machine.
//! - `cargo xtask test` runs every check and test.
//! - `cargo xtask chaos` runs a longer chaos test.
//! - `cargo xtask bench` measures performance and costs.
//! - `cargo xtask screenshots` takes a screenshot of each page.
//! - `cargo xtask sbom` writes the software bill of materials.
//! - `cargo xtask deploy` deploys to AWS.
//! - `cargo xtask admin create` makes a person an administrator of a shop.

mod admin;
mod aws;
mod bench;
mod chaos;
mod chromium;
mod deploy;
mod dev;
mod excerpt;
mod prerequisites;
mod process;
mod progress;
mod sbom;
mod screenshots;
mod stack;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's commands.")]
enum Task {
    /// Runs the whole system on this machine, until Ctrl-C.
    Dev(dev::Options),
    /// Runs every check and test: lints, unit, contract, system, browser and short chaos tests.
    Test(test::Options),
    /// Places orders while everything fails, then checks that all records agree.
    Chaos(chaos::Options),
    /// Measures throughput, latency, cold starts and the cost of an order.
    Bench(bench::Options),
    /// Takes a screenshot of each page: phone and desktop, light and dark.
    Screenshots(screenshots::Options),
    /// Writes the software bill of materials of a release, as `CycloneDX`.
    Sbom(sbom::Options),
    /// Builds everything and deploys it to AWS; with --dry-run, shows what would change.
    Deploy(deploy::Options),
    /// Manages the administrators of a shop, on this machine or at AWS.
    #[command(subcommand)]
    Admin(admin::Task),
}

fn main() -> ExitCode {
    let task = Task::parse();
    let result = process::listen_for_interrupts().and_then(|()| match &task {
        Task::Dev(options) => dev::run(options),
        Task::Test(options) => test::run(options),
        Task::Chaos(options) => chaos::run(options),
        Task::Bench(options) => bench::run(options),
        Task::Screenshots(options) => screenshots::run(options),
        Task::Sbom(options) => sbom::run(options),
        Task::Deploy(options) => deploy::run(options),
        Task::Admin(task) => admin::run(task),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if process::interrupted() => ExitCode::from(130),
        Err(error) => {
            eprintln!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}
