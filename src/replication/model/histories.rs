//! Histories that are too rare to wait for, each with the one guard that decides it.

use super::{Flight, Model, NAME, Purpose};
use crate::cluster::swim::NodeId;
use crate::engine::Consistency;
use crate::replication::message::{Answer, Request, decode};
use crate::replication::reign::Reign;
use crate::replication::replica::Log;

#[test]
fn the_later_reign_wins_over_the_longer_log() {
    let mut model = Model::new(1, 3, 3, Consistency::Quorum, 1 << 20);
    model.settle();
    (0..5).for_each(|_| model.publish(0));
    model.settle();
    // The home is cut off, has not heard of it, and goes on.
    model.cut = [(0, 1), (0, 2)].into();
    (0..9).for_each(|_| model.publish(0));
    model.promote_among(1, &[1, 2]);
    assert_eq!(model.homes(), [0, 1]);
    model.publish(1);
    model.run_of(&[1, 2]);
    model.acknowledge();
    let acknowledged = model.acknowledged.clone();
    let end = |model: &Model, node: usize| model.hosts[node].replica.as_ref().expect("a copy").log.end();
    assert!(end(&model, 0) > end(&model, 2) && acknowledged.len() as u64 == end(&model, 2));
    // Now the new home is gone, and the old one is back.
    model.cut = [(0, 1), (1, 2)].into();
    model.promote_among(2, &[0, 2]);
    assert_eq!((model.lacks(2), model.lacks(0)), (None, None));
    assert!(end(&model, 2) >= acknowledged.len() as u64);
    model.check();
}

#[test]
fn those_who_were_replaced_unheard_promote_one_of_themselves_only_if_nothing_is_lost() {
    let mut model = Model::new(1, 5, 3, Consistency::Quorum, 1 << 20);
    model.settle();
    let home = model.hosts[0].replica.as_ref().expect("it is the home");
    let first: Vec<_> = home.set().nodes.iter().map(|id| model.place(id)).filter(|node| *node != 0).collect();
    let others: Vec<_> = (1..5).filter(|node| !first.contains(node)).collect();
    // The home is cut off from both its followers, and chooses others.
    let here = [0, others[0], others[1]];
    for one in here {
        model.cut.extend(first.iter().map(|other| (one.min(*other), one.max(*other))));
    }
    let there: Vec<_> = others.iter().map(|node| model.ids[*node].clone()).collect();
    let replica = model.hosts[0].replica.as_mut().expect("it is the home");
    replica.home().expect("it is").want(there, 0);
    first.iter().for_each(|node| model.break_off(0, *node));
    model.run_of(&here);
    model.publish(0);
    model.run_of(&here);
    model.acknowledge();
    model.promote_among(first[0], &first);
    assert_eq!(model.homes(), [0, first[0]]);
    model.publish(first[0]);
    model.run_of(&first);
    model.acknowledge();
    assert!(!model.acknowledged.is_empty());
    model.heal();
    model.crown();
    assert_eq!(model.homes().iter().map(|home| model.lacks(*home)).collect::<Vec<_>>(), [None]);
}

#[test]
fn an_answer_to_an_earlier_reign_says_nothing_of_the_next() {
    let mut model = Model::new(1, 3, 3, Consistency::Quorum, 1 << 20);
    model.settle();
    // The home says hello to a follower once more, whose answer takes a while.
    model.hosts[0].links.remove(&model.ids[2].clone());
    model.home_works(0, false);
    let to_it = model.flights.iter().position(|flight| flight.to == 2).expect("a hello");
    model.deliver(to_it);
    model.promote_among(1, &[0, 1]);
    model.promote_among(0, &[0, 1]);
    assert_eq!(model.homes(), [0]);
    // What the other home said to it is lost.
    model.flights.retain(|flight| flight.from != 1);
    model.publish(0);
    model.settle();
    model.check();
    assert_eq!(
        model.hosts[2].replica.as_ref().and_then(|replica| replica.reign()).map(|reign| reign.epoch),
        Some(3)
    );
}

#[test]
fn a_promise_holds_against_lower_reigns() {
    let mut model = Model::new(1, 3, 3, Consistency::Quorum, 1 << 20);
    model.settle();
    let reign = |epoch| Reign { epoch, token: 0, home: model.ids[2].clone() };
    let (higher, lower) = (reign(5), reign(4));
    let replica = model.hosts[1].replica.as_mut().expect("a copy");
    let mut claim = |reign: &Reign| replica.hear(9, Request::Claim(NAME.to_owned(), reign.clone()));
    assert!(matches!(claim(&higher), Answer::Known(_)));
    assert!(matches!(claim(&lower), Answer::Superseded(promised) if promised == higher));
}

#[test]
fn who_promises_another_while_it_claims_does_not_go_on_with_its_reign() {
    type Stage = fn(&Request) -> bool;
    let stages: [(Stage, u64); 2] = [
        // It claims again, above what it promised.
        (|request| matches!(request, Request::Claim(..)), 10),
        // It gives up.
        (|request| matches!(request, Request::Fetch(..)), 1),
    ];
    for (is_at_stage, epoch) in stages {
        let mut model = Model::new(1, 3, 3, Consistency::Quorum, 1 << 20);
        model.settle();
        model.cut = [(0, 1)].into();
        model.publish(0);
        model.run_of(&[0, 2]);
        model.cut.insert((0, 2));
        model.claim(1, Purpose::Promote { by_force: false });
        let number = model.conversations;
        model.claim_hears(number, 1, 0, None);
        let promised = Reign { epoch: 9, token: 0, home: model.ids[2].clone() };
        loop {
            let is_of_it = |flight: &Flight| flight.conversation == number && flight.to != 0;
            let place = model.flights.iter().position(is_of_it).expect("it goes on");
            let flight = &model.flights[place];
            if flight.to == 2 && is_at_stage(&decode(&flight.bytes).expect("a request of ours")) {
                break;
            }
            model.deliver(place);
        }
        let replica = model.hosts[1].replica.as_mut().expect("a copy");
        let answer = replica.hear(9, Request::Claim(NAME.to_owned(), promised));
        assert!(matches!(answer, Answer::Known(_)));
        model.run_of(&[1, 2]);
        let reign = model.hosts[1].replica.as_ref().and_then(|replica| replica.reign());
        assert_eq!(reign.map(|reign| reign.epoch), Some(epoch));
        assert_eq!(model.homes().contains(&1), epoch == 10);
    }
}

#[test]
fn followers_that_have_nothing_yet_replace_nobody() {
    let mut model = Model::new(1, 5, 3, Consistency::Quorum, 1 << 20);
    model.settle();
    model.publish(0);
    model.settle();
    let replica = model.hosts[0].replica.as_mut().expect("it is the home");
    let end = replica.log.end();
    let home = replica.home().expect("it is");
    let before = home.set().clone();
    let is_new = |id: &&NodeId| !before.nodes.contains(id);
    home.want(model.ids.iter().filter(is_new).cloned().collect(), end);
    assert!(home.take_released().is_empty());
    assert_eq!(*home.set(), before);
}
