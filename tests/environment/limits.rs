//! Limits of a process, and signals without pause.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use shmsync::{ErrorKind, Sync, Value};

use super::common::{Child, Place, assert_kind, assert_sound, open, options, say};

pub fn set_limit(resource: libc::__rlimit_resource_t, value: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes and reads a limit that is alive.
    let result = unsafe {
        libc::getrlimit(resource, &mut limit);
        limit.rlim_cur = value;
        libc::setrlimit(resource, &limit)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Attack 35: a limit on file sizes is `Full`, not a SIGXFSZ that kills, at creation and whenever the file grows.
#[test]
fn attack_35_a_limit_on_file_sizes_is_full_and_no_signal() {
    let place = Place::new();
    let mut child = Child::on(&place, "short_files", &[]);
    child.expect("done");
    child.finish();
    assert_sound(&place.open());
}

pub fn short_files(arguments: &[String]) {
    let path = Path::new(&arguments[0]);
    for limit in [0, 100, 4096, 20_000] {
        set_limit(libc::RLIMIT_FSIZE, limit);
        let error = Sync::options().capacity(1 << 20).open(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Full, "{limit}: {error:?}");
        assert!(!path.exists(), "{limit}: something is left behind");
    }
    for limit in [200 << 10, 250 << 10, 333 << 10, 1 << 20] {
        set_limit(libc::RLIMIT_FSIZE, limit);
        let store = Sync::options().capacity(64 << 20).open(path).unwrap_or_else(|error| {
            assert_eq!(error.kind(), ErrorKind::Full);
            set_limit(libc::RLIMIT_FSIZE, 1 << 20);
            Sync::options().capacity(1 << 20).open(path).unwrap()
        });
        let failed = (0..3000).map(|number| store.set(&format!("{limit}/{number}"), &vec![number; 400]));
        let error = failed.filter_map(Result::err).next().expect("the limit is reached");
        assert_eq!(error.kind(), ErrorKind::Full, "{limit}: {error:?}");
        assert_sound(&store);
    }
    set_limit(libc::RLIMIT_FSIZE, libc::RLIM_INFINITY);
    say("done");
}

/// Too few addresses for a store, and too little memory for a value, are errors that say so.
#[test]
fn a_limit_on_memory_is_an_error_that_names_it() {
    let place = Place::new();
    let store = place.open();
    store.set_bytes("large", &vec![7; 100 << 20]).unwrap();
    store.set("small", &1).unwrap();
    let mut child = Child::on(&place, "little_memory", &[]);
    child.expect("done");
    child.finish();
}

pub fn little_memory(arguments: &[String]) {
    // Without a thread, which would take memory of its own just now, or not yet.
    let store = options().liveness_thread(false).open(Path::new(&arguments[0])).unwrap();
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let now = statm.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096;
    set_limit(libc::RLIMIT_AS, now + (150 << 20));
    // Enough to read it, but not to copy what was read.
    assert_kind(store.get_bytes("large"), ErrorKind::Io, "no memory");
    set_limit(libc::RLIMIT_AS, now + (50 << 20));
    let error = assert_kind(Sync::open(format!("{}-other", arguments[0])), ErrorKind::Full, "capacity");
    assert!(error.to_string().contains("RLIMIT_AS"), "{error}");
    let start = Instant::now();
    assert_kind(store.get_bytes("large"), ErrorKind::Io, "no memory");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_kind(store.read_all::<Value>(""), ErrorKind::Io, "no memory");
    assert_eq!(store.get::<u64>("small").unwrap(), Some(1));
    store.set("small", &2).unwrap();
    say("done");
}

/// Attack 35: a signal every 200 µs interrupts whatever can be interrupted; nothing fails and nothing hangs.
#[test]
fn attack_35_signals_without_pause_change_nothing() {
    let place = Place::new();
    let mut child = Child::on(&place, "signal_storm", &[]);
    child.expect("done");
    child.finish();
    assert_sound(&place.open());
}

static HEARD: AtomicU64 = AtomicU64::new(0);

extern "C" fn hear_signal(_: i32) {
    HEARD.fetch_add(1, Relaxed);
}

fn storm() {
    let each = libc::timeval { tv_sec: 0, tv_usec: 200 };
    let timer = libc::itimerval { it_interval: each, it_value: each };
    // SAFETY: the handler only adds to an atomic; the kernel reads structures that are alive. Without SA_RESTART, calls
    // fail with EINTR.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = hear_signal as extern "C" fn(i32) as usize;
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
        libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
    }
}

pub fn signal_storm(arguments: &[String]) {
    storm();
    let end = Instant::now() + Duration::from_secs(3);
    let mut rounds = 0_u64;
    while Instant::now() < end {
        let store = open(Path::new(&arguments[0]));
        for number in 0..40 {
            store.set_bytes(&format!("{number}"), &vec![1; (rounds * 977 % 60_000) as usize]).unwrap();
            store.integer("count").increment(1).unwrap();
        }
        store.set_bytes("large", &vec![1; 2 << 20]).unwrap();
        let exclusive = store.exclusive_timeout(Duration::from_secs(60)).unwrap();
        exclusive.set("in", &rounds).unwrap();
        drop(exclusive);
        let mut watch = store.watch("never").unwrap();
        let start = Instant::now();
        assert!(watch.next_timeout(Duration::from_millis(30)).unwrap().is_none());
        assert!(start.elapsed() >= Duration::from_millis(30), "a signal is no timeout");
        store.remove("large").unwrap();
        rounds += 1;
        assert_eq!(store.integer("count").refresh().unwrap() as u64, rounds * 40);
        store.flush().unwrap();
    }
    assert!(rounds > 1 && HEARD.load(Relaxed) > 1000, "{rounds} rounds, {} signals", HEARD.load(Relaxed));
    say("done");
}
