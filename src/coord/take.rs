//! Becoming a holder: one commit that finds the record as it was looked at, and everybody in it dead who has to be.

use std::time::Duration;

use super::{
    amends::{Left, is_given_back},
    place::{Changes, Entries, LockKind, Look, Place, Races, beyond},
    queue::Ticket,
    record::{Holding, HoldingId, Record, Span},
    session::{Session, must_live, next_id},
    standing::{End, Standing},
    who::Who,
};
use crate::{
    driver::{Access, Commit, Driver, Expected, Lifetime, Op, OwnerId, Revision, Space, wall_ms},
    error::{Error, ErrorKind, Result},
    store::Scratch,
};

/// How somebody wants to hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) shared: bool,
    pub(super) span: Span,
    pub(super) ttl: Option<Duration>,
    pub(super) minimum: Option<Duration>,
    pub(super) label: Option<String>,
    /// Another process, for which this one holds.
    pub(super) owner: Option<Who>,
    pub(super) dies_with_owner: bool,
    pub(super) candidate: String,
    /// The asking thread.
    pub(super) thread: u64,
    pub(super) may_wait_for_itself: bool,
}

/// A holding that was granted.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) id: HoldingId,
    pub(super) token: Revision,
    pub(super) previous_owner_died: bool,
    /// The record that granted it says nothing else: giving it back can be the removal of that record.
    pub(super) is_alone: bool,
    pub(super) span: Span,
}

impl Grant {
    /// Whether it lived with a participant that is over, as far as that is known without asking anybody.
    pub(super) fn has_ended(&self, place: &Place) -> Result<bool> {
        let driver = &place.store.driver;
        let ends = self.span == Span::Process && driver.capabilities().sessions_end;
        Ok(ends && !driver.is_alive(OwnerId(self.id.owner))?)
    }
}

/// The record of one who holds alone, but for what differs each time.
#[derive(Debug, Clone)]
pub(super) struct Template {
    owner: OwnerId,
    bytes: Vec<u8>,
    span: Span,
}

/// What became of a try.
pub(super) enum Attempt {
    Granted(Grant),
    Busy(Busy),
}

/// Why it is not possible now, and what to wait for.
pub(super) struct Busy {
    pub(super) look: Look,
    /// Entries; it may be possible when one of them changes.
    pub(super) keys: Entries,
    /// Look now and then, too.
    pub(super) is_asked: bool,
}

/// The holdings of a record, judged.
struct Judged {
    alive: Vec<(Holding, Standing)>,
    died: bool,
    /// What must stay absent, so that the dead stay dead.
    absent: Vec<String>,
}

impl Place {
    /// Takes a lock that nobody holds or has held, with the shortest of commits. There is no moment between a look and
    /// a change: it also gets ahead of one who takes and releases without a pause, so it is tried after each lost race.
    pub(super) fn take_free(&self, session: &Session, wanted: &Wanted) -> Result<Option<Grant>> {
        if self.kind == LockKind::Semaphore || wanted.ttl.is_some() || wanted.minimum.is_some() {
            return Ok(None);
        }
        let id = session.next_id();
        let record = Record { holdings: vec![self.holding(session, wanted, id)], ..Record::new(self.permits) };
        self.put_free(id, &record.encode(), wanted.span)
    }

    /// The same once more, by one who has done it before: only a few words differ.
    pub(super) fn take_again(&self, template: &Template, thread: u64) -> Result<Option<Grant>> {
        if self.store.driver.owner()? != template.owner {
            return Ok(None);
        }
        let id = next_id(template.owner);
        let mut bytes = Scratch::<Vec<u8>>::take();
        bytes.extend_from_slice(&template.bytes);
        Record::refill(&mut bytes, id.number, thread, wall_ms());
        self.put_free(id, &bytes, template.span)
    }

    #[inline]
    fn put_free(&self, id: HoldingId, value: &[u8], span: Span) -> Result<Option<Grant>> {
        let put = Op::Put { value, lifetime: Lifetime::Forever };
        let (access, space) = (Access::default(), Space::Coordination);
        let token = match must_live(&self.store, id.owner) {
            None => {
                self.store.driver.change(&access, space, &self.key, Expected::Absent, put).map(|put| put.ok().flatten())
            }
            Some((session, present)) => {
                let expect = vec![(space, &*self.key, Expected::Absent), (space, &*session, present)];
                let commit = Commit { expect, ops: vec![(space, &self.key, put)] };
                let committed = self.store.driver.commit(&access, &commit);
                committed.map(|put| put.ok().and_then(|revisions| revisions[0]))
            }
        };
        let token = token.map_err(|error| self.amended(error, Left::Holding(id)))?;
        Ok(token.map(|token| Grant { id, token, previous_owner_died: false, is_alone: true, span }))
    }

    /// What [`Place::take_again`] needs, where that is possible.
    pub(super) fn template(&self, wanted: &Wanted) -> Result<Option<Template>> {
        if self.kind == LockKind::Semaphore || wanted.ttl.is_some() || wanted.minimum.is_some() {
            return Ok(None);
        }
        let session = Session::of(&self.store)?;
        let holding = self.holding(&session, wanted, HoldingId { owner: session.owner.0, number: 0 });
        let record = Record { holdings: vec![holding], ..Record::new(self.permits) };
        Ok(Some(Template { owner: session.owner, bytes: record.encode(), span: wanted.span }))
    }

    /// One try, with a ticket or without.
    ///
    /// # Errors
    /// `Deadlock` when this thread holds what it would wait for.
    pub(super) fn attempt(&self, session: &Session, wanted: &Wanted, ticket: Option<&Ticket>) -> Result<Attempt> {
        let mut races = Races::new();
        loop {
            let look = self.look()?;
            if let Some(ahead) = ticket.map(|ticket| self.nearest_before(&look, ticket.number)).transpose()?.flatten() {
                return Ok(Attempt::Busy(Busy { look, keys: vec![ahead], is_asked: false }));
            }
            let judged = self.judge(&look)?;
            self.check_deadlock(&judged, wanted)?;
            let is_free = self.is_free(&judged, wanted);
            if !is_free || ticket.is_none() && self.nearest_before(&look, look.record.tail)?.is_some() {
                return Ok(Attempt::Busy(self.busy(look, judged)));
            }
            if let Some(grant) = self.grant(&look, judged, session, wanted, ticket)? {
                return Ok(Attempt::Granted(grant));
            }
            session.check(&self.store)?;
            races.lost();
            if ticket.is_none()
                && let Some(grant) = self.take_free(session, wanted)?
            {
                return Ok(Attempt::Granted(grant));
            }
        }
    }

    fn judge(&self, look: &Look) -> Result<Judged> {
        let mut judged = Judged { alive: Vec::new(), died: false, absent: Vec::new() };
        for holding in &look.record.holdings {
            let standing = self.standing(holding)?;
            match standing.end {
                None => judged.alive.push((holding.clone(), standing)),
                Some(end) => {
                    judged.died |= end == End::Died;
                    judged.absent.extend(standing.lives.into_iter().map(|(key, _)| key));
                }
            }
        }
        judged.absent.sort_unstable();
        judged.absent.dedup();
        Ok(judged)
    }

    fn is_free(&self, judged: &Judged, wanted: &Wanted) -> bool {
        match self.kind {
            LockKind::Semaphore => judged.alive.len() < self.permits as usize,
            _ => judged.alive.iter().all(|(holding, _)| wanted.shared && holding.shared && !holding.released),
        }
    }

    /// Waiting for oneself is told at once, also where both would share.
    fn check_deadlock(&self, judged: &Judged, wanted: &Wanted) -> Result<()> {
        let is_mine = |(holding, _): &&(Holding, Standing)| {
            let is_ours = wanted.thread != 0 && holding.thread == wanted.thread && !holding.released;
            is_ours && !is_given_back(holding.id)
        };
        let mine = judged.alive.iter().filter(is_mine).count();
        if mine < self.permits as usize || wanted.may_wait_for_itself {
            return Ok(());
        }
        let message = format!("{self}: this thread holds it already and would wait for itself: use the guard it has");
        Err(Error::new(ErrorKind::Deadlock, message))
    }

    fn busy(&self, look: Look, judged: Judged) -> Busy {
        let mut keys = vec![(self.key.clone(), look.revision)];
        let is_asked = judged.alive.iter().any(|(_, standing)| standing.is_asked);
        for (_, standing) in judged.alive {
            keys.extend(standing.lives.into_iter().filter(|(_, revision)| revision.is_some()));
        }
        keys.sort_unstable();
        keys.dedup();
        Busy { look, keys, is_asked }
    }

    fn grant(
        &self,
        look: &Look,
        judged: Judged,
        session: &Session,
        wanted: &Wanted,
        ticket: Option<&Ticket>,
    ) -> Result<Option<Grant>> {
        let id = session.next_id();
        let mut changes = Changes::default();
        changes.expect.extend(judged.absent.into_iter().map(|key| (key, Expected::Absent)));
        changes.expect.extend(must_live(&self.store, id.owner));
        if let Some(ttl) = wanted.ttl {
            changes.puts.push((self.ttl_key(id), Vec::new(), Lifetime::Ttl(ttl)));
        }
        if let Some(minimum) = wanted.minimum {
            changes.puts.push((self.minimum_key(id), Vec::new(), Lifetime::Ttl(minimum)));
        }
        if let Some(ticket) = ticket {
            changes.deletes.push(ticket.key.clone());
        }
        if let (Some(ttl), true) = (wanted.ttl, judged.alive.is_empty()) {
            changes.record = beyond(ttl.max(wanted.minimum.unwrap_or_default()));
        }
        // Nobody lives before this ticket, or, without one, in the whole queue.
        let head = ticket.map_or(look.record.tail, |ticket| ticket.number + 1);
        let tail = look.record.tail.max(head);
        let mut holdings: Vec<Holding> = judged.alive.into_iter().map(|(holding, _)| holding).collect();
        holdings.push(self.holding(session, wanted, id));
        let is_alone = holdings.len() == 1 && head == tail && self.kind != LockKind::Semaphore;
        let is_alone = is_alone && wanted.minimum.is_none();
        let record = Record { permits: self.permits, head, tail, holdings };
        let token = self.commit(look, Some(&record), &changes);
        let token = token.map_err(|error| self.amended(error, Left::Holding(id)))?;
        let previous_owner_died = judged.died;
        Ok(token.map(|token| Grant { id, token, previous_owner_died, is_alone, span: wanted.span }))
    }

    fn holding(&self, session: &Session, wanted: &Wanted, id: HoldingId) -> Holding {
        let mut who = wanted.owner.as_ref().unwrap_or(&session.who).clone();
        if let Some(label) = &wanted.label {
            who.label.clone_from(label);
        }
        Holding {
            id,
            token: 0,
            thread: wanted.thread,
            shared: wanted.shared,
            released: false,
            minimum: wanted.minimum.is_some(),
            dies_with_owner: wanted.dies_with_owner,
            of_another: wanted.owner.is_some(),
            span: wanted.span,
            since: wall_ms(),
            candidate: wanted.candidate.clone(),
            who,
        }
    }
}
