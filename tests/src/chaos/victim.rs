//! The programs of the stack that the chaos test ends. The supervisor of the stack restarts them.

use std::{env, fs};

use rand::{Rng, seq::IndexedRandom};
use rustix::process::{Pid, Signal, kill_process};
use strum::{Display, EnumIter};

/// Set in the environment of every program of a stack, including this one.
const MARK: &str = "CAUCE_STACK_HOME";

/// Set by Lambda in the environment of a function's program.
const FUNCTION: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// A program that can be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumIter)]
#[strum(serialize_all = "kebab-case")]
pub enum Victim {
    /// One environment of the payments worker, possibly during a call.
    PaymentsWorker,
    /// One environment of the shipping worker, possibly during a call.
    ShippingWorker,
    /// One environment of the worker that sweeps and releases.
    RetryWorker,
    /// One environment of the API.
    Api,
    /// One environment of the circuit breaker's probe, possibly while it has the lease.
    BreakerProbe,
    /// API Gateway, Step Functions, DynamoDB, the queues and all functions at once.
    Emulator,
    /// The payment service.
    PaymentsSimulator,
    /// The shipping service.
    ShippingSimulator,
    /// One of the storefront's two processes.
    Frontend,
    /// The primary database. The standby takes over.
    PrimaryDatabase,
}

impl Victim {
    /// Ends one such program. Returns whether one was running.
    pub(super) fn end(self, rng: &mut impl Rng) -> bool {
        let Ok(home) = env::var(MARK) else {
            return false;
        };
        let running: Vec<Pid> = programs(&home)
            .filter(|program| self.is(program))
            .map(|program| program.pid)
            .collect();
        let signal = match self {
            // The emulator saves its state only when it is asked to end, and AWS would not lose it.
            Self::Emulator => Signal::TERM,
            _ => Signal::KILL,
        };
        running
            .choose(rng)
            .is_some_and(|pid| kill_process(*pid, signal).is_ok())
    }

    fn is(self, program: &Program) -> bool {
        let function = |name| {
            program
                .function
                .as_ref()
                .is_some_and(|it| it.ends_with(name))
        };
        let command = |name| program.function.is_none() && program.command.contains(name);
        match self {
            Self::PaymentsWorker => function("-payments"),
            Self::ShippingWorker => function("-shipping"),
            Self::RetryWorker => function("-retry"),
            Self::Api => function("-api"),
            Self::BreakerProbe => function("-breaker-probe"),
            Self::Emulator => command("bin/ministack"),
            Self::PaymentsSimulator => command("payments-simulator"),
            Self::ShippingSimulator => command("shipping-simulator"),
            Self::Frontend => command("server.js"),
            Self::PrimaryDatabase => command("/postgres/primary"),
        }
    }
}

struct Program {
    pid: Pid,
    command: String,
    /// The name of its Lambda function, if it is one.
    function: Option<String>,
}

/// The programs of the stack in this folder. None outside Linux.
fn programs(home: &str) -> impl Iterator<Item = Program> {
    let mark = format!("{MARK}={home}");
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(move |entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let read = |name: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{name}")).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let environment = read("environ")?;
        let mut variables = environment.split('\0');
        if !variables.any(|variable| variable == mark) {
            return None;
        }
        let function = environment
            .split('\0')
            .find_map(|variable| variable.strip_prefix(FUNCTION)?.strip_prefix('='));
        Some(Program {
            pid: Pid::from_raw(pid)?,
            command: read("cmdline")?,
            function: function.map(str::to_owned),
        })
    })
}
