//! Shipping by ShipEngine's API: one label for each order, which can be looked up by the order's
//! id.

use orders::{Address, LabelId, OrderId, ShipmentId, ShopId};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    call::{CallError, send},
    labels::external_order_id,
    records::nullable,
};

/// The carrier's service that delivers the parcels.
const SERVICE_CODE: &str = "usps_priority_mail";

/// A client of the shipping provider.
#[derive(Clone)]
pub struct Shipping {
    http: Client,
    url: String,
    key: String,
}

/// A parcel to ship.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// The shop. The provider stores it, with the order's number, as the external order id, because
    /// other shops may use the same account.
    pub shop: &'a ShopId,
    /// The order. The provider stores it as the shipment's external id.
    pub order_id: OrderId,
    /// The destination.
    pub ship_to: &'a Address,
    /// The weight in grams.
    pub grams: u32,
}

/// A label at the provider, usable or not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ShippingLabel {
    label_id: LabelId,
    tracking_number: Option<String>,
    #[serde(default)]
    status: LabelStatus,
    voided: Option<bool>,
}

/// The status of a label: ShipEngine's `label_status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LabelStatus {
    /// The carrier is still creating the label.
    Processing,
    /// The label can be printed and used.
    Completed,
    /// The carrier could not create the label. Nothing is charged.
    Error,
    /// The label was voided.
    Voided,
    /// No status, or an unknown one. Nothing follows from it.
    #[default]
    #[serde(other)]
    Other,
}

/// A label that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoughtLabel {
    /// The provider's id.
    pub label_id: LabelId,
    /// The carrier's tracking number. Not every carrier has one.
    pub tracking_number: Option<String>,
}

/// The status of a parcel: ShipEngine's `status_code`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackingStatus {
    /// The carrier has not scanned the parcel yet.
    #[serde(rename = "NY")]
    NotYetInSystem,
    /// The carrier has the parcel.
    #[serde(rename = "AC")]
    Accepted,
    /// The parcel is in transit.
    #[serde(rename = "IT")]
    InTransit,
    /// The carrier attempted the delivery, and the recipient was absent.
    #[serde(rename = "AT")]
    DeliveryAttempt,
    /// The parcel can be collected at a pick-up point.
    #[serde(rename = "SP")]
    DeliveredToCollectionLocation,
    /// The parcel was delivered.
    #[serde(rename = "DE")]
    Delivered,
    /// A problem occurred in transit.
    #[serde(rename = "EX")]
    Exception,
    /// The carrier does not know the status.
    #[serde(rename = "UN")]
    Unknown,
    /// No code, or an unknown one.
    #[default]
    #[serde(other)]
    Other,
}

/// The tracking information of a parcel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Tracking {
    /// The carrier's tracking number.
    pub tracking_number: Option<String>,
    /// The parcel's status.
    #[serde(rename = "status_code", default, deserialize_with = "nullable")]
    pub status: TrackingStatus,
}

#[derive(Deserialize)]
struct Shipment {
    shipment_id: ShipmentId,
    shipment_status: ShipmentStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShipmentStatus {
    Processing,
    LabelPurchased,
    /// No label is being bought for it.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct LabelList {
    labels: Vec<ShippingLabel>,
}

#[derive(Deserialize)]
struct VoidResponse {
    approved: bool,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct ErrorBody {
    errors: Vec<ShipEngineError>,
}

#[derive(Deserialize)]
struct ShipEngineError {
    error_type: ErrorType,
    error_code: String,
    message: String,
    field_name: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ErrorType {
    BusinessRules,
    Validation,
    /// An error of the account, of our key or of the provider.
    #[serde(other)]
    Other,
}

/// The result of looking up an order at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShipmentLookup {
    /// The order has a label that can be used.
    Label(BoughtLabel),
    /// The order has a shipment without a usable label. Holds the shipment's id.
    Shipment(ShipmentId),
    /// The provider has no shipment for the order.
    Nothing,
}

/// The error codes of a parcel that no carrier accepts.
const PARCEL_CODES: &[&str] = &["invalid_address", "no_rates_returned"];

/// The fields of a shipment that differ from order to order. An error in one concerns that parcel.
const PARCEL_FIELDS: &[&str] = &["ship_to", "packages"];

/// The error codes of a label that cannot be voided.
const LABEL_CODES: &[&str] = &["invalid_identifier", "invalid_status"];

/// The error codes of an order that has a shipment or a label already.
const CONFLICT_CODES: &[&str] = &["identifier_conflict", "invalid_status"];

impl ShippingLabel {
    /// Whether it was voided.
    fn is_voided(&self) -> bool {
        self.voided == Some(true) || self.status == LabelStatus::Voided
    }

    /// Whether there is no label to use or to void: it was voided, or never created.
    fn is_void(&self) -> bool {
        self.is_voided() || self.status == LabelStatus::Error
    }

    /// Returns the label if it can be used, else [`CallError::InFlight`]: a later lookup finds the
    /// label once it is created, or that another may be bought because the carrier could not create
    /// it. Neither is a failure of the provider.
    fn into_bought(self) -> Result<BoughtLabel, CallError> {
        match self.status {
            LabelStatus::Completed => Ok(BoughtLabel {
                label_id: self.label_id,
                tracking_number: self.tracking_number,
            }),
            LabelStatus::Processing
            | LabelStatus::Error
            | LabelStatus::Voided
            | LabelStatus::Other => Err(CallError::InFlight),
        }
    }
}

impl Shipping {
    /// Returns a client of the provider at `url`, such as `https://api.shipengine.com`, with an API
    /// key.
    pub fn new(http: Client, url: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            http,
            url: url.into(),
            key: key.into(),
        }
    }

    /// Buys a label. The API has no idempotency keys, but allows only one shipment for each order.
    /// After an unknown outcome, call [`Shipping::look_up`] first.
    pub async fn buy_label(&self, parcel: Parcel<'_>) -> Result<BoughtLabel, CallError> {
        let shipment = json!({
            "external_shipment_id": parcel.order_id,
            "external_order_id": external_order_id(parcel.shop, parcel.order_id),
            "service_code": SERVICE_CODE,
            "ship_to": address(parcel.ship_to),
            "ship_from": warehouse(),
            "packages": [{ "weight": { "value": parcel.grams, "unit": "gram" } }],
        });
        let request = self
            .request(Method::POST, "/v1/labels")
            .json(&json!({ "shipment": shipment }));
        send::<ShippingLabel>(request, parse_purchase_error)
            .await?
            .into_bought()
    }

    /// Buys the label for a shipment that exists without one.
    pub async fn buy_label_for(&self, shipment_id: &ShipmentId) -> Result<BoughtLabel, CallError> {
        let path = format!("/v1/labels/shipment/{shipment_id}");
        let request = self.request(Method::POST, &path).json(&json!({}));
        send::<ShippingLabel>(request, parse_purchase_error)
            .await?
            .into_bought()
    }

    /// Looks up the shipment and the label of an order. Returns [`CallError::InFlight`] while a
    /// label is being bought.
    pub async fn look_up(&self, order_id: OrderId) -> Result<ShipmentLookup, CallError> {
        let path = format!("/v1/shipments/external_shipment_id/{order_id}");
        let request = self.request(Method::GET, &path);
        let shipment: Shipment = match send(request, parse_get_error).await {
            Ok(shipment) => shipment,
            Err(CallError::Rejected { .. }) => return Ok(ShipmentLookup::Nothing),
            Err(error) => return Err(error),
        };
        let request = self.request(Method::GET, "/v1/labels");
        let request = request.query(&[("shipment_id", &shipment.shipment_id)]);
        let found: LabelList = send(request, parse_error).await?;
        resolve_lookup(shipment, found.labels)
    }

    /// Voids a label. Succeeds if it is already voided.
    pub async fn void_label(&self, label_id: &LabelId) -> Result<(), CallError> {
        let path = format!("/v1/labels/{label_id}/void");
        let response: VoidResponse =
            send(self.request(Method::PUT, &path), parse_void_error).await?;
        if response.approved || self.is_voided(label_id).await? {
            return Ok(());
        }
        let code = "void_not_approved".to_owned();
        Err(CallError::Rejected {
            status: 200,
            code,
            message: response.message,
        })
    }

    /// Makes a cheap call, to check that the provider answers.
    pub async fn ping(&self) -> Result<(), CallError> {
        send::<serde::de::IgnoredAny>(self.request(Method::GET, "/v1/carriers"), parse_error)
            .await?;
        Ok(())
    }

    async fn is_voided(&self, label_id: &LabelId) -> Result<bool, CallError> {
        let request = self.request(Method::GET, &format!("/v1/labels/{label_id}"));
        Ok(send::<ShippingLabel>(request, parse_error)
            .await?
            .is_voided())
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .header("API-Key", &self.key)
    }
}

fn address(address: &Address) -> Value {
    json!({
        "name": address.name,
        "address_line1": address.line1,
        "address_line2": address.line2,
        "city_locality": address.city,
        "state_province": address.region,
        "postal_code": address.postal_code,
        "country_code": address.country,
    })
}

/// The address that parcels are sent from.
fn warehouse() -> Value {
    json!({
        "name": "Cauce",
        "phone": "+34 900 000 000",
        "address_line1": "Calle del Puerto 1",
        "city_locality": "Valencia",
        "state_province": "Valencia",
        "postal_code": "46001",
        "country_code": "ES",
    })
}

/// Returns the result of a lookup that found a shipment with these labels.
fn resolve_lookup(
    shipment: Shipment,
    labels: Vec<ShippingLabel>,
) -> Result<ShipmentLookup, CallError> {
    let has_no_labels = labels.is_empty();
    let live = labels.into_iter().filter(|label| !label.is_void());
    // A completed label is preferred to one that is being created.
    if let Some(label) = live.min_by_key(|label| label.status != LabelStatus::Completed) {
        return Ok(ShipmentLookup::Label(label.into_bought()?));
    }
    match shipment.shipment_status {
        ShipmentStatus::Processing => Err(CallError::InFlight),
        // The label is not in the list yet.
        ShipmentStatus::LabelPurchased if has_no_labels => Err(CallError::InFlight),
        _ => Ok(ShipmentLookup::Shipment(shipment.shipment_id)),
    }
}

/// Parses the error of a call that only reads. It does not concern an order: our account or our
/// request is at fault.
pub(crate) fn parse_error(status: StatusCode, body: &[u8]) -> Option<CallError> {
    Some(first_error(body)?.into_call_error(status, false))
}

/// Parses the error of a call that reads one object, which is final if the object does not exist.
fn parse_get_error(status: StatusCode, body: &[u8]) -> Option<CallError> {
    let error = first_error(body)?;
    Some(error.into_call_error(status, status == StatusCode::NOT_FOUND))
}

/// Parses the error of a purchase. A conflict is not a refusal: the existing label is looked up.
fn parse_purchase_error(status: StatusCode, body: &[u8]) -> Option<CallError> {
    let error = first_error(body)?;
    if error.is_conflict() {
        return Some(CallError::InFlight);
    }
    let is_final = error.concerns_the_parcel();
    Some(error.into_call_error(status, is_final))
}

/// Parses the error of voiding a label.
fn parse_void_error(status: StatusCode, body: &[u8]) -> Option<CallError> {
    let error = first_error(body)?;
    let concerns_the_label = LABEL_CODES.contains(&error.error_code.as_str());
    let is_final = status == StatusCode::NOT_FOUND || concerns_the_label;
    Some(error.into_call_error(status, is_final))
}

fn first_error(body: &[u8]) -> Option<ShipEngineError> {
    let ErrorBody { errors } = serde_json::from_slice(body).ok()?;
    errors.into_iter().next()
}

impl ShipEngineError {
    fn is_conflict(&self) -> bool {
        CONFLICT_CODES.contains(&self.error_code.as_str())
            || self.names_field("external_shipment_id")
    }

    fn concerns_the_parcel(&self) -> bool {
        self.error_type != ErrorType::Other
            && (PARCEL_CODES.contains(&self.error_code.as_str())
                || PARCEL_FIELDS.iter().any(|field| self.names_field(field)))
    }

    fn names_field(&self, field: &str) -> bool {
        self.field_name
            .as_deref()
            .is_some_and(|name| name.contains(field))
    }

    fn into_call_error(self, status: StatusCode, is_final: bool) -> CallError {
        let (status, code, message) = (status.as_u16(), self.error_code, self.message);
        if is_final {
            CallError::Rejected {
                status,
                code,
                message,
            }
        } else {
            CallError::AccountError {
                status,
                code,
                message,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_is_read_as_other() {
        let read = |code: &str| serde_json::from_value::<TrackingStatus>(json!(code)).unwrap();
        assert_eq!(read("DE"), TrackingStatus::Delivered);
        assert_eq!(read("ZZ"), TrackingStatus::Other);
        let sent = serde_json::to_value(TrackingStatus::Other).unwrap();
        assert_eq!(read(sent.as_str().unwrap()), TrackingStatus::Other);
    }

    #[test]
    fn each_documented_status_of_a_label_is_known() {
        let contract = contracts::Contract::shipengine().unwrap();
        let read = |status: &str| serde_json::from_value::<LabelStatus>(json!(status)).unwrap();
        for status in &contract.schemas["label"].properties["status"].values {
            assert_ne!(read(status), LabelStatus::Other, "{status}");
        }
        assert_eq!(read("an_unknown_status"), LabelStatus::Other);
    }

    fn body(kind: &str, code: &str, field: Option<&str>) -> Vec<u8> {
        let error = json!({
            "error_type": kind,
            "error_code": code,
            "message": "No.",
            "field_name": field,
        });
        json!({ "errors": [error] }).to_string().into_bytes()
    }

    const BAD: StatusCode = StatusCode::BAD_REQUEST;

    #[test]
    fn errors_of_a_parcel_are_final() {
        for (kind, code, field) in [
            ("validation", "invalid_address", None),
            ("business_rules", "no_rates_returned", None),
            (
                "validation",
                "field_value_required",
                Some("shipment.ship_to.postal_code"),
            ),
            (
                "validation",
                "invalid_field_value",
                Some("shipment.packages[0].weight"),
            ),
        ] {
            let expected = CallError::Rejected {
                status: 400,
                code: code.to_owned(),
                message: "No.".to_owned(),
            };
            assert_eq!(
                parse_purchase_error(BAD, &body(kind, code, field)),
                Some(expected)
            );
        }
    }

    #[test]
    fn errors_of_the_account_or_the_request_s_form_are_not_final() {
        for (status, kind, code, field) in [
            (400, "account_status", "insufficient_funds", None),
            (400, "account_status", "subscription_inactive", None),
            (401, "security", "unauthorized", None),
            (400, "integrations", "invalid_address", None),
            (400, "system", "unspecified", None),
            (400, "business_rules", "auto_fund_not_supported", None),
            (400, "a_new_type", "a_new_code", None),
            (404, "validation", "not_found", None),
            (400, "validation", "invalid_identifier", None),
            (400, "validation", "field_conflict", None),
            (
                400,
                "validation",
                "invalid_field_value",
                Some("shipment.service_code"),
            ),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = parse_purchase_error(status, &body(kind, code, field)).unwrap();
            assert!(matches!(error, CallError::AccountError { .. }), "{error}");
            assert!(!error.is_transient() && !error.counts_against_provider());
        }
    }

    #[test]
    fn a_second_purchase_for_an_order_is_looked_up() {
        for (code, field) in [
            ("identifier_conflict", None),
            ("invalid_status", None),
            ("invalid_field_value", Some("shipment.external_shipment_id")),
        ] {
            let conflict = parse_purchase_error(BAD, &body("validation", code, field));
            assert_eq!(conflict, Some(CallError::InFlight), "{code}");
        }
        assert_eq!(
            parse_purchase_error(StatusCode::FORBIDDEN, br#"{"errors":[]}"#),
            None
        );
    }

    #[test]
    fn voiding_fails_finally_only_if_the_label_cannot_be_voided() {
        let is_final = |error| matches!(error, Some(CallError::Rejected { .. }));
        let status = body("business_rules", "invalid_status", None);
        assert!(is_final(parse_void_error(BAD, &status)));
        let gone = body("business_rules", "not_found", None);
        assert!(is_final(parse_void_error(StatusCode::NOT_FOUND, &gone)));
        let key = body("security", "unauthorized", None);
        assert!(!is_final(parse_void_error(StatusCode::UNAUTHORIZED, &key)));
    }

    #[test]
    fn an_error_of_a_lookup_does_not_concern_the_order() {
        let gone = body("business_rules", "not_found", None);
        let found = parse_get_error(StatusCode::NOT_FOUND, &gone);
        assert!(matches!(found, Some(CallError::Rejected { .. })));
        for (status, read) in [
            (StatusCode::NOT_FOUND, parse_error as fn(_, &_) -> _),
            (BAD, parse_get_error),
        ] {
            let body = body("validation", "invalid_address", None);
            let error = read(status, body.as_slice());
            assert!(matches!(error, Some(CallError::AccountError { .. })));
        }
    }

    #[test]
    fn no_second_label_is_bought_while_the_first_may_be_in_flight() {
        let label = |id: &str, status: &str| {
            let label = json!({ "label_id": id, "status": status, "tracking_number": "9400" });
            serde_json::from_value::<ShippingLabel>(label).unwrap()
        };
        let read = |status: &str, labels: &[ShippingLabel]| {
            let shipment = json!({ "shipment_id": "se-2", "shipment_status": status });
            resolve_lookup(serde_json::from_value(shipment).unwrap(), labels.to_vec())
        };
        let without = Ok(ShipmentLookup::Shipment("se-2".parse().unwrap()));
        assert_eq!(read("processing", &[]), Err(CallError::InFlight));
        assert_eq!(read("label_purchased", &[]), Err(CallError::InFlight));
        assert_eq!(read("pending", &[]), without);
        let (voided, failed) = (label("se-3", "voided"), label("se-4", "error"));
        assert_eq!(
            read("label_purchased", &[voided.clone(), failed.clone()]),
            without
        );
        for status in ["processing", "a_new_status"] {
            let labels = [voided.clone(), label("se-5", status)];
            assert_eq!(read("pending", &labels), Err(CallError::InFlight));
        }
        let all = [
            failed,
            label("se-5", "processing"),
            label("se-1", "completed"),
        ];
        let bought = BoughtLabel {
            label_id: "se-1".parse().unwrap(),
            tracking_number: Some("9400".to_owned()),
        };
        assert_eq!(read("pending", &all), Ok(ShipmentLookup::Label(bought)));
    }

    #[test]
    fn a_label_that_the_carrier_could_not_create_is_void() {
        let answered = |status: &str| {
            let label = json!({ "label_id": "se-1", "status": status });
            serde_json::from_value::<ShippingLabel>(label).unwrap()
        };
        assert_eq!(answered("error").into_bought(), Err(CallError::InFlight));
        assert_eq!(
            answered("processing").into_bought(),
            Err(CallError::InFlight)
        );
        let bought = answered("completed").into_bought().unwrap();
        assert_eq!(bought.tracking_number, None);
        assert!(answered("voided").is_voided() && answered("voided").is_void());
        assert!(answered("error").is_void() && !answered("error").is_voided());
    }
}
