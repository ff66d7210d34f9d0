//! The frontend's image, built for Fargate on Graviton and pushed to the registry.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::aws::{Aws, text};
use crate::process::Processes;

const PLATFORM: &str = "linux/arm64";

/// A message about the tool that is missing to build an image, if any.
pub(super) fn missing() -> Option<&'static str> {
    let works = |arguments: &[&str]| {
        let mut docker = Command::new("docker");
        let output = docker.args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !works(&["version"]) {
        return Some(
            "Docker, which builds the frontend's image, is not installed or not running: see https://docs.docker.com/get-started/get-docker/, or give --frontend-image",
        );
    }
    (!works(&["buildx", "version"])).then_some(
        "Docker's buildx is missing: see https://docs.docker.com/build/install-buildx/, or give --frontend-image",
    )
}

/// Builds and pushes the image. Returns its URI with the digest, which no later push changes.
pub(super) fn build_and_push(
    aws: &Aws,
    processes: &Processes,
    repository: &str,
) -> anyhow::Result<String> {
    sign_in(aws, repository)?;
    let metadata = processes.log("docker-build").with_extension("json");
    let mut build = Command::new("docker");
    build
        .args(["buildx", "build", "--platform", PLATFORM, "--push"])
        .args(["--provenance=false", "--progress=plain"])
        .args(["--tag", &format!("{repository}:{}", tag()?)])
        .arg("--metadata-file")
        .arg(&metadata)
        .arg(aws.workspace.root.join("frontend"));
    processes.run("docker-build", &mut build).context(
        "the frontend's image could not be built and pushed; if this machine is not arm64, run once: docker run --privileged --rm tonistiigi/binfmt --install arm64",
    )?;
    let metadata: Value = serde_json::from_str(&fs::read_to_string(&metadata)?)?;
    let digest = text(&metadata, "containerimage.digest")?;
    Ok(format!("{repository}@{digest}"))
}

/// Signs Docker in to the registry. The token expires after some hours.
fn sign_in(aws: &Aws, repository: &str) -> anyhow::Result<()> {
    let answer = aws.call("ecr", "get_authorization_token", &json!({}))?;
    let password = password(&answer).context("cannot decode the registry's token")?;
    let host = repository.split('/').next().unwrap_or(repository);
    let mut login = Command::new("docker");
    let mut login = login
        .args(["login", "--username", "AWS", "--password-stdin", host])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run docker")?;
    if let Some(mut stdin) = login.stdin.take() {
        stdin.write_all(password.as_bytes())?;
    }
    let output = login.wait_with_output()?;
    ensure!(
        output.status.success(),
        "docker cannot sign in to {host}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// The password in the registry's token, which is `AWS:<password>`.
fn password(answer: &Value) -> Option<String> {
    let token = answer["authorizationData"][0]["authorizationToken"].as_str()?;
    let token = String::from_utf8(BASE64_STANDARD.decode(token).ok()?).ok()?;
    Some(token.split_once(':')?.1.to_owned())
}

/// A new tag. Tags sort by time.
fn tag() -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(now.as_secs().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_s_password_is_in_its_token() {
        let token = BASE64_STANDARD.encode("AWS:a:b");
        let answer = json!({ "authorizationData": [{ "authorizationToken": token }] });
        assert_eq!(password(&answer).as_deref(), Some("a:b"));
        assert_eq!(password(&json!({ "authorizationData": [] })), None);
    }
}
