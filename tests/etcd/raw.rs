//! What etcd itself says, without our driver.

use crate::server::Server;

impl Server {
    /// Asks it without our driver.
    pub(crate) fn raw<T>(&self, work: impl AsyncFnOnce(etcd_client::Client) -> Result<T, etcd_client::Error>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = format!("http://127.0.0.1:{}", self.port);
        let answer = runtime.block_on(async {
            let client = etcd_client::Client::connect([url], None).await?;
            work(client).await
        });
        answer.expect("an answer")
    }

    /// Whether it leads its cluster.
    pub(crate) fn leads(&self) -> bool {
        self.raw(async |client| {
            let status = client.maintenance_client().status().await?;
            Ok(status.header().is_some_and(|header| header.member_id() == status.leader()))
        })
    }
}
