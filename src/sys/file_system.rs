//! What kind of file system a file lies on.

use std::{io, os::fd::AsFd};

use nix::sys::statfs::fstatfs;

/// What matters of a file system: whether its mappings and locks are those of one kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystem {
    /// Memory: gone with the machine.
    Tmpfs,
    /// A disk of this machine, as far as the kernel can tell.
    Local,
    /// Huge pages: no `fallocate` as others have it, pages from a pool.
    HugePages,
    /// Shared with other machines or kept by a server (FUSE, also virtiofs): mappings need not agree.
    Network(&'static str),
}

const TMPFS: u32 = 0x0102_1994;
const HUGETLBFS: u32 = 0x9584_58f6;

/// Magic numbers from `linux/magic.h` and from file systems that live outside the kernel's tree.
const NETWORK: &[(u32, &str)] = &[
    (0x0000_6969, "NFS"),
    (0x0000_517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "FUSE"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0000_564c, "NCP"),
    (0x2003_0528, "OrangeFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x1983_0326, "BeeGFS"),
    (0xaad7_aaea, "PanFS"),
    (0x786f_4256, "VirtualBox shared folder"),
    (0x00c0_ffee, "hostfs"),
];

/// The file system of an open file.
pub(crate) fn of(fd: impl AsFd) -> io::Result<FileSystem> {
    // The magic numbers are 32 bits wide; the field's type and sign differ from one C library to another.
    Ok(from_magic(fstatfs(fd)?.filesystem_type().0 as u32))
}

fn from_magic(magic: u32) -> FileSystem {
    match magic {
        TMPFS => FileSystem::Tmpfs,
        HUGETLBFS => FileSystem::HugePages,
        other => NETWORK
            .iter()
            .find(|(magic, _)| *magic == other)
            .map_or(FileSystem::Local, |(_, name)| FileSystem::Network(name)),
    }
}

#[cfg(test)]
mod tests {

    use std::fs::File;

    use super::*;

    #[test]
    fn shared_memory_is_tmpfs_and_proc_is_none_of_ours() {
        assert_eq!(of(File::open("/dev/shm").unwrap()).unwrap(), FileSystem::Tmpfs);
        assert_eq!(of(File::open("/proc/self/stat").unwrap()).unwrap(), FileSystem::Local);
    }

    #[test]
    fn what_a_server_keeps_is_known_by_name() {
        assert_eq!(from_magic(0x6969), FileSystem::Network("NFS"));
        assert_eq!(from_magic(libc::FUSE_SUPER_MAGIC as u32), FileSystem::Network("FUSE"));
        assert_eq!(from_magic(0xfe53_4d42), FileSystem::Network("SMB2"));
        assert_eq!(from_magic(libc::HUGETLBFS_MAGIC as u32), FileSystem::HugePages);
        assert_eq!(from_magic(libc::EXT4_SUPER_MAGIC as u32), FileSystem::Local);
    }
}
