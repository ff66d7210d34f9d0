//! Receives the webhooks of both providers. Verifies the signature and queues the event, which
//! another function processes.

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

/// The keys that verify events, and the queue for verified ones.
pub struct Webhooks {
    /// The secret with which the payment provider signs.
    pub payments_secret: LazySecret,
    /// The public keys of the shipping provider.
    pub shipping_keys: KeySet,
    /// The queue of verified events.
    pub events: Queue<ProviderEvent>,
}

/// The acknowledgement of an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Received {
    /// Always `true`.
    received: bool,
}

impl Webhooks {
    /// Queues an event, then acknowledges it. A provider repeats an event without acknowledgement.
    async fn receive(&self, event: ProviderEvent) -> Result<Json<Received>, Problem> {
        self.events.send(&event, Duration::ZERO).await?;
        tracing::info!(?event, "webhook.received");
        Ok(Json(Received { received: true }))
    }
}

/// Receives an event of the payment provider, in Stripe's format and with its signature.
///
/// 200 means that the event is queued.
#[utoipa::path(post, path = "/v1/webhooks/payments", operation_id = "receive_payment_event", tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json"),
    params(("Stripe-Signature" = String, Header)),
    responses((status = 200, body = Received), Failures))]
pub(crate) async fn payments(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<Received>, Problem> {
    let secret = state.webhooks.payments_secret.read().await?;
    let event = webhook::payments::verify(&headers, &body, secret, Timestamp::now())?;
    state.webhooks.receive(ProviderEvent::Payments(event)).await
}

/// Receives an event of the shipping provider, in ShipEngine's format and with its signature.
///
/// 200 means that the event is queued.
#[utoipa::path(post, path = "/v1/webhooks/shipping", operation_id = "receive_tracking_event", tag = "webhooks",
    request_body(content = serde_json::Value, content_type = "application/json"),
    params(
        ("X-ShipEngine-RSA-SHA256-Key-ID" = String, Header),
        ("X-ShipEngine-RSA-SHA256-Signature" = String, Header),
        ("X-ShipEngine-Timestamp" = String, Header),
    ),
    responses((status = 200, body = Received), Failures))]
pub(crate) async fn shipping(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Raw(body): Raw,
) -> Result<Json<Received>, Problem> {
    let keys = &state.webhooks.shipping_keys;
    let event = webhook::shipping::verify(&headers, &body, keys, Timestamp::now()).await?;
    state.webhooks.receive(ProviderEvent::Shipping(event)).await
}
