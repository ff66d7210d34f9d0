//! What a function is told by its environment. Each `main` reads it once, and refuses to start with
//! the name of what is missing or makes no sense.

use std::str::FromStr;

use thiserror::Error;

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// It is not set, or not text.
    #[error("the environment variable {0} is missing")]
    Missing(&'static str),
    /// It is no number, or not one in range.
    #[error("the environment variable {0} is not a number that makes sense")]
    NoNumber(&'static str),
}

/// The value of an environment variable.
pub fn required(name: &'static str) -> Result<String, SettingError> {
    std::env::var(name).map_err(|_| SettingError::Missing(name))
}

/// The number in an environment variable.
pub fn number<T: FromStr>(name: &'static str) -> Result<T, SettingError> {
    let text = required(name)?;
    text.trim()
        .parse()
        .map_err(|_| SettingError::NoNumber(name))
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

    #[test]
    fn a_path_is_no_number() {
        let error = number::<u32>("PATH").unwrap_err();
        assert_eq!(error, SettingError::NoNumber("PATH"));
    }
}
