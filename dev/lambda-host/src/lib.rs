//! Runs functions' real programs as Lambda does: several environments of each, one event at a time in each,
//! by Lambda's runtime API. To measure them at that boundary; it knows no time limits and starts nothing anew.
//!
//! By <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

mod runtime_api;

use std::{
    io,
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
};

use self::runtime_api::RuntimeApi;

/// How many events may wait for an environment.
const QUEUE: usize = 1_024;

/// How long an environment may take to ask for its first event.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A function, which runs until it is dropped.
#[derive(Debug)]
pub struct Function {
    events: mpsc::Sender<Event>,
    tally: Arc<Tally>,
    environments: Vec<Environment>,
}

/// A process that takes one event after the other.
#[derive(Debug)]
pub struct Environment {
    process: Child,
    /// From the start of the process to its first request for work.
    pub cold_start: Duration,
}

/// What a function made of an event.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What it said.
    pub body: Bytes,
    /// Whether it says why it has failed.
    pub failed: bool,
    /// From handing out the event to the answer.
    pub took: Duration,
}

/// How much a function has done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct Done {
    /// How many events.
    pub invocations: u64,
    /// In how many milliseconds, together.
    pub milliseconds: f64,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum HostError {
    /// The program cannot be run, or nothing can be listened on.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The program does not ask for work.
    #[error("the program has not asked for an event within {READY_WITHIN:?}")]
    NotReady,
    /// The environment that had the event is gone.
    #[error("the environment is gone")]
    Gone,
}

#[derive(Debug)]
struct Event {
    body: Bytes,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug, Default)]
struct Tally {
    invocations: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Function {
    /// Starts a program in as many environments as are asked for, one after the other, with those variables
    /// added to its environment; its output goes nowhere.
    pub async fn start<K, V>(
        program: &Path,
        variables: impl IntoIterator<Item = (K, V)> + Clone,
        environments: usize,
    ) -> Result<Self, HostError>
    where
        K: AsRef<std::ffi::OsStr>,
        V: AsRef<std::ffi::OsStr>,
    {
        let (events, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        let tally = Arc::new(Tally::default());
        let mut function = Self {
            events,
            tally: Arc::clone(&tally),
            environments: Vec::new(),
        };
        for _ in 0..environments {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let address = listener.local_addr()?.to_string();
            let (ready, is_ready) = watch::channel(false);
            let api = RuntimeApi::new(Arc::clone(&waiting), Arc::clone(&tally), ready);
            // As Lambda's own, it does not wait for more to send.
            let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
            tokio::spawn(axum::serve(listener, api.router()).into_future());
            let mut command = Command::new(program);
            command
                .envs(variables.clone())
                .env("AWS_LAMBDA_RUNTIME_API", address)
                .env("AWS_LAMBDA_FUNCTION_NAME", name(program))
                .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
                .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
                .env_remove("LISTEN");
            function
                .environments
                .push(Environment::start(command, is_ready).await?);
        }
        Ok(function)
    }

    /// Has one of the environments handle an event, as soon as one is free.
    pub async fn invoke(&self, body: Bytes) -> Result<Answer, HostError> {
        let (answer, answered) = oneshot::channel();
        let event = Event { body, answer };
        self.events.send(event).await.map_err(|_| HostError::Gone)?;
        answered.await.map_err(|_| HostError::Gone)
    }

    /// What it has done until now.
    pub fn done(&self) -> Done {
        let nanoseconds = self.tally.nanoseconds.load(Ordering::Relaxed);
        Done {
            invocations: self.tally.invocations.load(Ordering::Relaxed),
            milliseconds: Duration::from_nanos(nanoseconds).as_secs_f64() * 1e3,
        }
    }

    /// Its environments.
    pub fn environments(&self) -> &[Environment] {
        &self.environments
    }
}

impl Environment {
    async fn start(
        mut command: Command,
        mut ready: watch::Receiver<bool>,
    ) -> Result<Self, HostError> {
        let begun = Instant::now();
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let asks = tokio::time::timeout(READY_WITHIN, ready.wait_for(|ready| *ready));
        let asked = asks.await.is_ok_and(|asks| asks.is_ok());
        let cold_start = begun.elapsed();
        asked
            .then_some(Self {
                process,
                cold_start,
            })
            .ok_or(HostError::NotReady)
    }

    /// The process, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process.id()
    }
}

impl Tally {
    fn count(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.invocations.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

fn name(program: &Path) -> &std::ffi::OsStr {
    program.file_name().unwrap_or_default()
}
