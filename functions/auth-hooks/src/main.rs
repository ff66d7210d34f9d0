//! The entry point of the Lambda behind Cognito's triggers: builds the client once, and runs.

use std::time::Duration;

use anyhow::bail;
use auth_hooks::{Event, Hooks};
use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use lambda_runtime::{LambdaEvent, service_fn};

/// How long a call of ours may take: Cognito itself waits five seconds for a trigger.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    telemetry::init();
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let aws = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .load()
        .await;
    let hooks = Hooks {
        cognito: aws_sdk_cognitoidentityprovider::Client::new(&aws),
        auto_confirm: auto_confirm()?,
    };
    let handler = service_fn(async |event: LambdaEvent<Event>| hooks.handle(event.payload).await);
    lambda_runtime::run(handler)
        .await
        .map_err(anyhow::Error::from_boxed)
}

/// Whether who signs up is confirmed without a code, for stacks that send no mail.
fn auto_confirm() -> anyhow::Result<bool> {
    match std::env::var("AUTO_CONFIRM").as_deref() {
        Ok("true") => Ok(true),
        Ok("false") | Err(_) => Ok(false),
        Ok(_) => bail!("the environment variable AUTO_CONFIRM must be true or false"),
    }
}
