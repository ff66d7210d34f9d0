//! Simulator of the shipping provider.

use clap::Parser;
use simulators::{Arguments, SHIPPING, serve};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    serve(SHIPPING, Arguments::parse()).await
}
