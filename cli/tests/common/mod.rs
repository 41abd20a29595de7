//! What every test has for itself: a folder, a store in it, a home without any configuration, and a watchdog.
#![allow(dead_code, missing_docs, unused_imports, reason = "each test file uses a part of it")]

#[path = "../../../tests/common/dying.rs"]
mod dying;

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub(crate) use dying::die_with_parent;
use tempfile::TempDir;

/// No test takes longer; who does hangs, and shall say so.
const HANGS: Duration = Duration::from_secs(180);

/// Long enough for whatever has to happen, on any machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) struct World {
    folder: TempDir,
    over: Arc<AtomicBool>,
}

/// Whoever runs tests in the background of a shell, or under nohup, ignores signals for them; what they start would too.
#[allow(unsafe_code)]
fn heed_signals() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    for heeded in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGTERM] {
        // SAFETY: the default needs no handler, and nobody here has set another.
        unsafe { signal(heeded, SigHandler::SigDfl) }.expect("a signal");
    }
}

/// What a command answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl World {
    pub(crate) fn new() -> Self {
        heed_signals();
        let folder = tempfile::Builder::new().prefix("shmsync-cli-").tempdir_in("/dev/shm").expect("a folder");
        let over = Arc::new(AtomicBool::new(false));
        let (watched, name) = (Arc::clone(&over), thread::current().name().unwrap_or("a test").to_owned());
        thread::spawn(move || {
            let end = Instant::now() + HANGS;
            while Instant::now() < end {
                thread::sleep(Duration::from_millis(100));
                if watched.load(Ordering::Relaxed) {
                    return;
                }
            }
            eprintln!("{name} hangs");
            std::process::abort();
        });
        Self { folder, over }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of this test's store, as text.
    pub(crate) fn store(&self) -> String {
        self.path("store").to_str().expect("UTF-8").to_owned()
    }

    /// The store as a Rust program opens it.
    pub(crate) fn open(&self) -> shmsync::Sync {
        shmsync::Sync::open(self.store()).expect("opened")
    }

    /// A file in the folder.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(&path, bytes).expect("written");
        path
    }

    /// The command without a store, in the folder, with an empty environment.
    pub(crate) fn bare(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shmsync"));
        command.args(args).env_clear().env("HOME", self.folder()).current_dir(self.folder());
        command
    }

    /// The command with this test's store.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(&["--store", &self.store()]);
        command.args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Answer {
        answer(self.command(args))
    }

    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Answer {
        let mut child = spawn(self.command(args).stdin(Stdio::piped()));
        child.stdin.take().expect("a pipe").write_all(input).expect("read by the command");
        finish(child)
    }

    /// Runs it, expects success, and returns what it printed.
    pub(crate) fn yes(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!((answer.code, answer.err.as_str()), (0, ""), "{args:?}: {answer:?}");
        answer.out
    }

    /// A shell that runs this script, with the command in its path and this test's store in its environment.
    pub(crate) fn shell(&self, shell: &str, script: &str) -> Command {
        let bin = self.path("bin");
        std::fs::create_dir_all(&bin).expect("made");
        let linked = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_shmsync"), bin.join("shmsync"));
        assert!(linked.is_ok() || bin.join("shmsync").exists(), "{linked:?}");
        let mut command = Command::new(shell);
        command.args(["-c", script]).env_clear().env("HOME", self.folder()).current_dir(self.folder());
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).env("SHMSYNC_STORE", self.store());
        command
    }

    /// What `lock status --json` says.
    pub(crate) fn locks(&self) -> Vec<serde_json::Value> {
        json(&self.yes(&["lock", "status", "--json"])).as_array().expect("an array").clone()
    }

    /// Starts it, to go on in the background.
    pub(crate) fn start(&self, args: &[&str]) -> Background {
        Background(spawn(&mut self.command(args)))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn answer(mut command: Command) -> Answer {
    finish(spawn(command.stdin(Stdio::null())))
}

fn spawn(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

fn finish(child: Child) -> Answer {
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    Answer {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).expect("UTF-8"),
        err: String::from_utf8(stderr).expect("UTF-8"),
    }
}

/// Starts a command of one's own, to go on in the background.
pub(crate) fn background(mut command: Command) -> Background {
    Background(spawn(command.stdin(Stdio::piped())))
}

/// Whether a process of that id is there, and no zombie.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// Sends a signal to a process that a test knows by what it printed.
pub(crate) fn signal(pid: &str, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), pid]).stderr(Stdio::null()).status();
    status.expect("kill exists");
}

/// A command in the background; killed when it is dropped.
pub(crate) struct Background(Child);

impl Background {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Where it reads from; of [`background`].
    pub(crate) fn input(&mut self) -> &mut std::process::ChildStdin {
        self.0.stdin.as_mut().expect("a pipe")
    }

    /// The next line it prints.
    pub(crate) fn line(&mut self) -> String {
        let out = self.0.stdout.as_mut().expect("a pipe");
        let (mut line, mut byte) = (Vec::new(), [0]);
        while out.read(&mut byte).expect("readable") == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).expect("UTF-8")
    }

    /// Closes the reading end of its output.
    pub(crate) fn stop_reading(&mut self) {
        drop(self.0.stdout.take());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("waited").is_none()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).status();
        assert!(status.expect("kill exists").success());
    }

    pub(crate) fn end(mut self) -> Answer {
        let status = self.0.wait().expect("it ends");
        let read = |pipe: Option<&mut dyn Read>| {
            let mut text = String::new();
            pipe.map(|pipe| pipe.read_to_string(&mut text).expect("UTF-8"));
            text
        };
        let out = read(self.0.stdout.as_mut().map(|pipe| pipe as &mut dyn Read));
        let err = read(self.0.stderr.as_mut().map(|pipe| pipe as &mut dyn Read));
        Answer { code: status.code().unwrap_or(-1), out, err }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// JSON of a line.
pub(crate) fn json(line: &str) -> serde_json::Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}
