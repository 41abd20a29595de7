//! For whom the command holds locks: for whoever called it, because it ends itself long before.

use shmsync::OwnerProcess;

use crate::{context::Context, failure::Failure};

/// Who takes a lock: a label, where one was given or configured, else the parent process.
pub(crate) fn who_takes(flag: Option<&str>, context: &Context) -> Result<OwnerProcess, Failure> {
    if let Some(label) = label(flag, context) {
        return Ok(OwnerProcess::labelled(label)?);
    }
    let hidden = "the calling process cannot be seen from here; name an owner with --owner LABEL";
    OwnerProcess::parent().ok_or_else(|| Failure::Message(hidden.into()))
}

/// Who may give it back. Also this process itself: `bash -c 'set && free'` runs its last command in its own process,
/// which then is the one that took the lock.
pub(crate) fn who_gives(flag: Option<&str>, context: &Context) -> Result<Vec<OwnerProcess>, Failure> {
    match label(flag, context) {
        Some(label) => Ok(vec![OwnerProcess::labelled(label)?]),
        None => Ok(OwnerProcess::parent().into_iter().chain([OwnerProcess::current()]).collect()),
    }
}

/// Whether a label stands for the owner.
pub(crate) fn label<'a>(flag: Option<&'a str>, context: &'a Context) -> Option<&'a str> {
    flag.or(context.settings.owner.as_deref().filter(|owner| !owner.is_empty()))
}
