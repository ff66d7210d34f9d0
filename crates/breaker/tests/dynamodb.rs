//! The store in DynamoDB: that it does over two implementations as the one in memory does, and what
//! only a table can do wrong.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod canned;
mod clock;
mod table;

use std::{env, time::Duration};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use breaker::{
    Breaker, Circuit, Config, Counts, DynamoDb, Error, Event, Forced, Input, Memory, Override,
    Probe, Slot, Spent, State, Step, Store, Transition, Written,
};
use clock::{Clock, permit, refused};
use jiff::Timestamp;
use table::{TABLE, client, new_name, store, store_in};

const QUICK: Duration = Duration::from_millis(20);

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

/// A client of another implementation than the stack's: moto, which `CAUCE_SECOND_DYNAMODB` names.
fn second_client() -> Client {
    let Ok(endpoint) = env::var("CAUCE_SECOND_DYNAMODB") else {
        panic!("no second DynamoDB is running: use cargo xtask test");
    };
    table::at(&endpoint)
}

/// The store over a DynamoDB that gives these responses.
async fn store_over(responses: &'static [canned::Response]) -> DynamoDb {
    DynamoDb::new(table::at(&canned::dynamodb(responses).await), TABLE)
}

fn keep_until() -> Timestamp {
    Clock::default().now() + Duration::from_hours(1)
}

/// Gives the store in memory and those in DynamoDB the same to do, and looks for a difference.
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
        let expected = self.memory.read(&self.name).await.unwrap();
        for dynamodb in &self.dynamodb {
            assert_eq!(dynamodb.read(&self.name).await.unwrap(), expected);
        }
        expected
    }

    async fn write(
        &self,
        circuit: &Circuit,
        seen: u64,
        transition: Option<&Transition>,
    ) -> Written {
        let transition = transition.map(|it| (it, self.keep_until));
        let name = &self.name;
        let expected = self.memory.write(name, circuit, seen, transition).await;
        let expected = expected.unwrap();
        for dynamodb in &self.dynamodb {
            let written = dynamodb.write(name, circuit, seen, transition).await;
            assert_eq!(written.unwrap(), expected);
        }
        expected
    }

    async fn add(&self, slot: Slot, counts: Counts) -> Counts {
        let (name, until) = (&self.name, self.keep_until);
        let expected = self.memory.add(name, slot, counts, until).await.unwrap();
        for dynamodb in &self.dynamodb {
            let added = dynamodb.add(name, slot, counts, until).await;
            assert_eq!(added.unwrap(), expected);
        }
        expected
    }

    async fn spend(&self, slot: Slot, room: u64) -> Spent {
        let (name, until) = (&self.name, self.keep_until);
        let expected = self.memory.spend(name, slot, room, until).await.unwrap();
        for dynamodb in &self.dynamodb {
            let spent = dynamodb.spend(name, slot, room, until).await;
            assert_eq!(spent.unwrap(), expected);
        }
        expected
    }

    async fn sum(&self, first: Slot, end: Slot) -> Counts {
        let expected = self.memory.sum(&self.name, first, end).await.unwrap();
        for dynamodb in &self.dynamodb {
            let sum = dynamodb.sum(&self.name, first, end).await;
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

fn forced(circuit: &Circuit, forced: Forced) -> Step {
    let now = Clock::default().now();
    let input = Input::Force(Override {
        forced,
        by: "ada".to_owned(),
        why: "to see".to_owned(),
        at: now,
    });
    circuit.step(input, now, 0.5, &Config::default())
}

#[tokio::test]
async fn a_circuit_is_written_over_the_version_that_was_seen_and_no_other() {
    let stores = Stores::new().await;
    let new = stores.read().await;
    assert_eq!(new, Circuit::default());
    let first = forced(&new, Forced::Open);
    let note = first.effects.transition.as_ref();
    assert_eq!(stores.write(&first.circuit, 0, note).await, Written::Done);

    let other = forced(&new, Forced::Disabled);
    let note = other.effects.transition.as_ref();
    assert_eq!(
        stores.write(&other.circuit, 0, note).await,
        Written::Overtaken(Box::new(first.circuit.clone()))
    );
    assert_eq!(stores.read().await, first.circuit);
    assert_eq!(stores.history(10).await.len(), 1);

    let second = forced(&first.circuit, Forced::Closed);
    assert_eq!(stores.write(&second.circuit, 1, None).await, Written::Done);
    assert_eq!(stores.read().await, second.circuit);
    assert_eq!(stores.history(10).await.len(), 1);
}

#[tokio::test]
async fn history_is_told_from_its_end() {
    let stores = Stores::new().await;
    let mut circuit = Circuit::default();
    for turn in 0..12 {
        let what = [Forced::Open, Forced::Closed][turn % 2];
        let step = forced(&circuit, what);
        let note = step.effects.transition.as_ref();
        stores.write(&step.circuit, circuit.version, note).await;
        circuit = step.circuit;
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
async fn a_bucket_has_room_for_so_many_retries() {
    let stores = Stores::new().await;
    assert!(matches!(stores.spend(SLOT, 0).await, Spent::Refused(_)));
    for _ in 0..2 {
        assert!(matches!(stores.spend(SLOT, 2).await, Spent::Allowed(_)));
    }
    assert!(matches!(stores.spend(SLOT, 2).await, Spent::Refused(_)));
    let calls = Counts {
        calls: 30,
        ..Counts::default()
    };
    stores.add(SLOT, calls).await;
    assert!(
        matches!(stores.spend(SLOT, 2).await, Spent::Refused(counts) if counts.calls == 30 && counts.retries == 2)
    );
    assert!(matches!(stores.spend(SLOT, 3).await, Spent::Allowed(_)));
}

#[tokio::test]
async fn counters_and_history_go_by_themselves_and_the_circuit_stays() {
    let stores = Stores::new().await;
    let step = forced(&Circuit::default(), Forced::Open);
    let note = step.effects.transition.as_ref();
    stores.write(&step.circuit, 0, note).await;
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
        outage_in(store_in(client).await).await;
    }
}

async fn outage_in(store: DynamoDb) {
    let (clock, name) = (Clock::default(), new_name());
    let config = Config {
        store_timeout: Duration::from_secs(10),
        ..Config::default()
    };
    let [one, other] = [(); 2].map(|()| {
        Breaker::in_surroundings(store.clone(), &name, config.clone(), clock.surroundings())
    });
    permit(&other).await.succeeded(QUICK).await;
    for _ in 0..10 {
        permit(&one).await.failed(QUICK).await;
    }
    clock.forward(Duration::from_secs(1));
    clock.set(refused(&other).await);
    let failed = other.probe(async || Err(())).await.unwrap();
    assert!(matches!(failed, Probe::Failed { .. }));
    clock.set(refused(&other).await);
    let passed = one.probe(async || Ok::<_, ()>(())).await.unwrap();
    assert!(matches!(passed, Probe::Passed { .. }));
    permit(&other).await.succeeded(QUICK).await;
    permit(&one).await.succeeded(QUICK).await;
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
async fn a_table_that_cannot_be_reached_lets_calls_through() {
    // Nobody listens on the port of a socket that is bound and not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    let store = DynamoDb::new(table::at(&endpoint), TABLE);
    let (told, heard) = std::sync::mpsc::channel();
    let clock = Clock::default();
    let surroundings = clock.surroundings();
    let breaker = Breaker::in_surroundings(store, "payments", Config::default(), surroundings)
        .with_listener(move |event| told.send(event.clone()).unwrap());
    for _ in 0..100 {
        permit(&breaker).await.failed(QUICK).await;
    }
    assert!(matches!(
        heard.try_iter().collect::<Vec<_>>()[..],
        [Event::StoreUnreachable { .. }]
    ));
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_named_and_lets_calls_through() {
    let (store, name) = (store().await, new_name());
    let put = client()
        .put_item()
        .table_name(TABLE)
        .item("pk", AttributeValue::S(name.clone()))
        .item("sk", AttributeValue::S("circuit".to_owned()))
        .item("version", AttributeValue::S("new".to_owned()));
    put.send().await.unwrap();
    let read = store.read(&name).await;
    assert!(matches!(read, Err(Error::Unreadable { .. })));
    let breaker = Breaker::new(store, name, Config::default());
    permit(&breaker).await.failed(QUICK).await;
}

#[tokio::test]
async fn what_a_response_lacks_is_read_from_the_item() {
    const ITEM: &str = r#"{"Item": {"calls": {"N": "21"}, "failures": {"N": "11"}}}"#;
    let read = Counts {
        calls: 21,
        failures: 11,
        ..Counts::default()
    };
    for update in [
        // Only what has changed, only what there was, and nothing.
        r#"{"Attributes": {"calls": {"N": "21"}, "failures": {"N": "11"}}}"#,
        r#"{"Attributes": {}}"#,
        "{}",
    ] {
        let responses = vec![("UpdateItem", 200, update), ("GetItem", 200, ITEM)].leak();
        let store = store_over(responses).await;
        let added = store.add("payments", SLOT, A_FAILURE, keep_until()).await;
        assert_eq!(added.unwrap(), read, "{update}");
    }
}

#[tokio::test]
async fn numbers_may_have_decimals_and_exponents() {
    let store = store_over(&[
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
    let added = store.add("payments", SLOT, A_FAILURE, keep_until()).await;
    let expected = Counts {
        calls: 21,
        failures: 11,
        slow: 0,
        retries: 3,
    };
    assert_eq!(added.unwrap(), expected);
    let circuit = store.read("payments").await.unwrap();
    assert_eq!((circuit.version, circuit.state), (7, State::Open));
}

#[tokio::test]
async fn a_refused_condition_is_one_whatever_comes_with_it() {
    let store = store_over(&[
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
    let spent = store.spend("payments", SLOT, 3, keep_until()).await;
    assert!(matches!(spent, Ok(Spent::Refused(counts)) if counts.retries == 3));
    let written = store.write("payments", &Circuit::default(), 0, None).await;
    assert!(matches!(written, Ok(Written::Overtaken(circuit)) if circuit.version == 7));
}

#[tokio::test]
async fn a_table_that_does_not_count_is_an_error() {
    let store = store_over(&[("UpdateItem", 200, "{}"), ("GetItem", 200, "{}")]).await;
    let added = store.add("payments", SLOT, A_FAILURE, keep_until()).await;
    assert!(matches!(added, Err(Error::Unreadable { .. })));
}
