//! Progress output: a line for each step, with the time that it took.

use std::{
    io::{IsTerminal, Write, stderr},
    time::Instant,
};

/// Clears the terminal's current line.
const CLEAR_LINE: &str = "\r\x1b[K";

/// Runs a step and prints its line.
pub(crate) fn step<T>(what: &str, run: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let start = Instant::now();
    if stderr().is_terminal() {
        eprint!("     …  {what}");
        _ = stderr().flush();
    }
    let result = run();
    let seconds = start.elapsed().as_secs_f64();
    let mark = if result.is_ok() { "" } else { "  failed" };
    let clear = if stderr().is_terminal() {
        CLEAR_LINE
    } else {
        ""
    };
    eprintln!("{clear}{seconds:>6.1} s  {what}{mark}");
    result
}

/// Shows the current activity of a long step, on a terminal.
pub(crate) fn show_activity(what: &str) {
    if stderr().is_terminal() {
        eprint!("{CLEAR_LINE}     …  {what}");
        _ = stderr().flush();
    }
}
