//! Asking a cluster: whichever of its members answers.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use etcd_client::{Certificate, Client, ConnectOptions, Identity, KvClient, TlsOptions};

use super::{address::Address, trouble::Trouble};
use crate::error::{Error, Result};

/// Between two rounds in which nobody could be reached.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(100);
/// etcd takes more frequent signs of life for an attack.
const PING: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(3));

/// The members of a cluster, of which one is asked until it fails.
pub(super) struct Cluster {
    pub(super) address: Address,
    options: ConnectOptions,
    members: Vec<Mutex<Option<Client>>>,
    current: AtomicUsize,
}

impl Cluster {
    /// # Errors
    /// `Io`, `Permission` when files with certificates cannot be read.
    pub(super) fn new(address: Address) -> Result<Self> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(address.connect)
            .with_keep_alive(PING.0, PING.1)
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some((user, password)) = &address.user {
            options = options.with_user(user, password);
        }
        if let Some(tls) = &address.tls {
            let mut theirs = TlsOptions::new().ca_certificate(Certificate::from_pem(read(&tls.ca)?));
            if let Some((certificate, key)) = &tls.identity {
                theirs = theirs.identity(Identity::from_pem(read(certificate)?, read(key)?));
            }
            if let Some(name) = &tls.name {
                theirs = theirs.domain_name(name);
            }
            options = options.with_tls(theirs);
        }
        let members = address.endpoints.iter().map(|_| Mutex::new(None)).collect();
        Ok(Self { address, options, members, current: AtomicUsize::new(0) })
    }

    /// A client for the member that is asked now, and which one that is.
    async fn client(&self) -> Result<(usize, Client), (usize, Trouble)> {
        let at = self.current.load(Relaxed) % self.members.len();
        if let Some(client) = locked(&self.members[at]).clone() {
            return Ok((at, client));
        }
        let scheme = if self.address.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", self.address.endpoints[at]);
        match Client::connect([url], Some(self.options.clone())).await {
            Ok(client) => Ok((at, locked(&self.members[at]).get_or_insert(client).clone())),
            Err(error) => Err((at, Trouble::from(error))),
        }
    }

    /// Somebody else is asked next, unless that is so already.
    fn pass_over(&self, at: usize) {
        let _ = self.current.compare_exchange(at, (at + 1) % self.members.len(), Relaxed, Relaxed);
    }

    /// Asks until somebody answers, at most that long. What changes something (`again` is false) is asked again only if
    /// it has surely reached nobody. Where it does no harm, the last one who gave a reason is told of: that the limit cut
    /// off one more try explains nothing.
    pub(super) async fn ask<T, F: Future<Output = Result<T, etcd_client::Error>>>(
        &self,
        limit: Duration,
        again: bool,
        call: impl Fn(Client) -> F,
    ) -> Result<T, Trouble> {
        let (begun, mut tried, mut reason) = (Instant::now(), 0, None);
        let members = u32::try_from(self.members.len()).unwrap_or(1);
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            // Where it does no harm, one that is silent is not waited for to the end: others may answer.
            let patience = if again { left.min((limit / members).max(Duration::from_secs(1))) } else { left };
            let (at, trouble) = match tokio::time::timeout(patience, self.attempt(&call)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err((at, trouble))) => {
                    reason = trouble.reason().map(str::to_owned);
                    (at, trouble)
                }
                Err(_) => (self.current.load(Relaxed) % self.members.len(), silent(patience)),
            };
            let may_repeat = matches!(trouble, Trouble::Unsent(_)) || again && matches!(trouble, Trouble::Unsure(_));
            if matches!(trouble, Trouble::Unsent(_) | Trouble::Unsure(_)) {
                self.pass_over(at);
            }
            tried += 1;
            if !may_repeat || begun.elapsed() + BETWEEN_ROUNDS >= limit {
                return Err(match trouble {
                    Trouble::Unsure(why) if again => Trouble::Unsent(reason.unwrap_or(why)),
                    trouble => trouble,
                });
            }
            if tried % members == 0 {
                tokio::time::sleep(BETWEEN_ROUNDS).await;
            }
        }
    }

    async fn attempt<T, F: Future<Output = Result<T, etcd_client::Error>>>(
        &self,
        call: impl Fn(Client) -> F,
    ) -> Result<T, (usize, Trouble)> {
        let (at, client) = self.client().await?;
        call(client).await.map_err(|error| (at, Trouble::from(error)))
    }
}

/// For answers of any size: what is too much is refused when it is written.
pub(super) fn unlimited(client: &Client) -> KvClient {
    client.kv_client().max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX)
}

fn silent(time: Duration) -> Trouble {
    Trouble::Unsure(format!("silence for {:.1} s", time.as_secs_f64()))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io(format!("cannot read {}", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by a machine so slow that the time for the last try was over before it could fail: the certificate that was
    /// refused ten times before was not told of.
    #[test]
    fn a_last_try_that_is_cut_off_does_not_hide_why_the_others_failed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let cluster = Cluster::new(Address::parse("etcd://127.0.0.1:1/x").unwrap()).unwrap();
            let tries = AtomicUsize::new(0);
            let call = |_| {
                let is_first = tries.fetch_add(1, Relaxed) == 0;
                async move {
                    if is_first {
                        return Err::<(), _>(etcd_client::Error::WatchError("bad certificate".to_owned()));
                    }
                    std::future::pending().await
                }
            };
            let trouble = cluster.ask(BETWEEN_ROUNDS * 3, true, call).await.unwrap_err();
            assert!(tries.load(Relaxed) > 1);
            assert!(matches!(&trouble, Trouble::Unsent(why) if why.contains("bad certificate")), "{trouble:?}");
        });
    }
}
