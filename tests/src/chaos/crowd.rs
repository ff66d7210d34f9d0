//! The shoppers: careful clients, who ask again with the same key until they have an answer.

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

use self::{aging::Aging, disputes::DisputeFate};
use super::{
    Fails, Plan,
    checker::{Accepted, CancelRequest, Card, Deadlines, Intent, RefundAsked},
    schedule::chances,
    site::Visit,
};
use crate::{APPROVED, Answer, DECLINED, NOWHERE, Order, Person, Stack, Wish, stack::Credentials};

/// How long a client waits for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it waits before it asks again, in milliseconds; twice as long after each time, up to
/// [`MAX_DOUBLINGS`] times.
const PAUSE_MS: std::ops::Range<u64> = 200..1_000;

/// Hence the longest wait is about half a minute.
const MAX_DOUBLINGS: u32 = 5;

/// How many orders are under way at once, at the most: as many as a laptop bears.
const AT_ONCE: usize = 24;

/// How long after its order a shopper may call it off, in milliseconds.
const REGRET_MS: std::ops::Range<u64> = 0..6_000;

/// How long after an order the hold on its card may lapse, in milliseconds: while it is being worked on.
const LAPSE_MS: std::ops::Range<u64> = 0..800;

/// How long a shopper waits before a second look at an order.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How many articles of one product an order may have.
pub(super) const QUANTITY: std::ops::RangeInclusive<i64> = 1..=3;

/// The share of the orders that are placed at the storefront while everything fails. A failover is met by
/// more orders a second than a laptop can show pages for.
const SHARE_OF_THE_SITE: f64 = 1.0 / 6.0;

/// All shoppers of a run.
pub(super) struct Crowd {
    pub(super) stack: Arc<Stack>,
    plan: Plan,
    shoppers: Vec<Member>,
    /// Gives money back.
    support: Member,
    pub(super) skus: Vec<String>,
    /// How long orders may wait.
    deadlines: Option<Deadlines>,
    /// When even the most patient give up.
    pub(super) deadline: Instant,
    heard: Mutex<Heard>,
}

/// What the crowd was told.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    /// The orders that were accepted.
    pub(super) accepted: Vec<Accepted>,
    /// What the storefront showed to those who order there.
    pub(super) intents: Vec<Intent>,
    /// When an order was accepted, or first shown.
    pub(super) accepted_at: Vec<Instant>,
    /// How the attempts ended, and how many did so: `placed`, `called-off`, or the kind of a
    /// problem.
    pub(super) answers: BTreeMap<String, usize>,
    /// Why requests had to be sent again, and how often: a status, or no answer at all.
    pub(super) repeated: BTreeMap<String, usize>,
}

impl Heard {
    /// The longest time in which no order was accepted, from the first to the last.
    pub(super) fn longest_pause(&self) -> Duration {
        let mut times = self.accepted_at.clone();
        times.sort_unstable();
        let pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
        pauses.max().unwrap_or_default()
    }
}

/// Somebody who signs in, and again when that is forgotten.
struct Member {
    credentials: Credentials,
    person: Mutex<Option<Person>>,
}

/// What the seed has in store for one order.
struct Fate {
    shopper: usize,
    wish: Wish,
    card: Card,
    goes_nowhere: bool,
    key: String,
    /// Whether the request is sent twice at once, as by a double click.
    doubled: bool,
    /// How long after the answer the order is called off.
    regret: Option<Duration>,
    /// How many percent of its price are given back once it is shipped.
    refund: Option<i64>,
    /// How long after the answer the hold on the card lapses, if it is held then.
    lapse: Option<Duration>,
    /// Near which deadline it comes at once.
    aging: Option<Aging>,
    /// How its payment is disputed once it is captured.
    dispute: Option<DisputeFate>,
    chances: ChaCha8Rng,
}

/// Nobody answered until the end.
pub(super) struct GivenUp;

/// The pauses between the tries of one client, which grow.
#[derive(Default)]
pub(super) struct Pauses {
    doublings: u32,
}

impl Pauses {
    pub(super) async fn pause(&mut self, chances: &mut ChaCha8Rng) {
        let pause = Duration::from_millis(chances.random_range(PAUSE_MS));
        sleep(pause * 2_u32.pow(self.doublings)).await;
        self.doublings = MAX_DOUBLINGS.min(self.doublings + 1);
    }
}

impl Crowd {
    /// The seed's shoppers, who order these products and give up at the deadline.
    pub(super) fn new(
        stack: Arc<Stack>,
        plan: Plan,
        skus: Vec<String>,
        deadlines: Option<Deadlines>,
        deadline: Instant,
    ) -> Self {
        let shoppers = stack.shopper_credentials().iter().map(Member::new);
        Self {
            shoppers: shoppers.collect(),
            support: Member::new(stack.staff_credentials("support")),
            stack,
            plan,
            skus,
            deadlines,
            deadline,
            heard: Mutex::default(),
        }
    }

    /// Places so many orders, spread over `length`, and stays until each has its answer.
    pub(super) async fn shops(self: &Arc<Self>, orders: u32, length: Duration) {
        let begun = Instant::now();
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let mut lives = Vec::new();
        for number in 0..orders {
            sleep_until(begun + length.mul_f64(f64::from(number) / f64::from(orders))).await;
            let crowd = Arc::clone(self);
            let place = Arc::clone(&room).acquire_owned().await;
            lives.push(tokio::spawn(async move {
                crowd.lives(number).await;
                drop(place);
            }));
        }
        for life in lives {
            life.await.expect("no shopper should panic");
        }
    }

    /// What the crowd has been told so far.
    pub(super) async fn heard(&self) -> Heard {
        self.heard.lock().await.clone()
    }

    async fn lives(&self, number: u32) {
        let mut fate = self.fate(number);
        let at_the_site =
            self.plan.fails == Fails::Everything && fate.chances.random_bool(SHARE_OF_THE_SITE);
        let end = if at_the_site {
            self.visit(Visit::draw(number, fate.chances, self)).await
        } else {
            self.places(fate).await
        };
        if let Err(GivenUp) = end {
            self.note("no answer").await;
        }
    }

    async fn places(&self, mut fate: Fate) -> Result<(), GivenUp> {
        let shopper = &self.shoppers[fate.shopper];
        let place = |person: &Person| person.order_request(&fate.key).body(fate.wish.body());
        let mut others = fate.chances.clone();
        let answers = if fate.doubled {
            let both = futures::future::join(
                self.insists(shopper, place, &mut fate.chances),
                self.insists(shopper, place, &mut others),
            );
            let (first, second) = both.await;
            vec![first?, second?]
        } else {
            vec![self.insists(shopper, place, &mut fate.chances).await?]
        };
        for answer in &answers {
            self.note_placed(answer, &fate).await;
        }
        let first = &answers[0];
        if first.status != 201 {
            return Ok(());
        }
        let order = first.json();
        if let Some(aging) = fate.aging {
            self.ages(&order, aging).await;
        }
        if let Some(lapse) = fate.lapse {
            sleep(lapse).await;
            self.lapses(&order).await;
        }
        if let Some(regret) = fate.regret {
            sleep(regret).await;
            self.calls_off(shopper, &order, &mut fate.chances).await?;
        } else if let Some(percent) = fate.refund {
            self.waits_for_the_end(shopper, &order, &mut fate.chances)
                .await?;
            self.refunds(&order, percent, &mut fate.chances).await?;
        } else if let Some(dispute) = fate.dispute {
            self.disputes(shopper, &order, dispute, &mut fate.chances)
                .await?;
        }
        Ok(())
    }

    /// Looks at an order until it is completed or cancelled.
    async fn waits_for_the_end(
        &self,
        shopper: &Member,
        order: &Order,
        chances: &mut ChaCha8Rng,
    ) -> Result<(), GivenUp> {
        let has_ended = |answer: Answer| {
            let now: Order = answer.json();
            ["completed", "cancelled"].contains(&now.status.as_str())
        };
        self.looks_until(shopper, order, chances, has_ended).await
    }

    /// Looks at an order, as the member sees it, until it shows something.
    async fn looks_until(
        &self,
        member: &Member,
        order: &Order,
        chances: &mut ChaCha8Rng,
        shows: impl Fn(Answer) -> bool,
    ) -> Result<(), GivenUp> {
        let path = format!("/v1/orders/{}", order.id);
        let look = |person: &Person| person.request(Method::GET, &path);
        loop {
            let answer = self.insists(member, look, chances).await?;
            if shows(answer.with_status(200)) {
                return Ok(());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Has the bank end its hold on the card, whatever becomes of it.
    async fn lapses(&self, order: &Order) {
        let payments = &self.stack.provider(Provider::Payments).url;
        let lapse = self.stack.http.post(format!("{payments}/_lapse"));
        let asked = lapse.json(&json!({ "order_id": order.id })).send().await;
        let status = asked.map(|answer| answer.status().as_u16());
        if matches!(status, Ok(404)) {
            return;
        }
        // Without an answer it may have lapsed.
        self.note("lapsed").await;
        self.remember(order, |accepted| accepted.lapsed = true)
            .await;
    }

    /// Has staff give a part of the price back.
    async fn refunds(
        &self,
        order: &Order,
        percent: i64,
        chances: &mut ChaCha8Rng,
    ) -> Result<(), GivenUp> {
        let cents = (order.total_cents * percent / 100).max(1);
        let key = new_key(chances);
        let refund = |person: &Person| person.refund_request(order, cents, &key);
        let answer = self.insists(&self.support, refund, chances).await?;
        if answer.status != 202 {
            self.note(&problem(&answer)).await;
            return Ok(());
        }
        self.note("refunded").await;
        let asked: RefundAsked = answer.json();
        self.remember(order, |accepted| accepted.refunds.push(asked))
            .await;
        Ok(())
    }

    async fn remember(&self, order: &Order, change: impl Fn(&mut Accepted)) {
        let mut heard = self.heard.lock().await;
        let placed = heard.accepted.iter_mut();
        placed.filter(|it| it.order == order.id).for_each(change);
    }

    async fn calls_off(
        &self,
        member: &Member,
        order: &Order,
        chances: &mut ChaCha8Rng,
    ) -> Result<(), GivenUp> {
        let key = new_key(chances);
        let cancel = |person: &Person| person.cancel_request(order, &key);
        let request = |confirmed| CancelRequest {
            by: CancelledBy::Shopper,
            confirmed,
        };
        self.remember(order, |accepted| accepted.cancel = Some(request(false)))
            .await;
        let answer = self.insists(member, cancel, chances).await?;
        if answer.status != 200 {
            self.note(&problem(&answer)).await;
            self.remember(order, |accepted| accepted.cancel = None)
                .await;
            return Ok(());
        }
        self.note("called-off").await;
        self.remember(order, |accepted| accepted.cancel = Some(request(true)))
            .await;
        Ok(())
    }

    /// Asks until the API has answered for good, always for the same thing.
    async fn insists(
        &self,
        member: &Member,
        ask: impl Fn(&Person) -> RequestBuilder,
        chances: &mut ChaCha8Rng,
    ) -> Result<Answer, GivenUp> {
        let mut pauses = Pauses::default();
        while Instant::now() < self.deadline {
            let answer = match member.signed_in(&self.stack).await {
                Some(person) => Answer::try_of(ask(&person).timeout(PATIENCE)).await.ok(),
                None => None,
            };
            let why = match answer {
                Some(answer) if is_final(&answer) => return Ok(answer),
                Some(answer) => answer.status.to_string(),
                None => "no answer".to_owned(),
            };
            if why == "401" {
                member.signs_out().await;
            }
            self.note_repeated(&why).await;
            pauses.pause(chances).await;
        }
        Err(GivenUp)
    }

    fn fate(&self, number: u32) -> Fate {
        let mut chances = chances(self.plan.seed, Some(number));
        let how_many = chances.random_range(1..=3);
        let skus: Vec<&String> = self.skus.choose_multiple(&mut chances, how_many).collect();
        let mut wish = Wish::of(skus[0], chances.random_range(QUANTITY));
        for sku in &skus[1..] {
            wish = wish.and(sku, chances.random_range(QUANTITY));
        }
        let lot = chances.random_range(0..100);
        let card = match lot {
            0..8 => DECLINED,
            8..12 => "pm_card_chargeDeclinedInsufficientFunds",
            12..14 => "pm_card_authenticationRequired",
            20..40 => "pm_card_mastercard",
            40..45 => "pm_card_refundFail",
            45..50 => "pm_card_pendingRefund",
            _ => APPROVED,
        };
        wish = wish.paid_with(card);
        let goes_nowhere = (14..20).contains(&lot);
        if goes_nowhere {
            wish = wish.to(NOWHERE);
        }
        let regret = chances.random_range(REGRET_MS);
        let lapse = chances.random_range(LAPSE_MS);
        let percent = [10, 50, 100][chances.random_range(0..3)];
        Fate {
            shopper: chances.random_range(0..self.shoppers.len()),
            wish,
            card: Card::of(card),
            goes_nowhere,
            key: new_key(&mut chances),
            doubled: chances.random_bool(0.1),
            regret: chances
                .random_bool(0.12)
                .then(|| Duration::from_millis(regret)),
            refund: chances.random_bool(0.1).then_some(percent),
            lapse: chances
                .random_bool(0.05)
                .then(|| Duration::from_millis(lapse)),
            aging: Aging::draw(&mut chances),
            dispute: DisputeFate::draw(&mut chances),
            chances,
        }
    }

    async fn note_placed(&self, answer: &Answer, fate: &Fate) {
        if answer.status != 201 {
            return self.note(&problem(answer)).await;
        }
        let replayed = answer.header("idempotent-replayed") == "true";
        self.note(if replayed { "placed before" } else { "placed" })
            .await;
        let order = answer.json::<Order>().id;
        let mut heard = self.heard.lock().await;
        if heard
            .accepted
            .iter()
            .any(|accepted| accepted.order == order)
        {
            return;
        }
        heard.accepted_at.push(Instant::now());
        heard.accepted.push(Accepted {
            order,
            key: fate.key.clone(),
            card: fate.card,
            goes_nowhere: fate.goes_nowhere,
            cancel: None,
            lapsed: false,
            refunds: Vec::new(),
            dispute: None,
        });
    }

    pub(super) async fn note_intent(&self, intent: Intent) {
        let mut heard = self.heard.lock().await;
        let shown = intent.shown.iter().map(|_| Instant::now());
        heard.accepted_at.extend(shown);
        heard.intents.push(intent);
    }

    pub(super) async fn note(&self, answer: &str) {
        let mut heard = self.heard.lock().await;
        *heard.answers.entry(answer.to_owned()).or_default() += 1;
    }

    /// Notes why a request is sent again.
    pub(super) async fn note_repeated(&self, why: &str) {
        let mut heard = self.heard.lock().await;
        *heard.repeated.entry(why.to_owned()).or_default() += 1;
    }
}

impl Member {
    fn new(credentials: &Credentials) -> Self {
        Self {
            credentials: credentials.clone(),
            person: Mutex::default(),
        }
    }

    async fn signed_in(&self, stack: &Stack) -> Option<Person> {
        let mut person = self.person.lock().await;
        if person.is_none() {
            *person = stack.try_sign_in(&self.credentials).await;
        }
        person.clone()
    }

    async fn signs_out(&self) {
        *self.person.lock().await = None;
    }
}

/// Whether asking again would give the same answer. What is not the API's own answer never is final:
/// it comes from something between that is broken or not yet there.
fn is_final(answer: &Answer) -> bool {
    match answer.status {
        200..=202 => true,
        401 | 429 => false,
        400..500 => answer.header("content-type") == "application/problem+json",
        _ => false,
    }
}

/// The kind of a problem, as its address ends.
fn problem(answer: &Answer) -> String {
    let body: Value = answer.json();
    let kind = body["type"].as_str().unwrap_or_default();
    kind.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A key that the seed alone decides.
fn new_key(chances: &mut ChaCha8Rng) -> String {
    Builder::from_random_bytes(chances.random())
        .into_uuid()
        .to_string()
}
