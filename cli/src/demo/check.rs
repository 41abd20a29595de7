//! The same work once more in one process, to compare with.

use std::{collections::BTreeMap, path::Path};

use sha2::{Digest, Sha256};

use super::{
    digest::{FileResult, Reader, hex},
    files::Files,
    path::to_text,
    queue::Queue,
    record::{Totals, Worker},
};
use crate::failure::Failure;

/// What the comparison found.
#[derive(Debug, Default)]
pub(super) struct Check {
    /// What one process counts, of files that stayed as they were.
    pub(super) single: Totals,
    /// One digest over all digests and paths, as one process sees them.
    pub(super) digest: String,
    /// Files that were changed or removed between the two readings.
    pub(super) changed: u64,
    /// Why files could not be read, by path.
    pub(super) unreadable: BTreeMap<String, String>,
    /// One sentence for each thing that is wrong.
    pub(super) problems: Vec<String>,
}

/// Clocks of file systems are that coarse.
const COARSE: i64 = 20_000_000;

/// Reads every file again and compares; `step` is told how much has been read and may stop it. The demo began at
/// `began`, in nanoseconds since 1970.
pub(super) fn check(
    queue: &Queue,
    dir: &Path,
    files: &Files,
    workers: u32,
    began: i64,
    mut step: impl FnMut(u64, &Totals) -> Result<(), Failure>,
) -> Result<Check, Failure> {
    let mut check = Check::default();
    let (mut reader, mut stored, mut digest) = (Reader::new(), Totals::default(), Sha256::new());
    for file in &files.found {
        let path = to_text(&file.path);
        let again = reader.read(&dir.join(&file.path), |position| step(position, &check.single))?;
        let Some(first) = queue.result(&path)? else {
            check.problems.push(format!("{path} was lost: it has no result"));
            continue;
        };
        stored.add(&first);
        check.compare(&path, &first, &again, began);
        digest.update(format!("{}  {path}\n", again.sha256));
        step(0, &check.single)?;
    }
    check.digest = hex(&digest.finalize());
    check.compare_totals(&queue.totals()?, &stored);
    let mut of_workers = Totals::default();
    for number in 1..=workers {
        let Worker { files, bytes, lines, .. } = queue.worker(number)?;
        of_workers.files += files;
        of_workers.bytes += bytes;
        of_workers.lines += lines;
    }
    of_workers.failed = stored.failed;
    if of_workers != stored {
        check
            .problems
            .push(format!("the workers' own counts ({of_workers:?}) are not those of the results ({stored:?})"));
    }
    Ok(check)
}

impl Check {
    fn compare(&mut self, path: &str, first: &FileResult, again: &FileResult, began: i64) {
        let same = (&first.sha256, first.bytes, first.lines) == (&again.sha256, again.bytes, again.lines);
        let fresh = again.modified >= began - COARSE;
        if first.is_read() != again.is_read() || first.modified != again.modified || !same && fresh {
            self.changed += 1;
            return;
        }
        if !first.is_read() {
            self.unreadable.insert(path.to_owned(), first.error.clone());
        }
        self.single.add(again);
        if !same {
            self.problems.push(format!("{path} differs: {} bytes by a worker, {} alone", first.bytes, again.bytes));
        }
    }

    fn compare_totals(&mut self, counted: &Totals, stored: &Totals) {
        if counted != stored {
            self.problems.push(format!("the totals ({counted:?}) are not those of the results ({stored:?})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sha256: &str, modified: i64) -> FileResult {
        FileResult { sha256: sha256.into(), bytes: 3, lines: 1, modified, ..FileResult::default() }
    }

    #[test]
    fn a_difference_is_a_problem_unless_the_file_was_changed() {
        let vanished = FileResult { error: "gone".into(), ..FileResult::default() };
        let began = 1_000 + COARSE;
        let cases = [
            (read("a", 5), read("a", 5), 0, 0),
            (read("a", 5), read("b", 5), 0, 1),
            (read("a", 5), read("b", 6), 1, 0),
            (read("a", 1_000), read("b", 1_000), 1, 0),
            (read("a", 5), vanished.clone(), 1, 0),
            (vanished.clone(), vanished, 0, 0),
        ];
        for (first, again, changed, problems) in cases {
            let mut check = Check::default();
            check.compare("f", &first, &again, began);
            assert_eq!((check.changed, check.problems.len()), (changed, problems), "{first:?} {again:?}");
        }
    }
}
