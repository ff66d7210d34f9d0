//! Sign-up, sign-in, and the scopes of each role.

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
async fn me_returns_the_callers_own_profile() {
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
async fn a_shopper_has_only_the_scopes_for_buying() {
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
async fn each_staff_role_has_its_own_scopes() {
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
async fn an_invalid_email_address_is_refused_with_a_helpful_message() {
    let stack = Stack::find();
    // Cognito itself rejects addresses without a domain. Our hook rejects the others.
    for (email, words) in [
        ("ana", "should be an email"),
        ("ana@", "should be an email"),
        ("ana@cauce", "write it like name@example.com"),
        ("ana@cauce..example", "write it like name@example.com"),
        ("ana@-cauce.example", "write it like name@example.com"),
    ] {
        let response = stack
            .sign_up(email, "a river on a laptop")
            .await
            .with_status(400);
        let body: Value = response.json();
        let message = body["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{email}: {body}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let stack = Stack::find();
    let email = format!("{}@stories.cauce.example", Uuid::new_v4());
    stack
        .sign_up(&email, "a river on a laptop")
        .await
        .with_status(200);

    let response = stack
        .sign_in(&email, "another river, somewhere")
        .await
        .with_status(400);
    assert!(
        response.body.contains("NotAuthorizedException"),
        "{}",
        response.body
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
