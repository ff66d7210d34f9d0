//! The stack under test: its addresses and settings, and the people who can sign in.

use std::{
    collections::HashMap,
    env, fs,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::FutureExt;
use jiff::Timestamp;
use reqwest::{
    Client, Method, RequestBuilder,
    header::{HeaderMap, HeaderName},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{Database, Order, Person, Provider, ProviderLock, Response, eventually};

/// A password that the user pool accepts.
pub const PASSWORD: &str = "a river on a laptop";

#[derive(Debug, Deserialize)]
struct Description {
    api: String,
    aws: Aws,
    database: Urls,
    payments: String,
    shipping: String,
    functions: String,
    payments_webhook_secret: String,
    frontend_key: String,
    origin_key: String,
    site: String,
    logs: PathBuf,
    users: Vec<User>,
    shoppers: Vec<Credentials>,
}

/// The AWS side of the stack.
#[derive(Debug, Clone, Deserialize)]
pub struct Aws {
    /// The address of the emulator.
    pub endpoint: String,
    /// The id of the user pool.
    pub user_pool_id: String,
    /// The app client that people sign in with.
    pub user_pool_client_id: String,
    /// The secret of the app client.
    pub user_pool_client_secret: String,
    /// The state machine that processes orders.
    pub order_state_machine_arn: String,
    /// The state machine that processes refunds.
    pub refund_state_machine_arn: String,
    /// The table of products.
    pub catalogue_table: String,
    /// The table of the task tokens of parked executions.
    pub parked_table: String,
    /// The table of the circuits' shared state.
    pub breaker_table: String,
}

impl Aws {
    /// The `SecretHash` that Cognito requires: base64 of the HMAC-SHA256 of user name and client
    /// id.
    pub fn secret_hash(&self, username: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.user_pool_client_secret.as_bytes());
        let message = format!("{username}{}", self.user_pool_client_id);
        BASE64_STANDARD.encode(hmac::sign(&key, message.as_bytes()))
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Urls {
    primary: String,
    standby: String,
}

#[derive(Debug, Clone, Deserialize)]
struct User {
    role: String,
    #[serde(flatten)]
    credentials: Credentials,
}

/// The credentials of a person.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Credentials {
    pub(crate) email: String,
    pub(crate) password: String,
}

/// A signed-in session that can be renewed.
#[derive(Debug, Clone)]
pub struct Session {
    refresh_token: String,
    since: Timestamp,
}

/// A running stack.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The API's address, without a slash at the end.
    pub api: String,
    /// The storefront's address behind the CDN. Only browsers resolve its host name.
    pub site: String,
    /// The payment service.
    pub payments: Provider,
    /// The shipping service.
    pub shipping: Provider,
    /// The address of the host that runs the functions. Empty if the emulator runs them.
    pub functions: String,
    /// The secret that the payment service signs its webhooks with.
    pub payments_webhook_secret: String,
    /// The key that authenticates the frontend to the API.
    pub frontend_key: String,
    /// The HTTP client, whose requests carry the origin key.
    pub http: Client,
    /// The AWS resources of the stack.
    pub aws: Aws,
    /// The folder of the programs' logs.
    pub logs: PathBuf,
    /// The key that the CDN adds to each request. The API rejects requests without it.
    pub origin_key: String,
    database: Urls,
    users: Vec<User>,
    shoppers: Vec<Credentials>,
}

impl Stack {
    /// The stack that the file named by `CAUCE_STACK` describes, or else the workspace's own stack.
    pub fn find() -> Self {
        let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../.dev/stack.json");
        let file = env::var_os("CAUCE_STACK").map_or_else(|| usual.into(), PathBuf::from);
        let Ok(text) = fs::read_to_string(&file) else {
            panic!("no stack is running: use cargo xtask test");
        };
        let it: Description = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error} in {}", file.display()));
        let http = client_with_origin_key(&it.origin_key);
        let of = |provider| format!("{}/v1/webhooks/{provider}", it.api);
        let payments = json!({ "url": of("payments"), "secret": it.payments_webhook_secret });
        let shipping = json!({ "url": of("shipping") });
        let provider = |url, webhooks| Provider {
            url,
            http: http.clone(),
            webhooks,
        };
        Self {
            payments: provider(it.payments, payments),
            shipping: provider(it.shipping, shipping),
            api: it.api,
            site: it.site,
            functions: it.functions,
            payments_webhook_secret: it.payments_webhook_secret,
            frontend_key: it.frontend_key,
            aws: it.aws,
            logs: it.logs,
            origin_key: it.origin_key,
            database: it.database,
            users: it.users,
            shoppers: it.shoppers,
            http,
        }
    }

    /// Connects to the primary database.
    pub async fn database(&self) -> Database {
        Database::connect(&self.database.primary).await
    }

    /// Connects to the primary database, or returns why it does not answer.
    pub(crate) async fn try_database(&self) -> Result<Database, tokio_postgres::Error> {
        Database::try_connect(&self.database.primary).await
    }

    /// Connects to the standby.
    pub async fn standby(&self) -> Database {
        Database::connect(&self.database.standby).await
    }

    /// The connection string of the primary database.
    pub fn database_url(&self) -> &str {
        &self.database.primary
    }

    /// Waits for the exclusive right to inject faults.
    pub async fn lock_providers(&self) -> ProviderLock {
        ProviderLock::with([self.payments.clone(), self.shipping.clone()]).await
    }

    /// A new shopper without orders, signed in.
    pub async fn new_shopper(&self) -> Person {
        let email = format!("{}@stories.cauce.example", Uuid::new_v4());
        self.sign_up(&email, PASSWORD).await.with_status(200);
        self.sign_in_person(&email, PASSWORD).await
    }

    /// The seed's shoppers, signed in.
    pub async fn shoppers(&self) -> Vec<Person> {
        let all = self
            .shoppers
            .iter()
            .map(|it| self.sign_in_person(&it.email, &it.password));
        futures::future::join_all(all).await
    }

    /// The seed's user with this role, signed in.
    pub async fn staff(&self, role: &str) -> Person {
        let Credentials { email, password } = self.staff_credentials(role);
        self.sign_in_person(email, password).await
    }

    /// Requests an account.
    pub async fn sign_up(&self, email: &str, password: &str) -> Response {
        let request = json!({
            "ClientId": self.aws.user_pool_client_id,
            "SecretHash": self.aws.secret_hash(email),
            "Username": email,
            "Password": password,
            "UserAttributes": [{ "Name": "email", "Value": email }],
        });
        let target = "AWSCognitoIdentityProviderService.SignUp";
        Response::of(self.aws_request(target, &request)).await
    }

    /// Requests tokens for a user.
    pub async fn sign_in(&self, email: &str, password: &str) -> Response {
        Response::of(self.sign_in_request(email, password)).await
    }

    /// Requests tokens for a user that a test has signed up.
    pub async fn sign_in_test_user(&self, email: &str) -> Response {
        self.sign_in(email, PASSWORD).await
    }

    /// Signs a user in again that a test has signed up, which gives new tokens.
    pub async fn sign_in_again(&self, person: &Person) -> Person {
        self.sign_in_person(&person.email(), PASSWORD).await
    }

    /// Starts another session of a user that a test has signed up.
    pub async fn session(&self, email: &str) -> Session {
        let response = self.sign_in_test_user(email).await.with_status(200);
        let tokens: Value = response.json();
        let refresh_token = tokens["AuthenticationResult"]["RefreshToken"].as_str();
        let refresh_token = refresh_token.expect("Cognito should give a refresh token");
        Session {
            refresh_token: refresh_token.to_owned(),
            since: Timestamp::now(),
        }
    }

    /// Requests new tokens for a session.
    pub async fn renew(&self, session: &Session) -> Response {
        let request = json!({
            "ClientId": self.aws.user_pool_client_id,
            "ClientSecret": self.aws.user_pool_client_secret,
            "RefreshToken": session.refresh_token,
        });
        let target = "AWSCognitoIdentityProviderService.GetTokensFromRefreshToken";
        Response::of(self.aws_request(target, &request)).await
    }

    /// Answers a sign-in's challenge with an authenticator's code and client metadata.
    pub async fn answer_challenge(
        &self,
        challenge: &Value,
        code: &str,
        metadata: &Value,
    ) -> Response {
        let username = challenge["ChallengeParameters"]["USER_ID_FOR_SRP"].as_str();
        let username = username.expect("a challenge should name its user");
        let request = json!({
            "ClientId": self.aws.user_pool_client_id,
            "ChallengeName": "SOFTWARE_TOKEN_MFA",
            "Session": challenge["Session"],
            "ChallengeResponses": {
                "USERNAME": username,
                "SOFTWARE_TOKEN_MFA_CODE": code,
                "SECRET_HASH": self.aws.secret_hash(username),
            },
            "ClientMetadata": metadata,
        });
        let target = "AWSCognitoIdentityProviderService.RespondToAuthChallenge";
        Response::of(self.aws_request(target, &request)).await
    }

    /// Waits for the next second of the clock after the session began. The emulator revokes only
    /// sessions that began in an earlier second.
    pub async fn wait_for_second_after(&self, session: &Session) {
        eventually("a second later", async || {
            let now = Timestamp::now();
            let is_later = now.as_second() > session.since.as_second();
            is_later.then_some(()).ok_or_else(|| now.to_string())
        })
        .await;
    }

    fn sign_in_request(&self, email: &str, password: &str) -> RequestBuilder {
        let request = json!({
            "AuthFlow": "USER_PASSWORD_AUTH",
            "ClientId": self.aws.user_pool_client_id,
            "AuthParameters": {
                "USERNAME": email,
                "PASSWORD": password,
                "SECRET_HASH": self.aws.secret_hash(email),
            },
        });
        self.aws_request("AWSCognitoIdentityProviderService.InitiateAuth", &request)
    }

    /// A caller without a token.
    pub fn anonymous(&self) -> Person {
        Person::new(self, None)
    }

    /// A caller with a token, valid or invalid.
    pub fn bearer(&self, token: &str) -> Person {
        Person::new(self, Some(token.to_owned()))
    }

    /// The simulator of a provider.
    pub(crate) fn provider(&self, provider: orders::Provider) -> &Provider {
        match provider {
            orders::Provider::Payments => &self.payments,
            orders::Provider::Shipping => &self.shipping,
        }
    }

    /// The credentials of the seed's shoppers.
    pub(crate) fn shopper_credentials(&self) -> &[Credentials] {
        &self.shoppers
    }

    /// The credentials of the seed's user with this role.
    pub(crate) fn staff_credentials(&self, role: &str) -> &Credentials {
        let user = self.users.iter().find(|user| user.role == role);
        &user.expect("there should be such a role").credentials
    }

    /// Signs a user in. None if Cognito does not answer with tokens.
    pub(crate) async fn try_sign_in(&self, credentials: &Credentials) -> Option<Person> {
        let Credentials { email, password } = credentials;
        let response = Response::try_of(self.sign_in_request(email, password)).await;
        let response = response.ok().filter(|response| response.status == 200)?;
        Some(self.person_from_tokens(&response))
    }

    /// Checks the state of a circuit. The error is the circuit.
    pub async fn circuit_is(&self, provider: &str, state: &str) -> Result<(), String> {
        let circuit = self.circuit(provider).await;
        if circuit["state"] == state {
            Ok(())
        } else {
            Err(circuit.to_string())
        }
    }

    /// Checks that both circuits are closed and count no failures. The error is the circuit.
    pub async fn circuits_are_healthy(&self) -> Result<(), String> {
        for provider in ["payments", "shipping"] {
            let circuit = self.circuit(provider).await;
            if circuit["state"] != "closed" || circuit["figures"]["failures"] != 0 {
                return Err(circuit.to_string());
            }
        }
        Ok(())
    }

    /// A circuit as an operator reads it.
    pub async fn circuit(&self, provider: &str) -> Value {
        let operator = self.staff("operator").await;
        let circuits = operator.get("/v1/ops/circuits").await.with_status(200);
        let circuits: Value = circuits.json();
        let circuits = circuits["items"].as_array();
        let mut circuits = circuits.into_iter().flatten();
        let circuit = circuits.find(|circuit| circuit["provider"] == provider);
        circuit.expect("there should be such a circuit").clone()
    }

    /// Runs a test while an operator forces a circuit open. The circuit is automatic again
    /// afterwards, also after a panic.
    pub async fn with_circuit_forced_open(&self, provider: &str, test: impl AsyncFnOnce()) {
        let operator = self.staff("operator").await;
        let path = format!("/v1/ops/circuits/{provider}");
        let force = async |state: Option<&str>| {
            let body = json!({ "force": state, "reason": "A test." });
            let request = operator.request(Method::PUT, &path).json(&body);
            Response::of(request).await.with_status(200);
        };
        force(Some("open")).await;
        // Each environment reads the circuit's state once a second.
        sleep(Duration::from_millis(1_500)).await;
        let result = AssertUnwindSafe(test()).catch_unwind().await;
        force(None).await;
        result.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Runs a test while the standby replays nothing. It resumes afterwards, also after a panic.
    pub async fn with_paused_standby(&self, test: impl AsyncFnOnce()) {
        let standby = self.standby().await;
        standby.execute("select pg_wal_replay_pause()").await;
        let result = AssertUnwindSafe(test()).catch_unwind().await;
        standby.execute("select pg_wal_replay_resume()").await;
        result.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Runs a test with the URL of a new, empty database, which is dropped afterwards, also after a
    /// panic.
    pub async fn with_empty_database(&self, test: impl AsyncFnOnce(&str)) {
        let database = self.database().await;
        let name = format!("test_{}", Uuid::new_v4().simple());
        database.execute(&format!("create database {name}")).await;
        let url = self
            .database
            .primary
            .replacen("/cauce?", &format!("/{name}?"), 1);
        let result = AssertUnwindSafe(test(&url)).catch_unwind().await;
        database
            .execute(&format!("drop database {name} with (force)"))
            .await;
        result.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Sends a message to the dead-letter queue of the providers' events.
    pub async fn send_to_dead_letters(&self, event: &Value) {
        let name = json!({ "QueueName": "cauce-provider-events-dead-letters" });
        let queue = self.aws_request("AmazonSQS.GetQueueUrl", &name);
        let queue: Value = Response::of(queue).await.with_status(200).json();
        let message = json!({ "QueueUrl": queue["QueueUrl"], "MessageBody": event.to_string() });
        let sent = self.aws_request("AmazonSQS.SendMessage", &message);
        Response::of(sent).await.with_status(200);
    }

    /// Stops an order's execution, as if it had been lost.
    pub async fn stop_execution(&self, order: &Order) {
        let machine = self.aws.order_state_machine_arn.as_str();
        let machine = machine.replacen(":stateMachine:", ":execution:", 1);
        let execution = json!({ "executionArn": format!("{machine}:{}", order.id) });
        let request = self.aws_request("AWSStepFunctions.StopExecution", &execution);
        Response::of(request).await.with_status(200);
    }

    async fn sign_in_person(&self, email: &str, password: &str) -> Person {
        let response = self.sign_in(email, password).await.with_status(200);
        self.person_from_tokens(&response)
    }

    /// The person whose tokens Cognito returned.
    pub fn person_from_tokens(&self, response: &Response) -> Person {
        let response: Value = response.json();
        let token = |name: &str| {
            let token = response["AuthenticationResult"][name].as_str();
            token.expect("Cognito should give both tokens").to_owned()
        };
        let mut person = self.bearer(&token("AccessToken"));
        person.id_token = token("IdToken");
        person
    }

    /// A call to an AWS service with a JSON protocol, signed as the account's owner.
    pub fn aws_request(&self, target: &str, request: &serde_json::Value) -> RequestBuilder {
        let service = match target.split('.').next() {
            Some("AWSCognitoIdentityProviderService") => "cognito-idp",
            Some("AmazonSQS") => "sqs",
            Some("DynamoDB_20120810") => "dynamodb",
            Some("AWSStepFunctions") => "states",
            Some("CloudTrail_20131101") => "cloudtrail",
            Some("secretsmanager") => "secretsmanager",
            _ => panic!("no test calls the service of {target}"),
        };
        let body = request.to_string();
        self.signed(service, Method::POST, "/", body)
            .header("X-Amz-Target", target)
            .header("Content-Type", "application/x-amz-json-1.1")
    }

    /// The environment variables of a function, from the template.
    pub async fn environment_of(&self, function: &str) -> HashMap<String, String> {
        let path = format!("/2015-03-31/functions/cauce-{function}/configuration");
        let request = self.signed("lambda", Method::GET, &path, String::new());
        let configuration: Value = Response::of(request).await.with_status(200).json();
        let variables = configuration["Environment"]["Variables"].clone();
        serde_json::from_value(variables).expect("the function should have an environment")
    }

    /// The reserved concurrency of a function.
    pub(crate) async fn reserved_concurrency(&self, function: &str) -> Option<u64> {
        let path = format!("/2019-09-30/functions/cauce-{function}/concurrency");
        let request = self.signed("lambda", Method::GET, &path, String::new());
        let reserved: Value = Response::of(request).await.with_status(200).json();
        reserved["ReservedConcurrentExecutions"].as_u64()
    }

    /// A request to set or remove the reserved concurrency of a function, which also limits it.
    pub(crate) fn reserve_concurrency(&self, function: &str, calls: Option<u64>) -> RequestBuilder {
        let path = format!("/2017-10-31/functions/cauce-{function}/concurrency");
        let Some(calls) = calls else {
            return self.signed("lambda", Method::DELETE, &path, String::new());
        };
        let body = json!({ "ReservedConcurrentExecutions": calls }).to_string();
        self.signed("lambda", Method::PUT, &path, body)
    }

    fn signed(&self, service: &str, method: Method, path: &str, body: String) -> RequestBuilder {
        let url = format!("{}{path}", self.aws.endpoint);
        let headers = signature::sign_headers(service, method.as_str(), &url, &body);
        let request = self.http.request(method, url).body(body);
        let headers = headers.expect("the request should be signed");
        headers.into_iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }
}

/// A client that adds the origin key to each request, as the CDN does.
fn client_with_origin_key(key: &str) -> Client {
    let key = key.parse().expect("the key should fit into a header");
    let headers = HeaderMap::from_iter([(HeaderName::from_static("cauce-origin-key"), key)]);
    let client = Client::builder().default_headers(headers).build();
    client.expect("the client should be made")
}
