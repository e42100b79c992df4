//! Numbers as people read them at a glance, at most six characters wide.

use serde_json::Value;

use super::super::human;

/// A count or a rate: `999`, `1.24k`, `12.3M`; as a whole if it is wanted raw; `-` if there is none.
pub fn count(value: &Value, is_raw: bool) -> String {
    let Some(number) = value.as_f64() else { return "-".to_owned() };
    if is_raw {
        return format!("{number:.0}");
    }
    if number > 0.0 && number < 0.95 { format!("{number:.1}") } else { human::count(number) }
}

/// A latency from microseconds: `180ns`, `1.50us`, `31.0ms`, `2.00s`; `-` if there was nothing to measure.
pub fn micros(value: &Value, is_raw: bool) -> String {
    match value.as_f64() {
        None | Some(0.0) => "-".to_owned(),
        Some(micros) if is_raw => format!("{micros:.1}us"),
        Some(micros) => human::nanos((1000.0 * micros).round() as u64).replace(' ', ""),
    }
}

/// Memory: `48.0M`.
pub fn bytes(value: &Value) -> String {
    let Some(number) = value.as_f64() else { return "-".to_owned() };
    let units = [("B", 1.0), ("K", 1024.0), ("M", 1024.0 * 1024.0)];
    let (unit, size) =
        units.into_iter().find(|(_, size)| number / size < 999.5).unwrap_or(("G", (1u64 << 30) as f64));
    if unit == "B" { format!("{number:.0}B") } else { human::three_digits(number / size) + unit }
}

/// Seconds as `12m41s`, in their two largest units.
pub fn seconds(seconds: u64) -> String {
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, hours, _, _) => format!("{days}d{hours:02}h"),
    }
}

/// A share from 0 to 1 in percent, which is 100 only if it is all.
pub fn percent(share: f64) -> String {
    let rounded = (100.0 * share).round();
    format!("{}%", if share < 1.0 { rounded.min(99.0) } else { rounded })
}

/// A bar of `width` characters, full from the left to a share from 0 to 1.
pub fn bar(share: f64, width: usize) -> String {
    // What is not empty looks not empty, and what is not full does not look full.
    let full = match (share.clamp(0.0, 1.0) * width as f64).round() as usize {
        0 if share > 0.0 => 1,
        all if all == width && share < 1.0 => width - 1,
        some => some,
    };
    let part = |character: char, count: usize| std::iter::repeat_n(character, count);
    part('\u{2588}', full).chain(part('\u{2591}', width - full)).collect()
}

/// The last `width` numbers as columns of which the largest is full.
pub fn sparkline(numbers: impl DoubleEndedIterator<Item = f64> + ExactSizeIterator, width: usize) -> String {
    let skipped = numbers.len().saturating_sub(width);
    let shown: Vec<f64> = numbers.skip(skipped).collect();
    let largest = shown.iter().copied().fold(0.0, f64::max);
    let level = |number: &f64| if largest > 0.0 { (number / largest * 7.0).round() as u32 } else { 0 };
    let column = |number: &f64| char::from_u32(0x2581 + level(number)).unwrap_or(' ');
    let empty = std::iter::repeat_n(' ', width - shown.len());
    empty.chain(shown.iter().map(column)).collect()
}

#[cfg(test)]
mod tests {
    use super::{bar, bytes, count, micros, percent, seconds, sparkline};
    use serde_json::{Value, json};

    #[test]
    fn numbers_are_short_and_keep_three_digits() {
        let check = |value: Value, text: &str| assert_eq!(count(&value, false), text);
        check(Value::Null, "-");
        check(json!(0), "0");
        check(json!(0.25), "0.2");
        check(json!(999.4), "999");
        check(json!(999.6), "1.00k");
        check(json!(12_345), "12.3k");
        check(json!(999_600), "1.00M");
        check(json!(u64::MAX), "18447P");
        assert_eq!(count(&json!(1_234_567.8), true), "1234568");
        let check = |value: Value, text: &str| assert_eq!(micros(&value, false), text);
        check(json!(0), "-");
        check(json!(0.18), "180ns");
        check(json!(0.9999), "1.00us");
        check(json!(31_040.0), "31.0ms");
        check(json!(2_000_000), "2.00s");
        assert_eq!(micros(&json!(31_040.0), true), "31040.0us");
        assert_eq!((bytes(&json!(48 << 20)), bytes(&json!(10))), ("48.0M".to_owned(), "10B".to_owned()));
        assert_eq!([0.0, 0.004, 0.999, 1.0].map(percent), ["0%", "0%", "99%", "100%"]);
        let spans = [(59, "59s"), (761, "12m41s"), (3600, "1h00m"), (90_000, "1d01h")];
        spans.iter().for_each(|(span, text)| assert_eq!(seconds(*span), *text));
    }

    #[test]
    fn bars_are_empty_or_full_only_if_it_is_so() {
        let full = |share: f64| bar(share, 8).chars().filter(|character| *character == '\u{2588}').count();
        let shares = [(0.0, 0), (0.001, 1), (0.5, 4), (0.99, 7), (1.0, 8), (7.0, 8), (-1.0, 0)];
        shares.iter().for_each(|(share, count)| assert_eq!(full(*share), *count, "{share}"));
    }

    #[test]
    fn a_sparkline_ends_with_the_newest_number() {
        assert_eq!(sparkline([1.0, 2.0, 4.0].into_iter(), 4), " \u{2583}\u{2585}\u{2588}");
        assert_eq!(sparkline([1.0, 2.0, 0.0].into_iter(), 2), "\u{2588}\u{2581}");
        assert_eq!(sparkline([0.0].into_iter(), 1), "\u{2581}");
    }
}
