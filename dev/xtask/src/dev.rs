//! `cargo xtask dev`: runs the whole system until Ctrl-C.

use std::{env, fs, process::Command};

use clap::Args;

use crate::{
    prerequisites,
    process::Processes,
    stack::{self, Description, Invoker},
    workspace::Workspace,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Delete all data first: start with the seed data only.
    #[arg(long)]
    reset: bool,
    /// Do not open a browser. Scripts read the addresses from .dev/stack.json.
    #[arg(long)]
    headless: bool,
}

/// Starts everything, prints the addresses, and runs until it is stopped.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    prerequisites::check()?;
    let workspace = Workspace::find()?;
    let home = workspace.dev("dev");
    let _lock = workspace.lock("dev")?;
    let mut processes = Processes::new(&home)?;
    if options.reset {
        stack::reset(&home)?;
    }
    let description = stack::start(&workspace, &mut processes, &home, Invoker::HotReload)?;
    let file = workspace.dev("stack.json");
    description.write(&file)?;
    println!("{}", table(&description));
    if !options.headless {
        open(&description.site);
    }
    let result = processes.watch();
    eprintln!("\nstopping …");
    processes.stop();
    fs::remove_file(&file)?;
    result
}

fn table(description: &Description) -> String {
    let Description {
        site,
        aws,
        database,
        payments,
        shipping,
        logs,
        accounts,
        ..
    } = description;
    let mut lines = vec![
        String::new(),
        format!("  shop                 {site}"),
        format!("  API                  {site}/api"),
        format!("  API document         {site}/api/openapi.json"),
        format!("  payments simulator   {payments}/_ledger"),
        format!("  shipping simulator   {shipping}/_ledger"),
        format!("  AWS emulator         {}", aws.endpoint),
        format!("  PostgreSQL primary   {}", database.primary),
        format!("  PostgreSQL standby   {}", database.standby),
        format!("  logs                 {}", logs.display()),
        String::new(),
        format!("  {:<20} {:<34} password", "sign in as", "e-mail"),
    ];
    lines.extend(
        accounts
            .users
            .iter()
            .map(|user| format!("  {:<20} {:<34} {}", user.role, user.email, user.password)),
    );
    lines.push(String::new());
    lines.push("  Press Ctrl-C to stop everything.".to_owned());
    lines.join("\n")
}

/// Opens the shop in a browser, if there is a screen. Ignores errors.
fn open(site: &str) {
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some());
    let program = match env::consts::OS {
        "macos" => "open",
        _ if has_screen => "xdg-open",
        _ => return,
    };
    _ = Command::new(program).arg(site).spawn();
}
