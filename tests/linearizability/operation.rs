//! What a process asks for, and what the store answers.

use std::fmt;

/// How many accounts there are between which money moves.
pub const ACCOUNTS: usize = 4;

/// What a process asks for. Keys are numbers; where a call concerns several, the history is not parted by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    Get,
    Set(i64),
    Remove,
    Increment(i64),
    /// The value with its revision.
    GetVersioned,
    /// A new value if that is the revision; 0: if the key is absent.
    CompareAndSet {
        expected: u64,
        value: i64,
    },
    /// In a transaction that reads both.
    Move {
        from: usize,
        to: usize,
        amount: i64,
    },
    /// One account, without a transaction.
    Look(usize),
    /// All accounts, in a transaction.
    ReadInside,
    /// All accounts, in a snapshot.
    Snapshot,
    /// The next change of a watch that was last told of this; of nothing yet, when it has just begun. What was there
    /// then and is removed is told as removed, too.
    Next(Option<Option<i64>>),
    /// Takes a lock, or the lead of a group, for this process.
    Take {
        owner: u32,
    },
    /// Whether the holding with that token still counts.
    Holds(u64),
    /// Whether the leader with that token was told of its end.
    IsRevoked(u64),
    Release(u64),
    /// Frees it, whoever holds it.
    Force,
    /// Who holds it.
    Who,
    /// The process is killed.
    Die {
        owner: u32,
    },
}

/// What the store answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    Done,
    Value(Option<i64>),
    Was(bool),
    Versioned(Option<(i64, u64)>),
    Stored(u64),
    Conflict,
    Moved(i64, i64),
    All([i64; ACCOUNTS]),
    /// The token of who holds; 0 where nobody does.
    Holder(u64),
    /// Bytes that do not belong together.
    Torn,
    /// An error of this kind. No model knows any.
    Failed(shmsync::ErrorKind),
}

/// What happened from `begin` to `end`, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub lane: usize,
    pub key: usize,
    pub call: Call,
    /// None: the process was killed. Then it happened before `end`, when the process was dead, or never.
    pub answer: Option<Answer>,
    pub begin: u64,
    pub end: u64,
}

impl Operation {
    /// Whether it changed nothing, so that without it there are not fewer orders.
    pub fn is_read(&self) -> bool {
        let looks = matches!(
            self.call,
            Call::Get
                | Call::GetVersioned
                | Call::Look(_)
                | Call::ReadInside
                | Call::Snapshot
                | Call::Next(_)
                | Call::Holds(_)
                | Call::IsRevoked(_)
                | Call::Who
        );
        looks || matches!(self.answer, Some(Answer::Conflict | Answer::Was(false)))
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lane, key, call, answer, begin, end } = self;
        match answer {
            Some(answer) => write!(f, "{begin:>12}..{end:<12} lane {lane}, key {key}: {call:?} -> {answer:?}"),
            None if *end == u64::MAX => {
                write!(f, "{begin:>12}..{:<12} lane {lane}, key {key}: {call:?} is under way", "")
            }
            None => write!(f, "{begin:>12}..{end:<12} lane {lane}, key {key}: {call:?} and was killed"),
        }
    }
}
