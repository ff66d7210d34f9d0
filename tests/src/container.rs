//! A function's program as it runs in a container: with the environment of the Lambda function, and
//! over plain HTTP.

use std::{env, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use signature::{ACCESS_KEY, REGION};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::Stack;

/// A running program. It ends when this is dropped.
#[derive(Debug)]
pub struct Container {
    /// Its address, without a slash at the end.
    pub url: String,
    process: Child,
}

impl Container {
    /// Starts the program of a function, and waits until it listens.
    pub async fn start(stack: &Stack, function: &str, more: &[(&str, &str)]) -> Self {
        let programs = env::current_exe().expect("a test should know its file");
        let programs = programs.ancestors().nth(2).expect("it should be in target");
        let mut process = Command::new(programs.join(function))
            .envs(stack.environment_of(function).await)
            .envs(more.iter().copied())
            .env("AWS_ENDPOINT_URL", &stack.aws.endpoint)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY.0)
            .env("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.1)
            .env("LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{function} cannot be started: {error}"));
        let output = process.stdout.take().expect("its output should be piped");
        let mut lines = BufReader::new(output).lines();
        let address = loop {
            let line = lines.next_line().await.expect("its log should be text");
            let line = line.unwrap_or_else(|| panic!("{function} ended without listening"));
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"] == "server.listens" {
                break event["address"].as_str().unwrap_or_default().to_owned();
            }
        };
        // A program blocks once its output is no longer read.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            url: format!("http://{address}"),
            process,
        }
    }

    /// Starts the API, which verifies the access tokens of the stack's user pool itself.
    pub async fn api(stack: &Stack) -> Self {
        let (pool, endpoint) = (&stack.aws.user_pool_id, &stack.aws.endpoint);
        let issuer = format!("https://cognito-idp.us-east-1.amazonaws.com/{pool}");
        let keys = format!("{endpoint}/{pool}/.well-known/jwks.json");
        let tokens = [
            ("TOKEN_ISSUER", issuer.as_str()),
            ("TOKEN_KEYS_URL", &keys),
            ("TOKEN_CLIENT", &stack.aws.user_pool_client_id),
        ];
        Self::start(stack, "api", &tokens).await
    }

    /// Sends the program SIGTERM, as an orchestrator does, and waits until it has ended.
    pub async fn stop(mut self) {
        let id = self.process.id().and_then(|id| id.try_into().ok());
        let id = id.and_then(Pid::from_raw).expect("it should run");
        kill_process(id, Signal::TERM).expect("the signal should be sent");
        let status = self.process.wait().await.expect("it should end");
        assert!(status.success(), "{status}");
    }
}
