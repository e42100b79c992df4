//! The head of a request: its line, its headers, and how its body is framed.
//!
//! Source: RFC 9112. What two readers could understand differently is refused, so that nobody in front of this server
//! sees other requests than it does.

use std::ops::Range;
use std::str;

use super::{Method, method};

/// The longest head in bytes.
pub const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 100;

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not HTTP.
    Syntax(&'static str),
    /// It is longer than 16 KiB, or has more than 100 headers.
    TooLarge,
    /// It is neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// Its body is encoded in a way other than chunked.
    TransferEncoding,
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(u64),
    /// As its chunks say.
    Chunked,
}

/// A request's head.
#[derive(Debug)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The path, as it was sent.
    pub path: String,
    /// What follows the question mark, as it was sent.
    pub query: String,
    /// Whether the client speaks HTTP/1.0.
    pub is_old: bool,
    /// How long the body is.
    pub framing: Framing,
    /// Whether the client wants to go on with this connection.
    pub keeps_alive: bool,
    /// Whether the client waits for a word before it sends the body.
    pub expects_continue: bool,
    raw: Vec<u8>,
    headers: Vec<(Range<usize>, Range<usize>)>,
}

impl Head {
    /// Reads a head from the start of what has come so far. Answers the head and its length, or `None` if there is
    /// more to come.
    ///
    /// Errors: what is wrong; the connection cannot be used any more.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let limited = &input[..input.len().min(HEAD_BYTES_MAX)];
        let length = match request.parse(limited) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if input.len() >= HEAD_BYTES_MAX => return Err(Fault::TooLarge),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::TooLarge),
            Err(httparse::Error::Version) => return Err(Fault::Version),
            Err(_) => return Err(Fault::Syntax("the request line or a header is malformed")),
        };
        // A line that ends in a bare line feed is one line here and may be two elsewhere.
        let raw = &input[..length];
        if raw.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || raw[at - 1] != b'\r')) {
            return Err(Fault::Syntax("a line ends without a carriage return"));
        }
        let start = raw.as_ptr().addr();
        let range = |part: &[u8]| {
            let at = part.as_ptr().addr() - start;
            at..at + part.len()
        };
        let ranges =
            request.headers.iter().map(|header| (range(header.name.as_bytes()), range(header.value)));
        let headers = ranges.collect();
        let name = request.method.unwrap_or_default();
        let method = method(name).ok_or(Fault::Syntax("the method is malformed"))?;
        let (path, query) = target(request.path.unwrap_or_default(), &method)?;
        let mut head = Self {
            method,
            path,
            query,
            is_old: request.version == Some(0),
            framing: Framing::Length(0),
            keeps_alive: false,
            expects_continue: false,
            raw: raw.to_vec(),
            headers,
        };
        if head.all().count() < head.headers.len() {
            return Err(Fault::Syntax("a header's value is not UTF-8"));
        }
        head.framing = head.read_framing()?;
        let connection = head.list("connection");
        head.keeps_alive = if head.is_old {
            connection.iter().any(|word| word.eq_ignore_ascii_case("keep-alive"))
        } else {
            !connection.iter().any(|word| word.eq_ignore_ascii_case("close"))
        };
        head.expects_continue = !head.is_old
            && head.header("expect").is_some_and(|expected| expected.eq_ignore_ascii_case("100-continue"));
        match head.headers("host").count() {
            1 => {}
            0 if head.is_old => {}
            0 => return Err(Fault::Syntax("the Host header is missing")),
            _ => return Err(Fault::Syntax("there is more than one Host header")),
        }
        Ok(Some((head, length)))
    }

    /// The first header with this name, if its value is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all().find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    /// All headers with this name whose value is text.
    pub fn headers<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        self.all().filter_map(move |(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    /// All headers whose value is text.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = |range: &Range<usize>| str::from_utf8(&self.raw[range.clone()]).ok();
        self.headers.iter().filter_map(move |(name, value)| Some((text(name)?, text(value)?.trim())))
    }

    /// The words of a header that is a list.
    fn list<'h>(&'h self, name: &'h str) -> Vec<&'h str> {
        self.headers(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect()
    }

    /// RFC 9112, section 6.3, and stricter: a length beside an encoding, or two lengths, are refused.
    fn read_framing(&self) -> Result<Framing, Fault> {
        let lengths: Vec<&str> = self.headers("content-length").collect();
        let is_encoded = self.all().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
        if is_encoded {
            if !lengths.is_empty() {
                return Err(Fault::Syntax("there are both Content-Length and Transfer-Encoding"));
            }
            if self.is_old {
                return Err(Fault::Syntax("HTTP/1.0 has no Transfer-Encoding"));
            }
            let encodings = self.list("transfer-encoding");
            let is_chunked = encodings.len() == 1 && encodings[0].eq_ignore_ascii_case("chunked");
            return if is_chunked { Ok(Framing::Chunked) } else { Err(Fault::TransferEncoding) };
        }
        match *lengths {
            [] => Ok(Framing::Length(0)),
            [length] if !length.is_empty() && length.bytes().all(|digit| digit.is_ascii_digit()) => length
                .parse()
                .map(Framing::Length)
                .map_err(|_| Fault::Syntax("Content-Length is too large a number")),
            [_] => Err(Fault::Syntax("Content-Length is not a number")),
            _ => Err(Fault::Syntax("there is more than one Content-Length")),
        }
    }
}

/// Path and query of a request's target, in origin, absolute or asterisk form.
fn target(target: &str, method: &Method) -> Result<(String, String), Fault> {
    let origin = match target.split_once("://") {
        Some(("http" | "https", rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
        _ => target,
    };
    let is_for_all = origin == "*" && *method == Method::Options;
    if !origin.starts_with('/') && !is_for_all {
        return Err(Fault::Syntax("the target is not a path"));
    }
    let origin = origin.split('#').next().unwrap_or_default();
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    Ok((path.to_owned(), query.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Fault, Framing, HEAD_BYTES_MAX, Head};

    fn parse(text: &str) -> Result<Option<(Head, usize)>, Fault> {
        Head::parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_read_when_all_of_it_is_there() {
        let text = "POST http://h/a%20b?c=d#e HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-A:  b \r\n\r\n";
        for end in 0..text.len() {
            assert!(matches!(parse(&text[..end]), Ok(None)), "{end}");
        }
        let (head, length) = parse(&format!("{text}hello")).expect("well formed").expect("complete");
        assert_eq!((length, &*head.path, &*head.query), (text.len(), "/a%20b", "c=d"));
        assert_eq!(
            (head.framing, head.header("x-a"), head.keeps_alive),
            (Framing::Length(5), Some("b"), true)
        );
    }

    #[test]
    fn what_could_be_understood_in_two_ways_is_refused() {
        let check = |rest: &str, fault: Fault| {
            let text = format!("POST / HTTP/1.1\r\nHost: h\r\n{rest}\r\n\r\n");
            assert_eq!(parse(&text).expect_err(rest), fault);
        };
        let both = "there are both Content-Length and Transfer-Encoding";
        check("Content-Length: 5\r\nTransfer-Encoding: chunked", Fault::Syntax(both));
        check(
            "Content-Length: 5\r\nContent-Length: 5",
            Fault::Syntax("there is more than one Content-Length"),
        );
        for length in ["+5", "-1", "5, 5", "0x5", "", "5 5"] {
            check(&format!("Content-Length: {length}"), Fault::Syntax("Content-Length is not a number"));
        }
        let large = "Content-Length is too large a number";
        check("Content-Length: 99999999999999999999", Fault::Syntax(large));
        check("Transfer-Encoding: gzip, chunked", Fault::TransferEncoding);
        check("Transfer-Encoding: identity", Fault::TransferEncoding);
        check("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Fault::TransferEncoding);
        check("Host: other", Fault::Syntax("there is more than one Host header"));
        let malformed = "the request line or a header is malformed";
        check("Content-Length : 5", Fault::Syntax(malformed));
        check("X: a\r\n folded", Fault::Syntax(malformed));
        check("X: a\0b", Fault::Syntax(malformed));
        let latin = Head::parse(b"GET / HTTP/1.1\r\nHost: h\r\nX: \xff\r\n\r\n").expect_err("not UTF-8");
        assert_eq!(latin, Fault::Syntax("a header's value is not UTF-8"));
        check("X: a\nY: b", Fault::Syntax("a line ends without a carriage return"));
    }

    #[test]
    fn limits_hold_and_versions_count() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
        assert_eq!(parse(&long).expect_err("too long"), Fault::TooLarge);
        let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(200));
        assert_eq!(parse(&many).expect_err("too many"), Fault::TooLarge);
        assert_eq!(parse("GET / HTTP/2.0\r\n\r\n").expect_err("no such version"), Fault::Version);
        assert_eq!(
            parse("GET / HTTP/1.1\r\n\r\n").expect_err("no host"),
            Fault::Syntax("the Host header is missing")
        );
        let (old, _) = parse("GET / HTTP/1.0\r\n\r\n").expect("well formed").expect("complete");
        assert!(old.is_old && !old.keeps_alive);
        assert!(parse("GET a HTTP/1.1\r\nHost: h\r\n\r\n").is_err() && parse("\0\0\0").is_err());
    }
}
