//! `demo`: the process that leads.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use shmsync::{ErrorKind, Sync};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{
    check::check,
    crew::{Crew, Death, Recipe},
    files::Files,
    path::to_text,
    queue::{Lead, Queue},
    record::{Doing, Run, Worker},
    report::{Killed, Report},
    view::View,
};
use crate::{
    context::Context,
    failure::{Answer, Failure, Outcome},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync demo
  shmsync demo --kill --workers 8 /usr/share/doc
  shmsync --store demo watch --prefix progress      meanwhile, in another terminal

Workers are processes of their own. Each takes files from a queue in the store, reads them (SHA-256, bytes, lines), and
stores position, results and totals there. --kill kills one with SIGKILL in the middle of a file; a new one takes its
place, and the file is read again: nothing is lost, nothing is counted twice. At the end one process reads everything
again and compares. Hidden files are read, .git and what .gitignore names are not. The store is named demo unless --store
says otherwise (environment and configuration do not); it is removed at the end unless --keep is given.

Exit codes: 0 totals and digests agree, 2 they do not, a demo runs already, or another error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Demo {
    /// The folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// How many workers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    workers: u32,
    /// Kill a worker midway; a new one takes its place
    #[arg(long)]
    kill: bool,
    /// Leave the store, to look at it
    #[arg(long)]
    keep: bool,
}

/// How often the leader looks.
const STEP: Duration = Duration::from_millis(20);
/// How long the first worker may take to begin.
const START: Duration = Duration::from_secs(10);

impl Demo {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let began = nanoseconds_since_1970();
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))
                .map_err(|error| format!("cannot catch signal {signal}: {error}; start the demo again"))?;
        }
        let dir = self.dir.canonicalize().map_err(|error| Failure::file("read the folder", &self.dir, &error))?;
        fs::read_dir(&dir).map_err(|error| Failure::file("read the folder", &self.dir, &error))?;
        let name = store_name(context)?;
        let run = Run {
            id: began.cast_unsigned().rotate_left(20) ^ u64::from(std::process::id()),
            pid: std::process::id(),
            dir: to_text(&dir),
        };
        let queue = lead(context, &name, &run)?;
        let _cleaner = Cleaner { store: queue.store().clone(), keep: self.keep };
        let files = Files::below(&dir, Path::new(&queue.store().stats()?.path));
        queue.fill(&files)?;
        let crew = Crew::new(Recipe::new(context, &name, run.id, dir.clone()));
        let mut course =
            Course { demo: &self, context, queue: &queue, files: &files, interrupted: &interrupted, began };
        let started = Instant::now();
        let killed = course.work(crew)?;
        let took = started.elapsed();
        let report = course.compare(&dir, killed, took)?;
        report.print(context)?;
        match report.check.problems.len() {
            0 => Ok(Outcome::Yes),
            count => Err(Failure::Message(format!(
                "{count} thing(s) in {} do not agree, see above; keep the store with --keep to look at it",
                dir.display()
            ))),
        }
    }
}

/// The demo's own store, unless the command line names one.
fn store_name(context: &Context) -> Result<OsString, Failure> {
    if context.globals.namespace.is_some() {
        return Err(Failure::Message("a demo needs a store of its own; leave --namespace out".into()));
    }
    let name = context.globals.store.clone().unwrap_or_else(|| "demo".into());
    if name.as_encoded_bytes().starts_with(b"memory:") {
        let name = name.to_string_lossy();
        return Err(Failure::Message(format!("workers cannot see store {name:?}; name another one with --store")));
    }
    Ok(name)
}

fn nanoseconds_since_1970() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Opens the store and takes the lead there.
fn lead(context: &Context, name: &OsStr, run: &Run) -> Result<Queue, Failure> {
    let open = || -> Result<(Queue, Lead), Failure> {
        let queue = Queue::new(context.options().label("demo").open(name)?, run.id);
        let lead = queue.lead(run)?;
        Ok((queue, lead))
    };
    let mut tries = 0;
    loop {
        match open() {
            // An earlier demo has just come to its end and removed the store.
            Err(Failure::Store(error)) if error.kind() == ErrorKind::Gone && tries < 10 => tries += 1,
            Err(failure) => return Err(failure),
            Ok((queue, Lead::Granted)) => return Ok(queue),
            Ok((_, Lead::Taken(pid))) => {
                return Err(Failure::Message(format!(
                    "a demo is running in store {:?}: pid {pid}; wait for it, or name another store with --store",
                    name.to_string_lossy()
                )));
            }
        }
    }
}

/// Removes the store at the end, however it comes.
struct Cleaner {
    store: Sync,
    keep: bool,
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        if !self.keep {
            let _ = self.store.destroy();
        }
    }
}

/// A run from its first worker to the comparison.
struct Course<'a> {
    demo: &'a Demo,
    context: &'a Context,
    queue: &'a Queue,
    files: &'a Files,
    interrupted: &'a AtomicBool,
    began: i64,
}

impl Course<'_> {
    /// Lets the workers do everything; returns who was killed.
    fn work(&mut self, mut crew: Crew) -> Result<Vec<Killed>, Failure> {
        if self.files.found.is_empty() {
            return Ok(Vec::new());
        }
        let numbers = 1..=self.demo.workers;
        let mut view = self.view("all files", self.demo.workers);
        let mut doomed = self.demo.kill;
        crew.start(1, doomed)?;
        if doomed {
            self.wait_for_the_first(&mut crew)?;
        }
        numbers.clone().skip(1).try_for_each(|number| crew.start(number, false).map(|_| ()))?;
        let mut killed = Vec::new();
        loop {
            self.go_on()?;
            let now = numbers.clone().map(|number| self.queue.worker(number)).collect::<Result<Vec<_>, _>>()?;
            view.show(&self.context.out, self.files.found.len(), &self.queue.totals()?, &now)?;
            if doomed && now[0].doing == Doing::Holding {
                crew.kill(1)?;
                doomed = false;
            }
            for death in crew.look()? {
                let death = self.mourn(&death, &now);
                view.say(&self.context.out, &death.to_string())?;
                killed.push(death);
            }
            if !crew.is_working() {
                if !self.queue.has_unfinished()? {
                    break;
                }
                crew.start(1, false)?;
            }
            thread::sleep(STEP);
        }
        view.end();
        Ok(killed)
    }

    /// Waits until the first worker has a file in its hands.
    fn wait_for_the_first(&self, crew: &mut Crew) -> Result<(), Failure> {
        let end = Instant::now() + START;
        while self.queue.worker(1)?.file.is_none() && crew.is_working() && Instant::now() < end {
            self.go_on()?;
            crew.look()?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn mourn(&self, death: &Death, now: &[Worker]) -> Killed {
        let file = now.get(death.number as usize - 1).and_then(|worker| worker.file.clone());
        Killed { worker: death.number, pid: death.pid, successor: death.successor, file }
    }

    /// Reads everything again alone.
    fn compare(&self, dir: &Path, killed: Vec<Killed>, took: Duration) -> Result<Report, Failure> {
        let started = Instant::now();
        let mut view = self.view("once more", 0);
        let check = check(self.queue, dir, self.files, self.demo.workers, self.began, |position, single| {
            self.go_on()?;
            let now = [Worker { position, ..Worker::default() }];
            view.show(&self.context.out, self.files.found.len(), single, &now)
        })?;
        view.end();
        Ok(Report {
            dir: dir.to_owned(),
            workers: self.demo.workers,
            totals: self.queue.totals()?,
            claims: self.queue.claims()?,
            killed,
            took,
            took_alone: started.elapsed(),
            check,
            unreadable_folders: self.files.unreadable.clone(),
            kept: self.demo.keep.then(|| self.queue.store().stats().map(|stats| stats.path)).transpose()?,
        })
    }

    fn view(&self, title: &'static str, workers: u32) -> View {
        View::new(self.context.json(), title, self.files.bytes(), workers)
    }

    fn go_on(&self) -> Result<(), Failure> {
        if self.interrupted.load(Ordering::Relaxed) {
            let store = if self.demo.keep { "was kept" } else { "was removed" };
            return Err(Failure::Message(format!(
                "the demo was interrupted; its workers are stopped and its store {store}; start it again"
            )));
        }
        Ok(())
    }
}
