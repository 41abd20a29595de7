//! What a demo says at its end.

use std::{fmt, path::PathBuf, time::Duration};

use indicatif::HumanCount;
use serde_json::json;

use super::{check::Check, record::Totals};
use crate::{context::Context, failure::Failure, output::printable};

/// A killed worker.
pub(super) struct Killed {
    /// Its number.
    pub(super) worker: u32,
    /// Its process id.
    pub(super) pid: u32,
    /// The process id of the one that took its place.
    pub(super) successor: u32,
    /// The file in its hands.
    pub(super) file: Option<String>,
}

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} (pid {}) was killed", self.worker, self.pid)?;
        if let Some(file) = &self.file {
            write!(f, " with {} in its hands", printable(file))?;
        }
        write!(f, "; pid {} takes its place", self.successor)
    }
}

/// Everything there is to say.
pub(super) struct Report {
    /// The folder.
    pub(super) dir: PathBuf,
    /// How many workers.
    pub(super) workers: u32,
    /// What they counted.
    pub(super) totals: Totals,
    /// How often a file was taken.
    pub(super) claims: u64,
    /// Who was killed.
    pub(super) killed: Vec<Killed>,
    /// How long the workers took.
    pub(super) took: Duration,
    /// How long one process took.
    pub(super) took_alone: Duration,
    /// The comparison.
    pub(super) check: Check,
    /// Folders that could not be looked into, with the reasons.
    pub(super) unreadable_folders: Vec<String>,
    /// Where the store was left, if it was.
    pub(super) kept: Option<String>,
}

impl Report {
    /// Prints it.
    pub(super) fn print(&self, context: &Context) -> Result<(), Failure> {
        if context.json() {
            return context.out.json(&self.json());
        }
        self.lines().iter().try_for_each(|line| context.out.line(printable(line)))
    }

    fn lines(&self) -> Vec<String> {
        let check = &self.check;
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let who = if self.workers == 1 { "1 worker".to_owned() } else { format!("{} workers", self.workers) };
        let mut lines = vec![format!("{who} read {} in {}", counts(&self.totals), seconds(self.took))];
        let again = self.claims.saturating_sub(self.totals.files + self.totals.failed);
        if !self.killed.is_empty() {
            let killed = self.killed.len();
            lines.push(format!("{killed} killed and replaced; {} begun twice and counted once", plural(again, "file")));
        }
        lines.push(format!("1 process read {} in {}", counts(&check.single), seconds(self.took_alone)));
        let unreadable = self.unreadable_folders.len() + check.unreadable.len();
        if unreadable > 0 {
            let files = check.unreadable.iter().map(|(path, error)| format!("{path}: {error}"));
            let first = self.unreadable_folders.iter().cloned().chain(files).next().unwrap_or_default();
            lines.push(format!("{unreadable} could not be read, the first: {first}"));
        }
        if check.changed > 0 {
            let files = plural(check.changed, "file");
            lines.push(format!("{files} changed or vanished in between, left out of the comparison"));
        }
        lines.extend(check.problems.iter().take(20).cloned());
        lines.push(match check.problems.is_empty() {
            true => format!("agreed: totals and all digests, together {}", check.digest),
            false => "NOT agreed".into(),
        });
        lines.extend(self.kept.iter().map(|path| format!("the store was kept: {path}")));
        lines
    }

    fn json(&self) -> serde_json::Value {
        let totals = |totals: &Totals| {
            json!({
                "files": totals.files,
                "bytes": totals.bytes,
                "lines": totals.lines,
                "failed": totals.failed,
            })
        };
        let killed = |death: &Killed| {
            json!({
                "worker": death.worker,
                "pid": death.pid,
                "successor": death.successor,
                "file": death.file,
            })
        };
        json!({
            "dir": self.dir.to_string_lossy(),
            "workers": self.workers,
            "totals": totals(&self.totals),
            "claims": self.claims,
            "killed": self.killed.iter().map(killed).collect::<Vec<_>>(),
            "seconds": self.took.as_secs_f64(),
            "single": totals(&self.check.single),
            "single_seconds": self.took_alone.as_secs_f64(),
            "digest": self.check.digest,
            "changed": self.check.changed,
            "unreadable": self.check.unreadable,
            "unreadable_folders": self.unreadable_folders,
            "agreed": self.check.problems.is_empty(),
            "problems": self.check.problems,
            "kept": self.kept,
        })
    }
}

fn counts(totals: &Totals) -> String {
    let (bytes, lines) = (HumanCount(totals.bytes), HumanCount(totals.lines));
    format!("{}, {bytes} bytes, {lines} lines", plural(totals.files, "file"))
}

fn plural(count: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(count), if count == 1 { "" } else { "s" })
}
