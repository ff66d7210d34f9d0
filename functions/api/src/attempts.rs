//! Counts what people try with an account, for the frontend, which asks Cognito itself: sign-ins,
//! sign-ups, codes, and requests to send one. All of its processes count in one place.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use store::{Counted, Counter, Limit};
use utoipa::ToSchema;

use crate::{
    AppState, Failures,
    problem::{Problem, ProblemType},
    request::{Body, Origin},
};

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AttemptKind {
    /// A password.
    SignIn,
    /// A new account.
    SignUp,
    /// A code: of an authenticator, or from an e-mail.
    Code,
    /// To have a code sent by e-mail.
    Mail,
}

/// The SHA-256 of an e-mail address in small letters, in hexadecimal digits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub(crate) struct AccountHash(String);

/// One more try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttemptRequest {
    /// What is tried.
    kind: AttemptKind,
    /// With which account, whether it exists or not.
    account: AccountHash,
    /// Whether this browser has signed in with the account before.
    known: bool,
    /// Whether this try, which was counted before, has succeeded. It is taken back then.
    succeeded: bool,
}

/// How often something may be tried.
struct Limits {
    /// From one network with one account.
    pair: Limit,
    /// From one network with any account. Many people may share one. Ten times as often from one IPv6 site.
    network: Limit,
    /// With one account from anywhere. High: strangers must not lock its owner out.
    account: Limit,
    /// With one account from browsers that have signed in with it.
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
            // Six digits: a hundred guesses hit one code in ten thousand that lives for an hour.
            Self::Code => Limits {
                pair: Limit::new(10, 15),
                network: Limit::new(300, 15),
                account: Limit::new(100, 60),
                known: Limit::new(20, 15),
            },
            // Each sends an e-mail.
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
    /// A known browser is counted by its account alone: neither strangers elsewhere nor those on the
    /// same network use up its tries.
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

/// Counts one more try, or takes one back that has succeeded. Only the frontend may ask.
#[utoipa::path(post, path = "/v1/attempts", operation_id = "count_attempt", tag = "attempts", request_body = AttemptRequest,
    responses((status = 204, description = "It is within the limits"), Failures))]
pub(crate) async fn count(
    State(shop): State<Arc<AppState>>,
    origin: Origin,
    Body(request): Body<AttemptRequest>,
) -> Result<StatusCode, Problem> {
    let counters = request.counters(&origin);
    if request.succeeded {
        let now = Timestamp::now();
        shop.database.attempts().uncount(&counters, now).await?;
    } else {
        shop.count(&counters, ProblemType::TooManyTries).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

impl AppState {
    /// Counts one more try under each name, the narrowest first, and refuses it beyond a limit. A try that is refused
    /// under one name is not counted under the next: a stranger's excess must not use up the tries of an account.
    pub(crate) async fn count(
        &self,
        counters: &[Counter],
        kind: ProblemType,
    ) -> Result<(), Problem> {
        let now = Timestamp::now();
        for counter in counters {
            let counted = self.database.attempts().count(counter, now).await?;
            if let Counted::Beyond(end) = counted {
                let seconds = end.as_second() - now.as_second();
                let seconds = u16::try_from(seconds).unwrap_or(u16::MAX).max(1);
                return Err(Problem::new(kind, "Please wait, and try again later.").after(seconds));
            }
        }
        Ok(())
    }
}
