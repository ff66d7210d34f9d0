//! The address of the AWS emulator, which must be on this machine.

use std::str::FromStr;

use thiserror::Error;
use url::{Host, Url};

/// The URL of an AWS emulator on this machine. The passwords of the seed's users are public, so
/// other addresses are refused.
#[derive(Debug, Clone)]
pub(crate) struct Emulator(Url);

#[derive(Debug, Error)]
#[error(
    "must be an address on this machine, such as http://127.0.0.1:4566, because the passwords of the seed's users are public"
)]
pub(crate) struct NotLocal;

impl Emulator {
    pub(crate) fn url(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Emulator {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let url = Url::parse(text).map_err(|_| NotLocal)?;
        let is_local = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        };
        if is_local {
            Ok(Self(url))
        } else {
            Err(NotLocal)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_accepted() {
        for local in [
            "http://127.0.0.1:4566",
            "http://127.0.0.2",
            "http://[::1]:4566",
            "http://localhost:4566/",
            "http://aws.localhost:4566",
        ] {
            assert!(local.parse::<Emulator>().is_ok(), "{local}");
        }
        for remote in [
            "",
            "127.0.0.1:4566",
            "localhost:4566",
            "https://cognito-idp.eu-south-2.amazonaws.com",
            "http://10.0.0.1:4566",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com",
            "http://[::2]",
        ] {
            assert!(remote.parse::<Emulator>().is_err(), "{remote}");
        }
    }
}
