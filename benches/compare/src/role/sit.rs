//! Is attached and does nothing.

use std::path::Path;

use super::Parent;
use crate::{failure::Outcome, peer::Ours};

pub(super) fn sit(folder: &Path, _words: &[&str]) -> Outcome<()> {
    let ours = Ours::open(folder)?;
    // A process that never wrote is not attached yet.
    ours.store.set(&format!("sitter/{}", std::process::id()), &1)?;
    Parent.ready();
    Parent.wait_for_the_end();
    Ok(())
}
