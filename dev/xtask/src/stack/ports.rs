//! The ports of a stack: free ones at the first start, and the same ones later if they are still
//! free.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The ports of a stack, all on 127.0.0.1.
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
    /// The ports in the file.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        Ok(serde_json::from_str(&fs::read_to_string(file)?)?)
    }

    /// The ports in the file that are free, and other free ports for the rest. Writes the file.
    pub(crate) fn choose(file: &Path) -> anyhow::Result<Self> {
        let previous = Self::read(file).ok();
        // All listeners stay open until the end, so that no port is chosen twice.
        let mut listeners = Vec::new();
        let mut port = |previous: Option<u16>| -> anyhow::Result<u16> {
            let listener = previous
                .and_then(|port| listen(port).ok())
                .map_or_else(|| listen(0), Ok)
                .context("no port is free")?;
            let port = listener.local_addr()?.port();
            listeners.push(listener);
            Ok(port)
        };
        let previous = previous.as_ref();
        let ports = Self {
            emulator: port(previous.map(|it| it.emulator))?,
            primary: port(previous.map(|it| it.primary))?,
            standby: port(previous.map(|it| it.standby))?,
            payments: port(previous.map(|it| it.payments))?,
            shipping: port(previous.map(|it| it.shipping))?,
            functions: port(previous.map(|it| it.functions))?,
            frontends: [
                port(previous.map(|it| it.frontends[0]))?,
                port(previous.map(|it| it.frontends[1]))?,
            ],
        };
        fs::write(file, serde_json::to_string_pretty(&ports)?)?;
        Ok(ports)
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}
