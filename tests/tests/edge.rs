//! The ways in: the CDN's, and no other.

use reqwest::{Client, header::HOST};
use serde_json::Value;
use tests::{Answer, Stack};

/// A visitor of the shop's address, who knows no key.
struct Visitor {
    http: Client,
    stack: Stack,
}

impl Visitor {
    fn arrives() -> Self {
        Self {
            http: Client::new(),
            stack: Stack::find(),
        }
    }

    /// Asks the CDN, which the emulator knows by the name that is asked for.
    async fn asks(&self, path: &str) -> Answer {
        let host = self.stack.site.trim_start_matches("http://");
        let url = format!("{}{path}", self.stack.aws.endpoint);
        Answer::of(self.http.get(url).header(HOST, host)).await
    }
}

#[tokio::test]
async fn the_api_is_reached_through_the_cdn() {
    let visitor = Visitor::arrives();
    let products = visitor.asks("/api/v1/products?limit=1").await;
    let products: Value = products.with_status(200).json();
    assert_eq!(products["items"].as_array().map(Vec::len), Some(1));
    visitor.asks("/api/readyz").await.with_status(200);
    visitor.asks("/api/v1/me").await.with_status(401);
}

#[tokio::test]
async fn nobody_gets_around_the_cdn() {
    let visitor = Visitor::arrives();
    let past = visitor
        .http
        .get(format!("{}/v1/products", visitor.stack.api));
    let problem: Value = Answer::of(past).await.with_status(403).json();
    assert_eq!(
        problem["type"],
        "https://cauce.example/problems/not-by-the-entrance"
    );
}

#[tokio::test]
async fn pages_say_how_they_are_to_be_kept_and_shown() {
    let visitor = Visitor::arrives();
    let page = visitor.asks("/").await.with_status(200);
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert!(page.header("content-security-policy").contains("'nonce-"));
    assert!(!page.header("cache-control").contains("public"));
}
