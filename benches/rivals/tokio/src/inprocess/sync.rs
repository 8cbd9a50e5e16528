//! What tasks do with each other. All of tokio's primitives work across threads.

use super::work::{check, Stopwatch};
use tokio::sync::{mpsc, oneshot as one_shot, Mutex, Semaphore};
use tokio::task::spawn;

const BATCH: i32 = 10_000;

async fn send_until_closed(out: mpsc::Sender<i32>) {
    let mut next = 0;
    while out.send(next).await.is_ok() {
        next = next.wrapping_add(1);
    }
}

async fn echo(mut inward: mpsc::Receiver<i32>, outward: mpsc::Sender<i32>) {
    while let Some(value) = inward.recv().await {
        if outward.send(value).await.is_err() {
            return;
        }
    }
}

/// A bounded channel of 128 ints, one producer task and one consumer task.
/// Operation: one item.
pub async fn channel_128(mut watch: Stopwatch) -> Stopwatch {
    let (sender, mut items) = mpsc::channel(128);
    spawn(send_until_closed(sender));
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

/// Two tasks and two channels of capacity 1: one sends an int, the other sends it back.
/// Operation: one round trip.
pub async fn channel_1_ping_pong(mut watch: Stopwatch) -> Stopwatch {
    let (there, inward) = mpsc::channel(1);
    let (outward, mut back) = mpsc::channel(1);
    spawn(echo(inward, outward));
    while watch.goes_on() {
        for i in 0..BATCH {
            there.send(i).await.unwrap();
            check(back.recv().await == Some(i));
        }
        watch.count(BATCH as u64);
    }
    watch
}

/// Locks and unlocks a mutex that nobody else wants.
/// Operation: one lock and unlock.
pub async fn mutex(mut watch: Stopwatch) -> Stopwatch {
    let guarded = Mutex::new(0u64);
    while watch.goes_on() {
        let before = *guarded.lock().await;
        for _ in 0..BATCH {
            *guarded.lock().await += 1;
        }
        check(*guarded.lock().await == before + BATCH as u64);
        watch.count(BATCH as u64);
    }
    watch
}

/// Acquires and releases one permit of a semaphore that has enough.
/// Operation: one acquisition and release.
pub async fn semaphore(mut watch: Stopwatch) -> Stopwatch {
    let permits = Semaphore::new(2);
    while watch.goes_on() {
        for _ in 0..BATCH {
            let _permit = permits.acquire().await.unwrap();
            check(permits.available_permits() == 1);
        }
        watch.count(BATCH as u64);
    }
    watch
}

/// Creates a oneshot, sends an int into it and receives it, all in one task.
/// Operation: one oneshot.
pub async fn oneshot(mut watch: Stopwatch) -> Stopwatch {
    while watch.goes_on() {
        for i in 0..BATCH {
            let (reply, response) = one_shot::channel();
            reply.send(i).unwrap();
            check(response.await == Ok(i));
        }
        watch.count(BATCH as u64);
    }
    watch
}
