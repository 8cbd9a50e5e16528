//! Tasks: starting them, switching between them, awaiting them.

use super::work::{check, Stopwatch};
use tokio::task::{spawn, yield_now, JoinHandle};

const BATCH: i32 = 10_000;

async fn answer(value: i32) -> i32 {
    value
}

async fn yield_often(times: i32) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// Spawns a task that returns an int, and awaits it; one at a time.
/// Operation: one task spawned and joined.
pub async fn spawn_join(mut watch: Stopwatch) -> Stopwatch {
    while watch.goes_on() {
        for i in 0..BATCH {
            check(spawn(answer(i)).await.unwrap() == i);
        }
        watch.count(BATCH as u64);
    }
    watch
}

/// One task yields in a loop, and nothing else is ready.
/// Operation: one yield.
///
/// Here a yield goes through the driver, a system call, when no other task is ready.
pub async fn yield_1(mut watch: Stopwatch) -> Stopwatch {
    while watch.goes_on() {
        yield_often(BATCH).await;
        watch.count(BATCH as u64);
    }
    watch
}

/// 1000 tasks yield in turn. A batch spawns them, each yields 1000 times, and all are joined, so
/// that a thousandth of a spawn and join is in each operation.
/// Operation: one yield.
pub async fn yield_1000(mut watch: Stopwatch) -> Stopwatch {
    const TASKS: i32 = 1000;
    const YIELDS: i32 = 1000;
    while watch.goes_on() {
        let all: Vec<JoinHandle<()>> = (0..TASKS).map(|_| spawn(yield_often(YIELDS))).collect();
        for one in all {
            one.await.unwrap();
        }
        watch.count((TASKS * YIELDS) as u64);
    }
    watch
}

/// Calls a coroutine that returns an int at once, and awaits it. In ouro it costs a frame; rustc
/// inlines an async fn to nothing, so that the two are no rivals.
/// Operation: one call.
pub async fn await_ready(mut watch: Stopwatch) -> Stopwatch {
    while watch.goes_on() {
        for i in 0..BATCH {
            check(answer(i).await == i);
        }
        watch.count(BATCH as u64);
    }
    watch
}
