//! What a lock or a group with a leader does if one thing happens after another.

use super::operation::{Answer, Call};

/// Whoever holds was killed before it was told its token.
const UNTOLD: u64 = u64::MAX;

/// Who holds. Whoever is told no changes nothing, and may always be told so: others may wait before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Holder {
    /// 0 = nobody.
    token: u64,
    owner: u32,
    /// The owner has died, and nobody has followed.
    is_dead: bool,
    /// The largest token so far.
    largest: u64,
}

impl Holder {
    pub fn step(self, call: Call, answer: Option<Answer>) -> Option<Self> {
        let fits = |expected: Answer| answer.is_none_or(|answer| answer == expected);
        match call {
            Call::Take { owner } => self.take(owner, answer),
            Call::Release(token) => {
                let is_theirs = self.token == token;
                fits(Answer::Was(is_theirs)).then(|| if is_theirs { self.freed() } else { self })
            }
            Call::Holds(token) => fits(Answer::Was(self.token == token)).then_some(self),
            // A leader learns of its end a little later; what it was told is true.
            Call::IsRevoked(token) => (self.token != token || fits(Answer::Was(false))).then_some(self),
            // What the dead leave is there or free, until somebody follows.
            Call::Force => (self.is_dead || fits(Answer::Was(self.token != 0))).then(|| self.freed()),
            Call::Who => match answer {
                Some(Answer::Holder(token)) => self.seen(token),
                None => Some(self),
                _ => None,
            },
            Call::Die { owner } if self.token != 0 && self.owner == owner => Some(Self { is_dead: true, ..self }),
            Call::Die { .. } => Some(self),
            _ => None,
        }
    }

    fn is_free(self) -> bool {
        self.token == 0 || self.is_dead
    }

    fn freed(self) -> Self {
        Self { token: 0, owner: 0, is_dead: false, ..self }
    }

    fn take(self, owner: u32, answer: Option<Answer>) -> Option<Self> {
        let (token, largest) = match answer {
            Some(Answer::Conflict) => return Some(self),
            Some(Answer::Stored(token)) if token > self.largest => (token, token),
            None => (UNTOLD, self.largest),
            _ => return None,
        };
        self.is_free().then_some(Self { token, owner, is_dead: false, largest })
    }

    /// Somebody was told that this one holds, or nobody.
    fn seen(self, token: u64) -> Option<Self> {
        match token {
            0 => self.is_free().then_some(self),
            token if self.token == token => Some(self),
            token if self.token == UNTOLD && token > self.largest => Some(Self { token, largest: token, ..self }),
            _ => None,
        }
    }
}
