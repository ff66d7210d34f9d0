//! The entry point of the Lambda for Cognito's triggers: builds the client once, then runs.

use std::time::Duration;

use anyhow::bail;
use auth_hooks::{Hooks, TriggerEvent};
use aws_config::timeout::TimeoutConfig;
use lambda_runtime::{LambdaEvent, service_fn};

/// The timeout of a call to Cognito, which itself waits five seconds for the trigger.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let aws = settings::aws().timeout_config(timeouts).load().await;
    let hooks = Hooks {
        cognito: aws_sdk_cognitoidentityprovider::Client::new(&aws),
        auto_confirm: is_set("AUTO_CONFIRM")?,
        require_staff_totp: is_set("REQUIRE_STAFF_TOTP")?,
    };
    let handler =
        service_fn(async |event: LambdaEvent<TriggerEvent>| hooks.handle(event.payload).await);
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
}

/// Whether the environment variable is `true`.
fn is_set(name: &str) -> anyhow::Result<bool> {
    match std::env::var(name).as_deref() {
        Ok("true") => Ok(true),
        Ok("false") | Err(_) => Ok(false),
        Ok(_) => bail!("the environment variable {name} must be true or false"),
    }
}
