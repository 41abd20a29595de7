//! Finishing or undoing what a dead process had begun, O(1) for all but transactions.
//!
//! | intent | slot | what is done |
//! |---|---|---|
//! | idle | | notes are struck out: the operation was complete |
//! | swap | still the old one | notes are undone: blocks and extents taken go back |
//! | swap | the new one | it is committed: notes are struck out, then as `settle` |
//! | settle | | notes are undone, then everything after the commit is done again |
//! | part | | as the transaction's home says: applied or rolled back |
//! | books | | notes are undone |
//!
//! Every step can be repeated, so the recoverer may be killed too.

use std::sync::atomic::Ordering::Release;

use super::{
    journal::Note,
    shard::{HEADER_PART, INTENT, INTENT_AT, INTENT_NEW, INTENT_OLD, INTENT_WAIT, Intent, JOURNAL, Locked, PART},
};
use crate::{
    broken::{self, Defect},
    error::Result,
    primitive::wait_word::Duty,
    region::memory::PAGE,
};

impl Locked<'_> {
    /// Brings the shard into a state in which nothing is under way.
    ///
    /// # Errors
    /// `Corrupt` when the bytes contradict each other; the shard is then marked damaged. `Locked` when another shard
    /// of a transaction is held by a live process.
    #[cold]
    pub(crate) fn recover(&self) -> Result<()> {
        if broken::has(Defect::WakeNotRepeated) {
            self.store(INTENT_WAIT, u64::MAX);
        }
        match Intent::from_word(self.load(INTENT)) {
            Some(Intent::Idle) => self.journal().clear(),
            Some(Intent::Books) => {
                self.undo()?;
                self.idle();
            }
            Some(Intent::Swap) => return self.recover_swap(),
            Some(Intent::Settle) => {
                self.undo()?;
                return self.settle_again(Duty::Inherited);
            }
            Some(Intent::Part) => self.recover_part()?,
            None => return Err(self.corrupt("its intent is garbage")),
        }
        self.give_back()
    }

    fn recover_swap(&self) -> Result<()> {
        let at = self.load(INTENT_AT);
        let slot = self.storage.memory.load(at, std::sync::atomic::Ordering::Acquire);
        if slot == self.load(INTENT_NEW) {
            // Where no notes are needed, all that follows is done in this state: some of it may have been.
            return self.settle(Duty::Inherited);
        }
        if slot != self.load(INTENT_OLD) {
            return Err(self.corrupt("a slot is neither what it was nor what it was to be"));
        }
        self.undo()?;
        self.end_change();
        self.idle();
        self.give_back()
    }

    /// Puts back every noted word, the latest first, each note struck out once it is done.
    ///
    /// A note may name any word, if the bytes are garbage: also the number of notes. So that is read once.
    pub(crate) fn undo(&self) -> Result<()> {
        let journal = self.journal();
        let Some(notes) = journal.sound_len() else { return Err(self.corrupt("its journal is garbage")) };
        for index in (0..notes).rev() {
            match journal.note_at(index) {
                Note::Word { offset, old } if self.owns_word(offset) => self.storage.memory.store(offset, old, Release),
                Note::Word { .. } => return Err(self.corrupt("its journal names what is not its own")),
                Note::Claim { first } => self.storage.space().release(self, first)?,
            }
            journal.strike_to(index);
        }
        Ok(())
    }

    /// Whether a word may be in the journal: of this shard's books, of its part of a transaction, or of data.
    fn owns_word(&self, offset: u64) -> bool {
        let books = self.base + PART..self.base + JOURNAL;
        let part = self.base + HEADER_PART..self.base + PAGE;
        books.contains(&offset)
            || part.contains(&offset)
            || offset >= self.storage.geometry.first_extent() * crate::region::layout::EXTENT
    }
}
