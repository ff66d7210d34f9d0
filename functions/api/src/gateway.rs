//! What API Gateway does in front of a Lambda, for where there is none: checks a token, and that it holds the
//! scope of the route, and passes its claims on in the same form.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use lambda_http::request::RequestContext;
use providers::{KeyError, KeySet};
use serde_json::{Map, Value, json};

use crate::{
    openapi,
    problem::{Kind, Problem},
};

/// What a token says, each claim by its name.
type Claims = Map<String, Value>;

/// Tokens of one user pool for one app, and the scopes of the routes that ask for some.
pub struct Gateway {
    keys: KeySet,
    validation: Validation,
    client: String,
    scopes: HashMap<(Method, String), BTreeSet<String>>,
}

impl Gateway {
    /// Believes what `issuer` has signed, by one of its `keys`, for the app `client`.
    pub fn new(keys: KeySet, issuer: &str, client: String) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        // Access tokens of Cognito name the app as their client instead.
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss"]);
        validation.set_issuer(&[issuer]);
        Self {
            keys,
            validation,
            client,
            scopes: scopes(),
        }
    }

    /// The claims of a token that holds the scope of the route; none, where the route asks for no token.
    async fn claims(&self, request: &Parts) -> Result<Option<Claims>, Problem> {
        let path = request.extensions.get::<MatchedPath>();
        let route = path.map(|path| (request.method.clone(), path.as_str().to_owned()));
        let Some(wanted) = route.and_then(|route| self.scopes.get(&route)) else {
            return Ok(None);
        };
        let header = request.headers.get(header::AUTHORIZATION);
        let header = header.and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer "));
        let claims = self.verified(token.unwrap_or_default()).await?;
        let held = claims.get("scope").and_then(Value::as_str);
        let holds = |scope: &str| wanted.contains(scope);
        if held.unwrap_or_default().split(' ').any(holds) {
            Ok(Some(claims))
        } else {
            let detail = "The token does not hold the scope that this asks for.";
            Err(Problem::new(Kind::Forbidden, detail))
        }
    }

    async fn verified(&self, token: &str) -> Result<Claims, Problem> {
        let refused = || Problem::new(Kind::Unauthorized, "Send a token that is good now.");
        let id = decode_header(token).ok().and_then(|header| header.kid);
        let id = id.ok_or_else(refused)?;
        let key = self.keys.key(&id, Timestamp::now()).await;
        let key = key.map_err(|error| match error {
            KeyError::Unknown => refused(),
            KeyError::Unavailable(error) => {
                tracing::error!(%error, "gateway.no_keys");
                Problem::new(Kind::Unavailable, "The token cannot be checked now.").after(5)
            }
        })?;
        let key = DecodingKey::from_rsa_raw_components(&key.n, &key.e);
        let claims = decode::<Claims>(token, &key, &self.validation)
            .map_err(|_| refused())?
            .claims;
        let is_ours = |name| claims.get(name).and_then(Value::as_str) == Some(&self.client);
        if is_ours("client_id") || is_ours("aud") {
            Ok(claims)
        } else {
            Err(refused())
        }
    }
}

/// Lets through who may ask, with the claims where API Gateway would put them.
pub(crate) async fn check(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let claims = gateway.claims(&parts).await;
    match claims.and_then(|claims| claims.map(|claims| context(&parts, claims)).transpose()) {
        Ok(context) => {
            if let Some(context) = context {
                parts.extensions.insert(context);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// The request's context as API Gateway gives it. Its types can only be read, not built.
fn context(parts: &Parts, claims: Claims) -> Result<RequestContext, Problem> {
    let text = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let claims: HashMap<String, String> = claims
        .into_iter()
        .map(|(name, value)| (name, text(value)))
        .collect();
    let context = json!({
        "timeEpoch": 0,
        "http": { "method": parts.method.as_str() },
        "authorizer": { "jwt": { "claims": claims } },
    });
    let context = serde_json::from_value(context).map_err(|error| {
        tracing::error!(%error, "gateway.no_context");
        Problem::new(Kind::Internal, "Try again.")
    })?;
    Ok(RequestContext::ApiGatewayV2(context))
}

/// The routes that ask for a token, each with the scopes of which it asks for one, by the OpenAPI document.
fn scopes() -> HashMap<(Method, String), BTreeSet<String>> {
    let document = json!(openapi());
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(path, operations)| {
        let operations = operations.as_object().into_iter().flatten();
        operations.map(move |(method, operation)| (method, path, operation))
    });
    operations
        .filter_map(|(method, path, operation)| {
            let scopes = operation["security"][0]["token"].as_array()?;
            let scopes = scopes.iter().filter_map(Value::as_str).map(str::to_owned);
            let method = method.to_uppercase().parse().ok()?;
            Some(((method, path.clone()), scopes.collect()))
        })
        .collect()
}
