//! Who holds or waits, for people to read; except where a holding belongs to another process, nothing decides by it.

use super::wire::{Reader, Writer};
use crate::{
    driver::{Participant, process::ProcessName},
    error::{Error, ErrorKind, Result},
};

/// Longer labels are refused.
const LONGEST_LABEL: usize = 255;

/// A process and its label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) process: ProcessName,
    pub(super) label: String,
}

impl Who {
    /// Somebody who is attached.
    pub(super) fn attached(participant: Participant) -> Self {
        let Participant { pid, start_time, pid_namespace, host, label, command, .. } = participant;
        let pid = if pid == 0 { std::process::id() } else { pid };
        Self { process: ProcessName { boot: 0, pid_namespace, pid, start_time, host, command }, label }
    }

    pub(super) fn write(&self, into: &mut Writer) {
        let process = &self.process;
        into.number(process.boot);
        into.number(process.pid_namespace);
        into.number(process.pid.into());
        into.number(process.start_time);
        into.text(&process.host);
        into.text(&process.command);
        into.text(&self.label);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let process = ProcessName {
            boot: from.number()?,
            pid_namespace: from.number()?,
            pid: u32::try_from(from.number()?).ok()?,
            start_time: from.number()?,
            host: from.text()?,
            command: from.text()?,
        };
        Some(Self { process, label: from.text()? })
    }
}

/// # Errors
/// `Invalid` for a label that is too long or has control characters: it is printed.
pub(super) fn check_label(label: &str) -> Result<()> {
    if label.len() <= LONGEST_LABEL && !label.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("label {label:?}: give it at most {LONGEST_LABEL} bytes without control characters");
    Err(Error::new(ErrorKind::Invalid, message))
}
