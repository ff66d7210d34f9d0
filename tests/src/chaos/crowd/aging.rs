//! Orders close to their deadline: the time at which they were placed is moved back.

use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::Crowd;
use crate::{Order, chaos::checker::Deadlines};

/// The share of orders that are moved close to a deadline.
const SHARE: f64 = 0.15;

/// The time that such an order has left, in seconds. Negative if its deadline has already passed.
const LEFT_SECONDS: std::ops::Range<f64> = -10.0..8.0;

/// The deadline that an order is moved close to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aging {
    /// Whether it is the deadline of an authorized order.
    authorized: bool,
    left_seconds: f64,
}

impl Aging {
    /// Draws whether and how an order is moved.
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Option<Self> {
        let aging = Self {
            authorized: *[true, false].choose(rng)?,
            left_seconds: rng.random_range(LEFT_SECONDS),
        };
        rng.random_bool(SHARE).then_some(aging)
    }

    /// How far the order is moved back.
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
    /// Moves the time at which an order was placed back, unless the database does not answer.
    pub(super) async fn backdate(&self, order: &Order, aging: Aging) {
        let Some(deadlines) = self.deadlines else {
            return;
        };
        let seconds = aging.by_seconds(deadlines);
        let statement = "update orders set placed_at = placed_at - make_interval(secs => $2)
            where id = $1 returning id";
        let update = async {
            let database = self.stack.try_database().await?;
            database.rows(statement, &[&order.id, &seconds]).await
        };
        if update.await.is_ok() {
            self.note("moved close to a deadline").await;
        }
    }
}
