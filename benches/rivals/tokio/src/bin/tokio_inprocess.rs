//! tokio_inprocess: what the pieces of tokio cost, without a network: the twin of
//! benches/inprocess.
//!
//!     tokio_inprocess --runtime current spawn_join --seconds 2
//!     {"work": "spawn_join", "operations": …, "wall_ns": …, "cpu_ns": …}
//!
//! One line of JSON; a fifth of the time is warm-up and not in it. `--runtime` is `current`,
//! `multi`, the one with two worker threads, or `pair`, two of the first kind on two threads;
//! `--list` names the works. A work is a spawned task, not the future given to block_on, which
//! costs more to wake.

#[path = "../inprocess/mod.rs"]
mod inprocess;

use inprocess::work::Stopwatch;
use inprocess::{sync, tasks, time, workers};
use std::future::Future;
use std::pin::Pin;
use std::process::exit;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

type Body = fn(Stopwatch) -> Pin<Box<dyn Future<Output = Stopwatch> + Send>>;

const WORKS: [(&str, Body); 16] = [
    ("spawn_join", |watch| Box::pin(tasks::spawn_join(watch))),
    ("yield_1", |watch| Box::pin(tasks::yield_1(watch))),
    ("yield_1000", |watch| Box::pin(tasks::yield_1000(watch))),
    ("await_ready", |watch| Box::pin(tasks::await_ready(watch))),
    ("channel_128", |watch| Box::pin(sync::channel_128(watch))),
    ("channel_1_ping_pong", |watch| {
        Box::pin(sync::channel_1_ping_pong(watch))
    }),
    ("mutex", |watch| Box::pin(sync::mutex(watch))),
    ("semaphore", |watch| Box::pin(sync::semaphore(watch))),
    ("oneshot", |watch| Box::pin(sync::oneshot(watch))),
    ("timeout_ready", |watch| {
        Box::pin(time::timeout_ready(watch))
    }),
    ("timeout_pending", |watch| {
        Box::pin(time::timeout_pending(watch))
    }),
    ("sleeps_100k", |watch| Box::pin(time::sleeps_100k(watch))),
    ("timers_100k", |watch| Box::pin(time::timers_100k(watch))),
    ("cross_worker_ping_pong", |watch| {
        Box::pin(workers::cross_worker_ping_pong(watch))
    }),
    ("cross_worker_throughput", |watch| {
        Box::pin(workers::cross_worker_throughput(watch))
    }),
    ("spawn_anywhere", |watch| {
        Box::pin(workers::spawn_anywhere(watch))
    }),
];

const SECONDS_MAX: f64 = 3600.0;

fn wrong_usage(sentence: &str) -> ! {
    eprintln!("tokio_inprocess: {}", sentence);
    exit(2)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Current,
    Multi,
    Pair,
}

struct Arguments {
    work: Option<(&'static str, Body)>,
    list: bool,
    kind: Kind,
    seconds: f64,
}

fn work_of(name: &str) -> (&'static str, Body) {
    match WORKS.iter().find(|one| one.0 == name) {
        Some(found) => *found,
        None => wrong_usage(&format!("'{}' is no work; --list names them", name)),
    }
}

fn seconds_of(text: &str) -> f64 {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= SECONDS_MAX => seconds,
        _ => wrong_usage(&format!(
            "--seconds must be more than 0 and at most 3600, not '{}'",
            text
        )),
    }
}

fn kind_of(name: &str) -> Kind {
    match name {
        "current" => Kind::Current,
        "multi" => Kind::Multi,
        "pair" => Kind::Pair,
        _ => wrong_usage(&format!(
            "--runtime is current, multi or pair, not '{}'",
            name
        )),
    }
}

fn read_arguments() -> Arguments {
    let mut given = Arguments {
        work: None,
        list: false,
        kind: Kind::Current,
        seconds: 1.0,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || match words.next() {
            Some(value) => value,
            None => wrong_usage(&format!("{} needs a value", word)),
        };
        match word.as_str() {
            "--list" => given.list = true,
            "--seconds" => given.seconds = seconds_of(&value()),
            "--runtime" => given.kind = kind_of(&value()),
            option if option.starts_with('-') => wrong_usage(&format!(
                "unknown option '{}'; known are --list, --runtime and --seconds",
                option
            )),
            name if given.work.is_none() => given.work = Some(work_of(name)),
            name => wrong_usage(&format!("one work at a time, not '{}', too", name)),
        }
    }
    given
}

fn start_runtime(kind: Kind) -> Runtime {
    let mut builder = match kind {
        Kind::Multi => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    match builder.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tokio_inprocess: the runtime did not start: {}", error);
            exit(1)
        }
    }
}

fn measure(name: &str, body: Body, given: &Arguments) {
    let watch = Stopwatch::new(Duration::from_secs_f64(given.seconds));
    let runtime = start_runtime(given.kind);
    if given.kind == Kind::Pair {
        workers::pair_with(start_runtime(Kind::Current));
    }
    let watch = runtime.block_on(async { tokio::spawn(body(watch)).await.unwrap() });
    println!(
        "{{\"work\": \"{}\", \"operations\": {}, \"wall_ns\": {}, \"cpu_ns\": {}}}",
        name, watch.operations, watch.wall_ns, watch.cpu_ns
    );
}

fn main() {
    let given = read_arguments();
    if given.list {
        for (name, _) in WORKS {
            println!("{}", name);
        }
    } else if let Some((name, body)) = given.work {
        measure(name, body, &given);
    } else {
        wrong_usage("which work? --list names them");
    }
}
