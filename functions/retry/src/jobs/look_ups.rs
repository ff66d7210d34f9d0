//! Looks up single records: after an event, or because a dispute is open.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{Worker, guard::Failure, records::CompareError};

/// The most open disputes that one sweep looks up again.
const MAX_CHECKS: i64 = 20;

impl Worker {
    /// Looks up a refund at the provider, and settles its current state.
    pub(super) async fn look_up_refund(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        let call = |_| self.steps.services.payments.refund_record(id);
        let found = self.steps.services.payments_guard.call(call).await;
        self.settle_looked_up(found, now).await
    }

    /// Looks up a dispute at the provider, and settles its current state. Its events arrive late
    /// and out of order.
    pub(super) async fn look_up_dispute(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        let call = |_| self.steps.services.payments.dispute(id);
        let found = self.steps.services.payments_guard.call(call).await;
        self.settle_looked_up(found, now).await
    }

    /// Looks up the open disputes whose next look-up is due. The bank decides after weeks, and the
    /// event that reports its decision may be lost.
    pub(super) async fn check_open_disputes(
        &self,
        now: Timestamp,
        until: Instant,
    ) -> Result<(), CompareError> {
        for id in self
            .steps
            .services
            .database
            .disputes()
            .list_due(now, MAX_CHECKS)
            .await?
        {
            if Instant::now() >= until {
                break;
            }
            match self.look_up_dispute(&id, now).await {
                Ok(()) => {}
                Err(CompareError::Provider(Failure::Open)) => break,
                // It is checked again tomorrow, and the other disputes are checked now.
                Err(CompareError::Provider(error)) => {
                    tracing::warn!(id, %error, "dispute.not_checked");
                }
                Err(error) => return Err(error),
            }
            self.steps
                .services
                .database
                .disputes()
                .mark_checked(&id, now)
                .await?;
        }
        Ok(())
    }
}
