//! Logs and metrics, as JSON lines on standard output, from which CloudWatch reads them; and X-Ray
//! traces.

mod metrics;
mod trace;
mod xray;

use tracing_subscriber::EnvFilter;

pub use metrics::{Metrics, Unit, count};
pub use trace::TraceId;
pub use xray::{InvalidTraceHeader, RemoteCall, TraceContext, in_current_trace, in_trace};

/// Starts logging events as JSON lines. `LOG_LEVEL` is the lowest level that is logged, by default
/// `info`. Call it once, before anything is logged.
pub fn init() {
    let filter = EnvFilter::builder()
        .with_env_var("LOG_LEVEL")
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .init();
}
