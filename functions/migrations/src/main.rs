//! The entry point of the migrations' Lambda, which migrates the database at each deployment. It
//! runs inside the VPC and is the only function that connects as the database's owner.

use std::sync::Arc;

use anyhow::Context;
use aws_config::SdkConfig;
use serde::Deserialize;
use serde_json::Value;
use settings::{Secrets, required};

/// Names the secret with which RDS Proxy logs in for the other functions. Not set without a proxy.
const APP_PASSWORD: &str = "APP_PASSWORD_ARN";

/// The secret of a database user in Secrets Manager.
#[derive(Deserialize)]
struct Credentials {
    password: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let aws = Arc::new(settings::aws().load().await);
    let url = Arc::new(required("DATABASE_URL")?);
    server::run(move |_: Value| {
        let (url, aws) = (Arc::clone(&url), Arc::clone(&aws));
        async move {
            migrate(&url, &aws)
                .await
                .map_err(|error| format!("{error:#}"))
        }
    })
    .await
}

async fn migrate(url: &str, aws: &SdkConfig) -> anyhow::Result<()> {
    store::migrate(url, aws).await?;
    if std::env::var_os(APP_PASSWORD).is_some() {
        let secret = Secrets::new(aws).required(APP_PASSWORD).await?;
        let credentials: Credentials =
            serde_json::from_str(&secret).context("the functions' password cannot be read")?;
        store::set_app_role_password(url, &credentials.password, aws).await?;
    }
    Ok(())
}
