//! How far apart two CPUs are: the time that a cache line takes to the other one and back.
//!
//! On a virtual machine this changes while nobody looks, when the host moves a core elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::machine::{Cpus, pin};

/// Enough for a few milliseconds; the start of the threads vanishes in it.
const ROUND_TRIPS: u64 = 20_000;

/// One cache line, and the one that is fetched with it.
#[repr(align(128))]
struct Line(AtomicU64);

/// The nanoseconds of one round trip.
pub fn round_trip(cpus: Cpus) -> f64 {
    let line = Line(AtomicU64::new(0));
    let turn = |expected| {
        // No pause: it would be part of the result. Relaxed: the line carries nothing but itself.
        while line.0.load(Ordering::Relaxed) != expected {}
        line.0.store(expected + 1, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(Some(cpus.consumer));
            (0..ROUND_TRIPS).for_each(|trip| turn(2 * trip + 1));
        });
        let near = scope.spawn(|| {
            pin(Some(cpus.producer));
            turn(0);
            turn(2);
            let start = Instant::now();
            (2..ROUND_TRIPS).for_each(|trip| turn(2 * trip));
            start.elapsed().as_nanos() as f64 / (ROUND_TRIPS - 2) as f64
        });
        near.join().expect("the probe does not panic")
    })
}
