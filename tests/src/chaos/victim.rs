//! The programs of the stack that the chaos test ends. The keeper of the stack starts them again.

use std::{env, fs};

use rand::{Rng, seq::IndexedRandom};
use rustix::process::{Pid, Signal, kill_process};
use strum::{Display, EnumIter};

/// Marks the environment of every program of a stack, and so that of this one.
const MARK: &str = "CAUCE_STACK_HOME";

/// Names a function's program to itself.
const FUNCTION: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// A program that can be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumIter)]
#[strum(serialize_all = "kebab-case")]
pub enum Victim {
    /// One environment of the payments' worker, perhaps in the middle of a call.
    PaymentsWorker,
    /// One environment of the shipping's worker, perhaps in the middle of a call.
    ShippingWorker,
    /// One environment of the worker that sweeps and releases.
    RetryWorker,
    /// One environment of the API.
    Api,
    /// One environment of the breaker's probe, perhaps with its lease.
    BreakerProbe,
    /// API Gateway, Step Functions, DynamoDB, the queues and all functions at once.
    Emulator,
    /// The payment service.
    PaymentsSimulator,
    /// The shipping service.
    ShippingSimulator,
    /// One of the storefront's two processes.
    Frontend,
    /// The database that is written to; the one that follows it takes over.
    PrimaryDatabase,
}

impl Victim {
    /// Ends one such program; answers whether there was one.
    pub(super) fn end(self, chances: &mut impl Rng) -> bool {
        let Ok(home) = env::var(MARK) else {
            return false;
        };
        let running: Vec<Pid> = programs(&home)
            .filter(|program| self.is(program))
            .map(|program| program.pid)
            .collect();
        let signal = match self {
            // It writes its state when it is asked to end, as the services that it stands for keep
            // theirs.
            Self::Emulator => Signal::TERM,
            _ => Signal::KILL,
        };
        running
            .choose(chances)
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
    /// The function that it runs, if it runs one.
    function: Option<String>,
}

/// The programs of the stack in that folder. Only Linux tells.
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
