//! What happened to a circuit, and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

use crate::{
    circuit::{Forced, State},
    counts::Figures,
};

/// Why a circuit changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
    /// Somebody forced it.
    Forced,
    /// Somebody gave it back to itself.
    Released,
}

/// One change of a circuit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// The circuit's version after it.
    pub version: u64,
    /// The state before.
    pub from: State,
    /// The state after; the same, if only what is forced has changed or a probe has failed.
    pub to: State,
    /// What is forced after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<Forced>,
    /// Why.
    pub reason: Reason,
    /// Who forced or released it; nobody, when it went by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The figures that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// When the circuit is to be probed, if it is open after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}
