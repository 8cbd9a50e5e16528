//! Time: limiting how long something may take, sleeping, and the bare timers.

use super::work::Stopwatch;
use std::future::ready;
use std::pin::Pin;
use std::time::Duration;
use tokio::task::{spawn, yield_now, JoinHandle};
use tokio::time::{sleep, sleep_until, timeout, Instant, Sleep};

const BATCH: u64 = 10_000;
const MANY: u64 = 100_000;
const HOUR: Duration = Duration::from_secs(3600);

/// The random numbers of both twins: the 64-bit generator of Knuth's MMIX.
struct RandomNumbers {
    state: u64,
}

impl RandomNumbers {
    /// Below `limit`, which is below 2^32.
    fn below(&mut self, limit: u64) -> u64 {
        self.state = self
            .state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        ((self.state >> 32) * limit) >> 32
    }
}

/// Somewhere in the hour that begins in one hour, in whole milliseconds.
fn far_away(start: Instant, random: &mut RandomNumbers) -> Instant {
    start + HOUR + Duration::from_millis(random.below(3_600_000))
}

/// A timer is armed when it is first polled.
async fn arm(timer: &mut Pin<Box<Sleep>>) {
    tokio::select! {
        biased;
        _ = timer => {}
        _ = ready(()) => {}
    }
}

/// A timeout of one hour around an awaitable that is ready, so that no timer is needed.
/// Operation: one timeout.
pub async fn timeout_ready(mut watch: Stopwatch) -> Stopwatch {
    while watch.goes_on() {
        for _ in 0..BATCH {
            timeout(HOUR, ready(())).await.unwrap();
        }
        watch.count(BATCH);
    }
    watch
}

/// A timeout of one hour around an awaitable that is pending once, a yield, so that a timer is
/// armed and disarmed.
/// Operation: one timeout.
///
/// What the yield itself costs here is seen in yield_1.
pub async fn timeout_pending(mut watch: Stopwatch) -> Stopwatch {
    while watch.goes_on() {
        for _ in 0..BATCH {
            timeout(HOUR, yield_now()).await.unwrap();
        }
        watch.count(BATCH);
    }
    watch
}

/// Spawns 100 000 tasks, number i sleeps i % 100 ms, and joins them all. The CPU time is the
/// figure; the wall clock mostly shows the 99 ms.
/// Operation: one sleep.
pub async fn sleeps_100k(mut watch: Stopwatch) -> Stopwatch {
    while watch.goes_on() {
        let all: Vec<JoinHandle<()>> = (0..MANY)
            .map(|i| spawn(sleep(Duration::from_millis(i % 100))))
            .collect();
        for one in all {
            one.await.unwrap();
        }
        watch.count(MANY);
    }
    watch
}

/// 100 000 timers are armed, to fire between one and two hours from now. A batch picks one of them
/// at random, cancels it and arms it for another random time, 1 000 000 times over.
/// Operation: one cancelled and one armed.
///
/// `reset` is the quickest way to that here: nothing is allocated, and a deadline that moves away
/// is only noted. The driver gets to see the timers once before: as long as it knows of none, it is
/// woken, by a system call, for each that is armed.
pub async fn timers_100k(mut watch: Stopwatch) -> Stopwatch {
    const ROUNDS: u64 = 1_000_000;
    let start = Instant::now();
    let mut random = RandomNumbers { state: 1 };
    let mut timers: Vec<Pin<Box<Sleep>>> = (0..MANY)
        .map(|_| Box::pin(sleep_until(far_away(start, &mut random))))
        .collect();
    for one in &mut timers {
        arm(one).await;
    }
    yield_now().await;
    while watch.goes_on() {
        for _ in 0..ROUNDS {
            let one = &mut timers[random.below(MANY) as usize];
            one.as_mut().reset(far_away(start, &mut random));
        }
        watch.count(ROUNDS);
    }
    watch
}
