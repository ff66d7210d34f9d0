//! The shipping service: labels by ShipEngine's API. It has no idempotency key: a label that is
//! asked for twice is bought twice.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State as Extract},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    serve::Broken,
    storage::{Storage, new_id},
};

/// No carrier goes there.
const NOWHERE: &str = "00000";

/// What a label costs, in US cents.
const LABEL_CENTS: u32 = 599;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Label {
    #[serde(rename = "label_id")]
    id: String,
    shipment_id: String,
    external_shipment_id: Option<String>,
    tracking_number: String,
    status: String,
    voided: bool,
    voided_at: Option<Timestamp>,
    created_at: Timestamp,
    shipment: Value,
}

/// The service, keeping its state in `storage`.
pub fn router(storage: Arc<Storage>) -> Router {
    Router::new()
        .route(
            "/v1/carriers",
            get(|| async { Json(json!({ "carriers": [] })) }),
        )
        .route("/v1/labels", post(buy).get(list))
        .route("/v1/labels/{id}", get(show))
        .route("/v1/labels/{id}/void", put(void))
        .route("/v1/labels/{id}/track", get(track))
        .route("/v1/shipments/external_shipment_id/{id}", get(shipment))
        .layer(middleware::from_fn(authenticate))
        .with_state(storage)
}

async fn authenticate(request: Request, next: Next) -> Response {
    if request.headers().contains_key("api-key") {
        next.run(request).await
    } else {
        let message = "The API key is missing.";
        refuse(
            StatusCode::UNAUTHORIZED,
            "security",
            "unauthorized",
            message,
        )
    }
}

async fn buy(
    Extract(storage): Extract<Arc<Storage>>,
    Json(body): Json<Value>,
) -> Result<Response, Broken> {
    let shipment = body["shipment"].clone();
    if let Some(message) = fault_of(&shipment) {
        let status = StatusCode::BAD_REQUEST;
        return Ok(refuse(status, "validation", "invalid_address", message));
    }
    let label = Label {
        id: new_id("se-label"),
        shipment_id: new_id("se"),
        external_shipment_id: shipment["external_shipment_id"].as_str().map(str::to_owned),
        tracking_number: new_id("TRACK").to_uppercase().replace('_', ""),
        status: "completed".to_owned(),
        voided: false,
        voided_at: None,
        created_at: Timestamp::now(),
        shipment,
    };
    storage.transact(|state| {
        state.put(&format!("label/{}", label.id), &label)?;
        if let Some(external) = &label.external_shipment_id {
            state.put(&format!("shipment/{external}"), &label.shipment_id)?;
        }
        state.record(effect("label_bought", &label))
    })?;
    Ok(Json(view(&label)).into_response())
}

async fn list(
    Extract(storage): Extract<Arc<Storage>>,
    Query(query): Query<std::collections::HashMap<String, String>>,
) -> Result<Json<Value>, Broken> {
    let mut labels: Vec<Label> = storage.transact(|state| state.all("label/"))?;
    if let Some(id) = query.get("shipment_id") {
        labels.retain(|label| label.shipment_id == *id);
    }
    let views: Vec<Value> = labels.iter().map(view).collect();
    Ok(Json(
        json!({ "total": views.len(), "page": 1, "pages": 1, "labels": views }),
    ))
}

async fn show(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, Broken> {
    let label: Option<Label> = storage.transact(|state| state.get(&format!("label/{id}")))?;
    Ok(label.map_or_else(
        || missing("label"),
        |label| Json(view(&label)).into_response(),
    ))
}

async fn void(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, Broken> {
    let name = format!("label/{id}");
    storage
        .transact(|state| {
            let Some(mut label) = state.get::<Label>(&name)? else {
                return Ok(missing("label"));
            };
            if label.voided {
                let message = "This label has already been voided.";
                return Ok(Json(json!({ "approved": false, "message": message })).into_response());
            }
            label.voided = true;
            "voided".clone_into(&mut label.status);
            label.voided_at = Some(Timestamp::now());
            state.put(&name, &label)?;
            state.record(effect("label_voided", &label))?;
            Ok(Json(json!({ "approved": true, "message": "Voided." })).into_response())
        })
        .map_err(Into::into)
}

async fn track(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, Broken> {
    let label: Option<Label> = storage.transact(|state| state.get(&format!("label/{id}")))?;
    Ok(label.map_or_else(
        || missing("label"),
        |label| {
            Json(json!({
                "tracking_number": label.tracking_number,
                "status_code": "AC",
                "status_description": "Accepted",
                "events": [],
            }))
            .into_response()
        },
    ))
}

async fn shipment(
    Extract(storage): Extract<Arc<Storage>>,
    Path(external): Path<String>,
) -> Result<Response, Broken> {
    let name = format!("shipment/{external}");
    let id: Option<String> = storage.transact(|state| state.get(&name))?;
    Ok(id.map_or_else(
        || missing("shipment"),
        |id| Json(json!({ "shipment_id": id, "external_shipment_id": external })).into_response(),
    ))
}

/// What is wrong with a shipment, if anything.
fn fault_of(shipment: &Value) -> Option<&'static str> {
    let to = &shipment["ship_to"];
    let given = |field: &str| to[field].as_str().is_some_and(|text| !text.is_empty());
    if !["name", "address_line1", "city_locality", "country_code"]
        .into_iter()
        .all(given)
    {
        return Some("ship_to is incomplete.");
    }
    (to["postal_code"] == NOWHERE).then_some("No carrier delivers to this postal code.")
}

fn view(label: &Label) -> Value {
    let mut view = json!(label);
    view["shipment_cost"] = json!({ "currency": "usd", "amount": f64::from(LABEL_CENTS) / 100.0 });
    view["label_download"] = json!({ "href": format!("/labels/{}.pdf", label.id) });
    view
}

fn effect(kind: &str, label: &Label) -> Value {
    json!({ "effect": kind, "id": label.id, "order_id": label.external_shipment_id })
}

fn missing(what: &str) -> Response {
    let message = format!("There is no such {what}.");
    refuse(
        StatusCode::NOT_FOUND,
        "business_rules",
        "not_found",
        &message,
    )
}

/// A refusal in the provider's form.
fn refuse(status: StatusCode, kind: &str, code: &str, message: &str) -> Response {
    let error = json!({
        "error_source": "shipengine",
        "error_type": kind,
        "error_code": code,
        "message": message,
    });
    let body = json!({ "request_id": uuid::Uuid::new_v4(), "errors": [error] });
    (status, Json(body)).into_response()
}
