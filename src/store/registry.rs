//! What handles of one process share beside the store: the known value of each integer.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::driver::AnyDriver;

/// What is known stays known although nobody holds the integer just now: `integer("n")` is asked for anew each time.
type Known = HashMap<(String, String), Arc<AtomicI64>>;

/// From so many on, integers that nobody holds are forgotten before the table would have to grow.
const MANY: usize = 1 << 16;

/// A forked child may find the register locked by a thread that it does not have; it goes on with the next one then.
static REGISTERS: [Mutex<Option<Known>>; 4] = [const { Mutex::new(None) }; 4];
static CURRENT: AtomicUsize = AtomicUsize::new(0);
/// The register is held for less than a microsecond: so many waits of a millisecond mean that nobody holds it.
const TRIES: u32 = 200;

/// Tells stores apart within the process: equal for two handles on one store.
pub(super) fn identity(driver: &AnyDriver) -> String {
    static CUSTOM: AtomicU64 = AtomicU64::new(0);
    match driver {
        AnyDriver::Memory(memory) => memory.identity(),
        #[cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]
        AnyDriver::Shm(shm) => shm.identity(),
        #[cfg(feature = "etcd")]
        AnyDriver::Etcd(etcd) => etcd.identity(),
        AnyDriver::Custom(_) => format!("custom {}", CUSTOM.fetch_add(1, Ordering::Relaxed)),
    }
}

/// The known value of an integer, shared by all who ask for the same one.
pub(super) fn known(identity: &str, key: &str) -> Arc<AtomicI64> {
    loop {
        let current = CURRENT.load(Ordering::Relaxed);
        // All were left locked by forks upon forks: an unshared value is better than waiting.
        let Some(register) = REGISTERS.get(current) else { return Arc::default() };
        for _ in 0..TRIES {
            let mut register = match register.try_lock() {
                Ok(register) => register,
                Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
                Err(TryLockError::WouldBlock) => {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                }
            };
            return known_in(register.get_or_insert_default(), identity, key);
        }
        let _ = CURRENT.compare_exchange(current, current + 1, Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn known_in(register: &mut Known, identity: &str, key: &str) -> Arc<AtomicI64> {
    if register.len() >= MANY && register.len() == register.capacity() {
        register.retain(|_, known| Arc::strong_count(known) > 1);
    }
    Arc::clone(register.entry((identity.to_owned(), key.to_owned())).or_default())
}
