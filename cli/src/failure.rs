//! How a verb ends: with an answer, or with one line about what went wrong.

use std::{fmt, io, path::Path};

/// An answer of a verb that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is so, it was done: exit code 0.
    Yes,
    /// It is not there, it is not so, time ran out: exit code 1.
    No,
    /// What a program that was run has answered, or what was asked for instead.
    Code(u8),
}

impl Outcome {
    /// `Yes` where `holds`.
    pub(crate) fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Why a verb could not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The library said so.
    Store(shmsync::Error),
    /// There is no store to work on; exit code 1.
    NoStore(shmsync::Error),
    /// The command said so: what happened, to what, and what to do next.
    Message(String),
    /// A verb that runs programs could not; the exit code tells why, as with `env`.
    Program {
        /// 127 not found, 126 not executable, 125 anything else.
        code: u8,
        /// As [`Failure::Message`].
        message: String,
    },
    /// Nobody reads the output any more, so there is nothing left to do; no error.
    ReaderGone,
}

/// The exit code of a verb that runs programs, for failures of its own.
const OWN_FAILURE: u8 = 125;

impl Failure {
    /// A failure of the operating system while doing `what` to `path`.
    pub(crate) fn file(what: &str, path: &Path, error: &io::Error) -> Self {
        let next = match error.kind() {
            io::ErrorKind::NotFound => "check the path",
            io::ErrorKind::PermissionDenied => "check its permissions",
            io::ErrorKind::StorageFull => "make room there",
            _ => "check the path and what it is on",
        };
        Self::Message(format!("cannot {what} {}: {error}; {next}", path.display()))
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::NoStore(_) => 1,
            Self::Store(_) | Self::Message(_) => 2,
            Self::Program { code, .. } => *code,
        }
    }

    /// The same of a verb that runs programs: with an exit code that few programs have.
    pub(crate) fn of_runner(self) -> Self {
        match self {
            Self::ReaderGone | Self::Program { .. } => self,
            failure => Self::Program { code: OWN_FAILURE, message: failure.to_string() },
        }
    }

    /// A failure to write to standard output.
    pub(crate) fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::Message(format!("cannot write to standard output: {error}; check where it goes"))
    }
}

impl From<shmsync::Error> for Failure {
    fn from(error: shmsync::Error) -> Self {
        Self::Store(error)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) | Self::NoStore(error) => error.fmt(f),
            Self::Message(message) | Self::Program { message, .. } => f.write_str(message),
            Self::ReaderGone => f.write_str("nobody reads the output any more"),
        }
    }
}

/// What every verb returns.
pub(crate) type Answer = Result<Outcome, Failure>;
