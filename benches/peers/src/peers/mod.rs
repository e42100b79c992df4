//! The peers, one file each; ours goes first, since the others are compared with it.

mod badbatch;
mod channels;
mod crossbeam_channel;
mod crossfire;
mod disruptor;
mod kanal;
mod rtrb;
mod std_mpsc;

use crate::peer::Peer;

pub fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(badbatch::Badbatch),
        Box::new(disruptor::Disruptor { hints: false }),
        Box::new(disruptor::Disruptor { hints: true }),
        Box::new(rtrb::Rtrb),
        Box::new(crossbeam_channel::Crossbeam),
        Box::new(crossfire::Crossfire),
        Box::new(kanal::Kanal),
        Box::new(std_mpsc::StdMpsc),
    ]
}
