//! The shipping service: labels by ShipEngine's API. It has no idempotency key: a label that is
//! asked for twice is bought twice.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State as Extract},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    injection::{Call, Injector, Problem, Provider, inject},
    serve::{Broken, Shared},
    storage::{Read, State, Storage},
};

/// No carrier goes there.
const NOWHERE: &str = "00000";

/// What a label costs, in US cents.
const LABEL_CENTS: u32 = 599;

/// The account's one carrier and what it offers.
const CARRIER_ID: &str = "se-100001";
const CARRIER_CODE: &str = "stamps_com";
const SERVICES: &[&str] = &[
    "usps_ground_advantage",
    "usps_priority_mail",
    "usps_priority_mail_international",
];

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

impl Label {
    fn name(&self) -> String {
        format!("label/{}", self.id)
    }

    fn keep(&self, state: &mut State<'_>) -> anyhow::Result<()> {
        state.put(&self.name(), self)
    }
}

fn find(state: &impl Read, id: &str) -> anyhow::Result<Option<Label>> {
    state.get(&format!("label/{id}"))
}

/// What a label is indexed as for its shipment.
fn of_shipment(shipment_id: &str) -> String {
    format!("of_shipment/{shipment_id}")
}

/// What faults have to know of the provider. A label that is asked for twice is bought twice, so only
/// the calls that ask for none can be repeated.
const PROVIDER: Provider = Provider {
    error: broken,
    refusal: || Problem {
        status: StatusCode::BAD_REQUEST,
        body: errors(
            "validation",
            "invalid_address",
            "The carrier does not accept this shipment.",
        ),
    },
    order_of,
    is_repeatable: |call| call.method != Method::POST,
    forget_keys: |_, _| Ok(()),
};

/// The service, with its state in `shared`, and failing as ordered there.
pub fn router(shared: Shared) -> Router {
    let injector = Injector {
        faults: shared.faults,
        storage: shared.storage.clone(),
        provider: PROVIDER,
    };
    Router::new()
        .route("/v1/carriers", get(carriers))
        .route("/v1/labels", post(buy).get(list))
        .route("/v1/labels/{id}", get(show))
        .route("/v1/labels/{id}/void", put(void))
        .route("/v1/labels/{id}/track", get(track))
        .route("/v1/shipments/external_shipment_id/{id}", get(shipment))
        .fallback(|| async { missing("address") })
        .layer(middleware::from_fn_with_state(injector, inject))
        .layer(middleware::from_fn(authenticate))
        .with_state(shared.storage)
}

/// The order that a call names, or whose label or shipment it names.
fn order_of(storage: &Storage, call: &Call<'_>) -> anyhow::Result<Option<String>> {
    #[derive(Deserialize)]
    struct Purchase {
        shipment: External,
    }
    #[derive(Deserialize)]
    struct External {
        external_shipment_id: Option<String>,
    }
    if let Ok(purchase) = serde_json::from_slice::<Purchase>(call.body) {
        return Ok(purchase.shipment.external_shipment_id);
    }
    let path = call.uri.path();
    if let Some(external) = path.strip_prefix("/v1/shipments/external_shipment_id/") {
        return Ok(Some(external.to_owned()));
    }
    let snapshot = storage.snapshot()?;
    if let Some(id) = path.strip_prefix("/v1/labels/") {
        let id = id.split('/').next().unwrap_or(id);
        let label = find(&snapshot, id)?;
        return Ok(label.and_then(|label| label.external_shipment_id));
    }
    let query = Query::<ListQuery>::try_from_uri(call.uri);
    let Some(shipment_id) = query.ok().and_then(|Query(query)| query.shipment_id) else {
        return Ok(None);
    };
    let labels: Vec<Label> = snapshot.indexed(&of_shipment(&shipment_id))?;
    let mut externals = labels.into_iter().map(|label| label.external_shipment_id);
    Ok(externals.next().flatten())
}

async fn authenticate(request: Request, next: Next) -> Response {
    let key = request.headers().get("api-key");
    if key.is_some_and(|key| !key.is_empty()) {
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
    if let Some((code, message)) = fault_of(&shipment) {
        let status = StatusCode::BAD_REQUEST;
        return Ok(refuse(status, "validation", code, &message));
    }
    let label = Label {
        id: new_id(),
        shipment_id: new_id(),
        external_shipment_id: shipment["external_shipment_id"].as_str().map(str::to_owned),
        tracking_number: new_id().replace("se-", "9400"),
        status: "completed".to_owned(),
        voided: false,
        voided_at: None,
        created_at: Timestamp::now(),
        shipment,
    };
    storage.transact(|state| {
        label.keep(state)?;
        state.index_as(&of_shipment(&label.shipment_id), &label.name())?;
        if let Some(external) = &label.external_shipment_id {
            state.put(&format!("shipment/{external}"), &label.shipment_id)?;
        }
        state.record(effect("label_bought", &label))
    })?;
    Ok(Json(view(&label)).into_response())
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    shipment_id: Option<String>,
}

async fn list(
    Extract(storage): Extract<Arc<Storage>>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Broken> {
    let snapshot = storage.snapshot()?;
    let labels: Vec<Label> = match &query.shipment_id {
        Some(id) => snapshot.indexed(&of_shipment(id))?,
        None => snapshot.newest("label/", None)?.collect::<Result<_, _>>()?,
    };
    let views: Vec<Value> = labels.iter().map(view).collect();
    Ok(Json(
        json!({ "total": views.len(), "page": 1, "pages": 1, "labels": views }),
    ))
}

async fn show(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, Broken> {
    let label: Option<Label> = find(&storage.snapshot()?, &id)?;
    Ok(label.map_or_else(
        || missing("label"),
        |label| Json(view(&label)).into_response(),
    ))
}

async fn void(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, Broken> {
    storage
        .transact(|state| {
            let Some(mut label) = find(state, &id)? else {
                return Ok(missing("label"));
            };
            if label.voided {
                let message = "This label has already been voided.";
                return Ok(Json(json!({ "approved": false, "message": message })).into_response());
            }
            label.voided = true;
            "voided".clone_into(&mut label.status);
            label.voided_at = Some(Timestamp::now());
            label.keep(state)?;
            state.record(effect("label_voided", &label))?;
            Ok(Json(json!({ "approved": true, "message": "Voided." })).into_response())
        })
        .map_err(Into::into)
}

async fn track(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, Broken> {
    let label: Option<Label> = find(&storage.snapshot()?, &id)?;
    Ok(label.map_or_else(
        || missing("label"),
        |label| {
            Json(json!({
                "tracking_number": label.tracking_number,
                "status_code": "AC",
                "status_description": "Accepted",
                "carrier_status_code": "AC",
                "carrier_status_description": "Accepted",
                "ship_date": label.created_at,
                "estimated_delivery_date": null,
                "actual_delivery_date": null,
                "exception_description": null,
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
    let id: Option<String> = storage.snapshot()?.get(&name)?;
    Ok(id.map_or_else(
        || missing("shipment"),
        |id| {
            Json(json!({
                "shipment_id": id,
                "external_shipment_id": external,
                "shipment_status": "label_purchased",
            }))
            .into_response()
        },
    ))
}

async fn carriers() -> Json<Value> {
    let (id, code) = (CARRIER_ID, CARRIER_CODE);
    let services: Vec<_> = SERVICES
        .iter()
        .map(|service| {
            json!({
                "carrier_id": id,
                "carrier_code": code,
                "service_code": service,
                "name": service.replace('_', " "),
                "domestic": true,
                "international": true,
                "is_multi_package_supported": false,
            })
        })
        .collect();
    let carrier = json!({
        "carrier_id": id,
        "carrier_code": code,
        "account_number": "test_account",
        "requires_funded_amount": false,
        "balance": 0.0,
        "nickname": "Simulated account",
        "friendly_name": "Simulated carrier",
        "primary": true,
        "has_multi_package_supporting_services": false,
        "supports_label_messages": true,
        "services": services,
        "packages": [],
        "options": [],
    });
    Json(json!({ "carriers": [carrier], "request_id": Uuid::new_v4(), "errors": [] }))
}

/// A new name for a thing, as ShipEngine makes them: digits.
fn new_id() -> String {
    let (digits, _) = Uuid::new_v4().as_u64_pair();
    format!("se-{digits}")
}

/// A fault in the provider's form.
fn broken(status: StatusCode) -> Value {
    if status == StatusCode::TOO_MANY_REQUESTS {
        errors("system", "rate_limit_exceeded", "Too many requests.")
    } else {
        errors("system", "unspecified", "An error occurred on our side.")
    }
}

/// What is wrong with a shipment, if anything: its code and words.
fn fault_of(shipment: &Value) -> Option<(&'static str, String)> {
    for side in ["ship_to", "ship_from"] {
        for field in [
            "name",
            "address_line1",
            "city_locality",
            "postal_code",
            "country_code",
        ] {
            if shipment[side][field].as_str().is_none_or(str::is_empty) {
                return Some((
                    "field_value_required",
                    format!("{side}.{field} is required."),
                ));
            }
        }
    }
    let service = shipment["service_code"].as_str().unwrap_or_default();
    if !SERVICES.contains(&service) {
        let message = format!("service_code '{service}' is not offered.");
        return Some(("invalid_field_value", message));
    }
    let weighs = |package: &Value| package["weight"]["value"].as_f64().is_some_and(|w| w > 0.0);
    let packages = shipment["packages"].as_array();
    if packages.is_none_or(|packages| packages.is_empty() || !packages.iter().all(weighs)) {
        let message = "packages must hold packages with a weight.".to_owned();
        return Some(("field_value_required", message));
    }
    (shipment["ship_to"]["postal_code"] == NOWHERE).then(|| {
        let message = "No carrier delivers to this postal code.".to_owned();
        ("invalid_address", message)
    })
}

fn view(label: &Label) -> Value {
    let address = format!("https://api.shipengine.com/v1/downloads/{}.pdf", label.id);
    json!({
        "label_id": label.id,
        "status": label.status,
        "shipment_id": label.shipment_id,
        "external_shipment_id": label.external_shipment_id,
        "ship_date": label.created_at,
        "created_at": label.created_at,
        "shipment_cost": { "currency": "usd", "amount": f64::from(LABEL_CENTS) / 100.0 },
        "insurance_cost": { "currency": "usd", "amount": 0.0 },
        "tracking_number": label.tracking_number,
        "is_return_label": false,
        "rma_number": null,
        "is_international": label.shipment["ship_to"]["country_code"]
            != label.shipment["ship_from"]["country_code"],
        "batch_id": "",
        "carrier_id": CARRIER_ID,
        "carrier_code": CARRIER_CODE,
        "charge_event": "carrier_default",
        "service_code": label.shipment["service_code"],
        "package_code": "package",
        "voided": label.voided,
        "voided_at": label.voided_at,
        "label_format": "pdf",
        "display_scheme": "label",
        "label_layout": "4x6",
        "trackable": true,
        "label_image_id": null,
        "tracking_status": if label.voided { "unknown" } else { "in_transit" },
        "label_download": { "href": address, "pdf": address },
        "form_download": null,
        "insurance_claim": null,
        "packages": label.shipment["packages"],
    })
}

fn effect(kind: &str, label: &Label) -> Value {
    json!({
        "effect": kind,
        "id": label.id,
        "order_id": label.external_shipment_id,
        "cents": LABEL_CENTS,
        "currency": "USD",
    })
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
    (status, Json(errors(kind, code, message))).into_response()
}

fn errors(kind: &str, code: &str, message: &str) -> Value {
    let error = json!({
        "error_source": "shipengine",
        "error_type": kind,
        "error_code": code,
        "message": message,
    });
    json!({ "request_id": Uuid::new_v4(), "errors": [error] })
}
