//! A second implementation of DynamoDB besides the emulator's: moto. The circuit breaker's store
//! must work with both.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use rustix::process::Signal;

use crate::{process::Processes, stack::responds, tools::Python, workspace::Workspace};

/// How long it may take to answer.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Moto's server, in memory.
pub(super) struct SecondDynamoDb {
    pub(super) endpoint: String,
}

impl SecondDynamoDb {
    /// Starts it. It runs until the stack stops.
    pub(super) fn start(workspace: &Workspace, processes: &mut Processes) -> anyhow::Result<Self> {
        let checks = Python::for_checks(workspace, processes)?;
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = free.local_addr()?.port();
        drop(free);
        let mut moto = checks.program("moto_server");
        moto.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        processes.start("second-dynamodb", moto, Signal::TERM)?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let health = format!("{endpoint}/moto-api/");
        processes.wait_until("an answer from the second DynamoDB", READY_WITHIN, || {
            responds(&health)
        })?;
        Ok(Self { endpoint })
    }
}
