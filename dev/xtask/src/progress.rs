//! A line for each step, with the time it took.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Instant,
};

/// Leads a terminal back to an empty line.
const BACK: &str = "\r\x1b[K";

/// Runs one step, and says so.
pub(crate) fn step<T>(what: &str, run: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let begun = Instant::now();
    if stderr().is_terminal() {
        eprint!("     …  {what}");
        _ = stderr().flush();
    }
    let result = run();
    let seconds = begun.elapsed().as_secs_f64();
    let mark = if result.is_ok() { "" } else { "  failed" };
    let back = if stderr().is_terminal() { BACK } else { "" };
    eprintln!("{back}{seconds:>6.1} s  {what}{mark}");
    result
}

/// Says what is done just now in a long step, where somebody watches.
pub(crate) fn meanwhile(what: &str) {
    if stderr().is_terminal() {
        eprint!("{BACK}     …  {what}");
        _ = stderr().flush();
    }
}
