//! Records of a provider's lists. Each is deserialized separately: other systems may write to the
//! same account, and a record of theirs that cannot be read must not hide the other records.

use orders::{OrderId, PaymentId, ShopId};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The records of the page.
    pub items: Vec<Record<T>>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// A record of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<T> {
    /// The provider's id.
    pub id: String,
    /// The shop and the order that it names.
    pub reference: Reference,
    /// The record, or why it cannot be read.
    pub content: Result<T, String>,
}

/// The shop and the order that a record names. We write both when we create it; other systems in
/// the same account may write something else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// The id of the shop. Records from before shops had ids name none.
    pub shop: Option<String>,
    /// The id of the order.
    pub order_id: Option<OrderId>,
}

/// The owner of a record, by its reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This shop.
    Shop,
    /// The record names no shop: the owner is this shop if it has the order.
    OwnerOfOrder(OrderId),
    /// Another shop or system.
    Foreign,
}

impl Reference {
    /// Returns the owner of the record, from the point of view of `shop`.
    pub fn owner(&self, shop: &ShopId) -> Owner {
        match (&self.shop, self.order_id) {
            (Some(named), _) if named == shop.as_str() => Owner::Shop,
            (Some(_), _) | (None, None) => Owner::Foreign,
            (None, Some(order_id)) => Owner::OwnerOfOrder(order_id),
        }
    }

    /// Reads the reference of a Stripe object from its metadata, or from the metadata of its payment if
    /// the call expanded it.
    pub(crate) fn of_stripe(object: &Value) -> Self {
        let name = |field: &str| {
            let own = &object["metadata"][field];
            let of_payment = &object["payment_intent"]["metadata"][field];
            let name = own.as_str().or_else(|| of_payment.as_str())?;
            Some(name.to_owned())
        };
        Self {
            shop: name("shop"),
            order_id: name("order_id").and_then(|id| Some(OrderId(id.parse().ok()?))),
        }
    }
}

impl<T: DeserializeOwned> Record<T> {
    /// Reads a record whose id is in the field `id_field`.
    pub(crate) fn read(value: Value, id_field: &str, reference: fn(&Value) -> Reference) -> Self {
        Self {
            id: value[id_field].as_str().unwrap_or_default().to_owned(),
            reference: reference(&value),
            content: serde_json::from_value(value).map_err(|error| error.to_string()),
        }
    }
}

/// Deserializes a field that may be null, or absent with `#[serde(default)]`.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Deserializes the id of another object. The field holds the id alone, or the expanded object.
pub(crate) fn id_or_object<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PaymentId>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum IdOrObject {
        Id(PaymentId),
        Object { id: PaymentId },
    }
    let reference = Option::deserialize(deserializer)?;
    Ok(reference.map(|(IdOrObject::Id(id) | IdOrObject::Object { id })| id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_reference_names_the_owner_and_an_old_record_belongs_to_the_owner_of_its_order() {
        let shop: ShopId = "cauce".parse().unwrap();
        let order_id = OrderId::generate();
        let reference = |metadata: Value| Reference::of_stripe(&json!({ "metadata": metadata }));
        for (metadata, owner) in [
            (
                json!({ "shop": "cauce", "order_id": order_id }),
                Owner::Shop,
            ),
            (json!({ "shop": "cauce" }), Owner::Shop),
            (
                json!({ "order_id": order_id }),
                Owner::OwnerOfOrder(order_id),
            ),
            (
                json!({ "shop": "other", "order_id": order_id }),
                Owner::Foreign,
            ),
            (json!({ "order_id": "1234" }), Owner::Foreign),
            (json!({}), Owner::Foreign),
            (Value::Null, Owner::Foreign),
        ] {
            assert_eq!(
                reference(metadata.clone()).owner(&shop),
                owner,
                "{metadata}"
            );
        }
    }

    #[test]
    fn a_refund_from_the_dashboard_has_the_reference_of_its_payment() {
        let order_id = OrderId::generate();
        let payment =
            json!({ "id": "pi_1", "metadata": { "shop": "cauce", "order_id": order_id } });
        let refund = json!({ "id": "re_1", "metadata": null, "payment_intent": payment });
        let expected = Reference {
            shop: Some("cauce".to_owned()),
            order_id: Some(order_id),
        };
        assert_eq!(Reference::of_stripe(&refund), expected);
        let by_id = json!({ "id": "re_1", "metadata": {}, "payment_intent": "pi_1" });
        assert_eq!(Reference::of_stripe(&by_id), Reference::default());
    }

    #[test]
    fn an_unreadable_record_still_has_its_id_and_its_reference() {
        #[derive(Debug, PartialEq, Eq, Deserialize)]
        struct Amount {
            amount: u8,
        }
        let read = |value| Record::<Amount>::read(value, "id", Reference::of_stripe);
        let bad = read(json!({ "id": "pi_1", "amount": 1_000, "metadata": { "shop": "cauce" } }));
        assert_eq!(
            (bad.id.as_str(), bad.reference.shop.as_deref()),
            ("pi_1", Some("cauce"))
        );
        assert!(bad.content.is_err());
        assert_eq!(
            read(json!({ "id": "pi_2", "amount": 1 })).content,
            Ok(Amount { amount: 1 })
        );
        for odd in [json!(null), json!([]), json!("pi_3"), json!({ "id": 3 })] {
            assert!(read(odd).content.is_err());
        }
    }
}
