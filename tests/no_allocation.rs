//! Hot paths allocate nothing once their buffers have grown.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use shmsync::Sync;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `f` allocates, after a first run that lets buffers grow.
fn allocations(mut f: impl FnMut()) -> u64 {
    f();
    let before = COUNT.get();
    for _ in 0..10 {
        f();
    }
    COUNT.get() - before
}

/// Takes any store, so that every driver can be looked at.
fn hot_paths_allocate_nothing(store: &Sync) {
    let list: Vec<u32> = (0..1_000).collect();
    store.set("number", &1).unwrap();
    store.set("list", &list).unwrap();
    let mut buffer = Vec::new();
    let counted = [
        ("get", allocations(|| assert_eq!(store.get("number").unwrap(), Some(1)))),
        ("miss", allocations(|| assert_eq!(store.get::<u8>("absent").unwrap(), None))),
        ("contains", allocations(|| assert!(store.contains("list").unwrap()))),
        ("read_encoded", allocations(|| assert!(store.read_encoded("list", &mut buffer).unwrap().is_some()))),
        ("set", allocations(|| assert!(store.set("number", &1).is_ok()))),
        ("set a list", allocations(|| assert!(store.set("list", &list).is_ok()))),
        ("set_bytes", allocations(|| assert!(store.set_bytes("bytes", b"bytes").is_ok()))),
    ];
    for (what, count) in counted {
        assert_eq!(count, 0, "{what} in {store:?}");
    }
}

#[test]
fn a_store_and_its_namespaces_read_and_write_without_allocating() {
    let store = Sync::open("memory:").unwrap();
    hot_paths_allocate_nothing(&store);
    hot_paths_allocate_nothing(&store.namespace("inner"));
}

#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn a_shared_store_reads_and_writes_without_allocating() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    hot_paths_allocate_nothing(&Sync::options().capacity(1 << 24).open(folder.path().join("store")).unwrap());
}
