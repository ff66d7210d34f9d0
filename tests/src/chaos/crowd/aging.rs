//! Orders that come near their deadline at once: their hours are taken off the time at which they were
//! placed.

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::Crowd;
use crate::{Order, chaos::checker::Deadlines};

/// Which share of the orders comes near a deadline.
const SHARE: f64 = 0.15;

/// How long after its acceptance the deadline of such an order is, in seconds; negative, if it has
/// passed before.
const LEFT_SECONDS: std::ops::Range<f64> = -10.0..8.0;

/// Near which deadline an order comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aging {
    /// Whether it is the one of an order whose money is held.
    authorized: bool,
    left_seconds: f64,
}

impl Aging {
    /// What the seed has in store for an order.
    pub(super) fn draw(chances: &mut ChaCha8Rng) -> Option<Self> {
        let aging = Self {
            authorized: *[true, false].choose(chances)?,
            left_seconds: chances.random_range(LEFT_SECONDS),
        };
        chances.random_bool(SHARE).then_some(aging)
    }

    /// How much older it makes an order.
    fn by_seconds(self, deadlines: Deadlines) -> f64 {
        let deadline = if self.authorized {
            deadlines.authorized
        } else {
            deadlines.unauthorized
        };
        deadline.as_secs_f64() - self.left_seconds
    }
}

impl Crowd {
    /// Has an order look as if it had been placed earlier, unless the database does not answer.
    pub(super) async fn ages(&self, order: &Order, aging: Aging) {
        let Some(deadlines) = self.deadlines else {
            return;
        };
        let seconds = aging.by_seconds(deadlines);
        let statement = "update orders set placed_at = placed_at - make_interval(secs => $2)
            where id = $1 returning id";
        let aged = async {
            let database = self.stack.try_database().await?;
            database.rows(statement, &[&order.id, &seconds]).await
        };
        if aged.await.is_ok() {
            self.note("made older").await;
        }
    }
}
