//! Personal data: people get a copy of it, and it is erased on request or after its retention
//! period. The accounting records stay. Each test checks every place that stores personal data.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::time::Duration;

use futures::join;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use store::{Database as Store, RetainedKind};
use tests::{
    BUY_LABEL, Database, Guest, Order, OrderRequest, Person, Response, Stack, eventually, new_key,
    shipped, voided, waiting,
};
use uuid::Uuid;

/// Personal data in the address of [`OrderRequest::of`].
const NAME: &str = "Ana Gómez";
const STREET: &str = "Calle Mayor 1";

async fn delete_account(person: &Person) -> Response {
    Response::of(person.request(Method::DELETE, "/v1/me")).await
}

async fn post(person: &Person, path: &str, body: &Value) -> Response {
    Response::of(person.request(Method::POST, path).json(body)).await
}

/// The tables with a row that contains one of these words in any column.
async fn tables_with(database: &Database, words: &[&str]) -> Vec<String> {
    let tables = [
        "orders",
        "order_lines",
        "order_events",
        "outbox",
        "idempotency_keys",
        "order_rates",
        "attempts",
        "attention",
        "audit_log",
        "stock_adjustments",
        "unpaid_orders",
        "provider_events",
    ];
    let mut found = Vec::new();
    for table in tables {
        for word in words {
            let query = format!(
                "select count(*) from {table} where to_jsonb({table})::text ilike '%{word}%'"
            );
            if database.query_value::<i64>(&query).await > 0 {
                found.push(format!("{table}: {word}"));
            }
        }
    }
    found
}

/// The order with its rows in the accounting records.
async fn recorded_order(database: &Database, order: &Order) -> Value {
    let query = format!(
        "select to_jsonb(orders) || jsonb_build_object('lines',
            (select jsonb_agg(sku) from order_lines where order_id = id)) from orders where id = '{}'",
        order.id
    );
    database.query_value(&query).await
}

fn assert_erased(books: &Value, order: &Order) {
    assert_eq!(books["email"], "erased");
    assert_eq!(books["shopper"], Uuid::nil().to_string());
    assert_eq!(books["payment_method"], "pm_erased");
    let address = json!({
        "name": "erased", "line1": "erased", "city": "erased", "postal_code": "erased", "country": "ES",
    });
    assert_eq!(books["shipping_address"], address);
    assert_eq!(books["total_cents"], order.total_cents);
    assert_eq!(books["number"], order.number);
    assert_eq!(books["lines"][0], order.lines[0].sku);
}

#[tokio::test]
async fn a_shopper_gets_a_copy_of_all_personal_data() {
    let stack = Stack::find();
    let (shopper, other) = join!(stack.new_shopper(), stack.new_shopper());
    stack.database().await.restock("KITCHEN-0121", 10).await;
    let _lock = stack.lock_providers().await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = shopper
            .place_order(&OrderRequest::of("KITCHEN-0121", 1))
            .await;
        orders.push(shopper.order(&order).until(shipped).await);
    }
    other
        .place_order(&OrderRequest::of("KITCHEN-0121", 1))
        .await;

    let copy = shopper.get("/v1/me/export").await.with_status(200);
    let copy: Value = copy.json();
    assert_eq!(copy["profile"]["email"], shopper.email());
    assert_eq!(copy["profile"]["id"], shopper.id().to_string());
    let kept = copy["orders"].as_array().unwrap();
    assert_eq!(kept.len(), 3);
    let newest = &kept[0];
    assert_eq!(newest["id"], orders[2].id.to_string());
    assert_eq!(newest["email"], shopper.email());
    assert_eq!(newest["shipping_address"]["name"], NAME);
    assert_eq!(newest["lines"][0]["sku"], "KITCHEN-0121");
    assert_eq!(newest["events"][0]["kind"], "accepted");
    assert_eq!(copy["next_cursor"], Value::Null);

    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/me/export?limit=2{cursor}");
        let page: Value = shopper.get(&path).await.with_status(200).json();
        let orders = page["orders"].as_array().unwrap().iter();
        ids.extend(orders.map(|order| order["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let all: Vec<_> = kept.iter().map(|order| order["id"].clone()).collect();
    assert_eq!(ids, all);

    let response = shopper.get("/v1/me/export?limit=101").await;
    response.assert_problem(422, "validation", Some("limit"));
    stack
        .anonymous()
        .get("/v1/me/export")
        .await
        .with_status(401);
}

/// Completes the erasure of an account, which normally waits until its last token has expired.
async fn complete_erasure(stack: &Stack, database: &Database, id: Uuid) {
    database
        .execute(&format!(
            "update erasures set ends_after = now() where shopper = '{id}' and ended_at is null"
        ))
        .await;
    let store = erasing_store(stack).await;
    eventually("ended", async || {
        let open = store.erasures().list_open(100).await.unwrap();
        let open = open.iter().find(|erasure| erasure.shopper == id);
        let Some(open) = open else { return Ok(()) };
        let has_ended = store.erasures().carry_out(open.id, Timestamp::now()).await;
        has_ended
            .unwrap()
            .then_some(())
            .ok_or_else(|| "open".to_owned())
    })
    .await;
}

#[tokio::test]
async fn erasing_a_shopper_keeps_the_accounting_records() {
    let stack = Stack::find();
    let (database, support) = (stack.database().await, stack.staff("support").await);
    let shopper = stack.new_shopper().await;
    let email = shopper.email();
    database.restock("KITCHEN-0122", 10).await;
    let _lock = stack.lock_providers().await;
    let order = shopper
        .place_order(&OrderRequest::of("KITCHEN-0122", 2))
        .await;
    let order = shopper.order(&order).until(shipped).await;

    // Unfinished orders need their data.
    stack.shipping.fail_all(BUY_LABEL).await;
    let open = shopper
        .place_order(&OrderRequest::of("KITCHEN-0122", 1))
        .await;
    shopper.order(&open).until(waiting).await;
    let refused = delete_account(&shopper).await;
    refused.assert_problem(409, "orders-under-way", None);
    let reason = json!({ "reason": format!("{NAME} has asked for it by telephone.") });
    let request = support.cancel_request(&open, &new_key()).json(&reason);
    Response::of(request).await.with_status(200);
    stack.shipping.recover().await;
    support.order(&open).until(voided).await;

    eventually("erased", async || {
        match delete_account(&shopper).await.status {
            204 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    assert_erased(&recorded_order(&database, &order).await, &order);
    assert_erased(&recorded_order(&database, &open).await, &open);
    let ids = [order.id.to_string(), open.id.to_string()];
    for id in &ids {
        let query = format!(
            "select count(*) from order_events where order_id = '{id}' and data::text like '%{NAME}%'"
        );
        assert_eq!(database.query_value::<i64>(&query).await, 0);
        for row in database.audit_of(id).await {
            assert_eq!(row["reason"], Value::Null, "{row}");
        }
    }

    // The user cannot sign in or be found, and a repeated erasure is harmless.
    let signs_in = stack.sign_in_test_user(&email).await;
    assert_ne!(signs_in.status, 200, "{signs_in:?}");
    let found = support
        .search("/v1/orders/search", &format!("email={email}"))
        .await;
    let found: Value = found.with_status(200).json();
    assert_eq!(found["items"], json!([]));
    delete_account(&shopper).await.with_status(204);

    // Data that the account's last token creates is erased too, before the erasure ends.
    let late = shopper
        .place_order(&OrderRequest::of("KITCHEN-0122", 1))
        .await;
    support.order(&late).until(shipped).await;
    let id = shopper.id();
    complete_erasure(&stack, &database, id).await;
    assert_erased(&recorded_order(&database, &late).await, &late);
    let words = [email.as_str(), &id.to_string()];
    let left = tables_with(&database, &words).await;
    // Rows about the account keep its id, which no longer identifies a person.
    let named: Vec<_> = left
        .iter()
        .filter(|it| !it.starts_with("audit_log: ") || it.contains('@'))
        .collect();
    assert!(named.is_empty(), "{left:?}");
}

#[tokio::test]
async fn staff_cannot_be_erased_and_erase_shoppers_with_a_reason() {
    let stack = Stack::find();
    let (database, administrator) = (stack.database().await, stack.staff("administrator").await);
    let support = stack.staff("support").await;
    let response = delete_account(&support).await;
    response.assert_problem(409, "staff-account", None);
    let words = json!({ "reason": "They have asked for it in writing." });
    let path = |id: Uuid| format!("/v1/users/{id}/erase");
    let response = post(&administrator, &path(support.id()), &words).await;
    response.assert_problem(409, "staff-account", None);
    let response = post(&administrator, &path(administrator.id()), &words).await;
    response.assert_problem(409, "own-account", None);
    let response = post(&administrator, &path(Uuid::new_v4()), &words).await;
    response.assert_problem(404, "not-found", None);

    let shopper = stack.new_shopper().await;
    let response = post(&support, &path(shopper.id()), &words).await;
    response.with_status(403);
    let response = post(&administrator, &path(shopper.id()), &json!({})).await;
    response.assert_problem(422, "validation", Some("reason"));
    post(&administrator, &path(shopper.id()), &words)
        .await
        .with_status(204);
    assert_ne!(stack.sign_in_test_user(&shopper.email()).await.status, 200);
    eventually("audited", async || {
        let rows = database.audit_of(&shopper.id().to_string()).await;
        let done = rows
            .iter()
            .any(|row| row["action"] == "user.erase" && row["outcome"] == "done");
        done.then_some(()).ok_or_else(|| format!("{rows:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_guest_is_erased_from_an_order_by_its_number_and_address() {
    let stack = Stack::find();
    let (database, support) = (stack.database().await, stack.staff("support").await);
    database.restock("KITCHEN-0123", 10).await;
    let _lock = stack.lock_providers().await;
    let guest = Guest::of(&stack);
    let first = guest
        .place_order(&OrderRequest::of("KITCHEN-0123", 1))
        .await;
    let first = support.order(&first).until(shipped).await;
    let second = guest
        .place_order(&OrderRequest::of("KITCHEN-0123", 1))
        .await;
    let second = support.order(&second).until(shipped).await;

    let stranger = Guest::of(&stack);
    let erase = async |guest: &Guest<'_>, email: &str| {
        let words = json!({ "number": first.number, "email": email });
        guest.post("/v1/guest/orders/erase", "", &words).await
    };
    let response = erase(&stranger, &stranger.email).await;
    response.assert_problem(404, "not-found", None);
    eventually("erased", async || {
        match erase(&guest, &guest.email).await.status {
            204 => Ok(()),
            status => Err(status.to_string()),
        }
    })
    .await;
    assert_erased(&recorded_order(&database, &first).await, &first);
    guest
        .find_order(&first.number)
        .await
        .assert_problem(404, "not-found", None);
    // A number and an e-mail address authorize the erasure of that one order only.
    guest.find_order(&second.number).await.with_status(200);

    let administrator = stack.staff("administrator").await;
    let words = json!({ "email": guest.email, "reason": "They have asked for it in writing." });
    post(&support, "/v1/guests/erase", &words)
        .await
        .with_status(403);
    post(&administrator, "/v1/guests/erase", &words)
        .await
        .with_status(204);
    assert_erased(&recorded_order(&database, &second).await, &second);
    let left = tables_with(&database, &[&guest.email]).await;
    assert!(left.is_empty(), "{left:?}");
}

/// The store as the functions use it.
async fn erasing_store(stack: &Stack) -> Store {
    let url = &stack.environment_of("retry").await["DATABASE_URL"];
    let aws = aws_config::SdkConfig::builder().build();
    Store::new(url, 2, &aws).unwrap()
}

/// Inserts rows of all kinds with a retention period, most of them past it.
async fn insert_old_rows(database: &Database, id: Uuid) {
    let old = "now() - interval '8 years'";
    database
        .execute(&format!(
            "delete from retention;
            insert into idempotency_keys values ('{id}', 'old', '', '', {old}), ('{id}', 'new', '', '', now());
            insert into audit_log (id, at, actor, action, target, outcome, trace_id) values
                (gen_random_uuid(), {old}, 'a', 'test', '{id}', 'done', ''),
                (gen_random_uuid(), now(), 'a', 'test', '{id}', 'done', '');
            insert into stock_adjustments (id, sku, at, actor, reason, delta, before, after) values
                ('{id}', 'KITCHEN-0124', {old}, 'manager@cauce.example', 'A test.', 1, 0, 1);
            insert into attempts values ('{id} old', {old}, 1);
            insert into order_rates values ('{id}', {old}, 1);
            insert into refund_allowances values
                ('{id}', {old}, 'EUR', 1), ('{id}', (now() at time zone 'UTC')::date, 'EUR', 1)"
        ))
        .await;
}

#[tokio::test]
async fn data_is_erased_after_its_retention_period_only() {
    let stack = Stack::find();
    let (database, support) = (stack.database().await, stack.staff("support").await);
    let shopper = stack.new_shopper().await;
    database.restock("KITCHEN-0124", 20).await;
    let _lock = stack.lock_providers().await;
    let guest = Guest::of(&stack);
    let order_request = OrderRequest::of("KITCHEN-0124", 1);
    let mut orders = Vec::new();
    for order in [
        shopper.place_order(&order_request).await,
        shopper.place_order(&order_request).await,
        guest.place_order(&order_request).await,
        guest.place_order(&order_request).await,
    ] {
        let order = support.order(&order).until(shipped).await;
        orders.push(order);
    }
    stack.shipping.fail_all(BUY_LABEL).await;
    let open = guest.place_order(&order_request).await;
    support.order(&open).until(waiting).await;

    let day = Duration::from_hours(24);
    database.backdate(&orders[0], day * 3_000).await;
    database.backdate(&orders[2], day * 3_000).await;
    let id = Uuid::new_v4();
    insert_old_rows(&database, id).await;
    let store = erasing_store(&stack).await;
    let before = Timestamp::now() - jiff::SignedDuration::from_hours(24 * 730);
    for kept in [
        RetainedKind::IdempotencyAnswers,
        RetainedKind::OrderRates,
        RetainedKind::Attempts,
        RetainedKind::RefundAllowances,
        RetainedKind::GuestOrders,
        RetainedKind::AccountOrders,
        RetainedKind::Audit,
        RetainedKind::StockAdjusters,
    ] {
        // The stack's own job may have erased them already.
        let erase = async || store.retention().erase_old(kept, before, 500).await;
        erase().await.unwrap();
        assert_eq!(erase().await.unwrap(), 0, "{kept:?}");
    }
    for (place, order) in orders.iter().enumerate() {
        let books = recorded_order(&database, order).await;
        if place % 2 == 0 {
            assert_erased(&books, order);
        } else {
            assert_eq!(books["shipping_address"]["line1"], STREET);
        }
    }
    for (query, left) in [
        (
            format!("select count(*) from idempotency_keys where owner = '{id}'"),
            1,
        ),
        (
            format!("select count(*) from audit_log where target = '{id}'"),
            1,
        ),
        (
            format!("select count(*) from attempts where name = '{id} old'"),
            0,
        ),
        (
            format!("select count(*) from order_rates where shopper = '{id}'"),
            0,
        ),
        (
            format!("select count(*) from refund_allowances where actor_id = '{id}'"),
            1,
        ),
        (
            format!(
                "select count(*) from stock_adjustments where id = '{id}' and actor = 'erased'"
            ),
            1,
        ),
    ] {
        assert_eq!(database.query_value::<i64>(&query).await, left, "{query}");
    }

    // Whole orders are erased after the legal retention period, and never before six years.
    let erased = store
        .retention()
        .erase_old(RetainedKind::Orders, Timestamp::now(), 500)
        .await
        .unwrap();
    assert!(erased >= 2, "{erased}");
    let query = format!(
        "select count(*) from orders where id in ('{}', '{}')",
        orders[0].id, orders[1].id
    );
    assert_eq!(database.query_value::<i64>(&query).await, 1);
    let open_books = recorded_order(&database, &open).await;
    assert_eq!(open_books["email"], guest.email);
    stack.shipping.recover().await;
    support.order(&open).until(shipped).await;
}

#[tokio::test]
async fn a_decision_made_before_an_erasure_is_not_written_after_it() {
    let test = async |url: &str| {
        let database = Database::migrated(url).await;
        database
            .execute("insert into stock values ('A-0001', 1)")
            .await;
        let order = database.accept_order("A-0001").await;
        let refunds = r#"[{"id": "0190f3c0-0000-7000-8000-000000000001", "cents": 1, "reason": "ana was ill",
            "status": "succeeded"}]"#;
        let finished = format!(
            "update orders set refunds = '{refunds}' where id = '{order}';
            delete from outbox where order_id = '{order}';
            select erase_orders(array['{order}'::uuid])"
        );
        database.execute(&finished).await;
        // A change by staff that read the first version of the order.
        let record = format!(
            r#"select record_events('{{
                "seen": 1,
                "order": {{"id": "{order}", "refunds": {refunds}}},
                "events": [{{"kind": "payment_unknown", "data": {{}}}}]
            }}')"#
        );
        assert!(!database.query_value::<bool>(&record).await);
        let kept = format!("select refunds -> 0 ->> 'reason' from orders where id = '{order}'");
        assert_eq!(database.query_value::<String>(&kept).await, "");
    };
    Stack::find().with_empty_database(test).await;
}

#[tokio::test]
async fn the_functions_user_changes_accounting_records_only_through_the_database_functions() {
    let stack = Stack::find();
    let url = &stack.environment_of("retry").await["DATABASE_URL"];
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("set cauce.erases = 'on'")
        .await
        .unwrap();
    for statement in [
        "delete from audit_log",
        "update audit_log set actor = 'x'",
        "delete from orders",
        "update order_events set data = '{}'",
        "delete from order_lines",
        "update stock_adjustments set actor = 'x'",
    ] {
        let refused = client.batch_execute(statement).await.unwrap_err();
        let code = refused.code().map(|code| code.code().to_owned());
        assert_eq!(code.as_deref(), Some("42501"), "{statement}");
    }
}
