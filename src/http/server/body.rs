//! A request's body as it comes, out of its frame.
//!
//! Source: RFC 9112, section 7.1, for chunks; extensions and trailers are passed over.

use std::io::{self, BufRead, Read};

use super::head::Framing;

/// Why there is no more of a body.
#[derive(Debug)]
pub enum BodyError {
    /// The client sends too slowly, or not at all any more.
    TimedOut,
    /// The chunks are malformed, or the connection ended within the body.
    Malformed,
    /// The connection failed.
    Io(io::Error),
}

impl From<io::Error> for BodyError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => Self::Malformed,
            _ => Self::Io(error),
        }
    }
}

/// Reads one body from a connection and stops at its end.
#[derive(Debug)]
pub struct Body {
    /// Bytes until the end of the body or of the chunk.
    left: u64,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// `left` bytes are the rest.
    Plain,
    /// A chunk's size comes next; true if the line break that ends the last chunk comes before it.
    Size(bool),
    /// `left` bytes of a chunk come next.
    Chunk,
    Done,
}

/// The longest line between chunks.
const LINE_BYTES_MAX: u64 = 1024;
const TRAILER_LINES_MAX: usize = 64;

impl Body {
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self { left: 0, state: State::Done },
            Framing::Length(left) => Self { left, state: State::Plain },
            Framing::Chunked => Self { left: 0, state: State::Size(false) },
        }
    }

    /// Whether all of it has been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads some of it; 0 at its end.
    pub fn read(&mut self, input: &mut impl BufRead, into: &mut [u8]) -> io::Result<usize> {
        while let State::Size(is_after_chunk) = self.state {
            if is_after_chunk && !line(input)?.is_empty() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.left = size(&line(input)?)?;
            self.state = State::Chunk;
            if self.left == 0 {
                self.state = State::Done;
                // Whatever the trailers say, nobody has asked for it.
                for _ in 0..TRAILER_LINES_MAX {
                    if line(input)?.is_empty() {
                        return Ok(0);
                    }
                }
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        if self.state == State::Done || into.is_empty() {
            return Ok(0);
        }
        let wanted = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = input.read(&mut into[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        if self.left == 0 {
            self.state = if self.state == State::Plain { State::Done } else { State::Size(true) };
        }
        Ok(read)
    }
}

/// A line without its end.
fn line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(text) => Ok(text.to_vec()),
        None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let is_hex = !digits.is_empty() && digits.len() <= 15 && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_hex);
    digits
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::{Body, Framing};
    use std::io::{self, BufReader, Read};

    fn read(input: &str, framing: Framing) -> Result<(String, String), io::ErrorKind> {
        // A buffer of three bytes, so that everything comes in pieces.
        let mut input = BufReader::with_capacity(3, input.as_bytes());
        let (mut body, mut out) = (Body::new(framing), Vec::new());
        loop {
            let mut piece = [0; 4];
            match body.read(&mut input, &mut piece).map_err(|error| error.kind())? {
                0 => break,
                read => out.extend_from_slice(&piece[..read]),
            }
        }
        assert!(body.is_done());
        let mut rest = String::new();
        input.read_to_string(&mut rest).expect("it is text");
        Ok((String::from_utf8(out).expect("it is text"), rest))
    }

    #[test]
    fn a_body_ends_where_its_frame_says() {
        let check = |input: &str, framing: Framing, body: &str, rest: &str| {
            assert_eq!(read(input, framing), Ok((body.to_owned(), rest.to_owned())), "{input}");
        };
        check("hello, world", Framing::Length(5), "hello", ", world");
        check("next", Framing::Length(0), "", "next");
        check("5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\nnext", Framing::Chunked, "hello world", "next");
        check("A\r\n0123456789\r\n000\r\nTrailer: x\r\n\r\n", Framing::Chunked, "0123456789", "");
    }

    #[test]
    fn a_broken_frame_is_an_error() {
        let (broken, short) = (io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof);
        let check = |input: &str, error| assert_eq!(read(input, Framing::Chunked).expect_err(input), error);
        check("", short);
        check("5\r\nhel", short);
        check("5\r\nhello", short);
        for input in [
            "x\r\n",
            "\r\n",
            "-1\r\n",
            "0x5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhelloX\r\n",
            " 5\r\nhello\r\n",
        ] {
            check(input, broken);
        }
        check(&format!("{}\r\n", "0".repeat(2000)), broken);
        check("ffffffffffffffff\r\n", broken);
        assert_eq!(read("hel", Framing::Length(5)), Err(short));
    }
}
