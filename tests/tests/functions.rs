//! The store's calls of the database's functions: arguments arrive exactly, and each refusal has
//! its own error.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use aws_config::SdkConfig;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use orders::{
    CancelledBy, Dispute, DisputeStatus, DisputedFunds, FulfilmentStatus, Line, Order, OrderEvent,
    OrderId, OrderStatus, Payment, Provider, RefundId, RequestHash, Shopper, ShopperId, Sku, Wait,
};
use serde_json::json;
use store::{
    AcceptError, AdjustError, ApprovalRequest, Claim, DayLimit, EraseError, ErasureTarget, KeyUse,
    NewStockAdjustment, OrderToAccept, RecordError, RefundActor, RefundApproval, RefundError,
    StoredResponse, UnpaidLimits, Work,
};
use tests::{Database, Stack};
use uuid::Uuid;

/// Characters that JSON escapes, or that terminate strings in other formats.
const AWKWARD: &str = "{\"reason\": \"a \\ \u{1} ' 日本 $1\"}\n";

const LIMIT: UnpaidLimits = UnpaidLimits {
    units: 1_000,
    cents: 1_000_000,
};

/// A time with more digits than the database stores.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::new(now.as_second(), 123_456_789).unwrap()
}

/// A time as the database stores it.
fn stored(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap()
}

fn line(sku: &str, quantity: i64) -> Line {
    let line = json!({ "sku": sku, "title": AWKWARD, "quantity": quantity, "unit_cents": 1_250 });
    serde_json::from_value(line).unwrap()
}

/// An order of these lines by a new shopper.
fn order(lines: Vec<Line>) -> Order {
    let shopper = Shopper {
        id: ShopperId(Uuid::new_v4()),
        email: "ana@stories.cauce.example".to_owned(),
    };
    let cents = lines
        .iter()
        .map(|line| i64::from(line.quantity.get()) * line.unit_cents.get());
    let (id, now) = (OrderId::generate(), now());
    Order {
        id,
        number: id.number(),
        shopper,
        status: OrderStatus::Pending,
        payment: Payment::NEW,
        fulfilment: FulfilmentStatus::Unfulfilled,
        wait: None,
        currency: "EUR".parse().unwrap(),
        total: cents.sum::<i64>().try_into().unwrap(),
        lines,
        shipping_address: serde_json::from_value(json!({
            "name": "Ana O'Neil \\ \"日本\"", "line1": "Calle 1", "city": "Cádiz", "postal_code": "11001",
            "country": "ES",
        }))
        .unwrap(),
        payment_method: "pm_card_visa".parse().unwrap(),
        refunds: Vec::new(),
        disputes: Vec::new(),
        label: None,
        placed_at: now,
        updated_at: now,
        last_call_at: None,
    }
}

fn claim(owner: ShopperId) -> Claim {
    let key = Uuid::new_v4();
    Claim {
        owner,
        key: key.to_string().parse().unwrap(),
        request: RequestHash::of(&key),
    }
}

fn acceptance<'a>(order: &'a Order, claim: &'a Claim) -> OrderToAccept<'a> {
    OrderToAccept {
        order,
        claim,
        answer: AWKWARD.to_owned(),
        orders_a_minute: 1,
        network: "192.0.2.1",
        max_unpaid: LIMIT,
    }
}

/// A database with two products, which is called as the API calls it.
struct Shop {
    store: store::Database,
    database: Database,
}

impl Shop {
    async fn open(url: &str) -> Self {
        let database = Database::migrated(url).await;
        let stock = "insert into stock values ('TEA-1', 10), ('TEA-2', 10)";
        database.execute(stock).await;
        let aws = SdkConfig::builder().build();
        let store = store::Database::new(url, 4, &aws).unwrap();
        Self { store, database }
    }

    async fn accept_order(&self, order: &Order) {
        let claim = claim(order.shopper.id);
        let accepted = self.store.orders().accept(acceptance(order, &claim)).await;
        assert!(!accepted.unwrap().replayed);
    }

    async fn order(&self, id: OrderId) -> Order {
        self.store.orders().find(id).await.unwrap().unwrap()
    }

    /// A captured order.
    async fn paid_order(&self) -> Order {
        let order = order(vec![line("TEA-1", 1)]);
        self.accept_order(&order).await;
        let label = json!({ "label_id": "se-1", "tracking_number": "1Z" });
        let events = [
            OrderEvent::PaymentAuthorized {
                payment_id: "pi_1".parse().unwrap(),
                capture_before: Some(now()),
            },
            OrderEvent::LabelRequested {},
            OrderEvent::LabelBought(serde_json::from_value(label).unwrap()),
            OrderEvent::PaymentCaptured {},
        ];
        let paid = self
            .store
            .orders()
            .record(order.id, now(), |_| events.to_vec());
        paid.await.unwrap()
    }
}

/// An order as the database stores it.
fn as_stored(order: Order) -> Order {
    let (status, payment_id) = (order.payment.status(), order.payment.id().cloned());
    let round = order.payment.round().unwrap_or_default();
    let capture_before = order.payment.capture_before().map(stored);
    Order {
        payment: Payment::from_parts(status, round, payment_id, capture_before).unwrap(),
        placed_at: stored(order.placed_at),
        updated_at: stored(order.updated_at),
        ..order
    }
}

#[tokio::test]
async fn an_order_is_stored_unchanged_and_each_refusal_has_its_error() {
    let test = async |url: &str| {
        let Shop { store, database } = &Shop::open(url).await;
        // Two lines have the same product, and the lines are not in SKU order.
        let placed = order(vec![line("TEA-2", 2), line("TEA-1", 1), line("TEA-2", 3)]);
        let first = claim(placed.shopper.id);
        let answer = |replayed| StoredResponse {
            body: AWKWARD.to_owned(),
            replayed,
        };
        let accepted = store
            .orders()
            .accept(acceptance(&placed, &first))
            .await
            .unwrap();
        assert_eq!(accepted, answer(false));
        let read = store.orders().find(placed.id).await.unwrap().unwrap();
        assert_eq!(read, as_stored(placed.clone()));
        assert_eq!(database.stock_of("TEA-2").await, 5);
        assert_eq!(database.stock_of("TEA-1").await, 9);
        let key_use = store.idempotency_keys().find_use(&first).await.unwrap();
        assert!(matches!(key_use, KeyUse::Same(stored) if stored == answer(true)));

        let again = store
            .orders()
            .accept(acceptance(&placed, &first))
            .await
            .unwrap();
        assert_eq!(again, answer(true));
        let other = Claim {
            request: RequestHash::of(&"another request"),
            ..first.clone()
        };
        let refused = store
            .orders()
            .accept(acceptance(&placed, &other))
            .await
            .unwrap_err();
        assert!(matches!(refused, AcceptError::KeyReused), "{refused:?}");
        let second = claim(placed.shopper.id);
        let refused = store.orders().accept(acceptance(&placed, &second)).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, AcceptError::TooManyOrders), "{refused:?}");

        let greedy = order(vec![line("TEA-1", 10), line("TEA-2", 1), line("TEA-3", 1)]);
        let by_greedy = claim(greedy.shopper.id);
        let refused = store.orders().accept(acceptance(&greedy, &by_greedy)).await;
        let short: Vec<Sku> = ["TEA-1", "TEA-3"].map(|sku| sku.parse().unwrap()).to_vec();
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, AcceptError::OutOfStock(skus) if *skus == short),
            "{refused:?}"
        );

        let unpaid = order(vec![line("TEA-1", 1)]);
        let by_unpaid = claim(unpaid.shopper.id);
        for (units, cents, is_alone) in [(6, 1_000_000, false), (1_000, 8_749, false), (0, 1, true)]
        {
            let max_unpaid = UnpaidLimits { units, cents };
            let limited = OrderToAccept {
                max_unpaid,
                ..acceptance(&unpaid, &by_unpaid)
            };
            let refused = store.orders().accept(limited).await.unwrap_err();
            let limit = match refused {
                AcceptError::TooMuchUnpaid(limit) if !is_alone => limit,
                AcceptError::OrderTooLarge(limit) if is_alone => limit,
                refused => panic!("{refused:?}"),
            };
            assert_eq!(limit, max_unpaid);
        }
        // The refused orders have written nothing.
        let max_unpaid = UnpaidLimits {
            units: 7,
            cents: 8_750,
        };
        let exact = OrderToAccept {
            max_unpaid,
            ..acceptance(&unpaid, &by_unpaid)
        };
        assert!(!store.orders().accept(exact).await.unwrap().replayed);
    };
    Stack::find().with_empty_database(test).await;
}

#[tokio::test]
async fn events_are_stored_unchanged_unless_the_order_has_changed() {
    let test = async |url: &str| {
        let shop = Shop::open(url).await;
        let Shop { store, database } = &shop;
        let paid = shop.paid_order().await;
        assert_eq!(shop.order(paid.id).await, as_stored(paid.clone()));
        let unpaid: i64 = database
            .query_value("select count(*) from unpaid_orders")
            .await;
        assert_eq!(unpaid, 0);
        let timeline = store.orders().timeline(paid.id).await.unwrap();
        let kinds: Vec<&str> = timeline.iter().map(|event| event.kind.name()).collect();
        let expected = [
            "accepted",
            "payment_authorized",
            "label_requested",
            "label_bought",
            "payment_captured",
        ];
        assert_eq!(kinds, expected);

        // Concurrent changes: each sees the previous ones, or starts again.
        let placed = order(vec![line("TEA-2", 4)]);
        shop.accept_order(&placed).await;
        let wait = Wait {
            provider: Provider::Payments,
            reason: AWKWARD.to_owned(),
            since: now(),
            attempts: 1,
            next_attempt: now(),
            deadline: None,
        };
        let holds = (0..8).map(|_| {
            store.orders().record(placed.id, now(), |_| {
                vec![OrderEvent::WaitBegan(wait.clone())]
            })
        });
        let recorded = join_all(holds).await;
        assert!(recorded.iter().all(Result::is_ok), "{recorded:?}");
        assert_eq!(shop.order(placed.id).await.wait, Some(wait));
        let timeline = store.orders().timeline(placed.id).await.unwrap();
        assert_eq!(timeline.len(), 9);
        let stale = json!({
            "seen": 1,
            "order": { "id": placed.id, "status": "confirmed" },
            "events": [{ "kind": "payment_unknown", "data": {} }],
        });
        let stale = format!("select record_events('{stale}')");
        assert!(!database.query_value::<bool>(&stale).await);

        let by_cancel = claim(placed.shopper.id);
        let cancelled = OrderEvent::Cancelled {
            by: CancelledBy::Shopper,
            reason: AWKWARD.to_owned(),
        };
        let cancel = async |claim: &Claim| {
            let answer = |_: &Order| AWKWARD.to_owned();
            let decide = |_: &Order| vec![cancelled.clone()];
            let recorded = store
                .orders()
                .record_once(placed.id, now(), claim, decide, answer);
            recorded.await
        };
        for replayed in [false, true] {
            let answer = StoredResponse {
                body: AWKWARD.to_owned(),
                replayed,
            };
            assert_eq!(cancel(&by_cancel).await.unwrap(), answer);
            // It was restocked once.
            assert_eq!(database.stock_of("TEA-2").await, 10);
        }
        let other = Claim {
            request: RequestHash::of(&"another request"),
            ..by_cancel
        };
        assert!(matches!(cancel(&other).await, Err(RecordError::KeyReused)));
    };
    Stack::find().with_empty_database(test).await;
}

#[tokio::test]
async fn unknown_columns_keep_their_values() {
    let test = async |url: &str| {
        let shop = Shop::open(url).await;
        let Shop { store, database } = &shop;
        let paid = shop.paid_order().await;
        // The store's connection has already prepared the functions.
        let alter = "alter table orders add column gift text";
        database.execute(alter).await;
        let of_before = json!({
            "seen": 5,
            "order": { "id": paid.id, "updated_at": "2026-11-30T21:00:00.000001Z" },
            "events": [{ "kind": "held", "data": {} }],
        });
        let recorded = format!("select record_events('{of_before}')");
        assert!(database.query_value::<bool>(&recorded).await);
        let expected = Order {
            updated_at: "2026-11-30T21:00:00.000001Z".parse().unwrap(),
            ..as_stored(paid.clone())
        };
        assert_eq!(shop.order(paid.id).await, expected);
        let shipped = store
            .orders()
            .record(paid.id, now(), |_| vec![OrderEvent::Shipped {}]);
        assert_eq!(shipped.await.unwrap().status, OrderStatus::Completed);
        shop.accept_order(&order(vec![line("TEA-2", 1)])).await;
    };
    Stack::find().with_empty_database(test).await;
}

#[tokio::test]
async fn refunds_are_stored_unchanged_and_follow_their_rules() {
    let test = async |url: &str| {
        let shop = Shop::open(url).await;
        let Shop { store, database } = &shop;
        let paid = shop.paid_order().await;
        let actor = |name: &str| RefundActor {
            id: Uuid::new_v4(),
            name: name.to_owned(),
        };
        let (ana, ben) = (actor("ana"), actor("ben"));
        let request_refund = async |refund_id, cents: i64| {
            let limit = DayLimit {
                actor: ana.id,
                currency: &paid.currency,
                cents: 300.try_into().unwrap(),
            };
            let requested = OrderEvent::RefundRequested {
                refund_id,
                cents: cents.try_into().unwrap(),
                reason: AWKWARD.to_owned(),
            };
            let claim = claim(ShopperId(ana.id));
            let decide = |_: &Order| vec![requested.clone()];
            let answer = |_: &Order| String::new();
            let refunded =
                store
                    .refunds()
                    .record_once(paid.id, now(), &claim, Some(limit), decide, answer);
            refunded.await
        };
        let first = RefundId::generate();
        request_refund(first, 200).await.unwrap();
        let refused = request_refund(RefundId::generate(), 101).await;
        assert!(matches!(refused, Err(RefundError::OverDayLimit(left)) if left.get() == 100));
        request_refund(RefundId::generate(), 100).await.unwrap();
        let read = shop.order(paid.id).await;
        let reasons: Vec<&str> = read.refunds.iter().map(|it| it.reason.as_str()).collect();
        assert_eq!(reasons, [AWKWARD, AWKWARD]);
        let work = format!("select count(*) from outbox where refund_id = '{first}'");
        assert_eq!(database.query_value::<i64>(&work).await, 1);

        let request = ApprovalRequest {
            id: RefundId::generate(),
            order: paid.id,
            cents: 400.try_into().unwrap(),
            currency: &paid.currency,
            reason: AWKWARD,
            requester: ana.clone(),
            expires_at: now() + SignedDuration::from_hours(1),
            answer: AWKWARD.to_owned(),
        };
        let by_ana = claim(ShopperId(ana.id));
        for replayed in [false, true] {
            let asked = store.refunds().request_approval(&request, &by_ana, now());
            let answer = StoredResponse {
                body: AWKWARD.to_owned(),
                replayed,
            };
            assert_eq!(asked.await.unwrap(), answer);
        }
        let approval = async || {
            let approval = store.refunds().find_approval(request.id, now()).await;
            approval.unwrap().unwrap()
        };
        let open = approval().await;
        assert_eq!(open.requested_by, ana.id);
        assert_eq!(open.expires_at, stored(request.expires_at));
        assert_eq!(open.reason, AWKWARD);
        let approve = async |approval: &RefundApproval| {
            let claim = claim(ShopperId(ben.id));
            let answer = |_: &Order| String::new();
            let approved = store
                .refunds()
                .approve_once(approval, now(), &claim, &ben, answer);
            approved.await
        };
        approve(&open).await.unwrap();
        assert_eq!(approval().await.decided_by_name.as_deref(), Some("ben"));
        let unknown = RefundApproval {
            id: RefundId::generate(),
            ..open
        };
        let refused = approve(&unknown).await;
        assert!(matches!(refused, Err(RefundError::ApprovalClosed)));
        assert_eq!(shop.order(paid.id).await.refunds.len(), 3);
    };
    Stack::find().with_empty_database(test).await;
}

#[tokio::test]
async fn disputes_stock_and_erasures_are_stored_unchanged() {
    let test = async |url: &str| {
        let shop = Shop::open(url).await;
        let store = &shop.store;
        let paid = shop.paid_order().await;
        let dispute = Dispute {
            id: "du_1".to_owned(),
            cents: 1_250.try_into().unwrap(),
            reason: AWKWARD.to_owned(),
            status: DisputeStatus::NeedsResponse,
            evidence_due_by: Some(now()),
            funds: DisputedFunds::Withdrawn,
        };
        let recorded = store.disputes().record(paid.id, now(), &dispute);
        recorded.await.unwrap();
        assert_eq!(shop.order(paid.id).await.disputes, [dispute]);
        let tomorrow = now() + SignedDuration::from_hours(24);
        assert_eq!(
            store.disputes().list_due(tomorrow, 9).await.unwrap(),
            ["du_1"]
        );

        let sku: Sku = "TEA-1".parse().unwrap();
        let by_ana = claim(ShopperId(Uuid::new_v4()));
        let adjust_stock = async |delta, claim: &Claim| {
            let adjustment = NewStockAdjustment {
                sku: &sku,
                delta,
                reason: AWKWARD,
                actor: "ana",
            };
            store.stock().adjust(adjustment, claim, now()).await
        };
        let (adjusted, replayed) = adjust_stock(-4, &by_ana).await.unwrap();
        assert!(!replayed);
        assert_eq!(adjusted.by, "ana");
        assert_eq!(adjusted.reason, AWKWARD);
        assert_eq!(
            (adjusted.before, adjusted.delta, adjusted.after),
            (9, -4, 5)
        );
        assert_eq!(adjust_stock(-4, &by_ana).await.unwrap(), (adjusted, true));
        let refused = adjust_stock(-6, &claim(by_ana.owner)).await;
        assert!(matches!(refused, Err(AdjustError::NotEnough(5))));
        let other = Claim {
            request: RequestHash::of(&"another request"),
            ..by_ana
        };
        let refused = adjust_stock(-4, &other).await;
        assert!(matches!(refused, Err(AdjustError::KeyReused)));

        let erase = ErasureTarget::GuestOrder(paid.shopper.clone(), paid.id);
        let refused = store.erasures().request(&erase, now()).await;
        assert!(matches!(refused, Err(EraseError::OrdersUnderWay)));
        store.outbox().finish(Work::Order(paid.id)).await.unwrap();
        let erasure = store.erasures().request(&erase, now()).await.unwrap();
        assert_eq!(erasure.order, Some(paid.id));
        assert_eq!(
            store.erasures().request(&erase, now()).await.unwrap(),
            erasure
        );
        assert_eq!(store.erasures().list_open(9).await.unwrap(), [erasure]);
    };
    Stack::find().with_empty_database(test).await;
}
