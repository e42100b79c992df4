//! Frames on TCP connections: four bytes of length, and what they announce, within a time for all of it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::base::deadline::Deadline;

/// Writes a frame.
///
/// Errors: the other side has gone, or has not taken all of it in time.
pub fn write(stream: &TcpStream, bytes: &[u8], time: Duration) -> io::Result<()> {
    InTime::new(stream, Deadline::after(time))
        .write_all(&[&(bytes.len() as u32).to_be_bytes()[..], bytes].concat())
}

/// Reads a frame; nothing if more than `bytes_max` are announced.
///
/// Errors: the other side has gone, or has not said all of it in time, however slowly it goes on.
pub fn read(stream: &TcpStream, bytes_max: usize, time: Duration) -> io::Result<Option<Vec<u8>>> {
    let mut stream = InTime::new(stream, Deadline::after(time));
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > bytes_max {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    // Memory is taken for what has come, not for what is announced.
    let read = stream.take(length as u64).read_to_end(&mut bytes)?;
    if read < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes))
}

/// A connection, until its time is over.
#[derive(Debug)]
pub struct InTime<'s> {
    stream: &'s TcpStream,
    deadline: Deadline,
}

impl<'s> InTime<'s> {
    /// Reads and writes fail once the deadline has passed.
    pub fn new(stream: &'s TcpStream, deadline: Deadline) -> Self {
        Self { stream, deadline }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        match self.deadline.remaining() {
            Some(Duration::ZERO) => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(left),
        }
    }
}

impl Read for InTime<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(bytes)
    }
}

impl Write for InTime<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let near = TcpStream::connect(listener.local_addr().expect("it listens")).expect("it listens");
        (near, listener.accept().expect("somebody comes").0)
    }

    #[test]
    fn a_frame_comes_as_it_was_sent_unless_it_is_too_long() {
        let (near, far) = pair();
        for frame in [&b""[..], b"a frame"] {
            write(&near, frame, PATIENCE).expect("it is taken");
            assert_eq!(read(&far, 7, PATIENCE).expect("it comes").as_deref(), Some(frame));
        }
        write(&near, b"a long one", PATIENCE).expect("it is taken");
        assert_eq!(read(&far, 7, PATIENCE).expect("its length comes"), None);
        let (near, far) = pair();
        (&near).write_all(&[0, 0, 0, 7, 1]).expect("it is taken");
        drop(near);
        assert_eq!(read(&far, 7, PATIENCE).expect_err("it ends").kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn who_goes_on_slowly_has_no_more_time_than_others() {
        let time = Duration::from_millis(50);
        let is_late = |kind| matches!(kind, ErrorKind::TimedOut | ErrorKind::WouldBlock);
        let (near, far) = pair();
        let speaker = thread::spawn(move || {
            // One that announces much, and says it byte by byte until nobody listens.
            let mut said = (&near).write_all(&u32::MAX.to_be_bytes());
            while said.is_ok() {
                thread::yield_now();
                said = (&near).write_all(&[0]);
            }
        });
        assert!(is_late(read(&far, usize::MAX, time).expect_err("it is slow").kind()));
        drop(far);
        speaker.join().expect("it ends");
        let (near, far) = pair();
        let listener = thread::spawn(move || while (&far).read(&mut [0]).is_ok_and(|read| read > 0) {});
        assert!(is_late(write(&near, &vec![0; 64 << 20], time).expect_err("it is slow").kind()));
        drop(near);
        listener.join().expect("it ends");
    }
}
