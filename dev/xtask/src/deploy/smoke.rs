//! The smoke test: whether the deployed site answers through the CDN, as for a visitor.

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

/// How long the site may take to answer. A new DNS name takes minutes to propagate.
const HEALTHY_WITHIN: Duration = Duration::from_mins(5);

/// How often a request is retried, and its timeout.
const POLL: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The paths of the frontend to request.
const PAGES: [&str; 1] = ["/healthz"];

/// The paths of the API to request, and whether the answer must be JSON. A JSON answer shows that
/// the CDN routes to the API.
const API: [(&str, bool); 3] = [
    ("/api/healthz", false),
    ("/api/readyz", true),
    ("/api/v1/categories", true),
];

/// The deployed site.
pub(super) struct Site {
    /// The address for visitors.
    pub(super) url: String,
    /// The URL of the emulator that serves it, if any.
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
            .timeout_global(Some(REQUEST_TIMEOUT))
            .build()
            .new_agent();
        Self {
            url: site_url(host, emulator.as_deref()),
            emulator,
            http,
        }
    }

    /// Waits until every path answers. At an emulator, no frontend runs.
    pub(super) fn wait_until_healthy(&self) -> anyhow::Result<()> {
        let pages = PAGES.map(|path| (path, false));
        let pages = pages.into_iter().filter(|_| self.emulator.is_none());
        let deadline = Instant::now() + HEALTHY_WITHIN;
        for (path, json) in pages.chain(API) {
            while let Err(error) = self.request(path, json) {
                ensure!(!interrupted(), "stopped");
                if Instant::now() > deadline {
                    return Err(error.context(format!("{}{path} does not answer", self.url)));
                }
                sleep(POLL);
            }
        }
        Ok(())
    }

    fn request(&self, path: &str, json: bool) -> anyhow::Result<()> {
        // The emulator routes by the Host header. Not every resolver knows that name.
        let base = self.emulator.as_deref().unwrap_or(&self.url);
        let mut request = self.http.get(format!("{base}{path}"));
        if self.emulator.is_some() {
            let host = self.url.split("://").nth(1).unwrap_or(&self.url);
            request = request.header("Host", host);
        }
        let text = request.call()?.body_mut().read_to_string()?;
        if json {
            serde_json::from_str::<Value>(&text)
                .context("the answer does not come from the API")?;
        }
        Ok(())
    }
}

/// The URL of a host. At the emulator, a distribution has another host name.
pub(crate) fn site_url(host: &str, emulator: Option<&str>) -> String {
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
    fn the_url_depends_on_whether_there_is_an_emulator() {
        assert_eq!(site_url("shop.example", None), "https://shop.example");
        assert_eq!(
            site_url("d1.cloudfront.net", Some("http://127.0.0.1:4566")),
            "http://d1.cloudfront.localhost:4566"
        );
    }
}
