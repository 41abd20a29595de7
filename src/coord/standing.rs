//! Whether a holding still counts. Not by a clock of ours: by whether entries that end by themselves are there.

use super::{
    place::{Entries, Place},
    record::{Holding, Span},
    session::session_key,
};
use crate::{driver::process::has_ended, error::Result};

/// Why a holding no longer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its owner is dead.
    Died,
    /// Its time was up, or it was given back.
    Over,
}

/// What was found about a holding.
pub(super) struct Standing {
    /// `None` = it counts.
    pub(super) end: Option<End>,
    /// The entries by which it lives, each with the revision that is there.
    pub(super) lives: Entries,
    /// Nobody would tell of its owner's death: look now and then.
    pub(super) is_asked: bool,
}

impl Place {
    pub(super) fn standing(&self, holding: &Holding) -> Result<Standing> {
        let mut standing = Standing { end: None, lives: Vec::new(), is_asked: false };
        standing.end = match holding.span {
            _ if holding.released => Some(End::Over),
            Span::Process => self.ends_with(session_key(holding.id.owner), End::Died, &mut standing)?,
            Span::Ttl(_) => self.ends_with(self.ttl_key(holding.id), End::Over, &mut standing)?,
            Span::Forever => None,
        };
        if standing.end.is_none() && holding.dies_with_owner {
            standing.is_asked = true;
            if has_ended(&holding.who.process) {
                standing.end = Some(End::Died);
            }
        }
        if holding.minimum && self.ends_with(self.minimum_key(holding.id), End::Over, &mut standing)?.is_none() {
            // Neither release nor death shortens the least time.
            standing.end = None;
        }
        Ok(standing)
    }

    fn ends_with(&self, key: String, how: End, standing: &mut Standing) -> Result<Option<End>> {
        let revision = self.present(&key)?;
        standing.lives.push((key, revision));
        Ok(if revision.is_some() { None } else { Some(how) })
    }
}
