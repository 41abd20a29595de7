//! What a store keeps of a lock, a semaphore or a group: who holds it, and where the queue begins and ends.
//!
//! All of it is one record, so that every change of it is one commit. `docs/coordination.md` says what each byte means.

use super::{
    who::Who,
    wire::{Reader, Writer},
};

/// The first byte; others are of versions that do not exist yet.
const VERSION: u8 = 1;
/// Garbage must not lead to large allocations: each holding takes more than this.
const LEAST_HOLDING: usize = 40;
/// Where the words begin that differ each time, in the record of one who holds alone: number, token, thread, since.
const FIRST_WORD: usize = 6;

const SHARED: u8 = 1;
const RELEASED: u8 = 2;
const MINIMUM: u8 = 4;
const DIES_WITH_OWNER: u8 = 8;
const OF_ANOTHER: u8 = 16;

/// Names a holding, also before it has a token: the participant that made it, and a number of its own there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct HoldingId {
    pub(super) owner: u64,
    pub(super) number: u64,
}

/// What ends a holding by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Span {
    /// The end of the process that made it.
    #[default]
    Process,
    /// An entry of its own, which lasts so many milliseconds.
    Ttl(u64),
    /// Nothing.
    Forever,
}

/// Somebody holds it, or did until nobody noticed yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) id: HoldingId,
    /// Revision of the commit that granted it; 0 in the record that this commit has written.
    pub(super) token: u64,
    /// The thread that must not ask again; 0 = none.
    pub(super) thread: u64,
    pub(super) shared: bool,
    /// Given back before its least time was over.
    pub(super) released: bool,
    /// An entry of its own keeps it until its least time is over.
    pub(super) minimum: bool,
    pub(super) dies_with_owner: bool,
    /// The owner is not the process that made it.
    pub(super) of_another: bool,
    pub(super) span: Span,
    /// Milliseconds since 1970.
    pub(super) since: u64,
    /// What a leader calls itself.
    pub(super) candidate: String,
    pub(super) who: Who,
}

/// The record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// How many may hold it at once.
    pub(super) permits: u32,
    /// The first ticket that may still be waiting.
    pub(super) head: u64,
    /// The next ticket.
    pub(super) tail: u64,
    pub(super) holdings: Vec<Holding>,
}

impl Record {
    pub(super) fn new(permits: u32) -> Self {
        Self { permits, ..Self::default() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(64 + 160 * self.holdings.len()));
        writer.byte(VERSION);
        writer.number(self.permits.into());
        writer.number(self.head);
        writer.number(self.tail);
        writer.number(self.holdings.len() as u64);
        self.holdings.iter().for_each(|holding| holding.write(&mut writer));
        writer.0
    }

    /// `None` for what no version of ours has written.
    pub(super) fn decode(bytes: &[u8], revision: u64) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.byte()? != VERSION {
            return None;
        }
        let permits = u32::try_from(reader.number()?).ok().filter(|permits| *permits > 0)?;
        let (head, tail) = (reader.number()?, reader.number()?);
        let count = usize::try_from(reader.number()?).ok()?;
        if head > tail || tail == u64::MAX || count > bytes.len() / LEAST_HOLDING {
            return None;
        }
        let holdings = (0..count).map(|_| Holding::read(&mut reader, revision)).collect::<Option<_>>()?;
        reader.is_at_end().then_some(Self { permits, head, tail, holdings })
    }

    /// What one who holds alone writes anew each time, in a record that is otherwise as it was the last time.
    pub(super) fn refill(bytes: &mut [u8], number: u64, thread: u64, since: u64) {
        for (index, word) in [number, 0, thread, since].into_iter().enumerate() {
            let at = FIRST_WORD + 8 * index;
            if let Some(place) = bytes.get_mut(at..at + 8) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        }
    }

    pub(super) fn find(&self, id: HoldingId) -> Option<&Holding> {
        self.holdings.iter().find(|holding| holding.id == id)
    }
}

impl Holding {
    fn flags(&self) -> u8 {
        let flags = [
            (self.shared, SHARED),
            (self.released, RELEASED),
            (self.minimum, MINIMUM),
            (self.dies_with_owner, DIES_WITH_OWNER),
            (self.of_another, OF_ANOTHER),
        ];
        flags.into_iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, flag)| all | flag)
    }

    fn write(&self, into: &mut Writer) {
        into.byte(self.flags());
        into.word(self.id.number);
        into.word(self.token);
        into.word(self.thread);
        into.word(self.since);
        into.number(self.id.owner);
        match self.span {
            Span::Process => into.byte(0),
            Span::Ttl(milliseconds) => {
                into.byte(1);
                into.number(milliseconds);
            }
            Span::Forever => into.byte(2),
        }
        into.text(&self.candidate);
        self.who.write(into);
    }

    fn read(from: &mut Reader<'_>, revision: u64) -> Option<Self> {
        let flags = from.byte()?;
        let number = from.word()?;
        let token = match from.word()? {
            0 => revision,
            token => token,
        };
        let (thread, since) = (from.word()?, from.word()?);
        let id = HoldingId { owner: from.number()?, number };
        let span = match from.byte()? {
            0 => Span::Process,
            1 => Span::Ttl(from.number()?),
            2 => Span::Forever,
            _ => return None,
        };
        Some(Self {
            id,
            token,
            thread,
            shared: flags & SHARED != 0,
            released: flags & RELEASED != 0,
            minimum: flags & MINIMUM != 0,
            dies_with_owner: flags & DIES_WITH_OWNER != 0,
            of_another: flags & OF_ANOTHER != 0,
            span,
            since,
            candidate: from.text()?,
            who: Who::read(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(number: u64) -> Holding {
        Holding {
            id: HoldingId { owner: 1 << 50, number },
            thread: u64::MAX,
            shared: number.is_multiple_of(2),
            minimum: true,
            span: [Span::Process, Span::Ttl(1_000), Span::Forever][number as usize % 3],
            since: 1_700_000_000_000,
            candidate: format!("candidate {number}"),
            who: Who { label: "label".to_owned(), ..Who::default() },
            ..Holding::default()
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_with_the_token_of_its_commit() {
        let mut record = Record { permits: 7, head: 3, tail: 1 << 40, holdings: (0..5).map(holding).collect() };
        record.holdings[1].token = 42;
        let read = Record::decode(&record.encode(), 77).unwrap();
        record.holdings.iter_mut().filter(|holding| holding.token == 0).for_each(|holding| holding.token = 77);
        assert_eq!(read, record);
    }

    #[test]
    fn a_record_that_is_filled_again_is_as_if_written_anew() {
        let alone = |holding| Record { holdings: vec![holding], ..Record::new(1) };
        let mut bytes = alone(holding(1)).encode();
        Record::refill(&mut bytes, 1 << 40, 77, 99);
        let mut again = holding(1);
        (again.id.number, again.thread, again.since) = (1 << 40, 77, 99);
        assert_eq!(bytes, alone(again).encode());
    }

    #[test]
    fn no_bytes_whatsoever_make_it_panic() {
        let whole = Record { permits: 1, head: 0, tail: 1, holdings: vec![holding(0), holding(1)] }.encode();
        for cut in 0..whole.len() {
            assert_eq!(Record::decode(&whole[..cut], 1), None);
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                let _ = Record::decode(&bytes, 1);
            }
        }
    }
}
