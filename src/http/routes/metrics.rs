//! Numbers about the node: for Prometheus as text, for people as JSON. Read when they are asked for.

use std::time::Duration;

use serde_json::json;

use super::super::call::Call;
use super::super::media::Media;
use super::super::problem::Problem;
use super::super::response::Response;
use super::cluster::{by_state, services_by_status};
use super::disruptor::{numbers, verdict, worst_verdict};
use crate::cluster::Cluster;
use crate::engine::{NamedDisruptor, rfc3339};
use crate::metrics::{Exposition, Kind};
use crate::node::{SERIES, STEP_SECONDS};
use crate::replication::{FollowerReport, Replication};
use crate::sys::process::usage;
use std::sync::Arc;

/// The media type of Prometheus's text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The longest window.
const HOUR: Duration = Duration::from_secs(3600);
/// Disruptors that have numbers of their own on the usual page; the others are added up.
const OWN_SERIES_MAX: usize = 256;

/// As text, or as JSON for who asks for it.
pub fn page(call: &mut Call<'_>) -> Result<Response, Problem> {
    match call.wanted(&[Media::Text, Media::Json, Media::Yaml, Media::MessagePack])? {
        Media::Text => Ok(Response::new(200, PROMETHEUS, exposition(call, OWN_SERIES_MAX))),
        _ => summary(call),
    }
}

/// As text, with numbers for every disruptor.
pub fn detailed(call: &mut Call<'_>) -> Result<Response, Problem> {
    call.wanted(&[Media::Text])?;
    Ok(Response::new(200, PROMETHEUS, exposition(call, usize::MAX)))
}

/// All disruptors together, as JSON.
pub fn summary(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptors = call.node().engine().list();
    let each: Vec<_> = disruptors.iter().map(|disruptor| numbers(disruptor)).collect();
    let sum = |name: &str| each.iter().filter_map(|numbers| numbers[name].as_u64()).sum::<u64>();
    let rate: f64 = disruptors.iter().map(|disruptor| disruptor.events_per_second()).sum();
    let snapshots: Vec<_> = disruptors.iter().map(|disruptor| disruptor.latency().snapshot()).collect();
    let count: u64 = snapshots.iter().map(|seen| seen.count()).sum();
    let total: Duration = snapshots.iter().map(|seen| seen.sum()).sum();
    let average = if count == 0 { 0.0 } else { total.as_nanos() as f64 / 1000.0 / count as f64 };
    let worst = |share: f64| {
        let worst = snapshots.iter().map(|seen| seen.quantile(share)).max().unwrap_or_default();
        worst.as_nanos() as f64 / 1000.0
    };
    let rejected = |reason: &str| each.iter().filter_map(|one| one["rejected"][reason].as_u64()).sum::<u64>();
    let used = usage();
    let body = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": call.node().uptime().as_secs(),
        "health": worst_verdict(disruptors.iter().map(|disruptor| verdict(disruptor).0)),
        "process": {
            "cpu_seconds": used.cpu.as_secs_f64(),
            "resident_bytes": used.resident_bytes,
            "threads": used.threads,
            "open_files": used.open_files,
        },
        "total_events_published": sum("total_events_published"),
        "total_events_processed": sum("total_events_processed"),
        "events_per_second": rate,
        "avg_latency_micros": average,
        "p50_latency_micros": worst(0.5),
        "p95_latency_micros": worst(0.95),
        "p99_latency_micros": worst(0.99),
        "error_count": sum("error_count"),
        "rejected": {
            "ring_full": rejected("ring_full"),
            "rate_limited": rejected("rate_limited"),
            "wrong_state": rejected("wrong_state"),
        },
        "disruptors": each,
        "timestamp": rfc3339(call.node().clock().unix_micros()).to_string(),
    });
    Ok(Response::json(200, &body))
}

/// What a number was over the last while, for each disruptor.
pub fn history(call: &mut Call<'_>) -> Result<Response, Problem> {
    let series = call.query.text("series").unwrap_or("published");
    if SERIES.iter().all(|(name, _)| *name != series) {
        let known: Vec<_> = SERIES.iter().map(|(name, _)| *name).collect();
        let shown: String = series.chars().take(80).collect();
        return Err(Problem::field("series", format!("`{shown}` is not one of {}", known.join(", "))));
    }
    let window = call.query.span("window", HOUR)?.unwrap_or(HOUR);
    let since = (call.node().clock().unix_micros() / 1_000_000).saturating_sub(window.as_secs());
    let disruptors = call.node().engine().list();
    let each = disruptors.iter().map(|disruptor| {
        let points = call.node().history().points(disruptor.id(), series, since);
        json!({"disruptor": disruptor.name(), "points": points})
    });
    let items: Vec<_> = each.collect();
    Ok(Response::json(200, &json!({"series": series, "step_ms": 1000 * STEP_SECONDS, "items": items})))
}

fn exposition(call: &Call<'_>, own_max: usize) -> String {
    let mut page = Exposition::default();
    page.family("badbatch_build_info", Kind::Gauge, "What is running.");
    page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("badbatch_uptime_seconds", Kind::Gauge, "Since the start.");
    page.sample(&[], call.node().uptime().as_secs_f64());
    let mut shown = call.node().engine().list();
    shown.retain(|disruptor| disruptor.definition().enable_metrics);
    let rest = shown.split_off(shown.len().min(own_max));
    disruptors(&mut page, &shown, &rest);
    call.node().cluster().iter().for_each(|cluster| membership(&mut page, call, cluster));
    call.node().replication().into_iter().for_each(|replication| copies(&mut page, &shown, replication));
    requests(&mut page, call);
    process(&mut page);
    page.finish()
}

fn disruptors(page: &mut Exposition, shown: &[Arc<NamedDisruptor>], rest: &[Arc<NamedDisruptor>]) {
    type Number = fn(&NamedDisruptor) -> u64;
    let single: [(&'static str, Kind, &str, Number); 3] = [
        ("badbatch_disruptor_published_events_total", Kind::Counter, "Events accepted.", |one| {
            one.published()
        }),
        ("badbatch_disruptor_ring_capacity_events", Kind::Gauge, "Slots.", |one| {
            one.definition().buffer_size as u64
        }),
        (
            "badbatch_disruptor_ring_used_events",
            Kind::Gauge,
            "Slots that wait for the slowest consumer.",
            |one| one.used(),
        ),
    ];
    for (name, kind, help, number) in single {
        page.family(name, kind, help);
        shown.iter().for_each(|one| page.sample(&[("disruptor", one.name())], number(one)));
        if !rest.is_empty() {
            page.sample(&[("disruptor", "_other")], rest.iter().map(|one| number(one)).sum::<u64>());
        }
    }
    page.family("badbatch_disruptor_up", Kind::Gauge, "Whether it takes events.");
    for one in shown {
        page.sample(
            &[("disruptor", one.name())],
            u8::from(one.lifecycle().0 == crate::engine::Lifecycle::Running),
        );
    }
    page.family(
        "badbatch_disruptor_publish_rejected_total",
        Kind::Counter,
        "Refusals to publish, by reason.",
    );
    for one in shown {
        let rejections = one.rejections();
        for (reason, count) in [
            ("ring_full", &rejections.ring_full),
            ("rate_limited", &rejections.rate_limited),
            ("invalid_state", &rejections.wrong_state),
        ] {
            page.sample(&[("disruptor", one.name()), ("reason", reason)], count.value());
        }
    }
    type SinkNumber = fn(&crate::engine::SinkReport) -> u64;
    let by_sink: [(&'static str, Kind, &str, SinkNumber); 3] = [
        ("badbatch_disruptor_consumed_events_total", Kind::Counter, "Events that a sink has had.", |sink| {
            sink.handled
        }),
        (
            "badbatch_disruptor_handler_errors_total",
            Kind::Counter,
            "Attempts of a sink that failed.",
            |sink| sink.errors,
        ),
        (
            "badbatch_disruptor_consumer_lag_events",
            Kind::Gauge,
            "Events that a sink has not let go of.",
            |sink| sink.lag,
        ),
    ];
    let reports: Vec<_> = shown.iter().map(|one| (one.name(), one.sink_reports())).collect();
    for (name, kind, help, number) in by_sink {
        page.family(name, kind, help);
        for (disruptor, sinks) in &reports {
            for sink in sinks {
                page.sample(&[("disruptor", disruptor), ("consumer", &sink.name)], number(sink));
            }
        }
    }
    let help = "From the producer to the end of the last sink.";
    page.family("badbatch_disruptor_event_latency_seconds", Kind::Histogram, help);
    shown.iter().for_each(|one| page.histogram(&[("disruptor", one.name())], &one.latency().snapshot()));
}

fn membership(page: &mut Exposition, call: &Call<'_>, cluster: &Cluster) {
    page.family("badbatch_cluster_members", Kind::Gauge, "Nodes, this one included, by state.");
    for (state, count) in by_state(&call.node().cluster_members()) {
        page.sample(&[("state", state)], count as u64);
    }
    page.family("badbatch_cluster_awareness", Kind::Gauge, "This node's own health, 0 for well, up to 8.");
    page.sample(&[], cluster.awareness());
    let help = "Messages, and members and services in them, that were not taken, by reason.";
    page.family("badbatch_cluster_messages_refused_total", Kind::Counter, help);
    for (reason, count) in cluster.refusals() {
        page.sample(&[("reason", reason)], count);
    }
    page.family("badbatch_cluster_services", Kind::Gauge, "Services that are offered, by status.");
    for (status, count) in services_by_status(cluster) {
        page.sample(&[("status", status)], count as u64);
    }
    let help = "Events of the cluster that a stream was too slow for.";
    page.family("badbatch_cluster_events_lost_total", Kind::Counter, help);
    page.sample(&[], cluster.lost_events());
}

fn copies(page: &mut Exposition, shown: &[Arc<NamedDisruptor>], replication: &Replication) {
    type Number = fn(&FollowerReport) -> u64;
    let reports: Vec<_> = shown
        .iter()
        .filter_map(|disruptor| Some((disruptor, replication.report(disruptor.name())?)))
        .collect();
    page.family("badbatch_replication_home", Kind::Gauge, "Whether this node is the home.");
    for (disruptor, report) in &reports {
        page.sample(&[("disruptor", disruptor.name())], u8::from(report.part == "home"));
    }
    let help = "Events that were not on enough nodes in time.";
    page.family("badbatch_replication_timed_out_events_total", Kind::Counter, help);
    for (disruptor, _) in &reports {
        page.sample(&[("disruptor", disruptor.name())], disruptor.replication_timeouts());
    }
    let by_follower: [(&'static str, Kind, &str, Number); 4] = [
        ("badbatch_replication_lag_events", Kind::Gauge, "Events that a follower has not had.", |one| {
            one.lag
        }),
        ("badbatch_replication_connected", Kind::Gauge, "Whether a follower takes events.", |one| {
            u64::from(one.is_connected)
        }),
        ("badbatch_replication_batches_total", Kind::Counter, "Batches that a follower has taken.", |one| {
            one.batches
        }),
        ("badbatch_replication_bytes_total", Kind::Counter, "What they had, in bytes.", |one| one.bytes),
    ];
    for (name, kind, help, number) in by_follower {
        page.family(name, kind, help);
        for (disruptor, report) in &reports {
            for one in &report.followers {
                page.sample(&[("disruptor", disruptor.name()), ("node", &one.node)], number(one));
            }
        }
    }
}

fn requests(page: &mut Exposition, call: &Call<'_>) {
    page.family("badbatch_http_requests_total", Kind::Counter, "Requests answered.");
    for (method, route, status, count) in call.app.requests.counts() {
        let status = status.to_string();
        page.sample(&[("method", method), ("route", route), ("status", &status)], count);
    }
    page.family("badbatch_http_request_duration_seconds", Kind::Histogram, "From the head to the response.");
    for (method, route, seen) in call.app.requests.durations() {
        page.histogram(&[("method", method), ("route", route)], &seen);
    }
    let front = &call.app.front;
    page.family("badbatch_http_connections", Kind::Gauge, "Open connections that no thread is busy with.");
    page.sample(&[], front.connections.value());
    page.family("badbatch_http_streams", Kind::Gauge, "Requests that have a thread of their own.");
    page.sample(&[], front.lanes.value());
    let closed = [
        ("badbatch_http_connections_accepted_total", "Connections accepted.", &front.accepted),
        ("badbatch_http_connections_evicted_total", "Connections closed to make room.", &front.evicted),
        (
            "badbatch_http_connections_timed_out_total",
            "Connections closed because they were too slow.",
            &front.timed_out,
        ),
    ];
    for (name, help, count) in closed {
        page.family(name, Kind::Counter, help);
        page.sample(&[], count.value());
    }
}

fn process(page: &mut Exposition) {
    let used = usage();
    page.family("process_resident_memory_bytes", Kind::Gauge, "Memory that is really there.");
    page.sample(&[], used.resident_bytes);
    page.family("process_cpu_seconds_total", Kind::Counter, "Time on CPUs.");
    page.sample(&[], used.cpu.as_secs_f64());
    page.family("process_threads", Kind::Gauge, "Threads.");
    page.sample(&[], used.threads);
    page.family("process_open_fds", Kind::Gauge, "Open files and sockets.");
    page.sample(&[], used.open_files);
}
