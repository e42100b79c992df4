//! Membership in simulated networks: what must hold whatever links and nodes do.

mod net;
mod offers;
mod processes;
mod real;
mod services;
mod transcripts;

use std::collections::BTreeMap;
use std::time::Duration;

use badbatch::base::rng::Rng;
use badbatch::cluster::swim::{
    Event, Exchange, Input, Message, Metadata, NodeId, Output, Record, Settings, State, Swim, Update, decode,
    decode_exchange, encode,
};
use net::{Net, address, id};
use quickcheck::quickcheck;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets time pass until all is as it should be, and tells how long that took.
fn until(net: &mut Net, most: Duration, is_so: impl Fn(&Net) -> bool) -> Duration {
    net.within(most, is_so).unwrap_or_else(|| panic!("not within {most:?}"))
}

#[test]
fn nodes_that_join_through_one_are_soon_known_to_all() {
    for (count, most) in [(2, 2), (10, 2), (100, 8)] {
        let mut net = Net::new(count, 1);
        for node in 1..count {
            net.input(node, Input::Join(address(0)));
        }
        let took = until(&mut net, secs(most), Net::agrees);
        println!("{count} nodes: all known everywhere after {took:?}");
        assert_eq!(net.false_deaths(), 0);
    }
}

#[test]
fn nodes_that_join_together_miss_nobody_for_long() {
    for seed in 0..20 {
        let mut net = Net::new(60, seed);
        net.introduce_first(10);
        (10..60).for_each(|node| net.input(node, Input::Join(address(0))));
        until(&mut net, secs(4), Net::agrees);
    }
}

#[test]
fn a_node_that_dies_is_dead_everywhere_and_nobody_else_is() {
    for (count, most) in [(3, 8), (10, 9), (100, 16)] {
        let mut net = Net::new(count, 2);
        net.introduce();
        net.kill(1);
        let is_dead = |net: &Net| {
            (0..count).filter(|node| *node != 1).all(|node| net.sees(node, 1) == Some(State::Dead))
        };
        let took = until(&mut net, secs(most), is_dead);
        println!("{count} nodes: dead everywhere after {took:?}");
        assert_eq!(net.deaths(1).len(), count - 1);
        assert_eq!(net.false_deaths(), 0);
    }
}

#[test]
fn a_process_that_is_killed_is_soon_dead_since_its_machine_says_so() {
    let mut times: Vec<Duration> = Vec::new();
    for seed in 0..200 {
        let mut net = Net::new(10, seed);
        net.introduce();
        net.kill(1);
        let is_dead =
            |net: &Net| (0..10).filter(|node| *node != 1).all(|node| net.sees(node, 1) == Some(State::Dead));
        times.push(until(&mut net, secs(10), is_dead));
        assert_eq!(net.false_deaths(), 0);
    }
    times.sort_unstable();
    println!("dead everywhere after {:?}, of 100 in 98 cases within {:?}", times[100], times[196]);
    assert!(times[100] < secs(3) && times[196] < secs(6), "{times:?}");
}

#[test]
fn walls_that_refuse_for_a_node_do_not_kill_it() {
    for (count, seed) in [(10, 19), (30, 20)] {
        let mut net = Net::new(count, seed);
        net.introduce();
        // A half of all is told that nobody listens where the last one is.
        net.walls = (0..count / 2).map(|node| (node, count - 1)).collect();
        net.run(secs(300));
        assert_eq!(net.false_deaths(), 0, "of {count} nodes");
        assert!(net.nodes[count - 1].swim.incarnation() > 0, "it was suspected");
    }
}

#[test]
fn who_alone_is_refused_waits_as_long_as_for_others() {
    let mut net = Net::new(10, 22);
    net.introduce();
    // So far that the suspect's word needs more than a second.
    net.links.delay = (Duration::from_millis(150), Duration::from_millis(240));
    net.walls = vec![(0, 9)];
    net.run(secs(600));
    assert_eq!(net.false_deaths(), 0);
    assert!(net.nodes[9].swim.incarnation() > 0, "it was suspected");
}

#[test]
fn what_one_member_makes_up_kills_nobody() {
    let mut net = Net::new(10, 21);
    net.introduce();
    for _ in 0..50 {
        let incarnation = net.nodes[4].swim.incarnation();
        let update = Update::Suspect { id: id(4), incarnation, from: id(7), is_refused: true };
        let body = [encode(&None::<Message>), encode(&update)].concat();
        (0..10).for_each(|node| net.input(node, Input::Datagram { from: address(7), body: &body }));
        net.run(secs(2));
    }
    assert_eq!(net.false_deaths(), 0);
}

#[test]
fn a_datagram_that_is_lost_troubles_nobody_else() {
    let mut net = Net::new(10, 23);
    net.introduce();
    net.links.loss = 0.1;
    net.run(secs(600));
    assert!(net.told.is_empty(), "{:?}", net.told);
}

#[test]
fn loss_alone_kills_nobody() {
    for (seed, loss) in [(3, 0.1), (4, 0.2), (5, 0.3)] {
        let mut net = Net::new(20, seed);
        net.introduce();
        net.links.loss = loss;
        net.links.doubled = 0.05;
        net.links.delay = (Duration::from_millis(1), Duration::from_millis(80));
        net.run(secs(600));
        assert_eq!(net.false_deaths(), 0, "at a loss of {loss}");
        net.links.loss = 0.0;
        until(&mut net, secs(10), Net::agrees);
    }
}

#[test]
fn who_stands_still_for_a_while_is_suspected_and_refutes() {
    let mut net = Net::new(10, 6);
    net.introduce();
    net.pause(4);
    until(&mut net, secs(8), |net| net.sees(0, 4) == Some(State::Suspect));
    net.resume(4);
    until(&mut net, secs(5), Net::agrees);
    assert_eq!(net.false_deaths(), 0);
    assert!(net.nodes[4].swim.incarnation() > 0);
    let refuted = |(_, node, event): &(Duration, usize, Event)| {
        *node == 0 && matches!(event, Event::Refuted(member) if member.id == id(4))
    };
    assert!(net.told.iter().any(refuted));
    assert!(net.nodes[4].swim.awareness() <= 8);
}

#[test]
fn who_stood_still_itself_holds_that_against_nobody() {
    let mut net = Net::new(10, 23);
    net.introduce();
    net.pause(4);
    until(&mut net, secs(8), |net| net.sees(0, 4) == Some(State::Suspect));
    net.pause(0);
    net.resume(4);
    // Longer than a suspect has.
    net.run(secs(30));
    net.resume(0);
    until(&mut net, secs(60), Net::agrees);
    let died = |(_, node, event): &(Duration, usize, Event)| *node == 0 && matches!(event, Event::Died(_));
    assert!(!net.told.iter().any(died));
}

#[test]
fn an_answer_that_waits_unread_is_not_missed() {
    for seed in 0..20 {
        let mut net = Net::new(5, seed);
        net.introduce();
        // So long that many a probe is under way when its node stops.
        net.links.delay = (Duration::from_millis(100), Duration::from_millis(150));
        net.run(secs(5));
        net.pause(0);
        net.run(secs(10));
        net.resume(0);
        net.run(secs(3));
        let suspects =
            |(_, node, event): &(Duration, usize, Event)| *node == 0 && matches!(event, Event::Suspected(_));
        assert!(!net.told.iter().any(suspects), "{seed}");
    }
}

#[test]
fn a_third_that_stands_still_most_of_the_time_is_not_dead_though_there_is_much_to_tell() {
    let mut net = Net::with(100, 24, |settings| settings.body_bytes_max = 300);
    net.introduce();
    for _ in 0..20 {
        (0..33).for_each(|node| net.pause(node));
        net.run(secs(4));
        (0..33).for_each(|node| net.resume(node));
        net.run(secs(1));
    }
    net.run(secs(60));
    assert_eq!(net.false_deaths(), 0);
}

#[test]
fn who_asks_and_is_dead_here_is_told_so() {
    let mut net = Net::new(3, 25);
    net.introduce();
    net.unplug(2);
    until(&mut net, secs(60), |net| net.sees(0, 2) == Some(State::Dead));
    // Until it is told no more.
    net.run(secs(60));
    net.keeps_seen = true;
    let ping = encode(&Some(Message::Ping { number: 7, from: id(2), to: id(0) }));
    net.input(0, Input::Datagram { from: address(2), body: &ping });
    let (_, _, answer) = net.seen.first().expect("it answers");
    let (message, updates) = decode(answer).expect("it is well formed");
    assert_eq!(message, Some(Message::Ack { number: 7 }));
    assert_eq!(updates.first(), Some(&Update::Dead { id: id(2), incarnation: 0 }));
}

#[test]
fn many_find_soon_that_they_are_not_apart_any_more() {
    let mut net = Net::new(200, 1);
    net.introduce();
    net.nodes[100..].iter_mut().for_each(|node| node.side = 1);
    net.run(secs(60));
    net.nodes.iter_mut().for_each(|node| node.side = 0);
    let took = until(&mut net, secs(10), Net::agrees);
    println!("together again after {took:?}");
}

#[test]
fn two_halves_bury_each_other_and_come_together_again() {
    let mut net = Net::new(20, 7);
    net.introduce();
    net.nodes[10..].iter_mut().for_each(|node| node.side = 1);
    net.run(secs(120));
    for (here, there) in [(0, 15), (15, 0)] {
        assert_eq!(net.sees(here, there), Some(State::Dead));
    }
    assert!((1..10).all(|other| net.sees(0, other) == Some(State::Alive)));
    net.nodes.iter_mut().for_each(|node| node.side = 0);
    let took = until(&mut net, secs(120), Net::agrees);
    println!("healed after {took:?}");
}

#[test]
fn nodes_that_have_forgotten_all_come_back_above_what_is_said_of_them() {
    let mut net = Net::new(12, 8);
    net.introduce();
    // Their records have incarnations that they do not know any more.
    for node in 1..12 {
        let metadata = Metadata::new(BTreeMap::from([("zone".to_owned(), format!("z{node}"))]));
        (0..3).for_each(|_| net.input(node, Input::Metadata(&metadata)));
    }
    net.run(secs(10));
    (1..12).for_each(|node| net.kill(node));
    net.run(secs(2));
    (1..12).for_each(|node| net.restart(node));
    for node in 1..12 {
        net.input(node, Input::Join(address(0)));
    }
    until(&mut net, secs(30), Net::agrees);
    net.run(secs(60));
    assert!(net.agrees());
    assert!((1..12).all(|node| net.nodes[node].swim.incarnation() > 3));
}

#[test]
fn who_leaves_has_left_and_is_not_dead() {
    let mut net = Net::new(10, 9);
    net.introduce();
    net.input(3, Input::Leave);
    until(&mut net, secs(5), |net| net.nodes[3].swim.has_left());
    net.kill(3);
    net.run(secs(60));
    assert!((0..10).filter(|node| *node != 3).all(|node| net.sees(node, 3) == Some(State::Left)));
    assert!(net.deaths(3).is_empty());
    // It may come back, above its tombstone.
    net.restart(3);
    net.input(3, Input::Join(address(0)));
    until(&mut net, secs(10), Net::agrees);
}

#[test]
fn a_link_that_is_cut_in_one_direction_kills_nobody() {
    let mut net = Net::new(10, 10);
    net.introduce();
    net.cut = vec![(2, 5), (6, 1)];
    net.run(secs(300));
    assert_eq!(net.false_deaths(), 0);
}

#[test]
fn slow_nodes_are_given_time() {
    let mut net = Net::new(30, 11);
    net.introduce();
    net.nodes.iter_mut().step_by(10).for_each(|node| node.lag = Duration::from_millis(400));
    net.run(secs(300));
    assert_eq!(net.false_deaths(), 0);
}

#[test]
fn one_that_is_known_to_be_slow_is_asked_once() {
    let mut net = Net::new(10, 26);
    net.introduce();
    net.nodes[9].lag = Duration::from_millis(300);
    net.run(secs(30));
    net.keeps_seen = true;
    net.run(secs(90));
    let is_ping = |body: &[u8]| matches!(decode(body), Ok((Some(Message::Ping { .. }), _)));
    let pings = net.seen.iter().filter(|(to, _, body)| *to == 9 && is_ping(body)).count();
    // Once in nine seconds, by nine others.
    assert!((80..100).contains(&pings), "{pings}");
    assert!(net.agrees() && net.told.is_empty());
}

#[test]
fn what_is_sent_again_or_damaged_changes_nothing() {
    let mut net = Net::new(8, 12);
    net.introduce();
    net.keeps_seen = true;
    net.pause(5);
    until(&mut net, secs(8), |net| net.sees(0, 5) == Some(State::Suspect));
    net.resume(5);
    until(&mut net, secs(5), Net::agrees);
    net.run(secs(20));
    net.keeps_seen = false;
    let seen = std::mem::take(&mut net.seen);
    net.forget();
    let incarnations = |net: &Net| net.nodes.iter().map(|node| node.swim.incarnation()).collect::<Vec<_>>();
    let before = incarnations(&net);
    let mut rng = Rng::new(13);
    for (to, from, body) in &seen {
        net.input(*to, Input::Datagram { from: *from, body });
        // A checksum finds what is damaged on its way; what is not found must do no harm to the program.
        let mut damaged = body.clone();
        let place = rng.below(damaged.len() as u64) as usize;
        damaged[place] ^= 1 << rng.below(8);
        let _decoded = decode(&damaged);
        let _decoded = decode_exchange(&damaged);
    }
    net.run(secs(30));
    assert!(net.agrees() && net.told.is_empty(), "{:?}", net.told);
    assert_eq!(incarnations(&net), before);
}

#[test]
fn a_name_that_two_use_is_told() {
    let mut net = Net::with(3, 14, |settings| {
        if settings.address == address(2) {
            settings.id = id(1);
        }
    });
    net.input(1, Input::Join(address(0)));
    net.run(secs(1));
    net.input(2, Input::Join(address(0)));
    net.run(secs(5));
    let is_told = |(_, _, event): &(Duration, usize, Event)| matches!(event, Event::NameTaken(_));
    assert!(net.told.iter().any(is_told));
}

#[test]
fn a_node_that_has_moved_takes_old_news_of_itself_for_another_node_once() {
    let mut swim = Swim::new(Settings::new(id(0), address(0), 1), Duration::ZERO);
    let old = Update::Alive { id: id(0), incarnation: 3, address: address(1), metadata: Metadata::default() };
    let body = [encode(&None::<Message>), encode(&old)].concat();
    let mut hear = || swim.handle(Duration::ZERO, Input::Datagram { from: address(2), body: &body });
    assert_eq!(hear(), [Output::Event(Event::NameTaken(address(1)))]);
    assert_eq!(hear(), []);
}

/// What becomes of the only other member after one probe, to which only what is recorded answers, and the answers that it
/// owed.
fn probe_one(seed: u64, recorded: &[Vec<u8>]) -> (State, Vec<Vec<u8>>) {
    let mut swim = Swim::new(Settings::new(id(0), address(0), seed), Duration::ZERO);
    let (address, metadata) = (address(1), Metadata::default());
    swim.remember([Record { id: id(1), address, incarnation: 0, state: State::Alive, metadata }]);
    let mut owed = Vec::new();
    while swim.deadline() < secs(2) {
        let now = swim.deadline();
        for output in swim.handle(now, Input::Time) {
            let Output::Datagram { body, .. } = output else { continue };
            if let Ok((Some(Message::Ping { number, .. }), _)) = decode(&body) {
                owed.push(encode(&Some(Message::Ack { number })));
                for body in recorded {
                    swim.handle(now, Input::Datagram { from: address, body });
                }
            }
        }
    }
    (swim.member(id(1).as_str()).expect("it is known").state, owed)
}

#[test]
fn what_answered_in_a_former_run_answers_nothing_in_the_next_one() {
    let (_, owed) = probe_one(1, &[]);
    assert_eq!(probe_one(1, &owed).0, State::Alive);
    assert_eq!(probe_one(2, &owed).0, State::Suspect);
}

#[test]
fn strangers_that_are_made_up_have_a_limit() {
    let mut net = Net::with(2, 16, |settings| settings.members_max = 50);
    net.introduce();
    for number in 0..1000 {
        let update = Update::Alive {
            id: NodeId::new(&format!("made-up-{number}")).expect("a name"),
            incarnation: 1,
            address: address(0),
            metadata: Metadata::default(),
        };
        let body = [encode(&None::<Message>), encode(&update)].concat();
        net.input(0, Input::Datagram { from: address(1), body: &body });
    }
    assert_eq!(net.nodes[0].swim.members().count(), 50);
    // One of the 50 is real.
    assert_eq!(net.nodes[0].swim.refused_members(), 951);
}

#[test]
fn who_says_more_of_itself_than_it_may_is_not_heard() {
    let mut net = Net::new(2, 26);
    net.introduce();
    for (length, heard) in [(511, false), (510, true)] {
        let metadata = Metadata::new(BTreeMap::from([(String::new(), "x".repeat(length))]));
        let record = |node: usize, state| Record {
            id: id(node),
            address: address(node),
            incarnation: 1,
            state,
            metadata: metadata.clone(),
        };
        let alive =
            Update::Alive { id: id(7), incarnation: 1, address: address(7), metadata: metadata.clone() };
        let told = [encode(&None::<Message>), encode(&alive)].concat();
        net.input(0, Input::Datagram { from: address(1), body: &told });
        let members = vec![record(8, State::Alive), record(9, State::Dead)];
        let state = encode(&Exchange::State { members, services: Vec::new(), notes: Vec::new() });
        net.nodes[0].swim.handle(Duration::ZERO, Input::Request { stream: 1, body: &state });
        assert!(
            (7..10).all(|node| net.nodes[0].swim.member(id(node).as_str()).is_some() == heard),
            "{length}"
        );
    }
}

#[test]
fn an_incarnation_that_leaves_no_room_to_refute_is_not_believed() {
    let mut net = Net::new(3, 17);
    net.introduce();
    for incarnation in [u64::MAX, 1 << 62] {
        let updates = [
            Update::Suspect { id: id(0), incarnation, from: id(1), is_refused: false },
            Update::Dead { id: id(2), incarnation },
        ];
        let body =
            updates.iter().fold(encode(&None::<Message>), |body, update| [body, encode(update)].concat());
        net.input(0, Input::Datagram { from: address(1), body: &body });
    }
    net.run(secs(5));
    assert!(net.agrees() && net.told.is_empty(), "{:?}", net.told);
    assert_eq!(net.nodes[0].swim.incarnation(), 0);
}

#[test]
fn what_is_newer_and_what_is_worse_wins() {
    let alive = |incarnation| Update::Alive {
        id: id(1),
        incarnation,
        address: address(1),
        metadata: Metadata::default(),
    };
    let suspect = |incarnation| Update::Suspect { id: id(1), incarnation, from: id(2), is_refused: false };
    let dead = |incarnation| Update::Dead { id: id(1), incarnation };
    let left = |incarnation| Update::Left { id: id(1), incarnation };
    // What was heard, one after the other, and what is known then.
    let rows = [
        (vec![alive(2), suspect(2)], State::Suspect, 2),
        (vec![alive(2), suspect(2), alive(2)], State::Suspect, 2),
        (vec![alive(2), suspect(2), alive(3)], State::Alive, 3),
        (vec![alive(2), suspect(1)], State::Alive, 2),
        (vec![alive(2), dead(2), alive(2), suspect(2)], State::Dead, 2),
        (vec![alive(2), dead(1)], State::Alive, 2),
        (vec![alive(2), dead(2), alive(3)], State::Alive, 3),
        (vec![alive(2), left(2), alive(2), dead(2)], State::Left, 2),
        (vec![alive(2), dead(2), left(1)], State::Dead, 2),
        (vec![alive(2), dead(2), left(2)], State::Left, 2),
        (vec![alive(2), left(2), alive(3)], State::Alive, 3),
        (vec![alive(2), dead(2), left(2), dead(2)], State::Left, 2),
        (vec![alive(2), dead(2), left(1)], State::Dead, 2),
    ];
    for (heard, state, incarnation) in rows {
        let mut swim = Swim::new(Settings::new(id(0), address(0), 1), Duration::ZERO);
        for update in &heard {
            let body = [encode(&None::<Message>), encode(update)].concat();
            swim.handle(Duration::ZERO, Input::Datagram { from: address(2), body: &body });
        }
        let known = swim.member(id(1).as_str()).map(|member| (member.state, member.incarnation));
        assert_eq!(known, Some((state, incarnation)), "{heard:?}");
    }
}

#[test]
fn the_dead_are_forgotten_in_the_end() {
    let mut net = Net::with(3, 15, |settings| settings.reclaim = secs(60));
    net.introduce();
    net.kill(2);
    net.run(secs(200));
    assert_eq!(net.sees(0, 2), None);
    let forgotten = |(_, _, event): &(Duration, usize, Event)| *event == Event::Forgotten(id(2));
    assert_eq!(net.told.iter().filter(|told| forgotten(told)).count(), 2);
}

#[test]
fn who_has_left_stays_away_whatever_it_says_of_itself() {
    let mut net = Net::new(3, 24);
    net.introduce();
    net.input(2, Input::Leave);
    net.run(secs(2));
    net.input(2, Input::Metadata(&Metadata::new(BTreeMap::from([("zone".to_owned(), "a".to_owned())]))));
    net.run(secs(2));
    assert!((0..2).all(|node| net.sees(node, 2) == Some(State::Left)));
}

#[test]
fn the_dead_come_back_though_their_end_is_told_no_more() {
    // In the second half of its time, and to those who have heard of it only.
    for wait in [20, 150] {
        let mut net = Net::with(6, 25, |settings| settings.reclaim = secs(200));
        net.introduce();
        net.input(5, Input::Metadata(&Metadata::new(BTreeMap::from([("zone".to_owned(), "a".to_owned())]))));
        net.run(secs(5));
        net.kill(5);
        net.run(secs(20));
        net.restart(1);
        net.input(1, Input::Join(address(0)));
        net.run(secs(wait));
        assert_eq!(net.sees(1, 5), Some(State::Dead));
        net.restart(5);
        net.input(5, Input::Join(address(1)));
        until(&mut net, secs(20), Net::agrees);
    }
}

#[test]
fn the_dead_are_forgotten_though_others_come_later() {
    let mut net = Net::with(8, 23, |settings| {
        (settings.reclaim, settings.push_pull_interval) = (secs(200), secs(5));
    });
    net.introduce();
    net.kill(7);
    net.run(secs(20));
    assert_eq!(net.sees(0, 7), Some(State::Dead));
    for late in [1, 2, 3, 4, 5, 6] {
        net.restart(late);
        net.input(late, Input::Join(address(0)));
        net.run(secs(70));
    }
    for node in 0..7 {
        assert_eq!(net.sees(node, 7), None, "at {node}");
    }
}

/// Whatever happens, in whatever order: incarnations only grow, and once all is quiet, all agree.
fn views_converge(seed: u64, deeds: Vec<(u8, u8)>) -> bool {
    const COUNT: usize = 6;
    let mut net = Net::new(COUNT, seed);
    net.introduce();
    let mut highest = BTreeMap::new();
    for (deed, which) in deeds.into_iter().take(30) {
        let node = usize::from(which) % COUNT;
        match deed % 8 {
            0 => net.kill(node),
            1 if !net.nodes[node].is_up => {
                net.restart(node);
                // It knows nothing any more.
                highest.retain(|(at, _, _), _| *at != node);
                net.input(node, Input::Join(address((node + 1) % COUNT)));
            }
            2 => net.nodes[node].side = which % 3,
            3 => net.nodes.iter_mut().for_each(|node| node.side = 0),
            4 => net.links.loss = f64::from(which) / 512.0,
            5 => net.pause(node),
            6 if net.nodes[node].is_paused => net.resume(node),
            _ => {}
        }
        net.run(Duration::from_millis(50 * u64::from(which)));
        for (at, node) in net.nodes.iter().enumerate().filter(|(_, node)| node.is_up) {
            for member in node.swim.members() {
                let key = (at, node.swim.id().clone(), member.id.clone());
                let known = highest.entry(key).or_insert(0);
                assert!(member.incarnation >= *known);
                *known = member.incarnation;
            }
        }
    }
    net.links.loss = 0.0;
    for node in 0..COUNT {
        net.nodes[node].side = 0;
        if net.nodes[node].is_paused {
            net.resume(node);
        }
        if !net.nodes[node].is_up {
            net.restart(node);
        }
    }
    (0..COUNT).for_each(|node| net.input(node, Input::Join(address((node + 1) % COUNT))));
    until(&mut net, secs(300), Net::agrees);
    true
}

quickcheck! {
    fn views_converge_once_messages_flow(seed: u64, deeds: Vec<(u8, u8)>) -> bool {
        views_converge(seed, deeds)
    }

    fn no_bytes_make_decoding_panic(bytes: Vec<u8>) -> bool {
        let _decoded = (decode(&bytes), decode_exchange(&bytes));
        true
    }

    fn a_name_is_what_it_says(text: String) -> bool {
        NodeId::new(&text).is_none_or(|id| id.as_str() == text && !text.is_empty() && text.len() <= 64)
    }
}
