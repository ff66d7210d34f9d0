//! Erases what is kept for a time only, in batches, and finishes the erasure of persons that broke off.

use jiff::{SignedDuration, Timestamp};
use store::{Erasure, RetainedKind};
use strum::IntoEnumIterator;
use telemetry::{Metrics, Unit, count};

use crate::{Worker, steps::StepError};

/// How many rows one statement erases: few enough that others wait for milliseconds.
const BATCH: i32 = 500;

/// How many such statements there are in one run for each of what is kept.
const MAX_BATCHES: usize = 20;

/// How many erasures of persons one run carries on with.
const MAX_ERASURES: i64 = 100;

/// For how long counts by the minute are kept.
const COUNTS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// For how long the sum of a person's refunds on a day is kept. Only today's sum counts.
const ALLOWANCES_FOR: SignedDuration = SignedDuration::from_hours(24);

/// For how long it is kept that a person was erased: longer than any backup that could bring them back.
const ERASURES_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How long data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What requests under an idempotency key were answered.
    pub idempotency: SignedDuration,
    /// The person in a guest's finished order, after its placement.
    pub guests: SignedDuration,
    /// The person in an account's finished order, after its placement.
    pub accounts: SignedDuration,
    /// The audit log, and who has adjusted the stock.
    pub audit: SignedDuration,
    /// An order without its person.
    pub books: SignedDuration,
}

impl Retention {
    const fn of(&self, kept: RetainedKind) -> SignedDuration {
        match kept {
            RetainedKind::IdempotencyAnswers => self.idempotency,
            RetainedKind::OrderRates | RetainedKind::Attempts => COUNTS_FOR,
            RetainedKind::RefundAllowances => ALLOWANCES_FOR,
            RetainedKind::GuestOrders => self.guests,
            RetainedKind::AccountOrders => self.accounts,
            RetainedKind::Orders => self.books,
            RetainedKind::Audit | RetainedKind::StockAdjusters => self.audit,
            RetainedKind::Erasures => ERASURES_FOR,
        }
    }
}

impl Worker {
    /// Erases what is due, up to a bound for each of what is kept; the next run goes on.
    pub(crate) async fn enforce_retention(&self, now: Timestamp) -> Result<(), StepError> {
        let open = self
            .steps
            .services
            .database
            .erasures()
            .list_open(MAX_ERASURES)
            .await?;
        let mut ended = 0;
        // One that fails holds up neither the others nor what is old.
        let mut failed = None;
        for erasure in &open {
            match self.carry_on(erasure, now).await {
                Ok(has_ended) => ended += usize::from(has_ended),
                Err(error) => {
                    tracing::error!(erasure = %erasure.id, %error, "erasure.failed");
                    failed = Some(error);
                }
            }
        }
        let mut erased_in_all = 0;
        for kept in RetainedKind::iter() {
            let erased = self.erase_old(kept, now).await?;
            erased_in_all += erased;
            if erased > 0 {
                tracing::info!(kept = kept.name(), erased, "retention.erased");
            }
        }
        Metrics::of("Service", "retention")
            .with("PersonsErased", Unit::Count, count(ended))
            .with("ErasuresOpen", Unit::Count, count(open.len() - ended))
            .with("RowsErased", Unit::Count, count(erased_in_all))
            .emit(now.as_millisecond());
        tracing::info!(open = open.len(), ended, erased_in_all, "retention.ended");
        failed.map_or(Ok(()), Err)
    }

    /// Carries on with the erasure of a person; whether it has ended.
    async fn carry_on(&self, erasure: &Erasure, now: Timestamp) -> Result<bool, StepError> {
        if erasure.order.is_none() {
            // A guest has no account of that id, which is as good as one that is gone.
            self.steps.services.users.delete(erasure.shopper).await?;
        }
        let has_ended = self
            .steps
            .services
            .database
            .erasures()
            .carry_out(erasure.id, now)
            .await?;
        if has_ended {
            let (erasure, shopper) = (erasure.id, erasure.shopper);
            tracing::info!(%erasure, %shopper, "erasure.ended");
        }
        Ok(has_ended)
    }

    async fn erase_old(&self, kept: RetainedKind, now: Timestamp) -> Result<i64, StepError> {
        let before = now - self.retention.of(kept);
        let mut erased = 0;
        for _ in 0..MAX_BATCHES {
            let batch = self
                .steps
                .services
                .database
                .retention()
                .erase_old(kept, before, BATCH)
                .await?;
            erased += batch;
            if batch < BATCH.into() {
                break;
            }
        }
        Ok(erased)
    }
}
