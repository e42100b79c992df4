//! Asking a server by HTTP/1.1, of whose answer only the status is read.
//!
//! minreq knows neither addresses of IPv6 nor parts of seconds, and a request that takes too long leaves it a thread.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::frame::InTime;
use crate::base::deadline::Deadline;

/// For the head of an answer, and for those that go before it.
const HEAD_BYTES_MAX: u64 = 8192;

/// The status with which a `GET` is answered. `host` and `path` go into the request as they are.
///
/// Errors: no answer has come in time (`WouldBlock` or `TimedOut`), or something else than HTTP/1.
pub fn status(stream: &TcpStream, host: &str, path: &str, deadline: Deadline) -> io::Result<u16> {
    let mut stream = InTime::new(stream, deadline);
    let agent = concat!("badbatch/", env!("CARGO_PKG_VERSION"));
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: {agent}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = BufReader::new(stream.take(HEAD_BYTES_MAX));
    loop {
        let status = parse(&line(&mut head)?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "what answers is not HTTP/1"))?;
        // Any number of others may go before the answer itself. Source: RFC 9110, 15.2.
        if status >= 200 {
            return Ok(status);
        }
        while !line(&mut head)?.is_empty() {}
    }
}

/// The next line, without its end.
fn line(head: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    head.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ends before its status"));
    }
    line.pop_if(|last| *last == b'\r');
    Ok(line)
}

fn parse(line: &[u8]) -> Option<u16> {
    let ([_, b' ', a, b, c] | [_, b' ', a, b, c, b' ', ..]) = line.strip_prefix(b"HTTP/1.")? else {
        return None;
    };
    let digits = [a, b, c].map(|digit| digit.is_ascii_digit().then(|| u16::from(digit - b'0')));
    let [Some(a @ 1..), Some(b), Some(c)] = digits else { return None };
    Some(100 * a + 10 * b + c)
}

#[cfg(test)]
mod tests {
    use super::{HEAD_BYTES_MAX, status};
    use crate::base::deadline::Deadline;
    use std::io::{BufRead, BufReader, ErrorKind, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::Duration;

    /// What is made of an answer that is there already, and what was asked.
    fn asked(answer: &[u8]) -> (Result<u16, ErrorKind>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let near = TcpStream::connect(listener.local_addr().expect("it listens")).expect("it listens");
        let (mut far, _) = listener.accept().expect("somebody comes");
        far.write_all(answer).expect("there is room");
        far.shutdown(Shutdown::Write).expect("it is open");
        let found = status(&near, "host:1", "/path?x", Deadline::after(Duration::from_secs(60)));
        near.shutdown(Shutdown::Write).expect("it is open");
        let lines = BufReader::new(far).lines().map_while(Result::ok).collect();
        (found.map_err(|error| error.kind()), lines)
    }

    #[test]
    fn the_status_is_that_of_the_answer_and_of_no_other_one() {
        for (answer, status) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok(204)),
            ("HTTP/1.0 500\n", Ok(500)),
            ("HTTP/1.1 200 \r\n", Ok(200)),
            (
                "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 x\r\n",
                Ok(429),
            ),
            ("HTTP/1.1 2000 OK\r\n", Err(ErrorKind::InvalidData)),
            ("HTTP/1.1 020 OK\r\n", Err(ErrorKind::InvalidData)),
            ("HTTP/1.1 +20 OK\r\n", Err(ErrorKind::InvalidData)),
            ("HTTP/2 200 OK\r\n", Err(ErrorKind::InvalidData)),
            ("SSH-2.0-OpenSSH\r\n", Err(ErrorKind::InvalidData)),
            ("HTTP/1.1 200 OK", Err(ErrorKind::UnexpectedEof)),
            ("HTTP/1.1 100 Continue\r\n", Err(ErrorKind::UnexpectedEof)),
            ("", Err(ErrorKind::UnexpectedEof)),
        ] {
            assert_eq!(asked(answer.as_bytes()).0, status, "{answer}");
        }
        let long = format!("HTTP/1.1 200 {}\r\n", "x".repeat(HEAD_BYTES_MAX as usize));
        assert_eq!(asked(long.as_bytes()).0, Err(ErrorKind::UnexpectedEof));
    }

    #[test]
    fn the_question_is_one_that_every_server_understands() {
        let agent = concat!("user-agent: badbatch/", env!("CARGO_PKG_VERSION"));
        let lines = ["GET /path?x HTTP/1.1", "host: host:1", agent, "connection: close", ""];
        assert_eq!(asked(b"HTTP/1.1 200 OK\r\n").1, lines);
    }
}
