//! Clients of AWS that are made when they are first used: what few requests need, the others do not wait for.

use std::sync::{Arc, LazyLock};

use aws_config::SdkConfig;

/// A client that is made when it is first used, once for all that share it.
pub type Lazy<C> = Arc<LazyLock<C, Box<dyn FnOnce() -> C + Send>>>;

/// A client that will be made of `aws`.
pub fn lazy<C: 'static>(aws: &SdkConfig, make: fn(&SdkConfig) -> C) -> Lazy<C> {
    let aws = aws.clone();
    Arc::new(LazyLock::new(Box::new(move || make(&aws))))
}
