//! Erases data whose retention period is over, in batches, and resumes unfinished erasures of
//! persons.

use jiff::{SignedDuration, Timestamp};
use store::{Erasure, RetainedKind};
use strum::IntoEnumIterator;
use telemetry::{Metrics, Unit, count};

use crate::{Worker, steps::StepError};

/// How many rows one statement erases: few enough that other statements wait only milliseconds.
const BATCH: i32 = 500;

/// The most such statements that one run sends for each kind of data.
const MAX_BATCHES: usize = 20;

/// The most erasures of persons that one run resumes.
const MAX_ERASURES: i64 = 100;

/// How long counts per minute are kept.
const COUNTS_FOR: SignedDuration = SignedDuration::from_hours(1);

/// How long the sum of a staff member's refunds of a day is kept. Only today's sum counts.
const ALLOWANCES_FOR: SignedDuration = SignedDuration::from_hours(24);

/// How long the entry of an erased person is kept: longer than any backup that could restore the
/// person's data.
const ERASURES_FOR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// How long data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The age at which responses under an idempotency key are erased.
    pub idempotency: SignedDuration,
    /// The time after placement at which the personal data in a guest's finished order is erased.
    pub guests: SignedDuration,
    /// The time after placement at which the personal data in an account's finished order is
    /// erased.
    pub accounts: SignedDuration,
    /// The age at which audit log entries and the names of staff in stock adjustments are erased.
    pub audit: SignedDuration,
    /// The time after placement at which an order, by then without personal data, is deleted.
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
    /// Erases what is due, up to a limit for each kind of data. The next run continues.
    pub(crate) async fn enforce_retention(&self, now: Timestamp) -> Result<(), StepError> {
        let open = self
            .steps
            .services
            .database
            .erasures()
            .list_open(MAX_ERASURES)
            .await?;
        let mut ended = 0;
        // A failed erasure blocks neither other erasures nor the erasure of old data.
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

    /// Resumes the erasure of a person. Returns whether it has ended.
    async fn carry_on(&self, erasure: &Erasure, now: Timestamp) -> Result<bool, StepError> {
        if erasure.order.is_none() {
            // A guest has no account with this id: `delete` succeeds as if it were deleted already.
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
