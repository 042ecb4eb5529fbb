//! What can be done with the descriptor that a tap gets: nothing but read. Each attempt is refused by the kernel,
//! because of the seals.

#![allow(unsafe_code)]

use super::honest::Scene;
use super::wire::*;
use rustix::fs::{FallocateFlags, Mode, OFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

const PAGE: usize = 4096;

/// Maps one page, gives it to `body`, unmaps it.
pub(crate) fn mapped<T>(
    fd: &OwnedFd,
    prot: ProtFlags,
    body: impl FnOnce(*mut u8) -> io::Result<T>,
) -> io::Result<T> {
    // SAFETY: a new shared mapping at an address of the kernel's choice.
    let base =
        unsafe { rustix::mm::mmap(std::ptr::null_mut(), PAGE, prot, MapFlags::SHARED, fd, 0) }?;
    let outcome = body(base.cast());
    // SAFETY: exactly the mapping made above; `body` has ended.
    unsafe { rustix::mm::munmap(base, PAGE) }?;
    outcome
}

fn reopen(fd: &OwnedFd, flags: OFlags) -> io::Result<OwnedFd> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(rustix::fs::open(
        link,
        flags | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

type Attempt = (&'static str, fn(&OwnedFd) -> io::Result<()>);

const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

/// Everything that could change the file, its size or its seals.
const ATTEMPTS: [Attempt; 12] = [
    ("ftruncate to nothing", |fd| {
        Ok(rustix::fs::ftruncate(fd, 0)?)
    }),
    ("ftruncate to more", |fd| {
        Ok(rustix::fs::ftruncate(fd, 1 << 24)?)
    }),
    ("write", |fd| Ok(rustix::io::write(fd, b"x").map(drop)?)),
    ("pwrite", |fd| {
        Ok(rustix::io::pwrite(fd, b"x", 128).map(drop)?)
    }),
    ("map writable", |fd| mapped(fd, READ_WRITE, |_| Ok(()))),
    ("make writable", |fd| {
        mapped(fd, ProtFlags::READ, |base| {
            let all = MprotectFlags::READ | MprotectFlags::WRITE;
            // SAFETY: our own mapping, which nothing else refers to.
            Ok(unsafe { rustix::mm::mprotect(base.cast(), PAGE, all) }?)
        })
    }),
    ("reopen and pwrite", |fd| {
        Ok(rustix::io::pwrite(reopen(fd, OFlags::RDWR)?, b"x", 0).map(drop)?)
    }),
    ("reopen and map writable", |fd| {
        mapped(&reopen(fd, OFlags::RDWR)?, READ_WRITE, |_| Ok(()))
    }),
    ("reopen truncated", |fd| {
        reopen(fd, OFlags::RDWR | OFlags::TRUNC).map(drop)
    }),
    ("punch a hole", |fd| {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(fd, hole, 0, PAGE as u64)?)
    }),
    ("remove pages", |fd| {
        mapped(fd, ProtFlags::READ, |base| {
            // SAFETY: our own mapping, which nothing else refers to.
            Ok(unsafe { rustix::mm::madvise(base.cast(), PAGE, Advice::LinuxRemove) }?)
        })
    }),
    ("seal the writer out", |fd| {
        Ok(rustix::fs::fcntl_add_seals(fd, SealFlags::WRITE)?)
    }),
];

#[test]
fn a_ring_can_only_be_read() {
    let scene = Scene::new();
    for topic in [FRAMES, STATS] {
        scene.attack(|| {
            let (_socket, reply) = ask(&scene.tap_socket(), &request(topic, 0));
            let (_, fds) = reply.attached();
            assert_eq!(fds.len(), 1);
            for (what, attempt) in ATTEMPTS {
                assert!(attempt(&fds[0]).is_err(), "{what} was not refused");
            }
        });
    }
    scene.assert_recovered(0);
}

/// Without this the test above could pass because each attempt is wrong in itself.
#[test]
fn the_attempts_work_on_an_unsealed_file() {
    use rustix::fs::MemfdFlags;
    for (what, attempt) in ATTEMPTS {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create("mine", flags).expect("a memfd");
        rustix::fs::ftruncate(&fd, 2 * PAGE as u64).expect("its size");
        let outcome = attempt(&fd);
        assert!(outcome.is_ok(), "{what}: {outcome:?}");
    }
}
