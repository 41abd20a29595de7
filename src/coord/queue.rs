//! Waiting in order of arrival. Whoever waits has a ticket, and an entry that ends with its process. It sleeps on the
//! entry of the one before it; the first sleeps on the lock itself and on the lives of those who hold it.

use std::time::{Duration, Instant};

use super::{
    amends::Left,
    place::{Changes, LockKind, Look, Place, Races},
    session::Session,
    take::{Attempt, Busy, Grant, Wanted},
    who::Who,
    wire::{Reader, Writer},
};
use crate::{
    driver::{Driver, Expected, Lifetime, Patience, Revision, Space, wall_ms},
    error::Result,
};

/// How often one looks where nobody would tell.
const LOOK: Duration = Duration::from_millis(20);

/// A place in the queue.
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) key: String,
    value: Vec<u8>,
    owner: u64,
}

/// What a waiter's entry says, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) since: u64,
    pub(super) shared: bool,
    pub(super) candidate: String,
    pub(super) who: Who,
}

impl Place {
    /// Holds when it is this one's turn; `None` when patience ran out before. What was begun then is taken back.
    pub(super) fn acquire(&self, wanted: &Wanted, patience: Patience<'_>) -> Result<Option<Grant>> {
        self.store.writable()?;
        let session = Session::of(&self.store)?;
        patience.sleep(Duration::ZERO).map(drop)?;
        if let Some(grant) = self.take_free(&session, wanted)? {
            return Ok(Some(grant));
        }
        let busy = match self.attempt(&session, wanted, None)? {
            Attempt::Granted(grant) => return Ok(Some(grant)),
            Attempt::Busy(busy) => busy,
        };
        if patience.sleep(Duration::MAX)?.is_none() {
            return Ok(None);
        }
        let ticket = match self.enqueue(&session, wanted, busy.look)? {
            Enqueued::Granted(grant) => return Ok(Some(grant)),
            Enqueued::Waits(ticket) => ticket,
        };
        let outcome = self.await_turn(&session, wanted, &ticket, patience);
        match outcome {
            Ok(None) => self.leave(&ticket)?,
            // What went wrong is told; that leaving goes wrong too would not add anything.
            Err(_) => drop(self.leave(&ticket)),
            Ok(Some(_)) => {}
        }
        outcome
    }

    fn enqueue(&self, session: &Session, wanted: &Wanted, mut look: Look) -> Result<Enqueued> {
        let mut races = Races::new();
        loop {
            let number = look.record.tail;
            let key = self.ticket_key(number);
            let waiting = Waiting::new(session, wanted).encode();
            let changes = Changes {
                expect: vec![(key.clone(), Expected::Absent)],
                puts: vec![(key.clone(), waiting.clone(), Lifetime::Process)],
                ..Changes::default()
            };
            let ticket = Ticket { number, key, value: waiting, owner: session.owner.0 };
            look.record.tail += 1;
            let put = self.commit(&look, Some(&look.record), &changes);
            if put.map_err(|error| self.amended(error, ticket.left()))?.is_some() {
                return Ok(Enqueued::Waits(ticket));
            }
            races.lost();
            if let Some(grant) = self.take_free(session, wanted)? {
                return Ok(Enqueued::Granted(grant));
            }
            match self.attempt(session, wanted, None)? {
                Attempt::Granted(grant) => return Ok(Enqueued::Granted(grant)),
                Attempt::Busy(busy) => look = busy.look,
            }
        }
    }

    fn await_turn(
        &self,
        session: &Session,
        wanted: &Wanted,
        ticket: &Ticket,
        patience: Patience<'_>,
    ) -> Result<Option<Grant>> {
        loop {
            match self.attempt(session, wanted, Some(ticket))? {
                Attempt::Granted(grant) => return Ok(Some(grant)),
                Attempt::Busy(busy) => {
                    if !self.sleep(&busy, patience)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Sleeps until it may be possible; `false` when patience ran out.
    fn sleep(&self, busy: &Busy, patience: Patience<'_>) -> Result<bool> {
        self.sleep_on(&busy.keys, busy.is_asked, patience)
    }

    /// Sleeps until one of these entries is another; where `is_asked`, only a little while.
    pub(super) fn sleep_on(
        &self,
        keys: &[(String, Option<Revision>)],
        is_asked: bool,
        patience: Patience<'_>,
    ) -> Result<bool> {
        let keys: Vec<_> = keys.iter().map(|(key, seen)| (Space::Coordination, &**key, *seen)).collect();
        if !is_asked {
            return self.store.driver.wait(&keys, patience);
        }
        let Some(step) = patience.sleep(LOOK)? else { return Ok(false) };
        self.store.driver.wait(&keys, Patience { deadline: Some(Instant::now() + step), ..patience })?;
        Ok(true)
    }

    /// The nearest of those who wait before that ticket. Tickets of the dead and of those who left stay absent as long as the
    /// record is there.
    pub(super) fn nearest_before(&self, look: &Look, ticket: u64) -> Result<Option<(String, Option<Revision>)>> {
        for number in (look.record.head..ticket.min(look.record.tail)).rev() {
            let key = self.ticket_key(number);
            if let Some(revision) = self.present(&key)? {
                return Ok(Some((key, Some(revision))));
            }
        }
        Ok(None)
    }

    /// Gives a ticket back; whoever comes behind it notices.
    fn leave(&self, ticket: &Ticket) -> Result<()> {
        let access = crate::driver::Access::default();
        let left = self.store.driver.delete(&access, Space::Coordination, &ticket.key).and_then(|_| self.tidy());
        left.map_err(|error| self.amended(error, ticket.left()))
    }

    /// Removes a record in which nobody holds and nobody waits.
    pub(super) fn tidy(&self) -> Result<()> {
        let look = self.look()?;
        let is_empty = look.revision.is_some() && look.record.holdings.is_empty();
        if self.kind != LockKind::Semaphore && is_empty && self.nearest_before(&look, look.record.tail)?.is_none() {
            // Whoever changed it meanwhile has it now.
            self.commit(&look, None, &Changes::default())?;
        }
        Ok(())
    }
}

impl Ticket {
    fn left(&self) -> Left {
        Left::Ticket { key: self.key.clone(), value: self.value.clone(), owner: self.owner }
    }
}

enum Enqueued {
    Granted(Grant),
    Waits(Ticket),
}

impl Waiting {
    fn new(session: &Session, wanted: &Wanted) -> Self {
        let mut who = wanted.owner.as_ref().unwrap_or(&session.who).clone();
        if let Some(label) = &wanted.label {
            who.label.clone_from(label);
        }
        Self { since: wall_ms(), shared: wanted.shared, candidate: wanted.candidate.clone(), who }
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.byte(1);
        writer.byte(self.shared.into());
        writer.number(self.since);
        writer.text(&self.candidate);
        self.who.write(&mut writer);
        writer.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.byte()? != 1 {
            return None;
        }
        let shared = reader.byte()? != 0;
        let (since, candidate) = (reader.number()?, reader.text()?);
        let who = Who::read(&mut reader)?;
        reader.is_at_end().then_some(Self { since, shared, candidate, who })
    }
}
