//! The CDN is the only way to the API.

use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, header::HOST};
use serde_json::Value;
use tests::{Response, Stack};

/// A client of the CDN, without the origin key.
struct Visitor {
    http: Client,
    stack: Stack,
}

impl Visitor {
    fn new() -> Self {
        Self {
            http: Client::new(),
            stack: Stack::find(),
        }
    }

    async fn get(&self, path: &str) -> Response {
        Response::of(self.request(path)).await
    }

    /// A request to the CDN, which the emulator recognizes by the host name.
    fn request(&self, path: &str) -> RequestBuilder {
        let host = self.stack.site.trim_start_matches("http://");
        let url = format!("{}{path}", self.stack.aws.endpoint);
        self.http.get(url).header(HOST, host)
    }
}

#[tokio::test]
async fn the_api_is_reached_through_the_cdn() {
    let visitor = Visitor::new();
    let products = visitor.get("/api/v1/products?limit=1").await;
    let products: Value = products.with_status(200).json();
    assert_eq!(products["items"].as_array().map(Vec::len), Some(1));
    visitor.get("/api/readyz").await.with_status(200);
    visitor.get("/api/v1/me").await.with_status(401);
}

#[tokio::test]
async fn requests_that_bypass_the_cdn_are_rejected() {
    let visitor = Visitor::new();
    let bypassing = visitor
        .http
        .get(format!("{}/v1/products", visitor.stack.api));
    let problem: Value = Response::of(bypassing).await.with_status(403).json();
    assert_eq!(
        problem["type"],
        "https://cauce.example/problems/not-by-the-entrance"
    );
}

#[tokio::test]
async fn pages_have_security_and_cache_headers() {
    let visitor = Visitor::new();
    let page = visitor.get("/").await.with_status(200);
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(page.header("content-security-policy").contains("'nonce-"));
    assert!(!page.header("cache-control").contains("public"));
}

#[tokio::test]
async fn a_trace_begins_at_the_cdn_unless_the_browser_sends_one() {
    let visitor = Visitor::new();
    let trace_of = async |header, value: &str| {
        let request = visitor.request("/api/v1/nowhere").header(header, value);
        let problem: Value = Response::of(request).await.with_status(404).json();
        problem["trace_id"].as_str().unwrap().to_owned()
    };
    // A browser's trace continues.
    let own = "581cf771a006649127e371903a2de979";
    let traceparent = format!("00-{own}-53995c3f42cd8ad8-01");
    assert_eq!(trace_of("traceparent", &traceparent).await, own);
    // A visitor cannot choose which traces X-Ray samples.
    let sampled = "Root=1-581cf771-a006649127e371903a2de979;Sampled=1";
    let given = trace_of("x-amzn-trace-id", sampled).await;
    let begun = i64::from_str_radix(&given[..8], 16).unwrap();
    let age = Timestamp::now().as_second() - begun;
    assert!((0..60).contains(&age), "{given}");
}

#[tokio::test]
async fn ambiguous_paths_are_rejected_at_the_cdn() {
    let visitor = Visitor::new();
    let odd = [
        "/api/v1/orders/1%5crefunds%23/cancel",
        "/api/v1/orders/1%2frefunds",
        "/api/v1/%75sers",
        "/%61pi/v1/users",
        "/orders/..%5cusers%23/live",
        "/sign%2din",
        "//sign-in",
    ];
    for path in odd {
        let refused = visitor.get(path).await;
        refused.assert_problem(400, "invalid-path", Some("path"));
    }
    visitor.get("/sign-in").await.with_status(200);
}
