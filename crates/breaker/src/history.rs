//! The transitions of a circuit and their reasons.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::Display;

use crate::{
    circuit::{Forced, State},
    counts::Figures,
};

/// Why a circuit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Too many of the window's calls failed.
    FailureRate,
    /// Too many of the window's calls were slow.
    SlowRate,
    /// The probe of an open circuit succeeded.
    ProbePassed,
    /// The probe of an open circuit failed or was slow.
    ProbeFailed,
    /// Enough half-open calls succeeded.
    TrialPassed,
    /// A half-open call failed or was slow.
    TrialFailed,
    /// An operator forced the circuit.
    Forced,
    /// An operator released the circuit.
    Released,
}

/// One change of a circuit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transition {
    /// The time of the change.
    pub at: Timestamp,
    /// The circuit's version after the change.
    pub version: u64,
    /// The state before.
    pub from: State,
    /// The state after. It equals `from` if a probe failed, or the circuit was forced or released.
    pub to: State,
    /// The override after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
    /// The cause of the change.
    pub reason: Reason,
    /// The operator who forced or released the circuit; absent for automatic changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The reason the operator gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The window's figures that opened the circuit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// When the next probe is due, if the circuit is open after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}
