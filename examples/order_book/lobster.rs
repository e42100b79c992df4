//! The LOBSTER text formats: one message, or one row of the order book, per line.
//!
//! Source: the "Output Structure" page of lobsterdata.com. Types 6 and 7 (crosses and halts) are
//! refused, since there is no auction here to run them through.

use std::fmt;

/// US dollars times 10,000, as LOBSTER writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(pub u64);

/// Whose limit order a message is about; an execution of a `Buy` order is a seller's trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Buy = 1,
    Sell = -1,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Add = 1,
    /// Part of an order is withdrawn; `size` is that part.
    Cancel = 2,
    Delete = 3,
    Execution = 4,
    /// A trade against an order that nobody could see: the visible book stays as it was.
    HiddenExecution = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Nanoseconds after midnight.
    pub time_ns: u64,
    pub kind: Kind,
    pub order_id: u64,
    pub size: u64,
    pub price: Price,
    pub side: Side,
}

/// Shares on offer at one price; no shares at price 0 where there is no such level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    pub price: Price,
    pub size: u64,
}

/// The best bid and the best ask, or in a row the two levels equally far down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Top {
    pub bid: Level,
    pub ask: Level,
}

const NS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Reads `time,type,order_id,size,price,direction`. The error says which field is wrong and why.
pub fn parse_message(line: &[u8]) -> Result<Message, String> {
    let found = fields(line).count();
    if found != 6 {
        let names = "time,type,order_id,size,price,direction";
        return Err(format!("{found} fields are not the 6 of {names}"));
    }
    let mut fields = fields(line);
    let mut next = || fields.next().unwrap_or_default();
    Ok(Message {
        time_ns: parse_time(next())?,
        kind: match next() {
            b"1" => Kind::Add,
            b"2" => Kind::Cancel,
            b"3" => Kind::Delete,
            b"4" => Kind::Execution,
            b"5" => Kind::HiddenExecution,
            field => return Err(wrong("type", field, "one of 1, 2, 3, 4 and 5")),
        },
        order_id: parse_integer("order_id", next(), 0)?,
        size: parse_integer("size", next(), 1)?,
        price: Price(parse_integer("price", next(), 1)?),
        side: match next() {
            b"1" => Side::Buy,
            b"-1" => Side::Sell,
            field => return Err(wrong("direction", field, "1 (buy) or -1 (sell)")),
        },
    })
}

/// Reads `ask price,ask size,bid price,bid size` for each level, best first.
pub fn parse_row(line: &[u8]) -> Result<Vec<Top>, String> {
    let fields: Vec<&[u8]> = fields(line).collect();
    let levels = fields.chunks_exact(4);
    if !levels.remainder().is_empty() {
        let (found, names) = (fields.len(), "ask price,ask size,bid price,bid size");
        return Err(format!("{found} fields are not a multiple of the 4 of {names}"));
    }
    let parse = |fields: &[&[u8]]| {
        Ok(Top {
            ask: parse_level(["ask price", "ask size"], fields[0], fields[1])?,
            bid: parse_level(["bid price", "bid size"], fields[2], fields[3])?,
        })
    };
    levels.map(parse).collect()
}

fn parse_level(names: [&str; 2], price: &[u8], size: &[u8]) -> Result<Level, String> {
    // LOBSTER's way to say that a side has fewer levels than the row has room for.
    if let b"9999999999" | b"-9999999999" = price {
        return match size {
            b"0" => Ok(Level::default()),
            _ => Err(wrong(names[1], size, "0, which the price beside it asks for")),
        };
    }
    let price = Price(parse_integer(names[0], price, 1)?);
    let size = parse_integer(names[1], size, 1)?;
    Ok(Level { price, size })
}

/// The fields of a line without its end, which may be `\n`, `\r\n` or, on the last line, nothing.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.split(|&byte| byte == b',')
}

fn parse_time(field: &[u8]) -> Result<u64, String> {
    let mut parts = field.splitn(2, |&byte| byte == b'.');
    let (seconds, decimals) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(b"0"));
    match (digits(seconds), digits(decimals), decimals.len()) {
        (Some(seconds @ 0..SECONDS_PER_DAY), Some(fraction), places @ 1..=9) => {
            Ok(seconds * NS_PER_SECOND + fraction * 10_u64.pow(9 - places as u32))
        }
        _ => Err(wrong("time", field, "seconds of a day with up to nine decimals")),
    }
}

fn parse_integer(name: &str, field: &[u8], min: u64) -> Result<u64, String> {
    let expected = ["an integer of 0 or more", "a positive integer"];
    let number = digits(field).filter(|&number| number >= min);
    number.ok_or_else(|| wrong(name, field, expected[usize::from(min > 0)]))
}

/// Digits only and at least one: `str::parse` would also take a leading plus.
fn digits(field: &[u8]) -> Option<u64> {
    let append = |number: u64, &byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    field.iter().try_fold(0, append).filter(|_| !field.is_empty())
}

fn wrong(name: &str, field: &[u8], expected: &str) -> String {
    // Whatever is in a file must not fill the screen.
    let shown = &field[..field.len().min(40)];
    format!("{name} \"{}\" is not {expected}", shown.escape_ascii())
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ns) = (self.time_ns / NS_PER_SECOND, self.time_ns % NS_PER_SECOND);
        let (kind, direction) = (self.kind as u8, self.side as i8);
        let (order_id, size, Price(price)) = (self.order_id, self.size, self.price);
        write!(f, "{seconds}.{ns:09},{kind},{order_id},{size},{price},{direction}")
    }
}
