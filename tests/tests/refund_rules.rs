//! Rules for refunds: staff cannot refund their own orders, each person has a daily limit, and
//! large refunds need a second person.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Database, Order, OrderRequest, Person, Response, Stack, eventually, shipped};
use uuid::Uuid;

const WHY: &str = "It was damaged.";

/// A setting of the API, in cents.
async fn setting(stack: &Stack, name: &str) -> i64 {
    stack.environment_of("api").await[name].parse().unwrap()
}

/// The sum of an order's refunds above which a second person must approve.
async fn approval_sum(stack: &Stack) -> i64 {
    setting(stack, "REFUND_APPROVAL_CENTS").await
}

/// A shipped order with a total above this amount.
async fn shipped_order(stack: &Stack, buyer: &Person, sku: &str, above: i64) -> Order {
    let product = buyer.get(&format!("/v1/products/{sku}")).await;
    let product: Value = product.with_status(200).json();
    let price = product["price"]["cents"].as_i64().unwrap();
    stack.database().await.restock(sku, 999).await;
    let order = buyer
        .place_order(&OrderRequest::of(sku, above / price + 1))
        .await;
    buyer.order(&order).until(shipped).await
}

async fn request_refund(person: &Person, order: &Order, cents: i64) -> Response {
    Response::of(person.refund_request(order, cents, &key())).await
}

fn key() -> String {
    Uuid::new_v4().to_string()
}

async fn approve(person: &Person, approval: &str, key: &str) -> Response {
    let path = format!("/v1/refund-approvals/{approval}/approve");
    let request = person.request(Method::POST, &path);
    Response::of(request.header("Idempotency-Key", key)).await
}

async fn decline(person: &Person, approval: &str) -> Response {
    let path = format!("/v1/refund-approvals/{approval}/decline");
    let request = person.request(Method::POST, &path);
    Response::of(request.json(&json!({ "reason": "The parcel came back." }))).await
}

/// Requests a refund that needs approval, and returns the id of the approval.
async fn request_approval(person: &Person, order: &Order, cents: i64) -> String {
    let refund = request_refund(person, order, cents).await.with_status(202);
    let refund: Value = refund.json();
    assert_eq!(refund["status"], "awaiting_approval", "{refund}");
    assert_eq!(refund["amount_cents"], cents);
    refund["id"].as_str().unwrap().to_owned()
}

async fn set_roles(stack: &Stack, person: &Person, roles: &[&str]) {
    let administrator = stack.staff("administrator").await;
    let path = format!("/v1/users/{}/roles", person.id());
    let request = administrator.request(Method::PUT, &path);
    let roles = json!({ "roles": roles, "reason": "A story is told." });
    Response::of(request.json(&roles)).await.with_status(200);
}

/// A member of support without refunds.
async fn new_support(stack: &Stack) -> Person {
    let person = stack.new_shopper().await;
    set_roles(stack, &person, &["support"]).await;
    stack.sign_in_again(&person).await
}

/// Another administrator. The role is removed again at once, because other tests need the seed's
/// administrator to be the only one; the token stays valid.
async fn second_administrator(stack: &Stack) -> Person {
    let person = stack.new_shopper().await;
    set_roles(stack, &person, &["administrator"]).await;
    let administrator = stack.sign_in_again(&person).await;
    set_roles(stack, &person, &[]).await;
    administrator
}

/// The order's approvals as staff see them, the newest first.
async fn approvals_of(person: &Person, order: &Order) -> Vec<Value> {
    let order = person.get(&format!("/v1/orders/{}", order.id)).await;
    let order: Value = order.with_status(200).json();
    let approvals = order["for_staff"]["refund_approvals"].as_array();
    approvals.unwrap().clone()
}

/// Whether the list of open approvals contains this one.
async fn is_listed(person: &Person, approval: &str) -> bool {
    let (mut cursor, mut found) = (String::new(), false);
    loop {
        let page = format!("/v1/refund-approvals?limit=100{cursor}");
        let page: Value = person.get(&page).await.with_status(200).json();
        let mut items = page["items"].as_array().unwrap().iter();
        found |= items.any(|item| item["id"] == approval);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// Waits until the payment service has made exactly these refunds of the order.
async fn assert_refunded(stack: &Stack, order: &Order, parts: &[i64]) {
    let parts = parts.iter().map(|cents| format!("refunded {cents} EUR"));
    let expected: Vec<String> = order.paid_once().into_iter().chain(parts).collect();
    eventually("refunded", async || {
        let ledger = stack.payments.ledger_of(order).await;
        (ledger == expected)
            .then_some(())
            .ok_or_else(|| format!("{ledger:?}"))
    })
    .await;
}

/// The actions of an audited target with their outcomes and problems, the oldest first.
async fn audit_of(database: &Database, target: &str) -> Vec<String> {
    let rows = database.audit_of(target).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rows.iter()
        .filter(|row| row["action"] != "order.read")
        .map(|row| {
            let parts = [
                &row["action"],
                &row["outcome"],
                &row["after"]["problem"],
                &row["after"]["status"],
            ];
            let parts = parts.map(text);
            let parts = parts.iter().filter(|part| !part.is_empty());
            parts.cloned().collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[tokio::test]
async fn staff_do_not_refund_their_own_orders() {
    let stack = Stack::find();
    let _lock = stack.lock_providers().await;
    for role in ["support", "administrator"] {
        let person = stack.staff(role).await;
        let order = shipped_order(&stack, &person, "CERAMICS-0120", 1).await;
        let refused = request_refund(&person, &order, 1).await;
        refused.assert_problem(403, "own-order", None);
        assert_refunded(&stack, &order, &[]).await;
        let audit = audit_of(&stack.database().await, &order.id.to_string()).await;
        assert_eq!(audit, ["order.refund refused own-order"], "{role}");
    }
}

#[tokio::test]
async fn staff_do_not_refund_what_they_ordered_as_guests() {
    let stack = Stack::find();
    let _lock = stack.lock_providers().await;
    let (support, administrator) = (
        stack.staff("support").await,
        stack.staff("administrator").await,
    );
    stack.database().await.restock("CERAMICS-0121", 10).await;
    let order_request =
        OrderRequest::of("CERAMICS-0121", 1).plus("email", support.email().to_uppercase());
    let stranger = stack.anonymous();
    let request = stranger
        .request(Method::POST, "/v1/guest/orders")
        .header("Cauce-Frontend-Key", &stack.frontend_key)
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", key());
    let order = Response::of(request.body(order_request.body())).await;
    let order: Order = order.with_status(201).json();
    let order = administrator.order(&order).until(shipped).await;

    let refused = request_refund(&support, &order, 1).await;
    refused.assert_problem(403, "own-order", None);
    request_refund(&administrator, &order, 1)
        .await
        .with_status(202);
    assert_refunded(&stack, &order, &[1]).await;
}

/// The part of the daily limit that is left before a test's refunds.
const LEFT: i64 = 300;

/// Uses up a person's daily limit except for [`LEFT`].
async fn use_up_daily_limit(database: &Database, person: &Person, limit: i64) {
    let used = limit - LEFT;
    let id = person.id();
    let statement = format!(
        "insert into refund_allowances (actor_id, day, currency, cents)
         values ('{id}', (now() at time zone 'UTC')::date, 'EUR', {used})"
    );
    database.execute(&statement).await;
}

/// The amount that counts against a person's limits.
async fn used_amount(database: &Database, person: &Person) -> i64 {
    let id = person.id();
    let query = format!(
        "select coalesce(sum(cents), 0)::bigint from refund_allowances where actor_id = '{id}'"
    );
    database.query_value(&query).await
}

#[tokio::test]
async fn parallel_refunds_never_exceed_the_daily_limit() {
    let stack = Stack::find();
    let support = new_support(&stack).await;
    let database = stack.database().await;
    let limit = setting(&stack, "SUPPORT_REFUND_DAY_LIMIT_CENTS").await;
    let _lock = stack.lock_providers().await;
    let shopper = stack.new_shopper().await;
    let orders = (0..5).map(|_| shipped_order(&stack, &shopper, "CERAMICS-0122", 200));
    let orders = join_all(orders).await;
    use_up_daily_limit(&database, &support, limit).await;

    let parallel = orders.iter().chain(&orders);
    let responses = join_all(parallel.map(|order| request_refund(&support, order, 100))).await;
    let (done, refused): (Vec<_>, Vec<_>) = responses.iter().partition(|it| it.status == 202);
    assert_eq!(done.len(), 3, "{responses:?}");
    for response in refused {
        response.assert_problem(403, "refund-over-day-limit", Some("amount_cents"));
    }
    assert_eq!(used_amount(&database, &support).await, limit);
    for order in &orders {
        let audit = audit_of(&database, &order.id.to_string()).await;
        assert_eq!(audit.len(), 2, "{audit:?}");
    }
    // Administrators have no daily limit.
    let administrator = stack.staff("administrator").await;
    request_refund(&administrator, &orders[0], 1)
        .await
        .with_status(202);
    assert_eq!(used_amount(&database, &administrator).await, 0);
}

#[tokio::test]
async fn only_recorded_refunds_count_against_the_daily_limit() {
    let stack = Stack::find();
    let support = new_support(&stack).await;
    let database = stack.database().await;
    let limit = setting(&stack, "SUPPORT_REFUND_DAY_LIMIT_CENTS").await;
    let _lock = stack.lock_providers().await;
    let shopper = stack.new_shopper().await;
    let order = shipped_order(&stack, &shopper, "CERAMICS-0123", LEFT).await;
    use_up_daily_limit(&database, &support, limit).await;

    let too_large = request_refund(&support, &order, order.total_cents + 1).await;
    too_large.assert_problem(422, "refund-too-large", Some("amount_cents"));
    let too_much = request_refund(&support, &order, LEFT + 1).await;
    too_much.assert_problem(403, "refund-over-day-limit", Some("amount_cents"));
    assert_eq!(used_amount(&database, &support).await, limit - LEFT);

    let key = key();
    let replays = (0..5).map(|_| Response::of(support.refund_request(&order, LEFT - 1, &key)));
    for response in join_all(replays).await {
        response.with_status(202);
    }
    assert_eq!(used_amount(&database, &support).await, limit - 1);
    let over = request_refund(&support, &order, 2).await;
    over.assert_problem(403, "refund-over-day-limit", Some("amount_cents"));
    assert_refunded(&stack, &order, &[LEFT - 1]).await;
}

#[tokio::test]
async fn a_large_refund_waits_for_a_second_person_and_is_made_once() {
    let stack = Stack::find();
    let (requester, second) = (
        stack.staff("administrator").await,
        second_administrator(&stack).await,
    );
    let (support, shopper) = (stack.staff("support").await, stack.new_shopper().await);
    let sum = approval_sum(&stack).await;
    let _lock = stack.lock_providers().await;
    let order = shipped_order(&stack, &shopper, "CERAMICS-0124", sum).await;

    let request_key = key();
    let all = |key: &str| {
        let path = format!("/v1/orders/{}/refunds", order.id);
        let request = requester.request(Method::POST, &path);
        let words = json!({ "currency": "EUR", "reason": WHY });
        Response::of(request.header("Idempotency-Key", key).json(&words))
    };
    let asked = all(&request_key).await.with_status(202);
    let refund: Value = asked.json();
    assert_eq!(refund["status"], "awaiting_approval");
    assert_eq!(refund["amount_cents"], order.total_cents);
    let id = refund["id"].as_str().unwrap();
    let again = all(&request_key).await.with_status(202);
    assert_eq!(
        (again.header("idempotent-replayed"), &again.body),
        ("true", &asked.body)
    );

    let seen = approvals_of(&support, &order).await;
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0]["status"], "awaiting_approval");
    assert_eq!(seen[0]["reason"], WHY);
    assert_eq!(seen[0]["requested_by_name"], requester.email());
    assert!(is_listed(&second, id).await);
    let to_shopper = shopper.get(&format!("/v1/orders/{}", order.id)).await;
    assert!(!to_shopper.body.contains("approv"), "{}", to_shopper.body);
    assert!(
        !shopper
            .timeline_of(&order)
            .await
            .contains(&"refund_requested".to_owned())
    );

    approve(&support, id, &key()).await.with_status(403);
    let own = approve(&requester, id, &key()).await;
    own.assert_problem(403, "own-refund-request", None);
    assert_refunded(&stack, &order, &[]).await;

    let keys = [key(), key()];
    let twice = keys
        .iter()
        .chain(&keys)
        .map(|key| approve(&second, id, key));
    let responses = join_all(twice).await;
    let (approved, closed): (Vec<_>, Vec<_>) = responses.iter().partition(|it| it.status == 202);
    assert_eq!(approved.len(), 2, "{responses:?}");
    assert_eq!(approved[0].body, approved[1].body);
    for response in closed {
        response.assert_problem(409, "refund-approval-closed", None);
    }
    let refund: Value = approved[0].json();
    assert_eq!(
        (&refund["id"], &refund["status"]),
        (&json!(id), &json!("pending"))
    );
    assert_refunded(&stack, &order, &[order.total_cents]).await;
    assert!(!is_listed(&second, id).await);
    let seen = approvals_of(&support, &order).await;
    assert_eq!(seen[0]["status"], "approved");
    assert_eq!(seen[0]["decided_by_name"], second.email());

    let audit = audit_of(&stack.database().await, id).await;
    let count = |what: &str| audit.iter().filter(|row| row.starts_with(what)).count();
    assert_eq!(
        count("refund.approve refused own-refund-request"),
        1,
        "{audit:?}"
    );
    assert_eq!(count("refund.approve done"), 1, "{audit:?}");
}

#[tokio::test]
async fn only_one_of_two_simultaneous_approvals_succeeds() {
    let stack = Stack::find();
    let requester = stack.staff("administrator").await;
    let approvers = [
        second_administrator(&stack).await,
        second_administrator(&stack).await,
    ];
    let shopper = stack.new_shopper().await;
    let sum = approval_sum(&stack).await;
    let _lock = stack.lock_providers().await;
    // The order has enough money for two refunds. Only the request is used up.
    let order = shipped_order(&stack, &shopper, "CERAMICS-0129", 2 * sum + 2).await;
    let id = request_approval(&requester, &order, sum + 1).await;

    let keys = [key(), key()];
    let both = approvers
        .iter()
        .zip(&keys)
        .map(|(person, key)| approve(person, &id, key));
    let responses = join_all(both).await;
    let (approved, closed): (Vec<_>, Vec<_>) = responses.iter().partition(|it| it.status == 202);
    assert_eq!((approved.len(), closed.len()), (1, 1), "{responses:?}");
    closed[0].assert_problem(409, "refund-approval-closed", None);
    assert_refunded(&stack, &order, &[sum + 1]).await;
}

#[tokio::test]
async fn a_large_refund_in_parts_needs_a_second_person_too() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    let shopper = stack.new_shopper().await;
    let sum = approval_sum(&stack).await;
    let _lock = stack.lock_providers().await;
    let order = shipped_order(&stack, &shopper, "CERAMICS-0125", sum + 1).await;

    request_refund(&administrator, &order, 1)
        .await
        .with_status(202);
    request_refund(&administrator, &order, sum - 1)
        .await
        .with_status(202);
    request_approval(&administrator, &order, 1).await;
    eventually("two parts refunded", async || {
        let ledger = stack.payments.ledger_of(&order).await;
        (ledger.len() == 4)
            .then_some(())
            .ok_or_else(|| format!("{ledger:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_requester_who_changes_their_address_cannot_approve() {
    let stack = Stack::find();
    let person = stack.new_shopper().await;
    set_roles(&stack, &person, &["administrator"]).await;
    let requester = stack.sign_in_again(&person).await;
    let email = format!("{}@stories.cauce.example", Uuid::new_v4());
    let change = json!({
        "UserPoolId": stack.aws.user_pool_id,
        "Username": person.email(),
        "UserAttributes": [
            { "Name": "email", "Value": email },
            { "Name": "email_verified", "Value": "true" },
        ],
    });
    let target = "AWSCognitoIdentityProviderService.AdminUpdateUserAttributes";
    Response::of(stack.aws_request(target, &change))
        .await
        .with_status(200);
    let renamed = stack.session(&email).await;
    let renewed: Value = stack.renew(&renamed).await.with_status(200).json();
    let token = renewed["AuthenticationResult"]["AccessToken"]
        .as_str()
        .unwrap();
    let renamed = stack.bearer(token);
    set_roles(&stack, &person, &[]).await;
    assert_eq!(renamed.id(), requester.id());
    assert_eq!(renamed.email(), email);

    let shopper = stack.new_shopper().await;
    let sum = approval_sum(&stack).await;
    let _lock = stack.lock_providers().await;
    let order = shipped_order(&stack, &shopper, "CERAMICS-0126", sum).await;
    let id = request_approval(&requester, &order, order.total_cents).await;
    let own = approve(&renamed, &id, &key()).await;
    own.assert_problem(403, "own-refund-request", None);
    assert_refunded(&stack, &order, &[]).await;
}

#[tokio::test]
async fn declined_expired_and_self_approved_refunds_are_not_made() {
    let stack = Stack::find();
    let (administrator, second) = (
        stack.staff("administrator").await,
        second_administrator(&stack).await,
    );
    let database = stack.database().await;
    let sum = approval_sum(&stack).await;
    let _lock = stack.lock_providers().await;
    let order = shipped_order(&stack, &second, "CERAMICS-0127", sum).await;

    let id = request_approval(&administrator, &order, order.total_cents).await;
    let own = approve(&second, &id, &key()).await;
    own.assert_problem(403, "own-order", None);
    let unexplained = second.request(Method::POST, &format!("/v1/refund-approvals/{id}/decline"));
    let unexplained = Response::of(unexplained.json(&json!({}))).await;
    unexplained.assert_problem(422, "validation", Some("reason"));
    let declined: Value = decline(&second, &id).await.with_status(200).json();
    assert_eq!(declined["status"], "declined");
    for response in [
        decline(&second, &id).await,
        approve(&second, &id, &key()).await,
    ] {
        response.assert_problem(409, "refund-approval-closed", None);
    }
    let audit = database.audit_of(&id).await;
    let declined = audit
        .iter()
        .find(|row| row["action"] == "refund.decline" && row["outcome"] == "done");
    assert_eq!(declined.unwrap()["reason"], "The parcel came back.");

    let id = request_approval(&administrator, &order, order.total_cents).await;
    database
        .execute(&format!(
            "update refund_approvals set expires_at = now() where id = '{id}'"
        ))
        .await;
    for response in [
        decline(&second, &id).await,
        approve(&second, &id, &key()).await,
    ] {
        response.assert_problem(409, "refund-approval-closed", None);
    }
    assert!(!is_listed(&second, &id).await);
    let seen = approvals_of(&administrator, &order).await;
    let statuses: Vec<_> = seen.iter().map(|it| it["status"].as_str()).collect();
    assert_eq!(statuses, [Some("expired"), Some("declined")]);
    assert_refunded(&stack, &order, &[]).await;
}

#[tokio::test]
async fn an_approval_of_more_than_is_left_stays_open() {
    let stack = Stack::find();
    let (administrator, second) = (
        stack.staff("administrator").await,
        second_administrator(&stack).await,
    );
    let shopper = stack.new_shopper().await;
    let sum = approval_sum(&stack).await;
    let _lock = stack.lock_providers().await;
    let order = shipped_order(&stack, &shopper, "CERAMICS-0128", sum).await;

    let all = request_approval(&administrator, &order, order.total_cents).await;
    request_refund(&administrator, &order, 1)
        .await
        .with_status(202);
    let key = key();
    let too_large = approve(&second, &all, &key).await;
    too_large.assert_problem(422, "refund-too-large", Some("amount_cents"));
    assert!(is_listed(&second, &all).await);
    assert_refunded(&stack, &order, &[1]).await;
}

#[tokio::test]
async fn an_unknown_approval_cannot_be_decided() {
    let stack = Stack::find();
    let administrator = stack.staff("administrator").await;
    for id in [Uuid::now_v7().to_string(), "tea".to_owned()] {
        for response in [
            decline(&administrator, &id).await,
            approve(&administrator, &id, "none").await,
        ] {
            response.assert_problem(404, "not-found", None);
        }
    }
    let response = administrator.get("/v1/refund-approvals?cursor=x").await;
    response.assert_problem(400, "invalid-cursor", Some("cursor"));
    let response = administrator.get("/v1/refund-approvals?colour=red").await;
    response.assert_problem(422, "validation", Some("colour"));
}

#[tokio::test]
async fn the_functions_cannot_change_a_requested_refund() {
    let database = Stack::find().database().await;
    let may = async |what: &str| {
        let query = format!("select {what}");
        database.query_value::<bool>(&query).await
    };
    let column = |name: &str| {
        format!("has_column_privilege('cauce_app', 'refund_approvals', '{name}', 'update')")
    };
    assert!(may(&column("decision")).await);
    for name in ["cents", "order_id", "requested_by", "expires_at"] {
        assert!(!may(&column(name)).await, "{name}");
    }
    for table in ["refund_approvals", "refund_allowances"] {
        let delete = format!("has_table_privilege('cauce_app', '{table}', 'delete')");
        assert!(!may(&delete).await, "{table}");
    }
}
