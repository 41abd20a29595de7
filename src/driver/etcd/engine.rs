//! What runs the conversation with a cluster. Whoever asks runs it until it has its answer, so that no other thread has to
//! be woken on the way there and back; while nobody asks, a thread aside does, and keeps the session alive.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Notify,
};

use crate::{
    driver::spawn_aside,
    error::{Error, ErrorKind, Result},
};

/// The thread aside takes over when nobody has asked for so long. Until then what nobody waits for stands still.
const PAUSE: Duration = Duration::from_millis(10);

/// A runtime and its thread, which goes when this does.
pub(super) struct Engine {
    /// `None` once it was given to the thread, to end there: it must not in the middle of another one, where its user may be.
    runtime: Option<Arc<Runtime>>,
    shared: Arc<Shared>,
    thread: mpsc::Sender<Arc<Runtime>>,
}

#[derive(Default)]
struct Shared {
    /// Whether the thread aside is at it.
    is_aside: AtomicBool,
    /// Asks it to make way.
    way: Notify,
    /// Questions so far.
    asked: AtomicU64,
}

impl Engine {
    /// # Errors
    /// `Io` when there can be no thread or no descriptors.
    pub(super) fn start() -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = Arc::new(runtime.map_err(|error| Error::io("cannot prepare to talk to etcd", error))?);
        let shared = Arc::<Shared>::default();
        let (thread, over) = mpsc::channel();
        let (theirs, their_runtime) = (Arc::clone(&shared), Arc::clone(&runtime));
        spawn_aside("shmsync-etcd", move || theirs.run_aside(&their_runtime, &over))?;
        Ok(Self { runtime: Some(runtime), shared, thread })
    }

    /// Does it, and waits for that.
    pub(super) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        if !Handle::try_current().is_err_and(|error| error.is_missing_context()) {
            // The caller runs something else already, or its thread is about to end.
            return self.run_elsewhere(work);
        }
        self.shared.asked.fetch_add(1, SeqCst);
        if self.shared.is_aside.swap(false, SeqCst) {
            self.shared.way.notify_one();
        }
        let runtime = self.runtime.as_ref().ok_or_else(ended)?;
        Ok(runtime.block_on(work))
    }

    fn run_elsewhere<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (send, receive) = mpsc::sync_channel(1);
        self.spawn(async move {
            let _ = send.send(work.await);
        });
        receive.recv().map_err(|_| ended())
    }

    /// Does it some time, beside what is waited for.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(work);
        }
    }
}

impl Shared {
    fn run_aside(&self, runtime: &Runtime, over: &mpsc::Receiver<Arc<Runtime>>) {
        let mut seen = self.asked.load(SeqCst);
        loop {
            self.is_aside.store(true, SeqCst);
            runtime.block_on(self.way.notified());
            // Somebody asks, and runs it until nobody does any more.
            loop {
                match over.recv_timeout(PAUSE) {
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    // The engine has gone; so does the runtime, with this thread.
                    Ok(_) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
                let asked = self.asked.load(SeqCst);
                if asked == seen {
                    break;
                }
                seen = asked;
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let _ = self.thread.send(runtime);
        }
        self.shared.way.notify_one();
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Io, "the thread that talks to etcd has ended: open the store anew")
}
