//! The second factor of a session depends on how the session began, not on what its user has set up
//! since.

use serde_json::{Value, json};
use tests::{Authenticator, PASSWORD, Person, Response, Stack};
use uuid::Uuid;

/// The claim of the access token about how its session began.
fn session_claim(person: &Person) -> Value {
    person.claims()["second_factor"].clone()
}

/// Renews a session and returns the person with the new tokens.
async fn renew(stack: &Stack, session: &tests::Session) -> Person {
    stack.person_from_tokens(&stack.renew(session).await.with_status(200))
}

#[tokio::test]
async fn a_session_from_before_the_authenticator_has_no_second_factor() {
    let stack = Stack::find();
    let person = stack.new_shopper().await;
    let session = stack.session(&person.email()).await;

    Authenticator::of(&stack, &person).await;
    let later = renew(&stack, &session).await;
    assert_eq!(session_claim(&person), Value::Null);
    assert_eq!(session_claim(&later), Value::Null);
}

#[tokio::test]
async fn a_sign_in_with_a_code_has_a_second_factor() {
    let stack = Stack::find();
    let person = stack.new_shopper().await;
    let authenticator = Authenticator::of(&stack, &person).await;

    let challenge = stack.sign_in_test_user(&person.email()).await;
    let challenge: Value = challenge.with_status(200).json();
    assert_eq!(challenge["ChallengeName"], "SOFTWARE_TOKEN_MFA");
    let as_the_frontend = json!({ "second_factor": "totp" });
    let wrong = stack
        .answer_challenge(&challenge, "12345x", &as_the_frontend)
        .await;
    assert!(wrong.body.contains("CodeMismatch"), "{}", wrong.body);
    for (metadata, said) in [
        (as_the_frontend, json!("totp")),
        (json!({ "second_factor": "sms" }), Value::Null),
        (json!({}), Value::Null),
    ] {
        let code = authenticator.code();
        let response = stack.answer_challenge(&challenge, &code, &metadata).await;
        let person = stack.person_from_tokens(&response.with_status(200));
        assert_eq!(session_claim(&person), said, "{metadata}");
    }
}

/// Only the frontend has the secret of the app client, so only it can state how a session began.
#[tokio::test]
async fn sign_in_requires_the_secret_of_the_app_client() {
    let stack = Stack::find();
    let person = stack.new_shopper().await;
    let email = person.email();
    for hash in [None, Some("bm90IHRoZSBoYXNo")] {
        let mut parameters = json!({ "USERNAME": email, "PASSWORD": PASSWORD });
        if let Some(hash) = hash {
            parameters["SECRET_HASH"] = json!(hash);
        }
        let request = json!({
            "AuthFlow": "USER_PASSWORD_AUTH",
            "ClientId": stack.aws.user_pool_client_id,
            "AuthParameters": parameters,
        });
        let target = "AWSCognitoIdentityProviderService.InitiateAuth";
        let response = Response::of(stack.aws_request(target, &request)).await;
        let response = response.with_status(400);
        assert!(response.body.contains("NotAuthorized"), "{}", response.body);
    }
    let sign_up = json!({
        "ClientId": stack.aws.user_pool_client_id,
        "Username": format!("{}@stories.cauce.example", Uuid::new_v4()),
        "Password": PASSWORD,
    });
    let target = "AWSCognitoIdentityProviderService.SignUp";
    let response = Response::of(stack.aws_request(target, &sign_up)).await;
    assert_eq!(response.status, 400, "{}", response.body);
}
