//! The authorisation matrix: every route of the OpenAPI document with every kind of caller. The
//! requests are otherwise invalid, so only authorisation is tested.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::collections::BTreeSet;

use access::{Role, scopes_of};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use strum::IntoEnumIterator;
use tests::{Container, Person, Response, Stack, eventually};
use uuid::Uuid;

/// A password for a foreign user pool, with Cognito's default policy.
const PASSWORD: &str = "Cauce-laptop-1";

/// The number of concurrent requests.
const AT_ONCE: usize = 8;

/// A route, and the scopes of which it requires one. None if it is public.
struct Route {
    method: Method,
    path: String,
    scopes: BTreeSet<String>,
}

/// A caller with their scopes. None if their token is not valid.
struct Caller {
    name: String,
    person: Person,
    may: Option<BTreeSet<String>>,
}

fn routes() -> Vec<Route> {
    let document = include_str!("../../functions/api/openapi.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let scopes = operation["security"][0]["token"].as_array();
            let scopes = scopes.into_iter().flatten().filter_map(Value::as_str);
            routes.push(Route {
                method: method.to_uppercase().parse().unwrap(),
                path: filled(path),
                scopes: scopes.map(str::to_owned).collect(),
            });
        }
    }
    routes
}

/// The path with a nonexistent value for each parameter.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{provider}" => "weather".to_owned(),
        "{sku}" => "MATRIX-0000".to_owned(),
        part if part.starts_with('{') => Uuid::now_v7().to_string(),
        part => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

impl Caller {
    fn without_scopes(name: &str, person: Person) -> Self {
        Self {
            name: name.to_owned(),
            person,
            may: None,
        }
    }

    /// Checks the response against the rule of the route.
    async fn check_route(&self, route: &Route, api: &str) -> Result<(), String> {
        let person = self.person.at(api);
        let request = person.request(route.method.clone(), &route.path);
        let status = Response::of(request).await.status;
        let refusal = match &self.may {
            _ if route.scopes.is_empty() => None,
            None => Some(401),
            Some(may) if may.is_disjoint(&route.scopes) => Some(403),
            Some(_) => None,
        };
        let refused = [401, 403].contains(&status).then_some(status);
        if refused == refusal {
            return Ok(());
        }
        let Route { method, path, .. } = route;
        Err(format!("{}: {method} {api}{path}: {status}", self.name))
    }
}

/// The response of Cognito to a call that must succeed.
async fn cognito(stack: &Stack, action: &str, input: &Value) -> Value {
    let target = format!("AWSCognitoIdentityProviderService.{action}");
    let response = Response::of(stack.aws_request(&target, input)).await;
    response.with_status(200).json()
}

/// The token with the payload of another one.
fn tampered(token: &str, other: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[1] = other.split('.').nth(1).unwrap();
    parts.join(".")
}

/// A caller whose token was valid for one second. The app client is changed for that, which is safe
/// because this program has no other test that signs in.
async fn expired(stack: &Stack, person: &Person) -> Person {
    let set_token_lifetime = async |lifetime: u16, unit: &str| {
        let app = json!({
            "UserPoolId": stack.aws.user_pool_id,
            "ClientId": stack.aws.user_pool_client_id,
            "AccessTokenValidity": lifetime,
            "TokenValidityUnits":
                { "AccessToken": unit, "IdToken": "minutes", "RefreshToken": "days" },
        });
        cognito(stack, "UpdateUserPoolClient", &app).await;
    };
    set_token_lifetime(1, "seconds").await;
    let response = stack.sign_in_test_user(&person.email()).await;
    set_token_lifetime(15, "minutes").await;
    let response: Value = response.with_status(200).json();
    let token = response["AuthenticationResult"]["AccessToken"].as_str();
    let person = stack.bearer(token.unwrap());
    let ends = person.claims()["exp"].as_i64().unwrap();
    eventually("expired", async || {
        let now = Timestamp::now().as_second();
        (now > ends).then_some(()).ok_or_else(|| now.to_string())
    })
    .await;
    person
}

/// A caller who is signed in to another user pool.
async fn user_of_another_pool(stack: &Stack) -> Person {
    let pool = json!({ "PoolName": format!("matrix-{}", Uuid::new_v4()) });
    let pool = cognito(stack, "CreateUserPool", &pool).await;
    let pool = &pool["UserPool"]["Id"];
    let app = json!({
        "UserPoolId": pool,
        "ClientName": "matrix",
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
    });
    let app = cognito(stack, "CreateUserPoolClient", &app).await;
    let app = &app["UserPoolClient"]["ClientId"];
    let user = json!({ "ClientId": app, "Username": "foreigner", "Password": PASSWORD });
    cognito(stack, "SignUp", &user).await;
    let user = json!({ "UserPoolId": pool, "Username": "foreigner" });
    cognito(stack, "AdminConfirmSignUp", &user).await;
    let sign_in = json!({
        "AuthFlow": "USER_PASSWORD_AUTH",
        "ClientId": app,
        "AuthParameters": { "USERNAME": "foreigner", "PASSWORD": PASSWORD },
    });
    let signed_in = cognito(stack, "InitiateAuth", &sign_in).await;
    let token = signed_in["AuthenticationResult"]["AccessToken"].as_str();
    stack.bearer(token.unwrap())
}

#[tokio::test]
async fn each_role_reaches_exactly_its_routes() {
    let stack = Stack::find();
    let (routes, mut everybody) = (routes(), Vec::new());
    for role in Role::iter() {
        let scopes = scopes_of([role]).into_iter();
        let person = match role {
            // One of the routes deletes the caller's account.
            Role::Shopper => stack.new_shopper().await,
            role => stack.staff(role.group()).await,
        };
        everybody.push(Caller {
            name: role.group().to_owned(),
            person,
            may: Some(scopes.map(|scope| scope.name().to_owned()).collect()),
        });
    }
    let shopper = stack.new_shopper().await;
    let administrator = stack.staff("administrator").await;
    let raised = tampered(
        shopper.token.as_deref().unwrap(),
        administrator.token.as_deref().unwrap(),
    );
    everybody.extend([
        Caller::without_scopes("no token", stack.anonymous()),
        Caller::without_scopes("no token at all", stack.bearer("tea")),
        Caller::without_scopes("tampered", stack.bearer(&raised)),
        // It is our token, but of another kind.
        Caller::without_scopes("ID token", stack.bearer(&shopper.id_token)),
        Caller::without_scopes("expired", expired(&stack, &shopper).await),
        Caller::without_scopes("foreign pool", user_of_another_pool(&stack).await),
    ]);

    assert!(routes.len() > 20, "{}", routes.len());
    // Once behind API Gateway, and once where the API verifies tokens itself.
    let container = Container::api(&stack).await;
    let mut wrong = Vec::new();
    for somebody in &everybody {
        let asked = routes.iter().flat_map(|route| {
            [&stack.api, &container.url].map(|api| somebody.check_route(route, api))
        });
        let judged: Vec<_> = stream::iter(asked)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        wrong.extend(judged.into_iter().filter_map(Result::err));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
