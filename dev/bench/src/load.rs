//! Clients that send one request after the other, and rounds of them.

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::figures::milliseconds;

/// How often a load is measured, by how many clients, and for how long each time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    pub(crate) clients: usize,
    pub(crate) rounds: usize,
    /// The length of one round.
    pub(crate) round: Duration,
}

/// The requests of one round.
pub(crate) struct Load {
    /// The duration of each request, the shortest first.
    times: Vec<Duration>,
    /// The duration of the whole round.
    length: Duration,
}

impl Series {
    /// Has each client repeat a request for one round.
    pub(crate) async fn load(&self, request: impl AsyncFn()) -> Load {
        let begun = Instant::now();
        let client = async || {
            let mut times = Vec::new();
            while begun.elapsed() < self.round {
                let sent = Instant::now();
                request().await;
                times.push(sent.elapsed());
            }
            times
        };
        let times = join_all((0..self.clients).map(|_| client())).await;
        Load::new(times.concat(), begun.elapsed())
    }

    /// Measures all rounds, after a warm-up round that does not count.
    pub(crate) async fn measure(&self, round: impl AsyncFn() -> Load) -> Vec<Load> {
        round().await;
        let mut loads = Vec::new();
        for _ in 0..self.rounds {
            loads.push(round().await);
        }
        loads
    }

    /// Measures two loads in alternating rounds. The order within a pair alternates too, because
    /// each round affects the next.
    pub(crate) async fn compare(
        &self,
        one: impl AsyncFn() -> Load,
        other: impl AsyncFn() -> Load,
    ) -> [Vec<Load>; 2] {
        let (mut ones, mut others) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            if round % 2 == 0 {
                ones.push(one().await);
                others.push(other().await);
            } else {
                others.push(other().await);
                ones.push(one().await);
            }
        }
        [ones, others]
    }
}

impl Load {
    pub(crate) fn new(mut times: Vec<Duration>, length: Duration) -> Self {
        times.sort_unstable();
        Self { times, length }
    }

    /// Requests per second.
    fn rate(&self) -> f64 {
        let requests = u32::try_from(self.times.len()).unwrap_or(u32::MAX);
        f64::from(requests) / self.length.as_secs_f64()
    }

    /// The duration in milliseconds that `per_mille` of a thousand requests did not exceed.
    pub(crate) fn quantile_ms(&self, per_mille: usize) -> f64 {
        let last = self.times.len().saturating_sub(1);
        let time = self.times.get(last * per_mille / 1_000);
        time.map_or(f64::NAN, |time| milliseconds(*time))
    }

    pub(crate) fn rates(loads: &[Self]) -> Vec<f64> {
        loads.iter().map(Self::rate).collect()
    }

    pub(crate) fn quantiles_ms(loads: &[Self], per_mille: usize) -> Vec<f64> {
        let quantile = |load: &Self| load.quantile_ms(per_mille);
        loads.iter().map(quantile).collect()
    }
}
