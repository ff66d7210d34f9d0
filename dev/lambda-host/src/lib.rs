//! Runs functions' programs as Lambda does, with its runtime API: several environments of each
//! function, one event at a time in each. It is for measurements, so it has no timeouts and does
//! not restart an environment.
//!
//! See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

mod runtime_api;

use std::{
    collections::HashMap,
    fs, io,
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{body::Bytes, serve::ListenerExt};
use serde::Serialize;
use thiserror::Error;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc, oneshot, watch},
    time::timeout,
};

use self::runtime_api::RuntimeApi;

/// How many events may wait for an environment.
const QUEUE: usize = 1_024;

/// How long an environment may take to ask for its first event.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A function, which runs until it is dropped.
#[derive(Debug)]
pub struct Function {
    events: mpsc::Sender<PendingEvent>,
    tally: Arc<Tally>,
    /// Dropping them ends their processes.
    _environments: Vec<Environment>,
}

/// A process that handles one event after the other.
#[derive(Debug)]
pub struct Environment {
    process: Child,
    /// From the start of the process to its first request for an event.
    pub cold_start: Duration,
}

/// The result of an invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The function's answer or error.
    pub body: Bytes,
    /// Whether `body` is an error.
    pub failed: bool,
    /// From the delivery of the event to the answer.
    pub took: Duration,
}

/// The total work of a function.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct Done {
    /// The number of events.
    pub invocations: u64,
    /// The sum of their durations.
    pub milliseconds: f64,
}

/// Why a function does not start, or an event has no answer.
#[derive(Debug, Error)]
pub enum HostError {
    /// The program cannot be started, or no port is free.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The program does not request an event.
    #[error("the program has not requested an event within {READY_WITHIN:?}")]
    NotReady,
    /// The environment has ended before it answered.
    #[error("the environment has ended")]
    Gone,
}

#[derive(Debug)]
struct PendingEvent {
    body: Bytes,
    answer: oneshot::Sender<Invocation>,
}

#[derive(Debug, Default)]
struct Tally {
    invocations: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Function {
    /// Starts this many environments of a program, one after the other, with additional environment
    /// variables. Discards its output.
    pub async fn start(
        program: &Path,
        variables: &HashMap<String, String>,
        environments: usize,
    ) -> Result<Self, HostError> {
        let (events, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        let tally = Arc::new(Tally::default());
        let mut started = Vec::new();
        for _ in 0..environments {
            let mut command = Command::new(program);
            command.envs(variables);
            started.push(Environment::start(command, &waiting, &tally).await?);
        }
        Ok(Self {
            events,
            tally,
            _environments: started,
        })
    }

    /// Sends an event to the next free environment, and waits for the answer.
    pub async fn invoke(&self, body: Bytes) -> Result<Invocation, HostError> {
        let (answer, answered) = oneshot::channel();
        let event = PendingEvent { body, answer };
        self.events.send(event).await.map_err(|_| HostError::Gone)?;
        answered.await.map_err(|_| HostError::Gone)
    }

    /// The total work until now.
    pub fn done(&self) -> Done {
        let nanoseconds = self.tally.nanoseconds.load(Ordering::Relaxed);
        Done {
            invocations: self.tally.invocations.load(Ordering::Relaxed),
            milliseconds: Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3,
        }
    }
}

impl Environment {
    /// Starts a program that receives no events.
    pub async fn idle(command: Command) -> Result<Self, HostError> {
        let (_, waiting) = mpsc::channel(1);
        let waiting = Arc::new(Mutex::new(waiting));
        Self::start(command, &waiting, &Arc::default()).await
    }

    async fn start(
        mut command: Command,
        waiting: &Arc<Mutex<mpsc::Receiver<PendingEvent>>>,
        tally: &Arc<Tally>,
    ) -> Result<Self, HostError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (ready, mut is_ready) = watch::channel(false);
        let api = RuntimeApi::new(Arc::clone(waiting), Arc::clone(tally), ready);
        // As Lambda's runtime API: no Nagle delay.
        let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
        tokio::spawn(axum::serve(listener, api.router()).into_future());
        command
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "measured")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env_remove("LISTEN")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let start = Instant::now();
        let process = command.spawn()?;
        let ready = timeout(READY_WITHIN, is_ready.wait_for(|ready| *ready)).await;
        let cold_start = start.elapsed();
        ready
            .is_ok_and(|ready| ready.is_ok())
            .then_some(Self {
                process,
                cold_start,
            })
            .ok_or(HostError::NotReady)
    }

    /// The resident memory of its process, in bytes. `None` on systems other than Linux.
    pub fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()?)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1_024)
    }
}

impl Tally {
    fn count(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.invocations.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}
