//! Payments by Stripe's API: a payment intent that is captured by hand.

use jiff::Timestamp;
use orders::{Cents, Currency, OrderId, PaymentMethod};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Deserialize;

use crate::call::{CallError, send};

/// The version of the API that this client was written for.
const STRIPE_VERSION: &str = "2025-09-30.clover";

/// The payment provider.
#[derive(Clone)]
pub struct Payments {
    http: Client,
    url: String,
    key: String,
}

/// What is to be held on a card.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// For which order; kept as metadata, to look the payment up by.
    pub order_id: OrderId,
    /// How much, in cents.
    pub amount: Cents,
    /// Of which currency.
    pub currency: &'a Currency,
    /// On which card.
    pub payment_method: &'a PaymentMethod,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentIntentStatus {
    /// The card was declined.
    RequiresPaymentMethod,
    /// It has not been tried.
    RequiresConfirmation,
    /// The bank wants the shopper in person.
    RequiresAction,
    /// It is under way.
    Processing,
    /// The money is held.
    RequiresCapture,
    /// The hold was let go.
    Canceled,
    /// The money is taken.
    Succeeded,
}

/// A payment at the provider.
#[derive(Debug, Clone, Deserialize)]
pub struct PaymentIntent {
    /// The provider's name for it.
    pub id: String,
    /// Where it stands.
    pub status: PaymentIntentStatus,
    latest_charge: Option<Charge>,
}

/// Only when the call asked to have it expanded; else it is a mere id.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Charge {
    Expanded {
        payment_method_details: Option<MethodDetails>,
    },
    Id(#[expect(dead_code, reason = "tells that the charge was not expanded")] String),
}

#[derive(Debug, Clone, Deserialize)]
struct MethodDetails {
    card: Option<Card>,
}

#[derive(Debug, Clone, Deserialize)]
struct Card {
    capture_before: Option<i64>,
}

#[derive(Deserialize)]
struct Found {
    data: Vec<PaymentIntent>,
}

#[derive(Deserialize)]
struct Refusal {
    error: StripeError,
}

#[derive(Deserialize)]
struct StripeError {
    #[serde(rename = "type")]
    kind: String,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
}

impl PaymentIntent {
    /// When the hold on the card lapses.
    pub fn capture_before(&self) -> Option<Timestamp> {
        let Some(Charge::Expanded {
            payment_method_details: Some(details),
        }) = &self.latest_charge
        else {
            return None;
        };
        Timestamp::from_second(details.card.as_ref()?.capture_before?).ok()
    }
}

impl Payments {
    /// The provider at `url`, such as `https://api.stripe.com`, with a secret key.
    pub fn new(http: Client, url: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            http,
            url: url.into(),
            key: key.into(),
        }
    }

    /// Holds the money on the card. The same key never holds it twice.
    pub async fn authorize(
        &self,
        authorization: Authorization<'_>,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        let Authorization {
            order_id,
            amount,
            currency,
            payment_method,
        } = authorization;
        let form = [
            ("amount", amount.get().to_string()),
            ("currency", currency.as_str().to_lowercase()),
            ("payment_method", payment_method.to_string()),
            ("payment_method_types[]", "card".to_owned()),
            ("capture_method", "manual".to_owned()),
            ("confirm", "true".to_owned()),
            ("metadata[order_id]", order_id.to_string()),
            ("expand[]", "latest_charge".to_owned()),
        ];
        let request = self
            .request(Method::POST, "/v1/payment_intents")
            .form(&form);
        send(request.header("Idempotency-Key", key), refused).await
    }

    /// Takes all the money that is held.
    pub async fn capture(&self, payment_id: &str, key: &str) -> Result<PaymentIntent, CallError> {
        self.act(payment_id, "capture", key).await
    }

    /// Lets the money go that is held.
    pub async fn cancel(&self, payment_id: &str, key: &str) -> Result<PaymentIntent, CallError> {
        self.act(payment_id, "cancel", key).await
    }

    /// The payment as it stands now.
    pub async fn get(&self, payment_id: &str) -> Result<PaymentIntent, CallError> {
        let path = format!("/v1/payment_intents/{payment_id}");
        let request = self.request(Method::GET, &path);
        send(request.query(&[("expand[]", "latest_charge")]), refused).await
    }

    /// The payments that were begun for an order. A payment of the last minute may not be among
    /// them yet.
    pub async fn of_order(&self, order_id: OrderId) -> Result<Vec<PaymentIntent>, CallError> {
        let query = format!("metadata['order_id']:'{order_id}'");
        let request = self
            .request(Method::GET, "/v1/payment_intents/search")
            .query(&[
                ("query", query.as_str()),
                ("expand[]", "data.latest_charge"),
            ]);
        Ok(send::<Found>(request, refused).await?.data)
    }

    /// Whether the provider answers.
    pub async fn ping(&self) -> Result<(), CallError> {
        send::<serde::de::IgnoredAny>(self.request(Method::GET, "/v1/balance"), refused).await?;
        Ok(())
    }

    async fn act(&self, id: &str, verb: &str, key: &str) -> Result<PaymentIntent, CallError> {
        let request = self.request(Method::POST, &format!("/v1/payment_intents/{id}/{verb}"));
        send(request.header("Idempotency-Key", key), refused).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.key)
            .header("Stripe-Version", STRIPE_VERSION)
    }
}

fn refused(status: StatusCode, body: &[u8]) -> CallError {
    let Ok(Refusal { error }) = serde_json::from_slice(body) else {
        let (code, message) = ("unreadable".to_owned(), String::new());
        return CallError::Rejected {
            status: status.as_u16(),
            code,
            message,
        };
    };
    let code = error
        .decline_code
        .or(error.code)
        .unwrap_or_else(|| error.kind.clone());
    let message = error.message.unwrap_or_default();
    if error.kind == "card_error" {
        CallError::Declined { code, message }
    } else {
        CallError::Rejected {
            status: status.as_u16(),
            code,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declined_card_is_no_rejected_request() {
        let body = br#"{"error":{"type":"card_error","code":"card_declined",
            "decline_code":"insufficient_funds","message":"Your card has insufficient funds."}}"#;
        let expected = CallError::Declined {
            code: "insufficient_funds".to_owned(),
            message: "Your card has insufficient funds.".to_owned(),
        };
        assert_eq!(refused(StatusCode::PAYMENT_REQUIRED, body), expected);
        let body = br#"{"error":{"type":"idempotency_error","message":"Keys differ."}}"#;
        let rejected = refused(StatusCode::BAD_REQUEST, body);
        assert!(matches!(rejected, CallError::Rejected { status: 400, .. }));
        assert!(!rejected.is_transient());
    }

    #[test]
    fn the_end_of_a_hold_is_read_from_an_expanded_charge() {
        let expanded: PaymentIntent = serde_json::from_str(
            r#"{"id":"pi_1","status":"requires_capture","latest_charge":{"id":"ch_1",
                "payment_method_details":{"card":{"capture_before":1800000000}}}}"#,
        )
        .unwrap();
        assert_eq!(
            expanded.capture_before(),
            Timestamp::from_second(1_800_000_000).ok()
        );
        let bare: PaymentIntent = serde_json::from_str(
            r#"{"id":"pi_1","status":"requires_capture","latest_charge":"ch_1"}"#,
        )
        .unwrap();
        assert_eq!(bare.capture_before(), None);
    }
}
