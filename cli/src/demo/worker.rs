//! A worker: takes files, reads them, stores what it found.

use std::{path::PathBuf, thread, time::Duration};

use clap::Args;

use super::{
    digest::Reader,
    path::from_text,
    queue::{Next, Queue},
    record::{Doing, Job, Worker},
};
use crate::{
    context::Context,
    failure::{Answer, Failure, Outcome},
};

/// How long a doomed worker holds still before it goes on after all.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct DemoWorker {
    /// The run's id
    #[arg(long)]
    run: u64,
    /// The leader's process id
    #[arg(long)]
    leader: u32,
    /// The worker's number
    #[arg(long)]
    number: u32,
    /// Hold still halfway, to be killed
    #[arg(long)]
    doomed: bool,
    /// The folder
    dir: PathBuf,
}

impl DemoWorker {
    pub(crate) fn run(self, context: &Context) -> Answer {
        die_with(self.leader)?;
        let store =
            context.options().create(false).label(format!("demo worker {}", self.number)).open(&context.store)?;
        let queue = Queue::new(store, self.run);
        // What a predecessor has finished stays counted; what it had in its hands is nobody's now.
        let Worker { files, bytes, lines, .. } = queue.worker(self.number)?;
        let worker = Worker { pid: std::process::id(), files, bytes, lines, ..Worker::default() };
        Shift { number: self.number, dir: self.dir, doomed: self.doomed, queue, worker }.work()?;
        Ok(Outcome::Yes)
    }
}

/// Asks the system to kill this process when its leader dies, and makes sure that it has not died before.
fn die_with(leader: u32) -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|error| format!("cannot follow process {leader}: {error}; start the demo again"))?;
    if nix::unistd::getppid().as_raw().cast_unsigned() != leader {
        return Err(Failure::Message(format!(
            "process {leader}, which started this one, is gone; start the demo again"
        )));
    }
    Ok(())
}

/// A worker at work.
struct Shift {
    number: u32,
    dir: PathBuf,
    doomed: bool,
    queue: Queue,
    worker: Worker,
}

impl Shift {
    fn work(mut self) -> Result<(), Failure> {
        let mut reader = Reader::new();
        let mut next = self.queue.advance(self.number, &mut self.worker, None, false)?;
        loop {
            let job = match next {
                Next::Work(job) => job,
                Next::Exhausted => match self.queue.take_left_over(self.number, &mut self.worker)? {
                    Some(job) => job,
                    None => break,
                },
                Next::HoldStill => unreachable!("only a finished file is answered so"),
            };
            let path = self.dir.join(from_text(&job.path));
            let result = reader.read(&path, |position| self.at(position))?;
            next = self.queue.advance(self.number, &mut self.worker, Some((&job, &result)), self.doomed)?;
            if next == Next::HoldStill {
                self.hold_still(&job)?;
                next = self.queue.advance(self.number, &mut self.worker, Some((&job, &result)), false)?;
            }
        }
        self.worker.doing = Doing::Finished;
        self.queue.report(self.number, &self.worker)
    }

    /// In the middle of a file.
    fn at(&mut self, position: u64) -> Result<(), Failure> {
        self.worker.position = position;
        if self.doomed && self.queue.is_half_taken()? {
            return self.wait_for_the_end();
        }
        self.queue.report(self.number, &self.worker)
    }

    /// At the end of a file that is too small to be killed in the middle of: read, but not finished.
    fn hold_still(&mut self, job: &Job) -> Result<(), Failure> {
        self.worker.position = job.size;
        self.wait_for_the_end()
    }

    fn wait_for_the_end(&mut self) -> Result<(), Failure> {
        self.worker.doing = Doing::Holding;
        self.queue.report(self.number, &self.worker)?;
        thread::sleep(PATIENCE);
        self.doomed = false;
        self.worker.doing = Doing::Reading;
        self.queue.report(self.number, &self.worker)
    }
}
