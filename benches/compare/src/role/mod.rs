//! What children do.

mod attach;
mod idle;
mod overwrite;
mod parent;
mod play;
mod sit;
mod tail;
mod turns;
mod wake;
mod window;

pub(crate) use self::{
    parent::Parent,
    play::{FLAG, play},
    tail::SHARES,
    wake::LAST,
};
