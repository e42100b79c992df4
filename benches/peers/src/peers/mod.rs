//! The peers, one file each; ours goes first, since the others are compared with it.

mod badbatch;
pub mod bare;
mod channels;
mod crossbeam_channel;
mod crossfire;
mod disruptor;
mod kanal;
mod lmax;
mod rtrb;
mod std_mpsc;

use crate::peer::Peer;

/// All that can be measured here, and why others cannot.
pub fn all() -> (Vec<Box<dyn Peer>>, Option<String>) {
    let mut peers: Vec<Box<dyn Peer>> = vec![
        Box::new(badbatch::Badbatch),
        Box::new(disruptor::Disruptor { hints: false }),
        Box::new(disruptor::Disruptor { hints: true }),
        Box::new(rtrb::Rtrb),
        Box::new(crossbeam_channel::Crossbeam),
        Box::new(crossfire::Crossfire),
        Box::new(kanal::Kanal),
        Box::new(std_mpsc::StdMpsc),
        Box::new(bare::Bare),
    ];
    match lmax::Lmax::find() {
        Ok(lmax) => peers.push(Box::new(lmax)),
        Err(reason) => return (peers, Some(format!("LMAX is not measured: {reason}"))),
    }
    (peers, None)
}
