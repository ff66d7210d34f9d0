//! The kinds of records that are compared: how each kind is listed, and how a record is settled.

use std::ops::Range;

use jiff::Timestamp;
use orders::Provider;
use providers::{CallError, Dispute, LabelRecord, Page, PaymentIntent, Refund};
use store::OrderWithWork;

use super::Compared;
use crate::{Worker, clients::Clients, records::CompareError};

impl Compared for PaymentIntent {
    const PROVIDER: Provider = Provider::Payments;

    async fn list(
        clients: &Clients,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, CallError> {
        clients.payments.list_payments(created, page).await
    }

    async fn settle(
        &self,
        worker: &Worker,
        known: Option<&OrderWithWork>,
    ) -> Result<(), CompareError> {
        if worker.steps.settle_payment(known, self).await?
            && let Some(known) = known
        {
            worker.resume_order(known.order.id).await?;
        }
        Ok(())
    }
}

impl Compared for Refund {
    const PROVIDER: Provider = Provider::Payments;

    async fn list(
        clients: &Clients,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, CallError> {
        clients.payments.list_refunds(created, page).await
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

    async fn list(
        clients: &Clients,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, CallError> {
        clients.payments.list_disputes(created, page).await
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

    async fn list(
        clients: &Clients,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, CallError> {
        clients.shipping.labels(created, page).await
    }

    async fn settle(
        &self,
        worker: &Worker,
        known: Option<&OrderWithWork>,
    ) -> Result<(), CompareError> {
        worker.steps.settle_label(known, self).await
    }
}
