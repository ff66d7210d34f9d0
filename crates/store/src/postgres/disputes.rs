//! Disputes of orders' payments (`keep_dispute` in `schema.sql`).

use jiff::{Timestamp, ToSpan};
use orders::{Dispute, Order, OrderEvent, OrderId};
use serde::Serialize;
use tokio_postgres::types::Json;

use super::{
    Disputes,
    arguments::Timestamptz,
    record::{RecordError, Recording, record_events},
};
use crate::error::StoreError;

/// How long after the last lookup a dispute is looked up again, in case the provider's event was
/// lost.
const CHECK_AGAIN_HOURS: i64 = 24;

const RECORD: &str = concat!(
    "select case when ",
    record_events!(),
    " then keep_dispute($2) else false end"
);

const DUE: &str = "select id from disputes where check_at <= $1 order by check_at limit $2";

/// How long a closed inquiry is still looked up: it may become a chargeback.
const INQUIRY_DAYS: i64 = 180;

const MARK_CHECKED: &str = "update disputes set check_at = case
        when state ->> 'status' in ('warning_closed', 'prevented') and recorded_at < $3 then null
        else $2
    end
    where id = $1 and check_at is not null";

/// The argument of `keep_dispute`.
#[derive(Debug, Serialize)]
struct DisputeRow<'a> {
    order_id: OrderId,
    state: &'a Dispute,
    recorded_at: Timestamptz,
    check_at: Option<Timestamptz>,
}

impl Disputes<'_> {
    /// Records a dispute of the order's payment, or a change of one. Writes nothing if nothing is
    /// new.
    pub async fn record(
        self,
        id: OrderId,
        now: Timestamp,
        dispute: &Dispute,
    ) -> Result<Order, RecordError> {
        let event = OrderEvent::Disputed(dispute.clone());
        let decide = |order: &Order| {
            if order.allows(&event) {
                vec![event.clone()]
            } else {
                Vec::new()
            }
        };
        let check_at = (!dispute.status.is_final()).then(|| next_check(now));
        let row = Json(DisputeRow {
            order_id: id,
            state: dispute,
            recorded_at: Timestamptz(now),
            check_at: check_at.map(Timestamptz),
        });
        let recording = Recording {
            statement: RECORD,
            parameters: &[&row],
        };
        self.0
            .orders()
            .record_with(id, now, decide, &recording)
            .await
    }

    /// Lists the ids of disputes whose next lookup is due.
    pub async fn list_due(self, now: Timestamp, limit: i64) -> Result<Vec<String>, StoreError> {
        let rows = self.0.read(DUE, &[&now, &limit]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Records that a dispute was looked up, and when it is due again.
    pub async fn mark_checked(self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let inquiries_before = now - (INQUIRY_DAYS * 24).hours();
        self.0
            .change(MARK_CHECKED, &[&id, &next_check(now), &inquiries_before])
            .await?;
        Ok(())
    }
}

fn next_check(now: Timestamp) -> Timestamp {
    now + CHECK_AGAIN_HOURS.hours()
}
