//! Prints the figures as a table, each with its target.

use serde_json::Value;

/// The target of a figure.
#[derive(Debug, Clone, Copy)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// At most the figure at this JSON pointer.
    Within(&'static str),
    /// The figure is only shown.
    None,
}

/// A row: label, JSON pointer of the figure, unit and target. For a figure of several rounds, the
/// minimum and the maximum are shown, and the median is compared with the target.
type Row = (&'static str, &'static str, &'static str, Target);

/// The rows in the order of the table, except those of searches. Rows of suites that have not run
/// are left out.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("accepting: orders a second", "/stack/accept/orders_a_second", "", Target::None),
    ("accepting: pgbench, the same statement", "/stack/accept/limit_a_second", "", Target::None),
    ("accepting: share of that limit", "/stack/accept/of_the_limit", "", Target::AtLeast(0.80)),
    ("accepting: p99", "/stack/accept/p99_ms", "ms", Target::None),
    ("accepting: p99, relative to the limit's", "/stack/accept/p99_of_the_limit", "", Target::AtMost(2.0)),
    ("accepting: with logs, relative to without", "/stack/accept/of_unobserved", "", Target::AtLeast(0.95)),
    ("cold start: an empty function", "/stack/cold/empty/ms", "ms", Target::None),
    ("cold start: the API", "/stack/cold/api/ms", "ms", Target::None),
    ("cold start: the API, relative to the empty function", "/stack/cold/api/of_empty", "", Target::AtMost(2.0)),
    ("cold start: auth-hooks, relative to the empty function", "/stack/cold/auth-hooks/of_empty", "", Target::AtMost(2.0)),
    ("cold start: breaker-probe, relative to the empty function", "/stack/cold/breaker-probe/of_empty", "", Target::AtMost(2.0)),
    ("cold start: retry, relative to the empty function", "/stack/cold/retry/of_empty", "", Target::AtMost(2.0)),
    ("cold start: Python, relative to the API", "/stack/cold/python/of_api", "", Target::AtLeast(8.0)),
    ("cold start: Node, relative to the API", "/stack/cold/node/of_api", "", Target::AtLeast(8.0)),
    ("memory: the API", "/stack/cold/api/memory_mb", "MB", Target::None),
    ("memory: Python", "/stack/cold/python/memory_mb", "MB", Target::None),
    ("memory: Node", "/stack/cold/node/memory_mb", "MB", Target::None),
    ("zipped: the API", "/stack/cold/api/zipped_mb", "MB", Target::None),
    ("zipped: Python", "/stack/cold/python/zipped_mb", "MB", Target::None),
    ("zipped: Node", "/stack/cold/node/zipped_mb", "MB", Target::None),
    ("contention: orders a second, spread out", "/stack/contention/spread_out_a_second", "", Target::None),
    ("contention: orders a second, ten products", "/stack/contention/contended_a_second", "", Target::None),
    ("contention: rate relative to spread-out orders", "/stack/contention/of_spread_out", "", Target::AtLeast(0.5)),
    ("contention: items sold twice, or never", "/stack/contention/miscounted", "", Target::AtMost(0.0)),
    ("reading an order: responses a second", "/stack/read/order/answers_a_second", "", Target::None),
    ("reading an order: relative to the bare query", "/stack/read/order/of_the_query", "", Target::None),
    ("reading a list of orders: responses a second", "/stack/read/orders/answers_a_second", "", Target::None),
    ("reading a list of orders: relative to the bare query", "/stack/read/orders/of_the_query", "", Target::None),
    ("reading a product: responses a second", "/stack/read/product/answers_a_second", "", Target::None),
    ("reading a product: relative to the bare query", "/stack/read/product/of_the_query", "", Target::None),
    ("front page: pages a second by one process", "/stack/page/front_a_second", "", Target::None),
    ("product page: pages a second by one process", "/stack/page/product_a_second", "", Target::None),
    ("JavaScript of the front page, zipped", "/stack/page/script_kb", "kB", Target::AtMost(60.0)),
    ("a request to an open route, in the function", "/authorization/open_us", "us", Target::None),
    ("a request to a route with a scope", "/authorization/guarded_us", "us", Target::None),
    ("authorization adds", "/authorization/adds_us", "us", Target::AtMost(20.0)),
    ("all routes and their guards, created at the start", "/authorization/start_us", "us", Target::AtMost(500.0)),
    ("a closed circuit: admission and success of a call", "/breaker/closed/median_ns_second_half", "ns", Target::AtMost(1_000.0)),
    ("a thousand healthy calls: writes", "/breaker/healthy/writes", "", Target::AtMost(0.0)),
    ("a thousand healthy calls: reads", "/breaker/healthy/reads", "", Target::Within("/breaker/healthy/seconds")),
    ("an open circuit: calls admitted", "/breaker/open/let_through", "", Target::AtMost(0.0)),
    ("an open circuit: reads", "/breaker/open/reads", "", Target::AtMost(0.0)),
    ("a provider call, bare", "/stack/guard/bare/median_ms", "ms", Target::None),
    ("the same, through the circuit breaker", "/stack/guard/guarded/median_ms", "ms", Target::None),
    ("a circuit breaker's delay of a provider call", "/stack/guard/adds_ms", "ms", Target::AtMost(1.0)),
    ("parked orders drain: calls a second", "/stack/drain/most_calls_a_second", "", Target::Within("/stack/drain/released_calls_per_second")),
    ("parked orders drain: the circuit opened again", "/stack/drain/opened_again", "times", Target::AtMost(0.0)),
    ("growth: accepting with 10 thousand orders", "/stack/growth/accepting_ms/10000", "ms", Target::None),
    ("growth: accepting with 1 million", "/stack/growth/accepting_ms/1000000", "ms", Target::None),
    ("growth: accepting with 10 million", "/stack/growth/accepting_ms/10000000", "ms", Target::None),
    ("growth: accepting, last relative to first", "/stack/growth/accepting_grows", "", Target::AtMost(1.2)),
    ("growth: listing with 10 thousand orders", "/stack/growth/listing_ms/10000", "ms", Target::None),
    ("growth: listing with 1 million", "/stack/growth/listing_ms/1000000", "ms", Target::None),
    ("growth: listing with 10 million", "/stack/growth/listing_ms/10000000", "ms", Target::None),
    ("growth: listing, last relative to first", "/stack/growth/listing_grows", "", Target::AtMost(1.2)),
    ("one order: transitions of its state machine", "/stack/cost/transitions", "", Target::None),
    ("one order: reads of DynamoDB", "/stack/cost/dynamodb_reads", "", Target::None),
    ("one order: writes of DynamoDB", "/stack/cost/dynamodb_writes", "", Target::None),
    ("one order: statements of the database", "/stack/cost/statements", "", Target::None),
    ("one order: requests of SQS", "/stack/cost/sqs_requests", "", Target::None),
    ("one order: the API", "/stack/cost/functions/api/milliseconds", "ms", Target::None),
    ("one order: the worker", "/stack/cost/functions/retry/milliseconds", "ms", Target::None),
    ("a million orders", "/stack/cost/dollars_per_million", "dollars", Target::None),
];

/// The rows of a search: its name in the figures, and its label.
macro_rules! search {
    ($at:literal, $what:literal) => {
        [
            (
                concat!("search, ", $what, ": with 1 thousand"),
                concat!("/stack/catalogue/", $at, "/ms/1000"),
                "ms",
                Target::None,
            ),
            (
                concat!("search, ", $what, ": with 1 million"),
                concat!("/stack/catalogue/", $at, "/ms/1000000"),
                "ms",
                Target::None,
            ),
            (
                concat!("search, ", $what, ": last relative to first"),
                concat!("/stack/catalogue/", $at, "/grows"),
                "",
                Target::AtMost(1.2),
            ),
            (
                concat!("search, ", $what, ": items read"),
                concat!("/stack/catalogue/", $at, "/pages/1000000/items"),
                "",
                Target::None,
            ),
        ]
    };
}

/// The rows of the searches, at the end of the table.
const SEARCHES: [[Row; 4]; 8] = [
    search!("whole_shop", "whole shop"),
    search!("category", "category"),
    search!("word", "word"),
    search!("word_and_attribute", "word and attribute"),
    search!("two_words", "two words"),
    search!("rare_word", "rare word"),
    search!("rare_and_common_word", "rare and common word"),
    search!("category_and_attribute", "category and attribute"),
];

/// Prints the table. Returns how many targets were missed.
pub(super) fn print(figures: &Value) -> usize {
    println!();
    let ran = ROWS
        .iter()
        .chain(SEARCHES.as_flattened())
        .filter(|(_, pointer, ..)| has_run(figures, pointer));
    let mut missed = 0;
    for (what, pointer, unit, target) in ran {
        let (target, is_met) = judge(figures, pointer, *target);
        let measured = format_figure(figures, pointer, unit);
        let mark = if is_met { "" } else { "  MISSED" };
        println!("  {what:<58} {measured:<36} {target}{mark}");
        missed += usize::from(!is_met);
    }
    missed
}

/// Whether the figure's suite has run.
fn has_run(figures: &Value, pointer: &str) -> bool {
    let suite: Vec<&str> = pointer.split('/').take(3).collect();
    let suite = suite.join("/");
    pointer.starts_with("/breaker/") || figures.pointer(&suite).is_some()
}

fn judge(figures: &Value, pointer: &str, target: Target) -> (String, bool) {
    let value = number(figures, pointer);
    match target {
        Target::AtMost(most) => (format!("at most {most}"), value <= most),
        Target::AtLeast(least) => (format!("at least {least}"), value >= least),
        Target::Within(other) => {
            let most = number(figures, other);
            (format!("at most {most}"), value <= most)
        }
        Target::None => (String::new(), true),
    }
}

fn format_figure(figures: &Value, pointer: &str, unit: &str) -> String {
    let at = |end: &str| {
        figures
            .pointer(&format!("{pointer}/{end}"))
            .and_then(Value::as_f64)
    };
    let value = number(figures, pointer);
    match (at("least"), at("most")) {
        (Some(least), Some(most)) => format!("{value:.2} ({least:.2} to {most:.2}) {unit}"),
        _ => format!("{value:.2} {unit}"),
    }
}

/// The figure, or the median of its rounds. NaN if it is missing, so that it meets no target.
fn number(figures: &Value, pointer: &str) -> f64 {
    let value = figures.pointer(pointer);
    let value = value.map(|value| value.get("median").unwrap_or(value));
    value.and_then(Value::as_f64).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_figure_beyond_its_target_or_missing_misses_it() {
        let figures = json!({ "a": { "median": 2.0, "least": 1.0, "most": 9.0 }, "b": 2.5 });
        let is_met = |pointer, target| judge(&figures, pointer, target).1;
        assert!(is_met("/a", Target::AtMost(2.0)) && is_met("/a", Target::AtLeast(2.0)));
        assert!(!is_met("/a", Target::AtMost(1.9)) && !is_met("/a", Target::AtLeast(2.1)));
        assert!(is_met("/a", Target::Within("/b")) && !is_met("/b", Target::Within("/a")));
        for target in [
            Target::AtMost(9.0),
            Target::AtLeast(0.0),
            Target::Within("/b"),
        ] {
            assert!(!is_met("/c", target));
        }
    }

    #[test]
    fn a_suite_that_has_not_run_is_left_out() {
        let figures = json!({ "stack": { "cost": {} } });
        assert!(has_run(&figures, "/stack/cost/transitions"));
        assert!(!has_run(&figures, "/stack/accept/of_the_limit"));
    }
}
