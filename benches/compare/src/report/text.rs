//! Numbers for people.

use crate::row::{Row, Target, Unit};

/// Three digits that count, and a unit.
pub(super) fn figure(number: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{number:.0} B"),
        Unit::Nanoseconds if number < 9.95 => format!("{number:.1} ns"),
        Unit::Nanoseconds if number < 999.5 => format!("{number:.0} ns"),
        Unit::Nanoseconds if number < 999_500.0 => three(number / 1e3, "µs"),
        Unit::Nanoseconds => three(number / 1e6, "ms"),
    }
}

fn three(number: f64, unit: &str) -> String {
    let digits = if number < 9.995 { 2 } else { usize::from(number < 99.95) };
    format!("{number:.digits$} {unit}")
}

pub(super) fn percent(share: f64) -> String {
    if share < 9.995 { format!("{:.0} %", share * 100.0) } else { ">999 %".to_owned() }
}

/// How many times as fast.
pub(super) fn ratio(ratio: f64) -> String {
    let digits = if ratio < 9.995 { 2 } else { 1 };
    format!("{ratio:.digits$} ×")
}

pub(super) fn target(target: Target) -> String {
    match target {
        Target::Ratio(least) => format!("≥ {} ×", (least * 100.0).round() / 100.0),
        Target::Nanoseconds(most) => format!("≤ {}", figure(most, Unit::Nanoseconds)),
        Target::TimesAndMore(times, more) => format!("≤ {times} × + {}", figure(more, Unit::Nanoseconds)),
        Target::Reported => String::new(),
    }
}

pub(super) fn verdict(row: &Row) -> &'static str {
    match row.reached() {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        let of = |number| figure(number, Unit::Nanoseconds);
        assert_eq!([of(3.25), of(41.7), of(999.9)], ["3.2 ns", "42 ns", "1.00 µs"]);
        assert_eq!([of(12_345.0), of(250_000.0), of(1e6)], ["12.3 µs", "250 µs", "1.00 ms"]);
        assert_eq!([ratio(0.833), ratio(12.34)], ["0.83 ×", "12.3 ×"]);
    }
}
