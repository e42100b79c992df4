//! Starting threads: all of them or none.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use super::control::Control;
use super::error::StartError;
use super::failure::{Failure, FailureCause, Moment};
use super::processor::Runner;
use crate::base::cpu_set::CpuSet;
use crate::sys::affinity::{self, Pin, PinError};

/// A thread that is to be started.
pub(crate) struct Launch {
    /// The node of the graph that the thread belongs to.
    pub(crate) node: usize,
    pub(crate) name: Arc<str>,
    /// Where the user wants it.
    pub(crate) pin: Option<Pin>,
    /// Where it is to run, once that is settled; anywhere if there are none.
    pub(crate) cpus: Option<CpuSet>,
    /// Makes the consumer, on its thread.
    pub(crate) make: Box<dyn FnOnce() -> Box<dyn Runner> + Send>,
}

impl Launch {
    /// Makes the consumer, on the calling thread.
    pub(crate) fn make_runner(self) -> Result<Box<dyn Runner>, StartError> {
        caught(&self.name, self.make)
    }
}

/// What the new threads and the starter agree upon.
#[derive(Default)]
struct Handshake {
    state: Mutex<HandshakeState>,
    changed: Condvar,
}

#[derive(Default)]
struct HandshakeState {
    ready: usize,
    error: Option<StartError>,
    go: Option<bool>,
}

impl Handshake {
    /// Says that a thread is ready, or why it is not; waits for the verdict about all of them.
    fn report(&self, result: Result<(), StartError>) -> bool {
        let mut state = self.state.lock();
        state.ready += 1;
        if let Err(error) = result {
            state.error.get_or_insert(error);
        }
        self.changed.notify_all();
        loop {
            if let Some(go) = state.go {
                return go;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Waits until `threads` have reported, then lets them go, or end if there was an error.
    fn conclude(&self, threads: usize, spawn_error: Option<StartError>) -> Result<(), StartError> {
        let mut state = self.state.lock();
        while state.ready < threads {
            self.changed.wait(&mut state);
        }
        let result = match spawn_error.or(state.error.take()) {
            None => Ok(()),
            Some(error) => Err(error),
        };
        state.go = Some(result.is_ok());
        self.changed.notify_all();
        result
    }
}

/// Starts one thread per launch. If one of them cannot come up, none is left running.
pub(crate) fn launch(
    control: &Arc<Control>,
    launches: Vec<Launch>,
) -> Result<Vec<(usize, JoinHandle<()>)>, StartError> {
    let handshake = Arc::new(Handshake::default());
    let mut threads = Vec::with_capacity(launches.len());
    let mut spawn_error = None;
    for launch in launches {
        let (node, name) = (launch.node, Arc::clone(&launch.name));
        let (control, handshake) = (Arc::clone(control), Arc::clone(&handshake));
        match thread::Builder::new().name(name.to_string()).spawn(move || live(&control, &handshake, launch))
        {
            Ok(thread) => threads.push((node, thread)),
            Err(source) => {
                spawn_error = Some(StartError::Spawn { name, source });
                break;
            }
        }
    }
    match handshake.conclude(threads.len(), spawn_error) {
        Ok(()) => Ok(threads),
        Err(error) => {
            for (_, thread) in threads {
                // The thread ended by the verdict; a panic in it has been reported already.
                let _ended = thread.join();
            }
            Err(error)
        }
    }
}

/// A consumer thread, from its first act to its last.
fn live(control: &Arc<Control>, handshake: &Handshake, launch: Launch) {
    let _count = control.count_thread();
    let name = Arc::clone(&launch.name);
    control.as_consumer(|| match caught(&name, || come_up(launch)).and_then(|result| result) {
        Ok(mut runner) => {
            if !handshake.report(Ok(())) {
                runner.shut_down();
            } else if let Err(StartError::Handler(failure)) = caught(&name, || runner.run()) {
                // The runner catches its handler's panics; this one came from a panic's own payload.
                control.poison(failure);
            }
        }
        Err(error) => {
            handshake.report(Err(error));
        }
    });
}

/// Runs `work`, whose panic is the failure of this consumer.
fn caught<R>(name: &Arc<str>, work: impl FnOnce() -> R) -> Result<R, StartError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let failure = Failure::new(name, Moment::Start, 1, FailureCause::from_panic(&*panic));
        // Foreign code, which may panic again when it is dropped.
        std::mem::forget(panic);
        StartError::Handler(failure)
    })
}

fn come_up(launch: Launch) -> Result<Box<dyn Runner>, StartError> {
    if let Some(cpus) = &launch.cpus {
        affinity::pin_current_thread(cpus).map_err(|source| StartError::Pin {
            name: Arc::clone(&launch.name),
            source: PinError::System { cpus: cpus.clone(), source },
        })?;
    }
    let mut runner = launch.make_runner()?;
    runner.start().map_err(StartError::Handler)?;
    Ok(runner)
}
