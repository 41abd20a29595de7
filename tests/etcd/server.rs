//! An etcd of a test's own: on free ports of this machine, with its data in a temporary folder, gone with the test.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::common::{LONG, die_with_parent};

/// How often servers are started before it is believed that they cannot be.
const TRIES: usize = 5;

/// A running etcd. Killed when this is dropped, and with the thread that started it.
pub(crate) struct Server {
    process: Child,
    /// To start it again.
    command: Command,
    pub(crate) port: u16,
    _data: tempfile::TempDir,
}

/// A port that nobody uses at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// What is no fault is waited for, on however busy a machine.
pub(crate) fn answered<T>(mut call: impl FnMut() -> shmsync::Result<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        match call() {
            Err(error) if error.kind() == shmsync::ErrorKind::Unreachable && Instant::now() < end => {}
            result => return result.expect("an answer"),
        }
    }
}

impl Server {
    /// Starts one and waits until it answers. `None` where etcd is not installed; where `SHMSYNC_NEEDS_ETCD` is set, that
    /// is a failure.
    pub(crate) fn start() -> Option<Self> {
        Self::start_many::<1>().map(|[server]| server)
    }

    /// Starts members of one cluster.
    pub(crate) fn start_many<const N: usize>() -> Option<[Self; N]> {
        if !Self::is_installed() {
            return None;
        }
        // A port that was free may have become somebody else's before etcd has it: then that one ends at once.
        let servers = (0..TRIES).find_map(|_| {
            let ports: [(u16, u16); N] = std::array::from_fn(|_| (free_port(), free_port()));
            let member = |(at, ports): (usize, &(u16, u16))| format!("m{at}=http://127.0.0.1:{}", ports.1);
            let all = ports.iter().enumerate().map(member).collect::<Vec<_>>().join(",");
            let mut servers = std::array::from_fn(|at| Self::spawn(&format!("m{at}"), ports[at], &all, &[]));
            servers.iter_mut().all(Self::answers).then_some(servers)
        });
        Some(servers.expect("etcd that goes on"))
    }

    /// Starts one that speaks TLS to clients, as these flags say. Does not wait.
    pub(crate) fn start_with_tls(flags: &[&str]) -> Option<Self> {
        if !Self::is_installed() {
            return None;
        }
        let ports = (free_port(), free_port());
        Some(Self::spawn("m0", ports, &format!("m0=http://127.0.0.1:{}", ports.1), flags))
    }

    fn is_installed() -> bool {
        let is_there = Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_ok();
        if !is_there {
            let needed = std::env::var_os("SHMSYNC_NEEDS_ETCD").is_some();
            assert!(!needed, "etcd is not installed: apt-get install etcd-server");
            eprintln!("SKIPPED: etcd is not installed (Debian: etcd-server)");
        }
        is_there
    }

    fn spawn(name: &str, (port, peer_port): (u16, u16), all: &str, tls: &[&str]) -> Self {
        let shared = Path::new("/dev/shm");
        let base = if shared.is_dir() { shared } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
        let data = tempfile::Builder::new().prefix("shmsync-etcd-").tempdir_in(base).expect("a temporary directory");
        let scheme = if tls.is_empty() { "http" } else { "https" };
        let (clients, peers) = (format!("{scheme}://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
        let mut command = Command::new("etcd");
        command.args(["--name", name, "--log-level", "error", "--logger", "zap"]).arg("--data-dir").arg(data.path());
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", all]).args(tls);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        die_with_parent(&mut command);
        Self { process: command.spawn().expect("etcd"), command, port, _data: data }
    }

    /// The name of a store on it.
    pub(crate) fn name(&self, prefix: &str) -> String {
        format!("etcd://127.0.0.1:{}/{prefix}", self.port)
    }

    /// It stands still: connections stay, nobody answers.
    pub(crate) fn pause(&self) {
        self.signal(Signal::SIGSTOP);
        // Told when its last thread stands still.
        let status = waitpid(Pid::from_raw(self.process.id() as i32), Some(WaitPidFlag::WUNTRACED));
        assert!(matches!(status, Ok(WaitStatus::Stopped(..))), "{status:?}");
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it; its data stay.
    pub(crate) fn stop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("its end");
    }

    /// Starts it again, with what it had.
    pub(crate) fn start_again(&mut self) {
        self.process = self.command.spawn().expect("etcd");
    }

    /// Kills it, with its data.
    pub(crate) fn kill(self) {
        drop(self);
    }

    fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(Pid::from_raw(self.process.id() as i32), signal).expect("a signal");
    }

    /// Waits until it does; `false` when it has ended.
    fn answers(&mut self) -> bool {
        let deadline = Instant::now() + LONG;
        while let Err(error) = shmsync::Sync::open(self.name("ready?connect=1s")) {
            if self.process.try_wait().expect("its state").is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "etcd does not answer: {error}");
            thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
