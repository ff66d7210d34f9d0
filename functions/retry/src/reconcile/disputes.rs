//! Disputes: each is known to its order.

use std::ops::Range;

use jiff::Timestamp;
use orders::Provider;
use providers::{Dispute, Page};
use store::WithWork;

use super::{CompareError, Compared};
use crate::{Worker, guard::Failure};

impl Compared for Dispute {
    const PROVIDER: Provider = Provider::Payments;

    async fn page(
        worker: &Worker,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, Failure> {
        let call = |_| worker.services.payments.disputes(created.clone(), page);
        worker.services.payments_guard.call(call).await
    }

    async fn settle(&self, worker: &Worker, known: Option<&WithWork>) -> Result<(), CompareError> {
        Ok(worker.settle_dispute(known, self).await?)
    }
}
