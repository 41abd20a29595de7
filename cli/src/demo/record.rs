//! What lies in the demo's store.
//!
//! | key | value |
//! |---|---|
//! | `run` | who leads the demo; gone when that process is |
//! | `queue/next`, `queue/length` | the next file to take, and how many there are |
//! | `queue/file/N` | a file that is not finished: path and size |
//! | `queue/claim/N` | who works at it; gone when that process is |
//! | `progress/files`, `bytes`, `lines`, `failed`, `claims` | totals |
//! | `progress/worker/N` | what worker N does and has done |
//! | `result/PATH` | digest and counts of a finished file |

use serde::{Deserialize, Serialize};

/// Who leads the demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Distinguishes this run from all others.
    pub(super) id: u64,
    /// The leader's process id.
    pub(super) pid: u32,
    /// The folder.
    pub(super) dir: String,
}

/// A file to work at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    /// Its place in the queue.
    pub(super) number: u64,
    /// Its path below the folder, as text.
    pub(super) path: String,
    /// How large it was when it was found.
    pub(super) size: u64,
}

impl Job {
    /// The key of the unfinished file with that number.
    pub(super) fn file_key(number: u64) -> String {
        format!("{FILES}{number:09}")
    }

    /// The key of the claim on it.
    pub(super) fn claim_key(number: u64) -> String {
        format!("queue/claim/{number:09}")
    }
}

/// The prefix of unfinished files.
pub(super) const FILES: &str = "queue/file/";

/// Who works at a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    /// The worker's number.
    pub(super) worker: u32,
    /// Its process id.
    pub(super) pid: u32,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Doing {
    /// Nothing yet.
    #[default]
    Starting,
    /// It reads a file.
    Reading,
    /// It holds still, in the middle of a file, until it is killed.
    Holding,
    /// It waits: the last files are in the hands of others.
    Waiting,
    /// Nothing any more.
    Finished,
}

/// What a worker does and has done: it outlives the worker, and the one that takes its place goes on with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Worker {
    /// Its process id.
    pub(super) pid: u32,
    /// What it does.
    pub(super) doing: Doing,
    /// The file in its hands.
    pub(super) file: Option<String>,
    /// How far it has read it.
    pub(super) position: u64,
    /// How large that file is.
    pub(super) size: u64,
    /// Files finished under this number.
    pub(super) files: u64,
    /// Bytes of them.
    pub(super) bytes: u64,
    /// Lines of them.
    pub(super) lines: u64,
}

impl Worker {
    /// The key of that worker.
    pub(super) fn key(number: u32) -> String {
        format!("progress/worker/{number}")
    }
}

/// The totals of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Files read.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Their lines.
    pub(super) lines: u64,
    /// Files that could not be read.
    pub(super) failed: u64,
}

impl Totals {
    /// Adds one file.
    pub(super) fn add(&mut self, result: &super::digest::FileResult) {
        self.files += u64::from(result.is_read());
        self.failed += u64::from(!result.is_read());
        self.bytes += result.bytes;
        self.lines += result.lines;
    }
}
