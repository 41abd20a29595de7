//! Durations as people write them: `500ms`, `1.5s`, `10`, `2m`, `1h`.

use std::time::Duration;

/// Units, the longer names first where one ends like another.
const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

/// A duration from text; a bare number is in seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write 500ms, 1.5s, 10, 2m or 1h");
    let (number, unit) =
        UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds))).unwrap_or((text, 1.0));
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !plain || !number.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| format!("{text:?} is too long; give a shorter duration"))
}

/// A duration that lasts: as [`parse`], but zero is refused.
pub(crate) fn parse_lasting(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err(format!("{text:?} is over at once; give a duration longer than 0")),
        duration => Ok(duration),
    }
}

/// A time limit of a holding: as [`parse`], at least 1 ms.
pub(crate) fn parse_limit(text: &str) -> Result<Duration, String> {
    match parse_lasting(text)? {
        limit if limit < Duration::from_millis(1) => Err(format!("{text:?} is too short; give at least 1ms")),
        limit => Ok(limit),
    }
}

/// A duration as one says it.
pub(crate) fn spoken(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_understood() {
        let forms = [("500ms", 500), ("1.5s", 1_500), ("10", 10_000), ("2m", 120_000), ("1h", 3_600_000), ("0", 0)];
        for (text, millis) in forms {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse(".5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1d"), Ok(Duration::from_secs(86_400)));
    }

    #[test]
    fn nonsense_is_refused_with_the_forms_that_work() {
        for text in ["", "s", "-1", "1x", "1 s", "1e3", "inf", "nan", "1..2", ".", "+1", "ms", "1h30m", "0x10"] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("500ms"), "{text}: {error}");
        }
        assert!(parse("99999999999999999999999h").expect_err("too long").contains("shorter"));
        assert!(parse_lasting("0ms").expect_err("zero").contains("longer than 0"));
    }

    #[test]
    fn limits_are_not_too_short_and_durations_can_be_said() {
        assert!(parse_limit("0.5ms").expect_err("short").contains("at least 1ms"));
        assert_eq!(parse_limit("1ms"), Ok(Duration::from_millis(1)));
        let said = [(20, "20 ms"), (12_000, "12 s"), (720_000, "12 min"), (7_200_000, "2 h"), (200_000_000, "2 days")];
        for (millis, words) in said {
            assert_eq!(spoken(Duration::from_millis(millis)), words);
        }
    }
}
