//! Shipping by ShipEngine's API: one label for each order, found again by the order's id.

use std::ops::Range;

use jiff::Timestamp;
use orders::{Address, OrderId};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Page,
    call::{CallError, send},
};

/// Which of the carrier's services takes the parcels.
const SERVICE_CODE: &str = "usps_priority_mail";

/// How many labels a page of a list holds.
const PAGE: &str = "100";

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
    /// For which order; the provider keeps it as the shipment's external id.
    pub order_id: OrderId,
    /// To where.
    pub ship_to: &'a Address,
    /// What it weighs.
    pub grams: u32,
}

/// A label at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BoughtLabel {
    /// The provider's name for it.
    pub label_id: String,
    /// The provider's name for the shipment that it is for.
    pub shipment_id: String,
    /// What the carrier tracks the parcel by.
    pub tracking_number: String,
    /// Whether it was given back.
    #[serde(default)]
    pub voided: bool,
    external_shipment_id: Option<String>,
}

/// How far a parcel has come, by the provider's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// A code that is not known here.
    #[serde(other)]
    Other,
}

/// Where a parcel is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tracking {
    /// What the carrier tracks the parcel by.
    pub tracking_number: String,
    /// How far it has come.
    #[serde(rename = "status_code")]
    pub status: TrackingStatus,
}

#[derive(Deserialize)]
struct Shipment {
    shipment_id: String,
}

#[derive(Deserialize)]
struct FoundLabels {
    labels: Vec<BoughtLabel>,
    page: u32,
    pages: u32,
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
    error_code: String,
    message: String,
    field_name: Option<String>,
}

/// What there is at the provider for an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shipped {
    /// A label that was not given back.
    Label(BoughtLabel),
    /// A shipment without a label, by the provider's name.
    Shipment(String),
    /// Nothing.
    Nothing,
}

/// The codes of what is wrong with a parcel or an address, or with the label that a call is about.
const ABOUT_THE_PARCEL: &[&str] = &[
    "confirmation_not_supported",
    "customs_items_required",
    "invalid_address",
    "invalid_identifier",
    "invalid_status",
    "no_rates_returned",
    "service_not_determined",
];

/// The codes of an order that has a shipment already.
const CONFLICTS: &[&str] = &["field_conflict", "identifier_conflict"];

impl BoughtLabel {
    /// Which order it is for; nothing, if it was not bought by us.
    pub fn order_id(&self) -> Option<OrderId> {
        Some(OrderId(self.external_shipment_id.as_ref()?.parse().ok()?))
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
            "service_code": SERVICE_CODE,
            "ship_to": address(parcel.ship_to),
            "ship_from": warehouse(),
            "packages": [{ "weight": { "value": parcel.grams, "unit": "gram" } }],
        });
        let request = self
            .request(Method::POST, "/v1/labels")
            .json(&json!({ "shipment": shipment }));
        send(request, refused).await
    }

    /// Buys the label for a shipment that is there without one.
    pub async fn buy_label_for(&self, shipment_id: &str) -> Result<BoughtLabel, CallError> {
        let path = format!("/v1/labels/shipment/{shipment_id}");
        send(self.request(Method::POST, &path).json(&json!({})), refused).await
    }

    /// What there is for an order.
    pub async fn look_up(&self, order_id: OrderId) -> Result<Shipped, CallError> {
        let path = format!("/v1/shipments/external_shipment_id/{order_id}");
        let Shipment { shipment_id } = match send(self.request(Method::GET, &path), refused).await {
            Ok(shipment) => shipment,
            Err(CallError::Rejected { status: 404, .. }) => return Ok(Shipped::Nothing),
            // That we may not look says nothing of the parcel.
            Err(CallError::Rejected {
                status,
                code,
                message,
            }) => {
                return Err(CallError::NotServed {
                    status,
                    code,
                    message,
                });
            }
            Err(error) => return Err(error),
        };
        let request = self.request(Method::GET, "/v1/labels");
        let request = request.query(&[("shipment_id", &shipment_id)]);
        let found: FoundLabels = send(request, refused).await?;
        let label = found.labels.into_iter().find(|label| !label.voided);
        Ok(label.map_or(Shipped::Shipment(shipment_id), Shipped::Label))
    }

    /// The labels that were bought in `created`, those given back included, the oldest first;
    /// `page` counts from 1.
    pub async fn labels(
        &self,
        created: Range<Timestamp>,
        page: u32,
    ) -> Result<Page<BoughtLabel, u32>, CallError> {
        let request = self.request(Method::GET, "/v1/labels").query(&[
            ("created_at_start", created.start.to_string().as_str()),
            ("created_at_end", &created.end.to_string()),
            ("sort_by", "created_at"),
            ("sort_dir", "asc"),
            ("page_size", PAGE),
            ("page", &page.to_string()),
        ]);
        let found: FoundLabels = send(request, refused).await?;
        Ok(Page {
            items: found.labels,
            next: (found.page < found.pages).then_some(found.page + 1),
        })
    }

    /// Gives a label back. Giving it back again is no error.
    pub async fn void_label(&self, label_id: &str) -> Result<(), CallError> {
        let path = format!("/v1/labels/{label_id}/void");
        let answer: Voided = send(self.request(Method::PUT, &path), refused).await?;
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

    async fn is_voided(&self, label_id: &str) -> Result<bool, CallError> {
        let request = self.request(Method::GET, &format!("/v1/labels/{label_id}"));
        Ok(send::<BoughtLabel>(request, refused).await?.voided)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
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

pub(crate) fn refused(status: StatusCode, body: &[u8]) -> Option<CallError> {
    let Refusal { errors } = serde_json::from_slice(body).ok()?;
    let error = errors.into_iter().next()?;
    let about_the_parcel = status == StatusCode::NOT_FOUND || error.is_about_the_parcel();
    let (status, code, message) = (status.as_u16(), error.error_code, error.message);
    Some(if CONFLICTS.contains(&code.as_str()) {
        CallError::InFlight
    } else if about_the_parcel {
        CallError::Rejected {
            status,
            code,
            message,
        }
    } else {
        CallError::NotServed {
            status,
            code,
            message,
        }
    })
}

impl ShipEngineError {
    fn is_about_the_parcel(&self) -> bool {
        let field = self.field_name.as_deref().unwrap_or_default();
        ABOUT_THE_PARCEL.contains(&self.error_code.as_str())
            || field.contains("ship_to")
            || field.contains("packages")
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

    fn read(status: StatusCode, code: &str, field: Option<&str>) -> Option<CallError> {
        let error = json!({ "error_code": code, "message": "No.", "field_name": field });
        refused(status, json!({ "errors": [error] }).to_string().as_bytes())
    }

    #[test]
    fn what_is_wrong_with_a_parcel_is_final() {
        for (status, code, field) in [
            (StatusCode::BAD_REQUEST, "invalid_address", None),
            (StatusCode::NOT_FOUND, "not_found", None),
            (
                StatusCode::BAD_REQUEST,
                "field_value_required",
                Some("shipment.ship_to.postal_code"),
            ),
        ] {
            let expected = CallError::Rejected {
                status: status.as_u16(),
                code: code.to_owned(),
                message: "No.".to_owned(),
            };
            assert_eq!(read(status, code, field), Some(expected));
        }
    }

    #[test]
    fn what_is_wrong_with_the_account_or_the_form_can_be_put_right() {
        for (status, code, field) in [
            (StatusCode::BAD_REQUEST, "insufficient_funds", None),
            (StatusCode::UNAUTHORIZED, "unauthorized", None),
            (StatusCode::BAD_REQUEST, "unspecified", None),
            (
                StatusCode::BAD_REQUEST,
                "invalid_field_value",
                Some("shipment.service_code"),
            ),
        ] {
            let error = read(status, code, field).unwrap();
            assert!(matches!(error, CallError::NotServed { .. }), "{error}");
            assert!(!error.is_transient() && !error.counts_against_provider());
        }
    }

    #[test]
    fn a_second_shipment_for_an_order_is_looked_up() {
        let conflict = read(StatusCode::BAD_REQUEST, "identifier_conflict", None);
        assert_eq!(conflict, Some(CallError::InFlight));
        assert_eq!(refused(StatusCode::FORBIDDEN, br#"{"errors":[]}"#), None);
    }
}
