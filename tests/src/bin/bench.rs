//! Measures, on the stack that `cargo xtask bench` runs, what the guard of a provider costs and how
//! parked orders drain. Writes one line of JSON.

use serde_json::json;
use tests::{Stack, bench};

#[tokio::main]
async fn main() {
    let stack = Stack::find();
    let guard = bench::guard_costs(&stack).await;
    let drain = bench::drain(&stack).await;
    println!("{}", json!({ "guard": guard, "drain": drain }));
}
