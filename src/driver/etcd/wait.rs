//! Being told of changes: what was seen is compared, then watched from that very moment on.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use etcd_client::{WatchOptions, WatchStream};
use tokio::sync::watch;

use super::{cluster::Cluster, link::Link, open::Etcd, read::Looked, trouble::Trouble};
use crate::{
    driver::{Patience, Revision, Space},
    error::{ErrorKind, Result},
};

/// From a key to another; nothing = only that key.
pub(super) type Span = (Vec<u8>, Option<Vec<u8>>);

/// No watch is longer; looking again costs next to nothing, and finds what no watch tells.
pub(super) const LONGEST_WATCH: Duration = Duration::from_secs(30);
/// Between two tries while the cluster cannot be reached.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// What ended a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// Something changed, or so long ago that nobody knows.
    Changed,
    /// The time was up, or somebody rang: look at what else there is.
    Otherwise,
    /// The cluster does not tell just now.
    Silence,
}

impl Link {
    /// Watches until something changes from that revision on.
    pub(super) fn watch(
        &self,
        spans: Vec<Span>,
        from: i64,
        time: Duration,
        bell: watch::Receiver<u64>,
    ) -> Result<Woken> {
        let cluster = Arc::clone(&self.cluster);
        self.run(
            async move { unless_rung(watch_all(cluster, spans, from), time, bell).await.unwrap_or(Woken::Otherwise) },
        )
    }
}

/// What it comes to; nothing when the time is up or somebody rings before.
pub(super) async fn unless_rung<T>(
    work: impl Future<Output = T>,
    time: Duration,
    mut bell: watch::Receiver<u64>,
) -> Option<T> {
    let (mut work, mut rung) = (pin!(work), pin!(bell.changed()));
    let either = poll_fn(|context| match (work.as_mut().poll(context), rung.as_mut().poll(context)) {
        (Poll::Ready(done), _) => Poll::Ready(Some(done)),
        (_, Poll::Ready(_)) => Poll::Ready(None),
        _ => Poll::Pending,
    });
    tokio::time::timeout(time, either).await.ok().flatten()
}

/// What tells of changes of these from a revision on; nothing while nobody can be reached.
pub(super) async fn open_watch(cluster: &Arc<Cluster>, spans: &[Span], from: i64) -> Option<WatchStream> {
    let options = |span: &Span| {
        let options = WatchOptions::new().with_start_revision(from);
        match &span.1 {
            Some(end) => options.with_range(end.clone()),
            None => options,
        }
    };
    let (first, others) = spans.split_first()?;
    let begin = |client: etcd_client::Client| {
        let (key, options) = (first.0.clone(), options(first));
        async move { client.watch_client().max_decoding_message_size(usize::MAX).watch(key, Some(options)).await }
    };
    let mut stream = cluster.ask(cluster.address.call, true, begin).await.ok()?;
    for span in others {
        stream.watch(span.0.clone(), Some(options(span))).await.ok()?;
    }
    Some(stream)
}

async fn watch_all(cluster: Arc<Cluster>, spans: Vec<Span>, from: i64) -> Woken {
    let Some(mut stream) = open_watch(&cluster, &spans, from).await else { return Woken::Silence };
    loop {
        match stream.message().await {
            Ok(Some(message)) if !message.events().is_empty() || message.compact_revision() > 0 => {
                return Woken::Changed;
            }
            Ok(Some(message)) if message.canceled() => return Woken::Silence,
            Ok(Some(_)) => {}
            Ok(None) => return Woken::Silence,
            Err(error) => {
                let _ = Trouble::from(error);
                return Woken::Silence;
            }
        }
    }
}

impl Etcd {
    pub(super) fn wait_for(&self, keys: &[(Space, &str, Option<Revision>)], patience: Patience<'_>) -> Result<bool> {
        let whole: Vec<Vec<u8>> = keys.iter().map(|(space, key, _)| self.keys.entry(*space, key)).collect();
        let mut silent_since = None;
        let session = self.link()?.current_session().filter(|session| !session.is_lost());
        loop {
            let link = self.link()?;
            if session.as_ref().is_some_and(|session| session.is_lost()) {
                // Everything that lived with it is over, whatever the cluster could say.
                return Ok(true);
            }
            // Before looking: whoever rings afterwards is heard.
            let bell = link.bell.subscribe();
            let looked = match self.look(link, &whole) {
                Ok(looked) => looked,
                Err(error) if error.kind() == ErrorKind::Unreachable => {
                    // Who waits goes on when the cluster does, as long as it may not have forgotten who waits.
                    let since = *silent_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.address.session {
                        return Err(error);
                    }
                    let Some(pause) = patience.sleep(PAUSE)? else { return Ok(false) };
                    std::thread::sleep(pause);
                    continue;
                }
                Err(error) => return Err(error),
            };
            silent_since = None;
            if looked.alive.iter().zip(keys).any(|(now, (_, _, seen))| now != seen) {
                return Ok(true);
            }
            let Some(time) = patience.sleep(self.until_next_end(&looked))? else { return Ok(false) };
            let mut spans: Vec<Span> = whole.iter().map(|key| (key.clone(), None)).collect();
            spans.push((self.keys.marker(), None));
            if link.watch(spans, looked.moment + 1, time, bell)? == Woken::Silence
                && let Some(pause) = patience.sleep(PAUSE)?
            {
                std::thread::sleep(pause);
            }
        }
    }

    fn until_next_end(&self, looked: &Looked) -> Duration {
        let left = looked.next_end.map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(LONGEST_WATCH, |left| left.min(LONGEST_WATCH)).max(Duration::from_micros(100))
    }

    pub(super) fn wait_for_version(&self, seen: u64, patience: Patience<'_>) -> Result<bool> {
        let (from, to) = self.keys.everything();
        let after = i64::try_from(seen).unwrap_or(i64::MAX - 1) + 1;
        loop {
            let link = self.link()?;
            let bell = link.bell.subscribe();
            let Some(time) = patience.sleep(LONGEST_WATCH)? else { return Ok(false) };
            match link.watch(vec![(from.clone(), Some(to.clone()))], after, time, bell)? {
                Woken::Changed => return Ok(true),
                Woken::Otherwise => {}
                // The next look says what is the matter, or that it was nothing.
                Woken::Silence => return Ok(true),
            }
        }
    }
}
