//! Who a process is, for people to read. Nothing decides by it.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
};

use nix::unistd::{Uid, geteuid, gethostname, getuid};

use super::file;

pub(crate) fn pid() -> u32 {
    std::process::id()
}

/// The real user.
pub(crate) fn uid() -> u32 {
    Uid::as_raw(getuid())
}

/// The user whose rights count for files.
pub(crate) fn euid() -> u32 {
    Uid::as_raw(geteuid())
}

/// When a process was started, in clock ticks since boot: with its id it names the process.
///
/// # Errors
/// `NotFound` when there is no such process to be seen from here.
pub(crate) fn start_time(pid: u32) -> io::Result<u64> {
    let stat = file::read_start(format!("/proc/{pid}/stat"), 1024)?;
    parse_start_time(&stat)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat is not understood"))
}

/// The inode of the PID namespace: process ids mean something only within one.
pub(crate) fn pid_namespace() -> io::Result<u64> {
    Ok(fs::metadata("/proc/self/ns/pid")?.ino())
}

/// The name of the machine, or of the container.
pub(crate) fn host_name() -> String {
    gethostname().map_or_else(|_| String::new(), |name| readable(name.as_encoded_bytes(), 64))
}

/// The command line of this process in at most `limit` bytes: program without its folder, arguments, no control characters.
/// It is what the process was started with, which needs no question to the system.
pub(crate) fn command(limit: usize) -> String {
    let line: Vec<_> = std::env::args_os().map(OsString::into_vec).collect();
    match parse_command(&line.join(&0), limit) {
        // A C library that told nobody.
        empty if empty.is_empty() => command_in("self", limit),
        command => command,
    }
}

/// The command line of a process that can be seen from here; empty where it cannot.
pub(crate) fn command_of(pid: u32, limit: usize) -> String {
    command_in(&pid.to_string(), limit)
}

fn command_in(folder: &str, limit: usize) -> String {
    // Arguments can be megabytes; the folder of the program is cut off.
    let line = file::read_start(format!("/proc/{folder}/cmdline"), limit + 4096).unwrap_or_default();
    match parse_command(&line, limit) {
        empty if empty.is_empty() => readable(&fs::read(format!("/proc/{folder}/comm")).unwrap_or_default(), limit),
        command => command,
    }
}

/// Whether that process has ended and only waits to be asked how: it will never run again.
pub(crate) fn is_zombie(pid: u32) -> bool {
    let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
    let end_of_name = stat.iter().rposition(|&byte| byte == b')');
    end_of_name.is_some_and(|end| matches!(stat.get(end + 2), Some(b'Z' | b'X')))
}

/// Field 22, counted behind the last `)`: the name before it may contain anything.
fn parse_start_time(stat: &[u8]) -> Option<u64> {
    let end_of_name = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(&stat[end_of_name + 1..]).ok()?;
    fields.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

fn parse_command(line: &[u8], limit: usize) -> String {
    let end_of_program = line.iter().position(|&byte| byte == 0).unwrap_or(line.len());
    let name = line[..end_of_program].iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    readable(&line[name..], limit)
}

/// Text in at most `limit` bytes; separators and control characters become spaces.
fn readable(bytes: &[u8], limit: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut readable = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if readable.len() + c.len_utf8() > limit {
            break;
        }
        readable.push(c);
    }
    readable.truncate(readable.trim_end().len());
    readable
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::sys::testing::Child;

    #[test]
    fn a_start_time_is_found_behind_any_name() {
        let stat = b"42 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        assert_eq!(parse_start_time(stat), Some(777));
        assert_eq!(parse_start_time(b"42 (a) S 1 2"), None);
        assert_eq!(parse_start_time(b""), None);
    }

    #[test]
    fn a_process_that_lives_has_a_start_time_and_a_dead_one_has_none() {
        let mut child = Child::fork_and_sleep(|| ());
        let other = child.pid();
        assert!(start_time(other).unwrap() >= start_time(pid()).unwrap());
        child.kill();
        assert_eq!(start_time(other).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_command_is_short_and_readable() {
        assert_eq!(parse_command(b"/usr/bin/sleep\x0010\x00a/b\x00", 80), "sleep 10 a/b");
        assert_eq!(parse_command(b"/bin/x\x00\x1b[31m\n\x00", 80), "x  [31m");
        assert_eq!(parse_command("/bin/ééé\0".as_bytes(), 5), "éé");
        assert_eq!(parse_command(b"", 80), "");
        assert!(!command(200).is_empty());
        assert_eq!(command(200), command_of(pid(), 200));
    }

    #[test]
    fn this_process_is_somebody() {
        assert_ne!(pid_namespace().unwrap(), 0);
        assert!(!host_name().is_empty());
    }
}
