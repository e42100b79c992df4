//! Who may follow whom.

use badbatch::disruptor::{GraphError, StartError};
use badbatch::{Consumer, DisruptorBuilder};

use crate::support::Log;

fn nothing(_: &u64, _: u64, _: bool) {}
fn nothing_mut(_: &mut u64, _: u64, _: bool) {}

macro_rules! disruptor {
    () => {
        DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right")
    };
}

#[test]
fn an_exclusive_consumer_beside_another_is_refused_by_name() {
    let mut disruptor = disruptor!();
    disruptor.handle(Consumer::reading(nothing).named("reader")).expect("added");
    disruptor.handle(Consumer::modifying(nothing_mut).named("writer")).expect("added");
    let error = disruptor.start().expect_err("they would have the same event");
    assert!(
        matches!(&error, StartError::Conflict { exclusive, other } if &**exclusive == "writer" && &**other == "reader")
    );
    assert!(error.to_string().contains("`writer`") && error.to_string().contains("`reader`"));
}

#[test]
fn two_worker_pools_side_by_side_are_refused() {
    let mut disruptor = disruptor!();
    disruptor.handle(Consumer::workers(vec![nothing_mut])).expect("added");
    disruptor.handle(Consumer::workers(vec![nothing_mut])).expect("added");
    assert!(matches!(disruptor.start(), Err(StartError::Conflict { .. })));
}

#[test]
fn an_exclusive_consumer_in_one_branch_of_a_diamond_is_refused() {
    let mut disruptor = disruptor!();
    let top = disruptor.handle_events_with(nothing).expect("added").id();
    let left = disruptor.after(&[top]).expect("known").then_mut(nothing_mut).expect("added").id();
    let right = disruptor.after(&[top]).expect("known").then(nothing).expect("added").id();
    disruptor.after(&[left, right]).expect("known").then(nothing).expect("added");
    assert!(matches!(disruptor.start(), Err(StartError::Conflict { .. })));
}

#[test]
fn an_exclusive_consumer_at_each_end_of_a_diamond_is_fine() {
    let mut disruptor = disruptor!();
    let top = disruptor.handle_events_mut_with(nothing_mut).expect("added").id();
    let left = disruptor.after(&[top]).expect("known").then(nothing).expect("added").id();
    let right = disruptor.after(&[top]).expect("known").then(nothing).expect("added");
    right.and(&[left]).expect("known").then_mut(nothing_mut).expect("added");
    disruptor.start().expect("nobody is beside an exclusive consumer");
}

#[test]
fn a_poller_follows_the_exclusive_consumers_that_were_there() {
    let mut disruptor = disruptor!();
    disruptor.handle_events_mut_with(|event: &mut u64, _: u64, _: bool| *event += 1).expect("added");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("the poller is behind");
    disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = 1).expect("there is room");
    let events: Vec<u64> = poller.wait(None).expect("it comes").iter().map(|(_, event)| *event).collect();
    assert_eq!(events, [2]);
}

#[test]
fn a_consumer_of_another_disruptor_cannot_be_followed() {
    let mut one = disruptor!();
    let mut other = disruptor!();
    let foreign = one.handle_events_with(nothing).expect("added").id();
    other.handle_events_with(nothing).expect("added");
    assert!(matches!(other.after(&[foreign]), Err(GraphError::ForeignId { .. })));
    assert!(matches!(other.new_poller(&[foreign]), Err(GraphError::ForeignId { .. })));
    assert!(matches!(other.remove(foreign), Err(GraphError::ForeignId { .. })));
    let own = other.handle_events_with(nothing).expect("added");
    assert!(matches!(own.and(&[foreign]), Err(GraphError::ForeignId { .. })));
}

#[test]
fn a_start_without_consumers_or_a_second_start_is_refused() {
    let mut disruptor = disruptor!();
    assert!(matches!(disruptor.start(), Err(StartError::NoConsumers)));
    disruptor.handle_events_with(nothing).expect("added");
    disruptor.start().expect("it starts");
    assert!(matches!(disruptor.start(), Err(StartError::AlreadyStarted)));
}

#[test]
fn a_pool_or_a_partition_without_handlers_is_refused() {
    let mut disruptor = disruptor!();
    let none: Vec<fn(&mut u64, u64, bool)> = Vec::new();
    assert!(matches!(disruptor.handle(Consumer::workers(none)), Err(GraphError::NoHandlers)));
    let none: Vec<fn(&u64, u64, bool)> = Vec::new();
    assert!(matches!(
        disruptor.handle(Consumer::partitioned(|n: &u64| *n, none)),
        Err(GraphError::NoHandlers)
    ));
}

#[test]
fn two_consumers_of_one_name_are_refused_while_both_take_part() {
    let mut disruptor = disruptor!();
    let named = || Consumer::reading(nothing).named("twin");
    let first = disruptor.handle(named()).expect("added").id();
    assert!(matches!(disruptor.handle(named()), Err(GraphError::NameTaken { name }) if &*name == "twin"));
    disruptor.start().expect("it starts");
    disruptor.remove(first).expect("nobody follows it");
    disruptor.handle(named()).expect("the name is free again");
}

#[test]
fn a_diamond_joins_after_both_branches() {
    let log = Log::new();
    let named = |name: &'static str| {
        let log = log.clone();
        move |event: &u64, _: u64, _: bool| log.push((name, *event))
    };
    let mut disruptor = disruptor!();
    let left = disruptor.handle_events_with(named("left")).expect("added").id();
    let right = disruptor.handle_events_with(named("right")).expect("added").id();
    disruptor.after(&[left, right]).expect("known").then(named("join")).expect("added");
    disruptor.start().expect("it starts");
    for n in 0..100 {
        disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = n).expect("there is room");
    }
    disruptor.shutdown().expect("it drains");
    let seen = log.take();
    let place = |name, n| seen.iter().position(|&entry| entry == (name, n)).expect("everybody has seen it");
    for n in 0..100 {
        assert!(place("join", n) > place("left", n).max(place("right", n)));
    }
}

#[test]
fn the_graph_can_be_drawn() {
    let mut disruptor = disruptor!();
    disruptor
        .handle(Consumer::modifying(nothing_mut).named("parse"))
        .expect("added")
        .then_handle(Consumer::partitioned(|n: &u64| *n, vec![nothing, nothing]).named("a \"quoted\" name"))
        .expect("added");
    let expected = "digraph disruptor {\n  rankdir=LR;\n  ring [label=\"ring\", shape=cylinder];\n  \
        n0 [label=\"parse\", shape=box];\n  ring -> n0;\n  \
        n1 [label=\"a \\\"quoted\\\" name x2\", shape=ellipse];\n  n0 -> n1;\n}\n";
    assert_eq!(disruptor.to_dot(), expected);
}
