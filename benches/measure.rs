//! How things are measured: the median of several runs, in the processor time of the thread that
//! does the work, with what it allocated.
//!
//! Wall time on a machine that others use measures the others. What is a wait by nature (how soon
//! a phone rings) is measured as one, and its row says so.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;
use std::time::Duration;

/// Counts what the calling thread allocates.
pub struct Counting;

thread_local!(static ALLOCATIONS: Cell<u64> = const { Cell::new(0) });

// SAFETY: the system's allocator does the work; counting touches nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

fn count() {
    // A thread that ends may allocate after its count is gone.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

pub fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

/// Octets allocated by this process and not given back, libopus's among them.
pub fn heap() -> u64 {
    // SAFETY: no memory is passed.
    let counts = unsafe { libc::mallinfo2() };
    (counts.uordblks + counts.hblkhd) as u64
}

/// Processor time of the calling thread.
pub fn thread_time() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Wall time in nanoseconds, as the kernel stamps what a socket receives.
pub fn wall_nanos() -> u64 {
    clock(libc::CLOCK_REALTIME).as_nanos() as u64
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write, and each of these clocks exists.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What some pieces of work cost together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    pub nanos: u64,
    pub allocations: u64,
    pub pieces: u64,
}

impl Cost {
    /// Does one piece of work and adds what it took.
    pub fn of<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.of_pieces(1, work)
    }

    /// Work that is `pieces` of the thing measured.
    pub fn of_pieces<T>(&mut self, pieces: u64, work: impl FnOnce() -> T) -> T {
        let (before, began) = (allocations(), thread_time());
        let done = work();
        self.nanos += (thread_time() - began).as_nanos() as u64;
        self.allocations += allocations() - before;
        self.pieces += pieces;
        done
    }

    /// Both together.
    pub const fn and(self, other: Self) -> Self {
        Self {
            nanos: self.nanos + other.nanos,
            allocations: self.allocations + other.allocations,
            pieces: self.pieces + other.pieces,
        }
    }

    fn nanos_each(self) -> f64 {
        self.nanos as f64 / self.pieces.max(1) as f64
    }

    fn allocations_each(self) -> f64 {
        self.allocations as f64 / self.pieces.max(1) as f64
    }
}

/// How small work is: repeated until a run takes some 20 ms, run [`RUNS`] times after one to warm.
pub fn repeat<T>(mut work: impl FnMut() -> T) -> Vec<Cost> {
    let mut repetitions = 16;
    loop {
        let mut cost = Cost::default();
        cost.of_pieces(repetitions, || (0..repetitions).for_each(|_| drop(std::hint::black_box(work()))));
        if cost.nanos > 5_000_000 {
            repetitions = (repetitions * 20_000_000).div_ceil(cost.nanos);
            break;
        }
        repetitions *= 4;
    }
    let run = |_| {
        let mut cost = Cost::default();
        cost.of_pieces(repetitions, || (0..repetitions).for_each(|_| drop(std::hint::black_box(work()))));
        cost
    };
    (0..RUNS).map(run).collect()
}

pub const RUNS: usize = 11;

/// Nanoseconds or microseconds a piece, whichever reads better.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Nanos,
    Micros,
}

/// Begins a table; its rows are printed as they are found.
pub fn table(title: &str) {
    println!("\n| {title} | median | min … max | allocations | runs |\n| --- | --: | --: | --: | --: |");
}

/// A row of work that was timed in this process.
pub fn cost_row(what: &str, unit: Unit, runs: &[Cost]) {
    let (scale, name) = match unit {
        Unit::Nanos => (1.0, "ns"),
        Unit::Micros => (1e3, "µs"),
    };
    let times: Vec<_> = runs.iter().map(|cost| cost.nanos_each() / scale).collect();
    let allocations: Vec<_> = runs.iter().map(|cost| cost.allocations_each()).collect();
    let allocations = format!("{:.1}", median(&allocations));
    // A table that grew once in a thousand pieces of work is not the work.
    line(what, name, &times, allocations.trim_end_matches(".0"));
}

/// A row of anything else.
pub fn row(what: &str, unit: &str, runs: &[f64]) {
    line(what, unit, runs, "");
}

/// A row that could not be measured, and why.
pub fn no_row(what: &str, why: &impl std::fmt::Display) {
    println!("| {what} | not measured: {why} | | | |");
}

fn line(what: &str, unit: &str, runs: &[f64], allocations: &str) {
    let mut line = format!("| {what} | {} {unit} | ", figure(median(runs)));
    let (least, most) = runs.iter().fold((f64::MAX, f64::MIN), |(a, b), &x| (a.min(x), b.max(x)));
    if runs.len() > 1 {
        let _ = write!(line, "{} … {}", figure(least), figure(most));
    }
    println!("{line} | {allocations} | {} |", runs.len());
}

pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// Nearest rank.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

/// Three significant digits, or all there are before the point.
pub fn figure(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 100.0 => format!("{value:.0}"),
        magnitude if magnitude >= 10.0 => format!("{value:.1}"),
        magnitude if magnitude >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
