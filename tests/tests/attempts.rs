//! Limits for guessing: how often attempts may fail for an account and for a network, counted over
//! all processes of the frontend.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Guest, Response, Stack};
use uuid::Uuid;

/// A browser whose attempts the frontend reports.
struct Browser<'a> {
    stack: &'a Stack,
    address: String,
    known: bool,
}

impl<'a> Browser<'a> {
    /// A browser with a network address of its own.
    fn new(stack: &'a Stack) -> Self {
        let [a, b, c, ..] = *Uuid::new_v4().as_bytes();
        Self {
            stack,
            address: format!("2001:db8:{a:x}{b:02x}:{c:x}::1"),
            known: false,
        }
    }

    async fn report_success(&self, kind: &str, account: &str) {
        let known = self.known;
        let body = json!({ "kind": kind, "account": account, "known": known, "succeeded": true });
        self.report(&body).await.with_status(204);
    }

    async fn report_failure(&self, kind: &str, account: &str) -> Response {
        self.report(
            &json!({ "kind": kind, "account": account, "known": self.known, "succeeded": false }),
        )
        .await
    }

    async fn report(&self, body: &Value) -> Response {
        let guesser = self.stack.anonymous();
        let request = guesser
            .request(Method::POST, "/v1/attempts")
            .header("Cauce-Frontend-Key", &self.stack.frontend_key)
            .header("Cauce-Client-Address", &self.address);
        Response::of(request.json(body)).await
    }

    /// Reports failures until the limit, and returns how many were allowed. A new window may begin
    /// in between, which allows up to twice as many.
    async fn failures_until_limited(&self, kind: &str, account: &str) -> usize {
        for attempts in 0..100 {
            let response = self.report_failure(kind, account).await;
            if response.status == 429 {
                response.assert_problem(429, "too-many-tries", None);
                let seconds: u32 = response.header("retry-after").parse().unwrap_or_default();
                assert!((1..=3_600).contains(&seconds), "{response:?}");
                return attempts;
            }
            response.with_status(204);
        }
        panic!("not limited after 100 attempts");
    }
}

/// The hash of an unknown e-mail address.
fn account() -> String {
    let half = Uuid::new_v4().simple().to_string();
    format!("{half}{half}")
}

#[tokio::test]
async fn guesses_from_all_networks_of_an_ipv6_site_are_limited() {
    let stack = Stack::find();
    let address = Browser::new(&stack).address;
    let site = address.split(':').take(3).collect::<Vec<_>>().join(":");
    let mut attempts = 0;
    // Ten attempts a minute for each network, and a hundred for the whole site. A new minute may
    // begin in between.
    let limited = 'networks: {
        for network in 1..=25 {
            let address = format!("{site}:{network:x}::1");
            let guest = Guest::at(&stack, "nobody@guests.cauce.example".to_owned(), address);
            for _ in 0..10 {
                let response = guest.find_order("C7K3-F9Q2-MX").await;
                if response.status == 429 {
                    break 'networks response;
                }
                attempts += 1;
            }
        }
        panic!("not limited after {attempts} attempts");
    };
    limited.assert_problem(429, "too-many-tries", None);
    assert!(attempts >= 100, "{attempts}");
}

#[tokio::test]
async fn guesses_at_one_account_are_limited_for_each_kind() {
    let stack = Stack::find();
    for (kind, limit) in [("sign-in", 10), ("code", 10), ("sign-up", 5), ("mail", 5)] {
        let (guesser, account) = (Browser::new(&stack), account());
        let attempts_allowed = guesser.failures_until_limited(kind, &account).await;
        assert!(
            (limit..2 * limit).contains(&attempts_allowed),
            "{kind}: {attempts_allowed}"
        );
        // Another address in the same network counts for the same limit.
        let neighbour = Browser {
            address: guesser.address.replace("::1", "::2"),
            ..Browser::new(&stack)
        };
        neighbour
            .report_failure(kind, &account)
            .await
            .with_status(429);
    }
}

#[tokio::test]
async fn only_failures_count() {
    let stack = Stack::find();
    let (person, account) = (Browser::new(&stack), account());
    for _ in 0..15 {
        person
            .report_failure("sign-in", &account)
            .await
            .with_status(204);
        person.report_success("sign-in", &account).await;
    }
    let attempts_allowed = person.failures_until_limited("sign-in", &account).await;
    assert!((10..20).contains(&attempts_allowed), "{attempts_allowed}");
}

#[tokio::test]
async fn failures_of_others_do_not_count_for_the_owner() {
    let stack = Stack::find();
    let account = account();
    for _ in 0..3 {
        Browser::new(&stack)
            .failures_until_limited("sign-in", &account)
            .await;
    }
    // The owner may try from another network, or in a known browser even on the guesser's network.
    let elsewhere = Browser::new(&stack);
    elsewhere
        .report_failure("sign-in", &account)
        .await
        .with_status(204);
    let guesser = Browser::new(&stack);
    guesser.failures_until_limited("sign-in", &account).await;
    let owner = Browser {
        known: true,
        ..guesser
    };
    owner
        .report_failure("sign-in", &account)
        .await
        .with_status(204);
}

#[tokio::test]
async fn a_persistent_guesser_locks_nobody_else_out() {
    let stack = Stack::find();
    let account = account();
    let guesser = Browser::new(&stack);
    for _ in 0..150 {
        guesser.report_failure("sign-in", &account).await;
    }
    let owner = Browser::new(&stack);
    owner
        .report_failure("sign-in", &account)
        .await
        .with_status(204);
}

#[tokio::test]
async fn many_networks_together_are_limited_too() {
    let stack = Stack::find();
    let account = account();
    let mut attempts = 0;
    for _ in 0..30 {
        let network = Browser::new(&stack);
        for _ in 0..10 {
            if network.report_failure("code", &account).await.status == 429 {
                assert!(attempts >= 100, "limited after {attempts}");
                return;
            }
            attempts += 1;
        }
    }
    panic!("not limited after {attempts} attempts");
}

#[tokio::test]
async fn only_the_frontend_reports_attempts() {
    let stack = Stack::find();
    let guesser = stack.anonymous();
    let body =
        json!({ "kind": "sign-in", "account": account(), "known": false, "succeeded": false });
    let request = guesser.request(Method::POST, "/v1/attempts").json(&body);
    Response::of(request).await.with_status(404);

    let frontend = Browser::new(&stack);
    for (body, field) in [
        (
            json!({ "kind": "sign-in", "account": "ana@example.com", "known": false, "succeeded": false }),
            "account",
        ),
        (
            json!({ "kind": "tea", "account": account(), "known": false, "succeeded": false }),
            "kind",
        ),
        (
            json!({ "kind": "sign-in", "account": account(), "succeeded": false }),
            "known",
        ),
    ] {
        let response = frontend.report(&body).await;
        response.assert_problem(422, "validation", Some(field));
    }
}
