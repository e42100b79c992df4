//! Services, notes and the removal of dead nodes in simulated networks.

use std::collections::BTreeMap;
use std::time::Duration;

use badbatch::base::rng::Rng;
use badbatch::cluster::swim::{
    Event, Exchange, Input, Message, Metadata, NOTE_BYTES_MAX, NodeId, NoteError, Offer, Output,
    SERVICES_MAX, Service, ServiceError, ServiceRecord, State, Status, Swim, Update, decode_exchange, encode,
};
use quickcheck::quickcheck;

use super::net::{Net, address, id};
use super::{secs, until};

fn service(id: &str) -> Service {
    Service {
        id: id.to_owned(),
        name: "web".to_owned(),
        address: "10.0.0.1".to_owned(),
        port: 80,
        tags: vec!["blue".to_owned()],
        metadata: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
    }
}

fn offer(net: &mut Net, node: usize, id: &str, status: Status, load: u32) {
    net.input(node, Input::Offer { service: &service(id), status, load, note: "" });
}

/// What a node knows to be offered.
fn offers(swim: &Swim) -> Vec<(NodeId, String, Status, u32)> {
    let told = |offer: &Offer| (offer.node.clone(), offer.service.id.clone(), offer.status, offer.load);
    swim.offers().map(|offer| told(offer)).collect()
}

fn agree(net: &Net) -> bool {
    let up: Vec<_> = net.nodes.iter().filter(|node| node.is_up).map(|node| offers(&node.swim)).collect();
    up.windows(2).all(|pair| pair[0] == pair[1])
}

fn sees(net: &Net, node: usize, of: usize) -> usize {
    offers(&net.nodes[node].swim).iter().filter(|(owner, ..)| *owner == id(of)).count()
}

fn tell(net: &mut Net, node: usize, updates: &[Update]) {
    let bytes = updates.iter().flat_map(encode);
    let body: Vec<u8> = encode(&None::<Message>).into_iter().chain(bytes).collect();
    net.input(node, Input::Datagram { from: address(1), body: &body });
}

fn offered(node: usize, service: Service, version: u64) -> Update {
    let offer = Offer { node: id(node), service, status: Status::Passing, load: 0, note: String::new() };
    Update::Service(ServiceRecord::Offered { version, offer: offer.into() })
}

#[test]
fn services_are_known_everywhere_though_much_is_lost() {
    let mut net = Net::new(20, 31);
    net.introduce();
    net.links.loss = 0.3;
    net.links.doubled = 0.05;
    for node in 0..20 {
        (0..10).for_each(|number| offer(&mut net, node, &format!("web-{number}"), Status::Passing, 0));
    }
    offer(&mut net, 3, "web-4", Status::Critical, 0);
    offer(&mut net, 5, "web-5", Status::Passing, 17);
    net.input(7, Input::Withdraw("web-6"));
    let all = |net: &Net| agree(net) && offers(&net.nodes[0].swim).len() == 199;
    let took = until(&mut net, secs(300), all);
    println!("199 services of 20 nodes: known everywhere after {took:?}");
    let known = offers(&net.nodes[19].swim);
    assert!(known.contains(&(id(3), "web-4".to_owned(), Status::Critical, 0)));
    assert!(known.contains(&(id(5), "web-5".to_owned(), Status::Passing, 17)));
    assert!(!known.contains(&(id(7), "web-6".to_owned(), Status::Passing, 0)));
}

#[test]
fn what_is_offered_comes_by_node_and_id_from_those_who_take_part() {
    let mut net = Net::new(4, 45);
    net.introduce();
    for (node, name) in [(2, "b"), (0, "b"), (1, "a"), (0, "a"), (3, "a")] {
        offer(&mut net, node, name, Status::Passing, 0);
    }
    let listed = |net: &Net| -> Vec<(NodeId, String)> {
        offers(&net.nodes[1].swim).into_iter().map(|(node, name, ..)| (node, name)).collect()
    };
    let by = |wanted: &[(usize, &str)]| -> Vec<(NodeId, String)> {
        wanted.iter().map(|(node, name)| (id(*node), (*name).to_owned())).collect()
    };
    until(&mut net, secs(30), |net| listed(net) == by(&[(0, "a"), (0, "b"), (1, "a"), (2, "b"), (3, "a")]));
    net.input(0, Input::Leave);
    until(&mut net, secs(30), |net| listed(net) == by(&[(1, "a"), (2, "b"), (3, "a")]));
    net.input(1, Input::Leave);
    assert_eq!(listed(&net), by(&[(2, "b"), (3, "a")]));
}

#[test]
fn news_of_one_service_travels_by_gossip() {
    let mut net = Net::new(100, 32);
    net.introduce();
    offer(&mut net, 50, "web", Status::Passing, 0);
    until(&mut net, secs(5), |net| (0..100).all(|node| sees(net, node, 50) == 1));
    net.run(secs(5));
    net.forget();
    offer(&mut net, 50, "web", Status::Warning, 0);
    offer(&mut net, 50, "web", Status::Warning, 9);
    net.run(secs(5));
    net.input(50, Input::Withdraw("web"));
    until(&mut net, secs(5), |net| (0..100).all(|node| sees(net, node, 50) == 0));
    let count = |wanted: fn(&Event) -> bool| net.told.iter().filter(|(_, _, event)| wanted(event)).count();
    let is_warning =
        |event: &Event| matches!(event, Event::Changed(offer) if offer.status == Status::Warning);
    // The load alone is not told.
    assert_eq!(count(is_warning), 100);
    assert_eq!(count(|event| matches!(event, Event::Deregistered(_))), 100);
    assert_eq!(net.told.len(), 200, "{:?}", net.told);
}

#[test]
fn what_is_removed_does_not_come_back() {
    let mut net = Net::new(10, 33);
    net.introduce();
    net.keeps_seen = true;
    offer(&mut net, 2, "web", Status::Passing, 0);
    offer(&mut net, 2, "kept", Status::Passing, 0);
    until(&mut net, secs(5), |net| (0..10).all(|node| sees(net, node, 2) == 2));
    // One is away while the service is removed, and has old news when it comes back.
    net.nodes[9].side = 1;
    net.input(2, Input::Withdraw("web"));
    net.run(secs(60));
    net.keeps_seen = false;
    net.nodes[9].side = 0;
    until(&mut net, secs(120), |net| net.agrees() && agree(net));
    net.forget();
    for (to, from, body) in std::mem::take(&mut net.seen) {
        net.input(to, Input::Datagram { from, body: &body });
    }
    net.run(secs(60));
    assert!((0..10).all(|node| sees(&net, node, 2) == 1));
    assert!(net.told.is_empty(), "{:?}", net.told);
}

/// How many records of services a node tells others, tombstones included.
fn told(net: &mut Net, node: usize) -> usize {
    let (now, body) = (net.now, encode(&Exchange::Digest(0)));
    let outputs = net.nodes[node].swim.handle(now, Input::Request { stream: 1, body: &body });
    let answer = outputs.into_iter().find_map(|output| match output {
        Output::Answer { body, .. } => Some(decode_exchange(&body).expect("it is well formed")),
        _ => None,
    });
    let Some(Exchange::State { services, .. }) = answer else { panic!("{answer:?}") };
    services.len()
}

#[test]
fn tombstones_are_forgotten_everywhere_in_the_end() {
    let mut net = Net::with(30, 34, |settings| settings.reclaim = secs(600));
    net.introduce();
    (0..100).for_each(|number| offer(&mut net, 1, &format!("web-{number}"), Status::Passing, 0));
    until(&mut net, secs(120), |net| (0..30).all(|node| sees(net, node, 1) == 100));
    (0..100).for_each(|number| net.input(1, Input::Withdraw(&format!("web-{number}"))));
    until(&mut net, secs(120), |net| (0..30).all(|node| sees(net, node, 1) == 0));
    assert_eq!(told(&mut net, 7), 100);
    // None that one node has forgotten comes back from another one.
    net.run(secs(700));
    assert!((0..30).all(|node| told(&mut net, node) == 0));
    offer(&mut net, 1, "web-0", Status::Passing, 0);
    until(&mut net, secs(5), |net| (0..30).all(|node| sees(net, node, 1) == 1));
}

#[test]
fn who_was_away_for_long_hears_of_a_removal_that_is_not_told_any_more() {
    let mut net = Net::with(5, 46, |settings| settings.reclaim = secs(600));
    net.introduce();
    offer(&mut net, 2, "web", Status::Passing, 0);
    until(&mut net, secs(5), |net| (0..5).all(|node| sees(net, node, 2) == 1));
    net.nodes[4].side = 1;
    net.input(2, Input::Withdraw("web"));
    net.run(secs(400));
    assert_eq!(told(&mut net, 2), 0);
    net.nodes[4].side = 0;
    until(&mut net, secs(120), |net| net.agrees() && agree(net));
    assert_eq!(sees(&net, 4, 2), 0);
}

#[test]
fn an_owner_that_has_lost_its_memory_is_heard_again() {
    let mut net = Net::new(8, 35);
    net.introduce();
    for load in 0..20 {
        offer(&mut net, 4, "web", Status::Passing, load);
        offer(&mut net, 4, "gone", Status::Passing, load);
    }
    until(&mut net, secs(5), |net| (0..8).all(|node| sees(net, node, 4) == 2));
    // So soon that nobody notices; its versions begin anew, below those that are known.
    net.restart(4);
    offer(&mut net, 4, "web", Status::Warning, 0);
    offer(&mut net, 4, "new", Status::Passing, 0);
    net.input(4, Input::Join(address(0)));
    until(&mut net, secs(5), |net| {
        let wanted = [("new", Status::Passing), ("web", Status::Warning)]
            .map(|(service, status)| (id(4), service.to_owned(), status, 0));
        (0..8).all(|node| offers(&net.nodes[node].swim) == wanted)
    });
    net.run(secs(120));
    assert!(agree(&net) && sees(&net, 0, 4) == 2);
}

#[test]
fn one_version_that_was_given_twice_means_the_same_to_all() {
    let mut net = Net::new(6, 36);
    net.introduce();
    offer(&mut net, 3, "web", Status::Passing, 1);
    until(&mut net, secs(5), |net| (0..6).all(|node| sees(net, node, 3) == 1));
    net.restart(3);
    offer(&mut net, 3, "web", Status::Passing, 2);
    net.input(3, Input::Join(address(0)));
    until(&mut net, secs(10), |net| (0..6).all(|node| offers(&net.nodes[node].swim)[0].3 == 2));
    // Its owner is away, and two nodes have heard different things.
    net.nodes[3].side = 1;
    let said = |load| {
        let offer = Offer {
            node: id(3),
            service: service("web"),
            status: Status::Passing,
            load,
            note: String::new(),
        };
        Update::Service(ServiceRecord::Offered { version: 90, offer: offer.into() })
    };
    tell(&mut net, 0, &[said(7)]);
    tell(&mut net, 1, &[said(8)]);
    let others = [0, 1, 2, 4, 5];
    net.run(secs(1));
    assert!(others.iter().all(|node| offers(&net.nodes[*node].swim)[0].3 == offers(&net.nodes[0].swim)[0].3));
    net.nodes[3].side = 0;
    until(&mut net, secs(120), |net| others.iter().all(|node| offers(&net.nodes[*node].swim)[0].3 == 2));
}

#[test]
fn services_of_a_dead_node_are_gone_until_it_returns() {
    let mut net = Net::new(6, 37);
    net.introduce();
    offer(&mut net, 1, "web", Status::Passing, 0);
    until(&mut net, secs(5), |net| (0..6).all(|node| sees(net, node, 1) == 1));
    net.nodes[1].side = 1;
    until(&mut net, secs(60), |net| net.sees(5, 1) == Some(State::Dead));
    assert_eq!(sees(&net, 5, 1), 0);
    assert_eq!(sees(&net, 1, 1), 1, "it knows its own");
    net.nodes[1].side = 0;
    until(&mut net, secs(120), |net| net.agrees() && (0..6).all(|node| sees(net, node, 1) == 1));
    net.input(1, Input::Leave);
    until(&mut net, secs(5), |net| (0..6).all(|node| sees(net, node, 1) == 0));
    assert_eq!(net.nodes[1].swim.check_offer(&service("web"), ""), Err(ServiceError::Leaving));
}

#[test]
fn notes_come_to_all_and_once_each() {
    let mut net = Net::new(50, 38);
    net.introduce();
    net.links.loss = 0.1;
    net.links.doubled = 0.2;
    net.keeps_seen = true;
    for number in 0..30_u8 {
        net.input(usize::from(number) % 3, Input::Note(&[number]));
        net.run(Duration::from_millis(100));
    }
    net.run(secs(20));
    // All of it once more, in any order.
    let mut seen = std::mem::take(&mut net.seen);
    let mut rng = Rng::new(39);
    for place in (1..seen.len()).rev() {
        seen.swap(place, rng.below(place as u64 + 1) as usize);
    }
    for (to, from, body) in seen {
        net.input(to, Input::Datagram { from, body: &body });
    }
    net.run(secs(20));
    let mut came: BTreeMap<(usize, u8), usize> = BTreeMap::new();
    for (_, node, event) in &net.told {
        if let Event::Note { from, body } = event {
            assert_eq!(*from, id(usize::from(body[0]) % 3));
            *came.entry((*node, body[0])).or_default() += 1;
        }
    }
    assert!(came.values().all(|times| *times == 1));
    // Each but its origin.
    assert_eq!(came.len(), 30 * 49);
}

#[test]
fn notes_of_a_node_that_has_lost_its_memory_come_as_well() {
    let mut net = Net::new(5, 40);
    net.introduce();
    (0..10).for_each(|number: u8| net.input(2, Input::Note(&[number])));
    net.run(secs(5));
    net.restart(2);
    net.input(2, Input::Join(address(0)));
    net.run(secs(1));
    net.forget();
    net.input(2, Input::Note(b"again"));
    net.run(secs(5));
    assert_eq!(net.told.len(), 4, "{:?}", net.told);
}

#[test]
fn a_dead_node_can_be_said_to_have_left_and_a_live_one_refutes() {
    let mut net = Net::new(10, 41);
    net.introduce();
    net.input(0, Input::ForceLeave(&id(7)));
    assert_eq!(net.sees(0, 7), Some(State::Alive), "it lives");
    net.kill(7);
    net.nodes[8].side = 1;
    let is_dead = |net: &Net| {
        (0..7).chain([9]).all(|node| [7, 8].map(|of| net.sees(node, of)) == [Some(State::Dead); 2])
    };
    until(&mut net, secs(60), is_dead);
    net.input(0, Input::ForceLeave(&id(7)));
    net.input(1, Input::ForceLeave(&id(8)));
    let has_left = |net: &Net| {
        (0..7).chain([9]).all(|node| [7, 8].map(|of| net.sees(node, of)) == [Some(State::Left); 2])
    };
    until(&mut net, secs(5), has_left);
    assert_eq!(net.told.iter().filter(|(_, _, event)| matches!(event, Event::Left(_))).count(), 2 * 8);
    net.nodes[8].side = 0;
    until(&mut net, secs(120), |net| (0..7).chain([9]).all(|node| net.sees(node, 8) == Some(State::Alive)));
    assert_eq!(net.sees(0, 7), Some(State::Left));
}

#[test]
fn a_node_has_so_many_services_and_no_more() {
    let mut net = Net::new(3, 42);
    net.introduce();
    // More than there is room for, one after the other.
    for number in 0..1000 {
        offer(&mut net, 0, &format!("passing-by-{number}"), Status::Passing, 0);
        net.input(0, Input::Withdraw(&format!("passing-by-{number}")));
    }
    for number in 0..SERVICES_MAX {
        offer(&mut net, 0, &format!("web-{number}"), Status::Passing, 0);
    }
    let refused = net.nodes[0].swim.check_offer(&service("one-more"), "");
    assert_eq!(refused, Err(ServiceError::TooMany));
    offer(&mut net, 0, "one-more", Status::Passing, 0);
    until(&mut net, secs(120), |net| (0..3).all(|node| sees(net, node, 0) == SERVICES_MAX));
    net.input(0, Input::Withdraw("web-0"));
    offer(&mut net, 0, "one-more", Status::Passing, 0);
    until(&mut net, secs(120), agree);
    assert_eq!(sees(&net, 1, 0), SERVICES_MAX);
}

#[test]
fn services_that_are_made_up_have_limits() {
    let mut net = Net::with(2, 43, |settings| settings.members_max = 400);
    net.introduce();
    for number in 0..1000 {
        let service = service(&format!("made-up-{number}"));
        tell(&mut net, 0, &[offered(1, service.clone(), number + 1), offered(9, service, number + 1)]);
    }
    // Their owner takes all of them back.
    assert_eq!(sees(&net, 0, 1), SERVICES_MAX);
    assert_eq!(sees(&net, 0, 9), 0, "a node that is not known");
    assert_eq!(net.nodes[0].swim.refused_services(), 0, "it is one node that has too many");
    until(&mut net, secs(120), |net| sees(net, 0, 1) == 0);
    let stranger =
        Update::Alive { id: id(9), incarnation: 0, address: address(9), metadata: Metadata::default() };
    // In one datagram, and in the order in which nobody would wait for it.
    tell(&mut net, 0, &[offered(9, service("web"), 1), stranger]);
    assert_eq!(sees(&net, 0, 9), 1);
    for number in 0..1000 {
        tell(&mut net, 0, &[offered(9, service(&format!("more-{number}")), number + 2)]);
    }
    let seen = sees(&net, 0, 9);
    assert!(seen <= 400 - SERVICES_MAX);
    assert_eq!(net.nodes[0].swim.refused_services(), 1001 - seen as u64);
}

#[test]
fn what_nobody_can_have_said_is_not_believed() {
    let mut net = Net::new(3, 44);
    net.introduce();
    offer(&mut net, 1, "web", Status::Passing, 0);
    until(&mut net, secs(5), |net| sees(net, 0, 1) == 1);
    net.forget();
    let with = |change: fn(&mut Service)| {
        let mut service = service("bad");
        change(&mut service);
        offered(1, service, 7)
    };
    tell(
        &mut net,
        0,
        &[
            offered(1, service("web"), 1 << 62),
            offered(1, service("web"), u64::MAX),
            offered(0, service("web"), u64::MAX),
            Update::Service(ServiceRecord::Withdrawn { version: 1 << 62, node: id(1), id: "web".to_owned() }),
            Update::Note { from: id(1), number: 1 << 62, body: vec![1] },
            Update::Note { from: id(9), number: 1, body: vec![1] },
            Update::Note { from: id(1), number: 1, body: vec![1; NOTE_BYTES_MAX + 1] },
            with(|service| service.id = "two words".to_owned()),
            with(|service| service.name = String::new()),
            with(|service| service.address = "a b".to_owned()),
            with(|service| service.port = 0),
            with(|service| service.tags = vec!["\u{1b}[2J".to_owned()]),
            with(|service| service.tags = vec!["x".repeat(1100)]),
        ],
    );
    net.run(secs(60));
    assert!(net.told.is_empty() && sees(&net, 0, 1) == 1 && agree(&net), "{:?}", net.told);
    // A version that is possible, if nobody has given it, is answered by the owner.
    tell(
        &mut net,
        0,
        &[Update::Service(ServiceRecord::Withdrawn { version: 1 << 61, node: id(1), id: "web".to_owned() })],
    );
    assert_eq!(sees(&net, 0, 1), 0);
    until(&mut net, secs(5), |net| (0..3).all(|node| sees(net, node, 1) == 1));
}

#[test]
fn what_does_not_fit_is_told_before_it_is_spread() {
    let mut net = Net::with(1, 45, |settings| settings.body_bytes_max = 512 - 40);
    let swim = &net.nodes[0].swim;
    let mut long = service("web");
    long.tags = vec!["x".repeat(400)];
    let ServiceError::TooLong { bytes, most } = swim.check_offer(&long, "").expect_err("it is long") else {
        panic!("another error");
    };
    long.tags = vec!["x".repeat(400 - (bytes - most))];
    assert_eq!(swim.check_offer(&long, &"n".repeat(96)), Ok(()));
    let note = "n".repeat(97);
    assert_eq!(swim.check_offer(&service("web"), &note), Err(ServiceError::Note(97)));
    let Err(NoteError::TooLong { most, .. }) = swim.check_note(&[0; 500]) else { panic!("it is long") };
    assert_eq!(swim.check_note(&vec![0; most]), Ok(()));
    while net.nodes[0].swim.check_note(b"x").is_ok() {
        net.input(0, Input::Note(b"x"));
    }
    assert_eq!(net.nodes[0].swim.check_note(b"x"), Err(NoteError::TooMany));
}

/// Whatever is registered, changed and removed, while nodes and links fail: once all is quiet, all know what their owners
/// say.
fn services_converge(seed: u64, deeds: Vec<(u8, u8)>) -> bool {
    const COUNT: usize = 5;
    let mut net = Net::new(COUNT, seed);
    net.introduce();
    let mut said: Vec<BTreeMap<String, (Status, u32)>> = vec![BTreeMap::new(); COUNT];
    for (deed, which) in deeds.into_iter().take(40) {
        let node = usize::from(which) % COUNT;
        let (id, load) = (format!("web-{}", which % 7), u32::from(deed));
        let status = [Status::Passing, Status::Warning, Status::Critical][usize::from(deed / 16) % 3];
        match deed % 8 {
            0..3 if net.nodes[node].is_up => {
                offer(&mut net, node, &id, status, load);
                said[node].insert(id, (status, load));
            }
            3 if net.nodes[node].is_up => {
                net.input(node, Input::Withdraw(&id));
                said[node].remove(&id);
            }
            4 => net.kill(node),
            5 if !net.nodes[node].is_up => {
                net.restart(node);
                said[node].clear();
                net.input(node, Input::Join(address((node + 1) % COUNT)));
            }
            6 => net.nodes[node].side = which % 2,
            7 => net.links.loss = f64::from(which) / 512.0,
            _ => {}
        }
        net.run(Duration::from_millis(20 * u64::from(which)));
    }
    net.links.loss = 0.0;
    for (node, said) in said.iter_mut().enumerate() {
        net.nodes[node].side = 0;
        if !net.nodes[node].is_up {
            net.restart(node);
            said.clear();
        }
    }
    (0..COUNT).for_each(|node| net.input(node, Input::Join(address((node + 1) % COUNT))));
    let wanted: Vec<_> = said
        .iter()
        .enumerate()
        .flat_map(|(node, services)| {
            services.iter().map(move |(service, (status, load))| (id(node), service.clone(), *status, *load))
        })
        .collect();
    until(&mut net, secs(300), |net| (0..COUNT).all(|node| offers(&net.nodes[node].swim) == wanted));
    net.run(secs(60));
    (0..COUNT).all(|node| offers(&net.nodes[node].swim) == wanted)
}

quickcheck! {
    fn services_converge_on_what_their_owners_say(seed: u64, deeds: Vec<(u8, u8)>) -> bool {
        services_converge(seed, deeds)
    }
}
