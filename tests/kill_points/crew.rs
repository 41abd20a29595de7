//! Explorers, one on each processor, that share out what is to be explored.

use std::{
    fs::{self, File},
    io::{PipeReader, Read, Write, pipe},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::trace;

/// What came of one task.
pub struct Outcome {
    pub kills: usize,
    pub failures: Vec<String>,
}

/// Does each task once, whoever is free the next; what came of all. Each explorer has a folder of its own. It is a process,
/// because children are forked by it all the time, and a fork takes along one thread only.
pub fn share_out(tasks: u16, folder: &Path, explore: impl Fn(u16, &Path) -> Outcome) -> Outcome {
    let (mut queue, mut all) = pipe().expect("a pipe");
    (0..tasks).for_each(|task| all.write_all(&task.to_ne_bytes()).expect("room in a pipe"));
    drop(all);
    let explorers: Vec<_> = trace::processors()
        .into_iter()
        .map(|processor| {
            let mine = folder.join(processor.to_string());
            fs::create_dir(&mine).expect("a folder");
            // SAFETY: this process has one thread.
            match unsafe { libc::fork() } {
                0 => work(&mut queue, processor, &mine, &explore),
                pid => (pid, mine),
            }
        })
        .collect();
    explorers.into_iter().fold(Outcome { kills: 0, failures: Vec::new() }, |mut sum, (pid, mine)| {
        let mut status = 0;
        // SAFETY: it writes a number; the child is ours.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        if status != 0 {
            sum.failures.push(format!("an explorer ended with status {status:#x}"));
        }
        let text = fs::read_to_string(mine.join("found")).unwrap_or_default();
        let mut lines = text.lines();
        sum.kills += lines.next().and_then(|line| line.parse::<usize>().ok()).unwrap_or(0);
        sum.failures.extend(lines.map(str::to_owned));
        sum
    })
}

/// The life of an explorer.
fn work(queue: &mut PipeReader, processor: usize, mine: &Path, explore: impl Fn(u16, &Path) -> Outcome) -> ! {
    trace::stay_on(processor);
    let mut kills = 0;
    let mut found = String::new();
    let mut task = [0; 2];
    // Both bytes at once: they were written at once.
    while queue.read(&mut task).is_ok_and(|read| read == task.len()) {
        let task = u16::from_ne_bytes(task);
        // What unwinds from here would clear away in the name of all.
        let outcome = catch_unwind(AssertUnwindSafe(|| explore(task, mine)))
            .unwrap_or_else(|_| Outcome { kills: 0, failures: vec![format!("task {task} panicked, see above")] });
        kills += outcome.kills;
        outcome.failures.iter().for_each(|failure| found += &(failure.replace('\n', " ") + "\n"));
    }
    let written = File::create(mine.join("found")).and_then(|mut file| write!(file, "{kills}\n{found}"));
    // SAFETY: nothing that has to be cleared away is this process's own.
    unsafe { libc::_exit(i32::from(written.is_err())) }
}
