//! The shoppers. They are careful clients, which repeat a request with the same key until it is
//! answered.

mod aging;
mod disputes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use orders::{CancelledBy, Provider};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, sleep, sleep_until},
};
use uuid::Builder;

use self::{aging::Aging, disputes::DisputePlan};
use super::{
    Fails, Plan,
    checker::{Accepted, CancelRequest, Card, Deadlines, Intent, RefundRequest},
    schedule::rng_for,
    site::Visit,
};
use crate::{
    APPROVED, DECLINED, NOWHERE, Order, OrderRequest, Person, Response, Stack, stack::Credentials,
};

/// How long a client waits for one response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long it waits before it repeats a request, in milliseconds. The pause doubles each time, up
/// to [`MAX_DOUBLINGS`] times.
const PAUSE_MS: std::ops::Range<u64> = 200..1_000;

/// So the longest pause is about half a minute.
const MAX_DOUBLINGS: u32 = 5;

/// The most orders that are placed concurrently: as many as a laptop can handle.
const AT_ONCE: usize = 24;

/// How long after its order a shopper may cancel it, in milliseconds.
const CANCEL_AFTER_MS: std::ops::Range<u64> = 0..6_000;

/// How long after an order its authorization may lapse, in milliseconds: while the order is
/// processed.
const LAPSE_AFTER_MS: std::ops::Range<u64> = 0..800;

/// How often an order is polled.
const POLL_EVERY: Duration = Duration::from_secs(2);

/// The quantity of a line.
pub(super) const QUANTITY: std::ops::RangeInclusive<i64> = 1..=3;

/// The share of the orders that are placed at the storefront while everything fails. A failover run
/// uses the API alone, because it places more orders per second than a laptop can render pages for.
const STOREFRONT_SHARE: f64 = 1.0 / 6.0;

/// All shoppers of a run.
pub(super) struct Crowd {
    pub(super) stack: Arc<Stack>,
    plan: Plan,
    shoppers: Vec<User>,
    /// Requests refunds.
    support: User,
    pub(super) skus: Vec<String>,
    /// How long orders may wait.
    deadlines: Option<Deadlines>,
    /// When clients stop to repeat requests.
    pub(super) deadline: Instant,
    observed: Mutex<Observations>,
}

/// What the clients observed.
#[derive(Debug, Clone, Default)]
pub(super) struct Observations {
    /// The orders that were accepted at the API.
    pub(super) accepted: Vec<Accepted>,
    /// The intents at the storefront, with the orders that it showed.
    pub(super) intents: Vec<Intent>,
    /// The times at which orders were accepted or first shown.
    pub(super) accepted_at: Vec<Instant>,
    /// The number of responses by outcome: `placed`, `cancelled`, or the type of a problem.
    pub(super) outcomes: BTreeMap<String, usize>,
    /// The number of repeated requests by reason: a status, or no response.
    pub(super) repeated: BTreeMap<String, usize>,
}

impl Observations {
    /// The longest time without an accepted order, between the first and the last.
    pub(super) fn longest_pause(&self) -> Duration {
        let mut times = self.accepted_at.clone();
        times.sort_unstable();
        let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
        pauses.max().unwrap_or_default()
    }
}

/// A user whose session is kept until it is rejected.
struct User {
    credentials: Credentials,
    person: Mutex<Option<Person>>,
}

/// The random decisions about one order.
struct OrderPlan {
    shopper: usize,
    order_request: OrderRequest,
    card: Card,
    is_undeliverable: bool,
    key: String,
    /// Whether the request is sent twice at once, as by a double click.
    is_doubled: bool,
    /// How long after the response the order is cancelled.
    cancel_after: Option<Duration>,
    /// The percentage of its total that is refunded once it is shipped.
    refund_percent: Option<i64>,
    /// How long after the response its authorization lapses, if there is one then.
    lapse_after: Option<Duration>,
    /// The deadline that it is moved close to.
    aging: Option<Aging>,
    /// How its payment is disputed after the capture.
    dispute: Option<DisputePlan>,
    rng: ChaCha8Rng,
}

/// A request was not answered before the deadline of the run.
pub(super) struct GaveUp;

/// The growing pauses between the attempts of one client.
#[derive(Default)]
pub(super) struct Pauses {
    doublings: u32,
}

impl Pauses {
    pub(super) async fn pause(&mut self, rng: &mut ChaCha8Rng) {
        let pause = Duration::from_millis(rng.random_range(PAUSE_MS));
        sleep(pause * 2_u32.pow(self.doublings)).await;
        self.doublings = MAX_DOUBLINGS.min(self.doublings + 1);
    }
}

impl Crowd {
    /// The seed's shoppers, who order these products until the deadline.
    pub(super) fn new(
        stack: Arc<Stack>,
        plan: Plan,
        skus: Vec<String>,
        deadlines: Option<Deadlines>,
        deadline: Instant,
    ) -> Self {
        let shoppers = stack.shopper_credentials().iter().map(User::new);
        Self {
            shoppers: shoppers.collect(),
            support: User::new(stack.staff_credentials("support")),
            stack,
            plan,
            skus,
            deadlines,
            deadline,
            observed: Mutex::default(),
        }
    }

    /// Places `orders` orders, spread over `length`, and returns when all requests are answered.
    pub(super) async fn place_orders(self: &Arc<Self>, orders: u32, length: Duration) {
        let begun = Instant::now();
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = Vec::new();
        for number in 0..orders {
            sleep_until(begun + length.mul_f64(f64::from(number) / f64::from(orders))).await;
            let crowd = Arc::clone(self);
            let permit = Arc::clone(&permits).acquire_owned().await;
            tasks.push(tokio::spawn(async move {
                crowd.run_order(number).await;
                drop(permit);
            }));
        }
        for task in tasks {
            task.await.expect("no shopper should panic");
        }
    }

    /// What the clients have observed so far.
    pub(super) async fn observed(&self) -> Observations {
        self.observed.lock().await.clone()
    }

    async fn run_order(&self, number: u32) {
        let mut order_plan = self.plan_order(number);
        let at_storefront =
            self.plan.fails == Fails::Everything && order_plan.rng.random_bool(STOREFRONT_SHARE);
        let end = if at_storefront {
            self.visit(Visit::draw(number, order_plan.rng, self)).await
        } else {
            self.place_order(order_plan).await
        };
        if let Err(GaveUp) = end {
            self.note("no response").await;
        }
    }

    async fn place_order(&self, mut order_plan: OrderPlan) -> Result<(), GaveUp> {
        let shopper = &self.shoppers[order_plan.shopper];
        let place = |person: &Person| {
            person
                .order_request(&order_plan.key)
                .body(order_plan.order_request.body())
        };
        let mut others = order_plan.rng.clone();
        let responses = if order_plan.is_doubled {
            let both = futures::future::join(
                self.send_until_answered(shopper, place, &mut order_plan.rng),
                self.send_until_answered(shopper, place, &mut others),
            );
            let (first, second) = both.await;
            vec![first?, second?]
        } else {
            vec![
                self.send_until_answered(shopper, place, &mut order_plan.rng)
                    .await?,
            ]
        };
        for response in &responses {
            self.note_placed(response, &order_plan).await;
        }
        let first = &responses[0];
        if first.status != 201 {
            return Ok(());
        }
        let order = first.json();
        if let Some(aging) = order_plan.aging {
            self.backdate(&order, aging).await;
        }
        if let Some(delay) = order_plan.lapse_after {
            sleep(delay).await;
            self.lapse_authorization(&order).await;
        }
        if let Some(delay) = order_plan.cancel_after {
            sleep(delay).await;
            self.request_cancellation(shopper, &order, &mut order_plan.rng)
                .await?;
        } else if let Some(percent) = order_plan.refund_percent {
            self.wait_for_end(shopper, &order, &mut order_plan.rng)
                .await?;
            self.request_refund(&order, percent, &mut order_plan.rng)
                .await?;
        } else if let Some(dispute) = order_plan.dispute {
            self.dispute_payment(shopper, &order, dispute, &mut order_plan.rng)
                .await?;
        }
        Ok(())
    }

    /// Polls an order until it is completed or cancelled.
    async fn wait_for_end(
        &self,
        shopper: &User,
        order: &Order,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), GaveUp> {
        let has_ended = |response: Response| {
            let now: Order = response.json();
            ["completed", "cancelled"].contains(&now.status.as_str())
        };
        self.poll_until(shopper, order, rng, has_ended).await
    }

    /// Polls an order as this user until its response satisfies a condition.
    async fn poll_until(
        &self,
        user: &User,
        order: &Order,
        rng: &mut ChaCha8Rng,
        is_reached: impl Fn(Response) -> bool,
    ) -> Result<(), GaveUp> {
        let path = format!("/v1/orders/{}", order.id);
        let look = |person: &Person| person.request(Method::GET, &path);
        loop {
            let response = self.send_until_answered(user, look, rng).await?;
            if is_reached(response.with_status(200)) {
                return Ok(());
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Has the bank end the authorization of an order, in whatever state the order is.
    async fn lapse_authorization(&self, order: &Order) {
        let payments = &self.stack.provider(Provider::Payments).url;
        let lapse = self.stack.http.post(format!("{payments}/_lapse"));
        let asked = lapse.json(&json!({ "order_id": order.id })).send().await;
        let status = asked.map(|response| response.status().as_u16());
        if matches!(status, Ok(404)) {
            return;
        }
        // Without a response, it may have lapsed.
        self.note("authorization lapsed").await;
        self.update_accepted(order, |accepted| accepted.lapsed = true)
            .await;
    }

    /// Requests a partial refund as staff.
    async fn request_refund(
        &self,
        order: &Order,
        percent: i64,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), GaveUp> {
        let cents = (order.total_cents * percent / 100).max(1);
        let key = new_key(rng);
        let refund = |person: &Person| person.refund_request(order, cents, &key);
        let response = self.send_until_answered(&self.support, refund, rng).await?;
        if response.status != 202 {
            self.note(&problem(&response)).await;
            return Ok(());
        }
        self.note("refund accepted").await;
        let asked: RefundRequest = response.json();
        self.update_accepted(order, |accepted| accepted.refunds.push(asked))
            .await;
        Ok(())
    }

    async fn update_accepted(&self, order: &Order, change: impl Fn(&mut Accepted)) {
        let mut observed = self.observed.lock().await;
        let placed = observed.accepted.iter_mut();
        placed.filter(|it| it.order == order.id).for_each(change);
    }

    async fn request_cancellation(
        &self,
        user: &User,
        order: &Order,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), GaveUp> {
        let key = new_key(rng);
        let cancel = |person: &Person| person.cancel_request(order, &key);
        let request = |confirmed| CancelRequest {
            by: CancelledBy::Shopper,
            confirmed,
        };
        self.update_accepted(order, |accepted| accepted.cancel = Some(request(false)))
            .await;
        let response = self.send_until_answered(user, cancel, rng).await?;
        if response.status != 200 {
            self.note(&problem(&response)).await;
            self.update_accepted(order, |accepted| accepted.cancel = None)
                .await;
            return Ok(());
        }
        self.note("cancelled").await;
        self.update_accepted(order, |accepted| accepted.cancel = Some(request(true)))
            .await;
        Ok(())
    }

    /// Repeats the same request until the API gives a final response.
    async fn send_until_answered(
        &self,
        user: &User,
        request: impl Fn(&Person) -> RequestBuilder,
        rng: &mut ChaCha8Rng,
    ) -> Result<Response, GaveUp> {
        let mut pauses = Pauses::default();
        while Instant::now() < self.deadline {
            let response = match user.sign_in(&self.stack).await {
                Some(person) => Response::try_of(request(&person).timeout(RESPONSE_TIMEOUT))
                    .await
                    .ok(),
                None => None,
            };
            let why = match response {
                Some(response) if is_final(&response) => return Ok(response),
                Some(response) => response.status.to_string(),
                None => "no response".to_owned(),
            };
            if why == "401" {
                user.forget_session().await;
            }
            self.note_repeated(&why).await;
            pauses.pause(rng).await;
        }
        Err(GaveUp)
    }

    fn plan_order(&self, number: u32) -> OrderPlan {
        let mut rng = rng_for(self.plan.seed, Some(number));
        let lines = rng.random_range(1..=3);
        let skus: Vec<&String> = self.skus.choose_multiple(&mut rng, lines).collect();
        let mut order_request = OrderRequest::of(skus[0], rng.random_range(QUANTITY));
        for sku in &skus[1..] {
            order_request = order_request.and(sku, rng.random_range(QUANTITY));
        }
        let percentile = rng.random_range(0..100);
        let card = match percentile {
            0..8 => DECLINED,
            8..12 => "pm_card_chargeDeclinedInsufficientFunds",
            12..14 => "pm_card_authenticationRequired",
            20..40 => "pm_card_mastercard",
            40..45 => "pm_card_refundFail",
            45..50 => "pm_card_pendingRefund",
            _ => APPROVED,
        };
        order_request = order_request.paid_with(card);
        let is_undeliverable = (14..20).contains(&percentile);
        if is_undeliverable {
            order_request = order_request.to(NOWHERE);
        }
        let cancel_after = rng.random_range(CANCEL_AFTER_MS);
        let lapse_after = rng.random_range(LAPSE_AFTER_MS);
        let percent = [10, 50, 100][rng.random_range(0..3)];
        OrderPlan {
            shopper: rng.random_range(0..self.shoppers.len()),
            order_request,
            card: Card::of(card),
            is_undeliverable,
            key: new_key(&mut rng),
            is_doubled: rng.random_bool(0.1),
            cancel_after: rng
                .random_bool(0.12)
                .then(|| Duration::from_millis(cancel_after)),
            refund_percent: rng.random_bool(0.1).then_some(percent),
            lapse_after: rng
                .random_bool(0.05)
                .then(|| Duration::from_millis(lapse_after)),
            aging: Aging::draw(&mut rng),
            dispute: DisputePlan::draw(&mut rng),
            rng,
        }
    }

    async fn note_placed(&self, response: &Response, order_plan: &OrderPlan) {
        if response.status != 201 {
            return self.note(&problem(response)).await;
        }
        let replayed = response.header("idempotent-replayed") == "true";
        self.note(if replayed { "placed before" } else { "placed" })
            .await;
        let order = response.json::<Order>().id;
        let mut observed = self.observed.lock().await;
        if observed
            .accepted
            .iter()
            .any(|accepted| accepted.order == order)
        {
            return;
        }
        observed.accepted_at.push(Instant::now());
        observed.accepted.push(Accepted {
            order,
            key: order_plan.key.clone(),
            card: order_plan.card,
            is_undeliverable: order_plan.is_undeliverable,
            cancel: None,
            lapsed: false,
            refunds: Vec::new(),
            dispute: None,
        });
    }

    pub(super) async fn note_intent(&self, intent: Intent) {
        let mut observed = self.observed.lock().await;
        let shown = intent.shown.iter().map(|_| Instant::now());
        observed.accepted_at.extend(shown);
        observed.intents.push(intent);
    }

    pub(super) async fn note(&self, outcome: &str) {
        let mut observed = self.observed.lock().await;
        *observed.outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    /// Notes why a request is repeated.
    pub(super) async fn note_repeated(&self, why: &str) {
        let mut observed = self.observed.lock().await;
        *observed.repeated.entry(why.to_owned()).or_default() += 1;
    }
}

impl User {
    fn new(credentials: &Credentials) -> Self {
        Self {
            credentials: credentials.clone(),
            person: Mutex::default(),
        }
    }

    async fn sign_in(&self, stack: &Stack) -> Option<Person> {
        let mut person = self.person.lock().await;
        if person.is_none() {
            *person = stack.try_sign_in(&self.credentials).await;
        }
        person.clone()
    }

    async fn forget_session(&self) {
        *self.person.lock().await = None;
    }
}

/// Whether a repeated request would get the same response. A response that does not come from the
/// API itself is never final.
fn is_final(response: &Response) -> bool {
    match response.status {
        200..=202 => true,
        401 | 429 => false,
        400..500 => response.header("content-type") == "application/problem+json",
        _ => false,
    }
}

/// The type of a problem: the last segment of its URI.
fn problem(response: &Response) -> String {
    let body: Value = response.json();
    let kind = body["type"].as_str().unwrap_or_default();
    kind.rsplit('/').next().unwrap_or_default().to_owned()
}

/// An idempotency key that the seed determines.
fn new_key(rng: &mut ChaCha8Rng) -> String {
    Builder::from_random_bytes(rng.random())
        .into_uuid()
        .to_string()
}
