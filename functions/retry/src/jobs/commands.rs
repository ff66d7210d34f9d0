//! Commands: to release parked executions, or to resume the execution of a cancelled order.

use orders::{OrderId, Provider};
use store::{Command, Work};

use crate::{
    Worker,
    steps::{StepError, cancelled_outcome},
};

impl Worker {
    pub(super) async fn run_command(&self, command: Command) -> Result<(), StepError> {
        match command {
            Command::Release {} => Box::pin(self.release()).await,
            Command::Undo(order) => self.resume_cancelled(order).await,
        }
    }

    /// Resumes the execution of an order that waited for either provider when it was cancelled, so
    /// that the order is undone now.
    async fn resume_cancelled(&self, order_id: OrderId) -> Result<(), StepError> {
        if cancelled_outcome(&self.steps.order(order_id).await?).is_none() {
            return Ok(());
        }
        for provider in [Provider::Payments, Provider::Shipping] {
            let parked = self
                .steps
                .services
                .parked
                .get(provider, Work::Order(order_id))
                .await?;
            // An execution that already undoes the order has a reason to wait. It stays parked.
            if let Some(parked) = parked.filter(|parked| !parked.is_undo()) {
                self.resume(&parked).await?;
            }
        }
        Ok(())
    }

    /// Resumes the execution of an order that waits for the payment provider.
    pub(super) async fn resume_order(&self, order_id: OrderId) -> Result<(), StepError> {
        let work = Work::Order(order_id);
        match self
            .steps
            .services
            .parked
            .get(Provider::Payments, work)
            .await?
        {
            Some(parked) => self.resume(&parked).await,
            None => Ok(()),
        }
    }
}
