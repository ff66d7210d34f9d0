//! The shipping service.

use clap::Parser;
use simulators::{Arguments, serve, shipping};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    serve("shipping", shipping, Arguments::parse()).await
}
