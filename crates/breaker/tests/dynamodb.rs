//! The store in DynamoDB. With two implementations of DynamoDB, it must behave like the store in
//! memory, and it must handle the failures that only a table has.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod calls;
mod canned;
mod clock;
mod table;

use std::{env, time::Duration};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use breaker::{
    Breaker, BreakerEvent, Circuit, Config, Counts, DynamoDb, Error, Forced, Memory, ProbeOutcome,
    Slot, SpendOutcome, State, Store, Transition, WriteOutcome,
};
use calls::{QUICK, assert_refused, permit};
use clock::Clock;
use jiff::Timestamp;
use table::{TABLE, client, new_name, store, store_in};

const SLOT: Slot = Slot {
    generation: 0,
    start: 1_800_000_000_000,
};

const A_FAILURE: Counts = Counts {
    calls: 1,
    failures: 1,
    slow: 0,
    retries: 0,
};

/// A client of Moto at `CAUCE_SECOND_DYNAMODB`, another implementation than the stack's.
fn second_client() -> Client {
    let Ok(endpoint) = env::var("CAUCE_SECOND_DYNAMODB") else {
        panic!("no second DynamoDB is running: use cargo xtask test");
    };
    table::client_at(&endpoint)
}

/// The store with a DynamoDB that returns these responses.
async fn store_with(responses: &'static [canned::Response]) -> DynamoDb {
    let endpoint = canned::dynamodb(responses).await;
    DynamoDb::new(table::client_at(&endpoint), TABLE)
}

fn keep_until() -> Timestamp {
    Clock::default().now() + Duration::from_hours(1)
}

/// Sends each request to the store in memory and to both in DynamoDB, and compares the results.
struct Stores {
    memory: Memory,
    dynamodb: [DynamoDb; 2],
    name: String,
    keep_until: Timestamp,
}

impl Stores {
    async fn new() -> Self {
        Self {
            memory: Memory::new(),
            dynamodb: [store().await, store_in(second_client()).await],
            name: new_name(),
            keep_until: keep_until(),
        }
    }

    async fn read(&self) -> Circuit {
        let expected = self.memory.read_circuit(&self.name).await.unwrap();
        for dynamodb in &self.dynamodb {
            assert_eq!(dynamodb.read_circuit(&self.name).await.unwrap(), expected);
        }
        expected
    }

    async fn write(
        &self,
        circuit: &Circuit,
        expected_version: u64,
        transition: Option<&Transition>,
    ) -> WriteOutcome {
        let transition = transition.map(|it| (it, self.keep_until));
        let name = &self.name;
        let expected = self
            .memory
            .write_circuit(name, circuit, expected_version, transition)
            .await;
        let expected = expected.unwrap();
        for dynamodb in &self.dynamodb {
            let written = dynamodb
                .write_circuit(name, circuit, expected_version, transition)
                .await;
            assert_eq!(written.unwrap(), expected);
        }
        expected
    }

    async fn add(&self, slot: Slot, counts: Counts) -> Counts {
        let (name, until) = (&self.name, self.keep_until);
        let expected = self
            .memory
            .add_counts(name, slot, counts, until)
            .await
            .unwrap();
        for dynamodb in &self.dynamodb {
            let added = dynamodb.add_counts(name, slot, counts, until).await;
            assert_eq!(added.unwrap(), expected);
        }
        expected
    }

    async fn spend(&self, slot: Slot, limit: u64) -> SpendOutcome {
        let (name, until) = (&self.name, self.keep_until);
        let expected = self
            .memory
            .spend_retry(name, slot, limit, until)
            .await
            .unwrap();
        for dynamodb in &self.dynamodb {
            let spent = dynamodb.spend_retry(name, slot, limit, until).await;
            assert_eq!(spent.unwrap(), expected);
        }
        expected
    }

    async fn sum(&self, first: Slot, end: Slot) -> Counts {
        let expected = self
            .memory
            .sum_counts(&self.name, first, end)
            .await
            .unwrap();
        for dynamodb in &self.dynamodb {
            let sum = dynamodb.sum_counts(&self.name, first, end).await;
            assert_eq!(sum.unwrap(), expected);
        }
        expected
    }

    async fn history(&self, limit: usize) -> Vec<Transition> {
        let expected = self.memory.history(&self.name, limit).await.unwrap();
        for dynamodb in &self.dynamodb {
            let history = dynamodb.history(&self.name, limit).await;
            assert_eq!(history.unwrap(), expected);
        }
        expected
    }
}

/// Forces a circuit. Returns the circuit and the transition that a breaker writes.
async fn force(circuit: &Circuit, forced: Forced) -> (Circuit, Transition) {
    let (memory, clock, name) = (Memory::new(), Clock::default(), "forced");
    let written = memory.write_circuit(name, circuit, 0, None).await;
    assert_eq!(written.unwrap(), WriteOutcome::Written);
    let breaker = Breaker::with_env(memory.clone(), name, Config::default(), clock.env());
    breaker.force(forced, "ada", "to see").await.unwrap();
    let transition = breaker.history(1).await.unwrap().remove(0);
    (memory.read_circuit(name).await.unwrap(), transition)
}

#[tokio::test]
async fn a_circuit_is_written_only_over_the_expected_version() {
    let stores = Stores::new().await;
    let new = stores.read().await;
    assert_eq!(new, Circuit::default());
    let (first, opened) = force(&new, Forced::Open).await;
    assert_eq!(
        stores.write(&first, 0, Some(&opened)).await,
        WriteOutcome::Written
    );

    let (other, disabled) = force(&new, Forced::Disabled).await;
    assert_eq!(
        stores.write(&other, 0, Some(&disabled)).await,
        WriteOutcome::Conflict(Box::new(first.clone()))
    );
    assert_eq!(stores.read().await, first);
    assert_eq!(stores.history(10).await.len(), 1);

    let (second, _) = force(&first, Forced::Closed).await;
    assert_eq!(stores.write(&second, 1, None).await, WriteOutcome::Written);
    assert_eq!(stores.read().await, second);
    assert_eq!(stores.history(10).await.len(), 1);
}

#[tokio::test]
async fn history_is_read_newest_first() {
    let stores = Stores::new().await;
    let mut circuit = Circuit::default();
    for round in 0..12 {
        let forced = [Forced::Open, Forced::Closed][round % 2];
        let (next, transition) = force(&circuit, forced).await;
        stores
            .write(&next, circuit.version(), Some(&transition))
            .await;
        circuit = next;
    }
    let history = stores.history(3).await;
    let versions: Vec<_> = history.iter().map(|it| it.version).collect();
    assert_eq!(versions, [12, 11, 10]);
}

#[tokio::test]
async fn counters_add_up_in_their_buckets_and_generations() {
    let stores = Stores::new().await;
    let slot = |generation, seconds: i64| Slot {
        generation,
        start: 1_800_000_000_000 + 1_000 * seconds,
    };
    let counts = Counts {
        calls: 9,
        failures: 2,
        slow: 1,
        retries: 0,
    };
    for seconds in [0, 5, 10] {
        stores.add(slot(7, seconds), counts).await;
    }
    stores.add(slot(8, 5), counts).await;
    assert_eq!(stores.add(slot(7, 5), counts).await.failures, 4);
    assert_eq!(stores.sum(slot(7, 0), slot(7, 10)).await.calls, 27);
    assert_eq!(stores.sum(slot(7, 5), slot(7, 15)).await.calls, 27);
    assert_eq!(stores.sum(slot(8, 0), slot(8, 5)).await, Counts::default());
}

#[tokio::test]
async fn a_bucket_admits_retries_up_to_its_limit() {
    let stores = Stores::new().await;
    assert!(matches!(
        stores.spend(SLOT, 0).await,
        SpendOutcome::Refused(_)
    ));
    for _ in 0..2 {
        assert!(matches!(
            stores.spend(SLOT, 2).await,
            SpendOutcome::Allowed(_)
        ));
    }
    assert!(matches!(
        stores.spend(SLOT, 2).await,
        SpendOutcome::Refused(_)
    ));
    let calls = Counts {
        calls: 30,
        ..Counts::default()
    };
    stores.add(SLOT, calls).await;
    let refused = stores.spend(SLOT, 2).await;
    assert!(
        matches!(refused, SpendOutcome::Refused(counts) if (counts.calls, counts.retries) == (30, 2))
    );
    assert!(matches!(
        stores.spend(SLOT, 3).await,
        SpendOutcome::Allowed(_)
    ));
}

#[tokio::test]
async fn counters_and_history_expire_and_the_circuit_does_not() {
    let stores = Stores::new().await;
    let (circuit, transition) = force(&Circuit::default(), Forced::Open).await;
    stores.write(&circuit, 0, Some(&transition)).await;
    stores.add(SLOT, Counts::default()).await;
    for client in [client(), second_client()] {
        assert_expires(&client, &stores).await;
    }
}

async fn assert_expires(client: &Client, stores: &Stores) {
    let items = client
        .query()
        .table_name(TABLE)
        .key_condition_expression("pk = :pk")
        .expression_attribute_values(":pk", AttributeValue::S(stores.name.clone()))
        .send()
        .await
        .unwrap()
        .items
        .unwrap();
    let expires_at = AttributeValue::N(stores.keep_until.as_second().to_string());
    for item in &items {
        let is_circuit = item["sk"].as_s().unwrap() == "circuit";
        let expected = (!is_circuit).then_some(&expires_at);
        assert_eq!(item.get("expires_at"), expected);
    }
    assert_eq!(items.len(), 3);
}

#[tokio::test]
async fn an_outage_from_beginning_to_end() {
    for client in [client(), second_client()] {
        run_outage(store_in(client).await).await;
    }
}

async fn run_outage(store: DynamoDb) {
    let (clock, name) = (Clock::default(), new_name());
    let mut config = Config::default();
    config.store_timeout = Duration::from_secs(10);
    let [one, other] =
        [(); 2].map(|()| Breaker::with_env(store.clone(), &name, config.clone(), clock.env()));
    permit(&other).await.record_success(QUICK).await;
    for _ in 0..10 {
        permit(&one).await.record_failure(QUICK).await;
    }
    clock.advance(Duration::from_secs(1));
    clock.set(assert_refused(&other).await);
    let failed = other.probe(async || Err(())).await.unwrap();
    assert!(matches!(failed, ProbeOutcome::Failed { .. }));
    clock.set(assert_refused(&other).await);
    let passed = one.probe(async || Ok::<_, ()>(())).await.unwrap();
    assert!(matches!(passed, ProbeOutcome::Passed { .. }));
    permit(&other).await.record_success(QUICK).await;
    permit(&one).await.record_success(QUICK).await;
    let status = other.status().await.unwrap();
    assert_eq!((status.state, status.figures.calls), (State::Closed, 0));
    let history = other.history(10).await.unwrap();
    let path: Vec<_> = history.iter().rev().map(|it| it.to).collect();
    assert_eq!(
        path,
        [State::Open, State::Open, State::HalfOpen, State::Closed]
    );
}

#[tokio::test]
async fn calls_are_admitted_if_the_table_cannot_be_reached() {
    // A bound socket that does not listen refuses connections.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    let store = DynamoDb::new(table::client_at(&endpoint), TABLE);
    let (sender, events) = std::sync::mpsc::channel();
    let clock = Clock::default();
    let env = clock.env();
    let breaker = Breaker::with_env(store, "payments", Config::default(), env)
        .with_listener(move |event| sender.send(event.clone()).unwrap());
    for _ in 0..100 {
        permit(&breaker).await.record_failure(QUICK).await;
    }
    assert!(matches!(
        events.try_iter().collect::<Vec<_>>()[..],
        [BreakerEvent::StoreUnreachable { .. }]
    ));
}

#[tokio::test]
async fn calls_are_admitted_if_an_item_cannot_be_read() {
    let (store, name) = (store().await, new_name());
    let put = client()
        .put_item()
        .table_name(TABLE)
        .item("pk", AttributeValue::S(name.clone()))
        .item("sk", AttributeValue::S("circuit".to_owned()))
        .item("version", AttributeValue::S("new".to_owned()));
    put.send().await.unwrap();
    let read = store.read_circuit(&name).await;
    assert!(matches!(read, Err(Error::Unreadable { .. })));
    let breaker = Breaker::new(store, name, Config::default());
    permit(&breaker).await.record_failure(QUICK).await;
}

#[tokio::test]
async fn counters_missing_from_a_response_are_read_from_the_item() {
    const ITEM: &str = r#"{"Item": {"calls": {"N": "21"}, "failures": {"N": "11"}}}"#;
    let read = Counts {
        calls: 21,
        failures: 11,
        ..Counts::default()
    };
    for update in [
        // Only changed counters, only previous counters, and none.
        r#"{"Attributes": {"calls": {"N": "21"}, "failures": {"N": "11"}}}"#,
        r#"{"Attributes": {}}"#,
        "{}",
    ] {
        let responses = vec![("UpdateItem", 200, update), ("GetItem", 200, ITEM)].leak();
        let store = store_with(responses).await;
        let added = store
            .add_counts("payments", SLOT, A_FAILURE, keep_until())
            .await;
        assert_eq!(added.unwrap(), read, "{update}");
    }
}

#[tokio::test]
async fn numbers_may_have_decimals_and_exponents() {
    let store = store_with(&[
        (
            "UpdateItem",
            200,
            r#"{"Attributes": {"calls": {"N": "21.0"}, "failures": {"N": "1.1E+1"},
                "slow": {"N": "0E0"}, "retries": {"N": "3"}}}"#,
        ),
        (
            "GetItem",
            200,
            r#"{"Item": {"version": {"N": "7.0"}, "state": {"S": "open"},
                "consecutive_opens": {"N": "1.0"}}}"#,
        ),
    ])
    .await;
    let added = store
        .add_counts("payments", SLOT, A_FAILURE, keep_until())
        .await;
    let expected = Counts {
        calls: 21,
        failures: 11,
        slow: 0,
        retries: 3,
    };
    assert_eq!(added.unwrap(), expected);
    let circuit = store.read_circuit("payments").await.unwrap();
    let expected = r#"{"version": 7, "state": "open", "consecutive_opens": 1}"#;
    assert_eq!(circuit, serde_json::from_str(expected).unwrap());
}

#[tokio::test]
async fn a_failed_condition_is_recognized_without_details() {
    let store = store_with(&[
        (
            "UpdateItem",
            400,
            r#"{"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}"#,
        ),
        (
            "TransactWriteItems",
            400,
            r#"{"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "message": "Transaction cancelled: [ConditionalCheckFailed, None]"}"#,
        ),
        (
            "GetItem",
            200,
            r#"{"Item": {"version": {"N": "7"}, "state": {"S": "closed"}, "retries": {"N": "3"}}}"#,
        ),
    ])
    .await;
    let spent = store.spend_retry("payments", SLOT, 3, keep_until()).await;
    assert!(matches!(spent, Ok(SpendOutcome::Refused(counts)) if counts.retries == 3));
    let written = store
        .write_circuit("payments", &Circuit::default(), 0, None)
        .await;
    assert!(matches!(written, Ok(WriteOutcome::Conflict(circuit)) if circuit.version() == 7));
}

#[tokio::test]
async fn counters_that_do_not_grow_are_an_error() {
    let store = store_with(&[("UpdateItem", 200, "{}"), ("GetItem", 200, "{}")]).await;
    let added = store
        .add_counts("payments", SLOT, A_FAILURE, keep_until())
        .await;
    assert!(matches!(added, Err(Error::Unreadable { .. })));
}
