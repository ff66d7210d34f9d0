//! Reconciles the providers' records with our orders. A difference with one right answer is
//! corrected. Any other difference is raised for a person.
//!
//! Each payment, refund, dispute and label is compared twice: soon after it was made, and once
//! every order of its time must be finished. Each record is settled on its own. A record that
//! cannot be read, or at which a provider keeps failing, is raised and passed over. Only an outage
//! of the provider delays the other records.
//!
//! The position is saved after each page and when time is up. So a window with more records than
//! one sweep can settle continues where the sweep stopped.

mod kinds;
#[cfg(test)]
mod tests;

use std::{cmp::Reverse, collections::HashMap, ops::Range};

use jiff::{SignedDuration, Timestamp};
use orders::{OrderId, Provider};
use providers::{CallError, Dispute, LabelRecord, Page, PaymentIntent, Record, Refund};
use store::{AttentionKind, OrderWithWork, Pass, Progress, Reconciliation, RecordKind};
use strum::VariantArray;
use telemetry::{Metrics, Unit, count};
use tokio::time::Instant;

use crate::{
    Worker,
    clients::Clients,
    guard::Failure,
    records::{CompareError, Owned, count_foreign, is_foreign, owned},
    steps::StepError,
};

/// The longest window whose records one sweep compares. After a long pause, several catch up.
const STRIDE: SignedDuration = SignedDuration::from_mins(10);

/// The number of sweeps in a row in which a provider may fail at one record, although it returns
/// the list, before the record is passed over.
const MAX_FAILURES: u32 = 10;

/// A kind of record that is compared with our orders.
pub(super) trait Compared: Sized {
    /// The provider of these records.
    const PROVIDER: Provider;

    /// Returns a page of the records that were made in `created`.
    async fn list(
        clients: &Clients,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Self>, CallError>;

    /// Settles the record with its order. `known` is none if we do not know the order.
    async fn settle(
        &self,
        worker: &Worker,
        known: Option<&OrderWithWork>,
    ) -> Result<(), CompareError>;
}

/// The position of one pass over one kind of record.
struct Cursor {
    records: RecordKind,
    pass: Pass,
    state: Reconciliation,
    /// The time up to which the records should have been compared by now.
    due: Timestamp,
}

impl Cursor {
    /// How far the comparison is behind.
    fn lag(&self) -> SignedDuration {
        self.due.duration_since(self.state.compared_to)
    }

    /// Returns the window to compare: the one that was begun, else the next one, if it is due.
    fn window(&self) -> Option<Progress> {
        let start = self.state.compared_to;
        // A version that saves no position may have moved `compared_to` meanwhile.
        let begun = self.state.progress.as_ref();
        if let Some(begun) = begun.filter(|begun| begun.start == start) {
            return Some(begun.clone());
        }
        let end = self.due.min(start + STRIDE);
        (end > start).then(|| Progress::new(start, end))
    }
}

/// How the comparison of a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    /// The window has another page.
    NextPage,
    /// This was the last page of the window.
    Done,
    /// No time is left for the rest of the page.
    OutOfTime,
}

impl Worker {
    /// Compares the records that have become old enough since the last sweep, starting with the
    /// comparison that is furthest behind. If a provider fails, its records are compared later.
    /// After `until`, no record is begun except the first.
    pub(super) async fn reconcile(&self, now: Timestamp, until: Instant) -> Result<(), StepError> {
        let mut cursors = self.cursors(now).await?;
        // Published before anything can fail: a missing metric must not look like no lag.
        publish_lag(&cursors, now);
        cursors.sort_by_key(|cursor| Reverse(cursor.lag()));
        for cursor in &mut cursors {
            let (records, pass) = (cursor.records, cursor.pass);
            match self.advance(cursor, now, until).await {
                Ok(()) => {}
                Err(CompareError::Provider(error)) => {
                    tracing::warn!(%records, %pass, %error, "reconciliation.put_off");
                }
                Err(CompareError::Step(error)) => return Err(error),
            }
            if Instant::now() >= until {
                break;
            }
        }
        match self.check_open_disputes(now, until).await {
            Err(CompareError::Step(error)) => Err(error),
            Ok(()) | Err(CompareError::Provider(_)) => Ok(()),
        }
    }

    async fn cursors(&self, now: Timestamp) -> Result<Vec<Cursor>, StepError> {
        let mut cursors = Vec::new();
        for &pass in Pass::VARIANTS {
            let due = whole_second(now - self.steps.limits.age_at(pass));
            for &records in RecordKind::VARIANTS {
                let state = self
                    .steps
                    .services
                    .database
                    .reconciliations()
                    .find(records, pass)
                    .await?;
                let state = state.unwrap_or_else(|| Reconciliation {
                    compared_to: due - STRIDE,
                    progress: None,
                });
                cursors.push(Cursor {
                    records,
                    pass,
                    state,
                    due,
                });
            }
        }
        Ok(cursors)
    }

    /// Compares one window, or as much of it as there is time for.
    async fn advance(
        &self,
        cursor: &mut Cursor,
        now: Timestamp,
        until: Instant,
    ) -> Result<(), CompareError> {
        while let Some(mut progress) = cursor.window() {
            let compared = match cursor.records {
                RecordKind::Payments => {
                    self.compare::<PaymentIntent>(&mut progress, now, until)
                        .await
                }
                RecordKind::Refunds => self.compare::<Refund>(&mut progress, now, until).await,
                RecordKind::Disputes => self.compare::<Dispute>(&mut progress, now, until).await,
                RecordKind::Labels => self.compare::<LabelRecord>(&mut progress, now, until).await,
            };
            if let Ok(Compare::Done) = compared {
                cursor.state.compared_to = progress.end;
                cursor.state.progress = None;
            } else {
                cursor.state.progress = Some(progress);
            }
            self.steps
                .services
                .database
                .reconciliations()
                .save(cursor.records, cursor.pass, &cursor.state)
                .await?;
            if compared? != Compare::NextPage || Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    /// Compares the rest of a page, record by record, and keeps the position in `progress`.
    async fn compare<T: Compared>(
        &self,
        progress: &mut Progress,
        now: Timestamp,
        until: Instant,
    ) -> Result<Compare, CompareError> {
        let created = progress.start..progress.end;
        let (clients, from) = (&self.steps.services, progress.page.as_deref());
        let call = |_| T::list(clients, created.clone(), from);
        let page = clients.guard(T::PROVIDER).call(call).await?;
        let references = page.items.iter().map(|record| &record.reference);
        let orders = self.steps.known(references).await?;
        let before = progress.settled;
        let compared = self.compare_records(&page.items, &orders, progress, until);
        let compared = compared.await;
        let settled = page.items.iter().take(progress.settled).skip(before);
        let foreign = settled.filter(|it| is_foreign(&self.steps.shop, &it.reference, &orders));
        count_foreign(T::PROVIDER, foreign.count(), now);
        if compared? == Compare::OutOfTime {
            return Ok(Compare::OutOfTime);
        }
        progress.page = page.next;
        progress.settled = 0;
        Ok(match progress.page {
            Some(_) => Compare::NextPage,
            None => Compare::Done,
        })
    }

    /// Settles the records of a page, starting at the position in `progress`.
    async fn compare_records<T: Compared>(
        &self,
        records: &[Record<T>],
        orders: &HashMap<OrderId, OrderWithWork>,
        progress: &mut Progress,
        until: Instant,
    ) -> Result<Compare, CompareError> {
        for record in records.iter().skip(progress.settled) {
            if let Err(error) = self.compare_record(record, orders).await {
                self.failed_at(&record.id, error, progress).await?;
            }
            progress.settled += 1;
            progress.failures = 0;
            if Instant::now() >= until {
                return Ok(Compare::OutOfTime);
            }
        }
        Ok(Compare::Done)
    }

    /// Settles a record that was just looked up, because its events arrive late and out of order.
    pub(super) async fn settle_looked_up<T: Compared>(
        &self,
        found: Result<Record<T>, Failure>,
        now: Timestamp,
    ) -> Result<(), CompareError> {
        let record = match found {
            Ok(record) => record,
            Err(Failure::Call(CallError::Rejected { message, .. })) => {
                tracing::warn!(message, "record.not_found");
                return Ok(());
            }
            Err(failure) => return Err(failure.into()),
        };
        let orders = self.steps.known([&record.reference].into_iter()).await?;
        if is_foreign(&self.steps.shop, &record.reference, &orders) {
            count_foreign(T::PROVIDER, 1, now);
        }
        self.compare_record(&record, &orders).await
    }

    /// Settles one record, if it is ours.
    async fn compare_record<T: Compared>(
        &self,
        record: &Record<T>,
        orders: &HashMap<OrderId, OrderWithWork>,
    ) -> Result<(), CompareError> {
        let Owned::Ours(known) = owned(&self.steps.shop, &record.reference, orders) else {
            return Ok(());
        };
        match &record.content {
            Ok(content) => content.settle(self, known).await,
            Err(reason) => {
                let unreadable = self
                    .steps
                    .unreadable(T::PROVIDER, known, &record.id, reason);
                Ok(unreadable.await?)
            }
        }
    }

    /// Handles a provider's failure at one record. In an outage, or before the limit of failures,
    /// returns the error: the record is compared later. If the provider keeps failing at this
    /// record alone, raises it for a person, and the record is passed over.
    async fn failed_at(
        &self,
        id: &str,
        error: CompareError,
        progress: &mut Progress,
    ) -> Result<(), CompareError> {
        let CompareError::Provider(failure) = error else {
            return Err(error);
        };
        if !count_failure(progress, &failure) {
            return Err(failure.into());
        }
        tracing::warn!(id, %failure, "record.passed_over");
        let kind = AttentionKind::RecordNotCompared;
        let detail = format!("The provider fails whenever it is asked about {id}: {failure}");
        Ok(self.steps.raise_record(None, id, kind, detail).await?)
    }
}

/// Cuts off the fraction of a second. The providers' lists filter by the second, and the database
/// stores no nanoseconds, so windows end at whole seconds.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Counts a provider's failure at the next record. Returns whether the record is passed over. A
/// failure that the record does not cause, such as an open circuit, does not count.
fn count_failure(progress: &mut Progress, failure: &Failure) -> bool {
    if let Failure::Call(
        CallError::Unknown { .. }
        | CallError::InFlight
        | CallError::AccountError { .. }
        | CallError::Replayed { .. },
    ) = failure
    {
        progress.failures += 1;
    }
    progress.failures >= MAX_FAILURES
}

/// Publishes how many seconds each comparison is behind, and the maximum of all.
fn publish_lag(cursors: &[Cursor], now: Timestamp) {
    let lag = |of: &dyn Fn(&Cursor) -> bool| {
        let lags = cursors.iter().filter(|cursor| of(cursor)).map(Cursor::lag);
        count(lags.max().unwrap_or_default().as_secs().max(0))
    };
    for &records in RecordKind::VARIANTS {
        let of = |pass| lag(&|cursor| cursor.records == records && cursor.pass == pass);
        Metrics::of("Records", records.to_string())
            .with("ReconciliationLagSoon", Unit::Seconds, of(Pass::Soon))
            .with("ReconciliationLagSettled", Unit::Seconds, of(Pass::Settled))
            .emit(now.as_millisecond());
    }
    Metrics::of("Service", "sweep")
        .with("ReconciliationLag", Unit::Seconds, lag(&|_| true))
        .emit(now.as_millisecond());
}
