use jiff::{SignedDuration, Timestamp};
use providers::CallError;
use store::{Pass, Progress, Reconciliation, RecordKind};

use super::{Cursor, MAX_FAILURES, STRIDE, count_failure};
use crate::guard::Failure;

fn cursor(progress: Option<Progress>, behind: SignedDuration) -> Cursor {
    let compared_to = Timestamp::UNIX_EPOCH;
    Cursor {
        records: RecordKind::Payments,
        pass: Pass::Soon,
        state: Reconciliation {
            compared_to,
            progress,
        },
        due: compared_to + behind,
    }
}

#[test]
fn a_window_resumes_at_its_position_and_the_next_one_follows() {
    let start = Timestamp::UNIX_EPOCH;
    let minute = SignedDuration::from_mins(1);
    assert_eq!(cursor(None, SignedDuration::ZERO).window(), None);
    let next = Progress::new(start, start + minute);
    assert_eq!(cursor(None, minute).window(), Some(next));
    let longest = Progress::new(start, start + STRIDE);
    assert_eq!(cursor(None, STRIDE * 9).window(), Some(longest.clone()));

    let left = Progress {
        page: Some("pi_100".to_owned()),
        settled: 37,
        failures: 2,
        ..Progress::new(start, start + minute)
    };
    let cursor_of = |progress| cursor(Some(progress), STRIDE * 9);
    assert_eq!(cursor_of(left.clone()).window(), Some(left.clone()));
    // An older version, which saves no position, has compared the window meanwhile.
    let stale = Progress {
        start: start - minute,
        ..left
    };
    assert_eq!(cursor_of(stale).window(), Some(longest));
}

#[test]
fn a_record_is_passed_over_if_the_provider_always_fails_at_it_but_not_in_an_outage() {
    let end = Timestamp::UNIX_EPOCH + STRIDE;
    let mut progress = Progress::new(Timestamp::UNIX_EPOCH, end);
    let at_the_record = [
        CallError::unknown("answered 500"),
        CallError::AccountError {
            status: 403,
            code: "account_invalid".to_owned(),
            message: String::new(),
        },
    ]
    .map(Failure::from);
    for outage in [
        Failure::Open,
        CallError::Unavailable("refused".to_owned()).into(),
    ] {
        for _ in 0..2 * MAX_FAILURES {
            assert!(!count_failure(&mut progress, &outage));
        }
    }
    for failure in at_the_record {
        progress.failures = 0;
        for _ in 1..MAX_FAILURES {
            assert!(!count_failure(&mut progress, &failure));
        }
        assert!(count_failure(&mut progress, &failure));
    }
}
