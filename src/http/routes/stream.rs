//! Events as they happen: to a browser as server-sent events, to a program as lines.
//!
//! Source: the HTML standard, section 9.2, for the form of server-sent events.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::call::Call;
use super::super::media::Media;
use super::super::problem::Problem;
use super::super::response::Response;
use super::super::server::Exchange;
use super::cluster;
use super::disruptor::numbers;
use super::event::SEQUENCE_MAX;
use super::{Begin, Talked};
use crate::engine::{Event, Subscription, Tailed, write_event};
use crate::node::Node;

/// The forms of a stream.
pub const STREAM_MEDIA: &[Media] = &[Media::Events, Media::Lines, Media::Text];
/// How long a stream is silent at most, so that what is between knows that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often a silent stream looks whether its client has gone.
const TICK: Duration = Duration::from_millis(500);
/// What is gathered before it is sent, while more is there.
const PIECE_BYTES: usize = 32 << 10;
/// How far a subscription that holds up producers may be behind.
const LAG_MAX: u64 = 1 << 20;
/// How often metrics are sent.
const METRICS_EVERY: Duration = Duration::from_secs(1);
/// How long a stream of several topics sleeps when none has anything.
const NAP: Duration = Duration::from_millis(20);
const TOPICS_MAX: usize = 32;
/// Events of the cluster that are sent at once.
const CLUSTER_EVENTS: usize = 64;

/// What a client gets in one form.
struct Writer {
    media: Media,
    out: Vec<u8>,
}

impl Writer {
    fn event(&mut self, name: Option<&str>, sequence: u64, event: &Event) {
        match self.media {
            Media::Events => {
                if let Some(name) = name {
                    self.out.extend_from_slice(format!("event: {name}\n").as_bytes());
                }
                // A stream of several topics has no one sequence to resume from.
                if name.is_none() {
                    self.out.extend_from_slice(format!("id: {sequence}\n").as_bytes());
                }
                self.out.extend_from_slice(b"data: ");
                write_event(&mut self.out, sequence, event);
                self.out.extend_from_slice(b"\n\n");
            }
            Media::Text => {
                self.out.extend_from_slice(event.payload());
                self.out.push(b'\n');
            }
            _ => {
                match name {
                    Some(name) => {
                        self.out
                            .extend_from_slice(format!("{{\"topic\":{},\"event\":", json!(name)).as_bytes());
                        write_event(&mut self.out, sequence, event);
                        self.out.push(b'}');
                    }
                    None => write_event(&mut self.out, sequence, event),
                }
                self.out.push(b'\n');
            }
        }
    }

    /// Something that is no event of a disruptor.
    fn note(&mut self, name: &str, data: &serde_json::Value) {
        let text = match self.media {
            Media::Events => format!("event: {name}\ndata: {data}\n\n"),
            Media::Text => return,
            _ => format!("{}\n", json!({name: data})),
        };
        self.out.extend_from_slice(text.as_bytes());
    }

    fn heartbeat(&mut self) {
        let beat: &[u8] = match self.media {
            Media::Events => b": alive\n\n",
            _ => b"\n",
        };
        self.out.extend_from_slice(beat);
    }

    fn send(&mut self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        exchange.send(&self.out)?;
        self.out.clear();
        Ok(())
    }
}

fn head(media: Media) -> Response {
    let content_type = if media == Media::Text { "text/plain; charset=utf-8" } else { media.name() };
    let response = Response::new(200, content_type, []).header("X-Accel-Buffering", "no");
    match media {
        Media::Events => Response { body: b"retry: 2000\n\n".to_vec(), ..response },
        _ => response,
    }
}

/// One disruptor's events.
pub fn events(call: &mut Call<'_>, exchange: &mut Exchange<'_>, begin: Begin<'_>) -> Result<Talked, Problem> {
    let disruptor = call.disruptor()?;
    let media = call.wanted(STREAM_MEDIA)?;
    let follows = call.query.boolean("follow")?.unwrap_or(true);
    let count = call.query.integer("count", 0, SEQUENCE_MAX)?.unwrap_or(u64::MAX);
    let asked = call.query.integer("from_sequence", 0, SEQUENCE_MAX)?;
    let last = call.head.header("last-event-id").and_then(|id| id.parse::<u64>().ok());
    // A browser that comes back says what it has had.
    let resumed = last.map(|last| last.saturating_add(1));
    let from = resumed.or(asked).unwrap_or_else(|| match follows {
        true => disruptor.next_sequence(),
        false => disruptor.first_available(),
    });
    let mut subscription = match call.query.boolean("gating")?.unwrap_or(false) {
        false => Subscription::follow(Arc::clone(&disruptor), from),
        true => {
            call.caller.needs(crate::node::Role::Writer)?;
            let lag_max = call.query.integer("max_lag", 1, LAG_MAX)?.unwrap_or(LAG_MAX);
            Subscription::gating(Arc::clone(&disruptor), from, lag_max)?
        }
    };
    let end = if follows { u64::MAX } else { disruptor.next_sequence() };
    let writer = Writer { media, out: Vec::new() };
    let response = begin(head(media));
    Ok(Talked::Sent(send_events(exchange, &response, writer, &mut subscription, end, count)))
}

fn send_events(
    exchange: &mut Exchange<'_>,
    response: &Response,
    mut writer: Writer,
    subscription: &mut Subscription,
    end: u64,
    count: u64,
) -> io::Result<()> {
    exchange.begin(response)?;
    let mut left = count;
    let mut silent_since = Instant::now();
    while left > 0 && subscription.next_sequence() < end {
        // What has been gathered goes before anything is waited for.
        let patience = if writer.out.is_empty() { TICK } else { Duration::ZERO };
        match subscription.next(patience) {
            Tailed::Event(sequence, event) => {
                writer.event(None, sequence, &event);
                left -= 1;
                if writer.out.len() < PIECE_BYTES {
                    continue;
                }
            }
            Tailed::Gap(from, to) => writer.note("gap", &json!({"from": from, "to": to})),
            Tailed::Idle if writer.out.is_empty() && exchange.is_over() => break,
            Tailed::Idle if writer.out.is_empty() && silent_since.elapsed() > HEARTBEAT => writer.heartbeat(),
            Tailed::Idle => {}
            Tailed::Ended(reason) => {
                writer.note("end", &json!({"reason": reason}));
                break;
            }
        }
        if !writer.out.is_empty() {
            writer.send(exchange)?;
            silent_since = Instant::now();
        }
        if exchange.is_stopping() {
            writer.note("end", &json!({"reason": "the server is about to end"}));
            break;
        }
    }
    writer.send(exchange)?;
    exchange.finish()
}

/// What a stream of several topics is about.
enum Topic {
    Metrics,
    /// What happens in the cluster, from this event on.
    Cluster(u64),
    Events(String, Subscription),
}

/// Several topics in one stream: `metrics`, `cluster`, and `events:NAME` for disruptors.
pub fn topics(call: &mut Call<'_>, exchange: &mut Exchange<'_>, begin: Begin<'_>) -> Result<Talked, Problem> {
    let media = call.wanted(&STREAM_MEDIA[..2])?;
    let names = call.query.text("topics").unwrap_or("metrics");
    let mut topics = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        topics.push(match name.split_once(':') {
            Some(("events", disruptor)) => {
                let disruptor = call.disruptor_named(disruptor)?;
                let next = disruptor.next_sequence();
                Topic::Events(name.to_owned(), Subscription::follow(disruptor, next))
            }
            None if name == "metrics" => {
                call.caller.must_be_unscoped()?;
                Topic::Metrics
            }
            None if name == "cluster" => {
                call.caller.must_be_unscoped()?;
                Topic::Cluster(cluster::log(call.node())?.bounds().1)
            }
            _ => {
                let shown: String = name.chars().take(80).collect();
                let message = format!("`{shown}` is not a topic; take metrics, cluster, or events:NAME");
                return Err(Problem::field("topics", message));
            }
        });
    }
    if topics.is_empty() || topics.len() > TOPICS_MAX {
        return Err(Problem::field("topics", format!("{} topics; take 1 to {TOPICS_MAX}", topics.len())));
    }
    let response = begin(head(media));
    Ok(Talked::Sent(send_topics(exchange, &response, Writer { media, out: Vec::new() }, topics, call.node())))
}

fn send_topics(
    exchange: &mut Exchange<'_>,
    response: &Response,
    mut writer: Writer,
    mut topics: Vec<Topic>,
    node: &Node,
) -> io::Result<()> {
    exchange.begin(response)?;
    let (mut silent_since, mut looked, mut measured) = (Instant::now(), Instant::now(), None::<Instant>);
    while !topics.is_empty() && !exchange.is_stopping() {
        let is_time = measured.is_none_or(|measured| measured.elapsed() >= METRICS_EVERY);
        topics.retain_mut(|topic| match topic {
            Topic::Metrics if is_time => {
                let numbers: Vec<_> =
                    node.engine().list().iter().map(|disruptor| numbers(disruptor)).collect();
                writer.note("metrics", &json!({"disruptors": numbers}));
                measured = Some(Instant::now());
                true
            }
            Topic::Metrics => true,
            Topic::Cluster(next) => {
                let log = node.cluster_log();
                let events = log.map_or(Vec::new(), |log| log.from(*next, CLUSTER_EVENTS, Duration::ZERO));
                for happened in events {
                    if happened.sequence > *next {
                        writer.note(
                            "gap",
                            &json!({"topic": "cluster", "from": *next, "to": happened.sequence}),
                        );
                    }
                    writer.note("cluster", &cluster::event(node, &happened));
                    *next = happened.sequence + 1;
                }
                true
            }
            Topic::Events(name, subscription) => loop {
                match subscription.next(Duration::ZERO) {
                    Tailed::Event(sequence, event) => writer.event(Some(name), sequence, &event),
                    Tailed::Gap(from, to) => {
                        writer.note("gap", &json!({"topic": name, "from": from, "to": to}))
                    }
                    Tailed::Idle => break true,
                    Tailed::Ended(reason) => {
                        writer.note("end", &json!({"topic": name, "reason": reason}));
                        break false;
                    }
                }
                if writer.out.len() > PIECE_BYTES {
                    break true;
                }
            },
        });
        if writer.out.is_empty() {
            std::thread::sleep(NAP);
            if silent_since.elapsed() > HEARTBEAT {
                writer.heartbeat();
            }
        }
        if looked.elapsed() > TICK {
            looked = Instant::now();
            if exchange.is_over() {
                break;
            }
        }
        if !writer.out.is_empty() {
            writer.send(exchange)?;
            silent_since = Instant::now();
        }
    }
    exchange.finish()
}
