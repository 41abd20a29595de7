//! One error type for everything: a stable, numbered kind, a sentence, and what lies beneath it.

use std::{borrow::Cow, error::Error as StdError, fmt, io};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong. The numbers never change; see `docs/errors.md` for what to do about each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ErrorKind {
    /// An argument makes no sense: an empty key, a bad option, a value that cannot be encoded.
    Invalid = 1,
    /// There is no store of that name, and none was to be created.
    NoStore = 2,
    /// There is a file of that name, but it is not a store.
    NotAStore = 3,
    /// The store was written in another version of the format, or in the other byte order.
    Version = 4,
    /// The store's bytes contradict each other.
    Corrupt = 5,
    /// The system, or the rule that nobody else may tamper with a store, forbids it.
    Permission = 6,
    /// This driver, file system or platform cannot do it.
    Unsupported = 7,
    /// No room is left; nothing was changed.
    Full = 8,
    /// The value, or the transaction, is larger than anything that could be stored.
    TooLarge = 9,
    /// The value there is of another type than was asked for.
    TypeMismatch = 10,
    /// What was to be there is not.
    Absent = 11,
    /// The integer would leave its range; it was not changed.
    Overflow = 12,
    /// Somebody holds what is needed, for longer than was to be waited.
    Locked = 13,
    /// The time given has run out.
    Timeout = 14,
    /// Waiting would never end: this very thread holds what it waits for.
    Deadlock = 15,
    /// Others changed it first, again and again.
    Conflict = 16,
    /// The caller does not own what it wants to change.
    NotOwner = 17,
    /// What was held was lost in the meantime.
    Lost = 18,
    /// It exists, but with another definition.
    Mismatch = 19,
    /// The reader was too slow: what it was to read next is gone.
    Lapped = 20,
    /// The store was removed or replaced while in use.
    Gone = 21,
    /// The wait was stopped on request.
    Stopped = 22,
    /// The server cannot be reached.
    Unreachable = 23,
    /// The operating system reported an error.
    Io = 24,
}

impl ErrorKind {
    /// The number of this kind, the same in every version.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// What went wrong, to which key or path, and what to do next.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn StdError + Send + core::marker::Sync>>,
}

impl Error {
    /// An error of a kind with a message: one sentence that names the key or path and a next step.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// The same error with the one that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + core::marker::Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with `context: ` in front of its message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message).into();
        self
    }

    /// An error of the operating system, with what was tried and on which path.
    pub fn io(what: impl fmt::Display, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::PermissionDenied => ErrorKind::Permission,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        Self::new(kind, format!("{what}: {source}")).with_source(source)
    }

    /// What kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_listed_order() {
        assert_eq!(ErrorKind::Invalid.number(), 1);
        assert_eq!(ErrorKind::Lapped.number(), 20);
        assert_eq!(ErrorKind::Io.number(), 24);
    }

    #[test]
    fn an_error_is_small_and_can_cross_threads() {
        fn crosses<T: Send + core::marker::Sync + 'static>() {}
        crosses::<Error>();
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
