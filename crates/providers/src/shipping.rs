//! Shipping by ShipEngine's API: one label for each order, found again by the order's id.

use orders::{Address, LabelId, OrderId, ShipmentId, ShopId};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    call::{CallError, send},
    labels::external_order_id,
    records::nullable,
};

/// Which of the carrier's services takes the parcels.
const SERVICE_CODE: &str = "usps_priority_mail";

/// The shipping provider.
#[derive(Clone)]
pub struct Shipping {
    http: Client,
    url: String,
    key: String,
}

/// What is to be shipped.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// Of which shop; the provider keeps it with the order's number as the external order id,
    /// because others may use the same account.
    pub shop: &'a ShopId,
    /// For which order; the provider keeps it as the shipment's external id.
    pub order_id: OrderId,
    /// To where.
    pub ship_to: &'a Address,
    /// What it weighs.
    pub grams: u32,
}

/// A label at the provider, usable or not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ShippingLabel {
    /// The provider's name for it.
    label_id: LabelId,
    tracking_number: Option<String>,
    /// What has become of it.
    #[serde(default)]
    status: LabelStatus,
    voided: Option<bool>,
}

/// What has become of a label, by ShipEngine's `label_status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LabelStatus {
    /// The carrier is still making it.
    Processing,
    /// It can be printed and used.
    Completed,
    /// The carrier could not make it: there is none, and nothing is charged.
    Error,
    /// It was voided.
    Voided,
    /// A status that is missing or not known here: nothing follows from it.
    #[default]
    #[serde(other)]
    Other,
}

/// A label that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoughtLabel {
    /// The provider's name for it.
    pub label_id: LabelId,
    /// What the carrier tracks the parcel by; not every carrier does.
    pub tracking_number: Option<String>,
}

/// How far a parcel has come, by the provider's codes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrackingStatus {
    /// The carrier has not seen it yet.
    #[serde(rename = "NY")]
    NotYetInSystem,
    /// The carrier has it.
    #[serde(rename = "AC")]
    Accepted,
    /// It is on its way.
    #[serde(rename = "IT")]
    InTransit,
    /// Nobody was there to take it.
    #[serde(rename = "AT")]
    DeliveryAttempt,
    /// It waits for the shopper at a counter.
    #[serde(rename = "SP")]
    DeliveredToCollectionLocation,
    /// The shopper has it.
    #[serde(rename = "DE")]
    Delivered,
    /// Something went wrong on its way.
    #[serde(rename = "EX")]
    Exception,
    /// The carrier does not say.
    #[serde(rename = "UN")]
    Unknown,
    /// A code that is not known here, or none.
    #[default]
    #[serde(other)]
    Other,
}

/// Where a parcel is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Tracking {
    /// What the carrier tracks the parcel by.
    pub tracking_number: Option<String>,
    /// How far it has come.
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
struct FoundLabels {
    labels: Vec<ShippingLabel>,
}

#[derive(Deserialize)]
struct Voided {
    approved: bool,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Refusal {
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
    /// The account, our key, or the provider's own trouble.
    #[serde(other)]
    Other,
}

/// What there is at the provider for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shipped {
    /// A label that can be used.
    Label(BoughtLabel),
    /// A shipment without a label, by the provider's name.
    Shipment(ShipmentId),
    /// Nothing.
    Nothing,
}

/// The codes of what no carrier takes, however we ask.
const ABOUT_THE_PARCEL: &[&str] = &["invalid_address", "no_rates_returned"];

/// The fields of a shipment that are the order's, and not the same for all of them.
const OF_THE_PARCEL: &[&str] = &["ship_to", "packages"];

/// The codes of a label that cannot be given back.
const ABOUT_THE_LABEL: &[&str] = &["invalid_identifier", "invalid_status"];

/// The codes of an order whose shipment, or label, is there already.
const CONFLICTS: &[&str] = &["identifier_conflict", "invalid_status"];

impl ShippingLabel {
    /// Whether it was voided.
    fn is_voided(&self) -> bool {
        self.voided == Some(true) || self.status == LabelStatus::Voided
    }

    /// Whether there is nothing to use or to void: it was voided, or never made.
    fn is_void(&self) -> bool {
        self.is_voided() || self.status == LabelStatus::Error
    }

    /// The label, if it can be used. One that is not made yet is looked at again; instead of one that
    /// the carrier could not make, which is no failure of the provider, another may be bought.
    fn usable(self) -> Result<BoughtLabel, CallError> {
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
    /// The provider at `url`, such as `https://api.shipengine.com`, with an API key.
    pub fn new(http: Client, url: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            http,
            url: url.into(),
            key: key.into(),
        }
    }

    /// Buys a label. There is no idempotency key, but only one shipment for each order: after an
    /// unknown outcome, [`Shipping::look_up`] first what there is of it.
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
        send::<ShippingLabel>(request, not_bought).await?.usable()
    }

    /// Buys the label for a shipment that is there without one.
    pub async fn buy_label_for(&self, shipment_id: &ShipmentId) -> Result<BoughtLabel, CallError> {
        let path = format!("/v1/labels/shipment/{shipment_id}");
        let request = self.request(Method::POST, &path).json(&json!({}));
        send::<ShippingLabel>(request, not_bought).await?.usable()
    }

    /// What there is for an order; [`CallError::InFlight`] while a label is being bought.
    pub async fn look_up(&self, order_id: OrderId) -> Result<Shipped, CallError> {
        let path = format!("/v1/shipments/external_shipment_id/{order_id}");
        let request = self.request(Method::GET, &path);
        let shipment: Shipment = match send(request, not_found).await {
            Ok(shipment) => shipment,
            Err(CallError::Rejected { .. }) => return Ok(Shipped::Nothing),
            Err(error) => return Err(error),
        };
        let request = self.request(Method::GET, "/v1/labels");
        let request = request.query(&[("shipment_id", &shipment.shipment_id)]);
        let found: FoundLabels = send(request, refused).await?;
        shipped(shipment, found.labels)
    }

    /// Gives a label back. Giving it back again is no error.
    pub async fn void_label(&self, label_id: &LabelId) -> Result<(), CallError> {
        let path = format!("/v1/labels/{label_id}/void");
        let answer: Voided = send(self.request(Method::PUT, &path), not_voided).await?;
        if answer.approved || self.is_voided(label_id).await? {
            return Ok(());
        }
        let code = "void_not_approved".to_owned();
        Err(CallError::Rejected {
            status: 200,
            code,
            message: answer.message,
        })
    }

    /// Whether the provider answers.
    pub async fn ping(&self) -> Result<(), CallError> {
        send::<serde::de::IgnoredAny>(self.request(Method::GET, "/v1/carriers"), refused).await?;
        Ok(())
    }

    async fn is_voided(&self, label_id: &LabelId) -> Result<bool, CallError> {
        let request = self.request(Method::GET, &format!("/v1/labels/{label_id}"));
        Ok(send::<ShippingLabel>(request, refused).await?.is_voided())
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

/// Where parcels leave from.
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

/// What a shipment and all of its labels come to.
fn shipped(shipment: Shipment, labels: Vec<ShippingLabel>) -> Result<Shipped, CallError> {
    let none = labels.is_empty();
    let live = labels.into_iter().filter(|label| !label.is_void());
    // One that is made comes before one that is being made.
    if let Some(label) = live.min_by_key(|label| label.status != LabelStatus::Completed) {
        return Ok(Shipped::Label(label.usable()?));
    }
    match shipment.shipment_status {
        ShipmentStatus::Processing => Err(CallError::InFlight),
        // It is on no list yet.
        ShipmentStatus::LabelPurchased if none => Err(CallError::InFlight),
        _ => Ok(Shipped::Shipment(shipment.shipment_id)),
    }
}

/// A refusal that says nothing of the order: where we only look, our account or our calls are at fault.
pub(crate) fn refused(status: StatusCode, body: &[u8]) -> Option<CallError> {
    Some(error(body)?.into_call_error(status, false))
}

/// A refusal to show what is not there.
fn not_found(status: StatusCode, body: &[u8]) -> Option<CallError> {
    let error = error(body)?;
    Some(error.into_call_error(status, status == StatusCode::NOT_FOUND))
}

/// A refusal to sell a label. What is there already is looked up; that is no refusal of the order.
fn not_bought(status: StatusCode, body: &[u8]) -> Option<CallError> {
    let error = error(body)?;
    if error.is_a_conflict() {
        return Some(CallError::InFlight);
    }
    let is_final = error.is_about_the_parcel();
    Some(error.into_call_error(status, is_final))
}

/// A refusal to take a label back.
fn not_voided(status: StatusCode, body: &[u8]) -> Option<CallError> {
    let error = error(body)?;
    let about_the_label = ABOUT_THE_LABEL.contains(&error.error_code.as_str());
    Some(error.into_call_error(status, status == StatusCode::NOT_FOUND || about_the_label))
}

fn error(body: &[u8]) -> Option<ShipEngineError> {
    let Refusal { errors } = serde_json::from_slice(body).ok()?;
    errors.into_iter().next()
}

impl ShipEngineError {
    fn is_a_conflict(&self) -> bool {
        CONFLICTS.contains(&self.error_code.as_str()) || self.names("external_shipment_id")
    }

    fn is_about_the_parcel(&self) -> bool {
        self.error_type != ErrorType::Other
            && (ABOUT_THE_PARCEL.contains(&self.error_code.as_str())
                || OF_THE_PARCEL.iter().any(|field| self.names(field)))
    }

    fn names(&self, field: &str) -> bool {
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
    fn a_code_that_is_not_known_is_still_a_status() {
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
        assert_eq!(read("a_status_of_tomorrow"), LabelStatus::Other);
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
    fn what_is_wrong_with_a_parcel_is_final() {
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
            assert_eq!(not_bought(BAD, &body(kind, code, field)), Some(expected));
        }
    }

    #[test]
    fn what_is_wrong_with_the_account_or_the_form_can_be_put_right() {
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
            let error = not_bought(status, &body(kind, code, field)).unwrap();
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
            let conflict = not_bought(BAD, &body("validation", code, field));
            assert_eq!(conflict, Some(CallError::InFlight), "{code}");
        }
        assert_eq!(not_bought(StatusCode::FORBIDDEN, br#"{"errors":[]}"#), None);
    }

    #[test]
    fn only_a_label_that_cannot_be_given_back_is_for_a_person() {
        let is_final = |refusal| matches!(refusal, Some(CallError::Rejected { .. }));
        let status = body("business_rules", "invalid_status", None);
        assert!(is_final(not_voided(BAD, &status)));
        let gone = body("business_rules", "not_found", None);
        assert!(is_final(not_voided(StatusCode::NOT_FOUND, &gone)));
        let key = body("security", "unauthorized", None);
        assert!(!is_final(not_voided(StatusCode::UNAUTHORIZED, &key)));
    }

    #[test]
    fn a_refused_look_says_nothing_of_the_order() {
        let gone = body("business_rules", "not_found", None);
        let found = not_found(StatusCode::NOT_FOUND, &gone);
        assert!(matches!(found, Some(CallError::Rejected { .. })));
        for (status, read) in [
            (StatusCode::NOT_FOUND, refused as fn(_, &_) -> _),
            (BAD, not_found),
        ] {
            let looked = read(
                status,
                body("validation", "invalid_address", None).as_slice(),
            );
            assert!(matches!(looked, Some(CallError::AccountError { .. })));
        }
    }

    #[test]
    fn no_second_label_is_bought_while_the_first_may_be_under_way() {
        let label = |id: &str, status: &str| {
            let label = json!({ "label_id": id, "status": status, "tracking_number": "9400" });
            serde_json::from_value::<ShippingLabel>(label).unwrap()
        };
        let read = |status: &str, labels: &[ShippingLabel]| {
            let shipment = json!({ "shipment_id": "se-2", "shipment_status": status });
            shipped(serde_json::from_value(shipment).unwrap(), labels.to_vec())
        };
        let without = Ok(Shipped::Shipment("se-2".parse().unwrap()));
        assert_eq!(read("processing", &[]), Err(CallError::InFlight));
        assert_eq!(read("label_purchased", &[]), Err(CallError::InFlight));
        assert_eq!(read("pending", &[]), without);
        let (voided, failed) = (label("se-3", "voided"), label("se-4", "error"));
        assert_eq!(
            read("label_purchased", &[voided.clone(), failed.clone()]),
            without
        );
        for status in ["processing", "a_new_status"] {
            let being_made = [voided.clone(), label("se-5", status)];
            assert_eq!(read("pending", &being_made), Err(CallError::InFlight));
        }
        let all = [
            failed,
            label("se-5", "processing"),
            label("se-1", "completed"),
        ];
        let bought = BoughtLabel {
            label_id: "se-1".to_owned(),
            tracking_number: Some("9400".to_owned()),
        };
        assert_eq!(read("pending", &all), Ok(Shipped::Label(bought)));
    }

    #[test]
    fn a_label_that_the_carrier_could_not_make_is_none() {
        let answered = |status: &str| {
            let label = json!({ "label_id": "se-1", "status": status });
            serde_json::from_value::<ShippingLabel>(label).unwrap()
        };
        assert_eq!(answered("error").usable(), Err(CallError::InFlight));
        assert_eq!(answered("processing").usable(), Err(CallError::InFlight));
        let bought = answered("completed").usable().unwrap();
        assert_eq!(bought.tracking_number, None);
        assert!(answered("voided").is_voided() && answered("voided").is_void());
        assert!(answered("error").is_void() && !answered("error").is_voided());
    }
}
