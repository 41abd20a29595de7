//! Clocks, and the name of this boot.
#![cfg_attr(test, allow(unsafe_code))]

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
};

use nix::time::{ClockId, clock_gettime};

use super::file;

/// Nanoseconds since the machine was started, suspend included, the same in every container of the machine.
///
/// A time namespace shifts CLOCK_BOOTTIME for those inside; the shift is taken out. (It is read once; who calls
/// `unshare(CLONE_NEWTIME)` and forks without `exec` keeps the parent's.)
pub(crate) fn boottime_ns() -> u64 {
    now(ClockId::CLOCK_BOOTTIME).saturating_add_signed(-namespace_shift())
}

/// Nanoseconds since 1970, as the machine believes.
pub(crate) fn realtime_ns() -> u64 {
    now(ClockId::CLOCK_REALTIME)
}

/// As [`realtime_ns`], some milliseconds coarse and very cheap.
pub(crate) fn realtime_coarse_ns() -> u64 {
    now(ClockId::CLOCK_REALTIME_COARSE)
}

/// Nanoseconds of a clock that never goes back, some milliseconds coarse and very cheap; for measuring within a process.
pub(crate) fn monotonic_coarse_ns() -> u64 {
    now(ClockId::CLOCK_MONOTONIC_COARSE)
}

/// A value that is the same for everybody on this machine until it is started again.
///
/// The kernel's own boot id; where a sandbox hides that, the second of the boot, which differs once the clock is set.
pub(crate) fn boot_id() -> io::Result<[u8; 16]> {
    #[cfg(test)]
    if let Some(id) = BOOT_ID.get() {
        return Ok(id);
    }
    let id = file::read_start("/proc/sys/kernel/random/boot_id", 128).ok();
    match id.as_deref().and_then(|id| str::from_utf8(id).ok()).and_then(parse_uuid) {
        Some(id) => Ok(id),
        None => boot_second(&fs::read_to_string("/proc/stat")?).ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "the system does not say which boot this is: mount /proc")
        }),
    }
}

#[cfg(test)]
thread_local! {
    static BOOT_ID: std::cell::Cell<Option<[u8; 16]>> = const { std::cell::Cell::new(None) };
}

/// Lets this thread live in another boot, or in the true one again.
#[cfg(test)]
pub(crate) fn set_boot_id_for_tests(id: Option<[u8; 16]>) {
    BOOT_ID.set(id);
}

/// What a test adds to the clocks of its thread.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Steps {
    /// CLOCK_BOOTTIME jumps when the machine wakes up again.
    pub(crate) boottime: i64,
    /// CLOCK_REALTIME jumps when somebody sets it.
    pub(crate) realtime: i64,
}

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<Steps> = const { std::cell::Cell::new(Steps { boottime: 0, realtime: 0 }) };
}

/// Steps the clocks as this thread sees them, against the true ones.
#[cfg(test)]
pub(crate) fn step_clocks_for_tests(steps: Steps) {
    STEPS.set(steps);
}

#[cfg(test)]
fn step_of(clock: ClockId) -> i64 {
    match clock {
        ClockId::CLOCK_BOOTTIME => STEPS.get().boottime,
        ClockId::CLOCK_REALTIME => STEPS.get().realtime,
        _ => 0,
    }
}

#[cfg(not(test))]
const fn step_of(_: ClockId) -> i64 {
    0
}

#[inline]
fn now(clock: ClockId) -> u64 {
    let time = clock_gettime(clock).expect("the clocks used here exist since Linux 2.6.39");
    let true_time = (time.tv_sec() as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec() as u64);
    true_time.saturating_add_signed(step_of(clock))
}

/// What the time namespace adds to CLOCK_BOOTTIME. Two threads may both find it out; they find the same.
fn namespace_shift() -> i64 {
    match SHIFT.load(Relaxed) {
        UNKNOWN => {
            let shift = read_namespace_shift().unwrap_or(0);
            SHIFT.store(shift, Relaxed);
            shift
        }
        known => known,
    }
}

static SHIFT: AtomicI64 = AtomicI64::new(UNKNOWN);
const UNKNOWN: i64 = i64::MIN;

#[cold]
fn read_namespace_shift() -> Option<i64> {
    // The offsets are those of the namespace for children, which need not be ours yet.
    let inode = |name: &str| Some(fs::metadata(format!("/proc/self/ns/{name}")).ok()?.ino());
    if inode("time")? != inode("time_for_children")? {
        return None;
    }
    parse_shift(&fs::read_to_string("/proc/self/timens_offsets").ok()?)
}

/// The line `boottime SECONDS NANOSECONDS`; negative shifts have negative seconds and positive nanoseconds.
fn parse_shift(offsets: &str) -> Option<i64> {
    let line = offsets.lines().find_map(|line| line.trim_start().strip_prefix("boottime"))?;
    let mut numbers = line.split_whitespace().map(str::parse::<i64>);
    let (seconds, nanoseconds) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|&c| c != '-').collect();
    match digits.len() {
        32 => u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes),
        _ => None,
    }
}

/// From the line `btime SECONDS` of `/proc/stat`.
fn boot_second(stat: &str) -> Option<[u8; 16]> {
    let second: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let mut id = *b"btime   \0\0\0\0\0\0\0\0";
    id[8..].copy_from_slice(&second.to_be_bytes());
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::Child;

    #[test]
    fn a_boot_id_is_a_uuid_and_stays() {
        assert_eq!(
            parse_uuid("00112233-4455-6677-8899-aabbccddeeff\n"),
            Some(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes())
        );
        assert_eq!(parse_uuid("00112233-4455"), None);
        assert_eq!(parse_uuid(&"é".repeat(16)), None);
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
        assert_ne!(boot_id().unwrap(), [0; 16]);
    }

    #[test]
    fn another_boot_can_be_pretended_on_one_thread_only() {
        set_boot_id_for_tests(Some([7; 16]));
        assert_eq!(boot_id().unwrap(), [7; 16]);
        assert_ne!(std::thread::spawn(|| boot_id().unwrap()).join().unwrap(), [7; 16]);
        set_boot_id_for_tests(None);
        assert_ne!(boot_id().unwrap(), [7; 16]);
    }

    #[test]
    fn without_a_boot_id_the_second_of_the_boot_serves() {
        assert_eq!(boot_second("cpu 1 2\nbtime 258\nctxt 3\n").unwrap(), *b"btime   \0\0\0\0\0\0\x01\x02");
        assert_eq!(boot_second("cpu 1 2\n"), None);
    }

    #[test]
    fn clocks_go_forward() {
        let before = (boottime_ns(), realtime_ns(), monotonic_coarse_ns());
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(boottime_ns() - before.0 >= 20_000_000);
        assert!(realtime_ns() > before.1);
        assert!(monotonic_coarse_ns() > before.2);
    }

    #[test]
    fn a_time_namespace_is_seen_through() {
        assert_eq!(parse_shift("monotonic  1  0\nboottime  -3  500000000\n"), Some(-2_500_000_000));
        let before = boottime_ns();
        let child = Child::fork(move || {
            // SAFETY: takes a number; it concerns children that are made later.
            if unsafe { libc::unshare(libc::CLONE_NEWTIME) } != 0
                || fs::write("/proc/self/timens_offsets", "boottime 1000000 0").is_err()
            {
                return 0; // Not allowed here.
            }
            let mut inside = Child::fork(move || {
                SHIFT.store(UNKNOWN, Relaxed);
                let (seen, shifted) = (boottime_ns(), now(ClockId::CLOCK_BOOTTIME));
                assert!(shifted - seen > 999_999_000_000_000);
                i32::from(seen < before || seen - before > 60_000_000_000)
            });
            inside.exit_code().unwrap_or(99)
        });
        child.succeeds();
    }
}
