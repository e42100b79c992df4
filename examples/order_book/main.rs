//! Replays LOBSTER messages through four stages, and checks the order book that comes out:
//!
//! ```text
//!                     +-> journal --+
//! publisher -> parse -|             |-> publish
//!                     +-> book -----+
//! ```
//!
//! `cargo run --release --example order_book [MESSAGES.csv [BOOK.csv]]`, with files of the kind
//! that lobsterdata.com offers as samples. Start reading at [`replay`], then in `stages.rs`.

mod stages;

mod book;
mod flow;
mod input;
mod journal;
mod lobster;
mod report;

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use badbatch::disruptor::{BlockingWaitStrategy, FailureCause, ShutdownError, SingleProducer};
use badbatch::{Consumer, DisruptorBuilder, RingBuffer};

use book::Book;
use flow::Flow;
use input::{InputError, Step};
use journal::{Checksum, PartialFile};
use report::StageStats;
use stages::{Event, Journal, Parse, Publish, Quotes, Rebuild, Results};

const USAGE: &str = "\
Usage: order_book [MESSAGES.csv [BOOK.csv]]

Replays a LOBSTER message file. With its order-book file, starts from the first row and
compares the best bid and ask with all others. Without files, makes up 5 million messages.
Leaves the journal as order_book.journal in the directory for temporary files.
";
const FLOW_SEED: u64 = 20_120_621;
const FLOW_MESSAGES: u64 = 5_000_000;
/// Room for each stage to work in batches. With more of it, a publisher that never pauses would only
/// let events wait longer.
const RING_SLOTS: usize = 1024;
/// Why the results of a run that did not fail are there.
const LEFT: &str = "every stage leaves its results when it is shut down";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let outcome = match &arguments[..] {
        [] => replay_flow(),
        [help] if help == "--help" || help == "-h" => write!(io::stdout(), "{USAGE}").map_err(Into::into),
        [first, ..] if first.as_encoded_bytes().starts_with(b"-") => Err(USAGE.into()),
        [messages] => replay_files(messages.as_ref(), None),
        [messages, book] => replay_files(messages.as_ref(), Some(book.as_ref())),
        _ => Err(USAGE.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.to_string().trim_end());
            ExitCode::from(2)
        }
    }
}

fn replay_files(messages: &Path, book: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let (seed, steps) = input::load(messages, book)?;
    replay(messages, seed, steps.into_iter())?;
    Ok(())
}

fn replay_flow() -> Result<(), Box<dyn Error>> {
    let mut flow = Flow::new(FLOW_SEED, FLOW_MESSAGES);
    let book = replay(Path::new("made-up flow"), None, &mut flow)?;
    if book != flow.book() {
        return Err("the final book is not that of the made-up flow".into());
    }
    writeln!(io::stdout(), "final book equals that of the made-up flow, level by level")?;
    Ok(())
}

/// Sends the steps through the stages, prints what these measured, and returns the final book.
fn replay(
    source: &Path,
    seed: Option<Book>,
    steps: impl Iterator<Item = Result<Step, InputError>>,
) -> Result<Book, Box<dyn Error>> {
    let path = env::temp_dir().join("order_book.journal");
    let with_path = |error: io::Error| format!("{}: {error}", path.display());
    let (partial, file) = PartialFile::create(path.clone()).map_err(with_path)?;
    let results = Arc::new(Results::default());

    let mut disruptor = DisruptorBuilder::new()
        .buffer_size(RING_SLOTS)
        .single_producer()
        .blocking_wait_strategy()
        .build_with(Event::new)?;
    let parse = Parse { stats: StageStats::default(), results: results.clone() };
    let journal = Journal {
        file: BufWriter::with_capacity(1 << 16, file),
        source: source.to_owned(),
        stats: StageStats::default(),
        results: results.clone(),
    };
    let book = Rebuild {
        seeded: seed.is_some(),
        book: seed.unwrap_or_default(),
        stats: StageStats::default(),
        results: results.clone(),
    };
    let publish =
        Publish { quotes: Quotes::default(), stats: StageStats::default(), results: results.clone() };
    let parse = disruptor.handle(Consumer::modifying(parse).named("parse"))?.id();
    let journal = disruptor.after(&[parse])?.then_handle(Consumer::fallible(journal).named("journal"))?.id();
    let book = disruptor.after(&[parse])?.then_handle(Consumer::reading(book).named("book"))?.id();
    disruptor.after(&[journal, book])?.then_handle(Consumer::reading(publish).named("publish"))?;

    disruptor.start()?;
    let started = Instant::now();
    let published = publish_steps(steps, disruptor.ring_buffer());
    // Returns when every stage has seen every event, so that the clock stops after the last one.
    let drained = disruptor.shutdown();
    let seconds = started.elapsed().as_secs_f64();
    if let Err(ShutdownError::Poisoned { failure, .. }) = &drained {
        // The publisher met an error too: this one, or one further down in the files.
        return match failure.cause() {
            FailureCause::Error(error) if error.is::<InputError>() => Err(error.to_string().into()),
            _ => Err(failure.clone().into()),
        };
    }
    drained?;
    let checksum = published?;
    partial.commit(checksum).map_err(with_path)?;

    let journal = format!("{} with {} bytes, as published", path.display(), checksum.bytes);
    print_figures(&results, seconds, &journal)?;
    let (_, book) = results.book.get().expect(LEFT);
    Ok(book.clone())
}

/// The only producer: `&mut RingBuffer` says so, and claiming a slot needs no lock.
fn publish_steps(
    steps: impl Iterator<Item = Result<Step, InputError>>,
    ring_buffer: &mut RingBuffer<Event, SingleProducer, BlockingWaitStrategy>,
) -> Result<Checksum, Box<dyn Error>> {
    let mut checksum = Checksum::default();
    for step in steps {
        let step = step?;
        checksum.write_all(&step.line)?;
        ring_buffer.publish_event(|event: &mut Event, _sequence: u64| event.fill(&step))?;
    }
    Ok(checksum)
}

fn print_figures(results: &Results, seconds: f64, journal: &str) -> io::Result<()> {
    let (book, _) = results.book.get().expect(LEFT);
    let (publish, quotes) = results.publish.get().expect(LEFT);
    let (parse, journalled) = (results.parse.get().expect(LEFT), results.journal.get().expect(LEFT));
    // Not `println!`, which panics when the reader of a pipe has gone.
    let mut out = io::stdout().lock();
    writeln!(out, "events             {}", publish.events())?;
    writeln!(out, "seconds            {seconds:.3}")?;
    writeln!(out, "events per second  {:.0}", publish.events() as f64 / seconds)?;
    writeln!(out, "top of book        changed {} times", quotes.changes)?;
    writeln!(out, "journal            {journal}")?;
    let stages = [("parse", parse), ("journal", journalled), ("book", book), ("publish", publish)];
    writeln!(out, "\n{}", report::table(&stages))?;
    match quotes.compared {
        0 => writeln!(out, "top of book compared with nothing: there was no order-book file"),
        rows => writeln!(out, "top of book matches {} of {rows} rows", quotes.matching),
    }
}
