//! Fills a new stack on a laptop: catalogue, stock, and users with public passwords. It is safe to
//! run again: existing data is not changed.

mod emulator;
mod shop;
mod users;
mod vocabulary;

use std::time::Instant;

use anyhow::Context;
use aws_config::BehaviorVersion;
use clap::Parser;
use serde::Serialize;
use store::{Database, catalogue::Catalogue};

use self::{
    emulator::{Emulator, NotLocal},
    shop::Shop,
    users::{UserPool, Users},
};

/// Fills a new stack on a laptop. Prints the users and their passwords as JSON.
#[derive(Parser)]
struct Cli {
    /// The URL of the database.
    #[arg(long, env, hide_env_values = true)]
    database_url: String,
    /// The table of products and categories.
    #[arg(long, env)]
    catalogue_table: Option<String>,
    /// The id of the user pool.
    #[arg(long, env)]
    user_pool_id: Option<String>,
    /// The URL of the AWS emulator, on this machine.
    #[arg(long, env)]
    aws_endpoint_url: Option<Emulator>,
}

/// The parts of the stack that are filled.
struct Stack {
    database: Database,
    catalogue: Catalogue,
    user_pool: UserPool,
}

#[derive(Serialize)]
struct Summary {
    #[serde(flatten)]
    users: Users,
    products: usize,
    categories: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let summary = Stack::connect(&cli).await?.fill().await?;
    println!("{}", serde_json::to_string(&summary)?);
    Ok(())
}

impl Stack {
    async fn connect(cli: &Cli) -> anyhow::Result<Self> {
        let emulator = cli.aws_endpoint_url.as_ref().ok_or(NotLocal);
        let emulator = emulator.context("the environment variable AWS_ENDPOINT_URL is missing")?;
        let table = required(cli.catalogue_table.clone(), "CATALOGUE_TABLE")?;
        let user_pool = required(cli.user_pool_id.clone(), "USER_POOL_ID")?;
        let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
        // Set the endpoint on each client: otherwise a service-specific variable or a profile would
        // take precedence.
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&aws)
            .endpoint_url(emulator.url())
            .build();
        let cognito = aws_sdk_cognitoidentityprovider::config::Builder::from(&aws)
            .endpoint_url(emulator.url())
            .build();
        Ok(Self {
            database: Database::new(&cli.database_url, 1, &aws)?,
            catalogue: Catalogue::new(aws_sdk_dynamodb::Client::from_conf(dynamodb), table),
            user_pool: UserPool {
                client: aws_sdk_cognitoidentityprovider::Client::from_conf(cognito),
                id: user_pool,
            },
        })
    }

    async fn fill(&self) -> anyhow::Result<Summary> {
        let shop = Shop::generate()?;
        let users = Users::new();
        step("catalogue", async {
            self.catalogue.put_categories(&shop.categories).await?;
            self.catalogue.add_products(&shop.products).await
        })
        .await?;
        step("stock", self.database.stock().add(&shop.stock)).await?;
        step("users", self.user_pool.add(&users)).await?;
        Ok(Summary {
            users,
            products: shop.products.len(),
            categories: shop.categories.len(),
        })
    }
}

fn required<T>(value: Option<T>, name: &str) -> anyhow::Result<T> {
    value.with_context(|| format!("the environment variable {name} is missing"))
}

/// Runs `work` and prints to standard error how long it took.
async fn step<T, E>(name: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let start = Instant::now();
    let result = work.await?;
    eprintln!("seed: {name} ({:.1} s)", start.elapsed().as_secs_f64());
    Ok(result)
}
