//! Accepting orders at the Lambda runtime API. The limit it is compared with is `pgbench`, which
//! has the same server execute the same statement over as many connections.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use axum::body::Bytes;
use rand::Rng;
use serde::Serialize;
use serde_json::json;
use tests::{Database, OrderRequest, Stack};
use uuid::Uuid;

use crate::{
    api::{Api, Request},
    figures::Spread,
    load::{Load, Series},
    processors::Partition,
    workload::AMPLE_STOCK,
};

/// Clients that each have an environment of the API or a connection of the limit.
const SERIES: Series = Series {
    clients: 16,
    rounds: 8,
    round: Duration::from_secs(5),
};

/// Clients that order the same ten products.
const CONTENDERS: Series = Series {
    clients: 64,
    ..SERIES
};
const CONTENDED: usize = 10;

/// How many products are ordered without contention.
pub(crate) const SPREAD_OUT: usize = 400;

/// A stock that distinguishes the products of this suite from all others.
const STOCK: i64 = 1_000 * AMPLE_STOCK;

/// How fast orders are accepted.
#[derive(Debug, Serialize)]
pub(crate) struct Acceptance {
    /// Environments of the API, and connections of the limit.
    at_once: usize,
    orders_a_second: Spread,
    limit_a_second: Spread,
    /// Orders per second, as a ratio of the limit's, round by round.
    of_the_limit: Spread,
    /// The duration that 99 of 100 orders do not exceed.
    p99_ms: Spread,
    limit_p99_ms: Spread,
    /// That duration, as a ratio of the limit's, round by round.
    p99_of_the_limit: Spread,
    /// Orders per second with logs, as a ratio of those without.
    of_unobserved: Spread,
}

/// What it costs when many clients order the same products.
#[derive(Debug, Serialize)]
pub(crate) struct Contention {
    /// Clients, each with an environment of the API.
    clients: usize,
    /// Orders per second over many products.
    spread_out_a_second: Spread,
    /// Orders per second over the same ten products.
    contended_a_second: Spread,
    /// The ratio of the two, round by round.
    of_spread_out: Spread,
    /// Articles by which the stock differs from what was ordered.
    miscounted: i64,
}

/// The API in several environments, and products with ample stock.
///
/// Its orders are accepted and never executed. The outbox is emptied after each round, so that the
/// sweep does not start their executions either.
pub(crate) struct Checkout {
    pub(crate) api: Api,
    database: Database,
    skus: Vec<String>,
}

impl Checkout {
    pub(crate) async fn open(stack: &Stack, environments: usize, more: &[(&str, &str)]) -> Self {
        let database = stack.database().await;
        Self {
            api: Api::start_with(stack, environments, more).await,
            skus: restock(&database).await,
            database,
        }
    }

    /// Has the clients order one of the first `products` products, again and again for one round.
    pub(crate) async fn load(&self, series: Series, products: usize) -> Load {
        let skus = &self.skus[..products];
        let order = || order_event(&self.api, skus, Uuid::new_v4());
        let load = self.api.load(series, 201, order).await;
        self.empty_outbox().await;
        load
    }

    /// Has `pgbench` execute the statement for one round.
    async fn limit(&self, stack: &Stack, series: Series) -> Load {
        let load = run_pgbench(stack, series, &self.skus);
        self.empty_outbox().await;
        load
    }

    async fn empty_outbox(&self) {
        self.database.execute("truncate outbox").await;
    }
}

/// Compares acceptance with its limit, and with acceptance without logs.
pub(crate) async fn acceptance(stack: &Stack) -> Acceptance {
    let _partition = Partition::new(stack).await;
    let checkout = Checkout::open(stack, SERIES.clients, &[]).await;
    let silent = Checkout::open(stack, SERIES.clients, &[("LOG_LEVEL", "off")]).await;
    checkout.load(SERIES, SPREAD_OUT).await;
    silent.load(SERIES, SPREAD_OUT).await;
    let accept = async || checkout.load(SERIES, SPREAD_OUT).await;
    let limit = async || checkout.limit(stack, SERIES).await;
    let [ours, limits] = SERIES.compare(&accept, limit).await;
    let accept_silently = async || silent.load(SERIES, SPREAD_OUT).await;
    let [logged, silent] = SERIES.compare(&accept, accept_silently).await;
    let (rates, limit_rates) = (Load::rates(&ours), Load::rates(&limits));
    let p99s = Load::quantiles_ms(&ours, 990);
    let limit_p99s = Load::quantiles_ms(&limits, 990);
    Acceptance {
        at_once: SERIES.clients,
        of_the_limit: Spread::of_ratios(&rates, &limit_rates),
        of_unobserved: Spread::of_ratios(&Load::rates(&logged), &Load::rates(&silent)),
        orders_a_second: Spread::of(rates),
        limit_a_second: Spread::of(limit_rates),
        p99_of_the_limit: Spread::of_ratios(&p99s, &limit_p99s),
        p99_ms: Spread::of(p99s),
        limit_p99_ms: Spread::of(limit_p99s),
    }
}

/// Compares orders of the same ten products with orders of many, and checks the stock afterwards.
pub(crate) async fn contention(stack: &Stack) -> Contention {
    let _partition = Partition::new(stack).await;
    let checkout = Checkout::open(stack, CONTENDERS.clients, &[]).await;
    checkout.load(CONTENDERS, SPREAD_OUT).await;
    let before = miscounted(stack).await;
    let spread_out = async || checkout.load(CONTENDERS, SPREAD_OUT).await;
    let contended = async || checkout.load(CONTENDERS, CONTENDED).await;
    let [spread_out, contended] = CONTENDERS.compare(spread_out, contended).await;
    let (spread_out, contended) = (Load::rates(&spread_out), Load::rates(&contended));
    Contention {
        clients: CONTENDERS.clients,
        of_spread_out: Spread::of_ratios(&contended, &spread_out),
        spread_out_a_second: Spread::of(spread_out),
        contended_a_second: Spread::of(contended),
        miscounted: miscounted(stack).await - before,
    }
}

/// Restocks the products of this suite and returns their SKUs.
async fn restock(database: &Database) -> Vec<String> {
    let update = "update stock set available = $1 where sku in (
        select sku from stock order by sku limit $2) returning sku";
    let how_many = i64::try_from(SPREAD_OUT).unwrap_or(i64::MAX);
    let rows = database.rows(update, &[&STOCK, &how_many]).await;
    let mut skus: Vec<String> = rows
        .expect("there should be stock")
        .iter()
        .map(|row| row.get(0))
        .collect();
    skus.sort_unstable();
    skus
}

/// The stock of this suite's products plus what was ordered of them. It changes only if an article
/// is sold twice, or taken from the stock without an order.
async fn miscounted(stack: &Stack) -> i64 {
    let query = "select coalesce(sum(available), 0)::bigint + coalesce((select sum(quantity) from order_lines
        join orders on id = order_id where status <> 'cancelled' and sku in (
            select sku from stock where available > $1)), 0)::bigint
        from stock where available > $1";
    let rows = stack.database().await.rows(query, &[&AMPLE_STOCK]).await;
    rows.expect("stock should be countable")[0].get(0)
}

/// The event of an order of one of these products.
pub(crate) fn order_event(api: &Api, skus: &[String], user: Uuid) -> Bytes {
    let sku = &skus[rand::rng().random_range(0..skus.len())];
    // Each shopper pays with a card of their own. None of these orders is executed.
    let card = format!("pm_{}", user.simple());
    let body = OrderRequest::of(sku, 1).paid_with(&card).body();
    api.event(Request {
        method: "POST",
        route: "/v1/orders",
        path: "/v1/orders",
        query: "",
        body: Some(&body),
        user,
    })
}

/// Has `pgbench` execute the statement for one round.
fn run_pgbench(stack: &Stack, series: Series, skus: &[String]) -> Load {
    let home = env::temp_dir().join(format!("cauce-pgbench-{}", Uuid::new_v4()));
    fs::create_dir_all(&home).expect("a folder should be created");
    let script = home.join("accept.sql");
    fs::write(&script, statement(skus)).expect("the script should be written");
    let program = env::var_os("PGBENCH").expect("PGBENCH should name the program");
    let output = Command::new(program)
        .args([
            "--no-vacuum",
            "--protocol",
            "prepared",
            "--log",
            "--log-prefix",
        ])
        .arg(home.join("log"))
        .args(["--client", &series.clients.to_string(), "--jobs", "1"])
        .args(["--time", &series.round.as_secs().to_string(), "--file"])
        .arg(&script)
        .arg(stack.database_url())
        .stdout(Stdio::null())
        .output()
        .expect("pgbench should run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let load = Load::new(times(&home), series.round);
    fs::remove_dir_all(&home).expect("the folder should be removed");
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

/// The statement that the API has the database execute, with values of the same size.
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
    // The API sends its parameter as text too, which the server parses.
    format!(
        "\\set sku random(1, {how_many})\n\
        select replayed, answer from accept_order(format('{request}', uuidv7(), gen_random_uuid(), \
        (array['{skus}'])[:sku], now())::jsonb);\n"
    )
}
