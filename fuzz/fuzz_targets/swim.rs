//! Bytes from the network: no envelope and no message makes opening or decoding panic, and what a machine is told never
//! makes it panic or say more than fits into a datagram.

#![no_main]

use std::time::Duration;

use badbatch::cluster::swim::{
    Input, Message, NodeId, Offer, Output, Record, SERVICES_MAX, Service, ServiceRecord, Settings, State,
    Status, Swim, Update, decode, decode_exchange, encode,
};
use badbatch::cluster::{Envelope, Keyring};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for keyring in [Keyring::none(), Keyring::new([[7; 32]])] {
        // The body is limited, whatever length it announces.
        let opened = Envelope::new("fuzz", keyring, true).open(bytes, 4096);
        assert!(opened.is_ok_and(|body| body.len() > 4096) == false);
    }
    let _decoded = (decode(bytes), decode_exchange(bytes));
    let address = "127.0.0.1:7946".parse().expect("an address");
    let settings = Settings::new(id(0), address, 1);
    let most = settings.body_bytes_max;
    let mut swim = Swim::new(settings, Duration::ZERO);
    let record = |number| Record {
        id: id(number),
        address,
        incarnation: 0,
        state: State::Alive,
        metadata: Default::default(),
    };
    swim.remember((1..3).map(record));
    let (datagram, stream) = bytes.split_at(bytes.len() / 2);
    let (service, told) = (service(0), sensible(bytes));
    let inputs = [
        Input::Offer { service: &service, status: Status::Passing, load: 0, note: "" },
        Input::Datagram { from: address, body: datagram },
        Input::Request { stream: 1, body: stream },
        Input::Answer { request: 1, body: stream },
        Input::Datagram { from: address, body: &told },
        Input::Withdraw(&service.id),
        Input::Time,
    ];
    for (second, input) in inputs.into_iter().enumerate() {
        for output in swim.handle(Duration::from_secs(3 * second as u64), input) {
            if let Output::Datagram { body, .. } = output {
                assert!(body.len() <= most, "{} bytes", body.len());
            }
        }
        for node in 0..3 {
            assert!(swim.offers().filter(|offer| offer.node == id(node)).count() <= SERVICES_MAX);
        }
    }
});

fn id(number: u8) -> NodeId {
    NodeId::new(&format!("node-{number}")).expect("a name")
}

fn service(number: u8) -> Service {
    let (id, name, address) = (format!("web-{number}"), "web".to_owned(), "localhost".to_owned());
    Service { id, name, address, port: 80, tags: Vec::new(), metadata: Default::default() }
}

/// A datagram of updates that are well formed, of services and notes: three bytes say which one each is.
fn sensible(bytes: &[u8]) -> Vec<u8> {
    let update = |[kind, which, count]: [u8; 3]| {
        let node = id(kind % 4);
        // Also such as leave no room.
        let version = u64::from(count) << (kind / 4);
        match which % 4 {
            0 => Update::Note { from: node, number: version, body: vec![which] },
            1 => Update::Service(ServiceRecord::Withdrawn { version, node, id: service(which).id }),
            _ => {
                let (service, status) = (service(which), Status::Warning);
                let offer = Offer { node, service, status, load: u32::from(count), note: String::new() };
                Update::Service(ServiceRecord::Offered { version, offer: offer.into() })
            }
        }
    };
    let updates = bytes.chunks_exact(3).flat_map(|chunk| encode(&update([chunk[0], chunk[1], chunk[2]])));
    encode(&None::<Message>).into_iter().chain(updates).collect()
}
