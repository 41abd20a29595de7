//! Who is measured: ours, and what people use instead, each in the best way that its authors recommend.

mod bare;
mod contract;
#[cfg(feature = "etcd")]
mod etcd;
mod flock;
mod hashmap;
mod iceoryx;
mod lmdb;
mod map;
mod mmap_sync;
mod ours;
mod raw_sync;
mod redis;
mod robust_mutex;

#[cfg(feature = "etcd")]
pub(crate) use self::etcd::Etcd;
pub(crate) use self::{
    bare::Bare,
    contract::{Peer, fill},
    flock::Flock,
    hashmap::HashMapped,
    iceoryx::Iceoryx,
    lmdb::Lmdb,
    mmap_sync::MmapSync,
    ours::Ours,
    raw_sync::RawSync,
    redis::Redis,
    robust_mutex::RobustMutex,
};
