//! The shipping provider's list of labels, those of other systems included.

use std::ops::Range;

use jiff::Timestamp;
use orders::{LabelId, OrderId};
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    CallError, Mark, Page, Record, Shipping,
    call::send,
    records::nullable,
    shipping::{LabelStatus, refused},
};

/// How many labels a page of a list holds.
const PAGE: &str = "100";

/// What stands between the shop's id and the order's number in a shipment's `external_order_id`.
const SEPARATOR: char = ':';

/// A label of a list: no more of it than is compared. A label that is still being made, or that has
/// failed, has no tracking number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "RawLabel")]
pub struct LabelRecord {
    /// The provider's id.
    pub label_id: LabelId,
    /// Whether it costs nothing any more: it was voided, or never made.
    pub is_void: bool,
}

#[derive(Deserialize)]
struct RawLabel {
    label_id: LabelId,
    #[serde(default, deserialize_with = "nullable")]
    voided: bool,
    #[serde(default, deserialize_with = "nullable")]
    status: LabelStatus,
}

impl From<RawLabel> for LabelRecord {
    fn from(label: RawLabel) -> Self {
        let failed = matches!(label.status, LabelStatus::Voided | LabelStatus::Error);
        Self {
            label_id: label.label_id,
            is_void: label.voided || failed,
        }
    }
}

#[derive(Deserialize)]
struct List {
    labels: Vec<Value>,
    page: u32,
    pages: u32,
}

/// What marks a shipment as the shop's: its order's name at the shop.
pub(crate) fn external_order_id(shop: &orders::ShopId, order_id: OrderId) -> String {
    format!("{shop}{SEPARATOR}{}", order_id.number().as_str())
}

fn mark(label: &Value) -> Mark {
    let shop = label["external_order_id"]
        .as_str()
        .and_then(|name| name.split_once(SEPARATOR))
        .map(|(shop, _)| shop.to_owned());
    let order_id = label["external_shipment_id"]
        .as_str()
        .and_then(|id| Some(OrderId(id.parse().ok()?)));
    Mark { shop, order_id }
}

impl Shipping {
    /// The labels that were bought in `created`, the voided ones included, the oldest first; `page`
    /// counts from 1.
    pub async fn labels(
        &self,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<LabelRecord>, CallError> {
        let request = self.request(Method::GET, "/v1/labels").query(&[
            ("created_at_start", created.start.to_string().as_str()),
            ("created_at_end", &created.end.to_string()),
            ("sort_by", "created_at"),
            ("sort_dir", "asc"),
            ("page_size", PAGE),
            ("page", page.unwrap_or("1")),
        ]);
        page_of(request).await
    }

    /// The labels of a parcel.
    pub async fn labels_of_parcel(
        &self,
        tracking_number: &str,
    ) -> Result<Vec<Record<LabelRecord>>, CallError> {
        let request = self
            .request(Method::GET, "/v1/labels")
            .query(&[("tracking_number", tracking_number)]);
        Ok(page_of(request).await?.items)
    }
}

async fn page_of(request: RequestBuilder) -> Result<Page<LabelRecord>, CallError> {
    let list: List = send(request, refused).await?;
    let read = |label| Record::read(label, "label_id", mark);
    Ok(Page {
        items: list.labels.into_iter().map(read).collect(),
        next: (list.page < list.pages).then(|| (list.page + 1).to_string()),
    })
}

#[cfg(test)]
mod tests {
    use orders::ShopId;
    use serde_json::json;

    use super::*;
    use crate::records::Owner;

    #[test]
    fn a_label_without_a_tracking_number_is_still_a_label() {
        let read = |label: Value| serde_json::from_value::<LabelRecord>(label).unwrap();
        for (more, is_void) in [
            (json!({}), false),
            (
                json!({ "tracking_number": null, "status": "processing" }),
                false,
            ),
            (json!({ "voided": null, "status": null }), false),
            (json!({ "voided": true }), true),
            (json!({ "voided": false, "status": "voided" }), true),
            (json!({ "status": "error" }), true),
        ] {
            let mut label = more;
            label["label_id"] = "se-1".into();
            assert_eq!(read(label.clone()).is_void, is_void, "{label}");
        }
    }

    #[test]
    fn a_label_is_marked_by_its_orders_name_at_the_shop() {
        let (shop, order_id): (ShopId, _) = ("cauce".parse().unwrap(), OrderId::generate());
        let label = |external_order_id: Value, external_shipment_id: Value| {
            mark(&json!({
                "external_order_id": external_order_id,
                "external_shipment_id": external_shipment_id,
            }))
        };
        let ours = label(external_order_id(&shop, order_id).into(), json!(order_id));
        assert_eq!(ours.owner(&shop), Owner::Shop);
        assert_eq!(ours.order_id, Some(order_id));
        let old = label(Value::Null, json!(order_id));
        assert_eq!(old.owner(&shop), Owner::WhoseOrder(order_id));
        for foreign in [
            label("other:C-1".into(), json!(order_id)),
            label("1234".into(), json!("1234")),
            label(Value::Null, Value::Null),
        ] {
            assert_eq!(foreign.owner(&shop), Owner::Foreign);
        }
    }
}
