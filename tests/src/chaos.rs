//! The chaos test: orders flow while everything fails, and in the end the books must agree.
//!
//! All chance comes from one seed: what is ordered, what goes wrong, and when. What the machine makes
//! of it in between does not, so a seed replays the troubles and not each interleaving.

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
    crowd::{Crowd, Heard},
    saboteur::{Made, Saboteur},
};
use crate::Stack;

pub use checker::{
    Accepted, CancelRequest, Cancellation, Card, Deadlines, Dispute, Effect, EffectKind, Foreign,
    Intent, Milestone, Recorded, RefundAsked, Shelf, Snapshot, Strike, Token, Violation, check,
};
pub use schedule::{Step, Trouble};
pub use victim::Victim;

/// How long all may take to come to its end once nothing fails any more: for any run, and for each of
/// its orders.
const DRAIN: Duration = Duration::from_mins(8);
const DRAIN_EACH: Duration = Duration::from_millis(150);

/// How long the books may disagree once nothing moves any more: a message whose function was killed is
/// received again after a minute and a half.
const SETTLED_WITHIN: Duration = Duration::from_mins(4);

/// How often to look what is not over yet.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How many products are ordered, and how many there are of each: of some so few that they run out.
const PRODUCTS: usize = 40;
const PLENTY: i64 = 1_000_000;
const FEW: i64 = 9;

/// Every how many products one is short.
const SHORT_EVERY: usize = 20;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many orders are placed.
    pub orders: u32,
    /// Over which time; so long does everything fail, too.
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
    /// All troubles, by time.
    pub fn schedule(&self) -> Vec<Step> {
        match self.fails {
            Fails::Everything => schedule::schedule(self.seed, self.length),
            Fails::PrimaryDatabase => schedule::failover(self.seed, self.length),
        }
    }
}

/// How a run went.
pub struct Report {
    plan: Plan,
    heard: Heard,
    made: Made,
    snapshot: Snapshot,
    /// From the last fault to the last order's end.
    drained_in: Duration,
    /// Every broken promise.
    pub violations: Vec<Violation>,
}

/// Has the crowd shop while everything fails, lets it drain, and checks everybody's books.
pub async fn run(stack: Stack, plan: Plan) -> Report {
    let stack = Arc::new(stack);
    let shelves = shelves(&stack).await;
    let skus = shelves.iter().map(|(sku, _)| sku.clone()).collect();
    let books = Books::open(&stack, shelves).await;
    let books = books.expect("the books should be readable before anything fails");
    let chances = schedule::chances(plan.seed, None);
    let mut saboteur = Saboteur::new(stack.clone(), plan.seed, chances).await;

    let begun = Instant::now();
    let patience = DRAIN + DRAIN_EACH * plan.orders;
    let deadline = begun + plan.length + patience;
    let crowd = Crowd::new(stack.clone(), plan, skus, books.deadlines(), deadline);
    let crowd = Arc::new(crowd);
    let shopping = {
        let crowd = crowd.clone();
        tokio::spawn(async move { crowd.shops(plan.orders, plan.length).await })
    };
    let (orders, length) = (plan.orders, plan.length);
    let trading = foreign::trades(stack.clone(), crowd.clone(), plan.seed, orders, length);
    let trading = tokio::spawn(trading);
    let troubles = plan.schedule();
    let progress = tokio::spawn(tells(crowd.clone(), begun));
    saboteur.carries_out(&troubles).await;
    sleep(plan.length.saturating_sub(begun.elapsed())).await;
    let made = saboteur.leaves().await;
    let calm = Instant::now();
    shopping.await.expect("no shopper should panic");
    let foreign = trading.await.expect("the other shop should not panic");
    progress.abort();
    drain(&books, &stack, deadline).await;
    let drained_in = calm.elapsed();

    let heard = crowd.heard().await;
    let (snapshot, violations) = settled(&books, &stack, &heard, &made, &foreign).await;
    Report {
        plan,
        heard,
        made,
        snapshot,
        drained_in,
        violations,
    }
}

/// What is ordered, and how many there are of it.
async fn shelves(stack: &Stack) -> Vec<(String, i64)> {
    let query = "select sku from stock where sku like 'COFFEE-%' order by sku";
    let rows = stack.database().await.rows(query, &[]).await;
    let rows = rows.expect("the stock should be readable");
    let shelf = |(place, row): (usize, &tokio_postgres::Row)| {
        let short = place % SHORT_EVERY == 0;
        (row.get(0), if short { FEW } else { PLENTY })
    };
    rows.iter().take(PRODUCTS).enumerate().map(shelf).collect()
}

/// Says now and then how far the shopping is.
async fn tells(crowd: Arc<Crowd>, begun: Instant) {
    loop {
        sleep(LOOK_EVERY).await;
        let heard = crowd.heard().await;
        println!(
            "{:>8.1} s  {} accepted, {} requests sent again",
            begun.elapsed().as_secs_f64(),
            heard.accepted_at.len(),
            heard.repeated.values().sum::<usize>()
        );
    }
}

/// Waits until nothing moves any more, or for too long.
async fn drain(books: &Books, stack: &Stack, deadline: Instant) {
    let begun = Instant::now();
    while Instant::now() < deadline {
        match books.pending(stack).await {
            Ok(pending) if pending.is_nothing() => return,
            Ok(pending) => println!(
                "{:>8.1} s  draining: {} orders open, {} held, {} parked, {} executions, {} not finished, \
                 {} webhooks",
                begun.elapsed().as_secs_f64(),
                pending.orders,
                pending.held,
                pending.tokens,
                pending.running,
                pending.unfinished,
                pending.webhooks
            ),
            Err(error) => println!("          draining: {error}"),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The books and what is wrong with them, once they agree, or do not for too long: a webhook that was
/// heard may still wait in its queue, and the books are not all read in one moment.
async fn settled(
    books: &Books,
    stack: &Stack,
    heard: &Heard,
    made: &Made,
    foreign: &Foreign,
) -> (Snapshot, Vec<Violation>) {
    let begun = Instant::now();
    loop {
        let strikes = made.strikes.clone();
        let snapshot = books.read(stack, heard, strikes, foreign.clone()).await;
        let snapshot = snapshot.expect("the books should be readable after all has failed");
        let violations = check(&snapshot);
        if violations.is_empty() || begun.elapsed() > SETTLED_WITHIN {
            return (snapshot, violations);
        }
        sleep(LOOK_EVERY).await;
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
        writeln!(f, "answers:")?;
        for (answer, times) in &self.heard.answers {
            writeln!(f, "  {times:>6}  {answer}")?;
        }
        writeln!(f, "requests sent again, after:")?;
        for (why, times) in &self.heard.repeated {
            writeln!(f, "  {times:>6}  {why}")?;
        }
        writeln!(f, "orders: {}", self.snapshot.orders.len())?;
        for (outcome, orders) in self.snapshot.outcomes() {
            writeln!(f, "  {orders:>6}  {outcome}")?;
        }
        let held_again = self.snapshot.orders_held_again();
        writeln!(f, "orders with more than one hold: {held_again}")?;
        let foreign = self.snapshot.foreign.effects.len();
        writeln!(f, "effects of the other shop: {foreign}")?;
        write!(f, "{}", self.made)?;
        let pause = self.heard.longest_pause().as_secs_f64();
        writeln!(f, "longest time without an accepted order: {pause:.1} s")?;
        writeln!(f, "broken promises: {}", self.violations.len())?;
        for violation in &self.violations {
            writeln!(f, "  {violation}")?;
        }
        Ok(())
    }
}
