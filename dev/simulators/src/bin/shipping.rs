//! The shipping simulator's program: flags in, server up, nothing else.

use clap::Parser;
use simulators::{
    server::{self, Desk, Settings},
    shipping,
};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    server: Settings,
    #[command(flatten)]
    rules: shipping::Rules,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    server::log(&flags.server)?;
    let desk = Desk::open(&flags.server.data)?;
    let routes = shipping::routes(desk, flags.rules);
    server::run("shipping", &flags.server, routes).await
}
