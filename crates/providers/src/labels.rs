//! The shipping provider's list of labels, which includes those of other systems.

use std::ops::Range;

use jiff::Timestamp;
use orders::{LabelId, OrderId};
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    CallError, Page, Record, Reference, Shipping,
    call::send,
    records::nullable,
    shipping::{LabelStatus, parse_error},
};

/// The number of labels on a page of a list.
const PAGE_SIZE: &str = "100";

/// Separates the shop's id from the order's number in a shipment's `external_order_id`.
const SEPARATOR: char = ':';

/// A label in a list, with the fields that reconciliation compares.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "RawLabel")]
pub struct LabelRecord {
    /// The provider's id.
    pub label_id: LabelId,
    /// Whether it costs nothing: it was voided, or never created.
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
        let has_void_status = matches!(label.status, LabelStatus::Voided | LabelStatus::Error);
        Self {
            label_id: label.label_id,
            is_void: label.voided || has_void_status,
        }
    }
}

#[derive(Deserialize)]
struct List {
    labels: Vec<Value>,
    page: u32,
    pages: u32,
}

/// Returns the `external_order_id` that marks a shipment as the shop's: the shop and the order's
/// number.
pub(crate) fn external_order_id(shop: &orders::ShopId, order_id: OrderId) -> String {
    format!("{shop}{SEPARATOR}{}", order_id.number().as_str())
}

fn reference(label: &Value) -> Reference {
    let shop = label["external_order_id"]
        .as_str()
        .and_then(|name| name.split_once(SEPARATOR))
        .map(|(shop, _)| shop.to_owned());
    let order_id = label["external_shipment_id"]
        .as_str()
        .and_then(|id| Some(OrderId(id.parse().ok()?)));
    Reference { shop, order_id }
}

impl Shipping {
    /// Returns a page of the labels that were bought in `created`, including voided ones, oldest
    /// first. Pages are numbered from 1.
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
            ("page_size", PAGE_SIZE),
            ("page", page.unwrap_or("1")),
        ]);
        get_page(request).await
    }

    /// Returns the labels with a tracking number.
    pub async fn labels_of_parcel(
        &self,
        tracking_number: &str,
    ) -> Result<Vec<Record<LabelRecord>>, CallError> {
        let request = self
            .request(Method::GET, "/v1/labels")
            .query(&[("tracking_number", tracking_number)]);
        Ok(get_page(request).await?.items)
    }
}

async fn get_page(request: RequestBuilder) -> Result<Page<LabelRecord>, CallError> {
    let list: List = send(request, parse_error).await?;
    let read = |label| Record::read(label, "label_id", reference);
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
    fn a_label_is_read_without_a_tracking_number_or_a_status() {
        let read = |label: Value| serde_json::from_value::<LabelRecord>(label).unwrap();
        for (fields, is_void) in [
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
            let mut label = fields;
            label["label_id"] = "se-1".into();
            assert_eq!(read(label.clone()).is_void, is_void, "{label}");
        }
    }

    #[test]
    fn the_reference_of_a_label_is_the_shop_and_the_order() {
        let (shop, order_id): (ShopId, _) = ("cauce".parse().unwrap(), OrderId::generate());
        let label = |external_order_id: Value, external_shipment_id: Value| {
            reference(&json!({
                "external_order_id": external_order_id,
                "external_shipment_id": external_shipment_id,
            }))
        };
        let ours = label(external_order_id(&shop, order_id).into(), json!(order_id));
        assert_eq!(ours.owner(&shop), Owner::Shop);
        assert_eq!(ours.order_id, Some(order_id));
        let old = label(Value::Null, json!(order_id));
        assert_eq!(old.owner(&shop), Owner::OwnerOfOrder(order_id));
        for foreign in [
            label("other:C-1".into(), json!(order_id)),
            label("1234".into(), json!("1234")),
            label(Value::Null, Value::Null),
        ] {
            assert_eq!(foreign.owner(&shop), Owner::Foreign);
        }
    }
}
