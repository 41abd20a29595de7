//! Taking turns: an entry of coordination that ends with the process that made it.

use std::{
    process, thread,
    time::{Duration, Instant},
};

use super::Sync;
use crate::{
    driver::{Access, Commit, Conflict, Driver, Expected, Lifetime, Op, Patience, Revision, Space},
    error::{Error, ErrorKind, Result},
};

/// After so many lost races one waits for a turn.
const RACES_BEFORE_TURN: u32 = 16;
/// After so many, even with a turn, somebody must be told.
const RACES_AT_MOST: u32 = 100_000;
/// How long one waits for a turn before one races on. A turn makes races fair and short; it protects nothing.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Longer names are shortened, so that the entry's key stays a legal one.
const LONGEST_NAME: usize = 1_024;

/// The only one of its name in the store, until dropped or until this process is dead.
pub(super) struct Claim<'a> {
    store: &'a Sync,
    pub(super) key: String,
    pub(super) revision: Revision,
    process: u32,
}

impl<'a> Claim<'a> {
    /// Makes the claim, or tells the revision of somebody else's.
    pub(super) fn try_make(store: &'a Sync, key: &str) -> Result<Result<Self, Conflict>> {
        let put = Op::Put { value: &super::codec::NULL, lifetime: Lifetime::Process };
        let expect = vec![(Space::Coordination, key, Expected::Absent)];
        let commit = Commit { expect, ops: vec![(Space::Coordination, key, put)] };
        Ok(store.driver.commit(&Access::default(), &commit)?.map(|revisions| {
            let revision = revisions[0].expect("a put has a revision");
            Self { store, key: key.to_owned(), revision, process: process::id() }
        }))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // A forked child has a copy of this, but not the claim.
        if process::id() != self.process {
            return;
        }
        let expect = vec![(Space::Coordination, &*self.key, Expected::At(self.revision))];
        let commit = Commit { expect, ops: vec![(Space::Coordination, &self.key, Op::Delete)] };
        // Where this fails, the claim ends with the process.
        let _ = self.store.driver.commit(&Access::default(), &commit);
    }
}

/// The key of a claim about something with this name, which may be as long as a key.
pub(super) fn claim_key(store: &Sync, kind: &str, name: &str) -> Result<String> {
    if name.len() <= LONGEST_NAME {
        return store.coordination_key(kind, name);
    }
    // FNV-1a is the same in every version and language. A collision only makes two names share their turns.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    store.coordination_key(kind, &format!("#{hash:016x}"))
}

/// Counts lost races and makes them end: first by backing off, then by taking turns.
pub(super) struct Races<'a> {
    store: &'a Sync,
    lost: u32,
    turn: Option<Claim<'a>>,
}

impl<'a> Races<'a> {
    pub(super) fn new(store: &'a Sync) -> Self {
        Self { store, lost: 0, turn: None }
    }

    /// Somebody else changed `key` first. Returns when it is time to try again.
    ///
    /// # Errors
    /// `Conflict` after very many races.
    pub(super) fn lost(&mut self, key: &str) -> Result<()> {
        self.lost += 1;
        if self.lost > RACES_AT_MOST {
            let message = format!("others changed {key:?} first, {RACES_AT_MOST} times in a row: do less in between");
            return Err(Error::new(ErrorKind::Conflict, message));
        }
        if self.lost < RACES_BEFORE_TURN || self.turn.is_some() {
            back_off(self.lost);
        } else {
            self.turn = take_turn(self.store, key)?;
        }
        Ok(())
    }
}

fn back_off(lost: u32) {
    if lost < 4 {
        thread::yield_now();
    } else {
        // Different for every thread, so that two do not meet again and again.
        let salt = (&raw const lost).addr() >> 4 & 0x1f;
        thread::sleep(Duration::from_micros(u64::from(lost.min(32)) * 2 + salt as u64));
    }
}

fn take_turn<'a>(store: &'a Sync, key: &str) -> Result<Option<Claim<'a>>> {
    let claim_key = claim_key(store, "turn", key)?;
    let patience = Patience::until(Instant::now() + LONGEST_WAIT);
    loop {
        match Claim::try_make(store, &claim_key)? {
            Ok(claim) => return Ok(Some(claim)),
            Err(holder) => {
                let seen = [(Space::Coordination, &*claim_key, holder.current)];
                if !store.driver.wait(&seen, patience)? {
                    return Ok(None);
                }
            }
        }
    }
}
