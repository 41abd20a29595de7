//! On what it was measured, and of whom.

use std::{fs, process::Command};

use crate::{
    failure::{Outcome, fail},
    peer::Redis,
};

const LOCK: &str = include_str!("../../../../Cargo.lock");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// What figures depend on.
const SOURCES: [&str; 5] = ["src", "cli/src", "benches/compare/src", "Cargo.toml", "Cargo.lock"];

pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) kernel: String,
    pub(crate) peers: String,
}

impl Machine {
    pub(crate) fn here() -> Self {
        Self { processor: processor(), kernel: kernel(), peers: peers() }
    }
}

fn processor() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or("unknown processor", |(_, name)| name);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let gigabytes = memory.unwrap_or(0.0) / f64::from(1 << 20);
    format!("{count} × {}, {gigabytes:.0} GiB", name.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // What a distribution adds tells less of the kernel than of who built it.
    let upstream = release.trim().split('-').next().unwrap_or_default();
    format!("Linux {upstream}")
}

fn peers() -> String {
    let lmdb = heed::lmdb_version();
    let mut peers = vec![format!("LMDB {}.{}.{}", lmdb.major, lmdb.minor, lmdb.patch)];
    let crates = ["heed", "iceoryx2", "mmap-sync", "raw_sync", "shared_memory", "rmp-serde"];
    peers.extend(crates.iter().filter_map(|name| Some(format!("{name} {}", locked(name)?))));
    let server =
        |name: &str, version: Option<String>| format!("{name} {}", version.as_deref().unwrap_or("not installed"));
    peers.push(server("Redis", Redis::version()));
    #[cfg(feature = "etcd")]
    {
        peers.extend(locked("etcd-client").map(|version| format!("etcd-client {version}")));
        peers.push(server("etcd", crate::peer::Etcd::version()));
    }
    peers.join(", ")
}

/// The version in `Cargo.lock`.
fn locked(name: &str) -> Option<&'static str> {
    let (_, rest) = LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

fn git(arguments: &[&str]) -> Outcome<(bool, String)> {
    let output = Command::new("git").args(["-C", ROOT]).args(arguments).output()?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned()))
}

/// The commit of the sources; an error where they are not those of a commit.
pub(crate) fn commit() -> Outcome<String> {
    let (known, commit) = git(&["rev-parse", "HEAD"])?;
    let (_, changed) = git(&[&["status", "--porcelain", "--"][..], &SOURCES].concat())?;
    if !known {
        return fail("figures for the README need a git checkout, to say of which commit they are");
    }
    if !changed.is_empty() {
        return fail(format!("figures for the README are those of a commit: commit these first\n{changed}"));
    }
    Ok(commit)
}

/// Whether that commit is one of those that led here; `None` where nobody can tell.
pub(super) fn is_ancestor(commit: &str) -> Option<bool> {
    let (is_checkout, shallow) = git(&["rev-parse", "--is-shallow-repository"]).ok()?;
    let (is_ancestor, _) = git(&["merge-base", "--is-ancestor", commit, "HEAD"]).ok()?;
    match (is_checkout, shallow == "true", is_ancestor) {
        (true, _, true) => Some(true),
        (true, false, false) => Some(false),
        _ => None,
    }
}
