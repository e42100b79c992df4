//! Scenarios whose every message and event stands in `tests/data/swim/`, one a file; `REWRITE=1` writes them anew.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::net::{Net, address, id};
use super::{secs, until};
use badbatch::cluster::swim::{Input, Message, Metadata, State, Update, encode};

/// Nodes that know each other, and are amid their rounds.
fn known(count: usize, seed: u64) -> Net {
    let mut net = Net::new(count, seed);
    net.introduce();
    net
}

fn begin(net: &mut Net) {
    net.transcript = Some(String::new());
}

/// Fails if what went through the network is not what stands in the file of this name.
fn compare(name: &str, about: &str, net: Net) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/swim").join(name).with_extension("txt");
    let lines = net.transcript.expect("it was begun");
    let found = format!("{about}\n\n{lines}");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, found).expect("the folder is there");
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = wanted.lines().zip(found.lines()).position(|(wanted, found)| wanted != found);
    let place = differs.unwrap_or_else(|| wanted.lines().count().min(found.lines().count()));
    let line = |text: &str| text.lines().nth(place).unwrap_or("(the end)").to_owned();
    assert!(
        wanted == found,
        "{name}.txt differs at line {}:\n  wanted {}\n  found  {}\nREWRITE=1 writes it anew",
        place + 1,
        line(&wanted),
        line(&found)
    );
}

#[test]
fn joining() {
    let mut net = Net::new(3, 1);
    begin(&mut net);
    net.input(1, Input::Join(address(0)));
    net.run(Duration::from_millis(300));
    net.input(2, Input::Join(address(0)));
    until(&mut net, secs(2), Net::agrees);
    compare("join", "Two nodes join by the same one, and hear of each other.", net);
}

#[test]
fn probing() {
    let mut net = known(3, 2);
    begin(&mut net);
    net.run(secs(2));
    compare("probe", "Each of three nodes asks another one every second. There is no news.", net);
}

#[test]
fn probing_by_others() {
    let mut net = known(3, 3);
    net.cut = vec![(0, 1), (1, 0)];
    begin(&mut net);
    net.run(secs(3));
    assert!(net.told.is_empty());
    let about = "Between n0 and n1 nothing goes. n2, who reaches both, asks for them: nobody is suspected.";
    compare("indirect-probe", about, net);
}

#[test]
fn probing_by_streams() {
    let mut net = known(2, 4);
    net.links.only_streams = true;
    begin(&mut net);
    net.run(secs(3));
    assert!(net.told.is_empty());
    compare(
        "stream-probe",
        "All datagrams are lost, and there is nobody else to ask: the stream tells.",
        net,
    );
}

#[test]
fn standing_still() {
    let mut net = known(4, 5);
    begin(&mut net);
    net.pause(3);
    until(&mut net, secs(5), |net| net.sees(0, 3) == Some(State::Suspect));
    net.run(Duration::from_millis(500));
    net.resume(3);
    until(&mut net, secs(5), Net::agrees);
    let about =
        "n3 stands still. Those who are asked to ask it say no; it is suspected, goes on, and refutes.";
    compare("suspicion-and-refutation", about, net);
}

#[test]
fn dying_with_a_machine() {
    let mut net = known(3, 6);
    begin(&mut net);
    net.unplug(2);
    let is_dead = |net: &Net| (0..2).all(|node| net.sees(node, 2) == Some(State::Dead));
    until(&mut net, secs(10), is_dead);
    compare(
        "silent-death",
        "n2 is gone with its machine, which refuses nothing: it has four seconds to refute.",
        net,
    );
}

#[test]
fn dying_alone() {
    let mut net = known(4, 7);
    begin(&mut net);
    net.kill(3);
    let is_dead = |net: &Net| (0..3).all(|node| net.sees(node, 3) == Some(State::Dead));
    until(&mut net, secs(10), is_dead);
    let about = "The process n3 is killed, and its machine refuses streams. Who hears of that tries it; \
                 once two are refused, n3 has one second.";
    compare("refused-death", about, net);
}

#[test]
fn refuting_what_a_wall_says() {
    let mut net = Net::with(4, 8, |settings| settings.indirect_probes = 1);
    net.introduce();
    net.walls = vec![(0, 3), (1, 3)];
    begin(&mut net);
    until(&mut net, secs(10), |net| net.sees(0, 3) == Some(State::Suspect));
    until(&mut net, secs(5), Net::agrees);
    assert!(net.deaths(3).is_empty());
    let about = "A wall refuses n0 and n1 for n3, and who is asked to ask it is refused as well. n2 tries it too: \
                 n3 is told, and refutes.";
    compare("wall", about, net);
}

#[test]
fn leaving() {
    let mut net = known(3, 9);
    begin(&mut net);
    net.input(2, Input::Leave);
    until(&mut net, secs(5), |net| net.nodes[2].swim.has_left());
    net.kill(2);
    net.run(secs(1));
    compare("leave", "n2 says that it goes, and is not called dead.", net);
}

#[test]
fn changing_metadata() {
    let mut net = known(3, 10);
    begin(&mut net);
    let metadata = Metadata::new(BTreeMap::from([("zone".to_owned(), "b".to_owned())]));
    net.input(1, Input::Metadata(&metadata));
    net.run(secs(1));
    compare("metadata", "n1 says something else of itself, at its next incarnation.", net);
}

#[test]
fn coming_back_without_memory() {
    let mut net = known(3, 11);
    for zone in ["a", "b", "c"] {
        let metadata = Metadata::new(BTreeMap::from([("zone".to_owned(), zone.to_owned())]));
        net.input(1, Input::Metadata(&metadata));
    }
    net.run(secs(5));
    net.kill(1);
    until(&mut net, secs(10), |net| {
        net.sees(0, 1) == Some(State::Dead) && net.sees(2, 1) == Some(State::Dead)
    });
    net.run(secs(5));
    begin(&mut net);
    net.restart(1);
    net.input(1, Input::Join(address(0)));
    until(&mut net, secs(5), Net::agrees);
    let about =
        "n1 had incarnation 3 when it died. It begins at 0, learns that from n0's state, and goes above it.";
    compare("lost-memory", about, net);
}

#[test]
fn comparing_states() {
    let mut net = Net::with(3, 12, |settings| settings.push_pull_interval = secs(2));
    net.introduce();
    begin(&mut net);
    net.nodes[2].side = 1;
    // n2 does not hear of it.
    let metadata = Metadata::new(BTreeMap::from([("zone".to_owned(), "b".to_owned())]));
    net.input(1, Input::Metadata(&metadata));
    net.run(secs(1));
    net.nodes[2].side = 0;
    net.run(secs(3));
    assert!(net.nodes[2].swim.member(id(1).as_str()).is_some_and(|member| member.metadata == metadata));
    let about = "n2 misses some news of n1. Two compare a sum over all that they know, and exchange it if they differ.";
    compare("push-pull", about, net);
}

#[test]
fn coming_together_again() {
    let mut net = known(3, 13);
    net.nodes[2].side = 1;
    net.run(secs(40));
    assert_eq!((net.sees(0, 2), net.sees(2, 0)), (Some(State::Dead), Some(State::Dead)));
    begin(&mut net);
    net.nodes[2].side = 0;
    until(&mut net, secs(40), Net::agrees);
    // Until one asks a dead one, as each does now and then, there is nothing but probes.
    let transcript = net.transcript.take().expect("it was begun");
    let (_, from) = transcript.split_at(transcript.find("digest").expect("somebody asked"));
    net.transcript = Some(transcript[transcript.len() - from.len() - 20..].to_owned());
    let about = "Both sides of a partition call each other dead. Once it has healed, one asks a dead one.";
    compare("healing", about, net);
}

#[test]
fn hearing_old_news() {
    let mut net = known(3, 14);
    let metadata = Metadata::default();
    for _ in 0..2 {
        net.input(2, Input::Metadata(&metadata));
    }
    net.run(secs(5));
    begin(&mut net);
    let late = Update::Suspect { id: id(2), incarnation: 1, from: id(1), is_refused: false };
    let body = [encode(&None::<Message>), encode(&late)].concat();
    net.input(2, Input::Datagram { from: address(1), body: &body });
    net.run(Duration::from_millis(200));
    for update in [
        Update::Suspect { id: id(2), incarnation: 1, from: id(1), is_refused: true },
        Update::Dead { id: id(2), incarnation: 1 },
        Update::Dead { id: id(2), incarnation: 2 },
    ] {
        let body = [encode(&None::<Message>), encode(&update)].concat();
        net.input(0, Input::Datagram { from: address(1), body: &body });
    }
    net.run(Duration::from_millis(700));
    let about = "n2 hears that somebody has missed its last refutation, and says it again. Then n0 hears that n2 was suspect \
                 and dead at 1, which is long over, and dead at 2, which n2 refutes.";
    compare("old-news", about, net);
}

#[test]
fn using_a_name_twice() {
    let mut net = Net::with(3, 15, |settings| {
        if settings.address == address(2) {
            settings.id = id(1);
        }
    });
    net.input(1, Input::Join(address(0)));
    net.run(secs(1));
    begin(&mut net);
    net.input(2, Input::Join(address(0)));
    net.run(secs(1));
    compare(
        "name-taken",
        "The node at n2's address calls itself n1, as another one does, and is told so.",
        net,
    );
}
