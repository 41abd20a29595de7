//! What is seen while a demo runs: live bars on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::record::{Doing, Totals, Worker};
use crate::{
    failure::Failure,
    output::{Output, printable},
};

/// How often plain lines come.
const PLAIN_STEP: Duration = Duration::from_secs(1);

/// Where progress is shown.
pub(super) enum View {
    /// Nowhere.
    Quiet,
    /// Bars on a terminal: one for all files, one for each worker.
    Bars { all: MultiProgress, total: ProgressBar, workers: Vec<ProgressBar> },
    /// A line now and then.
    Lines { title: &'static str, next: Instant },
}

impl View {
    /// A view of `workers` who read so many bytes, quiet when the answer is to be JSON.
    pub(super) fn new(quiet: bool, title: &'static str, bytes: u64, workers: u32) -> Self {
        if quiet {
            return Self::Quiet;
        }
        if !std::io::stdout().is_terminal() {
            return Self::Lines { title, next: Instant::now() + PLAIN_STEP };
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
        let bar = |length, template| {
            let style = ProgressStyle::with_template(template).expect("a valid template").progress_chars("=> ");
            all.add(ProgressBar::new(length).with_style(style))
        };
        let total = bar(bytes, "{prefix:>9} [{bar:30}] {percent:>3}%  {msg}");
        total.set_prefix(title);
        let workers = (1..=workers).map(|number| {
            let worker = bar(1, "{prefix:>9} [{bar:30}] {percent:>3}%  {wide_msg}");
            worker.set_prefix(format!("worker {number}"));
            worker
        });
        let workers = workers.collect();
        Self::Bars { all, total, workers }
    }

    /// Shows how far everybody is.
    pub(super) fn show(&mut self, out: &Output, length: usize, totals: &Totals, now: &[Worker]) -> Result<(), Failure> {
        let done = totals.files + totals.failed;
        let position = totals.bytes + now.iter().map(|worker| worker.position).sum::<u64>();
        match self {
            Self::Quiet => {}
            Self::Bars { total, workers, .. } => {
                total.set_position(position.min(total.length().unwrap_or(position)));
                total.set_message(format!("{done} of {length} files, {}", HumanBytes(position)));
                for (bar, worker) in workers.iter().zip(now) {
                    bar.set_length(worker.size.max(worker.position).max(1));
                    bar.set_position(worker.position);
                    bar.set_message(describe(worker));
                }
            }
            Self::Lines { title, next } if Instant::now() >= *next => {
                *next = Instant::now() + PLAIN_STEP;
                out.line(format!("{title}: {done} of {length}, {}", HumanBytes(position)))?;
                out.flush()?;
            }
            Self::Lines { .. } => {}
        }
        Ok(())
    }

    /// Says something that stays.
    pub(super) fn say(&self, out: &Output, text: &str) -> Result<(), Failure> {
        match self {
            Self::Quiet => Ok(()),
            Self::Bars { all, .. } => {
                let written = all.println(text);
                written.map_err(Failure::output)
            }
            Self::Lines { .. } => {
                out.line(text)?;
                out.flush()
            }
        }
    }

    /// Takes the bars away.
    pub(super) fn end(self) {
        if let Self::Bars { all, .. } = self {
            let _ = all.clear();
        }
    }
}

fn describe(worker: &Worker) -> String {
    let what = match (worker.doing, &worker.file) {
        (Doing::Reading, Some(file)) => printable(file),
        (Doing::Holding, Some(file)) => format!("{} (holds still)", printable(file)),
        (Doing::Waiting, _) => "waits for the others".into(),
        (Doing::Finished, _) => "finished".into(),
        _ => "starts".into(),
    };
    format!("{:>6} files  pid {:<7} {what}", worker.files, worker.pid)
}
