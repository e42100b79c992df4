//! Bytes from the network: no envelope and no message makes opening or decoding panic, and what a machine is told never
//! makes it panic or say more than fits into a datagram.

#![no_main]

use std::time::Duration;

use badbatch::cluster::swim::{Input, NodeId, Output, Settings, Swim, decode, decode_exchange};
use badbatch::cluster::{Envelope, Keyring};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for keyring in [Keyring::none(), Keyring::new([[7; 32]])] {
        // The body is limited, whatever length it announces.
        let opened = Envelope::new("fuzz", keyring, true).open(bytes, 4096);
        assert!(opened.is_ok_and(|body| body.len() > 4096) == false);
    }
    let _decoded = (decode(bytes), decode_exchange(bytes));
    let id = NodeId::new("node").expect("a name");
    let address = "127.0.0.1:7946".parse().expect("an address");
    let settings = Settings::new(id, address, 1);
    let most = settings.body_bytes_max;
    let mut swim = Swim::new(settings, Duration::ZERO);
    let (datagram, stream) = bytes.split_at(bytes.len() / 2);
    let inputs = [
        Input::Datagram { from: address, body: datagram },
        Input::Request { stream: 1, body: stream },
        Input::Answer { request: 1, body: stream },
        Input::Time,
    ];
    for (second, input) in inputs.into_iter().enumerate() {
        for output in swim.handle(Duration::from_secs(3 * second as u64), input) {
            if let Output::Datagram { body, .. } = output {
                assert!(body.len() <= most, "{} bytes", body.len());
            }
        }
    }
});
