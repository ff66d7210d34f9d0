//! The stack under test: where everything is, and who can sign in.

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

use crate::{Answer, Database, Order, Person, Provider, Turn, eventually};

/// A password that the user pool takes.
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
    /// Where AWS is.
    pub endpoint: String,
    /// Where people have accounts.
    pub user_pool_id: String,
    /// Through which app people sign in.
    pub user_pool_client_id: String,
    /// What proves to Cognito that one is that app.
    pub user_pool_client_secret: String,
    /// Takes orders to shipped, or back.
    pub order_state_machine_arn: String,
    /// Gives money back.
    pub refund_state_machine_arn: String,
    /// Where products are.
    pub catalogue_table: String,
    /// Where the tokens of parked executions are.
    pub parked_table: String,
    /// Where the circuits' shared state is.
    pub breaker_table: String,
}

impl Aws {
    /// What Cognito asks of an app with a secret: base64 of HMAC-SHA256 of the user and the app.
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

/// How somebody signs in.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Credentials {
    pub(crate) email: String,
    pub(crate) password: String,
}

/// Somebody's session, which can be renewed.
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
    /// The shop's address, through the CDN; only a browser knows where that is.
    pub site: String,
    /// Takes the money.
    pub payments: Provider,
    /// Takes the parcels.
    pub shipping: Provider,
    /// The host that runs the functions, if it is not the emulator.
    pub functions: String,
    /// What the payment service has to sign its webhooks with.
    pub payments_webhook_secret: String,
    /// What lets the API believe for whom one asks.
    pub frontend_key: String,
    /// Sends requests.
    pub http: Client,
    /// Where people sign in.
    pub aws: Aws,
    /// Where the programs' logs are.
    pub logs: PathBuf,
    /// What the CDN adds to each request, so that the API answers it.
    pub origin_key: String,
    database: Urls,
    users: Vec<User>,
    shoppers: Vec<Credentials>,
}

impl Stack {
    /// The stack that the file in `CAUCE_STACK` describes, else the one that the workspace runs.
    pub fn find() -> Self {
        let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/../.dev/stack.json");
        let file = env::var_os("CAUCE_STACK").map_or_else(|| usual.into(), PathBuf::from);
        let Ok(text) = fs::read_to_string(&file) else {
            panic!("no stack is running: use cargo xtask test");
        };
        let it: Description = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error} in {}", file.display()));
        let http = comes_through_the_cdn(&it.origin_key);
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

    /// The database that is written to.
    pub async fn database(&self) -> Database {
        Database::connect(&self.database.primary).await
    }

    /// The same, unless it does not answer.
    pub(crate) async fn try_database(&self) -> Result<Database, tokio_postgres::Error> {
        Database::try_connect(&self.database.primary).await
    }

    /// The database that follows it.
    pub async fn standby(&self) -> Database {
        Database::connect(&self.database.standby).await
    }

    /// The connection string of the primary database.
    pub fn database_url(&self) -> &str {
        &self.database.primary
    }

    /// The right to have the providers fail, until it is dropped.
    pub async fn turn(&self) -> Turn {
        Turn::with([self.payments.clone(), self.shipping.clone()]).await
    }

    /// Somebody who has just signed up, with nothing ordered so far.
    pub async fn new_shopper(&self) -> Person {
        let email = format!("{}@stories.cauce.example", Uuid::new_v4());
        self.signs_up(&email, PASSWORD).await.with_status(200);
        self.sign_in(&email, PASSWORD).await
    }

    /// The seed's shoppers.
    pub async fn shoppers(&self) -> Vec<Person> {
        let all = self
            .shoppers
            .iter()
            .map(|it| self.sign_in(&it.email, &it.password));
        futures::future::join_all(all).await
    }

    /// The seed's user with that role.
    pub async fn staff(&self, role: &str) -> Person {
        let Credentials { email, password } = self.staff_credentials(role);
        self.sign_in(email, password).await
    }

    /// Tries to sign up.
    pub async fn signs_up(&self, email: &str, password: &str) -> Answer {
        let request = json!({
            "ClientId": self.aws.user_pool_client_id,
            "SecretHash": self.aws.secret_hash(email),
            "Username": email,
            "Password": password,
            "UserAttributes": [{ "Name": "email", "Value": email }],
        });
        let target = "AWSCognitoIdentityProviderService.SignUp";
        Answer::of(self.aws_request(target, &request)).await
    }

    /// Tries to sign in.
    pub async fn signs_in(&self, email: &str, password: &str) -> Answer {
        Answer::of(self.sign_in_request(email, password)).await
    }

    /// Tries to sign somebody in who has signed up for a story.
    pub async fn tries_to_sign_in(&self, email: &str) -> Answer {
        self.signs_in(email, PASSWORD).await
    }

    /// Somebody who has signed up for a story, with a token of now.
    pub async fn signs_in_again(&self, person: &Person) -> Person {
        self.sign_in(&person.email(), PASSWORD).await
    }

    /// Another session of somebody who has signed up for a story.
    pub async fn session(&self, email: &str) -> Session {
        let answer = self.tries_to_sign_in(email).await.with_status(200);
        let tokens: Value = answer.json();
        let refresh_token = tokens["AuthenticationResult"]["RefreshToken"].as_str();
        let refresh_token = refresh_token.expect("Cognito should give a refresh token");
        Session {
            refresh_token: refresh_token.to_owned(),
            since: Timestamp::now(),
        }
    }

    /// Tries to get new tokens for a session.
    pub async fn renews(&self, session: &Session) -> Answer {
        let request = json!({
            "ClientId": self.aws.user_pool_client_id,
            "ClientSecret": self.aws.user_pool_client_secret,
            "RefreshToken": session.refresh_token,
        });
        let target = "AWSCognitoIdentityProviderService.GetTokensFromRefreshToken";
        Answer::of(self.aws_request(target, &request)).await
    }

    /// Tries to finish a sign-in with an authenticator's code, saying `metadata` with it.
    pub async fn answers_the_challenge(
        &self,
        challenge: &Value,
        code: &str,
        metadata: &Value,
    ) -> Answer {
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
        Answer::of(self.aws_request(target, &request)).await
    }

    /// Waits for a second of the clock in which the session did not begin: the emulator ends those
    /// that began in seconds before.
    pub async fn a_second_after(&self, session: &Session) {
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

    /// Somebody without a token.
    pub fn stranger(&self) -> Person {
        Person::new(self, None)
    }

    /// Somebody with a token, good or bad.
    pub fn bearer(&self, token: &str) -> Person {
        Person::new(self, Some(token.to_owned()))
    }

    /// One of the two providers.
    pub(crate) fn provider(&self, provider: orders::Provider) -> &Provider {
        match provider {
            orders::Provider::Payments => &self.payments,
            orders::Provider::Shipping => &self.shipping,
        }
    }

    /// How the seed's shoppers sign in.
    pub(crate) fn shopper_credentials(&self) -> &[Credentials] {
        &self.shoppers
    }

    /// How the seed's user with that role signs in.
    pub(crate) fn staff_credentials(&self, role: &str) -> &Credentials {
        let user = self.users.iter().find(|user| user.role == role);
        &user.expect("there should be such a role").credentials
    }

    /// Somebody who has signed in, if AWS answers.
    pub(crate) async fn try_sign_in(&self, credentials: &Credentials) -> Option<Person> {
        let Credentials { email, password } = credentials;
        let answer = Answer::try_of(self.sign_in_request(email, password)).await;
        let answer = answer.ok().filter(|answer| answer.status == 200)?;
        Some(self.signed_in(&answer))
    }

    /// Whether a circuit is in that state; else, in which it is.
    pub async fn circuit_is(&self, provider: &str, state: &str) -> Result<(), String> {
        let circuit = self.circuit(provider).await;
        if circuit["state"] == state {
            Ok(())
        } else {
            Err(circuit.to_string())
        }
    }

    /// Whether both circuits are closed and have forgotten what failed before; else, how they are.
    pub async fn is_calm(&self) -> Result<(), String> {
        for provider in ["payments", "shipping"] {
            let circuit = self.circuit(provider).await;
            if circuit["state"] != "closed" || circuit["figures"]["failures"] != 0 {
                return Err(circuit.to_string());
            }
        }
        Ok(())
    }

    /// How a circuit stands, as an operator sees it.
    pub async fn circuit(&self, provider: &str) -> Value {
        let operator = self.staff("operator").await;
        let circuits = operator.gets("/v1/ops/circuits").await.with_status(200);
        let circuits: Value = circuits.json();
        let circuits = circuits["items"].as_array();
        let mut circuits = circuits.into_iter().flatten();
        let circuit = circuits.find(|circuit| circuit["provider"] == provider);
        circuit.expect("there should be such a circuit").clone()
    }

    /// Has an operator keep calls from a provider while the story is told. However that ends, the
    /// circuit is itself again.
    pub async fn while_forced_open(&self, provider: &str, story: impl AsyncFnOnce()) {
        let operator = self.staff("operator").await;
        let path = format!("/v1/ops/circuits/{provider}");
        let forces = async |force: Option<&str>| {
            let wish = json!({ "force": force, "reason": "A story is told." });
            let request = operator.request(Method::PUT, &path).json(&wish);
            Answer::of(request).await.with_status(200);
        };
        forces(Some("open")).await;
        // Each environment reads the circuit's state once a second.
        sleep(Duration::from_millis(1_500)).await;
        let told = AssertUnwindSafe(story()).catch_unwind().await;
        forces(None).await;
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Has the standby replay nothing while the story is told. However that ends, it goes on then.
    pub async fn while_the_standby_lags(&self, story: impl AsyncFnOnce()) {
        let standby = self.standby().await;
        standby.does("select pg_wal_replay_pause()").await;
        let told = AssertUnwindSafe(story()).catch_unwind().await;
        standby.does("select pg_wal_replay_resume()").await;
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Has another database, an empty one, be there while the story is told. However that ends, it is gone then.
    pub async fn while_there_is_another_database(&self, story: impl AsyncFnOnce(&str)) {
        let database = self.database().await;
        let name = format!("story_{}", Uuid::new_v4().simple());
        database.does(&format!("create database {name}")).await;
        let url = self
            .database
            .primary
            .replacen("/cauce?", &format!("/{name}?"), 1);
        let told = AssertUnwindSafe(story(&url)).catch_unwind().await;
        database
            .does(&format!("drop database {name} with (force)"))
            .await;
        told.unwrap_or_else(|panic| resume_unwind(panic));
    }

    /// Puts a message among the dead letters of the providers' events.
    pub async fn buries(&self, event: &Value) {
        let name = json!({ "QueueName": "cauce-provider-events-dead-letters" });
        let queue = self.aws_request("AmazonSQS.GetQueueUrl", &name);
        let queue: Value = Answer::of(queue).await.with_status(200).json();
        let message = json!({ "QueueUrl": queue["QueueUrl"], "MessageBody": event.to_string() });
        let sent = self.aws_request("AmazonSQS.SendMessage", &message);
        Answer::of(sent).await.with_status(200);
    }

    /// Ends an order's execution, as if it had been lost.
    pub async fn stops_execution(&self, order: &Order) {
        let machine = self.aws.order_state_machine_arn.as_str();
        let machine = machine.replacen(":stateMachine:", ":execution:", 1);
        let execution = json!({ "executionArn": format!("{machine}:{}", order.id) });
        let request = self.aws_request("AWSStepFunctions.StopExecution", &execution);
        Answer::of(request).await.with_status(200);
    }

    async fn sign_in(&self, email: &str, password: &str) -> Person {
        let answer = self.signs_in(email, password).await.with_status(200);
        self.signed_in(&answer)
    }

    /// Whom Cognito has given tokens.
    pub fn signed_in(&self, answer: &Answer) -> Person {
        let answer: Value = answer.json();
        let token = |name: &str| {
            let token = answer["AuthenticationResult"][name].as_str();
            token.expect("Cognito should give both tokens").to_owned()
        };
        let mut person = self.bearer(&token("AccessToken"));
        person.id_token = token("IdToken");
        person
    }

    /// A call of one of AWS's services that speak JSON, as whom all of it belongs to.
    pub fn aws_request(&self, target: &str, request: &serde_json::Value) -> RequestBuilder {
        let service = match target.split('.').next() {
            Some("AWSCognitoIdentityProviderService") => "cognito-idp",
            Some("AmazonSQS") => "sqs",
            Some("DynamoDB_20120810") => "dynamodb",
            Some("AWSStepFunctions") => "states",
            Some("CloudTrail_20131101") => "cloudtrail",
            Some("secretsmanager") => "secretsmanager",
            _ => panic!("{target} is of a service that no test calls"),
        };
        let body = request.to_string();
        self.signed(service, Method::POST, "/", body)
            .header("X-Amz-Target", target)
            .header("Content-Type", "application/x-amz-json-1.1")
    }

    /// The environment that the template gives a function.
    pub async fn environment_of(&self, function: &str) -> HashMap<String, String> {
        let path = format!("/2015-03-31/functions/cauce-{function}/configuration");
        let request = self.signed("lambda", Method::GET, &path, String::new());
        let configuration: Value = Answer::of(request).await.with_status(200).json();
        let variables = configuration["Environment"]["Variables"].clone();
        serde_json::from_value(variables).expect("the function should have an environment")
    }

    /// How many calls of a function may run at once, if so many are reserved for it.
    pub(crate) async fn reserved_concurrency(&self, function: &str) -> Option<u64> {
        let path = format!("/2019-09-30/functions/cauce-{function}/concurrency");
        let request = self.signed("lambda", Method::GET, &path, String::new());
        let reserved: Value = Answer::of(request).await.with_status(200).json();
        reserved["ReservedConcurrentExecutions"].as_u64()
    }

    /// A request to reserve so many calls at once for a function, which are then the most that it may
    /// have, or none.
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
        let headers = headers.expect("the request should be one");
        headers.into_iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }
}

/// A client whose requests the API takes for some that the CDN has passed on.
fn comes_through_the_cdn(key: &str) -> Client {
    let key = key.parse().expect("the key should fit into a header");
    let headers = HeaderMap::from_iter([(HeaderName::from_static("cauce-origin-key"), key)]);
    let client = Client::builder().default_headers(headers).build();
    client.expect("the client should be made")
}
