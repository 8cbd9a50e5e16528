//! Crossing from one worker to another. The multi-thread runtime has two workers and decides by
//! itself what runs where; tasks that talk to each other soon share a thread. With a pair of
//! current-thread runtimes, a thread each, they cannot. With one, nothing crosses.

use super::work::{check, Stopwatch};
use std::future::{pending, Future};
use std::sync::Mutex;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::{spawn, JoinSet};

/// The other runtime of a pair.
static ELSEWHERE: Mutex<Option<Handle>> = Mutex::new(None);

/// Makes a runtime, which runs on a thread of its own until the process ends, the other one.
pub fn pair_with(other: Runtime) {
    *ELSEWHERE.lock().unwrap() = Some(other.handle().clone());
    std::thread::spawn(move || other.block_on(pending::<()>()));
}

/// Spawns on the other runtime of a pair; without one, the runtime decides where.
fn spawn_elsewhere(task: impl Future<Output = ()> + Send + 'static) {
    match ELSEWHERE.lock().unwrap().as_ref() {
        Some(other) => other.spawn(task),
        None => spawn(task),
    };
}

async fn echo(mut inward: mpsc::Receiver<i32>, outward: mpsc::Sender<i32>) {
    while let Some(value) = inward.recv().await {
        if outward.send(value).await.is_err() {
            return;
        }
    }
}

async fn send_until_closed(out: mpsc::Sender<i32>) {
    let mut next = 0;
    while out.send(next).await.is_ok() {
        next = next.wrapping_add(1);
    }
}

async fn answer(value: i32) -> i32 {
    value
}

/// Two tasks on two workers and two channels of capacity 1: one sends an int, the other sends it
/// back.
/// Operation: one round trip.
pub async fn cross_worker_ping_pong(mut watch: Stopwatch) -> Stopwatch {
    const BATCH: i32 = 100;
    let (there, inward) = mpsc::channel(1);
    let (outward, mut back) = mpsc::channel(1);
    spawn_elsewhere(echo(inward, outward));
    while watch.goes_on() {
        for i in 0..BATCH {
            there.send(i).await.unwrap();
            check(back.recv().await == Some(i));
        }
        watch.count(BATCH as u64);
    }
    watch
}

/// A bounded channel of 128 ints, the producer on one worker and the consumer on another.
/// Operation: one item.
pub async fn cross_worker_throughput(mut watch: Stopwatch) -> Stopwatch {
    const BATCH: i32 = 10_000;
    let (sender, mut items) = mpsc::channel(128);
    spawn_elsewhere(send_until_closed(sender));
    let mut next = 0;
    while watch.goes_on() {
        for _ in 0..BATCH {
            check(items.recv().await == Some(next));
            next = next.wrapping_add(1);
        }
        watch.count(BATCH as u64);
    }
    watch
}

/// Spawns tasks that return an int on whatever worker has time, and joins them; 64 are on their
/// way at any time, and each that comes back is followed by a new one.
/// Operation: one task spawned and joined.
pub async fn spawn_anywhere(mut watch: Stopwatch) -> Stopwatch {
    const IN_FLIGHT: i32 = 64;
    const BATCH: i32 = 1000;
    let mut tasks = JoinSet::new();
    for i in 0..IN_FLIGHT {
        tasks.spawn(answer(i));
    }
    while watch.goes_on() {
        for _ in 0..BATCH {
            let value = tasks.join_next().await.unwrap().unwrap();
            tasks.spawn(answer(value));
        }
        watch.count(BATCH as u64);
    }
    let mut sum = 0;
    while let Some(value) = tasks.join_next().await {
        sum += value.unwrap();
    }
    check(sum == IN_FLIGHT * (IN_FLIGHT - 1) / 2);
    watch
}
