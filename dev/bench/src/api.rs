//! The API's own program behind Lambda's runtime API, on the stack's database. A stand-in for AWS
//! answers its calls from memory.

use std::{collections::HashMap, env, net::Ipv4Addr, path::PathBuf};

use axum::body::Bytes;
use lambda_host::Function;
use serde_json::{Value, json};
use signature::{ACCESS_KEY, REGION};
use tests::Stack;
use uuid::Uuid;

use crate::{
    load::{Load, Series},
    stand_in,
};

/// The API, in several environments.
pub(crate) struct Api {
    function: Function,
    origin_key: String,
}

/// A request to the API.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// The path as the API declares it, with its parameters.
    pub(crate) route: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) body: Option<&'a str>,
    pub(crate) user: Uuid,
}

impl<'a> Request<'a> {
    pub(crate) const fn get(route: &'a str, path: &'a str, query: &'a str, user: Uuid) -> Self {
        Self {
            method: "GET",
            route,
            path,
            query,
            body: None,
            user,
        }
    }

    /// A request for the first page of a user's orders.
    pub(crate) const fn list_orders(user: Uuid) -> Self {
        Self::get("/v1/orders", "/v1/orders", "", user)
    }
}

impl Api {
    pub(crate) async fn start(stack: &Stack, environments: usize) -> Self {
        Self::start_with(stack, environments, &[]).await
    }

    /// Starts it with more variables in its environment.
    pub(crate) async fn start_with(
        stack: &Stack,
        environments: usize,
        more: &[(&str, &str)],
    ) -> Self {
        let aws = stand_in::start_aws(stack).await;
        let mut variables = environment(stack, "api", &aws).await;
        let more = more.iter();
        variables.extend(more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let function = Function::start(&program("api"), &variables, environments).await;
        Self {
            function: function.expect("the API should start"),
            origin_key: stack.origin_key.clone(),
        }
    }

    /// The event that API Gateway sends for a request whose token it has verified.
    pub(crate) fn event(&self, request: Request<'_>) -> Bytes {
        let Request {
            method,
            route,
            path,
            query,
            body,
            user,
        } = request;
        // Orders from one network are accepted one at a time. Each request comes from another one.
        let client = Ipv4Addr::from_bits(rand::random());
        let headers = json!({
            "accept": "application/json",
            "cauce-origin-key": self.origin_key,
            "cauce-viewer-address": client.to_string(),
            "content-type": "application/json",
            "idempotency-key": Uuid::new_v4(),
            "x-amzn-trace-id": "Root=1-581cf771-a006649127e371903a2de979",
        });
        let route = format!("{method} {route}");
        let event = json!({
            "version": "2.0",
            "routeKey": route,
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "measured",
                "authorizer": { "jwt": { "claims": {
                    "sub": user,
                    "token_use": "access",
                    "email": "shopper@cauce.example",
                    "scope": "orders:read orders:write profile:read",
                }, "scopes": ["orders:read"] } },
                "domainName": "measured.execute-api.us-east-1.amazonaws.com",
                "domainPrefix": "measured",
                "http": {
                    "method": method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.8",
                    "userAgent": "bench",
                },
                "requestId": "measured",
                "routeKey": route,
                "stage": "$default",
                "time": "25/Nov/2026:19:03:58 +0000",
                "timeEpoch": 1_795_633_438_000_i64,
            },
            "body": body,
            "isBase64Encoded": false,
        });
        event.to_string().into()
    }

    /// Invokes the function once. The response must have this status.
    pub(crate) async fn invoke(&self, event: Bytes, status: u16) -> Value {
        let response = self.function.invoke(event).await;
        let response = response.expect("the API should answer");
        let response: Value =
            serde_json::from_slice(&response.body).expect("a response should be JSON");
        assert_eq!(response["statusCode"], status, "{response}");
        response
    }

    /// Invokes the function once, and returns the body of the response.
    pub(crate) async fn invoke_for_body(&self, event: Bytes, status: u16) -> Value {
        let response = self.invoke(event, status).await;
        let body = response["body"].as_str().unwrap_or_default();
        serde_json::from_str(body).expect("a body should be JSON")
    }

    /// Has the clients of a series send requests for one round.
    pub(crate) async fn load(
        &self,
        series: Series,
        status: u16,
        event: impl Fn() -> Bytes,
    ) -> Load {
        let invoke = async || {
            self.invoke(event(), status).await;
        };
        series.load(invoke).await
    }
}

/// The environment of a function, with its calls to AWS sent to `aws`.
pub(crate) async fn environment(
    stack: &Stack,
    function: &str,
    aws: &str,
) -> HashMap<String, String> {
    let mut variables = stack.environment_of(function).await;
    let more = [
        ("AWS_ENDPOINT_URL", aws),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.0),
        ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY.1),
    ];
    variables.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables
}

/// The path of a program of this workspace. Cargo builds them all into one folder.
pub(crate) fn program(name: &str) -> PathBuf {
    let executable = env::current_exe().expect("a program should know its file");
    executable.with_file_name(name)
}
