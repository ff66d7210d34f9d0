//! Shipping by ShipEngine's API: one label for each order, found again by the order's id.

use orders::{Address, OrderId};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{CallError, send};

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
}

#[derive(Deserialize)]
struct Shipment {
    shipment_id: String,
}

#[derive(Deserialize)]
struct Labels {
    labels: Vec<BoughtLabel>,
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
        let found: Labels = send(request, refused).await?;
        Ok(found.labels.into_iter().find(|label| !label.voided))
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

fn refused(status: StatusCode, body: &[u8]) -> CallError {
    let first = serde_json::from_slice(body)
        .ok()
        .and_then(|Refusal { errors }| errors.into_iter().next());
    let (code, message) = match first {
        Some(error) => (error.error_code, error.message),
        None => ("unreadable".to_owned(), String::new()),
    };
    CallError::Rejected {
        status: status.as_u16(),
        code,
        message,
    }
}
