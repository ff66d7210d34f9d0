//! AWS clients that are made on first use, so that only the requests that need one wait for it.

use std::sync::{Arc, LazyLock};

use aws_config::SdkConfig;

/// A client that is made on first use, once for all clones.
pub type Lazy<C> = Arc<LazyLock<C, Box<dyn FnOnce() -> C + Send>>>;

/// A client that `make` makes from `aws` on first use.
pub fn lazy<C: 'static>(aws: &SdkConfig, make: fn(&SdkConfig) -> C) -> Lazy<C> {
    let aws = aws.clone();
    Arc::new(LazyLock::new(Box::new(move || make(&aws))))
}
