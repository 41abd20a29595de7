//! Turns under a lock, and a witness that knows nothing of locks: a file to which whoever is in says so.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering::SeqCst,
    time::Duration,
};

use shmsync::{ErrorKind, LockState, Result, Sync};

use super::{board::Board, witness::testify, worker::Lane};

/// The file of the witness.
pub fn witness(folder: &Path) -> PathBuf {
    folder.join("turns")
}

impl Lane<'_> {
    /// Several in a row, so that others want it meanwhile.
    pub(super) fn take_turns(&mut self) -> Result<()> {
        (0..1 + self.dice.below(30)).try_for_each(|_| self.take_turn())
    }

    /// In turn, or one that gives up, so that who waits behind it must notice.
    fn take_turn(&mut self) -> Result<()> {
        let lock = self.store.lock("turn")?;
        let guard = match self.dice.below(8) {
            0 => return self.store.semaphore("places", 2)?.try_acquire().map(drop),
            1 => return self.store.leader("lead")?.try_elect("somebody").map(drop),
            2..4 => match lock.acquire_timeout(Duration::from_micros(self.dice.below(2_000))) {
                Err(error) if error.kind() == ErrorKind::Timeout => return Ok(()),
                guard => guard?,
            },
            _ => lock.acquire()?,
        };
        let token = guard.token();
        self.say(&format!("in {token}"));
        if self.dice.below(4) == 0 {
            std::thread::sleep(Duration::from_micros(self.dice.below(100)));
        }
        self.say(&format!("out {token}"));
        if !guard.release()? {
            self.worker.fault(&format!("the lock with token {token} was lost"));
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        let worker = self.worker;
        let line = format!("{what} {} {}", worker.number, worker.seed);
        if let Err(error) = testify(&witness(&worker.folder), &line) {
            worker.fault(&format!("the witness: {error}"));
        }
    }
}

/// Reads what the witness saw, once all have parked: tokens grow, and nobody came in while another one was in who is
/// alive. Begins anew.
pub fn judge(board: &Board, folder: &Path) -> std::result::Result<(), String> {
    let text = fs::read_to_string(witness(folder)).unwrap_or_default();
    let (mut inside, mut last) = (None::<(u64, usize, u64)>, board.token.load(SeqCst));
    let is_alive = |number: usize, seed: u64| board.lives[number].load(SeqCst) == seed;
    for line in text.lines() {
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let [what, token, worker, seed] = words[..] else { return Err(format!("half a line: {line:?}")) };
        let number = |word: &str| word.parse::<u64>().unwrap_or(0);
        let me = (number(token), number(worker) as usize, number(seed));
        match (what, inside) {
            ("in", Some((token, number, seed))) if is_alive(number, seed) => {
                return Err(format!("worker {} is in with {}, worker {number} with {token}", me.1, me.0));
            }
            ("in", _) if me.0 <= last => return Err(format!("token {} after {last}", me.0)),
            ("in", _) => (inside, last) = (Some(me), me.0),
            _ if inside != Some(me) => return Err(format!("somebody came in before {me:?} was out: {inside:?}")),
            _ => {
                inside = None;
                board.turns.fetch_add(1, SeqCst);
            }
        }
    }
    board.token.store(last, SeqCst);
    let _ = fs::remove_file(witness(folder));
    match inside {
        Some((token, number, seed)) if is_alive(number, seed) => {
            Err(format!("worker {number} parks and is still in with {token}"))
        }
        _ => Ok(()),
    }
}

/// When all have parked nobody holds or waits.
pub fn none_is_left(store: &Sync) -> Result<std::result::Result<(), String>> {
    let is_left = |lock: &&shmsync::LockInfo| !lock.waiters.is_empty() || matches!(lock.state, LockState::Held(_));
    let locks = store.locks("")?;
    Ok(locks.iter().find(is_left).map_or(Ok(()), |lock| Err(format!("all have parked, and there is {lock:?}"))))
}
