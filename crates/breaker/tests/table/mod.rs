//! Clients of the running stack's DynamoDB, and a table for the tests.

use std::{env, fs};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    error::SdkError,
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TableStatus,
    },
};
use breaker::DynamoDb;
use serde_json::Value;

/// The table of all tests. Each test uses its own circuits.
pub(crate) const TABLE: &str = "breaker-tests";

/// A client of the DynamoDB in the stack whose description is the file `CAUCE_STACK`.
pub(crate) fn client() -> Client {
    let description = env::var_os("CAUCE_STACK").and_then(|file| fs::read_to_string(file).ok());
    let Some(description) = description else {
        panic!("no stack is running: use cargo xtask test");
    };
    let description: Value = serde_json::from_str(&description).unwrap();
    client_at(description["aws"]["endpoint"].as_str().unwrap())
}

/// A client of the DynamoDB at `endpoint`.
pub(crate) fn client_at(endpoint: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

/// The store in the stack's table, which is created if it does not exist.
pub(crate) async fn store() -> DynamoDb {
    store_in(client()).await
}

/// The store in the client's table, which is created if it does not exist.
pub(crate) async fn store_in(client: Client) -> DynamoDb {
    let mut create = client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let key = KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind);
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        create = create
            .key_schema(key.build().unwrap())
            .attribute_definitions(attribute.build().unwrap());
    }
    match create.send().await.map_err(SdkError::into_service_error) {
        Ok(_) | Err(CreateTableError::ResourceInUseException(_)) => {}
        Err(error) => panic!("the table cannot be created: {error:?}"),
    }
    loop {
        let described = client.describe_table().table_name(TABLE).send().await;
        let table = described.unwrap().table.unwrap();
        if table.table_status == Some(TableStatus::Active) {
            return DynamoDb::new(client, TABLE);
        }
    }
}

/// A random name for a circuit.
pub(crate) fn new_name() -> String {
    format!("circuit-{:016x}", rand::random::<u64>())
}
