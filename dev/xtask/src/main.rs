//! The project's own commands. `cargo xtask dev` runs the whole system on this machine;
//! `cargo xtask test` passes every test; `cargo xtask chaos` has everything fail for long;
//! `cargo xtask bench` measures; `cargo xtask screenshots` takes a picture of each page;
//! `cargo xtask sbom` lists what a release is made of; `cargo xtask deploy` deploys to AWS.

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
#[command(name = "cargo xtask", about = "The project's own commands.")]
enum Task {
    /// Runs the whole system on this machine, until Ctrl-C.
    Dev(dev::Options),
    /// Passes every test: checks, units, contracts, the whole system, a browser, a short chaos.
    Test(test::Options),
    /// Has orders flow while everything fails, and checks everybody's books in the end.
    Chaos(chaos::Options),
    /// Measures what the guard of the two providers costs, how parked orders drain, and what an order takes.
    Bench(bench::Options),
    /// Takes a picture of each page: phone and desk, light and dark.
    Screenshots(screenshots::Options),
    /// Writes what a release is made of, as `CycloneDX`.
    Sbom(sbom::Options),
    /// Builds everything and deploys it to AWS; with --dry-run, shows what that would change.
    Deploy(deploy::Options),
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
