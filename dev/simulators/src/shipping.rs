//! The shipping service: labels by ShipEngine's API. It has no idempotency key: a label that is
//! asked for twice is bought twice, but for a second shipment with the same external id.

mod signature;
mod tracking;

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, Request, State as Extract, rejection::QueryRejection},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::tracking::{Tracked, TrackingStatus};
use crate::{
    injection::{BreakOff, Call, Injector, Problem, Provider, inject},
    serve::{Broken, Service, Shared, TASKS},
    storage::{Read, State, Storage, read},
    webhooks::Settings,
};

/// How many labels a list shows, and the most that it can be asked for.
const DEFAULT_PAGE: usize = 25;
const MAX_PAGE: usize = 200;

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
    /// How the parcel has moved so far.
    #[serde(default)]
    tracking: Vec<Tracked>,
}

impl Label {
    fn name(&self) -> String {
        format!("label/{}", self.id)
    }

    fn keep(&self, state: &mut State<'_>) -> anyhow::Result<()> {
        state.put(&self.name(), self)
    }

    /// Has it found by its shipment and by its order.
    fn index(&self, state: &mut State<'_>) -> anyhow::Result<()> {
        if let Some(external) = &self.external_shipment_id {
            state.index_as(&of_order(external), &self.name())?;
        }
        state.index_as(&of_shipment(&self.shipment_id), &self.name())
    }
}

/// What a label can be bought for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shipment {
    id: String,
    /// As it was asked for.
    body: Value,
}

impl Shipment {
    fn external(&self) -> Option<String> {
        self.body["external_shipment_id"]
            .as_str()
            .map(str::to_owned)
    }

    /// Keeps a new shipment, unless there is one with the same external id.
    fn create(state: &mut State<'_>, body: Value) -> anyhow::Result<Option<Self>> {
        let shipment = Self { id: new_id(), body };
        if let Some(external) = shipment.external() {
            let name = external_name(&external);
            if state.get::<String>(&name)?.is_some() {
                return Ok(None);
            }
            state.put(&name, &shipment.id)?;
        }
        state.put(&shipment_name(&shipment.id), &shipment)?;
        Ok(Some(shipment))
    }

    /// Buys a label for it.
    fn label(&self, state: &mut State<'_>) -> anyhow::Result<Label> {
        // Its time is in its name, to the millisecond: that is what lists go by.
        let created_at = Timestamp::from_millisecond(Timestamp::now().as_millisecond())?;
        let label = Label {
            id: label_id(created_at),
            shipment_id: self.id.clone(),
            external_shipment_id: self.external(),
            tracking_number: new_id().replace("se-", "9400"),
            status: "completed".to_owned(),
            voided: false,
            voided_at: None,
            created_at,
            shipment: self.body.clone(),
            tracking: Vec::new(),
        };
        label.keep(state)?;
        label.index(state)?;
        let settings = Settings::find(state)?;
        if let Some(ms) = settings.and_then(|settings| settings.deliver_after_ms) {
            let deliver = Task::Deliver(label.id.clone());
            state.schedule(TASKS, Duration::from_millis(ms), &deliver)?;
        }
        state.record(effect("label_bought", &label))?;
        Ok(label)
    }
}

fn shipment_name(id: &str) -> String {
    format!("shipment/{id}")
}

fn external_name(external_shipment_id: &str) -> String {
    format!("external/{external_shipment_id}")
}

fn find(state: &impl Read, id: &str) -> anyhow::Result<Option<Label>> {
    state.get(&format!("label/{id}"))
}

/// What a label is indexed as for its order.
fn of_order(external_shipment_id: &str) -> String {
    format!("of_order/{external_shipment_id}")
}

/// What a label is indexed as for its shipment.
fn of_shipment(shipment_id: &str) -> String {
    format!("of_shipment/{shipment_id}")
}

/// What faults have to know of the provider. A label that is asked for twice is bought twice, so only
/// the calls that ask for none can be repeated.
const PROVIDER: Provider = Provider {
    error: broken,
    refusal: |call| Problem {
        status: StatusCode::BAD_REQUEST,
        body: if call.method == Method::PUT {
            let message = "The carrier does not take this label back.";
            errors("business_rules", "invalid_status", message)
        } else {
            let message = "The carrier does not accept this shipment.";
            errors("validation", "invalid_address", message)
        },
    },
    not_served: || Problem {
        status: StatusCode::BAD_REQUEST,
        body: errors(
            "account_status",
            "insufficient_funds",
            "The account's balance is too low to buy labels.",
        ),
    },
    order_of,
    leaves_traces: |call| call.method == Method::POST,
    is_repeatable: |call| call.method != Method::POST,
    forget_keys: |_, _| Ok(()),
};

/// The shipping service.
pub const SHIPPING: Service = Service {
    name: "shipping",
    router,
    index: |state| {
        let labels: anyhow::Result<Vec<Label>> = state.newest("label/", None)?.collect();
        labels?.iter().try_for_each(|label| label.index(state))
    },
    perform: |state, task| match serde_json::from_value(task)? {
        Task::Deliver(id) => match find(state, &id)? {
            Some(label) if !label.voided => label.moves(state, TrackingStatus::Delivered).map(drop),
            _ => Ok(()),
        },
    },
    sign: signature::sign,
    shares_secret: false,
};

/// What the carrier does by itself, with the label of that name.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Task {
    Deliver(String),
}

/// The service, with its state in `shared`, and failing as ordered there.
fn router(shared: Shared) -> Router {
    let injector = Injector {
        faults: shared.faults,
        storage: shared.storage.clone(),
        provider: PROVIDER,
    };
    Router::new()
        .route("/v1/carriers", get(carriers))
        .route("/v1/labels", post(buy).get(list))
        .route("/v1/labels/{id}", get(show))
        .route("/v1/labels/shipment/{id}", post(buy_for))
        .route("/v1/labels/{id}/void", put(void))
        .route("/v1/labels/{id}/track", get(track))
        .route("/v1/shipments/external_shipment_id/{id}", get(shipment))
        .fallback(|| async { missing("address") })
        .layer(middleware::from_fn_with_state(injector, inject))
        .layer(middleware::from_fn(authenticate))
        .route("/jwks", get(signature::key_set))
        .route("/_carrier", post(carrier))
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
    if let Some(id) = path.strip_prefix("/v1/labels/shipment/") {
        let shipment: Option<Shipment> = snapshot.get(&shipment_name(id))?;
        return Ok(shipment.and_then(|shipment| shipment.external()));
    }
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
    broken_off: Option<Extension<BreakOff>>,
    Json(body): Json<Value>,
) -> Result<Response, Broken> {
    let asked = body["shipment"].clone();
    let status = StatusCode::BAD_REQUEST;
    if let Some(fault) = fault_of(&asked) {
        return Ok((status, Json(fault)).into_response());
    }
    let bought = storage.transact(|state| {
        let Some(shipment) = Shipment::create(state, asked.clone())? else {
            let message = "There is a shipment with this external_shipment_id.";
            return Ok(refuse(status, "validation", "identifier_conflict", message));
        };
        label_for(state, &shipment, broken_off.clone())
    });
    Ok(bought.await?)
}

async fn buy_for(
    Extract(storage): Extract<Arc<Storage>>,
    broken_off: Option<Extension<BreakOff>>,
    Path(id): Path<String>,
) -> Result<Response, Broken> {
    let bought = storage.transact(|state| match state.get(&shipment_name(&id))? {
        Some(shipment) => label_for(state, &shipment, broken_off.clone()),
        None => Ok(missing("shipment")),
    });
    Ok(bought.await?)
}

/// The label for a shipment that is there, unless the work is broken off here.
fn label_for(
    state: &mut State<'_>,
    shipment: &Shipment,
    broken_off: Option<Extension<BreakOff>>,
) -> anyhow::Result<Response> {
    match broken_off {
        Some(Extension(BreakOff(problem))) => Ok(problem.into_response()),
        None => Ok(Json(view(&shipment.label(state)?)).into_response()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    shipment_id: Option<String>,
    created_at_start: Option<Timestamp>,
    created_at_end: Option<Timestamp>,
    #[serde(default)]
    #[expect(dead_code, reason = "to read it is to check it: there is only one")]
    sort_by: SortBy,
    #[serde(default)]
    sort_dir: SortDirection,
    page: Option<NonZeroUsize>,
    page_size: Option<NonZeroUsize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SortBy {
    #[default]
    CreatedAt,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SortDirection {
    Asc,
    #[default]
    Desc,
}

impl ListQuery {
    /// Between which names the labels lie that were made in the time asked for.
    fn names(&self) -> (String, String) {
        let start = self.created_at_start.map(Timestamp::as_millisecond);
        let end = self.created_at_end.map(Timestamp::as_millisecond);
        (
            format!("label/{}", label_id_from(start.unwrap_or_default())),
            // The end is part of what was asked for.
            end.map_or_else(
                || "label/~".to_owned(),
                |end| format!("label/{}", label_id_from(end + 1)),
            ),
        )
    }
}

async fn list(
    Extract(storage): Extract<Arc<Storage>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Broken> {
    let query = match query {
        Ok(Query(query)) => query,
        Err(rejection) => {
            let message = rejection.body_text();
            let status = StatusCode::BAD_REQUEST;
            let code = "invalid_field_value";
            return Ok(refuse(status, "validation", code, &message));
        }
    };
    let size = query.page_size.map_or(DEFAULT_PAGE, NonZeroUsize::get);
    let size = size.min(MAX_PAGE);
    let page = query.page.map_or(1, NonZeroUsize::get);
    let snapshot = storage.snapshot()?;
    let (start, end) = query.names();
    let skipped = size.saturating_mul(page - 1);
    let newest_first = query.sort_dir == SortDirection::Desc;
    let (total, labels) = if let Some(id) = &query.shipment_id {
        let mut labels: Vec<Label> = snapshot.indexed(&of_shipment(id))?;
        labels.retain(|label| (start.as_str()..end.as_str()).contains(&label.name().as_str()));
        if !newest_first {
            labels.reverse();
        }
        let total = labels.len();
        let labels: Vec<Label> = labels.into_iter().skip(skipped).take(size).collect();
        (total, labels)
    } else {
        let total = snapshot.named(&start, &end)?.count();
        let found = snapshot.named(&start, &end)?;
        let labels: anyhow::Result<Vec<Label>> = if newest_first {
            found.rev().skip(skipped).take(size).map(read).collect()
        } else {
            found.skip(skipped).take(size).map(read).collect()
        };
        (total, labels?)
    };
    let views: Vec<Value> = labels.iter().map(view).collect();
    let pages = total.div_ceil(size);
    let list = json!({ "total": total, "page": page, "pages": pages, "labels": views });
    Ok(Json(list).into_response())
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
        .await
        .map_err(Into::into)
}

async fn track(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, Broken> {
    let label = find(&storage.snapshot()?, &id)?;
    Ok(label.map_or_else(
        || missing("label"),
        |label| Json(label.tracking_view()).into_response(),
    ))
}

/// Which parcel the carrier moves, and how far.
#[derive(Deserialize)]
struct Move {
    order_id: Option<String>,
    label_id: Option<String>,
    status: TrackingStatus,
}

/// Has the carrier move the parcel of a label, or the newest one of an order; answers with the event.
async fn carrier(
    Extract(storage): Extract<Arc<Storage>>,
    Json(asked): Json<Move>,
) -> Result<Response, Broken> {
    let moved = storage.transact(|state| {
        let mut labels: Vec<Label> = match (&asked.label_id, &asked.order_id) {
            (Some(id), _) => find(state, id)?.into_iter().collect(),
            (None, Some(id)) => state.indexed(&of_order(id))?,
            (None, None) => Vec::new(),
        };
        labels.retain(|label| !label.voided);
        let Some(label) = labels.into_iter().next() else {
            return Ok(None);
        };
        label.moves(state, asked.status).map(Some)
    });
    let moved = moved.await?;
    Ok(moved.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |event| Json(event).into_response(),
    ))
}

async fn shipment(
    Extract(storage): Extract<Arc<Storage>>,
    Path(external): Path<String>,
) -> Result<Response, Broken> {
    let snapshot = storage.snapshot()?;
    let Some(id) = snapshot.get::<String>(&external_name(&external))? else {
        return Ok(missing("shipment"));
    };
    let labels: Vec<Label> = snapshot.indexed(&of_shipment(&id))?;
    let has_label = labels.iter().any(|label| !label.voided);
    let status = if has_label {
        "label_purchased"
    } else {
        "pending"
    };
    Ok(Json(json!({
        "shipment_id": id,
        "external_shipment_id": external,
        "shipment_status": status,
    }))
    .into_response())
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

/// A new name for a label, in which its time comes first.
fn label_id(created_at: Timestamp) -> String {
    let (digits, _) = Uuid::new_v4().as_u64_pair();
    format!(
        "{}{:08}",
        label_id_from(created_at.as_millisecond()),
        digits % 100_000_000
    )
}

/// What the names of the labels of a millisecond begin with.
fn label_id_from(ms: i64) -> String {
    format!("se-{ms:013}")
}

/// A fault in the provider's form.
fn broken(status: StatusCode) -> Value {
    if status == StatusCode::TOO_MANY_REQUESTS {
        errors("system", "rate_limit_exceeded", "Too many requests.")
    } else {
        errors("system", "unspecified", "An error occurred on our side.")
    }
}

/// What is wrong with a shipment, if anything, in the provider's form.
fn fault_of(shipment: &Value) -> Option<Value> {
    let wrong = |code: &str, field: &str, message: &str| {
        let mut errors = errors("validation", code, message);
        errors["errors"][0]["field_name"] = format!("shipment.{field}").into();
        Some(errors)
    };
    for side in ["ship_to", "ship_from"] {
        for part in [
            "name",
            "address_line1",
            "city_locality",
            "postal_code",
            "country_code",
        ] {
            if shipment[side][part].as_str().is_none_or(str::is_empty) {
                let field = format!("{side}.{part}");
                return wrong(
                    "field_value_required",
                    &field,
                    &format!("{field} is required."),
                );
            }
        }
    }
    let service = shipment["service_code"].as_str().unwrap_or_default();
    if !SERVICES.contains(&service) {
        let message = format!("service_code '{service}' is not offered.");
        return wrong("invalid_field_value", "service_code", &message);
    }
    let weighs = |package: &Value| package["weight"]["value"].as_f64().is_some_and(|w| w > 0.0);
    let packages = shipment["packages"].as_array();
    if packages.is_none_or(|packages| packages.is_empty() || !packages.iter().all(weighs)) {
        let message = "packages must hold packages with a weight.";
        return wrong("field_value_required", "packages", message);
    }
    if shipment["ship_to"]["postal_code"] == NOWHERE {
        let message = "No carrier delivers to this postal code.";
        return wrong("invalid_address", "ship_to.postal_code", message);
    }
    None
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
        "tracking_status": label.tracking_status(),
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
