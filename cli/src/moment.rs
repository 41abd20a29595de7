//! Moments as text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment as in `2026-11-21T13:44:31Z`; what is before 1970 counts as 1970.
pub(crate) fn utc(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// How long until the present window of that length ends; windows are counted from 1970 on, in UTC.
pub(crate) fn left_of_window(window: Duration, now: SystemTime) -> Duration {
    let passed = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() % window.as_nanos().max(1);
    window.saturating_sub(Duration::from_nanos(u64::try_from(passed).unwrap_or(u64::MAX)))
}

/// Year, month and day of a day since 1970. Years begin in March here, so that a leap day is the last one; 400 of them
/// are always 146,097 days.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        let known = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_268_671, "2026-11-21T13:44:31Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in known {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_window_ends_where_the_next_begins() {
        let at = |seconds| UNIX_EPOCH + Duration::from_millis(seconds);
        let hour = Duration::from_secs(3_600);
        assert_eq!(left_of_window(hour, at(0)), hour);
        assert_eq!(left_of_window(hour, at(3_599_999)), Duration::from_millis(1));
        assert_eq!(left_of_window(hour, at(3_600_000)), hour);
    }
}
