//! Being somebody: a lease that is kept alive as long as this process lives, and known to be lost when it is not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use super::{cluster::Cluster, trouble::Trouble};
use crate::driver::uptime_ns;

/// Between two tries to reach a cluster that is silent.
const SOON: Duration = Duration::from_millis(250);

/// One session of this process.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) lease: i64,
    /// Until when the cluster surely keeps it, by a clock that goes on while the machine is suspended.
    until: AtomicU64,
    is_over: AtomicBool,
}

impl Session {
    /// A session whose lease was asked for then.
    pub(super) fn new(lease: i64, asked: u64, time: Duration) -> Self {
        Self { lease, until: AtomicU64::new(after(asked, time)), is_over: AtomicBool::new(false) }
    }

    /// Whether it is over, or may be for all that is known. Once so, it stays so.
    pub(super) fn is_lost(&self) -> bool {
        if !self.is_over.load(SeqCst) && uptime_ns() >= self.until.load(SeqCst) {
            self.end();
        }
        self.is_over.load(SeqCst)
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, SeqCst);
    }

    /// Keeps it alive until it is lost, or ended; then returns.
    pub(super) async fn keep_alive(self: Arc<Self>, cluster: Arc<Cluster>, time: Duration) {
        while !self.is_lost() {
            let asked = uptime_ns();
            let lease = self.lease;
            let renewed = cluster
                .ask(time / 3, true, |client| async move { client.lease_client().keep_alive(lease).await.map(drop) });
            let pause = match renewed.await {
                Ok(()) => {
                    // Too late is too late, also when the cluster was more patient.
                    if !self.is_lost() {
                        self.until.store(after(asked, time), SeqCst);
                    }
                    time / 3
                }
                Err(Trouble::NoLease) => {
                    self.end();
                    break;
                }
                Err(_) => SOON,
            };
            tokio::time::sleep(pause.min(self.left())).await;
        }
    }

    fn left(&self) -> Duration {
        Duration::from_nanos(self.until.load(SeqCst).saturating_sub(uptime_ns()))
    }
}

fn after(moment: u64, time: Duration) -> u64 {
    moment.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
