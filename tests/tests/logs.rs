//! Logs contain no personal data.

use std::{fs, time::Duration};

use tests::Stack;
use uuid::Uuid;

/// How long PostgreSQL may take to write a line.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test]
async fn the_database_logs_statements_without_their_parameters() {
    let stack = Stack::find();
    let database = stack.database().await;
    let (mark, email) = (
        Uuid::new_v4(),
        format!("{}@stories.cauce.example", Uuid::new_v4()),
    );
    // Every statement of this connection is logged as slow.
    database.execute("set log_min_duration_statement = 0").await;
    database
        .execute("create temporary table addresses (email text unique)")
        .await;
    let insert = format!("insert into addresses (email) values ($1) -- {mark}");
    assert!(database.try_execute(&insert, &email).await);
    // The second one fails. PostgreSQL's DETAIL would quote the address.
    assert!(!database.try_execute(&insert, &email).await);
    tokio::time::sleep(WRITTEN_WITHIN).await;

    let log = fs::read_to_string(stack.logs.join("postgres-primary.log")).unwrap();
    assert!(log.contains(&mark.to_string()), "the statement is logged");
    assert!(log.contains("duplicate key value"), "the error is logged");
    assert!(!log.contains(&email), "the address is logged too");
}
