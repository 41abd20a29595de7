//! Forked workers share one piece of work, and their parent shows how far they are.

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this example forks and needs shared memory: it is for Linux");
}

#[cfg(target_os = "linux")]
fn main() -> shmsync::Result<()> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{thread, time::Duration};

    use shmsync::{Result, Sync};

    const WORKERS: u64 = 4;
    const ITEMS: i64 = 400;

    /// Takes one item after the other until none is left. The store was opened before the fork and simply goes on
    /// working here.
    fn work(store: &Sync, worker: u64) -> Result<()> {
        let next = store.integer("next");
        let mine = store.integer(&format!("progress/{worker}"));
        loop {
            let item = next.increment(1)?;
            if item > ITEMS {
                return Ok(());
            }
            thread::sleep(Duration::from_micros(200)); // The work.
            store.integer("sum").increment(item)?;
            mine.increment(1)?;
        }
    }

    fn fork_worker(store: &Sync, worker: u64) -> i32 {
        // SAFETY: no other thread of this program holds a lock, so the child may do what it likes; it leaves by `_exit`.
        match unsafe { libc::fork() } {
            0 => {
                let code = i32::from(work(store, worker).is_err());
                // SAFETY: it ends the child at once; nothing of the parent's is cleaned up twice.
                unsafe { libc::_exit(code) }
            }
            pid => pid,
        }
    }

    pub(super) fn main() -> Result<()> {
        let store = Sync::open(format!("example-progress-{}", std::process::id()))?;
        let workers: Vec<i32> = (0..WORKERS).map(|worker| fork_worker(&store, worker)).collect();

        let done = || Ok::<_, shmsync::Error>(store.read_all::<i64>("progress/")?.values().sum::<i64>());
        for change in store.watch_prefix("progress/")? {
            let change = change?;
            let so_far = done()?;
            if so_far % 100 == 0 {
                println!(
                    "{so_far} of {ITEMS} done, the last one by worker {}",
                    change.key.trim_start_matches("progress/")
                );
            }
            if so_far == ITEMS {
                break;
            }
        }

        for pid in workers {
            assert!(pid > 0, "a worker could not be started");
            let mut status = 0;
            // SAFETY: `status` outlives the call, and the child is ours.
            unsafe { libc::waitpid(pid, &mut status, 0) };
            assert_eq!(status, 0, "a worker failed");
        }
        assert_eq!(done()?, ITEMS);
        assert_eq!(store.integer("sum").refresh()?, ITEMS * (ITEMS + 1) / 2);
        store.destroy()
    }
}
