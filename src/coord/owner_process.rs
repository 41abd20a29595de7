//! Another process, for which something is held.

use std::fmt;

use super::who::{Who, check_label};
use crate::{
    driver::process::{ProcessName, has_ended, name_of, parent},
    error::{Error, ErrorKind, Result},
};

/// A process as an owner: its boot, PID namespace, id and start, so that a later process of the same id is another. Or only
/// a label, which never ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerProcess {
    pub(super) name: ProcessName,
    pub(super) label: String,
}

impl OwnerProcess {
    /// The calling process.
    pub fn current() -> Self {
        let pid = std::process::id();
        Self { name: name_of(pid).unwrap_or(ProcessName { pid, ..ProcessName::default() }), label: String::new() }
    }

    /// The parent of the calling process: of a command in a shell, that shell. `None` where that cannot be seen.
    pub fn parent() -> Option<Self> {
        Some(Self { name: name_of(parent())?, label: String::new() })
    }

    /// The process of that id.
    ///
    /// # Errors
    /// `Absent` when there is none to be seen from here.
    pub fn of(pid: u32) -> Result<Self> {
        let absent = || Error::new(ErrorKind::Absent, format!("there is no process {pid} to be seen from here"));
        Ok(Self { name: name_of(pid).ok_or_else(absent)?, label: String::new() })
    }

    /// Nobody but a name: two of the same label are the same owner.
    ///
    /// # Errors
    /// `Invalid` for an empty label, a long one, and one with control characters.
    pub fn labelled(label: &str) -> Result<Self> {
        check_label(label)?;
        if label.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "an owner's label is empty: give it at least one letter"));
        }
        Ok(Self { name: ProcessName::default(), label: label.to_owned() })
    }

    /// Whether it has surely ended. Of a process in another PID namespace or on another host, and of a label, nobody can
    /// tell: `false`.
    pub fn has_ended(&self) -> bool {
        has_ended(&self.name)
    }

    /// Its process id; 0 of a label.
    pub fn pid(&self) -> u32 {
        self.name.pid
    }

    /// Whether it is this one. What the process runs may have changed: `exec` keeps the process.
    pub(super) fn is(&self, who: &Who) -> bool {
        let (mine, theirs) = (&self.name, &who.process);
        if mine.pid == 0 {
            return theirs.pid == 0 && !self.label.is_empty() && self.label == who.label;
        }
        (mine.boot, mine.pid_namespace, mine.pid, mine.start_time)
            == (theirs.boot, theirs.pid_namespace, theirs.pid, theirs.start_time)
    }
}

impl fmt::Display for OwnerProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::owner::write_who(f, self.name.pid, [&self.label, &self.name.command], &self.name.host)
    }
}
