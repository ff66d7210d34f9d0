//! The work of administrators: users, their roles and sessions, and the audit log. Some tests
//! change who is an administrator and therefore run one at a time.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use std::{process::Command, sync::LazyLock};

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Authenticator, Person, Response, Stack, eventually};
use tokio::sync::{Mutex, MutexGuard};
use uuid::Uuid;

const WHY: &str = "A test.";

/// The exclusive right to change who is an administrator.
async fn lock_roles() -> MutexGuard<'static, ()> {
    static LOCK: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
    LOCK.lock().await
}

async fn get(person: &Person, path: &str) -> Value {
    person.get(path).await.with_status(200).json()
}

async fn set_roles(person: &Person, user: Uuid, roles: &[&str]) -> Response {
    let body = json!({ "roles": roles, "reason": WHY });
    let path = format!("/v1/users/{user}/roles");
    Response::of(person.request(Method::PUT, &path).json(&body)).await
}

async fn post(person: &Person, what: &str, user: Uuid) -> Response {
    let path = format!("/v1/users/{user}/{what}");
    let request = person.request(Method::POST, &path);
    Response::of(request.json(&json!({ "reason": WHY }))).await
}

fn names(value: &Value) -> Vec<&str> {
    let names = value.as_array().unwrap().iter();
    names.filter_map(Value::as_str).collect()
}

/// A new user with these roles, signed in after they were assigned.
async fn new_person(stack: &Stack, administrator: &Person, roles: &[&str]) -> Person {
    let person = stack.new_shopper().await;
    set_roles(administrator, person.id(), roles)
        .await
        .with_status(200);
    stack.sign_in_again(&person).await
}

const USERS: &str = "/v1/users/search";
const AUDIT: &str = "/v1/audit/search";

/// All items that a search finds, over all pages.
async fn search_all(person: &Person, path: &str, query: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = person.search(path, &format!("{query}{cursor}")).await;
        let page: Value = page.with_status(200).json();
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn users_are_found_by_address_status_and_role() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    let shopper = stack.new_shopper().await;
    let email = shopper.email();

    let found = search_all(&administrator, USERS, &format!("email={email}")).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["id"], shopper.id().to_string());
    assert_eq!(found[0]["email"], email);
    assert_eq!(found[0]["status"], "enabled");
    assert_eq!(found[0]["confirmed"], true);
    assert_eq!(names(&found[0]["roles"]), ["shopper"]);
    let one = get(&administrator, &format!("/v1/users/{}", shopper.id())).await;
    assert_eq!(one["email"], email);
    assert_eq!(one["second_factor"], false);

    let beginning = &email[..20].to_uppercase();
    for (query, there) in [
        (format!("email={beginning}"), true),
        (format!("email={beginning}&status=enabled"), true),
        (format!("email={beginning}&status=disabled"), false),
        (format!("email={beginning}&role=shopper"), true),
        (format!("email={beginning}&role=operator"), false),
    ] {
        let found = search_all(&administrator, USERS, &query).await;
        let found = found.iter().any(|user| user["email"] == email);
        assert_eq!(found, there, "{query}");
    }
    let operators = search_all(&administrator, USERS, "role=operator&limit=1").await;
    let operator = stack.staff("operator").await.email();
    assert!(operators.iter().any(|user| user["email"] == operator));
    for user in &operators {
        assert!(names(&user["roles"]).contains(&"operator"), "{user}");
    }
}

#[tokio::test]
async fn a_cursor_of_users_is_valid_only_for_its_own_search() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    let first = administrator.search(USERS, "email=shopper&limit=5").await;
    let first: Value = first.with_status(200).json();
    assert_eq!(first["items"].as_array().unwrap().len(), 5);
    let cursor = first["next_cursor"].as_str().unwrap();
    let users = search_all(&administrator, USERS, "email=shopper&limit=5").await;
    assert!(users.len() >= 20, "{}", users.len());

    for query in [
        format!("email=support&cursor={cursor}"),
        format!("cursor={cursor}"),
        "cursor=x".to_owned(),
    ] {
        let response = administrator.search(USERS, &query).await;
        response.assert_problem(400, "invalid-cursor", Some("cursor"));
    }
}

#[tokio::test]
async fn changing_roles_ends_the_sessions() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    let person = stack.new_shopper().await;
    let session = stack.session(&person.email()).await;
    stack.wait_for_second_after(&session).await;

    let given = set_roles(&administrator, person.id(), &["support", "operator"]).await;
    let given: Value = given.with_status(200).json();
    assert_eq!(names(&given["roles"]), ["shopper", "support", "operator"]);
    // A new role takes effect at the next sign-in, with everything that it requires.
    stack.renew(&session).await.with_status(400);
    let now = stack.sign_in_again(&person).await;
    assert!(now.scopes().contains(&"circuits:write".to_owned()));

    let session = stack.session(&person.email()).await;
    stack.wait_for_second_after(&session).await;
    let taken = set_roles(&administrator, person.id(), &["support"]).await;
    let taken: Value = taken.with_status(200).json();
    assert_eq!(names(&taken["roles"]), ["shopper", "support"]);
    stack.renew(&session).await.with_status(400);
    let now = stack.sign_in_again(&person).await;
    assert!(!now.scopes().contains(&"circuits:write".to_owned()));
    assert!(now.scopes().contains(&"orders:refund".to_owned()));

    let database = stack.database().await;
    let audit = database.audit_of(&person.id().to_string()).await;
    assert_eq!(audit.len(), 2, "{audit:?}");
    for row in &audit {
        assert_eq!(row["action"], "user.roles");
        assert_eq!(row["outcome"], "done");
        assert_eq!(row["reason"], WHY);
        assert_eq!(row["actor"], administrator.email());
    }
    let roles = |row: usize, when: &str| names(&audit[row][when]["roles"]).join(" ");
    assert_eq!(roles(0, "before"), "shopper");
    assert_eq!(roles(0, "after"), "shopper support operator");
    assert_eq!(roles(1, "before"), "shopper support operator");
    assert_eq!(roles(1, "after"), "shopper support");
}

#[tokio::test]
async fn a_disabled_user_is_signed_out_until_enabled() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    let person = stack.new_shopper().await;
    let email = person.email();
    let session = stack.session(&email).await;

    stack.wait_for_second_after(&session).await;
    let disabled = post(&administrator, "disable", person.id()).await;
    let disabled: Value = disabled.with_status(200).json();
    assert_eq!(disabled["status"], "disabled");
    stack.renew(&session).await.with_status(400);
    stack.sign_in_test_user(&email).await.with_status(400);
    // A repetition is harmless.
    post(&administrator, "disable", person.id())
        .await
        .with_status(200);

    let enabled = post(&administrator, "enable", person.id()).await;
    let enabled: Value = enabled.with_status(200).json();
    assert_eq!(enabled["status"], "enabled");
    stack.renew(&session).await.with_status(400);
    stack.sign_in_test_user(&email).await.with_status(200);

    let database = stack.database().await;
    let audit = database.audit_of(&person.id().to_string()).await;
    let actions: Vec<_> = audit.iter().map(|row| row["action"].as_str()).collect();
    let actions: Vec<_> = actions.into_iter().flatten().collect();
    assert_eq!(actions, ["user.disable", "user.disable", "user.enable"]);
    assert_eq!(audit[0]["before"]["status"], "enabled");
    assert_eq!(audit[0]["after"]["status"], "disabled");
}

#[tokio::test]
async fn a_user_is_signed_out_everywhere() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    let person = stack.new_shopper().await;
    let (here, there) = (
        stack.session(&person.email()).await,
        stack.session(&person.email()).await,
    );
    stack.wait_for_second_after(&there).await;
    post(&administrator, "sign-out", person.id())
        .await
        .with_status(200);
    for session in [here, there] {
        stack.renew(&session).await.with_status(400);
    }
    stack
        .sign_in_test_user(&person.email())
        .await
        .with_status(200);
}

#[tokio::test]
async fn administrators_cannot_change_their_own_roles_or_disable_themselves() {
    let stack = Stack::find();
    let _lock = lock_roles().await;
    let administrator = stack.staff("administrator").await;
    let other = new_person(&stack, &administrator, &["administrator"]).await;

    let me = other.id();
    for response in [
        set_roles(&other, me, &["administrator", "operator"]).await,
        set_roles(&other, me, &[]).await,
        post(&other, "disable", me).await,
        post(&other, "enable", me).await,
    ] {
        response.assert_problem(409, "own-account", None);
    }
    set_roles(&administrator, me, &[]).await.with_status(200);
    // The token still has the role, but the user post not.
    let response = set_roles(&other, administrator.id(), &[]).await;
    response.assert_problem(409, "last-administrator", None);
    let response = set_roles(&other, stack.new_shopper().await.id(), &["support"]).await;
    response.assert_problem(403, "not-administrator", None);
    let response = set_roles(&other, me, &["administrator"]).await;
    response.assert_problem(409, "own-account", None);
}

#[tokio::test]
async fn the_last_administrator_cannot_be_removed() {
    let stack = Stack::find();
    let _lock = lock_roles().await;
    let last = stack.staff("administrator").await;
    for response in [
        set_roles(&last, last.id(), &["operator"]).await,
        post(&last, "disable", last.id()).await,
    ] {
        response.assert_problem(409, "last-administrator", None);
    }
    let one = get(&last, &format!("/v1/users/{}", last.id())).await;
    assert_eq!(one["status"], "enabled");
    assert!(names(&one["roles"]).contains(&"administrator"), "{one}");
}

#[tokio::test]
async fn one_of_two_administrators_who_remove_each_other_remains() {
    let stack = Stack::find();
    let _lock = lock_roles().await;
    let administrator = stack.staff("administrator").await;
    let one = new_person(&stack, &administrator, &["administrator"]).await;
    let other = new_person(&stack, &administrator, &["administrator"]).await;

    let (first, second) = tokio::join!(
        set_roles(&one, other.id(), &[]),
        post(&other, "disable", one.id()),
    );
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "{first:?} {second:?}");
    let lost = if first.status == 200 { second } else { first };
    lost.assert_problem(403, "not-administrator", None);

    for person in [one, other] {
        let undone = set_roles(&administrator, person.id(), &[]).await;
        undone.with_status(200);
    }
}

#[tokio::test]
async fn an_unknown_user_is_not_found() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    for user in [Uuid::now_v7().to_string(), "ana".to_owned()] {
        let response = administrator.get(&format!("/v1/users/{user}")).await;
        response.assert_problem(404, "not-found", None);
        for (method, what) in [
            (Method::PUT, "roles"),
            (Method::POST, "disable"),
            (Method::POST, "enable"),
            (Method::POST, "sign-out"),
            (Method::POST, "second-factor/reset"),
        ] {
            let body = match what {
                "roles" => json!({ "roles": ["support"], "reason": WHY }),
                _ => json!({ "reason": WHY }),
            };
            let path = format!("/v1/users/{user}/{what}");
            let request = administrator.request(method, &path).json(&body);
            Response::of(request)
                .await
                .assert_problem(404, "not-found", None);
        }
    }
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_its_field_and_changes_nothing() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    let person = stack.new_shopper().await;
    let path = format!("/v1/users/{}/roles", person.id());
    for (body, field) in [
        (json!({ "roles": ["support"] }), "reason"),
        (json!({ "roles": ["support"], "reason": "  " }), "reason"),
        (json!({ "roles": ["king"], "reason": WHY }), "roles[0]"),
        (json!({ "roles": [7], "reason": WHY }), "roles[0]"),
        (json!({ "roles": null, "reason": WHY }), "roles"),
        (json!({ "reason": WHY }), "roles"),
        (
            json!({ "roles": ["support"], "reason": "x".repeat(501) }),
            "reason",
        ),
    ] {
        let request = administrator.request(Method::PUT, &path).json(&body);
        let response = Response::of(request).await;
        response.assert_problem(422, "validation", Some(field));
    }
    let one = get(&administrator, &format!("/v1/users/{}", person.id())).await;
    assert_eq!(names(&one["roles"]), ["shopper"]);
}

#[tokio::test]
async fn an_administrator_resets_a_lost_authenticator_and_is_audited() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    let person = stack.new_shopper().await;
    let session = stack.session(&person.email()).await;
    Authenticator::of(&stack, &person).await;
    let read = async || get(&administrator, &format!("/v1/users/{}", person.id())).await;
    assert_eq!(read().await["second_factor"], true);
    let challenge: Value = stack.sign_in_test_user(&person.email()).await.json();
    assert_eq!(challenge["ChallengeName"], "SOFTWARE_TOKEN_MFA");

    let support = stack.staff("support").await;
    let refused = post(&support, "second-factor/reset", person.id()).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let own = post(&administrator, "second-factor/reset", administrator.id()).await;
    own.assert_problem(409, "own-account", None);

    stack.wait_for_second_after(&session).await;
    let reset = post(&administrator, "second-factor/reset", person.id()).await;
    let reset: Value = reset.with_status(200).json();
    assert_eq!(reset["second_factor"], false);
    stack.renew(&session).await.with_status(400);
    let signed_in: Value = stack.sign_in_test_user(&person.email()).await.json();
    assert!(signed_in["AuthenticationResult"].is_object(), "{signed_in}");

    let database = stack.database().await;
    let audit = database.audit_of(&person.id().to_string()).await;
    let resets = audit
        .iter()
        .filter(|row| row["action"] == "user.second_factor_reset");
    let done = resets
        .into_iter()
        .find(|row| row["outcome"] == "done")
        .unwrap();
    assert_eq!(done["reason"], WHY);
    assert_eq!(done["actor"], administrator.email());
    assert_eq!(done["before"]["second_factor"], true);
    assert_eq!(done["after"]["second_factor"], false);
}

#[tokio::test]
async fn the_audit_log_is_searched_by_actor_action_target_and_time() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    let person = stack.new_shopper().await;
    let id = person.id();
    let before = Timestamp::now() - SignedDuration::from_secs(1);
    for what in ["sign-out", "disable", "enable"] {
        post(&administrator, what, id).await.with_status(200);
    }
    let rows = eventually("audited", async || {
        let rows = search_all(&administrator, AUDIT, &format!("target={id}&limit=1")).await;
        let enough = rows.len() == 3;
        enough.then_some(rows).ok_or_else(|| "fewer".to_owned())
    })
    .await;
    let actions: Vec<_> = rows.iter().map(|row| row["action"].clone()).collect();
    assert_eq!(actions, ["user.enable", "user.disable", "user.sign_out"]);
    let newest = &rows[0];
    assert_eq!(newest["actor"], administrator.email());
    assert_eq!(newest["target"], id.to_string());
    assert_eq!(newest["outcome"], "done");
    assert_eq!(newest["before"]["status"], "disabled");
    assert_eq!(newest["after"]["status"], "enabled");
    assert!(newest["trace_id"].is_string());

    let actor = administrator.email();
    let soon = Timestamp::now() + SignedDuration::from_mins(1);
    for (query, found) in [
        (format!("actor={actor}"), 3),
        (format!("actor={}", person.email()), 0),
        ("action=user.disable".to_owned(), 1),
        (format!("action=user.disable&actor={actor}"), 1),
        (format!("from={before}"), 3),
        (format!("from={soon}"), 0),
        (format!("to={before}"), 0),
        (format!("from={before}&to={soon}"), 3),
    ] {
        let rows = search_all(&administrator, AUDIT, &format!("target={id}&{query}")).await;
        assert_eq!(rows.len(), found, "{query}");
    }
    for (query, field) in [
        ("actor=", "actor"),
        ("from=yesterday", "from"),
        ("to=7", "to"),
        ("limit=0", "limit"),
        ("colour=red", "colour"),
    ] {
        let response = administrator.search(AUDIT, query).await;
        response.assert_problem(422, "validation", Some(field));
    }
    let response = administrator.search(AUDIT, "cursor=x").await;
    response.assert_problem(400, "invalid-cursor", Some("cursor"));
}

/// Runs `cargo xtask admin create`. Returns what it printed, and whether it succeeded.
fn create_administrator(email: &str) -> (String, bool) {
    let cargo = Command::new("cargo")
        .args(["xtask", "admin", "create", email])
        .output()
        .unwrap();
    let printed = [cargo.stdout, cargo.stderr].map(|text| String::from_utf8(text).unwrap());
    (printed.concat(), cargo.status.success())
}

#[tokio::test]
async fn the_first_administrator_comes_from_the_command_line() {
    let stack = Stack::find();
    let _lock = lock_roles().await;
    let administrator = stack.staff("administrator").await;

    let email = format!("{}@stories.cauce.example", Uuid::new_v4());
    let (printed, is_done) = create_administrator(&email);
    assert!(
        is_done && printed.contains("is an administrator of"),
        "{printed}"
    );
    let password = printed.split_whitespace().last().unwrap();
    let first = stack.sign_in(&email, password).await.with_status(200);
    let first = stack.person_from_tokens(&first);
    first.search(USERS, "").await.with_status(200);

    // Again, it changes nothing.
    let (printed, is_done) = create_administrator(&email);
    assert!(
        is_done && printed.contains("Nothing is changed"),
        "{printed}"
    );
    stack.sign_in(&email, password).await.with_status(200);

    // A known password or a stolen session of a user does not gain the role.
    let second = stack.new_shopper().await;
    let session = stack.session(&second.email()).await;
    stack.wait_for_second_after(&session).await;
    let (printed, is_done) = create_administrator(&second.email());
    assert!(
        is_done && printed.contains("is an administrator of"),
        "{printed}"
    );
    stack
        .sign_in_test_user(&second.email())
        .await
        .with_status(400);
    stack.renew(&session).await.with_status(400);
    let password = printed.split_whitespace().last().unwrap();
    let signed_in = stack
        .sign_in(&second.email(), password)
        .await
        .with_status(200);
    let second = stack.person_from_tokens(&signed_in);
    second.search(USERS, "").await.with_status(200);

    post(&administrator, "disable", second.id())
        .await
        .with_status(200);
    for (email, reason) in [
        (second.email(), "is disabled"),
        ("nobody".to_owned(), "InvalidParameterException"),
    ] {
        let (printed, is_done) = create_administrator(&email);
        assert!(!is_done && printed.contains(reason), "{printed}");
        assert!(!printed.contains("password"), "{printed}");
    }
    for person in [first, second] {
        set_roles(&administrator, person.id(), &[])
            .await
            .with_status(200);
    }
}
