//! Shipping simulator: labels with ShipEngine's API. The API has no idempotency keys: a repeated
//! purchase buys a second label, unless its shipment has an external id that already exists.

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
use contracts::{Contract, Deviation, DeviationKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::tracking::{TrackingStatus, TrackingStep};
use crate::{
    clock::{from_shown, to_shown},
    injection::{Abort, Call, Injector, LabelFault, Problem, Provider, inject},
    serve::{Service, Shared, SimulatorError, TASKS},
    specification::{Specification, refuse_deviations},
    storage::{Read, State, Storage, read},
    webhooks::Settings,
};

/// The default and the largest page size.
const DEFAULT_PAGE: usize = 25;
const MAX_PAGE: usize = 200;

/// The statuses of a label that is complete, and of one that the carrier failed to create.
const COMPLETED: &str = "completed";
const FAILED: &str = "error";

/// A postal code that no carrier delivers to.
const NOWHERE: &str = "00000";

/// The price of a label, in US cents.
const LABEL_CENTS: u32 = 599;

/// The account's only carrier and its services.
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
    /// The parcel's tracking events, oldest first.
    #[serde(default)]
    tracking: Vec<TrackingStep>,
}

impl Label {
    fn name(&self) -> String {
        format!("label/{}", self.id)
    }

    fn store(&self, state: &mut State<'_>) -> anyhow::Result<()> {
        state.put(&self.name(), self)
    }

    /// Indexes it by its shipment, its order and its parcel.
    fn index(&self, state: &mut State<'_>) -> anyhow::Result<()> {
        if let Some(external) = &self.external_shipment_id {
            state.index_as(&of_order(external), &self.name())?;
        }
        state.index_as(&of_parcel(&self.tracking_number), &self.name())?;
        state.index_as(&of_shipment(&self.shipment_id), &self.name())
    }
}

/// A shipment, for which a label can be bought.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shipment {
    id: String,
    /// As in the request.
    body: Value,
    #[serde(default)]
    created_at: Timestamp,
}

impl Shipment {
    fn external(&self) -> Option<String> {
        self.body["external_shipment_id"]
            .as_str()
            .map(str::to_owned)
    }

    /// Stores a new shipment. `None` if there is one with the same external id.
    fn create(state: &mut State<'_>, body: Value) -> anyhow::Result<Option<Self>> {
        let shipment = Self {
            id: new_id(),
            body,
            created_at: Timestamp::now(),
        };
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

    fn view(&self, status: &str) -> Value {
        let Self {
            id,
            body,
            created_at,
        } = self;
        let created_at = to_shown(*created_at);
        let packages = body["packages"].as_array().into_iter().flatten();
        let weights = packages.filter_map(|package| package["weight"]["value"].as_f64());
        json!({
            "shipment_id": id,
            "external_shipment_id": self.external(),
            "shipment_status": status,
            "carrier_id": CARRIER_ID,
            "service_code": body["service_code"],
            "ship_date": created_at,
            "created_at": created_at,
            "modified_at": created_at,
            "ship_to": body["ship_to"],
            "ship_from": body["ship_from"],
            "return_to": body["ship_from"],
            "warehouse_id": null,
            "confirmation": "none",
            "customs": null,
            "advanced_options": {},
            "insurance_provider": "none",
            "tags": [],
            "packages": body["packages"],
            "total_weight": {
                "value": weights.sum::<f64>(),
                "unit": body["packages"][0]["weight"]["unit"],
            },
        })
    }

    /// Buys a label for it. One that the carrier fails to create is not charged.
    fn buy_label(&self, state: &mut State<'_>, fault: Option<LabelFault>) -> anyhow::Result<Label> {
        // To the millisecond, as in the label's id, by which lists are sorted and filtered.
        let created_at = Timestamp::from_millisecond(Timestamp::now().as_millisecond())?;
        let label = Label {
            id: label_id(created_at),
            shipment_id: self.id.clone(),
            external_shipment_id: self.external(),
            tracking_number: new_id().replace("se-", "9400"),
            status: match fault {
                None => COMPLETED,
                Some(LabelFault::Error) => FAILED,
                Some(LabelFault::Processing(_)) => "processing",
            }
            .to_owned(),
            voided: false,
            voided_at: None,
            created_at,
            shipment: self.body.clone(),
            tracking: Vec::new(),
        };
        label.store(state)?;
        label.index(state)?;
        match fault {
            None => {}
            Some(LabelFault::Error) => return Ok(label),
            Some(LabelFault::Processing(delay)) => {
                state.schedule(TASKS, delay, &Task::Complete(label.id.clone()))?;
            }
        }
        let settings = Settings::find(state)?;
        if let Some(ms) = settings.and_then(|settings| settings.deliver_after_ms) {
            let deliver = Task::Deliver(label.id.clone());
            state.schedule(TASKS, Duration::from_millis(ms), &deliver)?;
        }
        state.record(effect("label_bought", &label, LABEL_CENTS))?;
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

/// The index key of an order's labels.
fn of_order(external_shipment_id: &str) -> String {
    format!("of_order/{external_shipment_id}")
}

/// The index key of a shipment's labels.
fn of_shipment(shipment_id: &str) -> String {
    format!("of_shipment/{shipment_id}")
}

/// The index key of a parcel's label.
fn of_parcel(tracking_number: &str) -> String {
    format!("of_parcel/{tracking_number}")
}

/// The provider's part of fault injection. A repeated purchase buys a second label, so only calls
/// that buy none can be repeated.
const PROVIDER: Provider = Provider {
    error: server_error,
    refusal: |call| Problem {
        status: StatusCode::BAD_REQUEST,
        body: if call.method == Method::PUT {
            let message = "The carrier does not allow this label to be voided.";
            errors("business_rules", "invalid_status", message)
        } else {
            let message = "The carrier does not accept this shipment.";
            errors("validation", "invalid_address", message)
        },
    },
    account_error: || Problem {
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

/// The shipping simulator.
pub const SHIPPING: Service = Service {
    name: "shipping",
    router,
    index: |state| {
        let labels: anyhow::Result<Vec<Label>> = state.newest("label/", None)?.collect();
        labels?.iter().try_for_each(|label| label.index(state))
    },
    perform: |state, task| match serde_json::from_value(task)? {
        Task::Complete(id) => match find(state, &id)? {
            Some(mut label) if !label.voided => {
                COMPLETED.clone_into(&mut label.status);
                label.store(state)
            }
            _ => Ok(()),
        },
        Task::Deliver(id) => match find(state, &id)? {
            Some(label) if !label.voided => label.track(state, TrackingStatus::Delivered).map(drop),
            _ => Ok(()),
        },
    },
    sign: signature::sign,
    shares_secret: false,
};

/// A background task of the carrier; each names the label by its id.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Task {
    Complete(String),
    Deliver(String),
}

/// The routes of the service, with the state and the faults in `shared`.
fn router(shared: Shared) -> anyhow::Result<Router> {
    let specification = Specification {
        contract: Contract::shipengine()?,
        refusal,
    };
    let injector = Injector {
        faults: shared.faults,
        storage: shared.storage.clone(),
        provider: PROVIDER,
    };
    let router = Router::new()
        .route("/v1/carriers", get(carriers))
        .route("/v1/labels", post(buy).get(list))
        .route("/v1/labels/{id}", get(show))
        .route("/v1/labels/shipment/{id}", post(buy_for))
        .route("/v1/labels/{id}/void", put(void))
        .route("/v1/labels/{id}/track", get(track))
        .route("/v1/shipments/external_shipment_id/{id}", get(shipment))
        .fallback(|| async { missing("URL") })
        .layer(middleware::from_fn_with_state(
            Arc::new(specification),
            refuse_deviations,
        ))
        .layer(middleware::from_fn_with_state(injector, inject))
        .layer(middleware::from_fn(authenticate))
        .route("/jwks", get(signature::key_set))
        .route("/_carrier", post(move_parcel))
        .with_state(shared.storage);
    Ok(router)
}

/// The order that a call concerns: it names the order, or its label or shipment.
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

/// The faults that strike a purchase.
type Faults = (Option<Extension<Abort>>, Option<Extension<LabelFault>>);

async fn buy(
    Extract(storage): Extract<Arc<Storage>>,
    faults: Faults,
    Json(body): Json<Value>,
) -> Result<Response, SimulatorError> {
    let requested = body["shipment"].clone();
    let status = StatusCode::BAD_REQUEST;
    if let Some(error) = error_in(&requested) {
        return Ok((status, Json(error)).into_response());
    }
    let bought = storage.transact(|state| {
        let Some(shipment) = Shipment::create(state, requested.clone())? else {
            let message = "There is a shipment with this external_shipment_id.";
            return Ok(refuse(status, "validation", "identifier_conflict", message));
        };
        buy_label_for(state, &shipment, faults.clone())
    });
    Ok(bought.await?)
}

async fn buy_for(
    Extract(storage): Extract<Arc<Storage>>,
    faults: Faults,
    Path(id): Path<String>,
) -> Result<Response, SimulatorError> {
    let bought = storage.transact(|state| match state.get(&shipment_name(&id))? {
        Some(shipment) => buy_label_for(state, &shipment, faults.clone()),
        None => Ok(missing("shipment")),
    });
    Ok(bought.await?)
}

/// Buys a label for a stored shipment, unless a fault aborts the purchase here.
fn buy_label_for(
    state: &mut State<'_>,
    shipment: &Shipment,
    (abort, fault): Faults,
) -> anyhow::Result<Response> {
    if let Some(Extension(Abort(problem))) = abort {
        return Ok(problem.into_response());
    }
    let fault = fault.map(|Extension(fault)| fault);
    Ok(Json(view(&shipment.buy_label(state, fault)?)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    shipment_id: Option<String>,
    tracking_number: Option<String>,
    created_at_start: Option<Timestamp>,
    created_at_end: Option<Timestamp>,
    #[serde(default)]
    #[expect(
        dead_code,
        reason = "parsing it is enough: only one value is supported"
    )]
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
    /// The range of names of the labels that were created in the requested time.
    fn names(&self) -> (String, String) {
        let true_ms = |to_shown| from_shown(to_shown).as_millisecond();
        let start = self.created_at_start.map(true_ms);
        let end = self.created_at_end.map(true_ms);
        (
            format!("label/{}", label_id_from(start.unwrap_or_default())),
            // The end is inclusive.
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
) -> Result<Response, SimulatorError> {
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
    let of_shipment = query.shipment_id.as_deref().map(of_shipment);
    let of_parcel = query.tracking_number.as_deref().map(of_parcel);
    let (total, labels) = if let Some(key) = of_shipment.or(of_parcel) {
        let mut labels: Vec<Label> = snapshot.indexed(&key)?;
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
    let list = json!({
        "total": total,
        "page": page,
        "pages": pages,
        "links": links(page, pages),
        "labels": views,
    });
    Ok(Json(list).into_response())
}

async fn show(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, SimulatorError> {
    let label: Option<Label> = find(&storage.snapshot()?, &id)?;
    Ok(label.map_or_else(
        || missing("label"),
        |label| Json(view(&label)).into_response(),
    ))
}

async fn void(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, SimulatorError> {
    storage
        .transact(|state| {
            let Some(mut label) = find(state, &id)? else {
                return Ok(missing("label"));
            };
            if label.voided {
                let refused = json!({
                    "approved": false,
                    "message": "This label has already been voided.",
                    "reason_code": "label_already_voided",
                });
                return Ok(Json(refused).into_response());
            }
            if label.status == FAILED {
                let message = "There is no label to void.";
                let status = StatusCode::BAD_REQUEST;
                return Ok(refuse(status, "business_rules", "invalid_status", message));
            }
            label.voided = true;
            "voided".clone_into(&mut label.status);
            label.voided_at = Some(Timestamp::now());
            label.store(state)?;
            state.record(effect("label_voided", &label, LABEL_CENTS))?;
            Ok(Json(json!({ "approved": true, "message": "Voided." })).into_response())
        })
        .await
        .map_err(Into::into)
}

async fn track(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
) -> Result<Response, SimulatorError> {
    let label = find(&storage.snapshot()?, &id)?;
    Ok(label.map_or_else(
        || missing("label"),
        |label| Json(label.tracking_view()).into_response(),
    ))
}

/// Which parcel moves, and its new status.
#[derive(Deserialize)]
struct Move {
    order_id: Option<String>,
    label_id: Option<String>,
    status: TrackingStatus,
}

/// Moves the parcel of a label, or the newest one of an order. Answers with the event.
async fn move_parcel(
    Extract(storage): Extract<Arc<Storage>>,
    Json(request): Json<Move>,
) -> Result<Response, SimulatorError> {
    let moved = storage.transact(|state| {
        let mut labels: Vec<Label> = match (&request.label_id, &request.order_id) {
            (Some(id), _) => find(state, id)?.into_iter().collect(),
            (None, Some(id)) => state.indexed(&of_order(id))?,
            (None, None) => Vec::new(),
        };
        labels.retain(|label| !label.voided);
        let Some(label) = labels.into_iter().next() else {
            return Ok(None);
        };
        label.track(state, request.status).map(Some)
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
) -> Result<Response, SimulatorError> {
    let snapshot = storage.snapshot()?;
    let named: Option<String> = snapshot.get(&external_name(&external))?;
    let shipment: Option<Shipment> = match named {
        Some(id) => snapshot.get(&shipment_name(&id))?,
        None => None,
    };
    let Some(shipment) = shipment else {
        return Ok(missing("shipment"));
    };
    let labels: Vec<Label> = snapshot.indexed(&of_shipment(&shipment.id))?;
    let has_label = labels
        .iter()
        .any(|label| !label.voided && label.status != FAILED);
    let status = if has_label {
        "label_purchased"
    } else {
        "pending"
    };
    Ok(Json(shipment.view(status)).into_response())
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

/// The links of a list: the first, the last, the previous and the next page, where they exist.
fn links(page: usize, pages: usize) -> Value {
    let link = |page: usize| {
        let href = format!("https://api.shipengine.com/v1/labels?page={page}");
        json!({ "href": href })
    };
    let link_if_exists = |page: usize| {
        if (1..=pages).contains(&page) {
            link(page)
        } else {
            json!({})
        }
    };
    json!({
        "first": link(1),
        "last": link(pages.max(1)),
        "prev": link_if_exists(page - 1),
        "next": link_if_exists(page + 1),
    })
}

/// A new id in ShipEngine's form: digits.
fn new_id() -> String {
    let (digits, _) = Uuid::new_v4().as_u64_pair();
    format!("se-{digits}")
}

/// A new id for a label, which begins with its time.
fn label_id(created_at: Timestamp) -> String {
    let (digits, _) = Uuid::new_v4().as_u64_pair();
    format!(
        "{}{:08}",
        label_id_from(created_at.as_millisecond()),
        digits % 100_000_000
    )
}

/// The prefix of the ids of the labels of a millisecond.
fn label_id_from(ms: i64) -> String {
    format!("se-{ms:013}")
}

/// The body of a server error or a rate limit, in the provider's form.
fn server_error(status: StatusCode) -> Value {
    if status == StatusCode::TOO_MANY_REQUESTS {
        errors("system", "rate_limit_exceeded", "Too many requests.")
    } else {
        errors("system", "unspecified", "An error occurred on our side.")
    }
}

/// Fields that the specification requires and our client does not send yet.
const NOT_SENT_YET: &[&str] = &[
    "body.shipment.carrier_id",
    "body.shipment.ship_to.state_province",
];

/// The refusal of a deviation from the provider's specification; `None` if it is tolerated.
fn refusal(deviation: &Deviation) -> Option<Response> {
    let Deviation { at, kind } = deviation;
    let (place, field) = at.split_once('.').unwrap_or((at, at));
    let code = match kind {
        // No such object exists: the handler answers 404.
        _ if place == "path" => return None,
        // ShipEngine's own client sends a body where none is read.
        DeviationKind::Unknown if place == field => return None,
        DeviationKind::Missing | DeviationKind::Null if NOT_SENT_YET.contains(&at.as_str()) => {
            return None;
        }
        DeviationKind::Missing | DeviationKind::Null | DeviationKind::TooShort(_) => {
            "field_value_required"
        }
        DeviationKind::TooLong(_) => "invalid_string_length",
        DeviationKind::InvalidJson => "request_body_required",
        _ => "invalid_field_value",
    };
    let mut errors = errors("validation", code, &format!("{field} {kind}."));
    errors["errors"][0]["field_name"] = field.into();
    Some((StatusCode::BAD_REQUEST, Json(errors)).into_response())
}

/// The error in a shipment that the specification allows, if any, in the provider's form.
fn error_in(shipment: &Value) -> Option<Value> {
    let wrong = |code: &str, field: &str, message: &str| {
        let mut errors = errors("validation", code, message);
        errors["errors"][0]["field_name"] = format!("shipment.{field}").into();
        Some(errors)
    };
    let service = shipment["service_code"].as_str().unwrap_or_default();
    if !SERVICES.contains(&service) {
        let message = format!("service_code '{service}' is not offered.");
        return wrong("invalid_field_value", "service_code", &message);
    }
    let has_weight = |package: &Value| package["weight"]["value"].as_f64().is_some_and(|w| w > 0.0);
    let packages = shipment["packages"].as_array();
    if packages.is_none_or(|packages| packages.is_empty() || !packages.iter().all(has_weight)) {
        let message = "packages must contain packages with a weight.";
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
        "external_order_id": label.shipment["external_order_id"],
        "ship_to": label.shipment["ship_to"],
        "ship_date": to_shown(label.created_at),
        "created_at": to_shown(label.created_at),
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
        "voided_at": label.voided_at.map(to_shown),
        "label_format": "pdf",
        "display_scheme": "label",
        "label_layout": "4x6",
        "trackable": true,
        "label_image_id": null,
        "tracking_status": label.tracking_status(),
        "label_download": { "href": address, "pdf": address },
        "form_download": null,
        "qr_code_download": null,
        "paperless_download": null,
        "insurance_claim": null,
        "packages": label.shipment["packages"],
    })
}

fn effect(kind: &str, label: &Label, cents: u32) -> Value {
    // Shops that share the account prefix the order ids with their names.
    let name = label.shipment["external_order_id"].as_str();
    let shop = name.and_then(|name| name.split_once(':'));
    json!({
        "effect": kind,
        "id": label.id,
        "order_id": label.external_shipment_id,
        "shop": shop.map(|(shop, _)| shop),
        "cents": cents,
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

/// A refusal, in the provider's form.
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
