//! The peers, one file each; ours goes first, since the others are compared with it.

mod badbatch;
mod crossbeam_channel;
mod disruptor;

use crate::peer::Peer;

pub fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(badbatch::Badbatch),
        Box::new(disruptor::Disruptor { hints: false }),
        Box::new(disruptor::Disruptor { hints: true }),
        Box::new(crossbeam_channel::Channel),
    ]
}
