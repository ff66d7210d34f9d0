//! Another implementation of DynamoDB than the emulator's: moto. The circuits' store must work over both.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use rustix::process::Signal;

use crate::{process::Processes, stack::answers, tools::Python, workspace::Workspace};

/// How long it may take to answer.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Moto's server, in memory.
pub(super) struct SecondDynamoDb {
    pub(super) endpoint: String,
}

impl SecondDynamoDb {
    /// Starts it, to run until everything stops.
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
        processes.wait_until("the second DynamoDB's answer", READY_WITHIN, || {
            answers(&health)
        })?;
        Ok(Self { endpoint })
    }
}
