//! The payments simulator's program: flags in, server up, nothing else.

use clap::Parser;
use simulators::{
    payments,
    server::{self, Desk, Settings},
};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    server: Settings,
    #[command(flatten)]
    rules: payments::Rules,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    server::log(&flags.server)?;
    let desk = Desk::open(&flags.server.data)?;
    let routes = payments::routes(desk, flags.rules);
    server::run("payments", &flags.server, routes).await
}
