//! The jobs that queues and schedules start: commands, the providers' events, the release of parked
//! executions, the sweep with its reconciliation, and the retention job.

mod commands;
mod look_ups;
mod messages;
mod provider_events;
mod reconciliation;
mod release;
mod retention;
mod sweep;

pub use messages::{BatchFailures, Message};
#[cfg(test)]
pub(crate) use release::{Gate, may_resume};
pub use retention::Retention;
