//! Payment simulator: payment intents, refunds and disputes with Stripe's API.

mod cards;
mod currency;
mod dispute;
mod event;
mod intent;
mod page;
mod params;
mod refund;
mod replay;
mod search;
mod view;

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, Request, State as Extract},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use contracts::Contract;
use serde_json::{Value, json};

use self::{
    dispute::{Dispute, expand_payments},
    intent::{Intent, Status},
    page::PageRequest,
    params::Params,
    refund::Refund,
    replay::{KeysInUse, refuse_key_in_use, with_idempotency},
};
use crate::{
    injection::{Call, Injector, Problem, Provider, SearchLimit, inject},
    serve::{Service, Shared, SimulatorError},
    specification::{Specification, refuse_deviations},
    storage::{Read, State, Storage, new_id},
};

/// The response to an API call. Stored under the call's idempotency key.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct ApiResponse {
    status: u16,
    body: Value,
    /// Whether execution began. If so, the response is stored under the key, with any status. A
    /// call that is refused for its parameters is not stored.
    #[serde(default)]
    has_begun: bool,
}

impl IntoResponse for ApiResponse {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.body)).into_response()
    }
}

impl ApiResponse {
    fn ok(body: Value) -> Self {
        Self {
            status: 200,
            body,
            has_begun: true,
        }
    }

    /// The same response, as one of a call whose execution began.
    fn executed(self) -> Self {
        Self {
            has_begun: true,
            ..self
        }
    }

    /// An error in the provider's form, of a call whose execution did not begin.
    fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        let mut error = json!({ "type": kind, "message": message });
        if let Some(code) = code {
            error["code"] = code.into();
        }
        Self {
            status,
            body: json!({ "error": error }),
            has_begun: false,
        }
    }

    fn invalid(code: Option<&str>, parameter: &str, message: &str) -> Self {
        let mut answer = Self::error(400, "invalid_request_error", code, message);
        answer.body["error"]["param"] = parameter.into();
        answer
    }

    /// The 404 of an object of this `kind`, which is also the parameter's name.
    fn missing(kind: &str, id: &str) -> Self {
        let message = format!("No such {kind}: '{id}'");
        let code = Some("resource_missing");
        let mut answer = Self::error(404, "invalid_request_error", code, &message);
        answer.body["error"]["param"] = kind.into();
        answer
    }
}

/// The provider's part of fault injection.
const PROVIDER: Provider = Provider {
    error: server_error,
    refusal: |_| decline(),
    account_error: || {
        let message = "Your account cannot currently make charges.";
        let code = Some("account_invalid");
        Problem {
            status: StatusCode::FORBIDDEN,
            body: ApiResponse::error(403, "invalid_request_error", code, message).body,
        }
    },
    order_of,
    leaves_traces: |call| call.headers.contains_key("idempotency-key"),
    is_repeatable: |call| {
        call.method.is_safe() || call.headers.contains_key(replay::IDEMPOTENCY_KEY)
    },
    forget_keys: replay::forget_keys,
};

/// The payment simulator.
pub const PAYMENTS: Service = Service {
    name: "payments",
    router,
    index: |state| {
        let intents: anyhow::Result<Vec<Intent>> = state.newest("intent/", None)?.collect();
        intents?.iter().try_for_each(|intent| intent.store(state))
    },
    perform: |state, task| match serde_json::from_value(task)? {
        Task::Lapse(id) => lapse(state, &id),
        Task::SettleRefund(id) => Refund::settle(state, &id),
        Task::Dispute(id) => Dispute::open_for_card(state, &id),
    },
    sign: event::sign,
    shares_secret: true,
};

/// A background task; each names the object by its id.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Task {
    /// An authorization expires.
    Lapse(String),
    /// The bank settles a refund.
    SettleRefund(String),
    /// The bank disputes a payment.
    Dispute(String),
}

/// The routes of the service, with the state and the faults in `shared`.
fn router(shared: Shared) -> anyhow::Result<Router> {
    let specification = Specification {
        contract: Contract::stripe()?,
        refusal: |deviation| Some(params::refusal(deviation).into_response()),
    };
    let injector = Injector {
        faults: shared.faults,
        storage: shared.storage.clone(),
        provider: PROVIDER,
    };
    let router = Router::new()
        .route("/v1/balance", get(balance))
        .route("/v1/payment_intents", post(create).get(list))
        .route("/v1/payment_intents/search", get(search))
        .route("/v1/payment_intents/{id}", get(show))
        .route("/v1/payment_intents/{id}/confirm", post(confirm))
        .route("/v1/payment_intents/{id}/capture", post(capture))
        .route("/v1/payment_intents/{id}/cancel", post(cancel))
        .route("/v1/refunds", post(refund).get(list_refunds))
        .route("/v1/refunds/{id}", get(show_refund))
        .route("/v1/disputes", get(dispute::list))
        .route("/v1/disputes/{id}", get(dispute::show))
        .fallback(|| async { unknown_url() })
        .layer(middleware::from_fn_with_state(
            Arc::new(specification),
            refuse_deviations,
        ))
        .layer(middleware::from_fn_with_state(injector, inject))
        // Outside the fault injection: a call that is slowed down keeps its key locked.
        .layer(middleware::from_fn_with_state(
            KeysInUse::default(),
            refuse_key_in_use,
        ))
        .layer(middleware::from_fn(authenticate))
        .route("/_keys", put(replay::set_retention))
        .route("/_lapse", post(lapse_order))
        .route("/_dispute", post(dispute::control))
        .with_state(shared.storage);
    Ok(router)
}

/// The body of a server error or a rate limit, in the provider's form.
fn server_error(status: StatusCode) -> Value {
    let answer = if status == StatusCode::TOO_MANY_REQUESTS {
        let message = "Request rate limit exceeded.";
        ApiResponse::error(429, "invalid_request_error", Some("rate_limit"), message)
    } else {
        let message = "An error occurred on our side.";
        ApiResponse::error(status.as_u16(), "api_error", None, message)
    };
    answer.body
}

/// The declined card that the fault `refuse` answers with.
fn decline() -> Problem {
    let mut answer = ApiResponse::error(
        402,
        "card_error",
        Some("card_declined"),
        "Your card was declined.",
    );
    answer.body["error"]["decline_code"] = "generic_decline".into();
    Problem {
        status: StatusCode::PAYMENT_REQUIRED,
        body: answer.body,
    }
}

/// The order of the payment that a call creates, names or searches for.
fn order_of(storage: &Storage, call: &Call<'_>) -> anyhow::Result<Option<String>> {
    let params = Params::of(call);
    if let Some(order_id) = params.get("metadata[order_id]") {
        return Ok(Some(order_id.to_owned()));
    }
    if let Some(Ok(query)) = params.get("query").map(search::Query::parse) {
        return Ok(query.metadata("order_id").map(str::to_owned));
    }
    let in_path = |prefix| {
        let rest = call.uri.path().strip_prefix(prefix)?;
        rest.split('/').next()
    };
    let snapshot = storage.snapshot()?;
    let refund = match in_path("/v1/refunds/") {
        Some(id) => Refund::find(&snapshot, id)?,
        None => None,
    };
    let of_refund = refund.as_ref().map(|refund| refund.payment_intent.as_str());
    let from_path = of_refund.or_else(|| in_path("/v1/payment_intents/"));
    let Some(id) = from_path.or(params.get("payment_intent")) else {
        return Ok(None);
    };
    let intent = find(&snapshot, id)?;
    Ok(intent.and_then(|mut intent| intent.metadata.remove("order_id")))
}

async fn authenticate(request: Request, next: Next) -> Response {
    let mut response = if has_key(&request).unwrap_or_default() {
        next.run(request).await
    } else {
        let message = "Invalid API Key provided.";
        ApiResponse::error(401, "invalid_request_error", None, message).into_response()
    };
    if let Ok(id) = new_id("req").parse() {
        response.headers_mut().insert("request-id", id);
    }
    response
}

/// Whether the request has a secret key: a bearer token, or the user name of basic authentication.
fn has_key(request: &Request) -> Option<bool> {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    if let Some(token) = given.strip_prefix("Bearer ") {
        return Some(token.starts_with("sk_"));
    }
    let pair = BASE64_STANDARD.decode(given.strip_prefix("Basic ")?).ok()?;
    Some(pair.starts_with(b"sk_"))
}

async fn balance() -> Json<Value> {
    let none = json!([{ "amount": 0, "currency": "eur" }]);
    Json(json!({ "object": "balance", "livemode": false, "available": none, "pending": none }))
}

async fn create(
    Extract(storage): Extract<Arc<Storage>>,
    request: Request,
) -> Result<Response, SimulatorError> {
    with_idempotency(&storage, request, |state, params| {
        let mut intent = match Intent::create(params) {
            Ok(intent) => intent,
            Err(refusal) => return Ok(refusal),
        };
        let answer = if params.get("confirm") == Some("true") {
            intent.confirm(state, params)?
        } else {
            ApiResponse::ok(intent.view(params))
        };
        store_if_begun(state, &intent, answer)
    })
    .await
}

async fn confirm(
    storage: Extract<Arc<Storage>>,
    id: Path<String>,
    request: Request,
) -> Result<Response, SimulatorError> {
    change_intent(storage, id, request, Intent::confirm).await
}

async fn capture(
    storage: Extract<Arc<Storage>>,
    id: Path<String>,
    request: Request,
) -> Result<Response, SimulatorError> {
    change_intent(storage, id, request, Intent::capture).await
}

async fn cancel(
    storage: Extract<Arc<Storage>>,
    id: Path<String>,
    request: Request,
) -> Result<Response, SimulatorError> {
    change_intent(storage, id, request, Intent::cancel).await
}

async fn change_intent(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
    request: Request,
    action: fn(&mut Intent, &mut State<'_>, &Params) -> anyhow::Result<ApiResponse>,
) -> Result<Response, SimulatorError> {
    with_idempotency(&storage, request, |state, params| {
        let Some(mut intent) = find(state, &id)? else {
            return Ok(ApiResponse::missing("payment_intent", &id));
        };
        let answer = action(&mut intent, state, params)?;
        store_if_begun(state, &intent, answer)
    })
    .await
}

async fn show(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<ApiResponse, SimulatorError> {
    let intent = find(&storage.snapshot()?, &id)?;
    let params = Params::from(query);
    Ok(intent.map_or_else(
        || ApiResponse::missing("payment_intent", &id),
        |intent| ApiResponse::ok(intent.view(&params)),
    ))
}

async fn list(
    Extract(storage): Extract<Arc<Storage>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<ApiResponse, SimulatorError> {
    let params = Params::from(query);
    let page = match PageRequest::of(&params, "starting_after") {
        Ok(page) => page,
        Err(refusal) => return Ok(refusal),
    };
    if let Err(refusal) = params.allow_only(&["created", "expand", "limit", "starting_after"]) {
        return Ok(refusal);
    }
    let snapshot = storage.snapshot()?;
    let end = page.end("pi");
    let intents = snapshot.newest("intent/", end.as_deref())?;
    let intents = page.select(intents, |intent: &Intent| intent.created)?;
    Ok(ApiResponse::ok(intents.view(
        "list",
        "/v1/payment_intents",
        |it| it.view(&params),
    )))
}

async fn search(
    Extract(storage): Extract<Arc<Storage>>,
    lag: Option<Extension<SearchLimit>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<ApiResponse, SimulatorError> {
    let params = Params::from(query);
    let known = params.allow_only(&["expand", "limit", "page", "query"]);
    let parsed = known.and_then(|()| {
        let query = params.required("query").and_then(search::Query::parse)?;
        Ok((query, PageRequest::of(&params, "page")?))
    });
    let (query, page) = match parsed {
        Ok(parsed) => parsed,
        Err(refusal) => return Ok(refusal),
    };
    let mut found = query.run(&storage.snapshot()?, page.after.as_deref())?;
    if let Some(Extension(SearchLimit(end))) = lag {
        found.retain(|intent| intent.created <= end);
    }
    let intents = page.select(found.into_iter().map(Ok), |intent| intent.created)?;
    let next_page = intents.next().map(|intent| intent.id.clone());
    let url = "/v1/payment_intents/search";
    let mut view = intents.view("search_result", url, |it| it.view(&params));
    view["next_page"] = next_page.into();
    Ok(ApiResponse::ok(view))
}

async fn refund(
    Extract(storage): Extract<Arc<Storage>>,
    request: Request,
) -> Result<Response, SimulatorError> {
    with_idempotency(&storage, request, Refund::create).await
}

async fn show_refund(
    Extract(storage): Extract<Arc<Storage>>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<ApiResponse, SimulatorError> {
    let snapshot = storage.snapshot()?;
    let Some(refund) = Refund::find(&snapshot, &id)? else {
        return Ok(ApiResponse::missing("refund", &id));
    };
    let mut view = refund.view();
    expand_payments(&snapshot, &Params::from(query), std::iter::once(&mut view))?;
    Ok(ApiResponse::ok(view))
}

async fn list_refunds(
    Extract(storage): Extract<Arc<Storage>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<ApiResponse, SimulatorError> {
    const KNOWN: &[&str] = &[
        "created",
        "expand",
        "limit",
        "payment_intent",
        "starting_after",
    ];
    let params = Params::from(query);
    let known = params.allow_only(KNOWN);
    let page = match known.and_then(|()| PageRequest::of(&params, "starting_after")) {
        Ok(page) => page,
        Err(refusal) => return Ok(refusal),
    };
    let snapshot = storage.snapshot()?;
    let created = |refund: &Refund| refund.created;
    let selected = if let Some(id) = params.get("payment_intent") {
        let mut refunds = Refund::of(&snapshot, id)?;
        refunds.retain(|refund| page.after.as_ref().is_none_or(|after| refund.id < *after));
        page.select(refunds.into_iter().map(Ok), created)?
    } else {
        page.select(
            snapshot.newest("refund/", page.end("re").as_deref())?,
            created,
        )?
    };
    let mut view = selected.view("list", "/v1/refunds", Refund::view);
    let objects = view["data"].as_array_mut().into_iter().flatten();
    expand_payments(&snapshot, &params, objects)?;
    Ok(ApiResponse::ok(view))
}

#[derive(serde::Deserialize)]
struct LapseOrder {
    order_id: String,
}

/// Expires the authorization of an order early.
async fn lapse_order(
    Extract(storage): Extract<Arc<Storage>>,
    Json(request): Json<LapseOrder>,
) -> Result<StatusCode, SimulatorError> {
    let key = search::metadata_key("order_id", &request.order_id);
    let lapsed = storage
        .transact(|state| {
            let mut intents: Vec<Intent> = state.indexed(&key)?;
            intents.retain(|intent| intent.status == Status::RequiresCapture);
            for intent in &intents {
                lapse(state, &intent.id)?;
            }
            Ok(!intents.is_empty())
        })
        .await?;
    Ok(if lapsed {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    })
}

/// Expires the authorization of a payment that is not captured or canceled yet.
fn lapse(state: &mut State<'_>, id: &str) -> anyhow::Result<()> {
    let Some(mut intent) = find(state, id)? else {
        return Ok(());
    };
    if intent.status == Status::RequiresCapture {
        intent.cancel_with_reason(state, Some("automatic"))?;
        intent.store(state)?;
    }
    Ok(())
}

fn find(state: &impl Read, id: &str) -> anyhow::Result<Option<Intent>> {
    state.get(&format!("intent/{id}"))
}

/// Stores the payment, unless the call was refused before its execution began.
fn store_if_begun(
    state: &mut State<'_>,
    intent: &Intent,
    answer: ApiResponse,
) -> anyhow::Result<ApiResponse> {
    if answer.has_begun {
        intent.store(state)?;
    }
    Ok(answer)
}

fn unknown_url() -> ApiResponse {
    ApiResponse::error(
        404,
        "invalid_request_error",
        None,
        "Unrecognized request URL.",
    )
}
