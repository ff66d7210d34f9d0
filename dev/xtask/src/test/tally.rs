//! The numbers of tests, parsed from the summaries of the test runners.

use std::{fmt, ops::AddAssign};

/// The numbers of tests by result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) skipped: u32,
}

impl Tally {
    /// Parses the output of cargo, Node's runner, Vitest, Playwright or pytest.
    pub(super) fn read(output: &str) -> Self {
        let mut tally = Self::default();
        for line in output.lines() {
            let words: Vec<&str> = line
                .split(|c: char| !c.is_ascii_alphanumeric())
                .filter(|word| !word.is_empty())
                .collect();
            match words.as_slice() {
                // test result: ok. 5 passed; 0 failed; 1 ignored; ...
                ["test", "result", ..] if line.starts_with("test result: ") => {
                    tally.add_pairs(&words);
                }
                // Tests  1 failed | 5 passed (6)
                ["Tests", ..] => tally.add_pairs(&words),
                // 5 passed (20.1s)
                [number, "passed" | "failed" | "flaky" | "skipped", ..]
                    if line.starts_with("  ") =>
                {
                    tally.add(words[1], number);
                }
                // ===== 5 passed, 1 skipped in 20.10s =====
                _ if line.starts_with("==") && words.contains(&"in") => tally.add_pairs(&words),
                // # pass 5, or with a symbol instead of #
                [word @ ("pass" | "fail" | "skipped"), number] => tally.add(word, number),
                _ => {}
            }
        }
        tally
    }

    fn add_pairs(&mut self, words: &[&str]) {
        for pair in words.windows(2) {
            self.add(pair[1], pair[0]);
        }
    }

    fn add(&mut self, what: &str, number: &str) {
        let Ok(number) = number.parse::<u32>() else {
            return;
        };
        match what {
            "passed" | "pass" => self.passed += number,
            // A flaky test is a bug. An error of pytest is a test that could not be set up.
            "failed" | "fail" | "flaky" | "error" | "errors" => self.failed += number,
            "skipped" | "ignored" => self.skipped += number,
            _ => {}
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(output: &str) -> (u32, u32, u32) {
        let Tally {
            passed,
            failed,
            skipped,
        } = Tally::read(output);
        (passed, failed, skipped)
    }

    #[test]
    fn the_summary_of_each_runner_is_parsed() {
        let cargo = "running 6 tests\ntest a ... ok\n\
            test result: FAILED. 4 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
            test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n";
        assert_eq!(counts(cargo), (6, 1, 1));
        assert_eq!(
            counts("# tests 3\n# pass 2\n# fail 1\n# skipped 0\n"),
            (2, 1, 0)
        );
        assert_eq!(counts("ℹ tests 2\nℹ pass 2\nℹ fail 0\n"), (2, 0, 0));
        assert_eq!(
            counts(" Test Files  2 passed (2)\n      Tests  1 failed | 5 passed (6)\n"),
            (5, 1, 0)
        );
        assert_eq!(
            counts("  1 flaky\n    [chromium] a\n  3 passed (20.1s)\n"),
            (3, 1, 0)
        );
    }

    #[test]
    fn the_summary_of_pytest_is_parsed() {
        let short = "tests/a.py ..s.F\n==== 1 failed, 3 passed, 1 skipped in 20.10s ====\n";
        assert_eq!(counts(short), (3, 1, 1));
        let broken = "===== 2 failed, 1 passed, 1 error in 0.02s =====\n";
        assert_eq!(counts(broken), (1, 3, 0));
        let long = "==== 54 passed in 83.20s (0:01:23) ====\n==== what was checked ====\n";
        assert_eq!(counts(long), (54, 0, 0));
    }

    #[test]
    fn the_output_of_a_test_is_not_counted() {
        assert_eq!(
            counts("ok 1 - the order passed 2 checks\n12 passed\n"),
            (0, 0, 0)
        );
    }
}
