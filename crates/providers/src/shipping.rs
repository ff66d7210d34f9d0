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
}

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

    /// Buys a label. There is no idempotency key: after an unknown outcome, look first whether
    /// [`Shipping::label_of`] the order is there.
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

    /// The order's label, if there is one that was not given back.
    pub async fn label_of(&self, order_id: OrderId) -> Result<Option<BoughtLabel>, CallError> {
        let path = format!("/v1/shipments/external_shipment_id/{order_id}");
        let shipment: Shipment = match send(self.request(Method::GET, &path), refused).await {
            Ok(shipment) => shipment,
            Err(CallError::Rejected { status: 404, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let request = self.request(Method::GET, "/v1/labels");
        let request = request.query(&[("shipment_id", shipment.shipment_id)]);
        let found: FoundLabels = send(request, refused).await?;
        Ok(found.labels.into_iter().find(|label| !label.voided))
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

    /// Where the parcel of a label is.
    pub async fn track(&self, label_id: &str) -> Result<Tracking, CallError> {
        let path = format!("/v1/labels/{label_id}/track");
        send(self.request(Method::GET, &path), refused).await
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
    Some(CallError::Rejected {
        status: status.as_u16(),
        code: error.error_code,
        message: error.message,
    })
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
    fn a_refusal_is_read_and_an_empty_one_is_none() {
        let body = br#"{"errors":[{"error_code":"invalid_address","message":"Nowhere."}]}"#;
        let rejected = refused(StatusCode::BAD_REQUEST, body);
        let expected = CallError::Rejected {
            status: 400,
            code: "invalid_address".to_owned(),
            message: "Nowhere.".to_owned(),
        };
        assert_eq!(rejected, Some(expected));
        assert_eq!(refused(StatusCode::FORBIDDEN, br#"{"errors":[]}"#), None);
    }
}
