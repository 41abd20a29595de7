//! `leader follow`: tells who leads, one after the other.

use std::time::Instant;

use clap::Args;
use serde_json::json;
use shmsync::Candidate;

use crate::{
    context::Context,
    failure::{Answer, Failure, Outcome},
    holding::owner_json,
    moment::utc,
    output::end_with_the_reader,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync leader follow scheduler
  shmsync leader follow scheduler --json | while read -r leader; do …; done

A line per leader: its id; with --json {\"group\", \"id\", \"token\", \"since\", \"owner\": {\"pid\", \"host\", \"label\", \"command\"}}. First
comes who leads now, if anybody does. One that leads only for a moment may be left out, the last one never is.

Exit codes: 1 the time was up (--timeout), 2 error; it does not end by itself.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Follow {
    /// The group
    group: String,
}

impl Follow {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let end = context.timeout().and_then(|limit| Instant::now().checked_add(limit));
        context.check(|store| store.leader(&self.group))?;
        let mut leaders = context.open()?.leader(&self.group)?.follow()?;
        end_with_the_reader();
        loop {
            let next = match end {
                None => leaders.next().transpose()?,
                Some(end) => leaders.next_deadline(end)?,
            };
            let Some(leader) = next else {
                context.say(|| "time is up".into());
                return Ok(Outcome::No);
            };
            self.print(&leader, context)?;
        }
    }

    fn print(&self, leader: &Candidate, context: &Context) -> Result<(), Failure> {
        if context.json() {
            let (owner, since) = (owner_json(&leader.owner), utc(leader.owner.since));
            let token = leader.token.to_string();
            context.out.json(
                &json!({ "group": self.group, "id": leader.id, "token": token, "since": since, "owner": owner }),
            )?;
        } else {
            context.out.line(&leader.id)?;
        }
        context.out.flush()
    }
}
