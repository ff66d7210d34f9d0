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

/// How long after it was last looked up an open dispute is looked up again, should the provider's
/// event be lost.
const CHECK_AGAIN_HOURS: i64 = 24;

const RECORD: &str = concat!(
    "select case when ",
    record_events!(),
    " then keep_dispute($2) else false end"
);

const DUE: &str = "select id from disputes where check_at <= $1 order by check_at limit $2";

/// For how long a closed inquiry is looked up again: it may become a chargeback.
const INQUIRY_DAYS: i64 = 180;

const CHECKED: &str = "update disputes set check_at = case
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
    /// Records a dispute of the order's payment, or its change. Nothing is written if it tells
    /// nothing new.
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

    /// The ids of disputes without a final decision that are to be looked up again.
    pub async fn list_due(self, now: Timestamp, limit: i64) -> Result<Vec<String>, StoreError> {
        let rows = self.0.read(DUE, &[&now, &limit]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Notes that a dispute was looked up.
    pub async fn mark_checked(self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let old = now - (INQUIRY_DAYS * 24).hours();
        self.0
            .change(CHECKED, &[&id, &next_check(now), &old])
            .await?;
        Ok(())
    }
}

fn next_check(now: Timestamp) -> Timestamp {
    now + CHECK_AGAIN_HOURS.hours()
}
