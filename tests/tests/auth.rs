//! Signing up, signing in, and what that allows.

use serde_json::Value;
use tests::{OrderRequest, Stack, shipped};
use uuid::Uuid;

#[tokio::test]
async fn a_new_person_signs_up_and_buys() {
    let stack = Stack::find();
    stack.database().await.restock("BOOKS-0161", 10).await;

    let shopper = stack.new_shopper().await;
    let order = shopper
        .place_order(&OrderRequest::of("BOOKS-0161", 1))
        .await;
    shopper.order(&order).until(shipped).await;
}

#[tokio::test]
async fn who_asks_is_told_who_they_are() {
    let stack = Stack::find();
    let shopper = stack.new_shopper().await;

    let me: Value = shopper.get("/v1/me").await.with_status(200).json();
    assert_eq!(me["id"], shopper.id().to_string());
    assert_eq!(me["email"], shopper.claims()["email"]);
    for scope in ["profile:read", "orders:read", "orders:write"] {
        assert!(
            me["scopes"].as_array().unwrap().contains(&scope.into()),
            "{scope}: {me}"
        );
    }
}

#[tokio::test]
async fn a_shopper_may_buy_and_nothing_more() {
    let stack = Stack::find();
    let scopes = stack.new_shopper().await.scopes();
    for scope in ["profile:read", "orders:read", "orders:write"] {
        assert!(scopes.contains(&scope.to_owned()), "{scope}: {scopes:?}");
    }
    for scope in [
        "orders:read-any",
        "orders:refund",
        "stock:write",
        "circuits:write",
        "users:write",
    ] {
        assert!(!scopes.contains(&scope.to_owned()), "{scope}: {scopes:?}");
    }
}

#[tokio::test]
async fn staff_may_do_what_their_role_needs() {
    let stack = Stack::find();
    for (role, may, may_not) in [
        ("support", "orders:read-any", "stock:write"),
        ("catalogue-manager", "products:write", "orders:refund"),
        ("operator", "circuits:write", "orders:refund"),
        ("administrator", "users:write", "everything"),
    ] {
        let scopes = stack.staff(role).await.scopes();
        assert!(scopes.contains(&may.to_owned()), "{role}: {scopes:?}");
        assert!(
            scopes.contains(&"orders:write".to_owned()),
            "{role}: {scopes:?}"
        );
        assert!(!scopes.contains(&may_not.to_owned()), "{role}: {scopes:?}");
    }
}

#[tokio::test]
async fn a_bad_address_is_refused_in_words_for_people() {
    let stack = Stack::find();
    // Cognito itself turns away what has no domain; what it lets pass is ours to refuse.
    for (email, words) in [
        ("ana", "should be an email"),
        ("ana@", "should be an email"),
        ("ana@cauce", "write it like name@example.com"),
        ("ana@cauce..example", "write it like name@example.com"),
        ("ana@-cauce.example", "write it like name@example.com"),
    ] {
        let answer = stack
            .sign_up(email, "a river on a laptop")
            .await
            .with_status(400);
        let said: Value = answer.json();
        let message = said["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{email}: {said}");
    }
}

#[tokio::test]
async fn a_wrong_password_signs_nobody_in() {
    let stack = Stack::find();
    let email = format!("{}@stories.cauce.example", Uuid::new_v4());
    stack
        .sign_up(&email, "a river on a laptop")
        .await
        .with_status(200);

    let answer = stack
        .sign_in(&email, "another river, somewhere")
        .await
        .with_status(400);
    assert!(
        answer.body.contains("NotAuthorizedException"),
        "{}",
        answer.body
    );
    let again = stack
        .sign_up(&email, "a third river altogether")
        .await
        .with_status(400);
    assert!(
        again.body.contains("UsernameExistsException"),
        "{}",
        again.body
    );
}
