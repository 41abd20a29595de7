//! `ps`: who is attached.

use clap::Args;
use serde_json::json;
use shmsync::Participant;

use crate::{
    context::Context,
    failure::{Answer, Outcome},
    output::table,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync ps
  shmsync ps --json | jq '.[].pid'

With --json: an array of {\"id\", \"pid\", \"pid_namespace\", \"host\", \"label\", \"command\", \"start_time\", \"alive\"}.

Exit codes: 0 listed (also when nobody is attached), 2 error.";

/// List attached processes
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Ps {
    /// The dead too, until their place is taken
    #[arg(long)]
    all: bool,
}

impl Ps {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let mut participants = context.open_to_read()?.participants()?;
        participants.retain(|one| one.pid != std::process::id() && (one.alive || self.all));
        participants.sort_by_key(|participant| participant.id.0);
        if context.json() {
            context.out.json(&participants.iter().map(json).collect())?;
            return Ok(Outcome::Yes);
        }
        if participants.is_empty() {
            context.say(|| format!("nobody is attached to store {:?}", context.store_name()));
            return Ok(Outcome::Yes);
        }
        let rows: Vec<Vec<String>> = participants.iter().map(row).collect();
        let lines = table(&["PID", "STATE", "HOST", "LABEL", "COMMAND"], &rows);
        lines.iter().try_for_each(|line| context.out.line(line))?;
        Ok(Outcome::Yes)
    }
}

fn json(participant: &Participant) -> serde_json::Value {
    json!({
        "id": participant.id.0.to_string(),
        "pid": participant.pid,
        "pid_namespace": participant.pid_namespace,
        "host": participant.host,
        "label": participant.label,
        "command": participant.command,
        "start_time": participant.start_time,
        "alive": participant.alive,
    })
}

fn row(participant: &Participant) -> Vec<String> {
    vec![
        participant.pid.to_string(),
        if participant.alive { "alive" } else { "dead" }.into(),
        participant.host.clone(),
        participant.label.clone(),
        participant.command.clone(),
    ]
}
