//! Guessing: how often something may be tried with an account, and from a network, whichever process
//! of the frontend asks.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Guest, Stack};
use uuid::Uuid;

/// A browser somewhere, which the frontend counts for.
struct Browser<'a> {
    stack: &'a Stack,
    address: String,
    known: bool,
}

impl<'a> Browser<'a> {
    /// At an address that no other browser has.
    fn new(stack: &'a Stack) -> Self {
        let [a, b, c, ..] = *Uuid::new_v4().as_bytes();
        Self {
            stack,
            address: format!("2001:db8:{a:x}{b:02x}:{c:x}::1"),
            known: false,
        }
    }

    async fn succeeds(&self, kind: &str, account: &str) {
        let known = self.known;
        let body = json!({ "kind": kind, "account": account, "known": known, "succeeded": true });
        self.try_place_order_with_key(&body).await.with_status(204);
    }

    async fn try_place_order(&self, kind: &str, account: &str) -> Answer {
        self.try_place_order_with_key(
            &json!({ "kind": kind, "account": account, "known": self.known, "succeeded": false }),
        )
        .await
    }

    async fn try_place_order_with_key(&self, body: &Value) -> Answer {
        let stranger = self.stack.anonymous();
        let request = stranger
            .request(Method::POST, "/v1/attempts")
            .header("Cauce-Frontend-Key", &self.stack.frontend_key)
            .header("Cauce-Client-Address", &self.address);
        Answer::of(request.json(body)).await
    }

    /// How many tries are within the limit. Windows change once a quarter of an hour: then it is the
    /// rest of one window and the beginning of the next.
    async fn is_stopped_after(&self, kind: &str, account: &str) -> usize {
        for tried in 0..100 {
            let answer = self.try_place_order(kind, account).await;
            if answer.status == 429 {
                answer.assert_problem(429, "too-many-tries", None);
                let seconds: u32 = answer.header("retry-after").parse().unwrap_or_default();
                assert!((1..=3_600).contains(&seconds), "{answer:?}");
                return tried;
            }
            answer.with_status(204);
        }
        panic!("not stopped after 100 tries");
    }
}

/// The hash of an address that nobody has.
fn account() -> String {
    let half = Uuid::new_v4().simple().to_string();
    format!("{half}{half}")
}

#[tokio::test]
async fn guesses_from_all_networks_of_an_ipv6_site_are_stopped() {
    let stack = Stack::find();
    let address = Browser::new(&stack).address;
    let site = address.split(':').take(3).collect::<Vec<_>>().join(":");
    let mut tried = 0;
    // Ten tries a minute for each of its networks, and a hundred for all. A minute may begin meanwhile.
    let stopped = 'networks: {
        for network in 1..=25 {
            let address = format!("{site}:{network:x}::1");
            let guest = Guest::at(&stack, "nobody@guests.cauce.example".to_owned(), address);
            for _ in 0..10 {
                let answer = guest.find_order("C7K3-F9Q2-MX").await;
                if answer.status == 429 {
                    break 'networks answer;
                }
                tried += 1;
            }
        }
        panic!("not stopped after {tried} tries");
    };
    stopped.assert_problem(429, "too-many-tries", None);
    assert!(tried >= 100, "{tried}");
}

#[tokio::test]
async fn guesses_at_one_account_are_stopped_whatever_is_guessed() {
    let stack = Stack::find();
    for (kind, limit) in [("sign-in", 10), ("code", 10), ("sign-up", 5), ("mail", 5)] {
        let (guesser, account) = (Browser::new(&stack), account());
        let stopped_after = guesser.is_stopped_after(kind, &account).await;
        assert!(
            (limit..2 * limit).contains(&stopped_after),
            "{kind}: {stopped_after}"
        );
        // Another address of the same network is the same guesser.
        let neighbour = Browser {
            address: guesser.address.replace("::1", "::2"),
            ..Browser::new(&stack)
        };
        neighbour
            .try_place_order(kind, &account)
            .await
            .with_status(429);
    }
}

#[tokio::test]
async fn only_failures_use_up_tries() {
    let stack = Stack::find();
    let (person, account) = (Browser::new(&stack), account());
    for _ in 0..15 {
        person
            .try_place_order("sign-in", &account)
            .await
            .with_status(204);
        person.succeeds("sign-in", &account).await;
    }
    let stopped_after = person.is_stopped_after("sign-in", &account).await;
    assert!((10..20).contains(&stopped_after), "{stopped_after}");
}

#[tokio::test]
async fn strangers_use_up_no_tries_of_the_owner() {
    let stack = Stack::find();
    let account = account();
    for _ in 0..3 {
        Browser::new(&stack)
            .is_stopped_after("sign-in", &account)
            .await;
    }
    // Elsewhere, and in a browser of the owner's, even on a stranger's network.
    let elsewhere = Browser::new(&stack);
    elsewhere
        .try_place_order("sign-in", &account)
        .await
        .with_status(204);
    let stranger = Browser::new(&stack);
    stranger.is_stopped_after("sign-in", &account).await;
    let owner = Browser {
        known: true,
        ..stranger
    };
    owner
        .try_place_order("sign-in", &account)
        .await
        .with_status(204);
}

#[tokio::test]
async fn a_stranger_who_goes_on_trying_locks_no_one_else_out() {
    let stack = Stack::find();
    let account = account();
    let stranger = Browser::new(&stack);
    for _ in 0..150 {
        stranger.try_place_order("sign-in", &account).await;
    }
    let owner = Browser::new(&stack);
    owner
        .try_place_order("sign-in", &account)
        .await
        .with_status(204);
}

#[tokio::test]
async fn many_networks_together_are_stopped_too() {
    let stack = Stack::find();
    let account = account();
    let mut tried = 0;
    for _ in 0..30 {
        let network = Browser::new(&stack);
        for _ in 0..10 {
            if network.try_place_order("code", &account).await.status == 429 {
                assert!(tried >= 100, "stopped after {tried}");
                return;
            }
            tried += 1;
        }
    }
    panic!("not stopped after {tried} tries");
}

#[tokio::test]
async fn only_the_frontend_counts() {
    let stack = Stack::find();
    let stranger = stack.anonymous();
    let body =
        json!({ "kind": "sign-in", "account": account(), "known": false, "succeeded": false });
    let request = stranger.request(Method::POST, "/v1/attempts").json(&body);
    Answer::of(request).await.with_status(404);

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
        let answer = frontend.try_place_order_with_key(&body).await;
        answer.assert_problem(422, "validation", Some(field));
    }
}
