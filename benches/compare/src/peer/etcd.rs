//! An etcd server of our own, without a disk, and its own client, asked one thing after the other.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp};
use tokio::runtime::{Builder, Runtime};

use crate::failure::{Outcome, fail};

const PROGRAM: &str = "etcd";
const PATIENCE: Duration = Duration::from_secs(30);
/// What bare requests go to.
const KEY: &str = "bare/key";

pub(crate) struct Etcd {
    server: Child,
    address: String,
    runtime: Runtime,
    client: Client,
    lease: i64,
}

impl Etcd {
    pub(crate) const NAME: &'static str = "etcd-client";

    /// `None` where it is not installed.
    pub(crate) fn version() -> Option<String> {
        let output = Command::new(PROGRAM).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines().find_map(|line| line.strip_prefix("etcd Version: ")).map(str::to_owned)
    }

    /// `None` where it is not installed.
    pub(crate) fn start(folder: &Path) -> Outcome<Option<Self>> {
        let port = || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let (address, peers) = (port()?.to_string(), format!("http://{}", port()?));
        let url = format!("http://{address}");
        let mut command = Command::new(PROGRAM);
        command.args(["--log-level", "error", "--data-dir"]).arg(folder.join("data"));
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}")]);
        let server = match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            started => started?,
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let start = Instant::now();
        let client = loop {
            let asked = async {
                let mut client = Client::connect([&url], None).await?;
                let lease = client.lease_grant(3_600, None).await?.id();
                Ok::<_, etcd_client::Error>((client, lease))
            };
            match runtime.block_on(asked) {
                Ok(client) => break client,
                Err(_) if start.elapsed() < PATIENCE => sleep(Duration::from_millis(20)),
                Err(error) => return fail(format!("{PROGRAM} was started but does not answer: {error}")),
            }
        };
        Ok(Some(Self { server, address, runtime, client: client.0, lease: client.1 }))
    }

    /// The name of a store on it.
    pub(crate) fn name(&self) -> String {
        format!("etcd://{}/ours", self.address)
    }

    pub(crate) fn get(&mut self) -> Outcome<usize> {
        let answer = self.runtime.block_on(self.client.get(KEY, None))?;
        Ok(answer.kvs().first().map_or(0, |entry| entry.value().len()))
    }

    pub(crate) fn set(&mut self, value: &[u8]) -> Outcome<()> {
        self.runtime.block_on(self.client.put(KEY, value, None))?;
        Ok(())
    }

    /// Writes if two other keys are as they should be, as whoever shares keys with others has to.
    pub(crate) fn set_checked(&mut self, value: &[u8]) -> Outcome<()> {
        let is_there = Compare::create_revision(KEY, CompareOp::Greater, 0);
        let is_open = Compare::create_revision("bare/gate", CompareOp::Equal, 0);
        let put = TxnOp::put("bare/other", value, None);
        let done = self.runtime.block_on(self.client.txn(Txn::new().when([is_there, is_open]).and_then([put])))?;
        if done.succeeded() { Ok(()) } else { fail("a key is not as it was left") }
    }

    /// Reads, and writes if nobody else has written meanwhile.
    pub(crate) fn add(&mut self, by: i64) -> Outcome<i64> {
        loop {
            let found = self.runtime.block_on(self.client.get("bare/count", None))?;
            let entry = found.kvs().first();
            let sum = entry.and_then(|entry| entry.value_str().ok()?.parse::<i64>().ok()).unwrap_or(0) + by;
            let revision = entry.map_or(0, |entry| entry.mod_revision());
            let is_same = Compare::mod_revision("bare/count", CompareOp::Equal, revision);
            let put = TxnOp::put("bare/count", sum.to_string(), None);
            if self.runtime.block_on(self.client.txn(Txn::new().when([is_same]).and_then([put])))?.succeeded() {
                return Ok(sum);
            }
        }
    }

    /// One transaction that puts a key with a lease where there is none, and one that removes it if it is still the same.
    pub(crate) fn lock_and_unlock(&mut self) -> Outcome<()> {
        let put = TxnOp::put("bare/lock", "me", Some(PutOptions::new().with_lease(self.lease)));
        let is_free = Compare::create_revision("bare/lock", CompareOp::Equal, 0);
        let taken = self.runtime.block_on(self.client.txn(Txn::new().when([is_free]).and_then([put])))?;
        let revision = taken.header().ok_or("no header")?.revision();
        let is_mine = Compare::create_revision("bare/lock", CompareOp::Equal, revision);
        let delete = TxnOp::delete("bare/lock", None);
        let freed = self.runtime.block_on(self.client.txn(Txn::new().when([is_mine]).and_then([delete])))?;
        if taken.succeeded() && freed.succeeded() { Ok(()) } else { fail("the lock was not free") }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.server.kill().and_then(|()| self.server.wait());
    }
}
