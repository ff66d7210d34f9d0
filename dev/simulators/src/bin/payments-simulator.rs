//! The payment service.

use clap::Parser;
use simulators::{Arguments, payments, serve};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    serve("payments", payments, Arguments::parse()).await
}
