//! Numbers as people read them: three digits and a unit.

use std::time::Duration;

/// A count: `999`, `1.24k`, `34.5k`, `5.67M`.
pub fn count(count: f64) -> String {
    let (scaled, unit) = scaled(count, &["", "k", "M", "G", "T", "P"]);
    if unit.is_empty() { format!("{scaled:.0}") } else { three_digits(scaled) + unit }
}

/// A short time: `85 ns`, `410 us`, `1.23 ms`, `12.3 s`.
pub fn nanos(nanos: u64) -> String {
    let (scaled, unit) = scaled(nanos as f64, &["ns", "us", "ms", "s"]);
    if unit == "ns" { format!("{scaled:.0} ns") } else { format!("{} {unit}", three_digits(scaled)) }
}

/// The same of a span.
pub fn span(span: Duration) -> String {
    nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

/// What would be rounded up to 1000 is told in the next unit.
fn scaled<'u>(mut number: f64, units: &[&'u str]) -> (f64, &'u str) {
    let mut unit = 0;
    while number >= 999.5 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    (number, units[unit])
}

/// `1.23`, `12.3`, `123`.
pub fn three_digits(number: f64) -> String {
    match number {
        small if small < 9.995 => format!("{small:.2}"),
        middle if middle < 99.95 => format!("{middle:.1}"),
        large => format!("{large:.0}"),
    }
}

/// A time that is still to come: `3.7 s`, `42 s`, `5m 10s`.
pub fn wait(wait: Duration) -> String {
    match wait.as_secs_f64() {
        short if short < 9.95 => format!("{short:.1} s"),
        middle if middle < 99.5 => format!("{middle:.0} s"),
        _ => humantime::format_duration(Duration::from_secs(wait.as_secs())).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, nanos, wait};
    use std::time::Duration;

    #[test]
    fn counts_have_three_digits_and_a_unit() {
        for (given, told) in [
            (0.0, "0"),
            (7.0, "7"),
            (999.0, "999"),
            (999.6, "1.00k"),
            (1234.0, "1.23k"),
            (9996.0, "10.0k"),
            (12_345.0, "12.3k"),
            (999_499.0, "999k"),
            (999_500.0, "1.00M"),
            (3_400_000.0, "3.40M"),
            (5.2e18, "5200P"),
        ] {
            assert_eq!(count(given), told, "{given}");
        }
    }

    #[test]
    fn times_have_three_digits_and_a_unit() {
        for (given, told) in [
            (0, "0 ns"),
            (85, "85 ns"),
            (999, "999 ns"),
            (1000, "1.00 us"),
            (410_000, "410 us"),
            (1_234_567, "1.23 ms"),
            (9_996_000, "10.0 ms"),
            (99_960_000, "100 ms"),
            (12_340_000_000, "12.3 s"),
            (4_000_000_000_000, "4000 s"),
        ] {
            assert_eq!(nanos(given), told, "{given}");
        }
        for (millis, told) in
            [(0, "0.0 s"), (3700, "3.7 s"), (9960, "10 s"), (42_400, "42 s"), (310_900, "5m 10s")]
        {
            assert_eq!(wait(Duration::from_millis(millis)), told, "{millis}");
        }
    }
}
