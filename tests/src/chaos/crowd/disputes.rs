//! Captured payments that the shopper's bank disputes, and refunds that staff request nevertheless.

use std::time::Duration;

use orders::Provider;
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{Crowd, GaveUp, User};
use crate::{Order, Response, chaos::checker::Dispute};

/// The share of captured orders that are disputed.
const SHARE: f64 = 0.1;

/// How long to wait before a request to the simulator is repeated.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The refunded percentage of the total.
const REFUNDED_PERCENT: i64 = 10;

/// How an order is disputed.
#[derive(Debug, Clone, Copy)]
pub(super) struct DisputePlan {
    /// Whether it is a chargeback. An inquiry allows a refund.
    is_chargeback: bool,
    /// Whether the order shows the dispute before the refund is requested. Otherwise the stack may
    /// not know of it yet.
    is_seen: bool,
}

impl DisputePlan {
    /// Draws whether and how an order is disputed.
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Option<Self> {
        let plan = Self {
            is_chargeback: *[true, true, false].choose(rng)?,
            is_seen: rng.random_bool(0.5),
        };
        rng.random_bool(SHARE).then_some(plan)
    }
}

impl Crowd {
    /// Has the bank dispute the order's payment after its capture, and requests a refund as staff.
    pub(super) async fn dispute_payment(
        &self,
        shopper: &User,
        order: &Order,
        plan: DisputePlan,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), GaveUp> {
        self.wait_for_end(shopper, order, rng).await?;
        let Some(id) = self.open_dispute(order, plan).await? else {
            return Ok(());
        };
        self.note("disputed").await;
        let dispute = Dispute {
            id: id.clone(),
            is_chargeback: plan.is_chargeback,
            is_seen: plan.is_seen,
        };
        self.update_accepted(order, |accepted| accepted.dispute = Some(dispute.clone()))
            .await;
        if plan.is_seen {
            self.wait_for_dispute(order, &id, rng).await?;
        }
        self.request_refund(order, REFUNDED_PERCENT, rng).await
    }

    /// Opens a dispute and returns its id. None if nothing was captured.
    async fn open_dispute(
        &self,
        order: &Order,
        plan: DisputePlan,
    ) -> Result<Option<String>, GaveUp> {
        let url = format!("{}/_dispute", self.stack.provider(Provider::Payments).url);
        let status = if plan.is_chargeback {
            "needs_response"
        } else {
            "warning_needs_response"
        };
        let asked = json!({ "order_id": order.id, "status": status });
        while Instant::now() < self.deadline {
            let response = Response::try_of(self.stack.http.post(&url).json(&asked)).await;
            match response {
                Ok(response) if response.status == 404 => return Ok(None),
                Ok(response) if response.status == 200 => {
                    let dispute: Value = response.json();
                    return Ok(dispute["id"].as_str().map(str::to_owned));
                }
                _ => sleep(RETRY_AFTER).await,
            }
        }
        Err(GaveUp)
    }

    /// Polls the order until it shows the dispute to staff.
    async fn wait_for_dispute(
        &self,
        order: &Order,
        id: &str,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), GaveUp> {
        let shows_dispute = |response: Response| {
            let order: Value = response.json();
            let disputes = order["for_staff"]["disputes"].as_array();
            disputes.is_some_and(|disputes| disputes.iter().any(|it| it["id"] == id))
        };
        self.poll_until(&self.support, order, rng, shows_dispute)
            .await
    }
}
