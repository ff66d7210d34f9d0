//! Accepting orders at the Lambda runtime API, beside the limit: `pgbench` that has the same server execute the
//! same statement over as many connections.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rand::Rng;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    Spread,
    boundary::{Ask, Boundary, Load, in_turns},
    processors::Apart,
};
use tests::{Database, Stack, Wish};

/// How many environments, and connections.
const AT_ONCE: usize = 16;

/// How many rounds each has, in turns, and how long one is.
const ROUNDS: usize = 8;
const ROUND: Duration = Duration::from_secs(5);

/// How many products are ordered, if not ten.
pub(super) const SPREAD_OUT: usize = 400;
const PLENTY: i64 = 1_000_000_000;

/// How many clients are after the same ten products.
const CONTENDERS: usize = 64;
const CONTENDED: usize = 10;

/// What accepting orders takes.
#[derive(Debug, Serialize)]
pub struct Acceptance {
    /// Environments, and connections of the limit.
    pub at_once: usize,
    /// Orders in a second.
    pub orders_a_second: Spread,
    /// The same of the limit.
    pub limit_a_second: Spread,
    /// Their ratio, round by round.
    pub of_the_limit: Spread,
    /// What 99 of 100 orders keep to.
    pub p99_ms: Spread,
    /// The same of the limit.
    pub limit_p99_ms: Spread,
    /// Their ratio, round by round.
    pub p99_of_the_limit: Spread,
    /// What is accepted with logs, of what is accepted without.
    pub of_unobserved: Spread,
}

/// What it takes when many want the same.
#[derive(Debug, Serialize)]
pub struct Contention {
    /// Clients, each with an environment.
    pub clients: usize,
    /// Orders in a second when they want what each wants.
    pub spread_out_a_second: Spread,
    /// When all want the same ten products.
    pub contended_a_second: Spread,
    /// The ratio, round by round.
    pub of_spread_out: Spread,
    /// Articles that were sold and not there, or there and not sold.
    pub miscounted: i64,
}

/// The API in several environments, and enough of some products. What it accepts is not executed: the sweep, which
/// looks after what has waited for long, does not find it.
pub(super) struct Till {
    pub(super) api: Boundary,
    database: Database,
    skus: Vec<String>,
}

impl Till {
    pub(super) async fn open(stack: &Stack, environments: usize, more: &[(&str, &str)]) -> Self {
        let database = stack.database().await;
        Self {
            api: Boundary::start_with(stack, environments, more).await,
            skus: restock(&database).await,
            database,
        }
    }

    /// Has some clients order one of so many products after the other, for so long.
    pub(super) async fn load(&self, clients: usize, length: Duration, products: usize) -> Load {
        let skus = &self.skus[..products];
        let order = || order(&self.api, skus, Uuid::new_v4());
        let load = self.api.load(clients, length, 201, order).await;
        self.has_none_executed().await;
        load
    }

    /// Has `pgbench` execute the statement for a round.
    async fn limit(&self, stack: &Stack, connections: usize) -> Load {
        let load = pgbench(stack, connections, &self.skus);
        self.has_none_executed().await;
        load
    }

    async fn has_none_executed(&self) {
        self.database.does("truncate outbox").await;
    }
}

/// Measures acceptance beside its limit, and beside acceptance without logs.
pub async fn acceptance(stack: &Stack) -> Acceptance {
    let _apart = Apart::new(stack).await;
    let till = Till::open(stack, AT_ONCE, &[]).await;
    let unobserved = Till::open(stack, AT_ONCE, &[("LOG_LEVEL", "off")]).await;
    till.load(AT_ONCE, ROUND, SPREAD_OUT).await;
    unobserved.load(AT_ONCE, ROUND, SPREAD_OUT).await;
    let accept = async || till.load(AT_ONCE, ROUND, SPREAD_OUT).await;
    let [ours, limits] = in_turns(ROUNDS, &accept, async || till.limit(stack, AT_ONCE).await).await;
    let quietly = async || unobserved.load(AT_ONCE, ROUND, SPREAD_OUT).await;
    let [observed, quiet] = in_turns(ROUNDS, &accept, quietly).await;
    let (rates, limit_rates) = (Load::rates(&ours), Load::rates(&limits));
    let (p99s, limit_p99s) = (
        Load::quantiles_ms(&ours, 990),
        Load::quantiles_ms(&limits, 990),
    );
    Acceptance {
        at_once: AT_ONCE,
        of_the_limit: Spread::of_ratios(&rates, &limit_rates),
        of_unobserved: Spread::of_ratios(&Load::rates(&observed), &Load::rates(&quiet)),
        orders_a_second: Spread::of(rates),
        limit_a_second: Spread::of(limit_rates),
        p99_of_the_limit: Spread::of_ratios(&p99s, &limit_p99s),
        p99_ms: Spread::of(p99s),
        limit_p99_ms: Spread::of(limit_p99s),
    }
}

/// Measures how much slower it is when many want the same, and whether what is sold is counted.
pub async fn contention(stack: &Stack) -> Contention {
    let _apart = Apart::new(stack).await;
    let till = Till::open(stack, CONTENDERS, &[]).await;
    till.load(CONTENDERS, ROUND, SPREAD_OUT).await;
    let before = miscounted(stack).await;
    let spread_out = async || till.load(CONTENDERS, ROUND, SPREAD_OUT).await;
    let contended = async || till.load(CONTENDERS, ROUND, CONTENDED).await;
    let [spread_out, contended] = in_turns(ROUNDS, spread_out, contended).await;
    let (spread_out, contended) = (Load::rates(&spread_out), Load::rates(&contended));
    Contention {
        clients: CONTENDERS,
        of_spread_out: Spread::of_ratios(&contended, &spread_out),
        spread_out_a_second: Spread::of(spread_out),
        contended_a_second: Spread::of(contended),
        miscounted: miscounted(stack).await - before,
    }
}

/// Enough of each product, whose SKUs are the answer.
async fn restock(database: &Database) -> Vec<String> {
    let update = "update stock set available = $1 where sku in (
        select sku from stock order by sku limit $2) returning sku";
    let how_many = i64::try_from(SPREAD_OUT).unwrap_or(i64::MAX);
    let rows = database.rows(update, &[&PLENTY, &how_many]).await;
    let mut skus: Vec<String> = rows
        .expect("there should be stock")
        .iter()
        .map(|row| row.get(0))
        .collect();
    skus.sort_unstable();
    skus
}

/// By how much the stock of what is measured differs from what was there and was ordered.
async fn miscounted(stack: &Stack) -> i64 {
    let query = "select coalesce(sum(available), 0)::bigint + coalesce((select sum(quantity) from order_lines
        join orders on id = order_id where status <> 'cancelled' and sku in (
            select sku from stock where available > 1000000)), 0)::bigint
        from stock where available > 1000000";
    let rows = stack.database().await.rows(query, &[]).await;
    rows.expect("stock should be countable")[0].get(0)
}

/// The event of an order for one of those products.
pub(super) fn order(api: &Boundary, skus: &[String], user: Uuid) -> axum::body::Bytes {
    let sku = &skus[rand::rng().random_range(0..skus.len())];
    // Each shopper has a card of their own; none of these orders is executed.
    let card = format!("pm_{}", user.simple());
    let body = Wish::of(sku, 1).paid_with(&card).body();
    api.event(Ask {
        method: "POST",
        route: "/v1/orders",
        path: "/v1/orders",
        query: "",
        body: Some(&body),
        user,
    })
}

/// Has `pgbench` execute the statement for a round.
fn pgbench(stack: &Stack, connections: usize, skus: &[String]) -> Load {
    let home = env::temp_dir().join(format!("cauce-pgbench-{}", Uuid::new_v4()));
    fs::create_dir_all(&home).expect("a folder should be made");
    let script = home.join("accept.sql");
    fs::write(&script, statement(skus)).expect("the script should be written");
    let program = env::var_os("PGBENCH").expect("PGBENCH should name the program");
    let ran = Command::new(program)
        .args([
            "--no-vacuum",
            "--protocol",
            "prepared",
            "--log",
            "--log-prefix",
        ])
        .arg(home.join("log"))
        .args(["--client", &connections.to_string(), "--jobs", "1"])
        .args(["--time", &ROUND.as_secs().to_string(), "--file"])
        .arg(&script)
        .arg(stack.database_url())
        .stdout(Stdio::null())
        .output()
        .expect("pgbench should run");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let load = Load::new(times(&home), ROUND);
    fs::remove_dir_all(&home).expect("the folder should go");
    load
}

/// The times in the logs of `pgbench`: the third number of each line, in microseconds.
fn times(home: &Path) -> Vec<Duration> {
    let logs = fs::read_dir(home).expect("there should be logs").flatten();
    let logs = logs.filter(|entry| entry.file_name().to_string_lossy().starts_with("log"));
    logs.flat_map(|log| {
        let text = fs::read_to_string(log.path()).expect("a log should be text");
        let time = |line: &str| {
            line.split(' ')
                .nth(2)?
                .parse()
                .ok()
                .map(Duration::from_micros)
        };
        text.lines().filter_map(time).collect::<Vec<_>>()
    })
    .collect()
}

/// What the API has the database execute, with values of the same size.
fn statement(skus: &[String]) -> String {
    let request = json!({
        "order": {
            "id": "%1$s",
            "number": "%1$s",
            "shopper": "%2$s",
            "email": "shopper@cauce.example",
            "currency": "EUR",
            "total_cents": 1250,
            "shipping_address": {
                "name": "A Shopper", "street": "Calle Mayor 1", "city": "Madrid", "postal_code": "28013",
                "country": "ES",
            },
            "payment_method": "pm_%2$s",
            "placed_at": "%4$s",
        },
        "lines": [{
            "sku": "%3$s", "title": "A product of the shop", "quantity": 1, "unit_cents": 1250,
        }],
        "claim": {
            "owner": "%2$s",
            "key": "%1$s",
            "request_hash": format!(r"\x{}", "00".repeat(32)),
            "answer": "x".repeat(900),
        },
        "network": "%2$s",
        "limits": {
            "orders_a_minute": 60, "max_unpaid_units": 300, "max_unpaid_cents": 1_000_000,
        },
    });
    let (how_many, skus) = (skus.len(), skus.join("','"));
    // Like the API's parameter, the request comes as text that the server parses.
    format!(
        "\\set sku random(1, {how_many})\n\
        select replayed, answer from accept_order(format('{request}', uuidv7(), gen_random_uuid(), \
        (array['{skus}'])[:sku], now())::jsonb);\n"
    )
}
