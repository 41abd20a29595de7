//! What this process has of a cluster: a connection, a session, and what is known from both.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicI64, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::Duration,
};

use etcd_client::{Client, Compare, PutOptions, Txn, TxnOp, TxnResponse};
use tokio::sync::watch;

use super::{
    add::Sums, address::Address, cluster, cluster::Cluster, engine::Engine, lives::Lives, open::gone, session::Session,
    trouble::Trouble,
};
use crate::{
    driver::{incarnation, uptime_ns},
    error::{Error, ErrorKind, Result},
};

/// How long a process that leaves waits for the end of its session.
const FAREWELL: Duration = Duration::from_secs(1);
/// So many leases are asked for at the same time.
const AT_ONCE: usize = 64;

/// The connection of one process. A forked child makes its own and leaves that of its parent alone: the thread behind it
/// is not in the child.
pub(super) struct Link {
    pub(super) incarnation: u64,
    pub(super) cluster: Arc<Cluster>,
    pub(super) lives: Arc<Lives>,
    pub(super) sums: Sums,
    /// Rings when somebody who waits has to look at something else than the cluster.
    pub(super) bell: watch::Sender<u64>,
    session: Mutex<Option<Arc<Session>>>,
    /// The latest revision that an answer told of: whatever is asked for now happens later.
    seen: AtomicI64,
    /// Held by who makes a session; that may take a while. What the last one was told whom nobody answered.
    making: Mutex<Option<String>>,
    /// So many have tried to make one.
    made: AtomicU64,
    engine: Engine,
}

impl Link {
    /// # Errors
    /// `Io` when there can be no thread; what [`Cluster::new`] says.
    pub(super) fn new(address: &Address) -> Result<Self> {
        let cluster = Arc::new(Cluster::new(address.clone())?);
        Ok(Self {
            incarnation: incarnation(),
            cluster,
            lives: Arc::default(),
            sums: Sums::default(),
            bell: watch::Sender::new(0),
            session: Mutex::new(None),
            seen: AtomicI64::new(0),
            making: Mutex::default(),
            made: AtomicU64::new(0),
            engine: Engine::start()?,
        })
    }

    pub(super) fn address(&self) -> &Address {
        &self.cluster.address
    }

    /// Does it, and waits for that.
    pub(super) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        self.engine.run(work)
    }

    /// Asks the cluster.
    pub(super) fn ask<T, F>(
        &self,
        again: bool,
        call: impl Fn(Client) -> F + Send + core::marker::Sync + 'static,
    ) -> Result<Result<T, Trouble>>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, etcd_client::Error>> + Send + 'static,
    {
        let cluster = Arc::clone(&self.cluster);
        let limit = cluster.address.call;
        self.run(async move { cluster.ask(limit, again, call).await })
    }

    /// A transaction; one that only reads may be asked again elsewhere.
    pub(super) fn transact(&self, txn: Txn, reads: bool) -> Result<Result<TxnResponse, Trouble>> {
        let answer = self.ask(reads, move |client| {
            let txn = txn.clone();
            async move { cluster::unlimited(&client).txn(txn).await }
        })?;
        if let Some(header) = answer.as_ref().ok().and_then(TxnResponse::header) {
            self.seen.fetch_max(header.revision(), Relaxed);
        }
        Ok(answer)
    }

    /// A revision that was there before anything that is asked for from now on.
    pub(super) fn seen(&self) -> i64 {
        self.seen.load(Relaxed)
    }

    /// A new lease of at least that many seconds.
    pub(super) fn grant(&self, seconds: i64) -> Result<i64> {
        // One more than is needed only waits for its end.
        let granted = self.ask(true, move |client| async move { client.lease_client().grant(seconds, None).await })?;
        Ok(granted.map_err(|trouble| trouble.told(self.address()))?.id())
    }

    /// Ends leases that nothing hangs on any more. Nobody waits for it: at the latest, their time ends them.
    pub(super) fn revoke_aside(&self, leases: Vec<i64>) {
        if leases.is_empty() {
            return;
        }
        let cluster = Arc::clone(&self.cluster);
        self.engine.spawn(async move {
            for lease in leases {
                let _ = cluster.ask(cluster.address.call, true, |client| revoke(client, lease)).await;
            }
        });
    }

    /// Does it some time, whether or not anybody waits for that.
    pub(super) fn aside(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.engine.spawn(work);
    }

    /// What the cluster says is left of each lease, and how long it was to last; none where there is none.
    pub(super) fn times_to_live(&self, leases: &[i64]) -> Result<Vec<Option<(Duration, Duration)>>> {
        let mut times = Vec::with_capacity(leases.len());
        for leases in leases.chunks(AT_ONCE) {
            let (cluster, leases) = (Arc::clone(&self.cluster), leases.to_vec());
            let answers = self.run(async move {
                let ask = |lease| {
                    let cluster = Arc::clone(&cluster);
                    let call =
                        move |client: Client| async move { client.lease_client().time_to_live(lease, None).await };
                    tokio::spawn(async move { cluster.ask(cluster.address.call, true, call).await })
                };
                let asked: Vec<_> = leases.into_iter().map(ask).collect();
                let mut answers = Vec::with_capacity(asked.len());
                for answer in asked {
                    answers.push(answer.await);
                }
                answers
            })?;
            for answer in answers {
                let answer = answer.map_err(|error| Trouble::Unsent(error.to_string())).and_then(|answer| answer);
                let answer = answer.map_err(|trouble| trouble.told(self.address()))?;
                let seconds = |number: i64| u64::try_from(number).ok().map(Duration::from_secs);
                times.push(seconds(answer.ttl()).zip(seconds(answer.granted_ttl())));
            }
        }
        Ok(times)
    }

    /// The session of this process: the one there is, or a new one, whose participant is written to `key(lease)`.
    pub(super) fn session(
        &self,
        store: &Compare,
        key: impl Fn(i64) -> Vec<u8>,
        value: impl Fn(i64) -> Vec<u8>,
    ) -> Result<Arc<Session>> {
        let is_alive = |session: &Arc<Session>| !session.is_lost();
        if let Some(session) = self.current_session().filter(is_alive) {
            return Ok(session);
        }
        let made = self.made.load(Acquire);
        let mut silence = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.current_session();
        if let Some(session) = last.clone().filter(is_alive) {
            return Ok(session);
        }
        // While nobody answers, those who wait for one another here do not wait one after the other for an answer, too.
        if let Some(message) = silence.as_ref().filter(|_| self.made.load(Acquire) != made) {
            return Err(Error::new(ErrorKind::Unreachable, message.clone()));
        }
        if let Some(session) = last {
            // Whatever it still holds in the eyes of the cluster ends now.
            self.lives.lose(session.lease);
            self.revoke_aside(vec![session.lease]);
        }
        let session = self.new_session(store, key, value);
        let unreachable = session.as_ref().err().filter(|error| error.kind() == ErrorKind::Unreachable);
        *silence = unreachable.map(Error::to_string);
        self.made.fetch_add(1, AcqRel);
        session
    }

    fn new_session(
        &self,
        store: &Compare,
        key: impl Fn(i64) -> Vec<u8>,
        value: impl Fn(i64) -> Vec<u8>,
    ) -> Result<Arc<Session>> {
        let (asked, time) = (uptime_ns(), self.address().session);
        let lease = self.grant(whole_seconds(time))?;
        let put = TxnOp::put(key(lease), value(lease), Some(PutOptions::new().with_lease(lease)));
        match self.transact(Txn::new().when([store.clone()]).and_then([put]), false)? {
            Ok(entered) if entered.succeeded() => {}
            refused => {
                self.revoke_aside(vec![lease]);
                let trouble = refused.err();
                return Err(trouble.map_or_else(|| gone(self.address()), |trouble| trouble.told(self.address())));
            }
        }
        let session = Arc::new(Session::new(lease, asked, time));
        *self.slot() = Some(Arc::clone(&session));
        let (kept, cluster) = (Arc::clone(&session), Arc::clone(&self.cluster));
        let (lives, bell) = (Arc::clone(&self.lives), self.bell.clone());
        self.engine.spawn(async move {
            kept.keep_alive(cluster, time).await;
            lives.lose(lease);
            bell.send_modify(|rings| *rings += 1);
        });
        Ok(session)
    }

    /// The session there is, lost or not.
    pub(super) fn current_session(&self) -> Option<Arc<Session>> {
        self.slot().clone()
    }

    /// Looks at the clock: what was held by a session that is over does not count from now on.
    pub(super) fn notice_loss(&self) {
        if let Some(session) = self.current_session().filter(|session| session.is_lost()) {
            self.lives.lose(session.lease);
        }
    }

    /// Ends the session, so that others need not wait until its time is up.
    pub(super) fn leave(&self) {
        let Some(session) = self.slot().take() else { return };
        session.end();
        let (cluster, lease) = (Arc::clone(&self.cluster), session.lease);
        let farewell = async move { cluster.ask(FAREWELL, true, |client| revoke(client, lease)).await.is_ok() };
        let _ = self.run(farewell);
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rounded up: the cluster must not be the first to end a session.
fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos().div_ceil(1_000_000_000)).unwrap_or(i64::MAX).max(2)
}

async fn revoke(client: Client, lease: i64) -> Result<(), etcd_client::Error> {
    client.lease_client().revoke(lease).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_counts_here_no_longer_than_on_the_cluster() {
        for (millis, seconds) in [(2_000, 2), (2_001, 3), (2_900, 3), (500, 2), (10_000, 10)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }
}
