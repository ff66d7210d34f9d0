//! The kinds of records that are compared: how each kind is listed, and how a record is settled.

use std::ops::Range;

use jiff::Timestamp;
use orders::Provider;
use providers::{Dispute, LabelRecord, Page, PaymentIntent, Refund};
use store::OrderWithWork;

use super::Compared;
use crate::{Worker, guard::Failure, records::CompareError};

impl Compared for PaymentIntent {
    const PROVIDER: Provider = Provider::Payments;

    async fn page(
        worker: &Worker,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, Failure> {
        let call = |_| worker.steps.services.payments.list(created.clone(), page);
        worker.steps.services.payments_guard.call(call).await
    }

    async fn settle(
        &self,
        worker: &Worker,
        known: Option<&OrderWithWork>,
    ) -> Result<(), CompareError> {
        if worker.steps.settle_payment(known, self).await?
            && let Some(known) = known
        {
            worker.wake(known.order.id).await?;
        }
        Ok(())
    }
}

impl Compared for Refund {
    const PROVIDER: Provider = Provider::Payments;

    async fn page(
        worker: &Worker,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, Failure> {
        let call = |_| {
            worker
                .steps
                .services
                .payments
                .refunds(created.clone(), page)
        };
        worker.steps.services.payments_guard.call(call).await
    }

    async fn settle(
        &self,
        worker: &Worker,
        known: Option<&OrderWithWork>,
    ) -> Result<(), CompareError> {
        Ok(worker.steps.settle_refund(known, self).await?)
    }
}

impl Compared for Dispute {
    const PROVIDER: Provider = Provider::Payments;

    async fn page(
        worker: &Worker,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, Failure> {
        let call = |_| {
            worker
                .steps
                .services
                .payments
                .disputes(created.clone(), page)
        };
        worker.steps.services.payments_guard.call(call).await
    }

    async fn settle(
        &self,
        worker: &Worker,
        known: Option<&OrderWithWork>,
    ) -> Result<(), CompareError> {
        Ok(worker.steps.settle_dispute(known, self).await?)
    }
}

impl Compared for LabelRecord {
    const PROVIDER: Provider = Provider::Shipping;

    async fn page(
        worker: &Worker,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, Failure> {
        let call = |_| worker.steps.services.shipping.labels(created.clone(), page);
        worker.steps.services.shipping_guard.call(call).await
    }

    async fn settle(
        &self,
        worker: &Worker,
        known: Option<&OrderWithWork>,
    ) -> Result<(), CompareError> {
        worker.steps.settle_label(known, self).await
    }
}
