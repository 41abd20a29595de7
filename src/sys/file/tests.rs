use std::{ffi::CString, fs, os::unix::fs::symlink};

use super::*;
use crate::sys::testing::{Child, SharedWords, World};

fn refused(path: &Path) -> io::Error {
    open_existing(path, false, false).unwrap_err()
}

#[test]
fn only_a_regular_file_is_opened_and_nothing_hangs() {
    let world = World::new();
    let name = |name| world.folder.path().join(name);
    let fifo = CString::new(name("fifo").to_str().unwrap()).unwrap();
    nix::unistd::mkfifo(fifo.as_c_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink(&world.path, name("link")).unwrap();
    assert_eq!(refused(&name("fifo")).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(open_existing(&name("fifo"), true, true).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(refused(&name("link")).raw_os_error(), Some(libc::ELOOP));
    assert_eq!(refused(world.folder.path()).kind(), io::ErrorKind::IsADirectory);
    assert_eq!(refused(Path::new("/dev/null")).kind(), io::ErrorKind::InvalidInput);
    assert_eq!(refused(&name("absent")).kind(), io::ErrorKind::NotFound);
    let followed = open_existing(&name("link"), false, true).unwrap();
    assert!(stat(&followed).unwrap().is_same_file(&stat(&world.file).unwrap()));
}

#[test]
fn a_new_file_has_the_mode_asked_for_whatever_the_umask() {
    let world = World::new();
    Child::fork(|| {
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o777));
        let path = world.folder.path().join("new");
        let file = create_new(&path, 0o664).unwrap();
        assert_eq!(stat(&file).unwrap().mode, 0o664);
        assert_eq!(create_new(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        0
    })
    .succeeds();
}

#[test]
fn a_dangling_link_is_not_created_through() {
    let world = World::new();
    let link = world.folder.path().join("link");
    symlink(world.folder.path().join("target"), &link).unwrap();
    assert_eq!(create_new(&link, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_removed_file_can_be_reopened() {
    let world = World::new();
    pwrite_all_at(&world.file, b"still here", 3).unwrap();
    fs::remove_file(&world.path).unwrap();
    let again = reopen(&world.file, true).unwrap();
    let mut bytes = [0; 10];
    pread_exact_at(&again, &mut bytes, 3).unwrap();
    assert_eq!(&bytes, b"still here");
    assert_eq!(pread_exact_at(&again, &mut bytes, 4).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(stat(&again).unwrap().nlink, 0);
    assert!(pwrite_all_at(&again, b"x", 0).is_err());
}

#[test]
fn what_is_reopened_is_the_file_and_not_what_has_its_name_now() {
    let world = World::new();
    let here = reopen_at(&world.path, &world.file).unwrap();
    assert!(stat(&here).unwrap().is_same_file(&stat(&world.file).unwrap()));
    fs::remove_file(&world.path).unwrap();
    fs::write(&world.path, b"another").unwrap();
    let removed = reopen_at(&world.path, &world.file).unwrap();
    assert!(stat(&removed).unwrap().is_same_file(&stat(&world.file).unwrap()));
    fs::remove_file(&world.path).unwrap();
    assert_eq!(stat(&reopen_at(&world.path, &world.file).unwrap()).unwrap().nlink, 0);
}

#[test]
fn a_file_can_be_reopened_when_the_main_thread_is_gone() {
    let (world, words) = (World::new(), SharedWords::new());
    Child::fork(|| {
        let file = world.file.try_clone().unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let code = i32::from(reopen(&file, false).is_err());
            // SAFETY: ends this test's own process.
            unsafe { libc::_exit(code) }
        });
        words.word(0).store(1, std::sync::atomic::Ordering::SeqCst);
        // SAFETY: ends this thread without unwinding; the world it borrows stays in memory.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
        unreachable!()
    })
    .succeeds();
    words.until(0, 1);
}

#[test]
fn a_path_is_compared_with_the_file_itself() {
    let world = World::new();
    let ours = stat(&world.file).unwrap();
    assert!(ours.is_regular && ours.is_same_file(&stat_path(&world.path).unwrap()));
    fs::remove_file(&world.path).unwrap();
    symlink("/dev/null", &world.path).unwrap();
    let theirs = stat_path(&world.path).unwrap();
    assert!(!theirs.is_regular && !ours.is_same_file(&theirs));
}
