//! Payments that the shopper's bank disputes once they are captured, and staff who refund them all the
//! same.

use std::time::Duration;

use orders::Provider;
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Crowd, GivenUp, Member};
use crate::{Answer, Order, chaos::checker::Dispute};

/// Which share of the orders is disputed, if they are captured.
const SHARE: f64 = 0.1;

/// How long to wait before a simulator that does not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// What the refund is of, in percent of the price.
const REFUNDED_PERCENT: i64 = 10;

/// How an order is disputed.
#[derive(Debug, Clone, Copy)]
pub(super) struct DisputeFate {
    /// A chargeback; else an inquiry, which can be answered by a refund.
    is_chargeback: bool,
    /// Whether staff sees the dispute before the refund is asked for; else it may be news then.
    is_seen: bool,
}

impl DisputeFate {
    /// What the seed has in store for an order.
    pub(super) fn draw(chances: &mut ChaCha8Rng) -> Option<Self> {
        let fate = Self {
            is_chargeback: *[true, true, false].choose(chances)?,
            is_seen: chances.random_bool(0.5),
        };
        chances.random_bool(SHARE).then_some(fate)
    }
}

impl Crowd {
    /// Has the bank dispute the order's payment once it is captured, and staff ask for a refund.
    pub(super) async fn disputes(
        &self,
        shopper: &Member,
        order: &Order,
        fate: DisputeFate,
        chances: &mut ChaCha8Rng,
    ) -> Result<(), GivenUp> {
        self.waits_for_the_end(shopper, order, chances).await?;
        let Some(id) = self.opens_dispute(order, fate).await? else {
            return Ok(());
        };
        self.note("disputed").await;
        let dispute = Dispute {
            id: id.clone(),
            is_chargeback: fate.is_chargeback,
            is_seen: fate.is_seen,
        };
        self.remember(order, |accepted| accepted.dispute = Some(dispute.clone()))
            .await;
        if fate.is_seen {
            self.sees_dispute(order, &id, chances).await?;
        }
        self.refunds(order, REFUNDED_PERCENT, chances).await
    }

    /// The dispute's id at the provider; none, if nothing was captured.
    async fn opens_dispute(
        &self,
        order: &Order,
        fate: DisputeFate,
    ) -> Result<Option<String>, GivenUp> {
        let url = format!("{}/_dispute", self.stack.provider(Provider::Payments).url);
        let status = if fate.is_chargeback {
            "needs_response"
        } else {
            "warning_needs_response"
        };
        let asked = json!({ "order_id": order.id, "status": status });
        while Instant::now() < self.deadline {
            let answer = Answer::try_of(self.stack.http.post(&url).json(&asked)).await;
            match answer {
                Ok(answer) if answer.status == 404 => return Ok(None),
                Ok(answer) if answer.status == 200 => {
                    let dispute: Value = answer.json();
                    return Ok(dispute["id"].as_str().map(str::to_owned));
                }
                _ => sleep(ASK_AGAIN).await,
            }
        }
        Err(GivenUp)
    }

    /// Looks at the order until it shows the dispute to staff.
    async fn sees_dispute(
        &self,
        order: &Order,
        id: &str,
        chances: &mut ChaCha8Rng,
    ) -> Result<(), GivenUp> {
        let is_there = |answer: Answer| {
            let order: Value = answer.json();
            let disputes = order["for_staff"]["disputes"].as_array();
            disputes.is_some_and(|disputes| disputes.iter().any(|it| it["id"] == id))
        };
        self.looks_until(&self.support, order, chances, is_there)
            .await
    }
}
