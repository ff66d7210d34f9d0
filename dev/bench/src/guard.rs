//! What the circuit breaker adds to a call of a provider.

use std::time::Instant;

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use breaker::{Admission, Breaker, Config, DynamoDb};
use providers::Payments;
use serde::Serialize;
use signature::{ACCESS_KEY, REGION};
use tests::Stack;

use crate::figures::Quartiles;

/// How many calls of each kind are measured, after how many that are not.
const CALLS: usize = 2_000;
const WARM_UP: usize = 200;

/// The duration of calls with and without the circuit breaker.
#[derive(Debug, Serialize)]
pub(crate) struct GuardCosts {
    /// How many calls of each kind were measured.
    calls: usize,
    /// Calls of the payment service alone.
    bare: Quartiles,
    /// The same calls through the circuit breaker on DynamoDB.
    guarded: Quartiles,
    /// What the circuit breaker adds to the median.
    adds_ms: f64,
}

/// Alternates calls with and without the circuit breaker, so that both meet the same conditions.
pub(crate) async fn guard_costs(stack: &Stack) -> GuardCosts {
    let http = providers::client().expect("there should be a client");
    let payments = Payments::new(http, &stack.payments.url, "sk_test_bench");
    let breaker = Breaker::new(circuits(stack), "bench", Config::default());
    let (mut bare, mut guarded) = (Vec::new(), Vec::new());
    for _ in 0..WARM_UP + CALLS {
        let begun = Instant::now();
        payments.ping().await.expect("the simulator should answer");
        bare.push(begun.elapsed());

        let begun = Instant::now();
        let Admission::Admitted(permit) = breaker.admit().await else {
            panic!("the circuit of a healthy provider is open");
        };
        let called = Instant::now();
        payments.ping().await.expect("the simulator should answer");
        permit.record_success(called.elapsed()).await;
        guarded.push(begun.elapsed());
    }
    let bare = Quartiles::of(bare.split_off(WARM_UP));
    let guarded = Quartiles::of(guarded.split_off(WARM_UP));
    GuardCosts {
        calls: CALLS,
        adds_ms: guarded.median_ms - bare.median_ms,
        bare,
        guarded,
    }
}

fn circuits(stack: &Stack) -> DynamoDb {
    let (id, secret) = ACCESS_KEY;
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new(id, secret, None, None, "bench"))
        .endpoint_url(&stack.aws.endpoint)
        .build();
    DynamoDb::new(Client::from_conf(config), &stack.aws.breaker_table)
}
