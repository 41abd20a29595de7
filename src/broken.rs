//! Deliberate defects, so that what looks for defects can be shown to find them.
//!
//! In every ordinary build [`has`] is a constant `false` and nothing of this is left. Models switch a defect on for one
//! thread; the feature `broken`, which nobody but our own tests ever asks for, reads one name from the environment.

/// A line of defence that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// A hit is believed though the index may have been superseded (attack 14).
    RootNotReread,
    /// Another key in a record is believed though the record may be in mid-reuse (attack 15).
    MismatchBelieved,
    /// A record without a version is read (attack 16).
    VersionZeroRead,
    /// A removal moves the next slot into the gap (attack 17).
    SlotMoved,
    /// Nothing orders the new root before the reuse of the old index (attack 18).
    IndexReusedUnfenced,
    /// Nothing orders "not valid" before the new bytes of a record (attack 18).
    RecordFilledUnfenced,
    /// Nothing orders "not valid" before the emptiness of a new index in a record's block (attack 18).
    BlockClearedUnfenced,
    /// A record is overwritten where it is: freed before its successor is published.
    FreedBeforePublished,
    /// A transaction changes slot by slot, without marks (attack 23).
    MarkSkipped,
    /// The home forgets a transaction before all of its shards were recovered (attack 24).
    OthersForgotten,
    /// Whoever closes the gate does not wait for writes that have passed it (attack 46).
    WritersNotAwaited,
    /// A writer looks for waiters without a full fence after its commit (attack 48).
    WaitersMissed,
    /// Recovery does not repeat the wake that a killed writer owed.
    WakeNotRepeated,
    /// A lock is taken from a live owner who holds it long.
    LockStolen,
    /// The record of a lock is changed though somebody else has changed it since it was looked at.
    RecordNotExpected,
}

#[cfg(not(any(all(loom, test), feature = "broken")))]
mod switch {
    #[inline(always)]
    pub(crate) const fn has(_: super::Defect) -> bool {
        false
    }
}

#[cfg(all(loom, test))]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static PRESENT: Cell<Option<super::Defect>> = const { Cell::new(None) };
    }

    pub(crate) fn has(defect: super::Defect) -> bool {
        PRESENT.get() == Some(defect)
    }

    /// Switches a defect on, or all off, for what this thread models.
    pub(crate) fn set(defect: Option<super::Defect>) {
        PRESENT.set(defect);
    }
}

#[cfg(all(feature = "broken", not(all(loom, test))))]
mod switch {
    use std::sync::LazyLock;

    use super::Defect;

    /// Those that real processes can show, and that tests ask for by name.
    const NAMED: [Defect; 5] = [
        Defect::RootNotReread,
        Defect::VersionZeroRead,
        Defect::MarkSkipped,
        Defect::FreedBeforePublished,
        Defect::RecordNotExpected,
    ];

    /// Looked up once: the name of a defect costs no more time than the absence of one.
    static PRESENT: LazyLock<Option<Defect>> = LazyLock::new(|| {
        let name = std::env::var("SHMSYNC_BROKEN").ok()?;
        NAMED.into_iter().find(|defect| name == format!("{defect:?}"))
    });

    #[inline]
    pub(crate) fn has(defect: Defect) -> bool {
        *PRESENT == Some(defect)
    }
}

pub(crate) use switch::has;
#[cfg(all(loom, test))]
pub(crate) use switch::set;
