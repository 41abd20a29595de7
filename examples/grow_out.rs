//! A program that outgrows its machine: the same code, first on shared memory, then on a cluster, where it goes on with what
//! it had.
//!
//! `cargo run --features etcd --example grow_out -- etcd://10.0.0.1:2379/jobs`. Without a name it starts an etcd of its own
//! on a free port of this machine, where one is installed.

use std::{
    env, fs,
    net::TcpListener,
    path::PathBuf,
    process::{self, Child, Command, Stdio},
    thread,
};

use serde::{Deserialize, Serialize};
use shmsync::{Result, Sync};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Report {
    jobs: i64,
    by: String,
}

/// What the program does, wherever its store is: workers take numbered jobs, one after the other, and say how far they are.
fn work(name: &str) -> Result<Report> {
    let store = Sync::open(name)?;
    let mut watch = store.watch("report")?;
    let already = store.integer("jobs").get()?.unwrap_or(0);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(|| take_jobs(&store))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))
    })?;
    let leadership = store.leader("reporters")?.elect("me")?;
    let report = Report { jobs: store.integer("jobs").refresh()?, by: format!("token {}", leadership.token()) };
    store.set("report", &report)?;
    while watch.next().expect("a change")?.value::<Report>()?.is_none_or(|seen| seen != report) {}
    assert_eq!(report.jobs, already + 30, "a job was lost, or done twice");
    println!("{name}: {already} jobs before, {} now", report.jobs);
    Ok(report)
}

fn take_jobs(store: &Sync) -> Result<()> {
    for _ in 0..10 {
        let guard = store.lock("turn")?.acquire()?;
        let job = store.integer("jobs").increment(1)?;
        store.set(&format!("job/{job:03}"), &guard.token().to_string())?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let folder = PathBuf::from("/dev/shm");
    let folder = if folder.is_dir() { folder } else { env::temp_dir() };
    let near = folder.join(format!("example-grow-out-{}", process::id())).display().to_string();
    let cluster = env::args().nth(1).is_none().then(Cluster::start);
    let far = match &cluster {
        None => env::args().nth(1).unwrap_or_default(),
        Some(Some(cluster)) => cluster.name.clone(),
        Some(None) => {
            println!("skipped: there is no etcd here (Debian: etcd-server), and no name of one was given");
            return Ok(());
        }
    };

    work(&near)?;
    // What `shmsync copy` does.
    let (before, after) = (Sync::open(&near)?, Sync::open(&far)?);
    after.replace_all_encoded("", &before.read_all_encoded("")?)?;
    let report = work(&far)?;

    assert_eq!(report.jobs, 60);
    assert_eq!(after.keys("job/")?.count(), 60);
    after.clear()?;
    before.destroy()
}

/// An etcd for the time of this example.
struct Cluster {
    etcd: Child,
    data: PathBuf,
    name: String,
}

impl Cluster {
    fn start() -> Option<Self> {
        let free_port = || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let [clients, peers] = [free_port(), free_port()].map(|address| address.expect("a free port"));
        let data = env::temp_dir().join(format!("example-grow-out-{}.etcd", process::id()));
        let (clients_url, peers_url) = (format!("http://{clients}"), format!("http://{peers}"));
        let mut command = Command::new("etcd");
        command.args(["--log-level", "error", "--data-dir"]).arg(&data);
        command.args(["--listen-client-urls", &clients_url, "--advertise-client-urls", &clients_url]);
        command.args(["--listen-peer-urls", &peers_url, "--initial-advertise-peer-urls", &peers_url]);
        command.args(["--initial-cluster", &format!("default={peers_url}")]);
        let etcd = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let cluster = Self { etcd, data, name: format!("etcd://{clients}/jobs") };
        // It takes a moment until it answers.
        (0..30).any(|_| Sync::open(&cluster.name).is_ok()).then_some(cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}
