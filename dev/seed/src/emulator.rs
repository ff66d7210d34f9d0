//! Where the emulated AWS is: on this machine, or nowhere.

use std::str::FromStr;

use thiserror::Error;
use url::{Host, Url};

/// The address of an AWS that is on this machine. The seed has users with passwords that anyone can
/// read, so there is no other way to name one.
#[derive(Debug, Clone)]
pub(crate) struct Emulator(Url);

#[derive(Debug, Error)]
#[error(
    "must be an address on this machine, such as http://127.0.0.1:4566: the seed's users have passwords that anyone can read"
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
        let local = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        };
        if local { Ok(Self(url)) } else { Err(NotLocal) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_can_be_seeded() {
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
