//! Payments by Stripe's API: a payment intent that is captured by hand, and its refunds.

use std::ops::Range;

use jiff::Timestamp;
use orders::{Cents, Currency, OrderId, PaymentId, PaymentMethod, RefundId, ShopId};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Mark, Owner, Page, Record,
    call::{CallError, send},
    records::{id_or_object, nullable},
};

/// The version of the API that this client was written for.
const STRIPE_VERSION: &str = "2025-09-30.clover";

/// How many things a page of a list holds: the most that can be asked for.
const PAGE: &str = "100";

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
    /// Of which shop; kept as metadata, because others may use the same account.
    pub shop: &'a ShopId,
    /// For which order; kept as metadata, to look the payment up by.
    pub order_id: OrderId,
    /// In which round of the order; kept as metadata, to tell its payment from an earlier round's.
    pub round: i32,
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
    /// The authorization was voided, or it has expired.
    Canceled,
    /// The money is captured.
    Succeeded,
    /// A status that is not known here: nothing follows from it.
    #[serde(other)]
    Other,
}

/// A payment at the provider.
#[derive(Debug, Clone, Deserialize)]
pub struct PaymentIntent {
    /// The provider's name for it.
    pub id: PaymentId,
    /// Where it stands.
    pub status: PaymentIntentStatus,
    /// What was asked for, in cents.
    pub amount: Cents,
    /// What was taken, in cents; refunds do not lessen it.
    pub amount_received: Cents,
    /// Of which currency, in small letters.
    pub currency: String,
    /// When it was begun, to the second.
    #[serde(deserialize_with = "seconds")]
    pub created: Timestamp,
    cancellation_reason: Option<String>,
    latest_charge: Option<Charge>,
    #[serde(default, deserialize_with = "nullable")]
    metadata: Metadata,
}

/// What is to be given back.
#[derive(Debug, Clone, Copy)]
pub struct Refunding<'a> {
    /// Of which shop; kept as metadata, because others may use the same account.
    pub shop: &'a ShopId,
    /// Of which payment, by the provider's name.
    pub payment_id: &'a PaymentId,
    /// Of which order.
    pub order_id: OrderId,
    /// Which of the order's refunds; kept as metadata, to look the refund up by.
    pub refund_id: RefundId,
    /// How much, in cents.
    pub amount: Cents,
    /// Why, in words for the staff.
    pub reason: &'a str,
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// It is under way.
    Pending,
    /// The shopper has to say where the money should go.
    RequiresAction,
    /// The money is on its way to the shopper.
    Succeeded,
    /// The bank did not take it back.
    Failed,
    /// It was cancelled before it was done.
    Canceled,
    /// The provider names none, or one that is not known here.
    #[default]
    #[serde(other)]
    Other,
}

/// A refund at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The provider's name for it.
    pub id: String,
    /// Where it stands.
    #[serde(default, deserialize_with = "nullable")]
    pub status: RefundStatus,
    /// How much, in cents.
    pub amount: Cents,
    /// Of which payment, by the provider's name.
    #[serde(default, deserialize_with = "id_or_object")]
    pub payment_intent: Option<PaymentId>,
    #[serde(default, deserialize_with = "nullable")]
    metadata: Metadata,
}

/// What we told the provider to remember. What others wrote there is read over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    order_id: Option<String>,
    refund_id: Option<String>,
    round: Option<String>,
}

/// Why an authorization is voided, by the provider's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoidReason {
    /// The order that it was for is cancelled.
    OrderCancelled,
    /// The provider never tried it: the call that began it broke off.
    NeverConfirmed,
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
struct List<T> {
    data: Vec<T>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Named {
    id: PaymentId,
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
    param: Option<String>,
    message: Option<String>,
}

/// The codes of what is wrong with one payment or refund.
const ABOUT_THE_PAYMENT: &[&str] = &[
    "amount_too_large",
    "amount_too_small",
    "charge_already_captured",
    "charge_already_refunded",
    "charge_disputed",
    "charge_expired_for_capture",
    "charge_not_refundable",
    "payment_intent_unexpected_state",
    "payment_method_currency_mismatch",
    "payment_method_customer_decline",
    "payment_method_provider_decline",
    "payment_method_unexpected_state",
    "refund_disputed_payment",
    "resource_missing",
];

/// The codes of a call in a form that the provider does not know, whatever parameter it names.
const ABOUT_THE_FORM: &[&str] = &["parameter_missing", "parameter_unknown"];

/// The parameters that say what to pay, with what, or which payment is meant.
const OF_THE_PAYMENT: &[&str] = &[
    "amount",
    "charge",
    "currency",
    "intent",
    "payment_intent",
    "payment_method",
];

impl Metadata {
    pub(crate) fn order_id(&self) -> Option<OrderId> {
        Some(OrderId(self.order_id.as_ref()?.parse().ok()?))
    }

    fn refund_id(&self) -> Option<RefundId> {
        Some(RefundId(self.refund_id.as_ref()?.parse().ok()?))
    }
}

impl Refund {
    /// Which order it is for; nothing, if it was not made by us.
    pub fn order_id(&self) -> Option<OrderId> {
        self.metadata.order_id()
    }

    /// Which of the order's refunds it is; nothing, if it was not made by us.
    pub fn refund_id(&self) -> Option<RefundId> {
        self.metadata.refund_id()
    }
}

impl Refund {
    /// Whether it moves money, or may yet.
    pub const fn moves_money(&self) -> bool {
        !matches!(self.status, RefundStatus::Failed | RefundStatus::Canceled)
    }
}

impl VoidReason {
    const fn code(self) -> &'static str {
        match self {
            Self::OrderCancelled => "requested_by_customer",
            Self::NeverConfirmed => "abandoned",
        }
    }
}

impl PaymentIntent {
    /// Which order it is for; nothing, if it was not made by us.
    pub fn order_id(&self) -> Option<OrderId> {
        self.metadata.order_id()
    }

    /// In which round of its order it was made. Those of before rounds were kept are of the first.
    pub fn round(&self) -> i32 {
        let round = self.metadata.round.as_ref();
        round.and_then(|round| round.parse().ok()).unwrap_or(0)
    }

    /// Whether it was voided because the provider had never tried it.
    pub fn is_abandoned(&self) -> bool {
        self.status == PaymentIntentStatus::Canceled
            && self.cancellation_reason.as_deref() == Some(VoidReason::NeverConfirmed.code())
    }

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
            shop,
            order_id,
            round,
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
            ("metadata[shop]", shop.to_string()),
            ("metadata[order_id]", order_id.to_string()),
            ("metadata[round]", round.to_string()),
            ("expand[]", "latest_charge".to_owned()),
        ];
        let request = self
            .request(Method::POST, "/v1/payment_intents")
            .form(&form);
        send(request.header("Idempotency-Key", key), refused).await
    }

    /// Captures all the money that is held.
    pub async fn capture(
        &self,
        payment_id: &PaymentId,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        let request = self.request(Method::POST, &intent_path(payment_id, "/capture"));
        send(request.header("Idempotency-Key", key), refused).await
    }

    /// Voids the authorization: the money is no longer held.
    pub async fn void(
        &self,
        payment_id: &PaymentId,
        reason: VoidReason,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        let request = self
            .request(Method::POST, &intent_path(payment_id, "/cancel"))
            .form(&[("cancellation_reason", reason.code())]);
        send(request.header("Idempotency-Key", key), refused).await
    }

    /// The payment as it stands now.
    pub async fn get(&self, payment_id: &PaymentId) -> Result<PaymentIntent, CallError> {
        let request = self.request(Method::GET, &intent_path(payment_id, ""));
        send(request.query(&[("expand[]", "latest_charge")]), refused).await
    }

    /// The payments that the shop began for an order, as they stand now. One of the last minute may not
    /// be among them yet; in an outage of the provider's search, one of the last hour. Another shop in
    /// the same account, such as one with a copy of our database, may have payments of the same order
    /// id: those are left out.
    pub async fn of_order(
        &self,
        shop: &ShopId,
        order_id: OrderId,
    ) -> Result<Vec<PaymentIntent>, CallError> {
        let query = format!("metadata['order_id']:'{order_id}'");
        let request = self
            .request(Method::GET, "/v1/payment_intents/search")
            .query(&[("query", query.as_str()), ("limit", PAGE)]);
        let found: List<Value> = send(request, refused).await?;
        // Another shop's payments are left out before they are read: they need not be as ours are.
        let is_ours = |found: &Value| Mark::of_stripe(found).owner(shop) != Owner::Foreign;
        let mut intents = Vec::new();
        for found in found.data.into_iter().filter(is_ours) {
            // What the search knows of a payment's status lags, too.
            let Named { id } = serde_json::from_value(found)
                .map_err(|error| CallError::unknown(error.to_string()))?;
            intents.push(self.get(&id).await?);
        }
        Ok(intents)
    }

    /// The payments that were begun in `created`, its end excluded, the newest first, from `page`
    /// on.
    pub async fn list(
        &self,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<PaymentIntent>, CallError> {
        self.made_in("/v1/payment_intents", created, "data.latest_charge", page)
            .await
    }

    /// Gives money back that was taken. The same key never gives it back twice.
    pub async fn refund(&self, refunding: Refunding<'_>, key: &str) -> Result<Refund, CallError> {
        let Refunding {
            shop,
            payment_id,
            order_id,
            refund_id,
            amount,
            reason,
        } = refunding;
        // The provider's own `reason` is a short list, and says more than is known here.
        let form = [
            ("payment_intent", payment_id.to_string()),
            ("amount", amount.get().to_string()),
            ("metadata[shop]", shop.to_string()),
            ("metadata[order_id]", order_id.to_string()),
            ("metadata[refund_id]", refund_id.to_string()),
            ("metadata[reason]", reason.to_owned()),
        ];
        let request = self.request(Method::POST, "/v1/refunds").form(&form);
        send(request.header("Idempotency-Key", key), refused).await
    }

    /// All refunds of a payment, the newest first.
    pub async fn refunds_of(&self, payment_id: &PaymentId) -> Result<Vec<Refund>, CallError> {
        let mut refunds = Vec::new();
        let mut after = None;
        loop {
            let request = self
                .request(Method::GET, "/v1/refunds")
                .query(&[("payment_intent", payment_id.as_str())]);
            let page: Page<Refund> = self.page(request, after.as_deref()).await?;
            for refund in page.items {
                // One that cannot be read may be any.
                refunds.push(refund.content.map_err(CallError::unknown)?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(refunds);
            }
        }
    }

    /// The refunds that were made in `created`, its end excluded, the newest first, from `page` on.
    /// One that was made by hand has its payment's mark.
    pub async fn refunds(
        &self,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Refund>, CallError> {
        self.made_in("/v1/refunds", created, "data.payment_intent", page)
            .await
    }

    /// A refund as it is now, with its payment's mark if it was made by hand.
    pub async fn refund_record(&self, id: &str) -> Result<Record<Refund>, CallError> {
        self.record(&format!("/v1/refunds/{id}")).await
    }

    /// Whether the provider answers.
    pub async fn ping(&self) -> Result<(), CallError> {
        send::<serde::de::IgnoredAny>(self.request(Method::GET, "/v1/balance"), refused).await?;
        Ok(())
    }

    /// A record as it is now, with its payment.
    pub(crate) async fn record<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Record<T>, CallError> {
        let request = self
            .request(Method::GET, path)
            .query(&[("expand[]", "payment_intent")]);
        let value: Value = send(request, refused).await?;
        Ok(Record::read(value, "id", Mark::of_stripe))
    }

    /// What was made in `created`, its end excluded, the newest first, from `page` on, and expanded.
    pub(crate) async fn made_in<T: DeserializeOwned>(
        &self,
        path: &str,
        created: Range<Timestamp>,
        expand: &str,
        page: Option<&str>,
    ) -> Result<Page<T>, CallError> {
        let request = self
            .request(Method::GET, path)
            .query(&within(&created))
            .query(&[("expand[]", expand)]);
        self.page(request, page).await
    }

    /// A page of a list: what follows the record `after`, or else the first page.
    async fn page<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        after: Option<&str>,
    ) -> Result<Page<T>, CallError> {
        let after = after.map(|id| ("starting_after", id));
        let request = request.query(&[("limit", PAGE)]);
        let list: List<Value> = send(request.query(after.as_slice()), refused).await?;
        let read = |value| Record::read(value, "id", Mark::of_stripe);
        let items: Vec<Record<T>> = list.data.into_iter().map(read).collect();
        let next = items.last().map(|record| record.id.clone());
        let next = next.filter(|_| list.has_more);
        if next.as_deref() == Some("") {
            return Err(CallError::unknown(
                "a list goes on after a record without an id",
            ));
        }
        Ok(Page { items, next })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.key)
            .header("Stripe-Version", STRIPE_VERSION)
    }
}

fn intent_path(id: &PaymentId, verb: &str) -> String {
    format!("/v1/payment_intents/{id}{verb}")
}

fn within(created: &Range<Timestamp>) -> [(&'static str, i64); 2] {
    [
        ("created[gte]", created.start.as_second()),
        ("created[lt]", created.end.as_second()),
    ]
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let seconds = i64::deserialize(deserializer)?;
    Timestamp::from_second(seconds).map_err(serde::de::Error::custom)
}

fn refused(status: StatusCode, body: &[u8]) -> Option<CallError> {
    let Refusal { error } = serde_json::from_slice(body).ok()?;
    let about_the_payment = error.is_about_the_payment();
    let code = error
        .decline_code
        .or(error.code)
        .unwrap_or_else(|| error.kind.clone());
    let (status, message) = (status.as_u16(), error.message.unwrap_or_default());
    Some(match error.kind.as_str() {
        "card_error" => CallError::Declined { code, message },
        // The provider's own trouble, under any status.
        "api_error" => CallError::unknown(format!("answered {status} ({code}): {message}")),
        // The key came first with other parameters, such as those of an earlier release.
        "idempotency_error" => CallError::Replayed { status },
        _ if about_the_payment => CallError::Rejected {
            status,
            code,
            message,
        },
        _ => CallError::AccountError {
            status,
            code,
            message,
        },
    })
}

impl StripeError {
    fn is_about_the_payment(&self) -> bool {
        let is_one_of = |codes: &[&str]| {
            let code = self.code.as_deref();
            code.is_some_and(|code| codes.contains(&code))
        };
        let param = self.param.as_deref();
        self.kind == "invalid_request_error"
            && !is_one_of(ABOUT_THE_FORM)
            && (is_one_of(ABOUT_THE_PAYMENT)
                || param.is_some_and(|param| OF_THE_PAYMENT.contains(&param)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_declined_card_is_no_rejected_request() {
        let body = br#"{"error":{"type":"card_error","code":"card_declined",
            "decline_code":"insufficient_funds","message":"Your card has insufficient funds."}}"#;
        let expected = CallError::Declined {
            code: "insufficient_funds".to_owned(),
            message: "Your card has insufficient funds.".to_owned(),
        };
        assert_eq!(refused(StatusCode::PAYMENT_REQUIRED, body), Some(expected));
    }

    fn read(kind: &str, code: Option<&str>, param: Option<&str>) -> CallError {
        let error = json!({ "type": kind, "code": code, "param": param, "message": "No." });
        let body = json!({ "error": error }).to_string();
        refused(StatusCode::BAD_REQUEST, body.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_wrong_with_one_payment_is_final_and_what_is_wrong_with_us_is_not() {
        let invalid = "invalid_request_error";
        for (code, param) in [
            (Some("resource_missing"), Some("payment_method")),
            (Some("amount_too_small"), None),
            (None, Some("amount")),
            (Some("payment_intent_unexpected_state"), None),
            (Some("resource_missing"), Some("intent")),
        ] {
            let rejected = read(invalid, code, param);
            assert!(matches!(rejected, CallError::Rejected { status: 400, .. }));
        }
        for (kind, code, param) in [
            ("authentication_error", Some("api_key_expired"), None),
            (invalid, Some("parameter_unknown"), Some("capture_method")),
            (invalid, Some("parameter_missing"), Some("payment_method")),
            (invalid, Some("testmode_charges_only"), None),
            (invalid, None, None),
        ] {
            let error = read(kind, code, param);
            assert!(matches!(error, CallError::AccountError { .. }), "{error}");
            assert!(!error.is_transient() && !error.counts_against_provider());
        }
    }

    #[test]
    fn the_providers_own_trouble_and_a_used_up_key_are_no_refusals() {
        let trouble = read("api_error", None, None);
        assert!(matches!(trouble, CallError::Unknown { .. }), "{trouble}");
        let used_up = read("idempotency_error", None, None);
        assert_eq!(used_up, CallError::Replayed { status: 400 });
    }

    #[test]
    fn an_error_in_another_form_is_not_the_providers() {
        for body in ["", "{}", "<html>", r#"{"message":"Forbidden"}"#] {
            let refusal = refused(StatusCode::FORBIDDEN, body.as_bytes());
            assert_eq!(refusal, None, "{body}");
        }
    }

    fn intent(more: &Value) -> PaymentIntent {
        let mut intent = json!({
            "id": "pi_1",
            "status": "requires_capture",
            "amount": 1299,
            "amount_received": 0,
            "currency": "eur",
            "created": 1_800_000_000,
            "latest_charge": "ch_1",
            "metadata": {},
        });
        let more = more.as_object().unwrap().clone();
        intent.as_object_mut().unwrap().extend(more);
        serde_json::from_value(intent).unwrap()
    }

    #[test]
    fn the_end_of_a_hold_is_read_from_an_expanded_charge() {
        let card = json!({ "card": { "capture_before": 1_800_000_000 } });
        let charge = json!({ "id": "ch_1", "payment_method_details": card });
        let expanded = intent(&json!({ "latest_charge": charge }));
        assert_eq!(
            expanded.capture_before(),
            Timestamp::from_second(1_800_000_000).ok()
        );
        assert_eq!(intent(&json!({})).capture_before(), None);
    }

    #[test]
    fn a_payment_tells_its_round_and_whether_it_was_ever_tried() {
        let voided = |reason: Value| {
            intent(&json!({
                "status": "canceled", "cancellation_reason": reason, "metadata": { "round": "2" },
            }))
        };
        assert_eq!(voided(json!(null)).round(), 2);
        assert!(voided(json!("abandoned")).is_abandoned());
        for reason in [
            json!(null),
            json!("automatic"),
            json!("requested_by_customer"),
        ] {
            assert!(!voided(reason.clone()).is_abandoned(), "{reason}");
        }
        for metadata in [json!({}), json!(null), json!({ "round": "x" })] {
            assert_eq!(intent(&json!({ "metadata": metadata })).round(), 0);
        }
    }

    #[test]
    fn a_payment_above_our_maximum_hides_none_beside_it() {
        let payment = |id: &str, amount: i64, metadata: Value| {
            json!({
                "id": id, "status": "requires_capture", "amount": amount, "amount_received": 0,
                "currency": "idr", "created": 1_800_000_000, "latest_charge": null,
                "metadata": metadata,
            })
        };
        let above = payment("pi_1", 999_999_999_999, json!({ "shop": "other" }));
        let list =
            json!({ "data": [above, payment("pi_2", 1299, json!(null))], "has_more": false });
        let list: List<Value> = serde_json::from_value(list).unwrap();
        let read = |value| Record::<PaymentIntent>::read(value, "id", Mark::of_stripe);
        let records: Vec<_> = list.data.into_iter().map(read).collect();
        assert!(records[0].content.is_err());
        assert_eq!(records[0].mark.shop.as_deref(), Some("other"));
        assert_eq!(records[1].content.as_ref().unwrap().id, "pi_2");
    }

    #[test]
    fn a_refund_is_read_without_a_status_and_without_metadata() {
        let refund = |status: Value, metadata: Value| {
            let refund = json!({
                "id": "re_1", "status": status, "amount": 500, "payment_intent": "pi_1",
                "metadata": metadata,
            });
            serde_json::from_value::<Refund>(refund).unwrap()
        };
        for status in [json!(null), json!("held_up")] {
            let read = refund(status, json!(null));
            assert_eq!(read.status, RefundStatus::Other);
            let sent = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<Refund>(&sent).unwrap(), read);
        }
        let expanded = json!({ "id": "pi_1", "object": "payment_intent" });
        let refund = json!({ "id": "re_1", "amount": 500, "payment_intent": expanded });
        let refund: Refund = serde_json::from_value(refund).unwrap();
        assert_eq!(refund.payment_intent.as_deref(), Some("pi_1"));
    }

    #[test]
    fn a_payment_names_its_order_if_it_is_one_of_ours() {
        let order_id = OrderId::generate();
        let ours = intent(&json!({ "metadata": { "order_id": order_id, "note": "x" } }));
        assert_eq!(ours.order_id(), Some(order_id));
        for foreign in [json!({}), json!({ "order_id": "17" })] {
            assert_eq!(intent(&json!({ "metadata": foreign })).order_id(), None);
        }
    }
}
