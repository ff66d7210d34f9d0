//! Records of a provider's lists, each read by itself: others may write to the same account, and a
//! record that cannot be read must not hide those beside it.

use orders::{OrderId, PaymentId, ShopId};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<Record<T>>,
    /// The cursor of the next page; none after the last.
    pub next: Option<String>,
}

/// A record of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<T> {
    /// The provider's id.
    pub id: String,
    /// Whose it is.
    pub mark: Mark,
    /// What it says, or why that cannot be read.
    pub content: Result<T, String>,
}

/// What a record says of its owner: what we wrote into it when we made it, or another system did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// The shop. Records from before shops had ids name none.
    pub shop: Option<String>,
    /// The order.
    pub order_id: Option<OrderId>,
}

/// Whose a record is by its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The shop's.
    Shop,
    /// No shop is named: the shop's own, if it knows the order.
    WhoseOrder(OrderId),
    /// Another system's.
    Foreign,
}

impl Mark {
    /// Whose the record is.
    pub fn owner(&self, shop: &ShopId) -> Owner {
        match (&self.shop, self.order_id) {
            (Some(named), _) if named == shop.as_str() => Owner::Shop,
            (Some(_), _) | (None, None) => Owner::Foreign,
            (None, Some(order_id)) => Owner::WhoseOrder(order_id),
        }
    }

    /// The mark of a Stripe object: in its own metadata, or in those of its payment where the call
    /// expanded that.
    pub(crate) fn of_stripe(object: &Value) -> Self {
        let name = |field: &str| {
            let own = &object["metadata"][field];
            let payments = &object["payment_intent"]["metadata"][field];
            let name = own.as_str().or_else(|| payments.as_str())?;
            Some(name.to_owned())
        };
        Self {
            shop: name("shop"),
            order_id: name("order_id").and_then(|id| Some(OrderId(id.parse().ok()?))),
        }
    }
}

impl<T: DeserializeOwned> Record<T> {
    /// Reads a record whose id is in that field.
    pub(crate) fn read(value: Value, id_field: &str, mark: fn(&Value) -> Mark) -> Self {
        Self {
            id: value[id_field].as_str().unwrap_or_default().to_owned(),
            mark: mark(&value),
            content: serde_json::from_value(value).map_err(|error| error.to_string()),
        }
    }
}

/// A field that may be null, or absent with `#[serde(default)]`.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// The id of another object, which comes alone or as the object itself.
pub(crate) fn id_or_object<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PaymentId>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Reference {
        Id(PaymentId),
        Object { id: PaymentId },
    }
    let reference = Option::deserialize(deserializer)?;
    Ok(reference.map(|(Reference::Id(id) | Reference::Object { id })| id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_the_shops_by_its_mark_and_an_old_one_by_its_order() {
        let shop: ShopId = "cauce".parse().unwrap();
        let order_id = OrderId::generate();
        let mark = |metadata: Value| Mark::of_stripe(&json!({ "metadata": metadata }));
        for (metadata, owner) in [
            (
                json!({ "shop": "cauce", "order_id": order_id }),
                Owner::Shop,
            ),
            (json!({ "shop": "cauce" }), Owner::Shop),
            (json!({ "order_id": order_id }), Owner::WhoseOrder(order_id)),
            (
                json!({ "shop": "other", "order_id": order_id }),
                Owner::Foreign,
            ),
            (json!({ "order_id": "1234" }), Owner::Foreign),
            (json!({}), Owner::Foreign),
            (Value::Null, Owner::Foreign),
        ] {
            assert_eq!(mark(metadata.clone()).owner(&shop), owner, "{metadata}");
        }
    }

    #[test]
    fn a_refund_made_by_hand_is_its_payments() {
        let order_id = OrderId::generate();
        let payment =
            json!({ "id": "pi_1", "metadata": { "shop": "cauce", "order_id": order_id } });
        let refund = json!({ "id": "re_1", "metadata": null, "payment_intent": payment });
        let expected = Mark {
            shop: Some("cauce".to_owned()),
            order_id: Some(order_id),
        };
        assert_eq!(Mark::of_stripe(&refund), expected);
        let by_id = json!({ "id": "re_1", "metadata": {}, "payment_intent": "pi_1" });
        assert_eq!(Mark::of_stripe(&by_id), Mark::default());
    }

    #[test]
    fn what_cannot_be_read_still_has_its_id_and_its_owner() {
        #[derive(Debug, PartialEq, Eq, Deserialize)]
        struct Amount {
            amount: u8,
        }
        let read = |value| Record::<Amount>::read(value, "id", Mark::of_stripe);
        let bad = read(json!({ "id": "pi_1", "amount": 1_000, "metadata": { "shop": "cauce" } }));
        assert_eq!(
            (bad.id.as_str(), bad.mark.shop.as_deref()),
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
