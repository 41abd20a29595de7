//! `ps`: who is attached, who holds what, who waits for what.

use std::time::{Duration, SystemTime};

use clap::Args;
use serde_json::{Value as Json, json};
use shmsync::{LockInfo, LockKind, Participant};

use crate::{
    context::Context,
    duration::spoken,
    failure::{Answer, Outcome},
    holding::seconds,
    output::table,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync ps
  shmsync ps --json | jq '.[].pid'
  shmsync ps --json | jq -r '.[] | select(.waits != []) | .command'

With --json: an array of {\"id\", \"pid\", \"pid_namespace\", \"host\", \"label\", \"command\", \"start_time\", \"alive\", \"holds\",
\"waits\"}. holds and waits: arrays of {\"kind\": \"lock\" | \"semaphore\" | \"leader\", \"name\", \"for_s\"}. Who holds something without
being attached (the shell that called 'lock set', or a label) has no id, pid_namespace and start_time: they are null.

Exit codes: 0 listed (also when nobody is attached), 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Ps {
    /// The dead too, until their place is taken
    #[arg(long)]
    all: bool,
}

/// A process, or a label, and its locks.
struct Process {
    /// `None` = not attached.
    participant: Option<Participant>,
    who: Who,
    alive: bool,
    holds: Vec<Part>,
    waits: Vec<Part>,
}

/// What locks tell of a process.
#[derive(PartialEq, Eq)]
struct Who {
    pid: u32,
    host: String,
    label: String,
    command: String,
}

/// A lock that somebody holds or waits for.
struct Part {
    kind: LockKind,
    name: String,
    time: Duration,
}

impl Ps {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let store = context.open_to_read()?;
        let mut participants = store.participants()?;
        participants.retain(|one| one.pid != std::process::id() && (one.alive || self.all));
        participants.sort_by_key(|participant| participant.id.0);
        let mut processes: Vec<Process> = participants.into_iter().map(Process::attached).collect();
        for lock in store.locks("")? {
            add(&lock, &mut processes);
        }
        if context.json() {
            context.out.json(&processes.iter().map(Process::json).collect())?;
            return Ok(Outcome::Yes);
        }
        if processes.is_empty() {
            context.say(|| format!("nobody is attached to store {:?}", context.store_name()));
            return Ok(Outcome::Yes);
        }
        let rows: Vec<Vec<String>> = processes.iter().map(Process::row).collect();
        let lines = table(&["PID", "STATE", "HOST", "LABEL", "HOLDS", "WAITS FOR", "COMMAND"], &rows);
        lines.iter().try_for_each(|line| context.out.line(line))?;
        Ok(Outcome::Yes)
    }
}

/// Tells the processes what they hold of this lock, or wait for.
fn add(lock: &LockInfo, to: &mut Vec<Process>) {
    let part = |time| Part { kind: lock.kind, name: lock.name.clone(), time };
    for owner in &lock.owners {
        let who = Who::new(owner.pid, &owner.host, &owner.label, &owner.command);
        find(who, !owner.is_gone, to).holds.push(part(owner.age()));
    }
    for waiter in &lock.waiters {
        let who = Who::new(waiter.pid, &waiter.host, &waiter.label, &waiter.command);
        let time = SystemTime::now().duration_since(waiter.since).unwrap_or_default();
        find(who, true, to).waits.push(part(time));
    }
}

/// The process that a lock tells of: one that is attached, else one added for it. A lock may have a label of its own.
fn find(who: Who, alive: bool, among: &mut Vec<Process>) -> &mut Process {
    let is_same = |one: &Process| match &one.participant {
        Some(participant) => who.pid != 0 && participant.pid == who.pid && participant.host == who.host,
        None => one.who == who,
    };
    let at = among.iter().position(is_same).unwrap_or_else(|| {
        among.push(Process { participant: None, who, alive, holds: vec![], waits: vec![] });
        among.len() - 1
    });
    &mut among[at]
}

impl Who {
    fn new(pid: u32, host: &str, label: &str, command: &str) -> Self {
        Self { pid, host: host.to_owned(), label: label.to_owned(), command: command.to_owned() }
    }
}

impl Process {
    fn attached(participant: Participant) -> Self {
        let Participant { pid, host, label, command, alive, .. } = &participant;
        let (who, alive) = (Who::new(*pid, host, label, command), *alive);
        Self { participant: Some(participant), who, alive, holds: vec![], waits: vec![] }
    }

    fn json(&self) -> Json {
        let attached = self.participant.as_ref();
        let parts = |parts: &[Part]| -> Json {
            let json = |Part { kind, name, time }: &Part| json!({ "kind": kind.to_string(), "name": name, "for_s": seconds(*time) });
            parts.iter().map(json).collect()
        };
        json!({
            "id": attached.map(|participant| participant.id.0.to_string()),
            "pid": (self.who.pid != 0).then_some(self.who.pid),
            "pid_namespace": attached.map(|participant| participant.pid_namespace),
            "host": self.who.host,
            "label": self.who.label,
            "command": self.who.command,
            "start_time": attached.map(|participant| participant.start_time),
            "alive": self.alive,
            "holds": parts(&self.holds),
            "waits": parts(&self.waits),
        })
    }

    fn row(&self) -> Vec<String> {
        let parts = |parts: &[Part]| {
            let text = |part: &Part| match part.kind {
                LockKind::Lock => format!("{} {}", part.name, spoken(part.time)),
                kind => format!("{kind} {} {}", part.name, spoken(part.time)),
            };
            parts.iter().map(text).collect::<Vec<_>>().join(", ")
        };
        let Who { pid, host, label, command } = &self.who;
        vec![
            if *pid == 0 { String::new() } else { pid.to_string() },
            if self.alive { "alive" } else { "dead" }.into(),
            host.clone(),
            label.clone(),
            parts(&self.holds),
            parts(&self.waits),
            command.clone(),
        ]
    }
}
