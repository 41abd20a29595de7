//! Locks, leaders and watches from async code: wait for a descriptor, not for a thread.
//!
//! Blocking calls belong into no async function: they stop the thread, and with it every other task there. Calls on values
//! take no longer than a lookup in a map and are fine; a lock is waited for by its descriptor.

#[cfg(target_os = "linux")]
mod linux {
    use std::{os::fd::OwnedFd, time::Duration};

    use shmsync::{Lock, LockGuard, Sync, Watch};
    use tokio::io::{Interest, unix::AsyncFd};

    type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + std::marker::Sync>>;

    async fn readable(descriptor: OwnedFd) -> Outcome {
        // SAFETY: the descriptor is open for as long as it is owned.
        let descriptor = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?;
        // Only waited for: the library lowers it when what it stands for was taken.
        descriptor.readable().await?.retain_ready();
        Ok(())
    }

    async fn acquire(lock: &Lock) -> Outcome<LockGuard> {
        readable(lock.notify_fd()?).await?;
        Ok(lock.acquire()?) // does not block any more
    }

    async fn next(watch: &mut Watch) -> Outcome<Option<i64>> {
        readable(watch.notify_fd()?).await?;
        let change = watch.next_timeout(Duration::ZERO)?;
        Ok(change.map(|change| change.value()).transpose()?.flatten())
    }

    async fn worker(store: Sync, rounds: u32) -> Outcome {
        let lock = store.lock("door")?;
        for _ in 0..rounds {
            let guard = acquire(&lock).await?;
            let inside = store.get_or("count", 0)?;
            tokio::task::yield_now().await; // the others run, and wait
            store.set("count", &(inside + 1))?;
            drop(guard);
        }
        Ok(())
    }

    pub(crate) async fn run() -> Outcome {
        let store = Sync::open("memory:")?;
        let mut watch = store.watch("count")?;
        let workers: Vec<_> = (0..4).map(|_| tokio::spawn(worker(store.clone(), 10))).collect();
        while next(&mut watch).await? != Some(40) {}
        for worker in workers {
            worker.await??;
        }
        assert_eq!(store.get::<i64>("count")?, Some(40));

        // A wait is ended from elsewhere by its stop handle; dropping the handle does it too.
        let _guard = store.lock("door")?.acquire()?;
        let other = store.lock("door")?;
        let waited = tokio::time::timeout(Duration::from_millis(20), acquire(&other)).await;
        assert!(waited.is_err(), "it is held");
        other.stop_handle().stop();
        assert!(acquire(&other).await.is_err());

        let group = store.leader("scheduler")?;
        readable(group.notify_fd("me")?).await?;
        println!("{} leads", group.elect("me")?.id());
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn main() {
    // One thread: whoever blocked it would block all.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().expect("a runtime");
    runtime.block_on(linux::run()).expect("everybody waits for descriptors");
}

#[cfg(not(target_os = "linux"))]
fn main() {}
