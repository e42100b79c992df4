//! The thread that asks the server for numbers, so that keys are answered while an answer takes its time.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use super::sample::Subject;
use crate::client::{Client, ClientError};

/// What came back, and when.
pub struct Reading {
    pub at: Instant,
    pub answer: Result<Value, ClientError>,
}

impl Reading {
    /// What has come just now.
    pub fn of(answer: Result<Value, ClientError>) -> Self {
        Self { at: Instant::now(), answer }
    }
}

/// Asks at an interval, for the first time when one is over.
pub struct Asker {
    shared: Arc<Shared>,
    readings: Receiver<Reading>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    orders: Mutex<Orders>,
    changed: Condvar,
}

struct Orders {
    interval: Duration,
    is_over: bool,
    is_asking: bool,
}

/// One that is looked at, and one that has come meanwhile; a thread with a third one waits.
const READINGS_MAX: usize = 1;

impl Asker {
    /// Starts the thread.
    ///
    /// Errors: the operating system's.
    pub fn start(client: Client, subject: Subject, interval: Duration) -> io::Result<Self> {
        let orders = Orders { interval, is_over: false, is_asking: false };
        let shared = Arc::new(Shared { orders: Mutex::new(orders), changed: Condvar::new() });
        let (sender, readings) = sync_channel(READINGS_MAX);
        let own = Arc::clone(&shared);
        let ask = move || {
            let mut asked = Instant::now();
            while own.is_time(asked) {
                asked = Instant::now();
                let reading = Reading::of(subject.ask(&client));
                own.orders.lock().is_asking = false;
                if sender.send(reading).is_err() {
                    return;
                }
            }
        };
        let thread = Some(Builder::new().name("watch-asker".to_owned()).spawn(ask)?);
        Ok(Self { shared, readings, thread })
    }

    /// What has come, if something has.
    pub fn reading(&self) -> Option<Reading> {
        self.readings.try_recv().ok()
    }

    /// Asks at another interval from now on.
    pub fn pace(&self, interval: Duration) {
        self.shared.orders.lock().interval = interval;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Waits until it is time to ask again; false if it is over.
    fn is_time(&self, asked: Instant) -> bool {
        let mut orders = self.orders.lock();
        while !orders.is_over && asked.elapsed() < orders.interval {
            let left = orders.interval.saturating_sub(asked.elapsed());
            self.changed.wait_for(&mut orders, left);
        }
        orders.is_asking = !orders.is_over;
        orders.is_asking
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let is_asking = {
            let mut orders = self.shared.orders.lock();
            orders.is_over = true;
            orders.is_asking
        };
        self.shared.changed.notify_all();
        // Nobody reads any more, so that a thread that waits to send goes on.
        self.readings = sync_channel(0).1;
        // Nobody who quits waits for a server that does not answer: the thread ends with the program.
        if let Some(thread) = self.thread.take().filter(|_| !is_asking) {
            let _ended = thread.join();
        }
    }
}
