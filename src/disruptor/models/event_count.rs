//! The bell: no wake-up is lost.

use std::sync::Arc;

use loom::thread;

use super::super::event_count::EventCount;
use super::super::sync::{AtomicU64, Ordering};
use super::check;

/// Invariant: a sleeper that was not ready when it looked is woken by the store that makes it ready.
#[test]
fn a_sleeper_is_woken_by_the_store_it_waits_for() {
    check(3, || {
        let shared = Arc::new((EventCount::new(false), AtomicU64::new(0)));
        let sleepers: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (bell, value) = &*shared;
                    while value.load(Ordering::Relaxed) == 0 {
                        bell.wait(|| value.load(Ordering::Relaxed) != 0, None);
                    }
                })
            })
            .collect();
        let (bell, value) = &*shared;
        value.store(1, Ordering::Release);
        bell.signal();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it was woken"));
    });
}

/// Invariant: a waker that was told to expect a call gets one.
#[test]
fn a_registered_waker_is_called() {
    struct Count(AtomicU64);

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    check(3, || {
        let shared = Arc::new((EventCount::new(false), AtomicU64::new(0)));
        let calls = Arc::new(Count(AtomicU64::new(0)));
        let registering = {
            let (shared, calls) = (Arc::clone(&shared), Arc::clone(&calls));
            thread::spawn(move || {
                let (bell, value) = &*shared;
                bell.register(&calls.into(), || value.load(Ordering::Relaxed) != 0)
            })
        };
        let (bell, value) = &*shared;
        value.store(1, Ordering::Release);
        bell.signal();
        let will_be_called = registering.join().expect("it has registered");
        assert!(!will_be_called || calls.0.load(Ordering::Relaxed) == 1);
    });
}
