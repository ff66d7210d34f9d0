//! The simulators against the providers' published specifications: each answer has the required
//! fields, and requests that the specification does not allow are refused.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod common;

use std::collections::BTreeSet;

use contracts::Contract;
use orders::OrderId;
use providers::client;
use reqwest::Method;
use serde_json::{Value, json};
use simulators::Service;

use common::{Listener, Simulator};

/// A client that checks each answer against the provider's contract.
struct Caller {
    simulator: Simulator,
    contract: Contract,
    key: (&'static str, &'static str),
}

impl Caller {
    async fn of_stripe() -> Self {
        let key = ("authorization", "Bearer sk_test_ours");
        Self::of(simulators::PAYMENTS, Contract::stripe().unwrap(), key).await
    }

    async fn of_shipengine() -> Self {
        let key = ("api-key", "TEST_ours");
        Self::of(simulators::SHIPPING, Contract::shipengine().unwrap(), key).await
    }

    async fn of(service: Service, contract: Contract, key: (&'static str, &'static str)) -> Self {
        let simulator = Simulator::start(service).await;
        Self {
            simulator,
            contract,
            key,
        }
    }

    /// Sends a form.
    async fn post(&self, path: &str, form: &str) -> (u16, Value) {
        let request = client().unwrap().post(self.url(path)).body(form.to_owned());
        let form_encoded = "application/x-www-form-urlencoded";
        self.send(path, request.header("content-type", form_encoded))
            .await
    }

    /// Sends JSON, or nothing.
    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = client().unwrap().request(method, self.url(path));
        let request = body
            .into_iter()
            .fold(request, reqwest::RequestBuilder::json);
        self.send(path, request).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(Method::GET, path, None).await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.simulator.url)
    }

    /// Buys a label to an address without a state or province, as our client does, although the
    /// specification requires one.
    async fn label_without_state(&self) -> Value {
        let mut purchase = shipment();
        purchase["shipment"]["ship_to"]["state_province"] = Value::Null;
        let (name, value) = self.key;
        let request = client().unwrap().post(self.url("/v1/labels"));
        let answer = request.header(name, value).json(&purchase).send().await;
        answer.unwrap().json().await.unwrap()
    }

    /// Calls a control route of the simulator.
    async fn control(&self, path: &str, body: Value) -> Value {
        let answer = self.simulator.control(Method::POST, path, Some(body)).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    /// Receives and checks events until all of `types` have come. Returns their types.
    async fn receive(&self, listener: &mut Listener, types: &[&str]) -> BTreeSet<String> {
        let mut received = BTreeSet::new();
        while !types.iter().all(|kind| received.contains(*kind)) {
            let (_, body) = listener.next().await;
            let event: Value = serde_json::from_slice(&body).unwrap();
            let found = self.contract.check_event(&event);
            let found = found.iter().map(ToString::to_string);
            let found: Vec<String> = found.filter(|it| !is_known_contradiction(it)).collect();
            assert!(found.is_empty(), "{event}: {found:#?}");
            let kind = event[&self.contract.events.type_field].as_str();
            received.insert(kind.unwrap().to_owned());
        }
        received
    }

    async fn send(&self, path: &str, request: reqwest::RequestBuilder) -> (u16, Value) {
        let (name, value) = self.key;
        let (client, request) = request.header(name, value).build_split();
        let request = request.unwrap();
        let method = request.method().clone();
        let answer = client.execute(request).await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let (operation, _) = self.contract.operation(method.as_str(), path).unwrap();
        let found = self.contract.check_answer(operation, status, &body);
        let found = found.iter().map(ToString::to_string);
        let found: Vec<String> = found.filter(|it| !is_known_contradiction(it)).collect();
        assert!(found.is_empty(), "{operation} {status}: {found:#?}");
        (status, body)
    }
}

/// Whether the specification contradicts another source of the provider here.
fn is_known_contradiction(deviation: &str) -> bool {
    // The 404 that ShipEngine's own client expects.
    let not_found = deviation.starts_with("answer.errors[0].error_code: is not one of");
    // A label without a batch, as in an example of the specification.
    let no_batch = deviation.ends_with("batch_id: is shorter than 1");
    // A place without a state or province, as in the example of an event.
    let in_no_state = deviation.ends_with("].state_province: is shorter than 2");
    not_found || no_batch || in_no_state
}

fn id(answer: &(u16, Value)) -> String {
    answer.1["id"].as_str().unwrap().to_owned()
}

const CARD: &str = "amount=1299&currency=eur&payment_method_types[]=card&capture_method=manual";

fn confirmed(card: &str) -> String {
    format!("{CARD}&confirm=true&payment_method={card}&metadata[order_id]=7&expand[]=latest_charge")
}

#[tokio::test]
async fn a_payment_and_its_refunds_have_all_documented_fields() {
    let stripe = Caller::of_stripe().await;
    stripe.get("/v1/balance").await;
    let created = stripe.post("/v1/payment_intents", CARD).await;
    let path = format!("/v1/payment_intents/{}", id(&created));
    let confirm = format!("{path}/confirm");
    let (status, _) = stripe.post(&confirm, "payment_method=pm_card_visa").await;
    assert_eq!(status, 200);
    stripe.post(&format!("{path}/capture"), "").await;
    for query in ["", "?expand[]=latest_charge"] {
        stripe.get(&format!("{path}{query}")).await;
        stripe.get(&format!("/v1/payment_intents{query}")).await;
    }
    let held = stripe
        .post("/v1/payment_intents", &confirmed("pm_card_visa"))
        .await;
    let held = format!("/v1/payment_intents/{}", id(&held));
    stripe
        .post(&format!("{held}/cancel"), "cancellation_reason=abandoned")
        .await;
    stripe.get(&held).await;
    let query = "query=metadata['order_id']:'7'&limit=1";
    let (status, _) = stripe
        .get(&format!("/v1/payment_intents/search?{query}"))
        .await;
    assert_eq!(status, 200);
    let form = format!(
        "payment_intent={}&amount=300&reason=duplicate",
        id(&created)
    );
    let refund = stripe.post("/v1/refunds", &form).await;
    let refund = format!("/v1/refunds/{}", id(&refund));
    for path in [refund.as_str(), "/v1/refunds?limit=1"] {
        stripe.get(path).await;
    }
    stripe
        .get(&format!("{refund}?expand[]=payment_intent"))
        .await;
    stripe.get("/v1/refunds?expand[]=data.payment_intent").await;
}

#[tokio::test]
async fn a_dispute_has_all_documented_fields() {
    let stripe = Caller::of_stripe().await;
    let held = stripe
        .post("/v1/payment_intents", &confirmed("pm_card_visa"))
        .await;
    stripe
        .post(&format!("/v1/payment_intents/{}/capture", id(&held)), "")
        .await;
    for status in [
        "warning_needs_response",
        "warning_under_review",
        "warning_closed",
        "needs_response",
        "under_review",
        "won",
    ] {
        let change = json!({ "order_id": "7", "status": status });
        let dispute = stripe.control("/_dispute", change).await;
        let path = format!("/v1/disputes/{}", dispute["id"].as_str().unwrap());
        let (_, shown) = stripe.get(&path).await;
        assert_eq!(shown, dispute);
        let (_, expanded) = stripe.get(&format!("{path}?expand[]=payment_intent")).await;
        assert_eq!(expanded["payment_intent"]["id"], held.1["id"]);
        for query in [
            "?limit=1&created[gte]=1&created[lt]=9999999999",
            "?expand[]=data.payment_intent",
            &format!("?payment_intent={}", id(&held)),
        ] {
            let (_, list) = stripe.get(&format!("/v1/disputes{query}")).await;
            assert_eq!(list["data"][0]["status"], status);
        }
    }
}

#[tokio::test]
async fn each_stripe_event_has_all_documented_fields() {
    let stripe = Caller::of_stripe().await;
    let settings = json!({ "secret": "whsec_ours" });
    let mut listener = Listener::of(&stripe.simulator, settings).await;
    let mut received = BTreeSet::new();
    for (card, kind) in [
        (
            "pm_card_chargeDeclinedExpiredCard",
            "payment_intent.payment_failed",
        ),
        (
            "pm_card_threeDSecure2Required",
            "payment_intent.requires_action",
        ),
    ] {
        stripe.post("/v1/payment_intents", &confirmed(card)).await;
        received.extend(stripe.receive(&mut listener, &[kind]).await);
    }
    let held = "payment_intent.amount_capturable_updated";
    let canceled = stripe
        .post("/v1/payment_intents", &confirmed("pm_card_visa"))
        .await;
    let cancel = format!("/v1/payment_intents/{}/cancel", id(&canceled));
    stripe.post(&cancel, "").await;
    let kinds = [held, "payment_intent.canceled"];
    received.extend(stripe.receive(&mut listener, &kinds).await);
    let card = "pm_card_refundFail";
    let captured = stripe.post("/v1/payment_intents", &confirmed(card)).await;
    let capture = format!("/v1/payment_intents/{}/capture", id(&captured));
    stripe.post(&capture, "").await;
    let kinds = [held, "payment_intent.succeeded"];
    received.extend(stripe.receive(&mut listener, &kinds).await);
    let form = format!("payment_intent={}", id(&captured));
    stripe.post("/v1/refunds", &form).await;
    let of_refund = [
        "charge.refunded",
        "refund.created",
        "refund.failed",
        "refund.updated",
    ];
    received.extend(stripe.receive(&mut listener, &of_refund).await);
    for (status, kinds) in [
        ("warning_needs_response", &["created"][..]),
        ("warning_closed", &["closed"]),
        ("needs_response", &["updated", "funds_withdrawn"]),
        ("won", &["closed", "funds_reinstated"]),
    ] {
        let change = json!({ "order_id": "7", "status": status });
        stripe.control("/_dispute", change).await;
        let kinds = kinds.iter().map(|kind| format!("charge.dispute.{kind}"));
        let kinds: Vec<String> = kinds.collect();
        let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
        received.extend(stripe.receive(&mut listener, &kinds).await);
    }
    let documented = stripe.contract.events.objects.keys().cloned();
    let mut documented: BTreeSet<String> = documented.collect();
    // The simulator does not send these.
    for kind in [
        "charge.refund.updated",
        "payment_intent.created",
        "payment_intent.partially_funded",
        "payment_intent.processing",
    ] {
        assert!(documented.remove(kind), "{kind}");
    }
    assert_eq!(received, documented);
}

#[tokio::test]
async fn a_refund_in_each_status_has_all_documented_fields() {
    let stripe = Caller::of_stripe().await;
    for card in ["pm_card_pendingRefund", "pm_card_refundFail"] {
        let held = stripe.post("/v1/payment_intents", &confirmed(card)).await;
        let capture = format!("/v1/payment_intents/{}/capture", id(&held));
        stripe.post(&capture, "").await;
        let form = format!("payment_intent={}", id(&held));
        let refund = stripe.post("/v1/refunds", &form).await;
        let path = format!("/v1/refunds/{}", id(&refund));
        let first = refund.1["status"].clone();
        // The bank settles it within a second.
        while stripe.get(&path).await.1["status"] == first {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_refusal_by_stripe_has_the_documented_form() {
    let stripe = Caller::of_stripe().await;
    for card in [
        "pm_card_chargeDeclinedInsufficientFunds",
        "pm_card_chargeDeclinedExpiredCard",
    ] {
        let declined = stripe.post("/v1/payment_intents", &confirmed(card)).await;
        assert_eq!(declined.0, 402);
    }
    let card = "pm_card_threeDSecure2Required";
    let action = stripe.post("/v1/payment_intents", &confirmed(card)).await;
    assert_eq!(action.1["status"], "requires_action");
    let path = format!("/v1/payment_intents/{}/capture", id(&action));
    assert_eq!(stripe.post(&path, "").await.0, 400);
    for path in [
        "/v1/payment_intents/pi_none",
        "/v1/refunds/re_none",
        "/v1/disputes/du_none",
    ] {
        assert_eq!(stripe.get(path).await.0, 404);
    }
    for fault in [
        json!({ "mode": "error", "status": 500 }),
        json!({ "mode": "rate_limited", "retry_after": 1 }),
        json!({ "mode": "refuse" }),
        json!({ "mode": "not_served" }),
    ] {
        stripe.simulator.fail_next(fault).await;
        stripe.post("/v1/payment_intents", CARD).await;
    }
}

/// Posts a form that is refused. Returns the status, the code and the parameter.
async fn refused(stripe: &Caller, path: &str, form: &str) -> (u16, Value, Value) {
    let (status, body) = stripe.post(path, form).await;
    let error = &body["error"];
    assert_eq!(error["type"], "invalid_request_error", "{form}: {body}");
    (status, error["code"].clone(), error["param"].clone())
}

#[tokio::test]
async fn stripe_refuses_requests_that_its_specification_does_not_allow() {
    let stripe = Caller::of_stripe().await;
    let long = "x".repeat(501);
    let many: Vec<String> = (0..51).map(|n| format!("metadata[k{n}]=v")).collect();
    let many = many.join("&");
    for (more, code, param) in [
        ("colour=red", json!("parameter_unknown"), "colour"),
        (
            "automatic_payment_methods[enabled]=true&automatic_payment_methods[colour]=red",
            json!("parameter_unknown"),
            "automatic_payment_methods[colour]",
        ),
        ("confirm=perhaps", Value::Null, "confirm"),
        ("capture_method=later", Value::Null, "capture_method"),
        (&format!("metadata[note]={long}"), Value::Null, "metadata"),
        (
            &format!("metadata[{}]=v", "k".repeat(41)),
            Value::Null,
            "metadata",
        ),
        (&many, Value::Null, "metadata"),
    ] {
        let form = format!("{CARD}&{more}");
        let expected = (400, code, json!(param));
        let path = "/v1/payment_intents";
        assert_eq!(refused(&stripe, path, &form).await, expected, "{more}");
    }
    for (form, code, param) in [
        ("currency=eur", json!("parameter_missing"), "amount"),
        ("amount=1299", json!("parameter_missing"), "currency"),
        (
            "amount=12.99&currency=eur",
            json!("parameter_invalid_integer"),
            "amount",
        ),
        ("amount=1299&currency=xxx", Value::Null, "currency"),
        ("amount=1299&currency=euro", Value::Null, "currency"),
    ] {
        let expected = (400, code, json!(param));
        let path = "/v1/payment_intents";
        assert_eq!(refused(&stripe, path, form).await, expected, "{form}");
    }
    let unknown = (400, json!("parameter_unknown"), json!("why"));
    let created = stripe.post("/v1/payment_intents", CARD).await;
    let path = format!("/v1/payment_intents/{}", id(&created));
    for verb in ["confirm", "capture", "cancel"] {
        let refusal = refused(&stripe, &format!("{path}/{verb}"), "why=so").await;
        assert_eq!(refusal, unknown, "{verb}");
    }
    assert_eq!(refused(&stripe, "/v1/refunds", "why=so").await, unknown);
    for path in [
        path.as_str(),
        "/v1/balance",
        "/v1/disputes",
        "/v1/disputes/du_1",
        "/v1/payment_intents",
        "/v1/refunds",
        "/v1/refunds/re_1",
    ] {
        let (status, body) = stripe.get(&format!("{path}?why=so")).await;
        assert_eq!((status, &body["error"]["param"]), (400, &json!("why")));
    }
    let created = stripe.get("/v1/disputes?created[since]=1").await;
    assert_eq!(created.1["error"]["param"], "created[since]");
    let many = stripe.get("/v1/refunds?limit=many").await;
    assert_eq!(many.1["error"]["code"], "parameter_invalid_integer");
    let none = stripe.get("/v1/payment_intents/search").await;
    assert_eq!(none.1["error"]["code"], "parameter_missing");
}

fn shipment() -> Value {
    let address = json!({
        "name": "Shopper One",
        "phone": "+34 900 000 001",
        "address_line1": "Calle Mayor 1",
        "city_locality": "Madrid",
        "state_province": "Madrid",
        "postal_code": "28013",
        "country_code": "ES",
    });
    json!({ "shipment": {
        "carrier_id": "se-100001",
        "service_code": "usps_priority_mail",
        "external_shipment_id": OrderId::generate(),
        "ship_to": address,
        "ship_from": address,
        "packages": [{ "weight": { "value": 500, "unit": "gram" } }],
    } })
}

#[tokio::test]
async fn a_label_has_all_documented_fields() {
    let shipengine = Caller::of_shipengine().await;
    shipengine.get("/v1/carriers").await;
    let purchase = shipment();
    let (status, label) = shipengine
        .call(Method::POST, "/v1/labels", Some(&purchase))
        .await;
    assert_eq!(status, 200, "{label}");
    let external = purchase["shipment"]["external_shipment_id"]
        .as_str()
        .unwrap();
    let by_external = format!("/v1/shipments/external_shipment_id/{external}");
    let (status, shipment) = shipengine.get(&by_external).await;
    assert_eq!(status, 200, "{shipment}");
    let path = format!("/v1/labels/{}", label["label_id"].as_str().unwrap());
    shipengine.get(&path).await;
    for status in ["IT", "EX", "DE"] {
        shipengine.get(&format!("{path}/track")).await;
        let moved = json!({ "label_id": label["label_id"], "status": status });
        shipengine.control("/_carrier", moved).await;
    }
    shipengine.get(&format!("{path}/track")).await;
    let number = label["tracking_number"].as_str().unwrap();
    let of_parcel = format!("/v1/labels?tracking_number={number}");
    let (_, of_parcel) = shipengine.get(&of_parcel).await;
    assert_eq!(of_parcel["labels"][0]["label_id"], label["label_id"]);
    for _ in 0..2 {
        let void = format!("{path}/void");
        shipengine.call(Method::PUT, &void, None).await;
    }
    shipengine.get(&path).await;
    shipengine.get(&by_external).await;
    let id = shipment["shipment_id"].as_str().unwrap();
    let again = format!("/v1/labels/shipment/{id}");
    let again = shipengine
        .call(Method::POST, &again, Some(&json!({})))
        .await;
    assert_eq!(again.0, 200);
    for query in ["", "?page_size=1", "?page_size=1&page=2", "?page=9"] {
        shipengine.get(&format!("/v1/labels{query}")).await;
    }
}

#[tokio::test]
async fn each_shipengine_event_has_all_documented_fields() {
    let shipengine = Caller::of_shipengine().await;
    let mut listener = Listener::of(&shipengine.simulator, json!({})).await;
    let (_, label) = shipengine
        .call(Method::POST, "/v1/labels", Some(&shipment()))
        .await;
    let statuses = &shipengine.contract.schemas["tracking_event"].properties["status_code"];
    for label in [label, shipengine.label_without_state().await] {
        for status in &statuses.values {
            let moved = json!({ "label_id": label["label_id"], "status": status });
            shipengine.control("/_carrier", moved).await;
            shipengine.receive(&mut listener, &["API_TRACK"]).await;
        }
        let path = format!("/v1/labels/{}/track", label["label_id"].as_str().unwrap());
        shipengine.get(&path).await;
    }
}

#[tokio::test]
async fn a_refusal_by_shipengine_has_the_documented_form() {
    let shipengine = Caller::of_shipengine().await;
    for path in [
        "/v1/labels/se-1",
        "/v1/labels/se-1/track",
        "/v1/shipments/external_shipment_id/none",
    ] {
        assert_eq!(shipengine.get(path).await.0, 404);
    }
    let mut nowhere = shipment();
    nowhere["shipment"]["ship_to"]["postal_code"] = "00000".into();
    let refused = shipengine
        .call(Method::POST, "/v1/labels", Some(&nowhere))
        .await;
    assert_eq!(refused.0, 400);
    for fault in [
        json!({ "mode": "error", "status": 500 }),
        json!({ "mode": "rate_limited", "retry_after": 1 }),
        json!({ "mode": "refuse" }),
        json!({ "mode": "not_served" }),
    ] {
        shipengine.simulator.fail_next(fault).await;
        shipengine
            .call(Method::POST, "/v1/labels", Some(&shipment()))
            .await;
    }
}

#[tokio::test]
async fn shipengine_refuses_requests_that_its_specification_does_not_allow() {
    let shipengine = Caller::of_shipengine().await;
    let without = |pointer: &str, field: &str| {
        let mut asked = shipment();
        let object = asked.pointer_mut(pointer).unwrap();
        object.as_object_mut().unwrap().remove(field);
        asked
    };
    let with = |pointer: &str, field: &str, value: Value| {
        let mut asked = shipment();
        asked.pointer_mut(pointer).unwrap()[field] = value;
        asked
    };
    let (required, invalid) = ("field_value_required", "invalid_field_value");
    for (asked, code, field) in [
        (without("", "shipment"), required, "shipment"),
        (
            without("/shipment", "service_code"),
            required,
            "shipment.service_code",
        ),
        (
            without("/shipment/ship_to", "city_locality"),
            required,
            "shipment.ship_to.city_locality",
        ),
        (
            without("/shipment/ship_from", "phone"),
            required,
            "shipment.ship_from.phone",
        ),
        (
            without("/shipment/packages/0", "weight"),
            required,
            "shipment.packages[0].weight",
        ),
        (
            with("/shipment", "colour", "red".into()),
            invalid,
            "shipment.colour",
        ),
        (
            with("/shipment/packages/0/weight", "unit", "stone".into()),
            invalid,
            "shipment.packages[0].weight.unit",
        ),
        (
            with("/shipment", "external_shipment_id", "x".repeat(51).into()),
            "invalid_string_length",
            "shipment.external_shipment_id",
        ),
        (
            with("", "label_format", "gif".into()),
            invalid,
            "label_format",
        ),
    ] {
        let (status, body) = shipengine
            .call(Method::POST, "/v1/labels", Some(&asked))
            .await;
        let error = &body["errors"][0];
        let refusal = (status, &error["error_code"], &error["field_name"]);
        assert_eq!(refusal, (400, &json!(code), &json!(field)), "{body}");
    }
    for query in ["page=0", "sort_by=colour", "colour=red", "tracking_number="] {
        let refused = shipengine.get(&format!("/v1/labels?{query}")).await;
        assert_eq!(refused.0, 400, "{query}");
    }
}
