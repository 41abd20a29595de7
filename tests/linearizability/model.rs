//! What things do if one thing happens after another.

use super::{
    holder::Holder,
    operation::{ACCOUNTS, Answer, Call},
};

/// What each account holds at first.
pub const BALANCE: i64 = 100;

/// The kinds of things that histories are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// get, set, remove.
    Register,
    /// increment, get, set, remove.
    Integer,
    /// get_versioned, compare_and_set, set, remove.
    Versioned,
    /// Moves between accounts, one at a time, all at once.
    Accounts,
    /// A register whose watches tell of its states: any of them may be left out, none is told twice in a row.
    Watched,
    /// Taking, giving back, forcing, looking, dying.
    Lock,
    /// The same of a group that has a leader.
    Leader,
}

/// The state of what a history is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum State {
    Value(Option<i64>),
    /// The value, its revision (0 where nobody was told), and the largest revision so far.
    Versioned(Option<i64>, u64, u64),
    Accounts([i64; ACCOUNTS]),
    Holder(Holder),
}

impl Model {
    pub const ALL: [Self; 7] =
        [Self::Register, Self::Integer, Self::Versioned, Self::Accounts, Self::Watched, Self::Lock, Self::Leader];

    /// Whether each key has a history of its own.
    pub fn is_by_key(self) -> bool {
        self != Self::Accounts
    }

    /// Whether it matters who dies: each death then is an operation of its own.
    pub fn has_owners(self) -> bool {
        matches!(self, Self::Lock | Self::Leader)
    }

    pub fn start(self) -> State {
        match self {
            Self::Register | Self::Integer | Self::Watched => State::Value(None),
            Self::Versioned => State::Versioned(None, 0, 0),
            Self::Accounts => State::Accounts([BALANCE; ACCOUNTS]),
            Self::Lock | Self::Leader => State::Holder(Holder::default()),
        }
    }

    /// The state after a call that was answered so; `None` if it cannot be. Without an answer the caller was killed.
    pub fn step(self, state: &State, call: Call, answer: Option<Answer>) -> Option<State> {
        match (self, state) {
            (Self::Register, State::Value(value)) => register(*value, call, answer).map(State::Value),
            (Self::Watched, State::Value(value)) => watched(*value, call, answer).map(State::Value),
            (Self::Integer, State::Value(value)) => integer(*value, call, answer).map(State::Value),
            (Self::Lock | Self::Leader, State::Holder(holder)) => holder.step(call, answer).map(State::Holder),
            (Self::Accounts, State::Accounts(all)) => accounts(*all, call, answer).map(State::Accounts),
            (Self::Versioned, State::Versioned(value, revision, largest)) => {
                versioned((*value, *revision, *largest), call, answer)
            }
            _ => None,
        }
    }
}

/// Whether an answer is this one, or there is none.
fn fits(answer: Option<Answer>, expected: Answer) -> bool {
    answer.is_none_or(|answer| answer == expected)
}

fn register(value: Option<i64>, call: Call, answer: Option<Answer>) -> Option<Option<i64>> {
    let (expected, next) = match call {
        Call::Get => (Answer::Value(value), value),
        Call::Set(new) => (Answer::Done, Some(new)),
        Call::Remove => (Answer::Was(value.is_some()), None),
        _ => return None,
    };
    fits(answer, expected).then_some(next)
}

fn watched(value: Option<i64>, call: Call, answer: Option<Answer>) -> Option<Option<i64>> {
    let Call::Next(told) = call else { return register(value, call, answer) };
    (told != Some(value) && fits(answer, Answer::Value(value))).then_some(value)
}

fn integer(value: Option<i64>, call: Call, answer: Option<Answer>) -> Option<Option<i64>> {
    let Call::Increment(by) = call else { return register(value, call, answer) };
    let sum = value.unwrap_or(0) + by;
    fits(answer, Answer::Value(Some(sum))).then_some(Some(sum))
}

fn accounts(mut all: [i64; ACCOUNTS], call: Call, answer: Option<Answer>) -> Option<[i64; ACCOUNTS]> {
    let expected = match call {
        Call::Look(account) => Answer::Value(Some(all[account])),
        Call::ReadInside | Call::Snapshot => Answer::All(all),
        Call::Move { from, to, amount } => {
            let before = Answer::Moved(all[from], all[to]);
            all[from] -= amount;
            all[to] += amount;
            before
        }
        _ => return None,
    };
    fits(answer, expected).then_some(all)
}

/// A revision that nobody was told is none that anybody can expect: whoever expects it has seen it before.
fn versioned(state: (Option<i64>, u64, u64), call: Call, answer: Option<Answer>) -> Option<State> {
    let (value, revision, largest) = state;
    let stored = |new: i64| match answer {
        Some(Answer::Stored(fresh)) if fresh > largest => Some(State::Versioned(Some(new), fresh, fresh)),
        None => Some(State::Versioned(Some(new), 0, largest)),
        _ => None,
    };
    let unchanged = State::Versioned(value, revision, largest);
    match call {
        Call::Set(new) => stored(new),
        Call::Remove => fits(answer, Answer::Was(value.is_some())).then_some(State::Versioned(None, 0, largest)),
        Call::CompareAndSet { expected, value: new } => {
            let is_expected = if expected == 0 { value.is_none() } else { value.is_some() && revision == expected };
            match (is_expected, answer) {
                (true, _) => stored(new),
                (false, None | Some(Answer::Conflict)) => Some(unchanged),
                (false, _) => None,
            }
        }
        Call::GetVersioned => match (answer, value) {
            (None | Some(Answer::Versioned(None)), None) => Some(unchanged),
            (Some(Answer::Versioned(Some((seen, at)))), Some(value)) if seen == value => match revision {
                0 if at > largest => Some(State::Versioned(Some(value), at, at)),
                known if known == at => Some(unchanged),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
