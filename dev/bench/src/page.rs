//! How fast one process of the frontend renders pages, and how much script a page loads. A stand-in
//! for the API answers from memory.

use std::{io::Write, path::PathBuf, process::Stdio, time::Duration};

use flate2::{Compression, write::GzEncoder};
use reqwest::Client;
use serde::Serialize;
use signature::REGION;
use tests::{Response, Stack, eventually};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

use crate::{
    figures::Spread,
    load::{Load, Series},
    stand_in,
    workload::SKU,
};

const SERIES: Series = Series {
    clients: 8,
    rounds: 5,
    round: Duration::from_secs(4),
};

/// How fast pages are rendered, and their script.
#[derive(Debug, Serialize)]
pub(crate) struct Pages {
    /// Front pages per second.
    front_a_second: Spread,
    /// Pages of one product per second.
    product_a_second: Spread,
    /// The script of the front page, in kB, compressed.
    script_kb: f64,
}

/// A process of the frontend. It ends when this is dropped.
struct Frontend {
    url: String,
    http: Client,
    _process: Child,
}

/// Measures two pages.
pub(crate) async fn pages(stack: &Stack) -> Pages {
    let frontend = Frontend::start(stack).await;
    Pages {
        front_a_second: frontend.rate("/").await,
        product_a_second: frontend.rate(&format!("/products/{SKU}")).await,
        script_kb: frontend.script_kb().await,
    }
}

impl Frontend {
    async fn start(stack: &Stack) -> Self {
        let api = stand_in::start_api(stack).await;
        let port = free_port().await;
        let url = format!("http://127.0.0.1:{port}");
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../frontend");
        let process = Command::new("node")
            .arg("server.js")
            .current_dir(folder)
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("ORIGIN", &url)
            .env("API_URL", api)
            .env("FRONTEND_KEY", &stack.frontend_key)
            .env("AWS_REGION", REGION)
            .env("COGNITO_ENDPOINT", &stack.aws.endpoint)
            .env("COGNITO_CLIENT_ID", &stack.aws.user_pool_client_id)
            .env("COGNITO_CLIENT_SECRET", &stack.aws.user_pool_client_secret)
            .env("SESSION_SECRET", "a-secret-that-is-worth-nothing-at-all")
            .env("REQUESTS_PER_SECOND", "999999")
            .env("REQUEST_BURST", "999999")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node should run");
        let frontend = Self {
            url,
            http: Client::new(),
            _process: process,
        };
        eventually("a frontend that answers", async || {
            let health = Response::try_of(frontend.http.get(format!("{}/healthz", frontend.url)));
            health.await.map_err(|error| error.to_string())
        })
        .await;
        frontend
    }

    async fn page(&self, path: &str) -> Response {
        let page = self.http.get(format!("{}{path}", self.url));
        Response::of(page).await.with_status(200)
    }

    /// How often the page is rendered per second.
    async fn rate(&self, path: &str) -> Spread {
        let request = async || {
            self.page(path).await;
        };
        let loads = SERIES.measure(async || SERIES.load(&request).await).await;
        Spread::of(Load::rates(&loads))
    }

    /// The size of all scripts that the front page names, in its body or its `Link` header.
    async fn script_kb(&self) -> f64 {
        let page = self.page("/").await;
        let page = format!("{}{}", page.header("link"), page.body);
        let parts = page.split(['"', '<', '>']);
        let named = parts.filter_map(|part| part.strip_suffix(".js"));
        let mut paths: Vec<String> = named
            .filter_map(|part| Some(format!("/_app/{}.js", part.split_once("_app/")?.1)))
            .collect();
        paths.sort_unstable();
        paths.dedup();
        assert!(!paths.is_empty(), "the page should name scripts");
        let mut kilobytes = 0.0;
        for path in paths {
            let mut zipped = GzEncoder::new(Vec::new(), Compression::default());
            let written = zipped.write_all(self.page(&path).await.body.as_bytes());
            written.expect("memory should be written to");
            let zipped = zipped.finish().expect("memory should be written to");
            kilobytes += f64::from(u32::try_from(zipped.len()).unwrap_or(u32::MAX)) / 1e3;
        }
        kilobytes
    }
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port should be free");
    listener
        .local_addr()
        .expect("it should have an address")
        .port()
}
