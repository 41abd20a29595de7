//! How workers share the files, such that any of them may be killed at any moment.
//!
//! A file waits under `queue/file/N` until it is finished. Who takes it writes `queue/claim/N` with the lifetime of its
//! process: a killed worker's claim is gone, and the file, which is still there, can be taken again. Who finishes it
//! removes file and claim, stores the result and adds to the totals in one transaction, and only if the file was still
//! unfinished: so each file counts once, whatever dies in between. Every transaction looks at `run` first, so a worker
//! of an earlier run, whose leader is dead, changes nothing any more.

use std::time::Duration;

use shmsync::{ErrorKind, Lifetime, Sync, Transaction};

use super::{
    digest::FileResult,
    files::Files,
    path::to_text,
    record::{Claim, Doing, FILES, Job, Run, Totals, Worker},
};
use crate::failure::Failure;

/// What the store of a demo is known by, so that nothing else is ever cleared away.
const MARK: &str = "demo";
const NEXT: &str = "queue/next";
const LENGTH: &str = "queue/length";

/// What came of the wish to lead a run.
pub(super) enum Lead {
    /// It is granted.
    Granted,
    /// That process leads one already.
    Taken(u32),
}

/// What a worker is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Work at this file.
    Work(Job),
    /// Every file was taken by somebody; see [`Queue::take_left_over`].
    Exhausted,
    /// Nothing was finished: half of the files are taken, and this worker is to be killed with one in its hands.
    HoldStill,
}

/// The shared queue of one run.
pub(super) struct Queue {
    store: Sync,
    run: u64,
}

impl Queue {
    /// The queue of the run `run` in that store.
    pub(super) fn new(store: Sync, run: u64) -> Self {
        Self { store, run }
    }

    /// The store.
    pub(super) fn store(&self) -> &Sync {
        &self.store
    }

    /// Becomes the leader and clears away what an earlier run has left.
    pub(super) fn lead(&self, run: &Run) -> Result<Lead, Failure> {
        if self.store.len()? > 0 && !self.store.contains(MARK)? {
            let name = self.store.stats()?.path;
            return Err(Failure::Message(format!(
                "store {name} holds something else than a demo; name another one with --store, or destroy it"
            )));
        }
        let taken = self.store.try_transaction(|tx| -> Result<_, Failure> {
            if let Some(other) = tx.get::<Run>("run")? {
                return Ok(Some(other.pid));
            }
            tx.set(MARK, "store of 'shmsync demo'")?;
            tx.set_with("run", run, Lifetime::Process)?;
            Ok(None)
        })?;
        if let Some(pid) = taken {
            return Ok(Lead::Taken(pid));
        }
        for part in ["queue", "progress", "result"] {
            self.store.namespace(part).clear()?;
        }
        Ok(Lead::Granted)
    }

    /// Puts the files in. Workers start afterwards.
    pub(super) fn fill(&self, files: &Files) -> Result<(), Failure> {
        for (number, file) in (0..).zip(&files.found) {
            let job = Job { number, path: to_text(&file.path), size: file.size };
            self.store.set(&Job::file_key(number), &job)?;
        }
        self.store.set(LENGTH, &files.found.len())?;
        for total in [NEXT, "progress/files", "progress/bytes", "progress/lines", "progress/failed", "progress/claims"]
        {
            self.store.set(total, &0)?;
        }
        Ok(())
    }

    /// The totals so far.
    pub(super) fn totals(&self) -> Result<Totals, Failure> {
        let count = |key: &str| self.store.get_or::<u64>(key, 0);
        Ok(Totals {
            files: count("progress/files")?,
            bytes: count("progress/bytes")?,
            lines: count("progress/lines")?,
            failed: count("progress/failed")?,
        })
    }

    /// How often a file was taken; more than there are files when workers were killed.
    pub(super) fn claims(&self) -> Result<u64, Failure> {
        Ok(self.store.get_or("progress/claims", 0)?)
    }

    /// Whether there are files that nobody has finished.
    pub(super) fn has_unfinished(&self) -> Result<bool, Failure> {
        Ok(self.store.keys(FILES)?.next().is_some())
    }

    /// What is known about a worker.
    pub(super) fn worker(&self, number: u32) -> Result<Worker, Failure> {
        Ok(self.store.get_or(&Worker::key(number), Worker::default())?)
    }

    /// The result of a file.
    pub(super) fn result(&self, path: &str) -> Result<Option<FileResult>, Failure> {
        Ok(self.store.get(&format!("result/{path}"))?)
    }

    /// A transaction of this run; refused when the run is over.
    fn transaction<R>(&self, mut f: impl FnMut(&mut Transaction) -> Result<R, Failure>) -> Result<R, Failure> {
        self.store.try_transaction(|tx| match tx.get::<Run>("run")? {
            Some(run) if run.id == self.run => f(tx),
            _ => Err(Failure::Message("the demo that this worker belongs to is over; start another one".into())),
        })
    }

    /// Stores what a worker does.
    pub(super) fn report(&self, number: u32, worker: &Worker) -> Result<(), Failure> {
        self.transaction(|tx| Ok(tx.set(&Worker::key(number), worker)?))
    }

    /// Whether at least half of the files were taken.
    pub(super) fn is_half_taken(&self) -> Result<bool, Failure> {
        let (next, length) = (self.store.get_or::<u64>(NEXT, 0)?, self.store.get_or::<u64>(LENGTH, 0)?);
        Ok(next * 2 >= length)
    }

    /// Finishes what was `done`, if anything, and takes the next file: both or neither. A `doomed` worker is told to
    /// hold still instead, once half of the files are taken; until then there is always another file for it to take.
    pub(super) fn advance(
        &self,
        number: u32,
        worker: &mut Worker,
        done: Option<(&Job, &FileResult)>,
        doomed: bool,
    ) -> Result<Next, Failure> {
        let before = worker.clone();
        let (next, after) = self.transaction(|tx| {
            let mut worker = before.clone();
            let next = tx.get::<u64>(NEXT)?.unwrap_or(0);
            let length = tx.get::<u64>(LENGTH)?.unwrap_or(0);
            if let Some((job, result)) = done {
                if doomed && next * 2 >= length {
                    return Ok((Next::HoldStill, worker));
                }
                finish(tx, &mut worker, job, result)?;
            }
            let job = tx.get::<Job>(&Job::file_key(next))?.filter(|_| next < length);
            if let Some(job) = &job {
                tx.set(NEXT, &(next + 1))?;
                claim(tx, number, &mut worker, job)?;
            }
            tx.set(&Worker::key(number), &worker)?;
            Ok((job.map_or(Next::Exhausted, Next::Work), worker))
        })?;
        *worker = after;
        Ok(next)
    }

    /// Takes a file that its worker has left behind. Waits while all that is left is in the hands of others who live;
    /// `None` when nothing is left.
    pub(super) fn take_left_over(&self, number: u32, worker: &mut Worker) -> Result<Option<Job>, Failure> {
        loop {
            let left: Vec<Job> =
                self.store.iter::<Job>(FILES)?.map(|entry| Ok(entry?.1)).collect::<Result<_, Failure>>()?;
            if left.is_empty() {
                return Ok(None);
            }
            for job in &left {
                let before = worker.clone();
                let taken = self.transaction(|tx| {
                    let mut worker = before.clone();
                    if !tx.contains(&Job::file_key(job.number))? || tx.contains(&Job::claim_key(job.number))? {
                        return Ok(None);
                    }
                    claim(tx, number, &mut worker, job)?;
                    tx.set(&Worker::key(number), &worker)?;
                    Ok(Some(worker))
                })?;
                if let Some(after) = taken {
                    *worker = after;
                    return Ok(Some(job.clone()));
                }
            }
            worker.doing = Doing::Waiting;
            self.report(number, worker)?;
            self.wait_for_claims(&left)?;
        }
    }

    /// Waits until one of these files is let go: finished, or its worker is dead.
    fn wait_for_claims(&self, jobs: &[Job]) -> Result<(), Failure> {
        let claims: Vec<String> = jobs.iter().map(|job| Job::claim_key(job.number)).collect();
        let claims: Vec<&str> = claims.iter().map(String::as_str).collect();
        let mut watch = self.store.watch_keys(&claims)?;
        loop {
            match watch.next_timeout(Duration::from_secs(1)) {
                Ok(Some(change)) if change.initial => {}
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Lapped => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Takes a file.
fn claim(tx: &mut Transaction, number: u32, worker: &mut Worker, job: &Job) -> Result<(), Failure> {
    let claim = Claim { worker: number, pid: worker.pid };
    tx.set_with(&Job::claim_key(job.number), &claim, Lifetime::Process)?;
    tx.increment("progress/claims", 1)?;
    worker.doing = Doing::Reading;
    (worker.file, worker.position, worker.size) = (Some(job.path.clone()), 0, job.size);
    Ok(())
}

/// Finishes a file, unless somebody else has.
fn finish(tx: &mut Transaction, worker: &mut Worker, job: &Job, result: &FileResult) -> Result<(), Failure> {
    (worker.file, worker.position, worker.size) = (None, 0, 0);
    if !tx.contains(&Job::file_key(job.number))? {
        return Ok(());
    }
    tx.remove(&Job::file_key(job.number))?;
    tx.remove(&Job::claim_key(job.number))?;
    tx.set(&format!("result/{}", job.path), result)?;
    let mut one = Totals::default();
    one.add(result);
    for (total, by) in [("files", one.files), ("bytes", one.bytes), ("lines", one.lines), ("failed", one.failed)] {
        if by > 0 {
            let by = i64::try_from(by).map_err(|_| format!("{} is too large to count", job.path))?;
            tx.increment(&format!("progress/{total}"), by)?;
        }
    }
    worker.files += one.files;
    worker.bytes += one.bytes;
    worker.lines += one.lines;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::demo::files::Found;

    fn run(id: u64) -> Run {
        Run { id, pid: 4711, dir: "/x".into() }
    }

    /// A queue of so many files, led by run 1.
    fn queue(count: usize) -> Queue {
        let queue = Queue::new(Sync::open("memory:").expect("memory"), 1);
        assert!(matches!(queue.lead(&run(1)), Ok(Lead::Granted)));
        let found = (0..count).map(|number| Found { path: PathBuf::from(format!("f{number}")), size: 10 }).collect();
        queue.fill(&Files { found, unreadable: vec![] }).expect("filled");
        queue
    }

    fn result() -> FileResult {
        FileResult { sha256: "ab".into(), bytes: 10, lines: 2, ..FileResult::default() }
    }

    fn take(queue: &Queue, number: u32, worker: &mut Worker, done: Option<&Job>) -> Option<Job> {
        let result = result();
        match queue.advance(number, worker, done.map(|job| (job, &result)), false).expect("advanced") {
            Next::Work(job) => Some(job),
            Next::Exhausted => None,
            Next::HoldStill => panic!("nobody is doomed"),
        }
    }

    #[test]
    fn two_workers_finish_every_file_once() {
        let queue = queue(5);
        let mut workers = [Worker::default(), Worker::default()];
        let mut jobs: Vec<_> = (0..2).map(|at| take(&queue, at, &mut workers[at as usize], None)).collect();
        while jobs.iter().any(Option::is_some) {
            for at in 0..2 {
                if let Some(job) = jobs[at].take() {
                    jobs[at] = take(&queue, at as u32, &mut workers[at], Some(&job));
                }
            }
        }
        assert_eq!(queue.totals().expect("totals"), Totals { files: 5, bytes: 50, lines: 10, failed: 0 });
        assert_eq!(workers[0].files + workers[1].files, 5);
        assert_eq!(queue.claims().expect("claims"), 5);
        assert!(!queue.has_unfinished().expect("known"));
        assert_eq!(queue.take_left_over(0, &mut workers[0]).expect("known"), None);
        assert_eq!(queue.result("f3").expect("read"), Some(result()));
    }

    #[test]
    fn a_file_that_is_finished_twice_counts_once() {
        let queue = queue(1);
        let mut worker = Worker::default();
        let job = take(&queue, 1, &mut worker, None).expect("a file");
        take(&queue, 1, &mut worker, Some(&job));
        take(&queue, 1, &mut worker, Some(&job));
        assert_eq!(queue.totals().expect("totals").files, 1);
        assert_eq!(worker.files, 1);
    }

    #[test]
    fn what_a_dead_worker_leaves_behind_is_taken_by_another() {
        let queue = queue(2);
        let (mut first, mut second) = (Worker::default(), Worker::default());
        let lost = take(&queue, 1, &mut first, None).expect("a file");
        let kept = take(&queue, 2, &mut second, None).expect("a file");
        // What the death of its process does to a claim.
        queue.store.remove(&Job::claim_key(lost.number)).expect("removed");
        assert_eq!(take(&queue, 2, &mut second, Some(&kept)), None);
        let again = queue.take_left_over(2, &mut second).expect("known").expect("the lost file");
        assert_eq!(again, lost);
        take(&queue, 2, &mut second, Some(&again));
        assert_eq!((queue.totals().expect("totals").files, queue.claims().expect("claims")), (2, 3));
    }

    #[test]
    fn who_finds_everything_taken_waits_for_the_others() {
        let queue = queue(1);
        let mut worker = Worker::default();
        let job = take(&queue, 1, &mut worker, None).expect("a file");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.take_left_over(2, &mut Worker::default()));
            while queue.worker(2).expect("read").doing != Doing::Waiting {
                std::thread::yield_now();
            }
            take(&queue, 1, &mut worker, Some(&job));
            assert_eq!(waiting.join().expect("no panic").expect("known"), None);
        });
    }

    #[test]
    fn a_doomed_worker_holds_still_with_a_file_in_its_hands() {
        let queue = queue(4);
        let (mut worker, result) = (Worker::default(), result());
        let mut job = take(&queue, 1, &mut worker, None).expect("a file");
        loop {
            match queue.advance(1, &mut worker, Some((&job, &result)), true).expect("advanced") {
                Next::Work(next) => job = next,
                other => break assert_eq!(other, Next::HoldStill),
            }
        }
        assert!(queue.store.contains(&Job::claim_key(job.number)).expect("read"));
        assert_eq!(queue.totals().expect("totals").files, 1);
    }

    #[test]
    fn workers_of_another_run_change_nothing() {
        let queue = queue(1);
        let other = Queue::new(queue.store.clone(), 2);
        assert!(other.advance(1, &mut Worker::default(), None, false).is_err());
        assert!(other.report(1, &Worker::default()).is_err());
        assert!(matches!(other.lead(&run(2)), Ok(Lead::Taken(4711))));
        assert_eq!(queue.claims().expect("claims"), 0);
    }

    #[test]
    fn a_store_of_somebody_else_is_left_alone() {
        let store = Sync::open("memory:").expect("memory");
        store.set("mine", &1).expect("set");
        let queue = Queue::new(store.clone(), 1);
        let Err(error) = queue.lead(&run(1)) else { panic!("it took the store") };
        assert!(error.to_string().contains("--store"), "{error}");
        assert_eq!(store.len().expect("len"), 1);
    }

    #[test]
    fn what_an_earlier_run_left_is_cleared_away() {
        let queue = queue(3);
        queue.store.remove("run").expect("its leader is dead");
        let next = Queue::new(queue.store.clone(), 2);
        assert!(matches!(next.lead(&run(2)), Ok(Lead::Granted)));
        assert!(!next.has_unfinished().expect("known"));
        assert_eq!(next.store.len().expect("len"), 2);
    }
}
