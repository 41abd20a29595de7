//! Following a prefix: the cluster tells which keys changed, and only those are looked at, through the gate.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use etcd_client::{TxnOp, WatchStream};
use tokio::sync::watch;

use super::{
    cluster::Cluster,
    link::Link,
    open::Etcd,
    request::{Asked, Guarded, first},
    wait::{LONGEST_WATCH, PAUSE, Span, open_watch, unless_rung},
};
use crate::{
    driver::{
        Access, Entry, Patience, PrefixEvent, PrefixWatch, Range, Remaining, Space, ended_by, incarnation,
        ledger::Ledger, through_gate,
    },
    error::{ErrorKind, Result},
};

/// So many keys are looked at in one request.
const AT_ONCE: usize = 32;

/// A watch of a prefix, as long as it is wanted.
pub(super) struct Follow {
    etcd: Arc<Etcd>,
    access: Access,
    space: Space,
    prefix: String,
    ledger: Ledger,
    /// The revision from which on the cluster is to tell; nothing when all has to be looked at.
    from: Option<i64>,
    /// Keys to look at.
    changed: BTreeSet<String>,
    stream: Option<Stream>,
    /// Since when the cluster is silent.
    silent: Option<Instant>,
}

/// What the cluster tells through. It belongs to the process that opened it.
struct Stream {
    incarnation: u64,
    stream: WatchStream,
}

/// What was heard.
enum Heard {
    /// Keys of the cluster, each with the revision of its change.
    Changes(Vec<(Vec<u8>, i64)>),
    /// The time was up, or somebody rang.
    Otherwise,
    /// Too much of the past is gone.
    Lapped,
    /// The cluster does not tell just now.
    Silence,
}

impl Follow {
    pub(super) fn new(etcd: Arc<Etcd>, access: Access, space: Space, prefix: &str) -> Self {
        let (ledger, changed) = (Ledger::default(), BTreeSet::new());
        let prefix = prefix.to_owned();
        Self { etcd, access, space, prefix, ledger, from: None, changed, stream: None, silent: None }
    }

    /// Looks at what may have changed, or at everything.
    fn look(&mut self, access: &Access) -> Result<()> {
        let ended = |remaining| ended_by(&self.etcd, remaining);
        if self.from.is_none() {
            // The moment first: what changes during the look is told of.
            let moment = self.etcd.now()?;
            let range = Range { values: true, dead: true, ..Range::keys(self.space, &self.prefix) };
            self.ledger.enter(self.etcd.read_range(access, range)?, ended)?;
            self.from = Some(moment + 1);
            self.changed.clear();
            self.stream = None;
            return Ok(());
        }
        let keys: Vec<String> = self.changed.iter().take(AT_ONCE).cloned().collect();
        for (key, entry) in keys.iter().zip(self.etcd.read_each(access, self.space, &keys)?) {
            self.ledger.change(key, entry, ended)?;
            self.changed.remove(key);
        }
        Ok(())
    }

    /// Listens until there is something to look at; `false` when patience ran out.
    fn listen(&mut self, patience: Patience<'_>) -> Result<bool> {
        let etcd = Arc::clone(&self.etcd);
        let link = etcd.link()?;
        // Before looking: whoever rings afterwards is heard.
        let bell = link.bell.subscribe();
        let is_over = |remaining| match remaining {
            Remaining::Forever => false,
            Remaining::Until(end) => end <= Instant::now(),
            Remaining::Owner(owner) => link.lives.is_lost(owner.0 as i64),
        };
        self.changed.extend(self.ledger.ended(is_over).map(str::to_owned));
        let Some(from) = self.from.filter(|_| self.changed.is_empty()) else { return Ok(true) };
        let next_end = self.ledger.next_expiry().map(|end| end.saturating_duration_since(Instant::now()));
        let time = next_end.map_or(LONGEST_WATCH, |left| left.clamp(Duration::from_micros(100), LONGEST_WATCH));
        let Some(time) = patience.sleep(time)? else { return Ok(false) };
        match self.hear(link, from, time, bell)? {
            Heard::Changes(changes) => self.note(changes),
            Heard::Otherwise => {}
            Heard::Lapped => self.from = None,
            Heard::Silence => return self.bear_silence(patience),
        }
        self.silent = None;
        Ok(true)
    }

    fn hear(&mut self, link: &Link, from: i64, time: Duration, bell: watch::Receiver<u64>) -> Result<Heard> {
        let mut stream = self.stream.take();
        if stream.as_ref().is_some_and(|stream| stream.incarnation != link.incarnation) {
            // The threads behind it are in another process.
            std::mem::forget(stream.take());
        }
        let mut stream = stream.map(|stream| stream.stream);
        let (from_key, to_key) = self.etcd.keys.entries(self.space, &self.prefix);
        let spans = vec![(from_key, Some(to_key)), (self.etcd.keys.marker(), None)];
        let cluster = Arc::clone(&link.cluster);
        let (heard, stream) = link.run(async move {
            let told = unless_rung(hear(&cluster, &mut stream, &spans, from), time, bell).await;
            (told.unwrap_or(Heard::Otherwise), stream)
        })?;
        let is_good = matches!(heard, Heard::Changes(_) | Heard::Otherwise);
        let incarnation = link.incarnation;
        self.stream = stream.filter(|_| is_good).map(|stream| Stream { incarnation, stream });
        Ok(heard)
    }

    fn note(&mut self, changes: Vec<(Vec<u8>, i64)>) {
        for (whole, revision) in changes {
            match self.etcd.keys.name(self.space, &whole) {
                Some(key) => _ = self.changed.insert(key.to_owned()),
                // The mark of the store, or nothing of ours: whoever looks at everything says what is wrong.
                None => {
                    self.from = None;
                    return;
                }
            }
            self.from = self.from.map(|from| from.max(revision + 1));
        }
    }

    /// Who waits goes on when the cluster does, as long as it may not have forgotten who waits.
    fn bear_silence(&mut self, patience: Patience<'_>) -> Result<bool> {
        let since = *self.silent.get_or_insert_with(Instant::now);
        match self.etcd.now() {
            Ok(_) => self.silent = None,
            Err(error) if error.kind() == ErrorKind::Unreachable && since.elapsed() < self.etcd.address.session => {}
            Err(error) => return Err(error),
        }
        let Some(pause) = patience.sleep(PAUSE)? else { return Ok(false) };
        std::thread::sleep(pause);
        Ok(true)
    }
}

/// Listens on the stream that there is, else on a new one.
async fn hear(cluster: &Arc<Cluster>, stream: &mut Option<WatchStream>, spans: &[Span], from: i64) -> Heard {
    let stream = match stream {
        Some(stream) => stream,
        None => match open_watch(cluster, spans, from).await {
            Some(opened) => stream.insert(opened),
            None => return Heard::Silence,
        },
    };
    loop {
        match stream.message().await {
            Ok(Some(message)) if message.compact_revision() > 0 => return Heard::Lapped,
            Ok(Some(message)) if !message.events().is_empty() => {
                let entries = message.events().iter().filter_map(etcd_client::Event::kv);
                return Heard::Changes(entries.map(|entry| (entry.key().to_vec(), entry.mod_revision())).collect());
            }
            Ok(Some(message)) if !message.canceled() => {}
            _ => return Heard::Silence,
        }
    }
}

impl PrefixWatch for Follow {
    fn next(&mut self, patience: Patience<'_>) -> Result<Option<PrefixEvent>> {
        loop {
            if let Some(event) = self.ledger.pop() {
                return Ok(Some(event));
            }
            if self.from.is_some() && self.changed.is_empty() && !self.listen(patience)? {
                return Ok(None);
            }
            let is_due = self.from.is_none() || !self.changed.is_empty();
            if is_due && through_gate(self.access, patience, |access| self.look(access))?.is_none() {
                return Ok(None);
            }
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take().filter(|stream| stream.incarnation != incarnation()) {
            std::mem::forget(stream);
        }
    }
}

impl Etcd {
    /// These keys as they are at one moment, the dead included.
    fn read_each(&self, access: &Access, space: Space, keys: &[String]) -> Result<Vec<Option<Entry>>> {
        let get = |key: &String| TxnOp::get(self.keys.entry(space, key), None);
        let build = || Ok(Asked { then: keys.iter().map(get).collect(), ..Asked::default() });
        let who = Guarded { access, gated: space == Space::Values, writes: false };
        self.guarded(who, build, |reply| {
            let entry = |answer| first(answer).map(|found| self.entry(space, found)).transpose();
            Ok(Some(reply.answers.iter().map(|answer| entry(answer).map(Option::flatten)).collect::<Result<_>>()?))
        })
    }
}
