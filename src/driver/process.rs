//! Processes as people and the command name them: not attached, perhaps on another host, perhaps gone.

/// What names a process of one boot of one machine for ever: an id alone is used again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProcessName {
    pub(crate) boot: u64,
    pub(crate) pid_namespace: u64,
    pub(crate) pid: u32,
    pub(crate) start_time: u64,
    pub(crate) host: String,
    pub(crate) command: String,
}

#[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
mod imp {
    use super::ProcessName;
    use crate::sys::{clock, identity};

    /// Commands are cut off here: they are for people to read.
    const LONGEST_COMMAND: usize = 96;

    fn boot() -> u64 {
        clock::boot_id().map_or(0, |id| u64::from_le_bytes([id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7]]))
    }

    /// The process of that id, as far as it can be seen from here.
    pub(crate) fn name_of(pid: u32) -> Option<ProcessName> {
        Some(ProcessName {
            boot: boot(),
            pid_namespace: identity::pid_namespace().ok()?,
            pid,
            start_time: identity::start_time(pid).ok()?,
            host: identity::host_name(),
            command: identity::command_of(pid, LONGEST_COMMAND),
        })
    }

    /// The parent of the calling process.
    pub(crate) fn parent() -> u32 {
        std::os::unix::process::parent_id()
    }

    /// Whether that process is surely no more. Of another boot it is; of another namespace nobody here can tell.
    pub(crate) fn has_ended(process: &ProcessName) -> bool {
        if process.pid == 0 {
            return false;
        }
        let here = boot();
        if process.boot != here {
            // Another boot of this machine, or another machine: only the first is proof.
            return process.boot != 0 && here != 0 && process.host == identity::host_name();
        }
        if identity::pid_namespace().ok() != Some(process.pid_namespace) {
            return false;
        }
        match identity::start_time(process.pid) {
            Ok(start) => start != process.start_time || identity::is_zombie(process.pid),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable))))]
mod imp {
    use super::ProcessName;

    pub(crate) fn name_of(pid: u32) -> Option<ProcessName> {
        (pid == std::process::id()).then(|| ProcessName { pid, ..ProcessName::default() })
    }

    pub(crate) fn parent() -> u32 {
        0
    }

    pub(crate) fn has_ended(_: &ProcessName) -> bool {
        false
    }
}

pub(crate) use imp::{has_ended, name_of, parent};
