//! Whether what was deployed answers, the way a visitor comes: through the CDN.

use std::{
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rustls::crypto::aws_lc_rs;
use serde_json::Value;
use ureq::{
    Agent,
    tls::{TlsConfig, TlsProvider},
};

use crate::process::interrupted;

/// How long a new address may take until it is known everywhere.
const ANSWERS_WITHIN: Duration = Duration::from_mins(5);

/// How often it is tried, and how long one answer may take.
const POLL: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// What is asked of the frontend.
const PAGES: [&str; 1] = ["/healthz"];

/// What is asked of the API, and whether it answers in JSON: only then has the CDN found it.
const API: [(&str, bool); 3] = [
    ("/api/healthz", false),
    ("/api/readyz", true),
    ("/api/v1/categories", true),
];

/// The shop's address.
pub(super) struct Site {
    /// What a person enters.
    pub(super) url: String,
    /// Where the emulator answers for it, if there is one.
    emulator: Option<String>,
    http: Agent,
}

impl Site {
    pub(super) fn new(host: &str, emulator: Option<String>) -> Self {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let http = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(ANSWER_WITHIN))
            .build()
            .new_agent();
        Self {
            url: url(host, emulator.as_deref()),
            emulator,
            http,
        }
    }

    /// Waits until everything answers. No frontend runs behind an emulator.
    pub(super) fn answers(&self) -> anyhow::Result<()> {
        let pages = PAGES.map(|path| (path, false));
        let pages = pages.into_iter().filter(|_| self.emulator.is_none());
        let deadline = Instant::now() + ANSWERS_WITHIN;
        for (path, json) in pages.chain(API) {
            while let Err(error) = self.asks(path, json) {
                ensure!(!interrupted(), "stopped");
                if Instant::now() > deadline {
                    return Err(error.context(format!("{}{path} does not answer", self.url)));
                }
                sleep(POLL);
            }
        }
        Ok(())
    }

    fn asks(&self, path: &str, json: bool) -> anyhow::Result<()> {
        // The emulator knows its sites by the name that is asked for, which not every resolver knows.
        let base = self.emulator.as_deref().unwrap_or(&self.url);
        let mut request = self.http.get(format!("{base}{path}"));
        if self.emulator.is_some() {
            let host = self.url.split("://").nth(1).unwrap_or(&self.url);
            request = request.header("Host", host);
        }
        let text = request.call()?.body_mut().read_to_string()?;
        if json {
            serde_json::from_str::<Value>(&text).context("the answer is not the API's")?;
        }
        Ok(())
    }
}

/// The address of a host; a distribution's name at the emulator is another.
fn url(host: &str, emulator: Option<&str>) -> String {
    let Some(emulator) = emulator else {
        return format!("https://{host}");
    };
    let name = host.split('.').next().unwrap_or(host);
    let port = emulator.rsplit(':').next().unwrap_or("80");
    format!("http://{name}.cloudfront.localhost:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shop_is_found_at_the_cloud_and_at_the_emulator() {
        assert_eq!(url("shop.example", None), "https://shop.example");
        assert_eq!(
            url("d1.cloudfront.net", Some("http://127.0.0.1:4566")),
            "http://d1.cloudfront.localhost:4566"
        );
    }
}
