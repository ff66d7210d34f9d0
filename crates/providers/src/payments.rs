//! Payments by Stripe's API: payment intents with manual capture, and their refunds.

use std::ops::Range;

use jiff::Timestamp;
use orders::{Cents, Currency, OrderId, PaymentId, PaymentMethod, RefundId, ShopId};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    Owner, Page, Record, Reference,
    call::{CallError, send},
    records::{id_or_object, nullable},
};

/// The version of the API that this client uses.
const STRIPE_VERSION: &str = "2025-09-30.clover";

/// The number of records on a page of a list: the API's maximum.
const PAGE_SIZE: &str = "100";

/// A client of the payment provider.
#[derive(Clone)]
pub struct Payments {
    http: Client,
    url: String,
    key: String,
}

/// A request to authorize a payment: to hold its amount on a card.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// The shop. It is stored as metadata, because other shops may use the same account.
    pub shop: &'a ShopId,
    /// The order. It is stored as metadata, so that the payment can be looked up.
    pub order_id: OrderId,
    /// The order's round of authorization. It is stored as metadata, to distinguish the payment
    /// from those of earlier rounds.
    pub round: i32,
    /// The amount, in cents.
    pub amount: Cents,
    /// The currency.
    pub currency: &'a Currency,
    /// The card.
    pub payment_method: &'a PaymentMethod,
}

/// The status of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentIntentStatus {
    /// The card was declined.
    RequiresPaymentMethod,
    /// The provider has not attempted the payment.
    RequiresConfirmation,
    /// The bank requires an action of the shopper, such as 3-D Secure.
    RequiresAction,
    /// The payment is being processed.
    Processing,
    /// The payment is authorized: the money is held on the card.
    RequiresCapture,
    /// The authorization was voided, or it has expired.
    Canceled,
    /// The money is captured.
    Succeeded,
    /// An unknown status. Nothing follows from it.
    #[serde(other)]
    Other,
}

/// A payment at the provider.
#[derive(Debug, Clone, Deserialize)]
pub struct PaymentIntent {
    /// The provider's id.
    pub id: PaymentId,
    /// The status.
    pub status: PaymentIntentStatus,
    /// The requested amount, in cents.
    pub amount: Cents,
    /// The captured amount, in cents. Refunds do not reduce it.
    pub amount_received: Cents,
    /// The currency, in lower case.
    pub currency: String,
    /// The time of its creation, to the second.
    #[serde(deserialize_with = "timestamp_of_seconds")]
    pub created: Timestamp,
    cancellation_reason: Option<String>,
    latest_charge: Option<Charge>,
    #[serde(default, deserialize_with = "nullable")]
    metadata: Metadata,
}

/// A request to refund a payment, or a part of it.
#[derive(Debug, Clone, Copy)]
pub struct RefundCall<'a> {
    /// The shop. It is stored as metadata, because other shops may use the same account.
    pub shop: &'a ShopId,
    /// The payment, by the provider's id.
    pub payment_id: &'a PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// The refund's id in the order. It is stored as metadata, so that the refund can be looked up.
    pub refund_id: RefundId,
    /// The amount, in cents.
    pub amount: Cents,
    /// The reason, for staff.
    pub reason: &'a str,
}

/// The status of a refund.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// The refund is being processed.
    Pending,
    /// The shopper must provide where to send the money.
    RequiresAction,
    /// The money was sent to the shopper.
    Succeeded,
    /// The shopper's bank did not accept the money.
    Failed,
    /// The refund was cancelled before it was completed.
    Canceled,
    /// No status, or an unknown one.
    #[default]
    #[serde(other)]
    Other,
}

/// A refund at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The provider's id.
    pub id: String,
    /// The status.
    #[serde(default, deserialize_with = "nullable")]
    pub status: RefundStatus,
    /// The amount, in cents.
    pub amount: Cents,
    /// The payment, by the provider's id.
    #[serde(default, deserialize_with = "id_or_object")]
    pub payment_intent: Option<PaymentId>,
    #[serde(default, deserialize_with = "nullable")]
    metadata: Metadata,
}

/// The metadata that we store at the provider. Keys of other systems are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    order_id: Option<String>,
    refund_id: Option<String>,
    round: Option<String>,
}

/// Why an authorization is voided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoidReason {
    /// Its order is cancelled.
    OrderCancelled,
    /// The provider never attempted the payment, because the call that created it was interrupted.
    NeverConfirmed,
}

/// A charge: an object if the call expanded it, else its id.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Charge {
    Expanded {
        payment_method_details: Option<MethodDetails>,
    },
    Id(#[expect(dead_code, reason = "the charge is not expanded")] String),
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
struct WithId {
    id: PaymentId,
}

#[derive(Deserialize)]
struct ErrorBody {
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

/// The error codes that concern one payment or refund.
const PAYMENT_CODES: &[&str] = &[
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

/// The error codes of a malformed request. They do not concern one payment, even if the error names
/// one of its parameters.
const FORM_CODES: &[&str] = &["parameter_missing", "parameter_unknown"];

/// The parameters that differ from payment to payment. An error in one concerns that payment.
const PAYMENT_PARAMETERS: &[&str] = &[
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
    /// The order; `None` if we did not create the refund.
    pub fn order_id(&self) -> Option<OrderId> {
        self.metadata.order_id()
    }

    /// The refund's id in the order; `None` if we did not create the refund.
    pub fn refund_id(&self) -> Option<RefundId> {
        self.metadata.refund_id()
    }
}

impl Refund {
    /// Whether it has moved money, or still may.
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
    /// The order; `None` if we did not create the payment.
    pub fn order_id(&self) -> Option<OrderId> {
        self.metadata.order_id()
    }

    /// The order's round of authorization. Payments from before rounds were stored have round 0.
    pub fn round(&self) -> i32 {
        let round = self.metadata.round.as_ref();
        round.and_then(|round| round.parse().ok()).unwrap_or(0)
    }

    /// Whether it was voided because the provider had never attempted it.
    pub fn is_abandoned(&self) -> bool {
        self.status == PaymentIntentStatus::Canceled
            && self.cancellation_reason.as_deref() == Some(VoidReason::NeverConfirmed.code())
    }

    /// When the hold on the card expires.
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
    /// Returns a client of the provider at `url`, such as `https://api.stripe.com`, with a secret
    /// key.
    pub fn new(http: Client, url: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            http,
            url: url.into(),
            key: key.into(),
        }
    }

    /// Authorizes a payment: holds the money on the card. Calls with the same idempotency `key`
    /// hold it once.
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
        send(request.header("Idempotency-Key", key), parse_error).await
    }

    /// Captures the whole amount that is held.
    pub async fn capture(
        &self,
        payment_id: &PaymentId,
        key: &str,
    ) -> Result<PaymentIntent, CallError> {
        let request = self.request(Method::POST, &intent_path(payment_id, "/capture"));
        send(request.header("Idempotency-Key", key), parse_error).await
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
        send(request.header("Idempotency-Key", key), parse_error).await
    }

    /// Returns the current state of a payment.
    pub async fn get(&self, payment_id: &PaymentId) -> Result<PaymentIntent, CallError> {
        let request = self.request(Method::GET, &intent_path(payment_id, ""));
        send(request.query(&[("expand[]", "latest_charge")]), parse_error).await
    }

    /// Returns the current state of all payments that the shop created for an order.
    ///
    /// The provider's search lags: a payment of the last minute may be missing, in an outage of the
    /// search one of the last hour. Another shop in the same account, such as one with a copy of
    /// our database, may have payments with the same order id. Those are excluded.
    pub async fn list_by_order(
        &self,
        shop: &ShopId,
        order_id: OrderId,
    ) -> Result<Vec<PaymentIntent>, CallError> {
        let query = format!("metadata['order_id']:'{order_id}'");
        let request = self
            .request(Method::GET, "/v1/payment_intents/search")
            .query(&[("query", query.as_str()), ("limit", PAGE_SIZE)]);
        let found: List<Value> = send(request, parse_error).await?;
        // Other shops' payments are excluded before they are deserialized: their form may differ.
        let is_ours = |found: &Value| Reference::of_stripe(found).owner(shop) != Owner::Foreign;
        let mut intents = Vec::new();
        for found in found.data.into_iter().filter(is_ours) {
            // The status in the search result lags, too.
            let WithId { id } = serde_json::from_value(found)
                .map_err(|error| CallError::unknown(error.to_string()))?;
            intents.push(self.get(&id).await?);
        }
        Ok(intents)
    }

    /// Returns a page of the payments that were created in `created`, without its end, newest
    /// first. `page` is the `next` of the page before.
    pub async fn list_payments(
        &self,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<PaymentIntent>, CallError> {
        self.list_created("/v1/payment_intents", created, "data.latest_charge", page)
            .await
    }

    /// Refunds captured money. Calls with the same idempotency `key` refund it once.
    pub async fn refund(&self, refunding: RefundCall<'_>, key: &str) -> Result<Refund, CallError> {
        let RefundCall {
            shop,
            payment_id,
            order_id,
            refund_id,
            amount,
            reason,
        } = refunding;
        // The API's own `reason` accepts only a few codes, and none of them is known to apply.
        let form = [
            ("payment_intent", payment_id.to_string()),
            ("amount", amount.get().to_string()),
            ("metadata[shop]", shop.to_string()),
            ("metadata[order_id]", order_id.to_string()),
            ("metadata[refund_id]", refund_id.to_string()),
            ("metadata[reason]", reason.to_owned()),
        ];
        let request = self.request(Method::POST, "/v1/refunds").form(&form);
        send(request.header("Idempotency-Key", key), parse_error).await
    }

    /// Returns all refunds of a payment, newest first.
    pub async fn refunds_of(&self, payment_id: &PaymentId) -> Result<Vec<Refund>, CallError> {
        let mut refunds = Vec::new();
        let mut after = None;
        loop {
            let request = self
                .request(Method::GET, "/v1/refunds")
                .query(&[("payment_intent", payment_id.as_str())]);
            let page: Page<Refund> = self.get_page(request, after.as_deref()).await?;
            for refund in page.items {
                // An unreadable refund may be the one that the caller looks for.
                refunds.push(refund.content.map_err(CallError::unknown)?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(refunds);
            }
        }
    }

    /// Returns a page of the refunds that were created in `created`, without its end, newest first.
    /// A refund that was created in the provider's dashboard has its payment's reference.
    pub async fn list_refunds(
        &self,
        created: Range<Timestamp>,
        page: Option<&str>,
    ) -> Result<Page<Refund>, CallError> {
        self.list_created("/v1/refunds", created, "data.payment_intent", page)
            .await
    }

    /// Returns the current state of a refund. If it was created in the provider's dashboard, it has
    /// its payment's reference.
    pub async fn refund_record(&self, id: &str) -> Result<Record<Refund>, CallError> {
        self.get_record(&format!("/v1/refunds/{id}")).await
    }

    /// Makes a cheap call, to check that the provider answers.
    pub async fn ping(&self) -> Result<(), CallError> {
        send::<serde::de::IgnoredAny>(self.request(Method::GET, "/v1/balance"), parse_error)
            .await?;
        Ok(())
    }

    /// Returns the current state of a record, with its payment expanded.
    pub(crate) async fn get_record<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Record<T>, CallError> {
        let request = self
            .request(Method::GET, path)
            .query(&[("expand[]", "payment_intent")]);
        let value: Value = send(request, parse_error).await?;
        Ok(Record::read(value, "id", Reference::of_stripe))
    }

    /// Returns a page of the records that were created in `created`, without its end, newest first,
    /// with the field `expand` expanded.
    pub(crate) async fn list_created<T: DeserializeOwned>(
        &self,
        path: &str,
        created: Range<Timestamp>,
        expand: &str,
        page: Option<&str>,
    ) -> Result<Page<T>, CallError> {
        let request = self
            .request(Method::GET, path)
            .query(&created_filter(&created))
            .query(&[("expand[]", expand)]);
        self.get_page(request, page).await
    }

    /// Returns the page of a list that begins after the record `after`, or the first page.
    async fn get_page<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        after: Option<&str>,
    ) -> Result<Page<T>, CallError> {
        let after = after.map(|id| ("starting_after", id));
        let request = request.query(&[("limit", PAGE_SIZE)]);
        let list: List<Value> = send(request.query(after.as_slice()), parse_error).await?;
        let read = |value| Record::read(value, "id", Reference::of_stripe);
        let items: Vec<Record<T>> = list.data.into_iter().map(read).collect();
        let next = items.last().map(|record| record.id.clone());
        let next = next.filter(|_| list.has_more);
        if next.as_deref() == Some("") {
            return Err(CallError::unknown(
                "a page of a list ends with a record without an id",
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

fn created_filter(created: &Range<Timestamp>) -> [(&'static str, i64); 2] {
    [
        ("created[gte]", created.start.as_second()),
        ("created[lt]", created.end.as_second()),
    ]
}

fn timestamp_of_seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Timestamp, D::Error> {
    let seconds = i64::deserialize(deserializer)?;
    Timestamp::from_second(seconds).map_err(serde::de::Error::custom)
}

fn parse_error(status: StatusCode, body: &[u8]) -> Option<CallError> {
    let ErrorBody { error } = serde_json::from_slice(body).ok()?;
    let concerns_the_payment = error.concerns_the_payment();
    let code = error
        .decline_code
        .or(error.code)
        .unwrap_or_else(|| error.kind.clone());
    let (status, message) = (status.as_u16(), error.message.unwrap_or_default());
    Some(match error.kind.as_str() {
        "card_error" => CallError::Declined { code, message },
        // A failure of the provider, with any status.
        "api_error" => CallError::unknown(format!("answered {status} ({code}): {message}")),
        // The key was first used with other parameters, for instance by an earlier release.
        "idempotency_error" => CallError::Replayed { status },
        _ if concerns_the_payment => CallError::Rejected {
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
    fn concerns_the_payment(&self) -> bool {
        let is_one_of = |codes: &[&str]| {
            let code = self.code.as_deref();
            code.is_some_and(|code| codes.contains(&code))
        };
        let param = self.param.as_deref();
        self.kind == "invalid_request_error"
            && !is_one_of(FORM_CODES)
            && (is_one_of(PAYMENT_CODES)
                || param.is_some_and(|param| PAYMENT_PARAMETERS.contains(&param)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_declined_card_is_not_a_rejected_request() {
        let body = br#"{"error":{"type":"card_error","code":"card_declined",
            "decline_code":"insufficient_funds","message":"Your card has insufficient funds."}}"#;
        let expected = CallError::Declined {
            code: "insufficient_funds".to_owned(),
            message: "Your card has insufficient funds.".to_owned(),
        };
        assert_eq!(
            parse_error(StatusCode::PAYMENT_REQUIRED, body),
            Some(expected)
        );
    }

    fn error_of(kind: &str, code: Option<&str>, param: Option<&str>) -> CallError {
        let error = json!({ "type": kind, "code": code, "param": param, "message": "No." });
        let body = json!({ "error": error }).to_string();
        parse_error(StatusCode::BAD_REQUEST, body.as_bytes()).unwrap()
    }

    #[test]
    fn errors_of_one_payment_are_final_and_errors_of_the_account_are_not() {
        let invalid = "invalid_request_error";
        for (code, param) in [
            (Some("resource_missing"), Some("payment_method")),
            (Some("amount_too_small"), None),
            (None, Some("amount")),
            (Some("payment_intent_unexpected_state"), None),
            (Some("resource_missing"), Some("intent")),
        ] {
            let rejected = error_of(invalid, code, param);
            assert!(matches!(rejected, CallError::Rejected { status: 400, .. }));
        }
        for (kind, code, param) in [
            ("authentication_error", Some("api_key_expired"), None),
            (invalid, Some("parameter_unknown"), Some("capture_method")),
            (invalid, Some("parameter_missing"), Some("payment_method")),
            (invalid, Some("testmode_charges_only"), None),
            (invalid, None, None),
        ] {
            let error = error_of(kind, code, param);
            assert!(matches!(error, CallError::AccountError { .. }), "{error}");
            assert!(!error.is_transient() && !error.counts_against_provider());
        }
    }

    #[test]
    fn a_failure_of_the_provider_and_a_used_key_are_not_refusals() {
        let failure = error_of("api_error", None, None);
        assert!(matches!(failure, CallError::Unknown { .. }), "{failure}");
        let used_key = error_of("idempotency_error", None, None);
        assert_eq!(used_key, CallError::Replayed { status: 400 });
    }

    #[test]
    fn a_body_in_another_form_is_not_an_error_of_the_provider() {
        for body in ["", "{}", "<html>", r#"{"message":"Forbidden"}"#] {
            let error = parse_error(StatusCode::FORBIDDEN, body.as_bytes());
            assert_eq!(error, None, "{body}");
        }
    }

    /// A payment with `fields` replaced.
    fn intent(fields: &Value) -> PaymentIntent {
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
        let fields = fields.as_object().unwrap().clone();
        intent.as_object_mut().unwrap().extend(fields);
        serde_json::from_value(intent).unwrap()
    }

    #[test]
    fn the_expiry_of_a_hold_is_read_from_an_expanded_charge() {
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
    fn a_payment_has_its_round_and_whether_it_was_ever_attempted() {
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
    fn a_payment_above_our_maximum_does_not_hide_the_next_one() {
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
        let read = |value| Record::<PaymentIntent>::read(value, "id", Reference::of_stripe);
        let records: Vec<_> = list.data.into_iter().map(read).collect();
        assert!(records[0].content.is_err());
        assert_eq!(records[0].reference.shop.as_deref(), Some("other"));
        assert_eq!(records[1].content.as_ref().unwrap().id.as_str(), "pi_2");
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
        assert_eq!(refund.payment_intent, "pi_1".parse().ok());
    }

    #[test]
    fn only_our_payments_have_an_order_id() {
        let order_id = OrderId::generate();
        let ours = intent(&json!({ "metadata": { "order_id": order_id, "note": "x" } }));
        assert_eq!(ours.order_id(), Some(order_id));
        for foreign in [json!({}), json!({ "order_id": "17" })] {
            assert_eq!(intent(&json!({ "metadata": foreign })).order_id(), None);
        }
    }
}
