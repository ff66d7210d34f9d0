//! Fifty processes that share a table and call one service, which counts the calls it receives.
//!
//! Each test starts this program again, once for each process of the fleet. In those processes the
//! variable `SERVICE` is set, and the test runs the part of one process.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails has failed its test"
)]

mod table;

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use breaker::{Admission, Breaker, Config, DynamoDb, ProbeOutcome, Reason, State};
use table::{TABLE, new_name, store};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Barrier,
    task::JoinSet,
    time::{Instant, sleep},
};

/// The number of processes, each with one call in flight at a time.
const FLEET: usize = 50;

/// The number of calls that the fleet has in flight at once. As many may still be in flight when
/// the circuit opens, so the fleet makes at most twice this many failed calls.
const MINIMUM_CALLS: u64 = 50;

/// The number of probes that fail.
const FAILED_PROBES: usize = 3;

/// The duration of a probe: long enough for other processes to attempt one meanwhile.
const PROBE_DURATION: Duration = Duration::from_millis(40);

/// The pause of a process between two attempts to probe.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// The emulated DynamoDB is one process, and slow when all processes call it at once.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// The requests to the service, one byte each.
const READY: u8 = b'r';
const HEALTHY: u8 = b'h';
const CALL: u8 = b'c';
const PROBE: u8 = b'p';

/// The responses of the service, one byte each.
const FAILURE: u8 = b'0';
const SUCCESS: u8 = b'1';

/// The service. It counts its failed calls, its probes, and how many probes ran at once.
#[derive(Default)]
struct Service {
    failed_calls: AtomicUsize,
    probes: AtomicUsize,
    probes_in_flight: AtomicUsize,
    max_probes_in_flight: AtomicUsize,
}

impl Service {
    async fn respond(&self, request: u8) -> u8 {
        match request {
            CALL => {
                self.failed_calls.fetch_add(1, SeqCst);
                FAILURE
            }
            PROBE => {
                let in_flight = self.probes_in_flight.fetch_add(1, SeqCst) + 1;
                self.max_probes_in_flight.fetch_max(in_flight, SeqCst);
                sleep(PROBE_DURATION).await;
                self.probes_in_flight.fetch_sub(1, SeqCst);
                let before = self.probes.fetch_add(1, SeqCst);
                if before < FAILED_PROBES {
                    FAILURE
                } else {
                    SUCCESS
                }
            }
            _ => SUCCESS,
        }
    }

    /// Serves a process until it disconnects. Responds to `READY` when all processes are ready.
    async fn serve(&self, mut connection: TcpStream, all_ready: &Barrier) {
        while let Ok(request) = connection.read_u8().await {
            if request == READY {
                all_ready.wait().await;
            }
            let response = self.respond(request).await;
            connection.write_u8(response).await.unwrap();
        }
    }
}

/// Starts this program once for each process of the fleet, to run its part of `test` on a circuit.
/// Returns the service once all have ended.
async fn run_fleet(test: &'static str, circuit: &str) -> Arc<Service> {
    let service = Arc::new(Service::default());
    let all_ready = Arc::new(Barrier::new(FLEET));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut processes = JoinSet::new();
    for _ in 0..FLEET {
        let mut process = Command::new(env::current_exe().unwrap());
        process
            .args(["--exact", test])
            .env("SERVICE", &address)
            .env("CIRCUIT", circuit)
            .kill_on_drop(true);
        processes.spawn(async move { process.output().await });
    }
    let mut serving = JoinSet::new();
    while !processes.is_empty() {
        tokio::select! {
            accepted = listener.accept() => {
                let (service, all_ready) = (Arc::clone(&service), Arc::clone(&all_ready));
                let (connection, _) = accepted.unwrap();
                serving.spawn(async move { service.serve(connection, &all_ready).await });
            }
            Some(ended) = processes.join_next() => {
                let ended = ended.unwrap().unwrap();
                let output = String::from_utf8_lossy(&ended.stdout);
                assert!(ended.status.success(), "a process of the fleet failed: {output}");
            }
        }
    }
    service
}

/// One process of the fleet: a breaker, and a connection to the service.
struct FleetProcess {
    breaker: Breaker<DynamoDb>,
    service: TcpStream,
}

impl FleetProcess {
    /// Returns this process if [`run_fleet`] has started it.
    async fn current(config: Config) -> Option<Self> {
        let address = env::var("SERVICE").ok()?;
        let circuit = env::var("CIRCUIT").unwrap();
        Some(Self {
            breaker: Breaker::new(DynamoDb::new(table::client(), TABLE), circuit, config),
            service: TcpStream::connect(address).await.unwrap(),
        })
    }

    /// Sends a request to the service. Returns whether it succeeded.
    async fn send(&mut self, request: u8) -> bool {
        self.service.write_u8(request).await.unwrap();
        self.service.read_u8().await.unwrap() == SUCCESS
    }

    /// Waits until all processes of the fleet are ready.
    async fn wait_for_fleet(&mut self) {
        self.send(READY).await;
    }

    /// Makes a call if it is admitted. Returns whether it was.
    async fn call(&mut self, request: u8) -> bool {
        let Admission::Admitted(permit) = self.breaker.admit().await else {
            return false;
        };
        let begun = Instant::now();
        if self.send(request).await {
            permit.record_success(begun.elapsed()).await;
        } else {
            permit.record_failure(begun.elapsed()).await;
        }
        true
    }

    async fn probe_until_closed(&mut self) {
        let breaker = self.breaker.clone();
        loop {
            let call = async || self.send(PROBE).await.then_some(()).ok_or(());
            let outcome = breaker.probe(call).await.unwrap();
            if matches!(
                outcome,
                ProbeOutcome::NotDue {
                    state: State::Closed,
                    ..
                }
            ) {
                return;
            }
            sleep(PROBE_INTERVAL).await;
        }
    }
}

#[tokio::test]
async fn after_the_first_failure_the_fleet_makes_few_more_calls() {
    let mut config = Config::default();
    config.minimum_calls = MINIMUM_CALLS;
    config.open_for = Duration::from_hours(1);
    config.max_open_for = Duration::from_hours(1);
    config.store_timeout = STORE_TIMEOUT;
    if let Some(mut process) = FleetProcess::current(config.clone()).await {
        assert!(process.call(HEALTHY).await);
        process.wait_for_fleet().await;
        while process.call(CALL).await {}
        for _ in 0..100 {
            assert!(!process.call(CALL).await);
        }
        return;
    }
    let (store, circuit) = (store().await, new_name());
    let service = run_fleet(
        "after_the_first_failure_the_fleet_makes_few_more_calls",
        &circuit,
    )
    .await;
    let failed = u64::try_from(service.failed_calls.load(SeqCst)).unwrap();
    println!("{failed} failed calls by {FLEET} processes");
    assert!((MINIMUM_CALLS / 2..=2 * MINIMUM_CALLS).contains(&failed));
    let history = Breaker::new(store, circuit, config).history(10).await;
    let reasons: Vec<_> = history.unwrap().iter().map(|it| it.reason).collect();
    assert_eq!(reasons, [Reason::FailureRate]);
}

#[tokio::test]
async fn one_probe_at_a_time_closes_the_circuit_for_the_whole_fleet() {
    let mut config = Config::default();
    config.open_for = Duration::from_millis(200);
    config.max_open_for = Duration::from_millis(400);
    config.refresh_every = Duration::from_millis(200);
    config.store_timeout = STORE_TIMEOUT;
    if let Some(mut process) = FleetProcess::current(config.clone()).await {
        process.wait_for_fleet().await;
        process.probe_until_closed().await;
        return;
    }
    let circuit = new_name();
    let breaker = Breaker::new(store().await, &circuit, config.clone());
    for _ in 0..config.minimum_calls {
        let Admission::Admitted(permit) = breaker.admit().await else {
            panic!("the circuit should be closed");
        };
        permit.record_failure(Duration::ZERO).await;
    }
    let service = run_fleet(
        "one_probe_at_a_time_closes_the_circuit_for_the_whole_fleet",
        &circuit,
    )
    .await;
    assert_eq!(service.max_probes_in_flight.load(SeqCst), 1);
    let passed = usize::try_from(config.successes_to_close).unwrap();
    assert_eq!(service.probes.load(SeqCst), FAILED_PROBES + passed);
    let history = breaker.history(10).await.unwrap();
    let reasons: Vec<_> = history.iter().rev().map(|it| it.reason).collect();
    assert_eq!(
        reasons,
        [
            Reason::FailureRate,
            Reason::ProbeFailed,
            Reason::ProbeFailed,
            Reason::ProbeFailed,
            Reason::ProbePassed,
            Reason::TrialPassed,
        ]
    );
}
