//! Fork at every point of a change: one thread is stopped in the middle of it, another one forks, and the child goes on
//! with the handle. It must read at once, write as soon as the stopped one is done, and leave everything sound.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

use shmsync::Sync;

use super::{
    explore::{Effort, Report, Site, points_of},
    helper::{BOUND, elsewhere, pipe, read_some},
    operations::{BASE, Operation, Others, open},
    survivor::{Expected, come_and_survive},
    trace::{Trace, Tracee},
};

pub const NAME: &str = "fork beside a set";

/// How long a child may take that waits for nobody. It may have to wait: the C library forks with its allocator's locks.
const SOON: Duration = Duration::from_millis(200);

/// How long a write takes at most that waits for nobody, mostly.
const MOMENT: Duration = Duration::from_millis(10);

/// What the thread that forks hears by and answers through. Set before the process that it lives in is forked.
static ENDS: Mutex<Option<(File, File)>> = Mutex::new(None);

const OPERATION: Operation = Operation {
    name: NAME,
    prepare: |path, _| {
        let store = open(path);
        let (forker, (ready, is_ready)) = (store.clone(), mpsc::channel());
        let ends = ENDS.lock().expect("one thread").take();
        std::thread::spawn(move || {
            ready.send(()).expect("somebody waits");
            match ends {
                Some((ear, mouth)) => fork_when_told(&forker, ear, mouth),
                None => std::thread::sleep(Duration::from_secs(3600)),
            }
        });
        is_ready.recv().expect("a thread");
        Box::new(move || {
            store.set_bytes("a", &[2; 200]).unwrap();
            std::mem::forget(store);
        })
    },
    others: Others::Nobody,
    ..BASE
};

/// "r": the child has read. "w": it has written. Then how it ended.
fn fork_when_told(store: &Sync, mut ear: File, mut mouth: File) {
    let _ = ear.read(&mut [0]);
    // SAFETY: the child only does what a forked child of many threads may do with this library; it leaves by `_exit`.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: a plain system call.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let went = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let seen = store.get_bytes("a").unwrap().expect("it is there before and afterwards");
            assert!(seen == [1; 200] || seen == [2; 200], "half a value");
            assert!(store.read_all_encoded("").unwrap().len() >= 4);
            mouth.write_all(b"r").unwrap();
            store.set_bytes("probe/forked", &[3; 300]).unwrap();
            store.integer("probe/count").increment(1).unwrap();
            mouth.write_all(b"w").unwrap();
        }));
        // SAFETY: it ends this process at once.
        unsafe { libc::_exit(i32::from(went.is_err())) }
    }
    let mut status = 0;
    // SAFETY: a child of ours that was not waited for yet; the status outlives the call.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    mouth.write_all(if status == 0 { b"." } else { b"!" }).expect("somebody listens");
}

pub fn explore(folder: &Path, effort: Effort) -> Report {
    let site = Site::new(&OPERATION, folder);
    let mut report = Report::default();
    let (expected, most) = match site.expectations() {
        Ok((expected, most)) => (Expected { before: expected.after.clone(), ..expected }, most),
        Err(fault) => {
            report.failures.push(format!("even without a fork: {fault}"));
            return report;
        }
    };
    let (trace, points, _) = site.scan();
    (report.instructions, report.points) = (trace.pcs.len() - 1, points.len());
    let mut waited = 0;
    for k in points_of(&trace, &points, effort) {
        report.kills += 1;
        match fork_at(&site, &trace, k, &expected, most) {
            Ok(Forked { reached, has_waited }) => {
                report.strayed += usize::from(!reached);
                waited += usize::from(has_waited);
            }
            Err(fault) => report.failures.push(format!("forked after {k} instructions: {fault}")),
        }
    }
    if waited < 10 {
        report.failures.push(format!("only {waited} children were born in the middle of a change"));
    }
    report
}

/// How it went.
struct Forked {
    /// Whether the first thread came to where it was to stop.
    reached: bool,
    /// Whether the child could not write before the first thread went on.
    has_waited: bool,
}

/// Forks while the first thread stands after `k` instructions.
fn fork_at(site: &Site<'_>, trace: &Trace, k: usize, expected: &Expected, most: u64) -> Result<Forked, String> {
    site.template.put(&site.path);
    let (their_ear, mut tell) = pipe();
    let (mut hear, their_mouth) = pipe();
    *ENDS.lock().expect("one thread") = Some((their_ear, their_mouth));
    let (mut tracee, _): (Tracee, _) = site.start();
    drop(ENDS.lock().expect("one thread").take());
    let reached = tracee.reach(trace, k);
    tell.write_all(b"!").map_err(|error| error.to_string())?;
    // Whoever reads waits for nobody but the allocator; whoever writes waits for the one who is stopped.
    let mut said = read_some(&mut hear, 1, Instant::now() + SOON).unwrap_or_default();
    let written = read_some(&mut hear, 1, Instant::now() + MOMENT).unwrap_or_default();
    let has_waited = written.is_empty();
    said.extend(written);
    tracee.complete();
    let rest = read_some(&mut hear, 3 - said.len(), Instant::now() + BOUND);
    said.extend(rest.map_err(|_| format!("the child hangs after {:?}", String::from_utf8_lossy(&said)))?);
    tracee.kill();
    if said != b"rw." {
        return Err(format!("the child says {:?}", String::from_utf8_lossy(&said)));
    }
    match elsewhere(|| come_and_survive(&site.path, expected))?.parse::<u64>() {
        Ok(used) if used <= most => Ok(Forked { reached, has_waited }),
        used => Err(format!("{used:?} bytes stay in use, {most} should at most")),
    }
}
