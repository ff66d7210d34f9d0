//! What a function is told by its environment. Each `main` reads it once, and refuses to start with
//! the name of what is missing.

use thiserror::Error;

/// A variable that is not set, or not text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the environment variable {0} is missing")]
pub struct Missing(&'static str);

/// The value of an environment variable.
pub fn required(name: &'static str) -> Result<String, Missing> {
    std::env::var(name).map_err(|_| Missing(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let missing = required("CAUCE_NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(
            missing.to_string(),
            "the environment variable CAUCE_NO_SUCH_VARIABLE is missing"
        );
    }
}
