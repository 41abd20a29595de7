//! Who takes part: a slot, a liveness word, and a byte of the file that the kernel keeps locked.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | state: 0 = free, 1 = taken |
//! | 4 | 4 | generation: grows each time the slot is taken |
//! | 8 | 8 | number: the participant's own, never used again |
//! | 16 | 4 | liveness word: a thread's id with WAITERS; the kernel adds OWNER_DIED; 0 = nobody watches, ask for the byte |
//! | 20 | 4 | carried: not 0 = a child may hold the byte too, and then the byte decides about entries of this owner |
//! | 32 | 4 | process id |
//! | 40 | 8 | start of the process, clock ticks after boot |
//! | 48 | 8 | PID namespace |
//! | 64 | 32 | host |
//! | 96 | 64 | label |
//! | 160 | 96 | command |
//!
//! From offset 32 on it is for people to read, never to decide.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::{layout::Geometry, memory::Memory};
use crate::sys::{byte_lock, futex, identity, robust};

const STATE: u64 = 0;
const GENERATION: u64 = 4;
const NUMBER: u64 = 8;
pub(crate) const LIVENESS: u64 = 16;
const CARRIED: u64 = 20;
const PID: u64 = 32;
const START: u64 = 40;
const NAMESPACE: u64 = 48;
const HOST: (u64, usize) = (64, 32);
const LABEL: (u64, usize) = (96, 64);
const COMMAND: (u64, usize) = (160, 96);

/// The byte of participant `number` lies here, far behind any data.
const BYTES: u64 = 1 << 40;
/// The byte of the init lock.
pub(crate) const INIT_BYTE: u64 = BYTES - 1;
/// Numbers stay below this, so that bytes stay within what a file offset can say.
pub(crate) const MAX_NUMBER: u64 = 1 << 48;
/// Lock words keep so many bits of the generation.
pub(crate) const GENERATION_MASK: u32 = (1 << 18) - 1;

/// The byte that a participant keeps locked.
pub(crate) fn byte(number: u64) -> u64 {
    BYTES + number
}

/// A participant as lock words name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Who a process is, for people to read.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
    pub(crate) pid_namespace: u64,
    pub(crate) host: String,
    pub(crate) command: String,
}

impl Identity {
    /// The calling process.
    pub(crate) fn own() -> Self {
        let pid = identity::pid();
        Self {
            pid,
            start_time: identity::start_time(pid).unwrap_or(0),
            pid_namespace: identity::pid_namespace().unwrap_or(0),
            host: identity::host_name(),
            command: identity::command(COMMAND.1),
        }
    }
}

/// What is known of a slot.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) slot: u32,
    pub(crate) number: u64,
    pub(crate) identity: Identity,
    pub(crate) label: String,
}

impl Record {
    /// What people know it by.
    pub(crate) fn label_or_command(&self) -> &str {
        if self.label.is_empty() { &self.identity.command } else { &self.label }
    }
}

/// The table of participants.
#[derive(Clone, Copy)]
pub(crate) struct Participants<'a> {
    pub(crate) memory: &'a Memory,
    pub(crate) geometry: &'a Geometry,
}

impl Participants<'_> {
    /// Whether nobody at all is attached. Ask through a descriptor that holds no byte.
    pub(crate) fn nobody(&self) -> std::io::Result<bool> {
        Ok(!byte_lock::is_locked(self.memory.file(), BYTES, 0)?)
    }

    /// Whether the named participant is dead, as the kernel says.
    pub(crate) fn is_dead(&self, name: Name) -> bool {
        if name.slot >= self.geometry.participants {
            return true; // Garbage names nobody.
        }
        let at = self.geometry.participant(name.slot);
        let taken = self.memory.load32(at + STATE, Acquire) == 1;
        let generation = self.memory.load32(at + GENERATION, Acquire) & GENERATION_MASK;
        if !taken || generation != name.generation {
            return true;
        }
        match self.memory.load32(at + LIVENESS, Acquire) {
            0 => self.byte_is_free(self.memory.load(at + NUMBER, Acquire)),
            word => word & robust::OWNER_DIED != 0,
        }
    }

    /// The slow question, for a liveness word that may be garbage: a locked byte cannot be.
    pub(crate) fn is_dead_by_byte(&self, name: Name) -> bool {
        if name.slot >= self.geometry.participants {
            return true;
        }
        self.byte_is_free(self.memory.load(self.geometry.participant(name.slot) + NUMBER, Acquire))
    }

    /// Whether the owner of an entry is dead: its slot may long be somebody else's.
    pub(crate) fn owner_is_dead(&self, slot: u32, number: u64) -> bool {
        if slot >= self.geometry.participants {
            return true;
        }
        let at = self.geometry.participant(slot);
        let generation = self.memory.load32(at + GENERATION, Acquire) & GENERATION_MASK;
        let other = self.memory.load(at + NUMBER, Acquire) != number;
        other || self.is_dead(Name { slot, generation }) && !self.is_carried_on(slot)
    }

    /// What this owner holds outlives it, for as long as a child has its byte. That concerns entries, never locks of
    /// shards: no child goes on with a change that its parent has begun.
    pub(crate) fn carry(&self, slot: u32) {
        self.memory.store32(self.geometry.participant(slot) + CARRIED, 1, Release);
    }

    /// Whether the owner in this slot, which may be dead, has not left, and its byte is still held.
    fn is_carried_on(&self, slot: u32) -> bool {
        let at = self.geometry.participant(slot);
        self.memory.load32(at + CARRIED, Acquire) != 0
            && self.memory.load32(at + STATE, Acquire) == 1
            && !self.byte_is_free(self.memory.load(at + NUMBER, Acquire))
    }

    /// The word by which the kernel would tell of the end of this owner's entries; `None` where it has told already, and
    /// a child carries on.
    pub(crate) fn life_of_entries(&self, slot: u32) -> Option<(*const u32, u32)> {
        let told = self.liveness(slot)?;
        let is_over = told.1 & robust::OWNER_DIED != 0 && self.is_carried_on(slot);
        (!is_over).then_some(told)
    }

    /// An error of the kernel counts as "alive", and so does the answer of another file under our number: only proof
    /// frees.
    fn byte_is_free(&self, number: u64) -> bool {
        number < MAX_NUMBER
            && matches!(byte_lock::is_locked(self.memory.file(), byte(number), 1), Ok(false))
            && self.memory.stat().is_ok()
    }

    /// The kernel wakes only one who sleeps on a death: that one wakes the rest.
    pub(crate) fn pass_on_death(&self, slot: u32) {
        if let Some((word, value)) = self.liveness(slot)
            && value & robust::OWNER_DIED != 0
        {
            futex::wake(word, i32::MAX as u32);
        }
    }

    /// The liveness word of a slot, to sleep on.
    pub(crate) fn liveness(&self, slot: u32) -> Option<(*const u32, u32)> {
        if slot >= self.geometry.participants {
            return None;
        }
        let at = self.geometry.participant(slot) + LIVENESS;
        let word = self.memory.load32(at, Acquire);
        if word == 0 { None } else { self.memory.futex(at).map(|pointer| (pointer, word)) }
    }

    /// Takes a slot. The caller holds the init lock and has locked the byte of `number` already; and no lock word
    /// names the slot's former owner any more.
    ///
    /// The new generation comes first: from then on every word that names the former owner names a dead one.
    pub(crate) fn take(&self, slot: u32, number: u64, identity: &Identity, label: &str) -> Name {
        let at = self.geometry.participant(slot);
        self.memory.store32(at + STATE, 0, Release);
        let generation = self.memory.load32(at + GENERATION, Relaxed).wrapping_add(1);
        self.memory.store32(at + GENERATION, generation, Release);
        self.memory.store32(at + LIVENESS, 0, Release);
        self.memory.store32(at + CARRIED, 0, Release);
        self.memory.store(at + NUMBER, number, Release);
        self.memory.store32(at + PID, identity.pid, Relaxed);
        self.memory.store(at + START, identity.start_time, Relaxed);
        self.memory.store(at + NAMESPACE, identity.pid_namespace, Relaxed);
        self.write_text(at, HOST, &identity.host);
        self.write_text(at, LABEL, label);
        self.write_text(at, COMMAND, &identity.command);
        self.memory.store32(at + STATE, 1, Release);
        Name { slot, generation: generation & GENERATION_MASK }
    }

    /// Gives a slot back: whoever it named is gone.
    pub(crate) fn release(&self, slot: u32) {
        let at = self.geometry.participant(slot);
        self.memory.store32(at + STATE, 0, Release);
        self.memory.store32(at + LIVENESS, robust::OWNER_DIED, Release);
    }

    /// Whether the slot could be taken: it is free, or whoever had it is dead.
    pub(crate) fn is_vacant(&self, slot: u32) -> bool {
        self.is_dead(self.name(slot)) && !self.is_carried_on(slot)
    }

    /// How lock words name whoever has the slot now.
    pub(crate) fn name(&self, slot: u32) -> Name {
        let at = self.geometry.participant(slot) + GENERATION;
        Name { slot, generation: self.memory.load32(at, Acquire) & GENERATION_MASK }
    }

    /// The taken slot, if it is one; its text may be of somebody who came or went meanwhile.
    pub(crate) fn record(&self, slot: u32) -> Option<Record> {
        let at = self.geometry.participant(slot);
        if slot >= self.geometry.participants || self.memory.load32(at + STATE, Acquire) != 1 {
            return None;
        }
        let identity = Identity {
            pid: self.memory.load32(at + PID, Relaxed),
            start_time: self.memory.load(at + START, Relaxed),
            pid_namespace: self.memory.load(at + NAMESPACE, Relaxed),
            host: self.read_text(at, HOST),
            command: self.read_text(at, COMMAND),
        };
        let number = self.memory.load(at + NUMBER, Acquire);
        Some(Record { slot, number, identity, label: self.read_text(at, LABEL) })
    }

    fn write_text(&self, at: u64, (offset, room): (u64, usize), text: &str) {
        let mut bytes = vec![0; room];
        let fitting = (0..=room.min(text.len())).rev().find(|len| text.is_char_boundary(*len)).unwrap_or(0);
        bytes[..fitting].copy_from_slice(&text.as_bytes()[..fitting]);
        let _ = self.memory.copy_in(at + offset, &bytes);
    }

    fn read_text(&self, at: u64, (offset, room): (u64, usize)) -> String {
        let mut bytes = Vec::new();
        let _ = self.memory.copy_out(at + offset, room, &mut bytes);
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}
