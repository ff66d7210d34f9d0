//! The chaos test: shoppers place orders while everything fails, and in the end all records must
//! agree.
//!
//! One seed decides what is ordered, what fails, and when. It does not decide how the machine
//! schedules its processes, so a seed replays the failures but not each interleaving.

mod books;
mod checker;
mod crowd;
mod foreign;
mod saboteur;
mod schedule;
mod site;
mod victim;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

pub use self::books::{Books, Pending, Unreadable};
use self::{
    crowd::{Crowd, Observations},
    saboteur::{FailureCounts, Saboteur},
};
use crate::Stack;

pub use checker::{
    Accepted, CancelRequest, Cancellation, Card, Deadlines, Dispute, Effect, EffectKind, Foreign,
    Intent, Milestone, Recorded, RefundRequest, Shelf, Snapshot, Strike, Token, Violation, check,
};
pub use schedule::{Failure, Step};
pub use victim::Victim;

/// How long orders may take to finish once nothing fails any more: for any run, and in addition for
/// each of its orders.
const DRAIN: Duration = Duration::from_mins(8);
const DRAIN_EACH: Duration = Duration::from_millis(150);

/// How long the records may disagree once all orders are finished. A message whose function was
/// killed is received again after a minute and a half.
const SETTLED_WITHIN: Duration = Duration::from_mins(4);

/// How often the unfinished work is checked.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// How many products are ordered, and their stock. Some have so little that they sell out.
const PRODUCTS: usize = 40;
const AMPLE_STOCK: i64 = 1_000_000;
const SHORT_STOCK: i64 = 9;

/// One of so many products has a short stock.
const SHORT_EVERY: usize = 20;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The seed of all random decisions.
    pub seed: u64,
    /// The number of orders.
    pub orders: u32,
    /// How long orders are placed and things fail.
    pub length: Duration,
    /// What fails.
    pub fails: Fails,
}

/// What fails in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fails {
    /// Both providers and all programs, again and again.
    Everything,
    /// The primary database, once, while a provider is out; the standby takes over.
    PrimaryDatabase,
}

impl Plan {
    /// All failures, by time.
    pub fn schedule(&self) -> Vec<Step> {
        match self.fails {
            Fails::Everything => schedule::schedule(self.seed, self.length),
            Fails::PrimaryDatabase => schedule::failover(self.seed, self.length),
        }
    }
}

/// The result of a run.
pub struct Report {
    plan: Plan,
    observed: Observations,
    counts: FailureCounts,
    snapshot: Snapshot,
    /// From the last fault to the end of the last order.
    drained_in: Duration,
    /// Every invariant that does not hold.
    pub violations: Vec<Violation>,
}

/// Places orders while everything fails, waits until they are finished, and checks all records.
pub async fn run(stack: Stack, plan: Plan) -> Report {
    let stack = Arc::new(stack);
    let shelves = shelves(&stack).await;
    let skus = shelves.iter().map(|(sku, _)| sku.clone()).collect();
    let books = Books::open(&stack, shelves).await;
    let books = books.expect("the books should be readable before anything fails");
    let rng = schedule::rng_for(plan.seed, None);
    let mut saboteur = Saboteur::new(stack.clone(), plan.seed, rng).await;

    let begun = Instant::now();
    let drain_limit = DRAIN + DRAIN_EACH * plan.orders;
    let deadline = begun + plan.length + drain_limit;
    let crowd = Crowd::new(stack.clone(), plan, skus, books.deadlines(), deadline);
    let crowd = Arc::new(crowd);
    let shopping = {
        let crowd = crowd.clone();
        tokio::spawn(async move { crowd.place_orders(plan.orders, plan.length).await })
    };
    let (orders, length) = (plan.orders, plan.length);
    let other_shop = foreign::run(stack.clone(), crowd.clone(), plan.seed, orders, length);
    let other_shop = tokio::spawn(other_shop);
    let failures = plan.schedule();
    let progress = tokio::spawn(print_progress(crowd.clone(), begun));
    saboteur.carry_out(&failures).await;
    sleep(plan.length.saturating_sub(begun.elapsed())).await;
    let counts = saboteur.stop().await;
    let calm = Instant::now();
    shopping.await.expect("no shopper should panic");
    let foreign = other_shop.await.expect("the other shop should not panic");
    progress.abort();
    drain(&books, &stack, deadline).await;
    let drained_in = calm.elapsed();

    let observed = crowd.observed().await;
    let (snapshot, violations) = settled(&books, &stack, &observed, &counts, &foreign).await;
    Report {
        plan,
        observed,
        counts,
        snapshot,
        drained_in,
        violations,
    }
}

/// The products that are ordered, with their stock.
async fn shelves(stack: &Stack) -> Vec<(String, i64)> {
    let query = "select sku from stock where sku like 'COFFEE-%' order by sku";
    let rows = stack.database().await.rows(query, &[]).await;
    let rows = rows.expect("the stock should be readable");
    let shelf = |(place, row): (usize, &tokio_postgres::Row)| {
        let short = place % SHORT_EVERY == 0;
        (row.get(0), if short { SHORT_STOCK } else { AMPLE_STOCK })
    };
    rows.iter().take(PRODUCTS).enumerate().map(shelf).collect()
}

/// Prints regularly how many orders were accepted.
async fn print_progress(crowd: Arc<Crowd>, begun: Instant) {
    loop {
        sleep(CHECK_EVERY).await;
        let observed = crowd.observed().await;
        println!(
            "{:>8.1} s  {} accepted, {} requests repeated",
            begun.elapsed().as_secs_f64(),
            observed.accepted_at.len(),
            observed.repeated.values().sum::<usize>()
        );
    }
}

/// Waits until all work is finished, or until the deadline.
async fn drain(books: &Books, stack: &Stack, deadline: Instant) {
    let begun = Instant::now();
    while Instant::now() < deadline {
        match books.pending(stack).await {
            Ok(pending) if pending.is_nothing() => return,
            Ok(pending) => println!(
                "{:>8.1} s  draining: {} orders open, {} waiting, {} parked, {} executions, {} in the outbox, \
                 {} webhooks",
                begun.elapsed().as_secs_f64(),
                pending.orders,
                pending.waiting,
                pending.tokens,
                pending.running,
                pending.unfinished,
                pending.webhooks
            ),
            Err(error) => println!("          draining: {error}"),
        }
        sleep(CHECK_EVERY).await;
    }
}

/// Reads and checks the books until they agree, or until [`SETTLED_WITHIN`] is over. They may
/// disagree at first, because a delivered webhook may still be queued and the records are not read
/// at one moment.
async fn settled(
    books: &Books,
    stack: &Stack,
    observed: &Observations,
    counts: &FailureCounts,
    foreign: &Foreign,
) -> (Snapshot, Vec<Violation>) {
    let begun = Instant::now();
    loop {
        let strikes = counts.strikes.clone();
        let snapshot = books.read(stack, observed, strikes, foreign.clone()).await;
        let snapshot = snapshot.expect("the books should be readable after all has failed");
        let violations = check(&snapshot);
        if violations.is_empty() || begun.elapsed() > SETTLED_WITHIN {
            return (snapshot, violations);
        }
        sleep(CHECK_EVERY).await;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan {
            seed,
            orders,
            length,
            ..
        } = self.plan;
        writeln!(
            f,
            "\nseed {seed}: {orders} orders in {:.0} s, drained in {:.0} s",
            length.as_secs_f64(),
            self.drained_in.as_secs_f64()
        )?;
        writeln!(f, "outcomes:")?;
        for (outcome, times) in &self.observed.outcomes {
            writeln!(f, "  {times:>6}  {outcome}")?;
        }
        writeln!(f, "requests repeated, after:")?;
        for (why, times) in &self.observed.repeated {
            writeln!(f, "  {times:>6}  {why}")?;
        }
        writeln!(f, "orders: {}", self.snapshot.orders.len())?;
        for (outcome, orders) in self.snapshot.outcomes() {
            writeln!(f, "  {orders:>6}  {outcome}")?;
        }
        let reauthorized = self.snapshot.reauthorized_orders();
        writeln!(f, "orders authorized more than once: {reauthorized}")?;
        let foreign = self.snapshot.foreign.effects.len();
        writeln!(f, "effects of the other shop: {foreign}")?;
        write!(f, "{}", self.counts)?;
        let pause = self.observed.longest_pause().as_secs_f64();
        writeln!(f, "longest time without an accepted order: {pause:.1} s")?;
        writeln!(f, "violations: {}", self.violations.len())?;
        for violation in &self.violations {
            writeln!(f, "  {violation}")?;
        }
        for records in self.snapshot.records_of(&self.violations) {
            writeln!(f, "{records}")?;
        }
        Ok(())
    }
}
