//! The watch that measures a work.

use std::time::{Duration, Instant};

#[derive(PartialEq)]
enum Phase {
    Fresh,
    WarmUp,
    Measured,
    Over,
}

/// Counts the operations of a work and takes the time they need.
///
/// A work runs in batches: `while watch.goes_on() { …a batch…; watch.count(BATCH); }`. The batches
/// of the first fifth of the time are warm-up. The clocks are read where the warm-up ends and after
/// the last batch; what a work does before and after its loop is not measured. At least one batch
/// is warm-up and at least one is measured, however short the time.
pub struct Stopwatch {
    whole: Duration,
    phase: Phase,
    began: Instant,
    began_cpu_ns: u64,
    pub operations: u64,
    pub wall_ns: u64,
    /// CPU time of all threads of the process, in user mode and in the kernel.
    pub cpu_ns: u64,
}

impl Stopwatch {
    pub fn new(whole: Duration) -> Self {
        Stopwatch {
            whole,
            phase: Phase::Fresh,
            began: Instant::now(),
            began_cpu_ns: 0,
            operations: 0,
            wall_ns: 0,
            cpu_ns: 0,
        }
    }

    /// Called between batches: whether there is to be another one.
    pub fn goes_on(&mut self) -> bool {
        match self.phase {
            Phase::Fresh => {
                self.phase = Phase::WarmUp;
                self.began = Instant::now();
            }
            Phase::WarmUp => {
                if self.began.elapsed() >= self.whole / 5 {
                    self.begin_to_measure();
                }
            }
            Phase::Measured => {
                if self.began.elapsed() >= self.whole - self.whole / 5 {
                    self.end();
                }
            }
            Phase::Over => {}
        }
        self.phase != Phase::Over
    }

    /// Counts the operations of the batch that has just ended.
    pub fn count(&mut self, operations: u64) {
        self.operations += operations;
    }

    fn begin_to_measure(&mut self) {
        self.phase = Phase::Measured;
        self.operations = 0;
        self.began_cpu_ns = cpu_clock();
        self.began = Instant::now();
    }

    fn end(&mut self) {
        self.phase = Phase::Over;
        self.wall_ns = self.began.elapsed().as_nanos() as u64;
        self.cpu_ns = cpu_clock() - self.began_cpu_ns;
    }
}

fn cpu_clock() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // Safe: it writes to `now` and fails only where the clock is unknown.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A work that computes something wrong has not been measured: ends the program with code 1.
#[inline]
pub fn check(right: bool) {
    if !right {
        eprintln!("the work computed something wrong");
        std::process::exit(1);
    }
}
