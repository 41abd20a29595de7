//! Children that are this test binary again.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
};

use super::{Place, die_with_parent};

/// The role this process plays as a child, with its arguments.
pub fn role() -> Option<(String, Vec<String>)> {
    let role = env::var("SHMSYNC_TEST_ROLE").ok()?;
    let mut words = role.split('\u{1f}').map(str::to_owned);
    Some((words.next()?, words.collect()))
}

/// Defines the test `child` in which children play their roles: `roles!(writer, reader)` for functions that take the
/// arguments given to [`Child::spawn`].
#[macro_export]
macro_rules! roles {
    ($($role:ident),* $(,)?) => {
        #[test]
        fn child() {
            let Some((role, arguments)) = common::role() else { return };
            match role.as_str() {
                $(stringify!($role) => $role(arguments.as_slice()),)*
                other => panic!("no role is called {other}"),
            }
        }
    };
}

/// Another process that plays a role. It is killed when this is dropped, and when this process dies.
pub struct Child {
    process: process::Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Child {
    /// Starts a child in that role.
    pub fn spawn(role: &str, arguments: &[&str]) -> Self {
        Self::spawn_with(role, arguments, |_| ())
    }

    /// Starts a child in that role, on that store: its path becomes the first argument.
    pub fn on(place: &Place, role: &str, arguments: &[&str]) -> Self {
        let path = place.path();
        let mut all = vec![path.to_str().expect("a path that is text")];
        all.extend(arguments);
        Self::spawn(role, &all)
    }

    /// Starts a child in that role, after a last hand on its command.
    pub fn spawn_with(role: &str, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let words: Vec<&str> = [role].into_iter().chain(arguments.iter().copied()).collect();
        let mut command = Command::new(env::current_exe().expect("this binary"));
        command.args(["child", "--exact", "--nocapture", "--test-threads=1"]);
        command.env("SHMSYNC_TEST_ROLE", words.join("\u{1f}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        prepare(&mut command);
        die_with_parent(&mut command);
        let mut process = command.spawn().expect("a child");
        let (input, output) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
        Self { process, input, output: BufReader::new(output) }
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Writes a line that the child gets from [`hear`].
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).expect("the child listens");
    }

    /// The next line that the child [says](say); `None` when it has ended.
    pub fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("a pipe") > 0 {
            if let Some(said) = line.strip_prefix("> ") {
                return Some(said.trim_end().to_owned());
            }
            line.clear();
        }
        None
    }

    /// The next line of the child is this one.
    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.answer().as_deref(), Some(line), "what child {} says", self.pid());
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: the child was not waited for yet, so the number still means it.
        let result = unsafe { libc::kill(self.pid() as i32, signal) };
        assert_eq!(result, 0, "the child can be signalled");
    }

    /// Whether the child has ended.
    pub fn has_ended(&mut self) -> bool {
        self.process.try_wait().expect("a child to look at").is_some()
    }

    /// Kills the child and waits for its end.
    pub fn kill(mut self) -> ExitStatus {
        let _ = self.process.kill();
        self.process.wait().expect("a child to wait for")
    }

    /// Waits for the child to end well.
    #[track_caller]
    pub fn finish(mut self) {
        let status = self.process.wait().expect("a child to wait for");
        assert!(status.success(), "child {} ends with {status}", self.pid());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a child: says a line to the parent.
pub fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    // The test harness leaves a line open before.
    write!(out, "\n> {line}\n").and_then(|()| out.flush()).expect("the parent listens");
}

/// In a child: the next line from the parent. When the parent has gone, so does the child.
pub fn hear() -> String {
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).expect("a pipe") == 0 {
        process::exit(3);
    }
    line.trim_end().to_owned()
}
