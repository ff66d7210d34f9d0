//! What counts is how a session was begun, and not what its person has set up since.

use serde_json::{Value, json};
use tests::{Answer, Authenticator, PASSWORD, Person, Stack};
use uuid::Uuid;

/// What the access token says of how its session was begun.
fn begun_with(person: &Person) -> Value {
    person.claims()["second_factor"].clone()
}

/// A renewed session, as the one who has its tokens.
async fn renewed(stack: &Stack, session: &tests::Session) -> Person {
    stack.person_from_tokens(&stack.renew(session).await.with_status(200))
}

#[tokio::test]
async fn a_session_from_before_the_authenticator_stays_what_it_was() {
    let stack = Stack::find();
    let person = stack.new_shopper().await;
    let session = stack.session(&person.email()).await;

    Authenticator::of(&stack, &person).await;
    let later = renewed(&stack, &session).await;
    assert_eq!(begun_with(&person), Value::Null);
    assert_eq!(begun_with(&later), Value::Null);
}

#[tokio::test]
async fn a_sign_in_with_a_code_says_so() {
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
        let answer = stack.answer_challenge(&challenge, &code, &metadata).await;
        let person = stack.person_from_tokens(&answer.with_status(200));
        assert_eq!(begun_with(&person), said, "{metadata}");
    }
}

/// Only the frontend has the app client's secret, so only it can say how a session was begun.
#[tokio::test]
async fn nobody_signs_in_without_the_app_clients_secret() {
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
        let answer = Answer::of(stack.aws_request(target, &request)).await;
        let answer = answer.with_status(400);
        assert!(answer.body.contains("NotAuthorized"), "{}", answer.body);
    }
    let sign_up = json!({
        "ClientId": stack.aws.user_pool_client_id,
        "Username": format!("{}@stories.cauce.example", Uuid::new_v4()),
        "Password": PASSWORD,
    });
    let target = "AWSCognitoIdentityProviderService.SignUp";
    let answer = Answer::of(stack.aws_request(target, &sign_up)).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
}
