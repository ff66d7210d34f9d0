//! Which ports a stack listens on: free ones, and the same again at the next start if they still are.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The ports of a stack, all of them on 127.0.0.1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) emulator: u16,
    pub(crate) primary: u16,
    pub(crate) standby: u16,
    pub(crate) payments: u16,
    pub(crate) shipping: u16,
    pub(crate) functions: u16,
    pub(crate) frontends: [u16; 2],
}

impl Ports {
    /// The ports that the file names.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
    }

    /// The ports that the file names, as far as they are free, and others for the rest.
    pub(crate) fn choose(file: &Path) -> anyhow::Result<Self> {
        let kept = Self::read(file).ok();
        // Held until all are chosen, so that none is chosen twice.
        let mut held = Vec::new();
        let mut port = |kept: Option<u16>| -> anyhow::Result<u16> {
            let listener = kept
                .and_then(|port| listen(port).ok())
                .map_or_else(|| listen(0), Ok)
                .context("no port is free")?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        let kept = kept.as_ref();
        let ports = Self {
            emulator: port(kept.map(|kept| kept.emulator))?,
            primary: port(kept.map(|kept| kept.primary))?,
            standby: port(kept.map(|kept| kept.standby))?,
            payments: port(kept.map(|kept| kept.payments))?,
            shipping: port(kept.map(|kept| kept.shipping))?,
            functions: port(kept.map(|kept| kept.functions))?,
            frontends: [
                port(kept.map(|kept| kept.frontends[0]))?,
                port(kept.map(|kept| kept.frontends[1]))?,
            ],
        };
        fs::write(file, serde_json::to_string_pretty(&ports)?)?;
        Ok(ports)
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}
