//! During a deployment, the previous version still calls the overloads of the database functions
//! from before V19. They return, refuse and write the same as the new ones. Delete this with the
//! overloads.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use serde_json::Value;
use tests::{Database, Stack};
use tokio_postgres::{Client, NoTls, error::DbError};

/// One call of both overloads.
struct Call {
    /// The statements that run before it.
    setup: String,
    old: String,
    new: String,
    /// The SQLSTATE of the expected refusal.
    refusal: Option<&'static str>,
}

const ORDER: &str = "0190f3c0-0000-7000-8000-000000000001";
const SHOPPER: &str = "0190f3c0-0000-7000-8000-00000000000a";
const STAFF: &str = "0190f3c0-0000-7000-8000-00000000000b";
const APPROVAL: &str = "0190f3c0-0000-7000-8000-00000000000c";
const AT: &str = "2026-11-30T21:00:00.000001Z";

/// Everything that a call can write, without the time of the outbox and values of sequences.
const WRITTEN: &str = "select jsonb_build_array(
    (select jsonb_agg(orders) from orders),
    (select jsonb_agg(order_lines) from order_lines),
    (select jsonb_agg(order_events) from order_events),
    (select jsonb_agg(to_jsonb(outbox) - 'check_at') from outbox),
    (select jsonb_agg(idempotency_keys) from idempotency_keys),
    (select jsonb_agg(order_rates) from order_rates),
    (select jsonb_agg(unpaid_orders) from unpaid_orders),
    (select jsonb_agg(stock order by sku) from stock),
    (select jsonb_agg(to_jsonb(stock_adjustments) - 'position') from stock_adjustments),
    (select jsonb_agg(refund_allowances) from refund_allowances),
    (select jsonb_agg(refund_approvals) from refund_approvals),
    (select jsonb_agg(erasures) from erasures),
    (select jsonb_agg(disputes) from disputes))";

/// An order of two lines with a key, for a request with this hash.
struct Accept {
    key: &'static str,
    hash: &'static str,
    quantity: i32,
    orders_a_minute: i32,
    max_units: i64,
    network: &'static str,
}

const ACCEPT: Accept = Accept {
    key: "a-key",
    hash: "00ff",
    quantity: 2,
    orders_a_minute: 1,
    max_units: 3,
    network: "2001:db8:1:2::/64",
};

impl Accept {
    fn old_overload(&self) -> String {
        let Self {
            key,
            hash,
            quantity,
            orders_a_minute,
            max_units,
            network,
        } = self;
        format!(
            r#"select * from accept_order('{ORDER}', 'A', '{SHOPPER}', 'ana@example.com', 'EUR', 2500,
                '{{"country": "ES"}}', 'pm_1', '{AT}', array['B', 'A'], array['Two "', 'One'], array[{quantity}, 1],
                array[1250, 0]::bigint[], '{key}', '\x{hash}', 'the answer', {orders_a_minute}, '{network}',
                {max_units}, 9000)"#
        )
    }

    fn new_overload(&self) -> String {
        let Self {
            key,
            hash,
            quantity,
            orders_a_minute,
            max_units,
            network,
        } = self;
        format!(
            r#"select * from accept_order('{{
                "order": {{"id": "{ORDER}", "number": "A", "shopper": "{SHOPPER}", "email": "ana@example.com",
                    "currency": "EUR", "total_cents": 2500, "shipping_address": {{"country": "ES"}},
                    "payment_method": "pm_1", "placed_at": "{AT}"}},
                "lines": [{{"sku": "B", "title": "Two \"", "quantity": {quantity}, "unit_cents": 1250}},
                    {{"sku": "A", "title": "One", "quantity": 1, "unit_cents": 0}}],
                "claim": {{"owner": "{SHOPPER}", "key": "{key}", "request_hash": "\\x{hash}",
                    "answer": "the answer"}},
                "network": "{network}",
                "limits": {{"orders_a_minute": {orders_a_minute}, "max_unpaid_units": {max_units},
                    "max_unpaid_cents": 9000}}
            }}')"#
        )
    }

    fn call(&self, setup: String, refusal: Option<&'static str>) -> Call {
        Call {
            setup,
            old: self.old_overload(),
            new: self.new_overload(),
            refusal,
        }
    }
}

fn acceptances() -> Vec<Call> {
    let accepted = ACCEPT.new_overload();
    let again = Accept {
        key: "another-key",
        ..ACCEPT
    };
    let for_another = Accept {
        hash: "01",
        ..ACCEPT
    };
    let greedy = Accept {
        quantity: 6,
        max_units: 9,
        ..ACCEPT
    };
    let beyond_its_limit = Accept {
        max_units: 2,
        ..ACCEPT
    };
    let on_ipv4 = Accept {
        network: "192.0.2.1",
        ..ACCEPT
    };
    vec![
        ACCEPT.call(String::new(), None),
        on_ipv4.call(String::new(), None),
        ACCEPT.call(accepted.clone(), None),
        for_another.call(accepted.clone(), Some("CA001")),
        again.call(accepted, Some("CA002")),
        greedy.call(String::new(), Some("CA003")),
        beyond_its_limit.call(String::new(), Some("CA004")),
    ]
}

/// Events for a version of the order, with and without a claim.
fn records() -> Vec<Call> {
    let accepted = ACCEPT.new_overload();
    let key = format!("'{SHOPPER}', 'a-key-to-cancel', '\\x0a', 'cancelled'");
    let claim = format!(
        r#", "claim": {{"owner": "{SHOPPER}", "key": "a-key-to-cancel", "request_hash": "\\x0a",
            "answer": "cancelled"}}"#
    );
    let used = format!("insert into idempotency_keys values ({key}, '{AT}')");
    let unclaimed = "null, null, null, null".to_owned();
    let paid = |seen: i32| {
        let refund = format!(r#"{{"refund_id": "{APPROVAL}", "cents": 5}}"#);
        let hold = r#"{"reason": "it''s late"}"#;
        (
            format!(
                r#"select record_events('{ORDER}'::uuid, {seen}, 'confirmed', 'captured', 'in_progress', '{hold}',
                    'pi_1', 2, '{AT}', '[1]', '{{"label_id": "se-1"}}', '{AT}',
                    array['payment_captured', 'refund_requested'], array['{{}}', '{refund}']::jsonb[],
                    array['{APPROVAL}']::uuid[], {unclaimed})"#
            ),
            format!(
                r#"select record_events('{{
                    "seen": {seen},
                    "order": {{"id": "{ORDER}", "status": "confirmed", "payment": "captured",
                        "fulfilment": "in_progress", "hold": {hold}, "payment_id": "pi_1", "authorize_round": 2,
                        "capture_before": "{AT}", "refunds": [1], "label": {{"label_id": "se-1"}},
                        "updated_at": "{AT}"}},
                    "events": [{{"kind": "payment_captured", "data": {{}}}},
                        {{"kind": "refund_requested", "data": {refund}}}]
                }}')"#
            ),
        )
    };
    let cancelled = (
        format!(
            r"select record_events('{ORDER}'::uuid, 1, 'cancelled', 'not_paid', 'cancelled', null, null, 0, null,
                '[]', null, '{AT}', array['cancelled'], array['{{}}']::jsonb[], '{{}}'::uuid[], {key})"
        ),
        format!(
            r#"select record_events('{{
                "seen": 1,
                "order": {{"id": "{ORDER}", "status": "cancelled", "payment": "not_paid", "fulfilment": "cancelled",
                    "hold": null, "payment_id": null, "authorize_round": 0, "capture_before": null, "refunds": [],
                    "label": null, "updated_at": "{AT}"}},
                "events": [{{"kind": "cancelled", "data": {{}}}}]{claim}
            }}')"#
        ),
    );
    let cases = [
        (accepted.clone(), paid(1)),
        (accepted.clone(), paid(2)),
        (accepted.clone(), cancelled.clone()),
        (format!("{accepted}; {used}"), cancelled),
    ];
    let calls = cases.into_iter().map(|(setup, (old, new))| Call {
        setup,
        old,
        new,
        refusal: None,
    });
    calls.collect()
}

/// The other functions.
fn others() -> Vec<Call> {
    let accepted = ACCEPT.new_overload();
    let call = |setup: &str, old: String, new: String, refusal| Call {
        setup: setup.to_owned(),
        old,
        new,
        refusal,
    };
    let adjust = |delta: i64| {
        (
            format!(
                r"select * from adjust_stock('{APPROVAL}', 'B', {delta}, 'why', 'ana', '{AT}', '{STAFF}', 'a-key',
                    '\x0a')"
            ),
            format!(
                r#"select * from adjust_stock('{{
                    "adjustment": {{"id": "{APPROVAL}", "sku": "B", "delta": {delta}, "reason": "why",
                        "actor": "ana", "at": "{AT}"}},
                    "claim": {{"owner": "{STAFF}", "key": "a-key", "request_hash": "\\x0a",
                        "answer": "{APPROVAL}"}}
                }}')"#
            ),
        )
    };
    let reserve = |cents: i64| {
        (
            format!("select reserve_refund_allowance('{STAFF}', '{AT}', 'EUR', {cents}, 10)"),
            format!(
                r#"select reserve_refund_allowance('{{"actor_id": "{STAFF}", "at": "{AT}", "currency": "EUR",
                    "cents": {cents}, "limit_cents": 10}}')"#
            ),
        )
    };
    let request = (
        format!(
            r"select * from request_refund_approval('{APPROVAL}', '{ORDER}', 5, 'EUR', 'why', '{STAFF}', 'ana',
                '{AT}', '{AT}'::timestamptz + interval '1 hour', 'a-key', '\x0a', 'the answer')"
        ),
        format!(
            r#"select * from request_refund_approval('{{
                "approval": {{"id": "{APPROVAL}", "order_id": "{ORDER}", "cents": 5, "currency": "EUR",
                    "reason": "why", "requested_by": "{STAFF}", "requested_by_name": "ana", "requested_at": "{AT}",
                    "expires_at": "2026-11-30T22:00:00.000001Z"}},
                "claim": {{"owner": "{STAFF}", "key": "a-key", "request_hash": "\\x0a", "answer": "the answer"}}
            }}')"#
        ),
    );
    let approve = (
        format!("select approve_refund('{APPROVAL}', '{SHOPPER}', 'ben', '{AT}')"),
        format!(
            r#"select approve_refund('{{"id": "{APPROVAL}", "decided_by": "{SHOPPER}", "decided_by_name": "ben",
                "decided_at": "{AT}"}}')"#
        ),
    );
    let erase = (
        format!(
            "select request_erasure('{APPROVAL}', '{SHOPPER}', null, 'ana@example.com', '{AT}', '{AT}')"
        ),
        format!(
            r#"select request_erasure('{{"id": "{APPROVAL}", "shopper": "{SHOPPER}", "order_id": null,
                "email": "ana@example.com", "requested_at": "{AT}", "ends_after": "{AT}"}}')"#
        ),
    );
    let dispute = (
        format!(r#"select keep_dispute('{ORDER}', '{{"id": "du_1"}}', '{AT}', null)"#),
        format!(
            r#"select keep_dispute('{{"order_id": "{ORDER}", "state": {{"id": "du_1"}}, "recorded_at": "{AT}",
                "check_at": null}}')"#
        ),
    );
    let (adjusted, requested) = (adjust(-4).1, format!("{accepted}; {}", request.1));
    let given_and_refused = [
        (String::new(), adjust(-4), None),
        (adjusted, adjust(-4), None),
        (String::new(), adjust(-6), Some("CA010")),
        (String::new(), reserve(10), None),
        (reserve(10).1, reserve(1), Some("CA011")),
        (accepted.clone(), request.clone(), None),
        (requested.clone(), request, None),
        (requested, approve.clone(), None),
        (String::new(), approve, Some("CA012")),
        (String::new(), erase.clone(), None),
        (accepted.clone(), erase, Some("CA020")),
        (accepted, dispute, None),
    ];
    let calls = given_and_refused
        .into_iter()
        .map(|(setup, (old, new), refusal)| call(&setup, old, new, refusal));
    calls.collect()
}

/// What a call returns and writes, or its error. The transaction is rolled back.
async fn outcome(client: &mut Client, setup: &str, call: &str) -> Result<(Value, Value), DbError> {
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute(setup).await.unwrap();
    let answer =
        format!("select to_jsonb(setup) #- '{{adjustment,position}}' from ({call}) as setup");
    match transaction.query_one(&answer, &[]).await {
        Ok(answer) => {
            let written = transaction.query_one(WRITTEN, &[]).await.unwrap();
            Ok((answer.get(0), written.get(0)))
        }
        Err(error) => Err(error.as_db_error().unwrap().clone()),
    }
}

#[tokio::test]
async fn old_overloads_behave_like_the_new_ones() {
    let test = async |url: &str| {
        Database::migrated(url).await;
        let (mut client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let stock = "insert into stock values ('A', 5), ('B', 5)";
        client.batch_execute(stock).await.unwrap();
        for call in [acceptances(), records(), others()].into_iter().flatten() {
            let old = outcome(&mut client, &call.setup, &call.old).await;
            let new = outcome(&mut client, &call.setup, &call.new).await;
            match (old, new) {
                (Ok(old), Ok(new)) => {
                    assert_eq!(old, new, "{}", call.new);
                    assert_eq!(call.refusal, None, "{}", call.new);
                }
                (Err(old), Err(new)) => {
                    assert_eq!(Some(new.code().code()), call.refusal, "{new}: {}", call.new);
                    assert_eq!(old.code(), new.code(), "{old}: {}", call.old);
                    assert_eq!(old.detail(), new.detail(), "{}", call.new);
                }
                (old, new) => panic!("{old:?}\n{new:?}\n{}", call.new),
            }
        }
    };
    Stack::find().with_empty_database(test).await;
}
