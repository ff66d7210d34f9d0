//! What the providers tell us unasked: checked here, and dealt with elsewhere.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::HeaderMap};
use jiff::Timestamp;
use providers::{
    KeySet,
    webhook::{self, ProviderEvent},
};
use serde::Serialize;
use settings::LazySecret;
use store::Queue;
use utoipa::ToSchema;

use crate::{AppState, Failures, problem::Problem, request::Raw};

/// What it takes to believe an event, and where it goes then.
pub struct Webhooks {
    /// What the payment provider signs with.
    pub payments_secret: LazySecret,
    /// What the shipping provider signs with.
    pub shipping_keys: KeySet,
    /// Where the events go.
    pub events: Queue<ProviderEvent>,
}

/// That an event has come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Received {
    received: bool,
}

impl Webhooks {
    /// Hands an event on. Only then has it come: a provider repeats what was not acknowledged.
    async fn receive(&self, event: ProviderEvent) -> Result<Json<Received>, Problem> {
        self.events.send(&event, Duration::ZERO).await?;
        tracing::info!(?event, "webhook.received");
        Ok(Json(Received { received: true }))
    }
}

/// Takes an event of the payment provider, in Stripe's form and with its signature.
#[utoipa::path(post, path = "/v1/webhooks/payments", operation_id = "receive_payment_event", tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json"),
    params(("Stripe-Signature" = String, Header)),
    responses((status = 200, body = Received), Failures))]
pub(crate) async fn payments(
    State(shop): State<Arc<AppState>>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<Received>, Problem> {
    let secret = shop.webhooks.payments_secret.read().await?;
    let event = webhook::payments::verify(&headers, &body, secret, Timestamp::now())?;
    shop.webhooks.receive(ProviderEvent::Payments(event)).await
}

/// Takes an event of the shipping provider, in ShipEngine's form and with its signature.
#[utoipa::path(post, path = "/v1/webhooks/shipping", operation_id = "receive_tracking_event", tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json"),
    params(
        ("X-ShipEngine-RSA-SHA256-Key-ID" = String, Header),
        ("X-ShipEngine-RSA-SHA256-Signature" = String, Header),
        ("X-ShipEngine-Timestamp" = String, Header),
    ),
    responses((status = 200, body = Received), Failures))]
pub(crate) async fn shipping(
    State(shop): State<Arc<AppState>>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<Received>, Problem> {
    let keys = &shop.webhooks.shipping_keys;
    let event = webhook::shipping::verify(&headers, &body, keys, Timestamp::now()).await?;
    shop.webhooks.receive(ProviderEvent::Shipping(event)).await
}
