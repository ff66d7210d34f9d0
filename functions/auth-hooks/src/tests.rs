//! Tests with whole events, as Cognito sends them and reads them back.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    thread::{self, JoinHandle},
};

use aws_sdk_cognitoidentityprovider::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::{HookError, Hooks, TriggerEvent};

const SUB: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A server in the place of Cognito, which answers one call.
struct Cognito {
    url: String,
    call: JoinHandle<(String, Value)>,
}

impl Cognito {
    fn respond_with(status: &'static str, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let call = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut operation = String::new();
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                match line.trim_end().split_once(": ") {
                    None if line.trim_end().is_empty() => break,
                    None => {}
                    Some((name, value)) => match name.to_ascii_lowercase().as_str() {
                        "x-amz-target" => value.clone_into(&mut operation),
                        "content-length" => length = value.parse().unwrap(),
                        _ => {}
                    },
                }
            }
            let mut request = vec![0; length];
            reader.read_exact(&mut request).unwrap();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}", body.len());
            let head = format!("{head}\r\nconnection: close\r\n\r\n");
            stream.write_all((head + body).as_bytes()).unwrap();
            (operation, serde_json::from_slice(&request).unwrap())
        });
        Self { url, call }
    }

    /// The operation that was called, and its input.
    fn received_call(self) -> (String, Value) {
        self.call.join().unwrap()
    }
}

fn hooks_at(url: &str) -> Hooks {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-south-2"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(url)
        .build();
    Hooks {
        cognito: Client::from_conf(config),
        auto_confirm: false,
        require_staff_totp: false,
    }
}

fn hooks() -> Hooks {
    hooks_at("http://127.0.0.1:9")
}

/// An event in Cognito's format.
fn event(version: &str, trigger: &str, request: &Value, response: &Value) -> Value {
    json!({
        "version": version,
        "triggerSource": trigger,
        "region": "eu-south-2",
        "userPoolId": "eu-south-2_Cauce0001",
        "userName": SUB,
        "callerContext": {
            "awsSdkVersion": "aws-sdk-js-3.1001.0",
            "clientId": "5lvbvmm3s9c3a7v2q8h1k4n6p0"
        },
        "request": request,
        "response": response
    })
}

fn sign_up(source: &str, attributes: &Value) -> Value {
    let request = json!({"userAttributes": attributes, "validationData": null});
    let response =
        json!({"autoConfirmUser": false, "autoVerifyEmail": false, "autoVerifyPhone": false});
    event("1", source, &request, &response)
}

fn confirmation(source: &str) -> Value {
    let attributes = json!({
        "sub": SUB,
        "email_verified": "true",
        "cognito:user_status": "CONFIRMED",
        "email": "ana@cauce.example"
    });
    let request = json!({"userAttributes": attributes});
    event("1", source, &request, &json!({}))
}

fn token(groups: &Value) -> Value {
    let request = json!({
        "userAttributes": {
            "sub": SUB,
            "cognito:user_status": "CONFIRMED",
            "email_verified": "true",
            "email": "ana@cauce.example"
        },
        "groupConfiguration": {
            "groupsToOverride": groups,
            "iamRolesToOverride": [],
            "preferredRole": null
        },
        "scopes": ["aws.cognito.signin.user.admin"]
    });
    let response = json!({"claimsAndScopeOverrideDetails": null});
    event("2", "TokenGeneration_Authentication", &request, &response)
}

fn message(source: &str, locale: Option<&str>, metadata: Option<&str>) -> Value {
    let user_name = source.ends_with("AdminCreateUser").then_some("{username}");
    let request = json!({
        "userAttributes": {
            "sub": SUB,
            "email": "ana@cauce.example",
            "name": "<a href='https://evil.example'>You won</a>",
            "locale": locale
        },
        "codeParameter": "{####}",
        "linkParameter": "{##Click Here##}",
        "usernameParameter": user_name,
        "clientMetadata": metadata.map(|locale| json!({"locale": locale}))
    });
    let response = json!({"smsMessage": null, "emailMessage": null, "emailSubject": null});
    event("1", source, &request, &response)
}

async fn answer(hooks: &Hooks, event: &Value) -> Result<Value, HookError> {
    let event: TriggerEvent = serde_json::from_value(event.clone()).unwrap();
    Ok(serde_json::to_value(hooks.handle(event).await?).unwrap())
}

/// Asserts that the answer differs from the event only in its response.
fn assert_only_response_differs(event: &Value, answer: &Value) {
    let (mut event, mut answer) = (event.clone(), answer.clone());
    event["response"].take();
    answer["response"].take();
    assert_eq!(answer, event);
}

fn scopes(answer: &Value) -> Vec<&str> {
    let access = &answer["response"]["claimsAndScopeOverrideDetails"]["accessTokenGeneration"];
    let scopes = access["scopesToAdd"].as_array().unwrap();
    scopes.iter().filter_map(Value::as_str).collect()
}

fn claims(answer: &Value) -> &Value {
    let access = &answer["response"]["claimsAndScopeOverrideDetails"]["accessTokenGeneration"];
    &access["claimsToAddOrOverride"]
}

#[tokio::test]
async fn a_sign_up_with_a_valid_address_is_allowed_but_not_confirmed() {
    let event = sign_up("PreSignUp_SignUp", &json!({"email": "ana@cauce.example"}));
    let answer = answer(&hooks(), &event).await.unwrap();
    assert_only_response_differs(&event, &answer);
    assert_json_snapshot!(answer);
}

#[tokio::test]
async fn with_auto_confirm_a_new_user_is_confirmed_at_once() {
    let hooks = Hooks {
        auto_confirm: true,
        ..hooks()
    };
    let event = sign_up("PreSignUp_SignUp", &json!({"email": "ana@cauce.example"}));
    let answer = answer(&hooks, &event).await.unwrap();
    assert_json_snapshot!(answer["response"]);
}

#[tokio::test]
async fn a_mistyped_address_is_refused_with_a_text_for_the_user() {
    for source in [
        "PreSignUp_SignUp",
        "PreSignUp_AdminCreateUser",
        "PreSignUp_ExternalProvider",
    ] {
        let mistyped = sign_up(source, &json!({"email": "ana@cauce"}));
        let refusal = answer(&hooks(), &mistyped).await.unwrap_err().to_string();
        assert_eq!(
            refusal,
            "this e-mail address is not complete or has a typing error; \
             write it like name@example.com"
        );
        let without = sign_up(source, &json!({}));
        let refusal = answer(&hooks(), &without).await.unwrap_err().to_string();
        assert_eq!(
            refusal,
            "an e-mail address is needed, such as name@example.com"
        );
    }
}

#[tokio::test]
async fn a_confirmed_user_is_added_to_the_shoppers() {
    let cognito = Cognito::respond_with("200 OK", "{}");
    let event = confirmation("PostConfirmation_ConfirmSignUp");
    let answer = answer(&hooks_at(&cognito.url), &event).await.unwrap();
    assert_eq!(answer, event);
    let (operation, input) = cognito.received_call();
    assert_eq!(
        operation,
        "AWSCognitoIdentityProviderService.AdminAddUserToGroup"
    );
    let expected = json!({
        "UserPoolId": "eu-south-2_Cauce0001", "Username": SUB, "GroupName": "shopper"
    });
    assert_eq!(input, expected);
}

#[tokio::test]
async fn a_confirmation_succeeds_even_if_the_group_is_missing() {
    let missing = r#"{"__type": "ResourceNotFoundException", "message": "Group not found."}"#;
    let cognito = Cognito::respond_with("400 Bad Request", missing);
    let event = confirmation("PostConfirmation_ConfirmSignUp");
    let answer = answer(&hooks_at(&cognito.url), &event).await.unwrap();
    assert_eq!(answer, event);
    cognito.received_call();
}

#[tokio::test]
async fn a_token_has_the_scopes_of_the_users_groups_and_keeps_the_groups() {
    let event = token(&json!(["support", "shopper", "operator", "beta-testers"]));
    let answer = answer(&hooks(), &event).await.unwrap();
    assert_only_response_differs(&event, &answer);
    assert_json_snapshot!(answer);
}

#[tokio::test]
async fn every_user_is_at_least_a_shopper() {
    for groups in [
        json!([]),
        json!(null),
        json!(["beta-testers"]),
        json!(["shopper"]),
    ] {
        let answer = answer(&hooks(), &token(&groups)).await.unwrap();
        assert_eq!(
            scopes(&answer),
            [
                "orders:read",
                "orders:write",
                "profile:delete",
                "profile:export",
                "profile:read"
            ]
        );
    }
}

/// Hooks that require a second factor of staff.
fn strict_hooks_at(url: &str) -> Hooks {
    Hooks {
        require_staff_totp: true,
        ..hooks_at(url)
    }
}

/// The event for the tokens of a member of staff. It has client metadata unless that is null.
fn staff_token(source: &str, metadata: Value) -> Value {
    let mut event = token(&json!(["shopper", "operator"]));
    event["triggerSource"] = json!(source);
    if !metadata.is_null() {
        event["request"]["clientMetadata"] = metadata;
    }
    event
}

const SIGN_IN: &str = "TokenGeneration_Authentication";
const RENEWAL: &str = "TokenGeneration_RefreshTokens";

/// Cognito's response for a user with an authenticator.
const WITH_TOTP: &str = r#"{"Username": "ana", "UserMFASettingList": ["SOFTWARE_TOKEN_MFA"]}"#;

fn with_code() -> Value {
    json!({ "second_factor": "totp" })
}

#[tokio::test]
async fn a_session_that_began_with_a_code_gets_and_keeps_staff_scopes() {
    for source in [SIGN_IN, RENEWAL] {
        let cognito = Cognito::respond_with("200 OK", WITH_TOTP);
        let event = staff_token(source, with_code());
        let answer = answer(&strict_hooks_at(&cognito.url), &event)
            .await
            .unwrap();
        assert_only_response_differs(&event, &answer);
        assert!(scopes(&answer).contains(&"circuits:write"), "{source}");
        assert_eq!(claims(&answer)["second_factor"], "totp", "{source}");
        let (operation, input) = cognito.received_call();
        assert_eq!(operation, "AWSCognitoIdentityProviderService.AdminGetUser");
        let expected = json!({ "UserPoolId": "eu-south-2_Cauce0001", "Username": SUB });
        assert_eq!(input, expected);
    }
}

/// The attack: sign in by password, set up an authenticator with any API, and renew the tokens.
#[tokio::test]
async fn a_session_that_began_by_password_never_gets_staff_scopes() {
    for (source, metadata) in [
        (SIGN_IN, json!(null)),
        (RENEWAL, json!(null)),
        (RENEWAL, json!({})),
        (RENEWAL, json!({ "second_factor": "" })),
        (RENEWAL, json!({ "second_factor": "sms" })),
        // Sign-ins that this shop does not offer: their metadata is ignored.
        ("TokenGeneration_NewPasswordChallenge", with_code()),
        ("TokenGeneration_HostedAuth", with_code()),
        ("TokenGeneration_AuthenticateDevice", with_code()),
    ] {
        // Cognito is not called: the user may have an authenticator by now.
        let hooks = strict_hooks_at("http://127.0.0.1:9");
        let event = staff_token(source, metadata);
        let answer = answer(&hooks, &event).await.unwrap();
        let scopes = scopes(&answer);
        assert!(!scopes.contains(&"circuits:write"), "{event}");
        assert!(scopes.contains(&"orders:write"), "{event}");
        assert_eq!(claims(&answer)["second_factor"], json!(null), "{event}");
    }
}

#[tokio::test]
async fn a_session_loses_its_staff_scopes_when_the_authenticator_is_reset() {
    for found in [
        r#"{"Username": "ana"}"#,
        r#"{"Username": "ana", "UserMFASettingList": []}"#,
        r#"{"Username": "ana", "UserMFASettingList": ["SMS_MFA"]}"#,
    ] {
        let cognito = Cognito::respond_with("200 OK", found);
        let event = staff_token(RENEWAL, with_code());
        let answer = answer(&strict_hooks_at(&cognito.url), &event)
            .await
            .unwrap();
        assert!(!scopes(&answer).contains(&"circuits:write"), "{found}");
        cognito.received_call();
    }
}

#[tokio::test]
async fn replacing_a_forgotten_password_ends_every_session() {
    for (status, body) in [
        ("200 OK", "{}"),
        ("400 Bad Request", r#"{"__type": "AccessDeniedException"}"#),
    ] {
        let cognito = Cognito::respond_with(status, body);
        let event = confirmation("PostConfirmation_ConfirmForgotPassword");
        let answer = answer(&hooks_at(&cognito.url), &event).await.unwrap();
        assert_eq!(answer, event);
        let (operation, input) = cognito.received_call();
        let sign_out = "AWSCognitoIdentityProviderService.AdminUserGlobalSignOut";
        assert_eq!(operation, sign_out);
        let expected = json!({ "UserPoolId": "eu-south-2_Cauce0001", "Username": SUB });
        assert_eq!(input, expected);
    }
}

#[tokio::test]
async fn a_message_with_a_password_code_says_why_it_was_requested() {
    for (metadata, subject) in [
        (json!({}), "A new password for Cauce"),
        (
            json!({ "occasion": "sign-up" }),
            "You have an account at Cauce",
        ),
        (
            json!({ "occasion": "address-change" }),
            "Your e-mail address at Cauce is being changed",
        ),
    ] {
        let mut event = message("CustomMessage_ForgotPassword", Some("en"), None);
        event["request"]["clientMetadata"] = metadata;
        let answer = answer(&hooks(), &event).await.unwrap();
        assert_eq!(answer["response"]["emailSubject"], subject);
        let body = answer["response"]["emailMessage"].as_str().unwrap();
        assert!(body.contains("{####}"), "{body}");
    }
}

#[tokio::test]
async fn a_shopper_needs_no_authenticator() {
    // Cognito is not called: nothing listens at this address.
    let event = token(&json!(["shopper", "beta-testers"]));
    let hooks = strict_hooks_at("http://127.0.0.1:9");
    let answer = answer(&hooks, &event).await.unwrap();
    assert!(scopes(&answer).contains(&"orders:write"));
}

#[tokio::test]
async fn staff_get_no_token_if_cognito_does_not_return_their_authenticator() {
    let refusal = r#"{"__type": "AccessDeniedException", "message": "No."}"#;
    let cognito = Cognito::respond_with("400 Bad Request", refusal);
    let event = staff_token(SIGN_IN, with_code());
    let hooks = strict_hooks_at(&cognito.url);
    let error = answer(&hooks, &event).await.unwrap_err();
    assert!(matches!(error, HookError::Unavailable(_)), "{error:?}");
    cognito.received_call();
}

#[tokio::test]
async fn a_user_without_an_address_gets_a_token_without_one() {
    let mut event = token(&json!([]));
    event["request"] = json!({"userAttributes": {"sub": SUB}, "scopes": []});
    let answer = answer(&hooks(), &event).await.unwrap();
    assert_json_snapshot!(answer["response"]);
}

#[tokio::test]
async fn each_message_is_written_in_both_languages() {
    let mut messages = BTreeMap::new();
    for source in [
        "CustomMessage_SignUp",
        "CustomMessage_ResendCode",
        "CustomMessage_ForgotPassword",
        "CustomMessage_UpdateUserAttribute",
        "CustomMessage_VerifyUserAttribute",
        "CustomMessage_AdminCreateUser",
        "CustomMessage_Authentication",
    ] {
        for locale in ["en", "es"] {
            let event = message(source, Some(locale), None);
            let answer = answer(&hooks(), &event).await.unwrap();
            assert_only_response_differs(&event, &answer);
            let body = answer["response"]["emailMessage"].as_str().unwrap();
            assert!(body.contains("{####}"), "{source} has a code");
            assert!(!body.contains("evil"), "{source} repeats what a user wrote");
            let invites = source == "CustomMessage_AdminCreateUser";
            assert_eq!(body.contains("{username}"), invites, "{source}");
            messages.insert(format!("{source} {locale}"), answer["response"].clone());
        }
    }
    assert_json_snapshot!(messages);
}

#[tokio::test]
async fn a_message_is_in_the_users_language_else_that_of_the_page_else_english() {
    for (locale, metadata, lang) in [
        (Some("es-MX"), None, "es"),
        (Some("ES_es"), Some("en"), "es"),
        (Some("en-GB"), Some("es"), "en"),
        (Some(""), Some("es"), "es"),
        (None, Some("es"), "es"),
        (Some("fr"), None, "en"),
        (Some("é"), None, "en"),
        (None, None, "en"),
    ] {
        let event = message("CustomMessage_SignUp", locale, metadata);
        let answer = answer(&hooks(), &event).await.unwrap();
        let body = answer["response"]["emailMessage"].as_str().unwrap();
        let expected = format!("<html lang=\"{lang}\">");
        assert!(body.contains(&expected), "{locale:?} {metadata:?}");
    }
}

#[tokio::test]
async fn an_event_that_needs_no_response_is_returned_unchanged() {
    let mut machine = token(&json!(null));
    machine["triggerSource"] = json!("TokenGeneration_ClientCredentials");
    let sign_in = event(
        "1",
        "PreAuthentication_Authentication",
        &json!({"userAttributes": {"sub": SUB}, "userNotFound": false}),
        &json!(null),
    );
    for event in [machine, sign_in] {
        assert_eq!(answer(&hooks(), &event).await.unwrap(), event);
    }
}

#[tokio::test]
async fn an_event_with_missing_fields_is_refused() {
    let event = event("1", "CustomMessage_SignUp", &json!({}), &json!({}));
    let error = answer(&hooks(), &event).await.unwrap_err();
    assert!(matches!(error, HookError::Malformed(_)));
}
