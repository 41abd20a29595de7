//! Which role is played by what.

use std::{
    env::Args,
    path::{Path, PathBuf},
};

use nix::sys::{prctl::set_pdeathsig, signal::Signal};

use super::{attach, idle, overwrite, sit, tail, turns, wake, window};
use crate::failure::{Outcome, fail};

/// The first word of a child's command line.
pub(crate) const FLAG: &str = "--role";

/// Plays the role that the rest of the command line tells.
pub(crate) fn play(mut arguments: Args) -> Outcome<()> {
    // Nobody stays behind when the parent is interrupted.
    set_pdeathsig(Signal::SIGKILL)?;
    let role = arguments.next().ok_or("no role was told")?;
    let folder = PathBuf::from(arguments.next().ok_or("no folder was told")?);
    let words: Vec<String> = arguments.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let play: fn(&Path, &[&str]) -> Outcome<()> = match role.as_str() {
        "attach" => attach::attach,
        "idle" => idle::idle,
        "overwrite" => overwrite::overwrite,
        "paced" => idle::paced,
        "sit" => sit::sit,
        "tail" => tail::tail,
        "hold" => turns::hold,
        "sleeper" => turns::sleeper,
        "turns" => turns::turns,
        "wake" => wake::wake,
        "window" => window::window,
        _ => return fail(format!("there is no role {role:?}")),
    };
    play(&folder, &words)
}
