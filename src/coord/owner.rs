//! Who holds a lock, as told to people and programs.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime},
};

use super::{
    place::Place,
    record::{Holding, Span},
    token::Token,
};
use crate::{
    driver::{Access, Driver, Lifetime, Remaining, Space, process::has_ended},
    error::Result,
};

/// Commands are cut off here in sentences.
const SHORT_COMMAND: usize = 40;

/// Who holds a lock, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Owner {
    /// Its process id, in its own PID namespace; 0 where only a label is known.
    pub pid: u32,
    /// Its host's name.
    pub host: String,
    /// Its label: the lock's, else the one given when the store was opened.
    pub label: String,
    /// Its command.
    pub command: String,
    /// The token of its holding.
    pub token: Token,
    /// When it began to hold, by the clock of its machine.
    pub since: SystemTime,
    /// What ends it by itself.
    pub lifetime: Lifetime,
    /// How much of its time limit is left.
    pub expires_in: Option<Duration>,
    /// Whether others may share it.
    pub shared: bool,
    /// What a leader calls itself; else empty.
    pub candidate: String,
    /// Whether its process has ended without giving it back, as in [`LockState::Orphaned`].
    pub is_gone: bool,
}

impl Owner {
    /// For how long it has been held, by the clocks of both machines.
    pub fn age(&self) -> Duration {
        SystemTime::now().duration_since(self.since).unwrap_or(Duration::ZERO)
    }
}

/// As in "still held by `pid 4711 (deploy.sh on web1) for 12 min`".
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_who(f, self.pid, [&self.label, &self.command], &self.host)?;
        write!(f, " for {}", Spoken(self.age()))
    }
}

pub(super) fn write_who(f: &mut fmt::Formatter<'_>, pid: u32, names: [&str; 2], host: &str) -> fmt::Result {
    let name = if names[0].is_empty() { names[1] } else { names[0] };
    let cut = name.char_indices().nth(SHORT_COMMAND).map_or(name.len(), |(at, _)| at);
    let name = &name[..cut];
    let (open, close) = if pid == 0 { ("", "") } else { (" (", ")") };
    if pid != 0 {
        write!(f, "pid {pid}")?;
    }
    match (name, host) {
        ("", "") => Ok(()),
        ("", host) => write!(f, "{open}on {host}{close}"),
        (name, "") => write!(f, "{open}{name}{close}"),
        (name, host) => write!(f, "{open}{name} on {host}{close}"),
    }
}

/// A duration as one says it.
pub(super) struct Spoken(pub(super) Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..=119 => write!(f, "{} s", self.0.as_secs()),
            120..=7_199 => write!(f, "{} min", self.0.as_secs() / 60),
            7_200..=172_799 => write!(f, "{} h", self.0.as_secs() / 3_600),
            _ => write!(f, "{} days", self.0.as_secs() / 86_400),
        }
    }
}

/// Whether a lock is held.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockState {
    /// Whoever asks gets it, unless others wait.
    Free,
    /// It is held; of several holders this is the first.
    Held(Owner),
    /// Its owner is dead and nobody has taken over yet.
    Orphaned(Owner),
}

/// As in "held by pid 4711 (deploy.sh on web1) for 12 min".
impl fmt::Display for LockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("free"),
            Self::Held(owner) => write!(f, "held by {owner}"),
            Self::Orphaned(owner) => write!(f, "orphaned by {owner}"),
        }
    }
}

/// How a holding looks from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Held,
    Orphaned,
    Over,
}

impl Place {
    /// The state of the whole, in words of the public interface.
    pub(super) fn state(&self) -> Result<LockState> {
        let look = self.look()?;
        let (mut held, mut orphaned, mut count) = (None, None, 0);
        for holding in &look.record.holdings {
            match self.seen(holding)? {
                (Seen::Over, _) => {}
                (Seen::Held, _) => {
                    count += 1;
                    held = held.or(Some(holding));
                }
                (Seen::Orphaned, is_taken) => {
                    count += u32::from(is_taken);
                    orphaned = orphaned.or(Some(holding));
                }
            }
        }
        Ok(match (held, orphaned) {
            (Some(_), _) if count < look.record.permits => LockState::Free,
            (Some(holding), _) => LockState::Held(self.owner_of(holding)?),
            (None, Some(holding)) => LockState::Orphaned(self.owner_of(holding)?),
            (None, None) => LockState::Free,
        })
    }

    /// How a holding looks, and whether it keeps others out.
    pub(super) fn seen(&self, holding: &Holding) -> Result<(Seen, bool)> {
        let standing = self.standing(holding)?;
        Ok(match standing.end {
            Some(super::standing::End::Died) => (Seen::Orphaned, false),
            Some(super::standing::End::Over) => (Seen::Over, false),
            // It stays until somebody frees it, but nobody is there any more who would.
            None if holding.of_another && has_ended(&holding.who.process) => (Seen::Orphaned, true),
            None => (Seen::Held, true),
        })
    }

    pub(super) fn owner_of(&self, holding: &Holding) -> Result<Owner> {
        let (lifetime, expires_in) = match holding.span {
            Span::Process => (Lifetime::Process, None),
            Span::Forever => (Lifetime::Forever, None),
            Span::Ttl(milliseconds) => {
                let key = self.ttl_key(holding.id);
                let head = self.store.driver.head(&Access::default(), Space::Coordination, &key)?;
                let left = head.and_then(|head| match head.remaining {
                    Remaining::Until(end) => Some(end.saturating_duration_since(Instant::now())),
                    _ => None,
                });
                (Lifetime::Ttl(Duration::from_millis(milliseconds)), Some(left.unwrap_or(Duration::ZERO)))
            }
        };
        let process = &holding.who.process;
        Ok(Owner {
            pid: process.pid,
            host: process.host.clone(),
            label: holding.who.label.clone(),
            command: process.command.clone(),
            token: Token::new(holding.token.max(1)).expect("at least 1"),
            since: moment(holding.since),
            lifetime,
            expires_in,
            shared: holding.shared,
            candidate: holding.candidate.clone(),
            is_gone: self.seen(holding)?.0 == Seen::Orphaned,
        })
    }
}

/// Milliseconds since 1970 as a moment; what no clock can say is 1970.
pub(super) fn moment(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_told_in_one_line() {
        let mut owner = Owner {
            pid: 4711,
            host: "web1".to_owned(),
            label: String::new(),
            command: "deploy.sh".to_owned(),
            token: Token::new(7).unwrap(),
            since: SystemTime::now() - Duration::from_secs(12 * 60 + 5),
            lifetime: Lifetime::Process,
            expires_in: None,
            shared: false,
            candidate: String::new(),
            is_gone: false,
        };
        assert_eq!(owner.to_string(), "pid 4711 (deploy.sh on web1) for 12 min");
        assert_eq!(LockState::Held(owner.clone()).to_string(), "held by pid 4711 (deploy.sh on web1) for 12 min");
        owner.label = "nightly".to_owned();
        owner.pid = 0;
        assert_eq!(owner.to_string(), "nightly on web1 for 12 min");
    }
}
