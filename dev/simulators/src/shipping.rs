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
use contracts::{Contract, Deviation, DeviationKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use self::tracking::{Tracked, TrackingStatus};
use crate::{
    clock::{meant, shown},
    injection::{BreakOff, Call, Injector, LabelFault, Problem, Provider, inject},
    serve::{Broken, Service, Shared, TASKS},
    specification::{Specification, refuse_deviations},
    storage::{Read, State, Storage, read},
    webhooks::Settings,
};

/// How many labels a list shows, and the most that it can be asked for.
const DEFAULT_PAGE: usize = 25;
const MAX_PAGE: usize = 200;

/// What is shown of a label that is made, and of one that the carrier could not make.
const COMPLETED: &str = "completed";
const FAILED: &str = "error";

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

    /// Has it found by its shipment, its order and its parcel.
    fn index(&self, state: &mut State<'_>) -> anyhow::Result<()> {
        if let Some(external) = &self.external_shipment_id {
            state.index_as(&of_order(external), &self.name())?;
        }
        state.index_as(&of_parcel(&self.tracking_number), &self.name())?;
        state.index_as(&of_shipment(&self.shipment_id), &self.name())
    }
}

/// What a label can be bought for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shipment {
    id: String,
    /// As it was asked for.
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

    /// Keeps a new shipment, unless there is one with the same external id.
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
        let created_at = shown(*created_at);
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

    /// Buys a label for it. One that the carrier cannot make is not charged.
    fn label(&self, state: &mut State<'_>, fault: Option<LabelFault>) -> anyhow::Result<Label> {
        // Its time is in its name, to the millisecond: that is what lists go by.
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
        label.keep(state)?;
        label.index(state)?;
        match fault {
            None => {}
            Some(LabelFault::Error) => return Ok(label),
            Some(LabelFault::Processing(takes)) => {
                state.schedule(TASKS, takes, &Task::Complete(label.id.clone()))?;
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

/// What a label is indexed as for its order.
fn of_order(external_shipment_id: &str) -> String {
    format!("of_order/{external_shipment_id}")
}

/// What a label is indexed as for its shipment.
fn of_shipment(shipment_id: &str) -> String {
    format!("of_shipment/{shipment_id}")
}

/// What a label is indexed as for its parcel.
fn of_parcel(tracking_number: &str) -> String {
    format!("of_parcel/{tracking_number}")
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
        Task::Complete(id) => match find(state, &id)? {
            Some(mut label) if !label.voided => {
                COMPLETED.clone_into(&mut label.status);
                label.keep(state)
            }
            _ => Ok(()),
        },
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
    Complete(String),
    Deliver(String),
}

/// The service, with its state in `shared`, and failing as ordered there.
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
        .fallback(|| async { missing("address") })
        .layer(middleware::from_fn_with_state(
            Arc::new(specification),
            refuse_deviations,
        ))
        .layer(middleware::from_fn_with_state(injector, inject))
        .layer(middleware::from_fn(authenticate))
        .route("/jwks", get(signature::key_set))
        .route("/_carrier", post(carrier))
        .with_state(shared.storage);
    Ok(router)
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

/// What goes wrong with a label that is asked for.
type Faults = (Option<Extension<BreakOff>>, Option<Extension<LabelFault>>);

async fn buy(
    Extract(storage): Extract<Arc<Storage>>,
    faults: Faults,
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
        label_for(state, &shipment, faults.clone())
    });
    Ok(bought.await?)
}

async fn buy_for(
    Extract(storage): Extract<Arc<Storage>>,
    faults: Faults,
    Path(id): Path<String>,
) -> Result<Response, Broken> {
    let bought = storage.transact(|state| match state.get(&shipment_name(&id))? {
        Some(shipment) => label_for(state, &shipment, faults.clone()),
        None => Ok(missing("shipment")),
    });
    Ok(bought.await?)
}

/// The label for a shipment that is there, unless the work is broken off here.
fn label_for(
    state: &mut State<'_>,
    shipment: &Shipment,
    (broken_off, fault): Faults,
) -> anyhow::Result<Response> {
    if let Some(Extension(BreakOff(problem))) = broken_off {
        return Ok(problem.into_response());
    }
    let fault = fault.map(|Extension(fault)| fault);
    Ok(Json(view(&shipment.label(state, fault)?)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    shipment_id: Option<String>,
    tracking_number: Option<String>,
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
        let meant_ms = |shown| meant(shown).as_millisecond();
        let start = self.created_at_start.map(meant_ms);
        let end = self.created_at_end.map(meant_ms);
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
            label.keep(state)?;
            state.record(effect("label_voided", &label, LABEL_CENTS))?;
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

/// Where the pages of a list are: the first, the last and those beside this one, where there are some.
fn links(page: usize, pages: usize) -> Value {
    let link = |page: usize| {
        let href = format!("https://api.shipengine.com/v1/labels?page={page}");
        json!({ "href": href })
    };
    let beside = |page: usize| {
        if (1..=pages).contains(&page) {
            link(page)
        } else {
            json!({})
        }
    };
    json!({
        "first": link(1),
        "last": link(pages.max(1)),
        "prev": beside(page - 1),
        "next": beside(page + 1),
    })
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

/// What the specification requires and our client does not give yet.
const NOT_GIVEN_YET: &[&str] = &[
    "body.shipment.carrier_id",
    "body.shipment.ship_to.state_province",
];

/// The refusal of what the provider's specification does not allow.
fn refusal(deviation: &Deviation) -> Option<Response> {
    let Deviation { at, kind } = deviation;
    let (place, field) = at.split_once('.').unwrap_or((at, at));
    let code = match kind {
        // There is no such thing, which is for the call to say.
        _ if place == "path" => return None,
        // ShipEngine's own client sends one where none is read.
        DeviationKind::Unknown if place == field => return None,
        DeviationKind::Missing | DeviationKind::Null if NOT_GIVEN_YET.contains(&at.as_str()) => {
            return None;
        }
        DeviationKind::Missing | DeviationKind::Null | DeviationKind::TooShort(_) => {
            "field_value_required"
        }
        DeviationKind::TooLong(_) => "invalid_string_length",
        DeviationKind::NoJson => "request_body_required",
        _ => "invalid_field_value",
    };
    let mut errors = errors("validation", code, &format!("{field} {kind}."));
    errors["errors"][0]["field_name"] = field.into();
    Some((StatusCode::BAD_REQUEST, Json(errors)).into_response())
}

/// What is wrong with a shipment that the specification allows, if anything, in the provider's form.
fn fault_of(shipment: &Value) -> Option<Value> {
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
        "external_order_id": label.shipment["external_order_id"],
        "ship_to": label.shipment["ship_to"],
        "ship_date": shown(label.created_at),
        "created_at": shown(label.created_at),
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
        "voided_at": label.voided_at.map(shown),
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
    // Shops that share the account put their names before their orders'.
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
