//! Simulator of the payment provider.

use clap::Parser;
use simulators::{Arguments, PAYMENTS, serve};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    serve(PAYMENTS, Arguments::parse()).await
}
