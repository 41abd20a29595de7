//! The workers' processes: started, watched, replaced, and never left behind.

use std::{
    ffi::{OsStr, OsString},
    io::Read,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use crate::{context::Context, failure::Failure};

/// More deaths than that are no accident.
const MOST_DEATHS: usize = 100;

/// How workers of this run are started.
pub(super) struct Recipe {
    /// The command line before the worker's number.
    arguments: Vec<OsString>,
    dir: PathBuf,
}

impl Recipe {
    /// Workers of that run in that folder.
    pub(super) fn new(context: &Context, store: &OsStr, run: u64, dir: PathBuf) -> Self {
        let mut arguments: Vec<OsString> = vec!["--store".into(), store.into()];
        if let Some(uid) = context.globals.trust_owner {
            arguments.extend(["--trust-owner".into(), uid.to_string().into()]);
        }
        if context.globals.allow_network_fs {
            arguments.push("--allow-network-fs".into());
        }
        let leader = std::process::id().to_string();
        arguments.extend([
            "demo-worker".into(),
            "--run".into(),
            run.to_string().into(),
            "--leader".into(),
            leader.into(),
        ]);
        Self { arguments, dir }
    }

    fn start(&self, number: u32, doomed: bool) -> Result<Child, Failure> {
        let mut command = Command::new(this_program()?);
        command.arg0("shmsync").args(&self.arguments).arg("--number").arg(number.to_string());
        if doomed {
            command.arg("--doomed");
        }
        command.arg("--").arg(&self.dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let fail = |error| format!("cannot start worker {number}: {error}; start fewer with --workers");
        Ok(command.spawn().map_err(fail)?)
    }
}

/// The file of this very program, even if it was replaced meanwhile.
fn this_program() -> Result<PathBuf, Failure> {
    if cfg!(target_os = "linux") {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
        .map_err(|error| Failure::Message(format!("cannot find this program: {error}; run it by its path")))
}

/// A worker that was killed, and the one in its place.
pub(super) struct Death {
    /// Its number.
    pub(super) number: u32,
    /// Its process id.
    pub(super) pid: u32,
    /// The process id of the new one.
    pub(super) successor: u32,
}

/// All workers of a run. Dropping it kills those that still run.
pub(super) struct Crew {
    recipe: Recipe,
    working: Vec<(u32, Child)>,
    deaths: usize,
}

impl Crew {
    /// Nobody yet.
    pub(super) fn new(recipe: Recipe) -> Self {
        Self { recipe, working: Vec::new(), deaths: 0 }
    }

    /// Starts a worker.
    pub(super) fn start(&mut self, number: u32, doomed: bool) -> Result<u32, Failure> {
        let child = self.recipe.start(number, doomed)?;
        let pid = child.id();
        self.working.push((number, child));
        Ok(pid)
    }

    /// Whether anybody works.
    pub(super) fn is_working(&self) -> bool {
        !self.working.is_empty()
    }

    /// Kills a worker at once, with SIGKILL. What comes of it is seen by [`Crew::look`].
    pub(super) fn kill(&mut self, number: u32) -> Result<(), Failure> {
        for (_, child) in self.working.iter_mut().filter(|(worker, _)| *worker == number) {
            child
                .kill()
                .map_err(|error| format!("cannot kill worker {number}: {error}; run the demo without --kill"))?;
        }
        Ok(())
    }

    /// Lets those go who are done and replaces those who were killed.
    pub(super) fn look(&mut self) -> Result<Vec<Death>, Failure> {
        let mut deaths = Vec::new();
        let mut at = 0;
        while at < self.working.len() {
            let (number, child) = &mut self.working[at];
            let number = *number;
            let waited = child.try_wait();
            match waited.map_err(|error| format!("cannot wait for worker {number}: {error}; start the demo again"))? {
                None => at += 1,
                Some(status) => {
                    let (_, mut child) = self.working.swap_remove(at);
                    self.ended(number, &mut child, status, &mut deaths)?;
                }
            }
        }
        Ok(deaths)
    }

    fn ended(
        &mut self,
        number: u32,
        child: &mut Child,
        status: ExitStatus,
        deaths: &mut Vec<Death>,
    ) -> Result<(), Failure> {
        if status.success() {
            return Ok(());
        }
        let mut said = String::new();
        if let Some(mut pipe) = child.stderr.take() {
            let _ = pipe.read_to_string(&mut said);
        }
        if status.code().is_some() {
            let said = said.trim().trim_start_matches("shmsync: ");
            return Err(Failure::Message(format!("worker {number}: {said}")));
        }
        self.deaths += 1;
        if self.deaths > MOST_DEATHS {
            return Err(Failure::Message(format!(
                "worker {number} was killed ({status}) again; find out who kills it"
            )));
        }
        let successor = self.start(number, false)?;
        deaths.push(Death { number, pid: child.id(), successor });
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for (_, child) in &mut self.working {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
