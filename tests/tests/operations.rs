//! The work of operators: circuits, parked executions, attention items, and dead letters. A forced
//! circuit affects all orders, so these tests hold the lock of the providers.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    LABEL_BOUGHT, Order, OrderRequest, Person, Response, Stack, eventually, shipped, waiting,
};
use uuid::Uuid;

async fn get(person: &Person, path: &str) -> Value {
    person.get(path).await.with_status(200).json()
}

async fn post(person: &Person, path: &str, body: &Value) -> Response {
    Response::of(person.request(Method::POST, path).json(body)).await
}

async fn force(person: &Person, provider: &str, body: &Value) -> Response {
    let path = format!("/v1/ops/circuits/{provider}");
    Response::of(person.request(Method::PUT, &path).json(body)).await
}

/// All parked executions, over all pages.
async fn all_parked(operator: &Person, query: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(operator, &format!("/v1/ops/parked?{query}{cursor}")).await;
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// The parked executions of an order.
async fn parked(operator: &Person, order: &Order) -> Vec<Value> {
    let mut found = all_parked(operator, "limit=100").await;
    found.retain(|it| it["order_id"] == order.id.to_string());
    found
}

/// The only parked execution of an order, once there is one.
async fn wait_until_parked(operator: &Person, order: &Order) -> Value {
    eventually("parked", async || {
        let mut parked = parked(operator, order).await;
        match parked.pop() {
            Some(one) if parked.is_empty() => Ok(one),
            more => Err(format!("{more:?} and {parked:?}")),
        }
    })
    .await
}

fn attempts(order: &Order) -> u64 {
    let wait = order.wait.as_ref();
    wait.map_or(0, |wait| wait["attempts"].as_u64().unwrap())
}

#[tokio::test]
async fn a_circuit_that_is_forced_open_admits_no_calls_until_it_is_released() {
    let stack = Stack::find();
    let (operator, shopper) = (stack.staff("operator").await, stack.new_shopper().await);
    stack.database().await.restock("KITCHEN-0101", 10).await;
    let _lock = stack.lock_providers().await;

    let mut placed = None;
    stack
        .with_circuit_forced_open("payments", async || {
            let circuit = stack.circuit("payments").await;
            assert_eq!(circuit["forced"]["force"], "open");
            assert_eq!(circuit["forced"]["by"], operator.claims()["email"]);
            let change = &circuit["history"][0];
            assert_eq!(
                (&change["cause"], &change["forced"], &change["reason"]),
                (&"forced".into(), &"open".into(), &"A test.".into())
            );
            assert!(circuit["figures"]["failure_rate"].is_number(), "{circuit}");

            stack.payments.reset_calls().await;
            let order = shopper
                .place_order(&OrderRequest::of("KITCHEN-0101", 1))
                .await;
            let order = shopper.order(&order).until(waiting).await;
            assert_eq!(order.wait.as_ref().unwrap()["provider"], "payments");
            let parked = wait_until_parked(&operator, &order).await;
            assert_eq!(parked["step"], "AuthorizePayment");
            assert_eq!(stack.payments.total_calls().await, 0);
            placed = Some(order);
        })
        .await;

    let order = shopper.order(&placed.unwrap()).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    assert_eq!(stack.shipping.ledger_of(&order).await, [LABEL_BOUGHT]);
    assert!(parked(&operator, &order).await.is_empty());
    let circuit = stack.circuit("payments").await;
    assert_eq!(circuit["forced"], Value::Null);
    assert_eq!(circuit["history"][0]["by"], operator.claims()["email"]);
}

/// The number of events of a kind since the given minute.
fn count_since(activity: &Value, what: &str, since: &str) -> i64 {
    let minutes = activity["minutes"].as_array().unwrap();
    assert_eq!(minutes.len(), 60);
    let newer = minutes.iter().filter(|it| it["at"].as_str() >= Some(since));
    newer.map(|it| it[what].as_i64().unwrap()).sum()
}

#[tokio::test]
async fn activity_is_counted_by_minute_and_backlogs_by_age() {
    let stack = Stack::find();
    let (operator, shopper) = (stack.staff("operator").await, stack.new_shopper().await);
    stack.database().await.restock("KITCHEN-0101", 10).await;
    let _lock = stack.lock_providers().await;
    let before = get(&operator, "/v1/ops/activity").await;
    let minute = before["minutes"][59]["at"].as_str().unwrap();

    let mut placed = None;
    stack
        .with_circuit_forced_open("shipping", async || {
            let order = shopper
                .place_order(&OrderRequest::of("KITCHEN-0101", 1))
                .await;
            shopper.order(&order).until(waiting).await;
            let now = get(&operator, "/v1/ops/activity").await;
            let accepted = |activity| count_since(activity, "accepted", minute);
            assert!(accepted(&now) > accepted(&before), "{now}");
            for backlog in ["orders", "shipping"] {
                let backlog = &now["backlogs"][backlog];
                assert!(backlog["count"].as_i64().unwrap() >= 1, "{now}");
                assert!(backlog["since"].is_string(), "{now}");
            }
            placed = Some(order);
        })
        .await;
    shopper.order(&placed.unwrap()).until(shipped).await;
    let after = get(&operator, "/v1/ops/activity").await;
    let shipped = |activity| count_since(activity, "shipped", minute);
    assert!(shipped(&after) > shipped(&before), "{after}");
}

#[tokio::test]
async fn forcing_requires_a_reason_and_an_existing_circuit() {
    let stack = Stack::find();
    let (operator, database) = (stack.staff("operator").await, stack.database().await);
    let _lock = stack.lock_providers().await;
    let before = stack.circuit("shipping").await;
    let rows = database.audit_of("shipping").await.len();

    for (body, field) in [
        (json!({ "force": "open" }), "reason"),
        (json!({ "force": "open", "reason": "  " }), "reason"),
        (json!({ "reason": "A test." }), "force"),
        (json!({ "force": "ajar", "reason": "A test." }), "force"),
    ] {
        let response = force(&operator, "shipping", &body).await;
        response.assert_problem(422, "validation", Some(field));
    }
    let after = stack.circuit("shipping").await;
    for same in ["forced", "history", "since", "state"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    let audit = database.audit_of("shipping").await.split_off(rows);
    assert_eq!(audit.len(), 4, "{audit:?}");
    for row in audit {
        assert_eq!(row["action"], "circuit.force");
        assert_eq!(row["outcome"], "refused");
        assert_eq!(row["actor"], operator.claims()["email"]);
        assert_eq!(row["after"]["problem"], "validation");
    }

    let weather = format!("weather-{}", Uuid::new_v4());
    let body = json!({ "force": "open", "reason": "A test." });
    let response = force(&operator, &weather, &body).await;
    response.assert_problem(404, "not-found", None);
    let audit = database.audit_of(&weather).await;
    assert_eq!(audit.len(), 1, "{audit:?}");
    assert_eq!(audit[0]["reason"], "A test.");
}

#[tokio::test]
async fn changes_of_a_circuit_are_audited_with_actor_and_reason() {
    let stack = Stack::find();
    let (operator, database) = (stack.staff("operator").await, stack.database().await);
    let _lock = stack.lock_providers().await;
    let rows = database.audit_of("shipping").await.len();

    stack
        .with_circuit_forced_open("shipping", async || {})
        .await;
    let audit = database.audit_of("shipping").await.split_off(rows);
    assert_eq!(audit.len(), 2, "{audit:?}");
    for row in &audit {
        assert_eq!(row["outcome"], "done");
        assert_eq!(row["reason"], "A test.");
        assert_eq!(row["actor"], operator.claims()["email"]);
    }
    assert_eq!(audit[0]["before"]["forced"], Value::Null);
    let forced = &audit[0]["after"]["forced"];
    assert_eq!(forced["forced"], "open");
    assert_eq!(&audit[1]["before"]["forced"], forced);
    assert_eq!(audit[1]["after"]["forced"], Value::Null);
}

#[tokio::test]
async fn an_operator_resumes_a_parked_order() {
    let stack = Stack::find();
    let (operator, shopper) = (stack.staff("operator").await, stack.new_shopper().await);
    stack.database().await.restock("KITCHEN-0102", 10).await;
    let _lock = stack.lock_providers().await;

    let mut placed = None;
    stack
        .with_circuit_forced_open("shipping", async || {
            let order = shopper
                .place_order(&OrderRequest::of("KITCHEN-0102", 1))
                .await;
            let order = shopper.order(&order).until(waiting).await;
            assert_eq!(
                wait_until_parked(&operator, &order).await["step"],
                "BuyLabel"
            );

            let path = format!("/v1/ops/parked/{}/release", order.id);
            let released = post(&operator, &path, &json!({})).await.with_status(200);
            assert_eq!(released.json::<Value>()["order_id"], order.id.to_string());
            // It resumes, finds the circuit still forced open, and waits again.
            eventually("tried again", async || {
                let now = shopper.order(&order).now().await;
                if attempts(&now) > attempts(&order) {
                    Ok(())
                } else {
                    Err(format!("{now:?}"))
                }
            })
            .await;
            placed = Some(order);
        })
        .await;

    let order = shopper.order(&placed.unwrap()).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    let audit = stack.database().await.audit_of(&order.id.to_string()).await;
    assert_eq!(audit[0]["action"], "parked.release");
    assert_eq!(audit[0]["outcome"], "done");
}

#[tokio::test]
async fn an_operator_resumes_a_parked_refund() {
    let stack = Stack::find();
    let (operator, support) = (stack.staff("operator").await, stack.staff("support").await);
    let shopper = stack.new_shopper().await;
    stack.database().await.restock("KITCHEN-0103", 10).await;
    let _lock = stack.lock_providers().await;
    let order = shopper
        .place_order(&OrderRequest::of("KITCHEN-0103", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;

    stack
        .with_circuit_forced_open("payments", async || {
            let key = Uuid::new_v4().to_string();
            let request = support.refund_request(&order, order.total_cents, &key);
            let refund: Value = Response::of(request).await.with_status(202).json();
            let first = wait_until_parked(&operator, &order).await;
            assert_eq!(first["refund_id"], refund["id"]);
            assert_eq!(first["step"], "Refund");

            let order_itself = format!("/v1/ops/parked/{}/release", order.id);
            let response = post(&operator, &order_itself, &json!({})).await;
            response.assert_problem(409, "order-not-parked", None);
            let refund = refund["id"].as_str().unwrap();
            let path = format!("{order_itself}?refund={refund}");
            post(&operator, &path, &json!({})).await.with_status(200);
            wait_until_parked(&operator, &order).await;
        })
        .await;

    let order = shopper
        .order(&order)
        .until(|order| order.payment == "refunded")
        .await;
    let ledger = stack.payments.ledger_of(&order).await;
    assert_eq!(ledger[2..], [format!("refunded {} EUR", order.total_cents)]);
}

#[tokio::test]
async fn parked_executions_of_both_providers_are_listed_by_age() {
    let stack = Stack::find();
    let (operator, shopper) = (stack.staff("operator").await, stack.new_shopper().await);
    stack.database().await.restock("KITCHEN-0104", 10).await;
    let _lock = stack.lock_providers().await;

    let mut placed = Vec::new();
    stack
        .with_circuit_forced_open("shipping", async || {
            let shipping = shopper
                .place_order(&OrderRequest::of("KITCHEN-0104", 1))
                .await;
            let shipping = shopper.order(&shipping).until(waiting).await;
            placed.push(shipping);
            let test = async || {
                let payments = shopper
                    .place_order(&OrderRequest::of("KITCHEN-0104", 1))
                    .await;
                placed.push(shopper.order(&payments).until(waiting).await);
                for order in &placed {
                    wait_until_parked(&operator, order).await;
                }
                let ids: Vec<_> = placed.iter().map(|order| json!(order.id)).collect();
                let listed = async |query: &str| {
                    let all = all_parked(&operator, query).await;
                    let listed = all.iter().map(|it| it["order_id"].clone());
                    listed.filter(|id| ids.contains(id)).collect::<Vec<_>>()
                };
                assert_eq!(listed("limit=1").await, ids);
                assert_eq!(listed("limit=1&provider=shipping").await, ids[..1]);
                assert_eq!(listed("limit=1&provider=payments").await, ids[1..]);
            };
            stack.with_circuit_forced_open("payments", test).await;
        })
        .await;
    for order in &placed {
        shopper.order(order).until(shipped).await;
    }
}

#[tokio::test]
async fn only_parked_executions_can_be_resumed() {
    let stack = Stack::find();
    let (operator, shopper) = (stack.staff("operator").await, stack.new_shopper().await);
    stack.database().await.restock("KITCHEN-0105", 10).await;
    let _lock = stack.lock_providers().await;
    let order = shopper
        .place_order(&OrderRequest::of("KITCHEN-0105", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;

    let path = format!("/v1/ops/parked/{}/release", order.id);
    for (query, status, kind, field) in [
        (String::new(), 409, "order-not-parked", None),
        (
            format!("?refund={}", order.id),
            409,
            "order-not-parked",
            None,
        ),
        ("?refund=tea".to_owned(), 404, "not-found", None),
        ("?colour=red".to_owned(), 422, "validation", Some("colour")),
    ] {
        let response = post(&operator, &format!("{path}{query}"), &json!({})).await;
        response.assert_problem(status, kind, field);
    }
    let response = post(&operator, "/v1/ops/parked/tea/release", &json!({})).await;
    response.assert_problem(404, "not-found", None);
    let audit = stack.database().await.audit_of(&order.id.to_string()).await;
    assert_eq!(audit.len(), 4, "{audit:?}");
    assert!(audit.iter().all(|row| row["outcome"] == "refused"));
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
}

#[tokio::test]
async fn an_attention_item_is_resolved_once() {
    let stack = Stack::find();
    let (operator, shopper) = (stack.staff("operator").await, stack.new_shopper().await);
    let database = stack.database().await;
    database.restock("KITCHEN-0106", 10).await;
    let _lock = stack.lock_providers().await;
    let order = shopper
        .place_order(&OrderRequest::of("KITCHEN-0106", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;

    let id = database.insert_attention(&order, "label_not_voided").await;
    let listed = |list: &Value| {
        let items = list["items"].as_array().unwrap();
        items.iter().any(|it| it["id"] == id.to_string())
    };
    let before = get(&operator, "/v1/ops/attention?limit=100").await;
    assert!(listed(&before), "{before}");

    let path = format!("/v1/ops/attention/{id}/resolve");
    for (body, status, kind, field) in [
        (
            json!({ "resolution": "dismiss" }),
            422,
            "validation",
            Some("reason"),
        ),
        (
            json!({ "resolution": "shrug", "reason": "A test." }),
            422,
            "validation",
            Some("resolution"),
        ),
        // The order is shipped, so nothing is left to do.
        (
            json!({ "resolution": "restart", "reason": "A test." }),
            409,
            "nothing-to-restart",
            None,
        ),
    ] {
        let response = post(&operator, &path, &body).await;
        response.assert_problem(status, kind, field);
    }
    let body = json!({ "resolution": "dismiss", "reason": "It was put right by hand." });
    post(&operator, &path, &body).await.with_status(200);
    let after = get(&operator, "/v1/ops/attention?limit=100").await;
    assert!(!listed(&after), "{after}");
    let again = post(&operator, &path, &body).await;
    again.assert_problem(404, "not-found", None);

    let audit = database.audit_of(&id.to_string()).await;
    let outcomes: Vec<_> = audit.iter().map(|row| row["outcome"].as_str()).collect();
    let (refused, done) = (Some("refused"), Some("done"));
    assert_eq!(outcomes, [refused, refused, refused, done, refused]);
    assert_eq!(audit[3]["reason"], "It was put right by hand.");
}

#[tokio::test]
async fn an_order_with_an_attention_item_is_processed_again() {
    let stack = Stack::find();
    let (operator, shopper) = (stack.staff("operator").await, stack.new_shopper().await);
    let database = stack.database().await;
    database.restock("KITCHEN-0107", 5).await;
    let _lock = stack.lock_providers().await;

    stack.shipping.fail_all(tests::BUY_LABEL).await;
    let order = shopper
        .place_order(&OrderRequest::of("KITCHEN-0107", 1))
        .await;
    shopper.order(&order).until(waiting).await;
    stack.stop_execution(&order).await;
    stack.shipping.recover().await;
    let id = database.insert_attention(&order, "deadline_passed").await;
    let path = format!("/v1/ops/attention/{id}/resolve");
    let body = json!({ "resolution": "restart", "reason": "Its execution is gone." });
    post(&operator, &path, &body).await.with_status(200);

    let order = shopper.order(&order).until(shipped).await;
    assert_eq!(stack.payments.ledger_of(&order).await, order.paid_once());
    assert_eq!(stack.shipping.ledger_of(&order).await, [LABEL_BOUGHT]);
}

#[tokio::test]
async fn dead_letters_are_listed_and_redriven() {
    let stack = Stack::find();
    let (operator, shopper) = (stack.staff("operator").await, stack.new_shopper().await);
    stack.database().await.restock("KITCHEN-0108", 10).await;
    let _lock = stack.lock_providers().await;
    let order = shopper
        .place_order(&OrderRequest::of("KITCHEN-0108", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;

    // A page must have room for the message of this test.
    let redrive = "/v1/ops/dead-letters/redrive";
    eventually("no dead letters", async || {
        let redriven = post(&operator, redrive, &json!({})).await.with_status(200);
        let redriven: Value = redriven.json();
        (redriven["left"] == 0)
            .then_some(())
            .ok_or_else(|| redriven.to_string())
    })
    .await;

    let id = format!("story:{}", order.id);
    let number = order.tracking_number.as_deref().unwrap();
    let event = json!({ "id": id, "tracking_number": number, "status": "DE" });
    stack
        .send_to_dead_letters(&json!({ "provider": "shipping", "event": event }))
        .await;
    let letters = get(&operator, "/v1/ops/dead-letters").await;
    assert!(letters["count"].as_u64() >= Some(1), "{letters}");
    let this = |letters: &Value| {
        let mut items = letters["items"].as_array().unwrap().iter();
        items.find(|it| it["event"]["event"]["id"] == id).cloned()
    };
    let letter = this(&letters).unwrap();
    assert_eq!(letter["event"]["provider"], "shipping");
    assert!(letter["sent_at"].is_string() && letter["received"].is_number());

    let redriven = post(&operator, redrive, &json!({})).await.with_status(200);
    let redriven: Value = redriven.json();
    assert!(redriven["moved"].as_u64() >= Some(1), "{redriven}");
    shopper
        .order(&order)
        .until(|order| order.fulfilment == "delivered")
        .await;
    let letters = get(&operator, "/v1/ops/dead-letters").await;
    assert_eq!(this(&letters), None);
}

#[tokio::test]
async fn staff_read_details_of_an_order_that_its_shopper_does_not_see() {
    let stack = Stack::find();
    let (support, operator) = (stack.staff("support").await, stack.staff("operator").await);
    let (shopper, another) = (stack.new_shopper().await, stack.new_shopper().await);
    stack.database().await.restock("KITCHEN-0109", 10).await;
    let _lock = stack.lock_providers().await;
    let order = shopper
        .place_order(&OrderRequest::of("KITCHEN-0109", 1))
        .await;
    let order = shopper.order(&order).until(shipped).await;
    let request = support.refund_request(&order, 100, &Uuid::new_v4().to_string());
    Response::of(request).await.with_status(202);
    let order = shopper
        .order(&order)
        .until(|order| order.payment == "partially_refunded")
        .await;

    let reason = async |person: &Person| {
        let events = person.events_of(&order).await;
        let mut asked = events.iter().filter(|it| it["kind"] == "refund_requested");
        asked.next().unwrap()["data"]["reason"].clone()
    };
    for person in [&support, &operator] {
        assert_eq!(person.order(&order).now().await, order);
        assert_eq!(reason(person).await, "It was damaged.");
    }
    assert_eq!(reason(&shopper).await, Value::Null);
    for path in ["", "/events"] {
        let path = format!("/v1/orders/{}{path}", order.id);
        let response = another.get(&path).await;
        response.assert_problem(404, "not-found", None);
    }
    // Reading does not allow cancelling.
    let response = operator.cancel(&order).await;
    response.assert_problem(403, "forbidden", None);
}

#[tokio::test]
async fn a_shopper_can_use_no_route_of_operations() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;
    let (stranger, support) = (stack.anonymous(), stack.staff("support").await);
    let id = Uuid::now_v7();
    for (method, path) in [
        (Method::GET, "/v1/ops/circuits".to_owned()),
        (Method::PUT, "/v1/ops/circuits/payments".to_owned()),
        (Method::GET, "/v1/ops/parked".to_owned()),
        (Method::POST, format!("/v1/ops/parked/{id}/release")),
        (Method::GET, "/v1/ops/attention".to_owned()),
        (Method::POST, format!("/v1/ops/attention/{id}/resolve")),
        (Method::GET, "/v1/ops/dead-letters".to_owned()),
        (Method::POST, "/v1/ops/dead-letters/redrive".to_owned()),
    ] {
        let body = json!({ "force": "open", "reason": "For fun.", "resolution": "dismiss" });
        let request = async |person: &Person| {
            Response::of(person.request(method.clone(), &path).json(&body)).await
        };
        request(&shopper).await.with_status(403);
        request(&stranger).await.with_status(401);
        // Support may read attention items about shoppers' orders.
        let may_look = ["/v1/ops/parked", "/v1/ops/attention"].contains(&path.as_str());
        request(&support)
            .await
            .with_status(if may_look { 200 } else { 403 });
    }
}
