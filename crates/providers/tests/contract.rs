//! Tests the clients against the providers' published APIs: the APIs allow each request that the
//! clients send, and the clients can read each response that the APIs allow.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use aws_lc_rs::hmac;
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use contracts::{Contract, Request};
use jiff::Timestamp;
use orders::{Address, Cents, DisputeStatus, OrderId, PaymentId, RefundId, ShopId};
use providers::{
    Authorization, CallError, Page, Parcel, PaymentIntentStatus, Payments, Record, RefundCall,
    RefundStatus, Shipping, Tracking, TrackingStatus, VoidReason, client,
    webhook::payments::{PaymentEvent, PaymentEventKind, verify},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A provider that responds by its contract, and records the requests.
struct Provider {
    url: String,
    exchange: Arc<Exchange>,
}

struct Exchange {
    contract: Contract,
    requests: Mutex<Vec<Received>>,
    /// The response of each operation with all its fields.
    full: BTreeMap<String, Value>,
    /// Responses that replace those of `full`, by operation.
    answers: Mutex<BTreeMap<String, (u16, Value)>>,
}

#[derive(Debug, Clone)]
struct Received {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Provider {
    async fn start(contract: Contract) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let full = contract.operations.iter();
        let full = full.map(|(name, it)| (name.clone(), contract.full(&it.answer)));
        let exchange = Arc::new(Exchange {
            full: full.collect(),
            contract,
            requests: Mutex::default(),
            answers: Mutex::default(),
        });
        let app = Router::new().fallback(answer).with_state(exchange.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, exchange }
    }

    async fn stripe() -> (Self, Payments) {
        let provider = Self::start(Contract::stripe().unwrap()).await;
        let payments = Payments::new(client().unwrap(), &provider.url, "sk_test_ours");
        (provider, payments)
    }

    async fn shipengine() -> (Self, Shipping) {
        let provider = Self::start(Contract::shipengine().unwrap()).await;
        let shipping = Shipping::new(client().unwrap(), &provider.url, "TEST_ours");
        (provider, shipping)
    }

    fn contract(&self) -> &Contract {
        &self.exchange.contract
    }

    /// Sets the response of one operation. The others have their full responses again.
    fn set_answer(&self, operation: &str, status: u16, body: Value) {
        let mut answers = self.exchange.answers.lock().unwrap();
        answers.clear();
        answers.insert(operation.to_owned(), (status, body));
    }

    fn received(&self) -> Vec<Received> {
        self.exchange.requests.lock().unwrap().clone()
    }

    /// The deviations of the requests from the contract, each with its operation.
    fn deviations(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for received in self.received() {
            let operation = received.operation(self.contract());
            let deviations = self.contract().check_request(Request {
                method: received.method.as_str(),
                path: received.uri.path(),
                query: received.uri.query().unwrap_or_default(),
                body: &received.body,
            });
            found.extend(deviations.iter().map(|it| format!("{operation}: {it}")));
        }
        found
    }

    /// The operations of the contract that were not called.
    fn uncalled_operations(&self) -> BTreeSet<&str> {
        let called = self.received();
        let called = called.iter().map(|it| it.operation(self.contract()));
        let called: BTreeSet<String> = called.collect();
        let known = self.contract().operations.keys().map(String::as_str);
        known.filter(|known| !called.contains(*known)).collect()
    }
}

impl Received {
    fn operation(&self, contract: &Contract) -> String {
        let (method, path) = (self.method.as_str(), self.uri.path());
        let named = contract.operation(method, path);
        named.map_or_else(|| format!("{method} {path}"), |(name, _)| name.to_owned())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

async fn answer(
    State(exchange): State<Arc<Exchange>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let received = Received {
        method,
        uri,
        headers,
        body,
    };
    let name = received.operation(&exchange.contract);
    exchange.requests.lock().unwrap().push(received);
    let replaced = exchange.answers.lock().unwrap().get(&name).cloned();
    let full = || exchange.full.get(&name).cloned();
    let (status, body) = replaced
        .or_else(|| Some((200, full()?)))
        .unwrap_or((404, Value::Null));
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn shop_id() -> ShopId {
    "cauce".parse().unwrap()
}

fn order_id() -> OrderId {
    OrderId("0193b3c0-0000-7000-8000-000000000001".parse().unwrap())
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn payment_id() -> PaymentId {
    "pi_1".parse().unwrap()
}

async fn authorize(payments: &Payments) -> Result<(), CallError> {
    let authorization = Authorization {
        shop: &shop_id(),
        order_id: order_id(),
        round: 0,
        amount: Cents::try_from(1299).unwrap(),
        currency: &"EUR".parse().unwrap(),
        payment_method: &"pm_card_visa".parse().unwrap(),
    };
    payments
        .authorize(authorization, "authorize")
        .await
        .map(drop)
}

/// The longest reason for a refund that our API accepts, in characters.
const LONGEST_REASON: usize = 500;

async fn refund(payments: &Payments) -> Result<(), CallError> {
    let refunding = RefundCall {
        shop: &shop_id(),
        payment_id: &payment_id(),
        order_id: order_id(),
        refund_id: RefundId::generate(),
        amount: Cents::try_from(500).unwrap(),
        reason: &"é".repeat(LONGEST_REASON),
    };
    payments.refund(refunding, "refund").await.map(drop)
}

/// Checks that each record of a page could be read.
fn read_page<T>(page: Page<T>) -> Result<(), CallError> {
    page.items.into_iter().try_for_each(read_record)
}

fn read_record<T>(record: Record<T>) -> Result<(), CallError> {
    record.content.map(drop).map_err(CallError::unknown)
}

const PAYMENTS: &[&str] = &[
    "GET /v1/balance",
    "GET /v1/disputes",
    "GET /v1/disputes/{dispute}",
    "GET /v1/payment_intents",
    "GET /v1/payment_intents/search",
    "GET /v1/payment_intents/{intent}",
    "GET /v1/refunds",
    "GET /v1/refunds/{refund}",
    "POST /v1/payment_intents",
    "POST /v1/payment_intents/{intent}/cancel",
    "POST /v1/payment_intents/{intent}/capture",
    "POST /v1/refunds",
];

/// Calls an operation of Stripe in each way in which the client can.
async fn call_stripe(payments: &Payments, operation: &str) -> Result<(), CallError> {
    let created = || second(1_800_000_000)..second(1_800_003_600);
    match operation {
        "POST /v1/payment_intents" => authorize(payments).await,
        "POST /v1/payment_intents/{intent}/capture" => {
            payments.capture(&payment_id(), "capture").await.map(drop)
        }
        "POST /v1/payment_intents/{intent}/cancel" => {
            let reason = VoidReason::OrderCancelled;
            payments
                .void(&payment_id(), reason, "cancel")
                .await
                .map(drop)
        }
        "GET /v1/payment_intents/{intent}" => payments.get(&payment_id()).await.map(drop),
        "GET /v1/payment_intents/search" => payments
            .list_by_order(&shop_id(), order_id())
            .await
            .map(drop),
        "GET /v1/payment_intents" => {
            read_page(payments.list_payments(created(), None).await?)?;
            read_page(payments.list_payments(created(), Some("pi_1")).await?)
        }
        "POST /v1/refunds" => refund(payments).await,
        "GET /v1/refunds" => {
            payments.refunds_of(&payment_id()).await?;
            read_page(payments.list_refunds(created(), Some("re_1")).await?)
        }
        "GET /v1/refunds/{refund}" => read_record(payments.refund_record("re_1").await?),
        "GET /v1/disputes" => {
            read_page(payments.list_disputes(created(), None).await?)?;
            read_page(payments.list_disputes(created(), Some("du_1")).await?)
        }
        "GET /v1/disputes/{dispute}" => read_record(payments.dispute("du_1").await?),
        "GET /v1/balance" => payments.ping().await,
        _ => panic!("{operation} is not called by the client"),
    }
}

/// An address with all fields, and one with only the required fields.
fn addresses() -> [Address; 2] {
    let mut address = json!({
        "name": "Shopper One",
        "line1": "Calle Mayor 1",
        "line2": "2º B",
        "city": "Madrid",
        "region": "Madrid",
        "postal_code": "28013",
        "country": "ES",
    });
    let full = serde_json::from_value(address.clone()).unwrap();
    let fields = address.as_object_mut().unwrap();
    fields.retain(|field, _| !["line2", "region"].contains(&field.as_str()));
    [full, serde_json::from_value(address).unwrap()]
}

async fn buy(shipping: &Shipping, ship_to: &Address) -> Result<(), CallError> {
    let parcel = Parcel {
        shop: &shop_id(),
        order_id: order_id(),
        ship_to,
        grams: 500,
    };
    readable(shipping.buy_label(parcel).await)
}

/// Succeeds if the label could be read, even if it cannot be used.
fn readable<T>(label: Result<T, CallError>) -> Result<(), CallError> {
    match label {
        Ok(_) | Err(CallError::InFlight) => Ok(()),
        Err(error) => Err(error),
    }
}

const SHIPPING: &[&str] = &[
    "GET /v1/carriers",
    "GET /v1/labels",
    "GET /v1/labels/{label_id}",
    "GET /v1/shipments/external_shipment_id/{external_shipment_id}",
    "POST /v1/labels",
    "POST /v1/labels/shipment/{shipment_id}",
    "PUT /v1/labels/{label_id}/void",
];

/// Calls an operation of ShipEngine in each way in which the client can.
async fn call_shipengine(shipping: &Shipping, operation: &str) -> Result<(), CallError> {
    match operation {
        "POST /v1/labels" => {
            let [full, minimal] = addresses();
            buy(shipping, &full).await?;
            buy(shipping, &minimal).await
        }
        "POST /v1/labels/shipment/{shipment_id}" => {
            readable(shipping.buy_label_for(&"se-1".parse().unwrap()).await)
        }
        "GET /v1/shipments/external_shipment_id/{external_shipment_id}" => {
            readable(shipping.look_up(order_id()).await)
        }
        "GET /v1/labels" => {
            let created = second(1_800_000_000)..second(1_800_003_600);
            read_page(shipping.labels(created, None).await?)?;
            let of_parcel = shipping.labels_of_parcel("9400").await?;
            of_parcel.into_iter().try_for_each(read_record)
        }
        // If voiding is not approved, the client gets the label.
        "PUT /v1/labels/{label_id}/void" | "GET /v1/labels/{label_id}" => {
            match shipping.void_label(&"se-1".parse().unwrap()).await {
                Err(CallError::Rejected { status: 200, .. }) => Ok(()),
                other => other,
            }
        }
        "GET /v1/carriers" => shipping.ping().await,
        _ => panic!("{operation} is not called by the client"),
    }
}

#[tokio::test]
async fn stripe_allows_each_request() {
    let (stripe, payments) = Provider::stripe().await;
    for operation in PAYMENTS {
        call_stripe(&payments, operation).await.unwrap();
    }
    assert_eq!(stripe.deviations(), BTreeSet::new());
    // Only the simulator uses this one, for Stripe's own client.
    let confirm = "POST /v1/payment_intents/{intent}/confirm";
    assert_eq!(stripe.uncalled_operations(), [confirm].into());
    for received in stripe.received() {
        let version = received.header("stripe-version");
        assert_eq!(version, Some(stripe.contract().version.as_str()));
        assert_eq!(
            received.header("authorization"),
            Some("Bearer sk_test_ours")
        );
        let key = received.header("idempotency-key");
        assert_eq!(
            key.is_some(),
            received.method == Method::POST,
            "{received:?}"
        );
    }
}

/// The known deviations: fields that ShipEngine requires and our client does not send.
const KNOWN_DEVIATIONS: &[&str] = &[
    "POST /v1/labels: body.shipment.carrier_id: is missing",
    // For an address without a region.
    "POST /v1/labels: body.shipment.ship_to.state_province: is null",
];

#[tokio::test]
async fn shipengine_allows_each_request_except_for_known_deviations() {
    let (shipengine, shipping) = Provider::shipengine().await;
    for operation in SHIPPING {
        call_shipengine(&shipping, operation).await.unwrap();
    }
    // A deviation that no longer occurs must be removed from the list.
    let known = KNOWN_DEVIATIONS.iter().map(|&it| it.to_owned());
    assert_eq!(shipengine.deviations(), known.collect());
    assert_eq!(
        shipengine.uncalled_operations(),
        ["GET /v1/labels/{label_id}/track"].into()
    );
    for received in shipengine.received() {
        assert_eq!(received.header("api-key"), Some("TEST_ours"));
    }
}

/// The responses of an operation, each with a description of its variant.
fn answer_variants(contract: &Contract, operation: &str) -> Vec<(String, Value)> {
    let schema = &contract.operations[operation].answer;
    let mut answers = contract.variants(schema);
    answers.push((": minimal".to_owned(), contract.minimal(schema)));
    answers.push((": full".to_owned(), contract.full(schema)));
    answers
}

#[tokio::test]
async fn each_response_of_stripe_is_read() {
    let (stripe, payments) = Provider::stripe().await;
    let mut unread = BTreeMap::new();
    for operation in PAYMENTS {
        for (place, answer) in answer_variants(stripe.contract(), operation) {
            stripe.set_answer(operation, 200, answer);
            if let Err(error) = call_stripe(&payments, operation).await {
                unread.insert(format!("{operation}{place}"), error);
            }
        }
    }
    assert!(unread.is_empty(), "not read: {unread:#?}");
}

#[tokio::test]
async fn each_response_of_shipengine_is_read() {
    let (shipengine, shipping) = Provider::shipengine().await;
    let mut unread = BTreeMap::new();
    for operation in SHIPPING {
        for (place, answer) in answer_variants(shipengine.contract(), operation) {
            shipengine.set_answer(operation, 200, answer);
            if let Err(error) = call_shipengine(&shipping, operation).await {
                unread.insert(format!("{operation}{place}"), error);
            }
        }
    }
    assert!(unread.is_empty(), "not read: {unread:#?}");
}

/// The bodies of an event of type `kind`, each with a description of its variant.
fn event_variants(contract: &Contract, kind: &str) -> Vec<(String, Value)> {
    let schema = contract.event(kind).unwrap();
    let full = contract.full(&schema);
    let mut bodies = contract.variants(&schema);
    let of_object = contract.variants(&contract.events.objects[kind]);
    bodies.extend(of_object.into_iter().map(|(place, object)| {
        let mut body = full.clone();
        body["data"]["object"] = object;
        (format!(".data.object{place}"), body)
    }));
    bodies.push((": minimal".to_owned(), contract.minimal(&schema)));
    bodies.push((": full".to_owned(), full));
    bodies
}

#[test]
fn each_event_of_stripe_is_read() {
    let contract = Contract::stripe().unwrap();
    let mut unread = BTreeMap::new();
    for kind in contract.events.objects.keys() {
        for (place, body) in event_variants(&contract, kind) {
            let event = receive(body.to_string().as_bytes());
            // One variant has an unknown type.
            let is_other = body["type"] != kind.as_str() || IGNORED.contains(&kind.as_str());
            let is_read = match event.kind {
                PaymentEventKind::Unreadable { .. } => false,
                PaymentEventKind::Other => is_other,
                _ => !is_other,
            };
            if !is_read {
                unread.insert(format!("{kind}{place}"), event);
            }
        }
    }
    assert!(unread.is_empty(), "not read: {unread:#?}");
}

/// The events that are ignored: those of a payment without an outcome, and those of a charge that
/// repeat an event of its refund.
const IGNORED: &[&str] = &[
    "charge.refund.updated",
    "charge.refunded",
    "payment_intent.created",
    "payment_intent.partially_funded",
    "payment_intent.processing",
];

/// Signs an event as Stripe does, and verifies it.
fn receive(event: &[u8]) -> PaymentEvent {
    let now = second(1_800_000_000);
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"whsec_test");
    let tag = hmac::sign(&key, &[b"1800000000.", event].concat());
    let tag = tag.as_ref().iter();
    let tag: Vec<String> = tag.map(|byte| format!("{byte:02x}")).collect();
    let signature = format!("t=1800000000,v1={}", tag.concat());
    let mut headers = HeaderMap::new();
    headers.insert("stripe-signature", signature.parse().unwrap());
    verify(&headers, event, "whsec_test", now).unwrap()
}

/// Asserts that each documented value of a field is known, and that any other is read as `other`.
fn assert_values_are_known<T: DeserializeOwned + PartialEq>(
    contract: &Contract,
    object: &str,
    field: &str,
    other: &T,
) {
    let values = &contract.schemas[object].properties[field].values;
    assert!(!values.is_empty(), "{object}.{field}");
    let read = |value: &str| serde_json::from_value::<T>(value.into()).unwrap();
    for value in values {
        assert!(read(value) != *other, "{object}.{field}: {value}");
    }
    assert!(read("an_unknown_value") == *other, "{object}.{field}");
}

#[test]
fn each_documented_status_is_known() {
    let stripe = Contract::stripe().unwrap();
    let intent = PaymentIntentStatus::Other;
    assert_values_are_known(&stripe, "payment_intent", "status", &intent);
    assert_values_are_known(&stripe, "refund", "status", &RefundStatus::Other);
    assert_values_are_known(&stripe, "dispute", "status", &DisputeStatus::Other);
    let shipengine = Contract::shipengine().unwrap();
    let other = TrackingStatus::Other;
    assert_values_are_known(&shipengine, "tracking_information", "status_code", &other);
    assert_values_are_known(&shipengine, "tracking_event", "status_code", &other);
}

/// The paths of the providers' APIs in a Rust file, with `x` for each parameter.
fn paths_in(source: &str) -> Vec<String> {
    let quoted = source.split("\"/v1/").skip(1);
    let paths = quoted.filter_map(|rest| rest.split_once('"'));
    let with_parameters = |(path, _): (&str, &str)| {
        let parts = path.split(['{', '}']).enumerate();
        let path: String = parts
            .map(|(index, part)| if index % 2 == 0 { part } else { "x" })
            .collect();
        format!("/v1/{path}")
    };
    paths.map(with_parameters).collect()
}

#[test]
fn each_path_in_the_clients_is_in_a_contract() {
    let contracts = [Contract::stripe().unwrap(), Contract::shipengine().unwrap()];
    let is_known = |path: &str| {
        ["GET", "POST", "PUT", "PATCH", "DELETE"]
            .iter()
            .any(|method| {
                let mut contracts = contracts.iter();
                contracts.any(|contract| contract.operation(method, path).is_some())
            })
    };
    let sources = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let sources = sources.map(|entry| entry.unwrap().path());
    let sources = sources.filter(|path| path.is_file());
    let paths: Vec<String> = sources
        .flat_map(|file| paths_in(&std::fs::read_to_string(file).unwrap()))
        .collect();
    assert!(paths.len() > 10, "{paths:?}");
    let unknown: Vec<&String> = paths.iter().filter(|it| !is_known(it)).collect();
    assert!(unknown.is_empty(), "in no contract: {unknown:?}");
}

#[test]
fn each_track_of_shipengine_is_read() {
    let contract = Contract::shipengine().unwrap();
    for (place, track) in answer_variants(&contract, "GET /v1/labels/{label_id}/track") {
        let read = serde_json::from_value::<Tracking>(track);
        assert!(read.is_ok(), "{place}: {read:?}");
    }
}

/// Source: <https://docs.stripe.com/api/errors>. 424 is a failed dependency.
const STRIPE_CLIENT_ERRORS: &[u16] = &[400, 401, 402, 403, 404, 409, 424, 429];
const STRIPE_SERVER_ERRORS: &[u16] = &[500, 502, 503, 504];

/// Source: <https://www.shipengine.com/docs/errors/codes/>.
const SHIPENGINE_CLIENT_ERRORS: &[u16] = &[400, 401, 403, 404, 409, 429];

/// Whether the client could not read a response, neither as a result nor as an error.
fn is_unreadable(result: &Result<(), CallError>) -> bool {
    let Err(CallError::Unknown { reason, .. }) = result else {
        return result.is_ok();
    };
    reason.contains("in no known form") || reason.contains("cannot be read")
}

/// The error responses of an operation, each with a description of its variant: each type of error
/// with each of the statuses, all other variants with the first status. An empty list of errors is
/// excluded.
fn error_variants(
    contract: &Contract,
    operation: &str,
    statuses: &[u16],
) -> Vec<(String, u16, Value)> {
    let schema = &contract.operations[operation].error;
    let mut errors = contract.variants(schema);
    errors.push((": minimal".to_owned(), contract.minimal(schema)));
    errors.retain(|(_, error)| error["errors"] != json!([]));
    let with_statuses = errors.into_iter().flat_map(|(place, error)| {
        let is_a_type = place.contains("type = ");
        let statuses = if is_a_type { statuses } else { &statuses[..1] };
        let with_status = move |&status| (place.clone(), status, error.clone());
        statuses.iter().map(with_status)
    });
    with_statuses.collect()
}

#[tokio::test]
async fn each_error_of_stripe_is_read() {
    let (stripe, payments) = Provider::stripe().await;
    for operation in [
        "GET /v1/disputes/{dispute}",
        "GET /v1/payment_intents/{intent}",
        "POST /v1/payment_intents",
    ] {
        let errors = error_variants(stripe.contract(), operation, STRIPE_CLIENT_ERRORS);
        for (place, status, error) in errors {
            stripe.set_answer(operation, status, error);
            let result = call_stripe(&payments, operation).await;
            assert!(
                !is_unreadable(&result),
                "{operation} {status}{place}: {result:?}"
            );
        }
        for &status in STRIPE_SERVER_ERRORS {
            let failure = json!({ "error": { "type": "api_error" } });
            stripe.set_answer(operation, status, failure);
            let failed = call_stripe(&payments, operation).await.unwrap_err();
            assert!(
                matches!(failed, CallError::Unknown { .. }),
                "{status}: {failed:?}"
            );
        }
    }
}

#[tokio::test]
async fn each_error_of_shipengine_is_read() {
    let (shipengine, shipping) = Provider::shipengine().await;
    for operation in SHIPPING
        .iter()
        .filter(|it| **it != "GET /v1/labels/{label_id}")
    {
        let errors = error_variants(shipengine.contract(), operation, SHIPENGINE_CLIENT_ERRORS);
        for (place, status, error) in errors {
            shipengine.set_answer(operation, status, error);
            let result = call_shipengine(&shipping, operation).await;
            // The client may treat these as a result: nothing was found, or a call is in flight.
            let is_result = [400, 404, 409].contains(&status) && result.is_ok();
            let is_read = is_result || !is_unreadable(&result);
            assert!(is_read, "{operation} {status}{place}: {result:?}");
        }
    }
}
