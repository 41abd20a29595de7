//! Large values: reserved under the lock, filled outside, published under it.
//!
//! A shard has a few places for blocks that are being filled. Each says who fills it, so that what a dead process
//! had reserved comes back.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    Key,
    record::{Life, Record, Shape, checksum_of},
    shard::{Intent, Locked, RESERVED, RESERVED_LEN, RESERVERS},
    slot::EMPTY,
};
use crate::{driver::Space, error::Result, sys::barrier};

/// From so many bytes on, a value is filled outside the lock.
pub(crate) const LARGE: usize = 256 << 10;

/// A block that is being filled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reservation {
    place: u64,
    offset: u64,
    owner: u64,
    shape: Shape,
}

impl Locked<'_> {
    /// A block for a large value; `None` when all places are taken by the living.
    pub(crate) fn reserve_block(&self, owner: u64, shape: Shape) -> Result<Option<Reservation>> {
        self.free_dead_reservations()?;
        let Some(place) = (0..RESERVED_LEN).find(|place| self.load(RESERVED + place * 8) == 0) else {
            return Ok(None);
        };
        self.intend(Intent::Books, Space::Values, 0, EMPTY, EMPTY);
        let offset = self.allocate(shape.size())?;
        // From before it is filled until it is published, nobody takes it for a record.
        self.storage.memory.store(offset, 0, Relaxed);
        self.journal().set(self.base + RESERVED + place * 8, offset);
        self.journal().set(self.base + RESERVERS + place * 8, owner);
        self.idle();
        Ok(Some(Reservation { place, offset, owner, shape }))
    }

    /// Whether a reservation is still what it was: nobody has freed it.
    fn holds(&self, reservation: &Reservation) -> bool {
        self.load(RESERVED + reservation.place * 8) == reservation.offset
            && self.load(RESERVERS + reservation.place * 8) == reservation.owner
    }

    /// Publishes a filled block; `None` when the reservation was lost meanwhile.
    pub(crate) fn put_reserved(
        &self,
        key: &Key<'_>,
        reservation: &Reservation,
        checksum: u64,
        life: Life,
    ) -> Result<Option<u64>> {
        if !self.holds(reservation) {
            return Ok(None);
        }
        self.bury()?;
        self.put_block(self.find(key)?, key, life, || {
            self.drop_place(reservation.place);
            let record = Record::new(&self.storage.memory, reservation.offset);
            let Some(filled) = record.unsealed() else { return Err(self.corrupt("a block lies outside the store")) };
            let revision = self.tick()?;
            filled.seal(reservation.shape, checksum, life, revision);
            Ok((record.at, revision))
        })
        .map(Some)
    }

    /// Gives a block back that is not to be published.
    pub(crate) fn cancel(&self, reservation: &Reservation) -> Result<()> {
        if self.holds(reservation) { self.free_reservation(reservation.place) } else { Ok(()) }
    }

    fn drop_place(&self, place: u64) {
        self.journal().set(self.base + RESERVED + place * 8, 0);
        self.journal().set(self.base + RESERVERS + place * 8, 0);
    }

    fn free_reservation(&self, place: u64) -> Result<()> {
        self.give_back()?;
        let offset = self.load(RESERVED + place * 8);
        self.intend(Intent::Books, Space::Values, 0, EMPTY, EMPTY);
        self.drop_place(place);
        self.retire(offset)?;
        self.idle();
        self.give_back()
    }

    /// Frees what the dead had reserved.
    pub(crate) fn free_dead_reservations(&self) -> Result<()> {
        for place in 0..RESERVED_LEN {
            let owner = self.load(RESERVERS + place * 8);
            let taken = self.load(RESERVED + place * 8) != 0;
            if taken && self.storage.participants().owner_is_dead((owner & 0x1fff) as u32, owner >> 13) {
                // A thread of the dead process may still be filling the block, which needs no lock.
                barrier::global();
                self.free_reservation(place)?;
            }
        }
        Ok(())
    }
}

impl super::Storage {
    /// Fills a reserved block, without any lock; the checksum of what was filled in. `None` outside the file.
    pub(crate) fn fill_reserved(
        &self,
        reservation: &Reservation,
        key: &Key<'_>,
        value: &[u8],
        life: Life,
    ) -> Option<u64> {
        let record = Record::new(&self.memory, reservation.offset);
        record.fill(reservation.shape, key.bytes, value, life)?;
        Some(checksum_of(key, value))
    }
}
