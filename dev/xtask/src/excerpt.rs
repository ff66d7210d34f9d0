//! An excerpt of a failed program's log: the tests that failed and why, or else the last lines.

/// How many lines are shown of a log without a failed test.
const TAIL: usize = 40;

/// How many failed tests are shown, and how many of the first and the last lines of each. The cause
/// is in one of them.
const TESTS: usize = 25;
const FIRST: usize = 20;
const LAST: usize = 20;

/// How many characters of a line are shown.
const WIDTH: usize = 600;

/// The beginnings of lines that name a failed test: of Node's runner and Vitest, and of cargo if
/// the tests do not compile.
const FAILURES: [&str; 5] = [
    "test at ",
    " FAIL ",
    "error: test failed",
    "error: could not compile",
    "error[E",
];

/// The beginnings of lines that end the output of a test: of libtest, cargo, pytest and Vitest.
const ENDS: [&str; 7] = [
    "failures:",
    "test result: ",
    "stack backtrace:",
    "     Running ",
    "   Doc-tests ",
    "====",
    "⎯⎯",
];

/// How a line relates to failed tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineKind {
    /// The first line about a failed test.
    FirstOfFailure,
    /// It continues the line before.
    Continuation,
    /// It ends the output of a test.
    End,
}

impl LineKind {
    fn of(line: &str) -> Self {
        let begins = |with: &&str| line.starts_with(with);
        if FAILURES.iter().any(begins)
            || is_libtest_title(line)
            || is_pytest_title(line)
            || is_playwright_title(line)
            || line.trim_start().starts_with("not ok ")
        {
            Self::FirstOfFailure
        } else if ENDS.iter().any(begins) || is_playwright_count(line) || is_tap_end(line) {
            Self::End
        } else {
            Self::Continuation
        }
    }
}

/// The part of a log that shows why the program failed.
pub(crate) fn excerpt(log: &str) -> String {
    let failures = failures(log);
    if failures.is_empty() {
        let lines: Vec<&str> = log.lines().collect();
        return join_lines(&lines[lines.len().saturating_sub(TAIL)..]);
    }
    let more = failures.len().saturating_sub(TESTS);
    let mut excerpts: Vec<String> = failures.iter().take(TESTS).map(|it| abridge(it)).collect();
    if more > 0 {
        excerpts.push(format!("… and {more} more that failed"));
    }
    excerpts.join("\n\n")
}

/// The lines of each failed test.
fn failures(log: &str) -> Vec<Vec<&str>> {
    let mut failures: Vec<Vec<&str>> = Vec::new();
    let mut is_within = false;
    for line in log.lines() {
        let kind = LineKind::of(line);
        if kind == LineKind::FirstOfFailure {
            failures.push(Vec::new());
        }
        is_within = match kind {
            LineKind::FirstOfFailure => true,
            LineKind::Continuation => is_within,
            LineKind::End => false,
        };
        if let (true, Some(failure)) = (is_within, failures.last_mut()) {
            failure.push(line);
        }
    }
    failures
}

fn abridge(lines: &[&str]) -> String {
    let blank_ends = lines.iter().rev().take_while(|line| line.trim().is_empty());
    let lines = &lines[..lines.len() - blank_ends.count()];
    let omitted = lines.len().saturating_sub(FIRST + LAST);
    if omitted == 0 {
        return join_lines(lines);
    }
    let (first, last) = (&lines[..FIRST], &lines[lines.len() - LAST..]);
    let (first, last) = (join_lines(first), join_lines(last));
    format!("{first}\n… {omitted} lines …\n{last}")
}

/// Joins lines, each cut to [`WIDTH`].
fn join_lines(lines: &[&str]) -> String {
    let lines = lines
        .iter()
        .map(|line| match line.char_indices().nth(WIDTH) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => (*line).to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// `---- a_story stdout ----`
fn is_libtest_title(line: &str) -> bool {
    line.starts_with("---- ") && line.ends_with(" stdout ----")
}

/// `____ test_a_rule ____`, but not the separator of stack frames: `_ _ _ _ _`
fn is_pytest_title(line: &str) -> bool {
    line.starts_with('_') && line.ends_with('_') && line.contains(char::is_alphanumeric)
}

/// `  1) [stories] › stories/guest.spec.ts:8:1 › a guest orders ────`
fn is_playwright_title(line: &str) -> bool {
    after_number(line).is_some_and(|rest| rest.starts_with(") "))
}

/// `  1 failed`, `  2 passed (8.4m)`
fn is_playwright_count(line: &str) -> bool {
    let words = [
        " failed",
        " flaky",
        " passed",
        " skipped",
        " did not run",
        " interrupted",
    ];
    after_number(line).is_some_and(|rest| words.iter().any(|word| rest.starts_with(word)))
}

/// The text after two spaces and a number.
fn after_number(line: &str) -> Option<&str> {
    let number = line.strip_prefix("  ")?;
    let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < number.len()).then_some(rest)
}

/// `...` ends the YAML of a test, and `ok 1 - a name` is a test that passed.
fn is_tap_end(line: &str) -> bool {
    let text = line.trim_start();
    let passed = text.strip_prefix("ok ");
    text == "..." || passed.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first and the last line of each failed test.
    fn ends(log: &str) -> Vec<(String, String)> {
        let failures = failures(log);
        let excerpts = failures.iter().map(|lines| abridge(lines));
        let ends = excerpts.map(|excerpt| {
            let (first, last) = (excerpt.lines().next(), excerpt.lines().last());
            (first.unwrap().to_owned(), last.unwrap().to_owned())
        });
        ends.collect()
    }

    fn assert_ends(expected: &[(&str, &str)], log: &str) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(first, last)| ((*first).to_owned(), (*last).to_owned()))
            .collect();
        assert_eq!(ends(log), expected);
    }

    #[test]
    fn failures_of_libtest_are_found_before_the_output_of_other_programs() {
        let log = r"     Running tests/concurrency.rs (target/debug/deps/concurrency-0)

running 3 tests
test fine ... ok
test deep::two ... FAILED
test one ... FAILED

failures:

---- deep::two stdout ----

thread 'deep::two' (31478) panicked at a.rs:3:59:
called `Option::unwrap()` on a `None` value
stack backtrace:
   0: __rustc::rust_begin_unwind
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.

---- one stdout ----
before

thread 'one' (31480) panicked at a.rs:2:40:
assertion `left == right` failed: the answer was 3
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace


failures:
    deep::two
    one

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s

error: test failed, to rerun pass `-p tests --test concurrency`
     Running tests/csv.rs (target/debug/deps/csv-0)

running 1 test
test fine ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.06s

error: test failed, to rerun pass `-p tests --test logs`

Caused by:
  process didn't exit successfully: `target/debug/deps/logs-0` (signal: 6, SIGABRT: process abort signal)
";
        let rerun = "error: test failed, to rerun pass `-p tests --test concurrency`";
        assert_ends(
            &[
                (
                    "---- deep::two stdout ----",
                    "called `Option::unwrap()` on a `None` value",
                ),
                (
                    "---- one stdout ----",
                    "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
                ),
                (rerun, rerun),
                (
                    "error: test failed, to rerun pass `-p tests --test logs`",
                    "  process didn't exit successfully: `target/debug/deps/logs-0` (signal: 6, SIGABRT: process abort signal)",
                ),
            ],
            log,
        );
    }

    #[test]
    fn failures_and_setup_errors_of_pytest_are_found() {
        let log = r#"test_a.py .FFE                                                           [100%]

==================================== ERRORS ====================================
_________________________ ERROR at setup of test_setup _________________________

    @pytest.fixture
>   def broken(): raise RuntimeError("no stack")
E   RuntimeError: no stack

test_a.py:11: RuntimeError
=================================== FAILURES ===================================
___________________________________ test_one ___________________________________

    def test_one():
>       helper(1)

test_a.py:7: 
_ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ 

    def helper(n):
>       assert n == 2, "wrong"
E       assert 1 == 2

test_a.py:3: AssertionError
----------------------------- Captured stdout call -----------------------------
said
_ test_a_rule_with_a_name_that_is_longer_than_the_page_is_wide_so_that_there_is_little_left _

E       ValueError: no

test_a.py:9: ValueError
=========================== short test summary info ============================
FAILED test_a.py::test_one - AssertionError: wrong
===================== 2 failed, 1 passed, 1 error in 0.02s =====================
"#;
        assert_ends(
            &[
                (
                    "_________________________ ERROR at setup of test_setup _________________________",
                    "test_a.py:11: RuntimeError",
                ),
                (
                    "___________________________________ test_one ___________________________________",
                    "said",
                ),
                (
                    "_ test_a_rule_with_a_name_that_is_longer_than_the_page_is_wide_so_that_there_is_little_left _",
                    "test_a.py:9: ValueError",
                ),
            ],
            log,
        );
    }

    #[test]
    fn failures_of_vitest_are_found() {
        let log = " ❯ a.test.ts (3 tests | 2 failed) 13ms
     ✓ fine 1ms
     × cents 10ms

⎯⎯⎯⎯⎯⎯⎯ Failed Tests 2 ⎯⎯⎯⎯⎯⎯⎯

 FAIL  a.test.ts > money > cents
AssertionError: expected { a: 1, b: 2 } to deeply equal { a: 1, b: 3 }

- Expected
+ Received
 ❯ a.test.ts:4:69

⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯[1/2]⎯

 FAIL  a.test.ts > money > throws
Error: no answer

⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯⎯[2/2]⎯

 Test Files  1 failed (1)
";
        assert_ends(
            &[
                (" FAIL  a.test.ts > money > cents", " ❯ a.test.ts:4:69"),
                (" FAIL  a.test.ts > money > throws", "Error: no answer"),
            ],
            log,
        );
    }

    #[test]
    fn failures_of_playwright_are_found() {
        let log = "Running 3 tests using 1 worker

  ✓  1 a.spec.ts:2:1 › fine (2ms)
  ✘  2 a.spec.ts:3:1 › a guest orders (6ms)

  1) a.spec.ts:3:1 › a guest orders ──────────

    Error: in Español

    Expected: 2
    Received: 1

      1 | import { expect, test } from '@playwright/test';
    > 3 | test('a guest orders', () => { expect(1, 'in Español').toBe(2); });
        at /tmp/s/pw/a.spec.ts:3:56

  2) a.spec.ts:4:1 › soft ────────────────────

    Error: expect(received).toEqual(expected) // deep equality

  2 failed
    a.spec.ts:3:1 › a guest orders ───────────
  1 passed (2.3s)
";
        assert_ends(
            &[
                (
                    "  1) a.spec.ts:3:1 › a guest orders ──────────",
                    "        at /tmp/s/pw/a.spec.ts:3:56",
                ),
                (
                    "  2) a.spec.ts:4:1 › soft ────────────────────",
                    "    Error: expect(received).toEqual(expected) // deep equality",
                ),
            ],
            log,
        );
    }

    #[test]
    fn failures_of_node_are_found_in_both_formats() {
        let tap = "TAP version 13
# Subtest: fine
ok 1 - fine
  ---
  duration_ms: 0.787324
  ...
# Subtest: outer
    # Subtest: inner
    not ok 1 - inner
      ---
      error: |-
        Expected values to be strictly equal:
        
        1 !== 2
        
      code: 'ERR_ASSERTION'
      ...
    1..1
not ok 2 - outer
  ---
  error: '1 subtest failed'
  ...
1..2
# tests 4
";
        assert_ends(
            &[
                ("    not ok 1 - inner", "      code: 'ERR_ASSERTION'"),
                ("not ok 2 - outer", "  error: '1 subtest failed'"),
            ],
            tap,
        );
        let spec = "✖ throws (0.078247ms)
  Error: no answer

ℹ tests 4

✖ failing tests:

test at a.test.mjs:3:38
✖ inner (0.843718ms)
  AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:

  1 !== 2

test at a.test.mjs:4:1
✖ throws (0.078247ms)
  Error: no answer
";
        assert_ends(
            &[
                ("test at a.test.mjs:3:38", "  1 !== 2"),
                ("test at a.test.mjs:4:1", "  Error: no answer"),
            ],
            spec,
        );
    }

    #[test]
    fn compile_errors_are_found() {
        let log = "   Compiling tests v0.1.0 (/cauce/tests)
error[E0425]: cannot find value `nothing` in this scope
 --> tests/tests/csv.rs:3:5
  |
3 |     nothing
  |     ^^^^^^^ not found in this scope

error: could not compile `tests` (test \"csv\") due to 1 previous error
";
        let summary = "error: could not compile `tests` (test \"csv\") due to 1 previous error";
        assert_ends(
            &[
                (
                    "error[E0425]: cannot find value `nothing` in this scope",
                    "  |     ^^^^^^^ not found in this scope",
                ),
                (summary, summary),
            ],
            log,
        );
    }

    #[test]
    fn other_logs_are_cut_to_the_last_lines() {
        let lines = |numbers: std::ops::Range<usize>| {
            let lines = numbers.map(|number| format!("line {number}"));
            lines.collect::<Vec<_>>().join("\n")
        };
        assert_eq!(excerpt(&lines(0..100)), lines(60..100));
        assert_eq!(excerpt(""), "");
    }

    #[test]
    fn many_and_long_failures_are_abridged() {
        let failure = |number: usize| {
            let said = "said\n".repeat(100);
            format!(
                "---- test_{number} stdout ----\n{said}{}\n",
                "ñ".repeat(1_000)
            )
        };
        let shown = excerpt(&(0..30).map(failure).collect::<String>());
        assert_eq!(shown.lines().count(), 25 * (20 + 1 + 20 + 1) + 1);
        assert_eq!(shown.lines().last(), Some("… and 5 more that failed"));
        assert!(shown.contains("\n… 62 lines …\n"), "{shown}");
        let widest = shown.lines().map(|line| line.chars().count()).max();
        assert_eq!(widest, Some(600 + 1));
    }
}
