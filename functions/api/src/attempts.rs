//! Limits sign-ins, sign-ups, codes and requests for a code.
//!
//! The frontend calls Cognito itself and counts each attempt here, so that all of its processes
//! share one count.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use store::{Counter, Database, Limit, LimitStatus};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    problem::{Problem, ProblemType},
    request::{Body, Origin},
};

/// What was attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AttemptKind {
    /// A sign-in with a password.
    SignIn,
    /// The creation of an account.
    SignUp,
    /// A code of an authenticator, or from an e-mail.
    Code,
    /// A request for a code by e-mail.
    Mail,
}

/// The SHA-256 of the e-mail address in lower case, as 64 lower-case hexadecimal digits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub(crate) struct AccountHash(String);

/// One attempt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttemptRequest {
    kind: AttemptKind,
    /// The account, whether it exists or not.
    account: AccountHash,
    /// Whether this browser has signed in with the account before.
    known: bool,
    /// `false` counts an attempt. `true` removes one that was counted and then succeeded.
    succeeded: bool,
}

/// How many attempts of one kind are allowed.
struct Limits {
    /// From one network with one account.
    pair: Limit,
    /// From one network with any account: many people may share a network. An IPv6 site may make
    /// ten times as many.
    network: Limit,
    /// With one account from any network. It is high, so that strangers cannot lock the owner out.
    account: Limit,
    /// With one account from browsers that have signed in with it before.
    known: Limit,
}

impl TryFrom<String> for AccountHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        if text.len() == 64 && text.as_bytes().iter().all(is_digit) {
            Ok(Self(text))
        } else {
            Err("must be 64 hexadecimal digits")
        }
    }
}

impl AttemptKind {
    const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignUp => "sign-up",
            Self::Code => "code",
            Self::Mail => "mail",
        }
    }

    const fn limits(self) -> Limits {
        match self {
            Self::SignIn => Limits {
                pair: Limit::new(10, 15),
                network: Limit::new(300, 15),
                account: Limit::new(100, 60),
                known: Limit::new(30, 15),
            },
            // 100 guesses an hour find a six-digit code with a probability of 1 in 10,000.
            Self::Code => Limits {
                pair: Limit::new(10, 15),
                network: Limit::new(300, 15),
                account: Limit::new(100, 60),
                known: Limit::new(20, 15),
            },
            // Each attempt sends an e-mail.
            Self::SignUp | Self::Mail => Limits {
                pair: Limit::new(5, 15),
                network: Limit::new(300, 60),
                account: Limit::new(20, 60),
                known: Limit::new(10, 60),
            },
        }
    }
}

impl AttemptRequest {
    /// A known browser is counted by its account alone, so that strangers cannot use up its
    /// attempts, not even from the same network.
    fn counters(&self, origin: &Origin) -> Vec<Counter> {
        let Self { kind, account, .. } = self;
        let limits = kind.limits();
        let (kind, AccountHash(account)) = (kind.name(), account);
        let counter = |name, limit| Counter { name, limit };
        if self.known {
            return vec![counter(format!("{kind} known {account}"), limits.known)];
        }
        let pair = format!("{kind} {} {account}", origin.network);
        let mut counters = vec![counter(pair, limits.pair)];
        counters.extend(origin.counters(kind, limits.network));
        counters.push(counter(format!("{kind} {account}"), limits.account));
        counters
    }
}

/// Counts an attempt, or removes one that has succeeded. Only the frontend may call it.
///
/// `429 too-many-tries` beyond a limit, with `Retry-After`.
#[utoipa::path(post, path = "/v1/attempts", operation_id = "count_attempt", tag = "attempts", request_body = AttemptRequest,
    responses((status = 204, description = "Counted, and within the limits"), Failures))]
pub(crate) async fn count(
    State(state): State<Arc<AppState>>,
    origin: Origin,
    Body(request): Body<AttemptRequest>,
) -> Result<StatusCode, Problem> {
    let counters = request.counters(&origin);
    if request.succeeded {
        let now = Timestamp::now();
        state.database.attempts().uncount(&counters, now).await?;
    } else {
        count_attempt(&state.database, &counters, ProblemType::TooManyTries).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Counts an attempt in each counter, the narrowest first, and refuses it beyond a limit with a
/// problem of `kind`.
///
/// An attempt that one counter refuses is not counted in the next ones, so that a stranger's
/// excess does not use up the attempts of an account.
pub(crate) async fn count_attempt(
    database: &Database,
    counters: &[Counter],
    kind: ProblemType,
) -> Result<(), Problem> {
    let now = Timestamp::now();
    for counter in counters {
        let counted = database.attempts().count(counter, now).await?;
        if let LimitStatus::Exceeded(end) = counted {
            let seconds = end.as_second() - now.as_second();
            let seconds = u16::try_from(seconds).unwrap_or(u16::MAX).max(1);
            let detail = "Wait for the seconds in Retry-After, then try again.";
            return Err(Problem::new(kind, detail).retry_after(seconds));
        }
    }
    Ok(())
}
