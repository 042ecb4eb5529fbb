//! Sealed shared memory: creation, sealing, mapping. The only raw pointers of the ring live here.
//!
//! A memfd has no name, so nothing is left behind by `kill -9`. `fallocate` turns lack of memory into an error at
//! creation instead of SIGBUS at first touch; the seals keep a peer from shrinking the file under us (SIGBUS) and,
//! with `F_SEAL_FUTURE_WRITE` (Linux 5.1), from ever mapping it writable.

use super::RingError;
use super::atomic::Word;
use super::copy;
use super::words::Words;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Once;

static FUTURE_WRITE_WARNED: Once = Once::new();

/// Who may write through a file that is being sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writable {
    /// Only mappings that exist already: a ring, whose writer has mapped it.
    Existing,
    /// Whoever holds the descriptor: a hazard page, written by its reader.
    Holder,
}

/// Creates a memfd of `len` bytes with all of its memory allocated.
pub(super) fn create(name: &str, len: u64) -> Result<OwnedFd, RingError> {
    let step = |step: &'static str| {
        move |e: rustix::io::Errno| RingError::Memory {
            step,
            len,
            source: e.into(),
        }
    };
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(step("memfd_create"))?;
    rustix::fs::ftruncate(&fd, len).map_err(step("ftruncate"))?;
    rustix::fs::fallocate(&fd, FallocateFlags::empty(), 0, len).map_err(step("fallocate"))?;
    Ok(fd)
}

/// Seals size and, for [`Writable::Existing`], future writers. Fails rather than go on unsealed; only
/// `F_SEAL_FUTURE_WRITE` may be missing (kernels before 5.1, the first Jetson), which is said once in the log.
pub(super) fn seal(fd: BorrowedFd<'_>, writable: Writable) -> Result<(), RingError> {
    let fail = |e: rustix::io::Errno| RingError::Memory {
        step: "F_ADD_SEALS",
        len: 0,
        source: e.into(),
    };
    let size = SealFlags::SHRINK | SealFlags::GROW;
    if writable == Writable::Existing {
        match rustix::fs::fcntl_add_seals(fd, size | SealFlags::FUTURE_WRITE) {
            Ok(()) => {}
            Err(rustix::io::Errno::INVAL) => {
                FUTURE_WRITE_WARNED.call_once(|| {
                    tracing::warn!(
                        "this kernel has no F_SEAL_FUTURE_WRITE (Linux 5.1): a process allowed to tap could map a ring writable"
                    );
                });
                rustix::fs::fcntl_add_seals(fd, size).map_err(fail)?;
            }
            Err(e) => return Err(fail(e)),
        }
    } else {
        rustix::fs::fcntl_add_seals(fd, size).map_err(fail)?;
    }
    rustix::fs::fcntl_add_seals(fd, SealFlags::SEAL).map_err(fail)
}

/// A received file that can neither shrink nor grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    /// Bytes.
    pub(super) len: u64,
    /// Whether nobody can map it writable any more.
    pub(super) against_writes: bool,
}

/// Size and seals of a received file; an error if it can shrink or grow.
pub(super) fn sealed(fd: BorrowedFd<'_>) -> Result<Sealed, RingError> {
    let fail = |step| {
        move |e: rustix::io::Errno| RingError::Foreign {
            step,
            source: e.into(),
        }
    };
    let seals = rustix::fs::fcntl_get_seals(fd).map_err(fail("F_GET_SEALS"))?;
    let needed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    // (A2)
    if !seals.contains(needed) {
        return Err(RingError::Unsealed(seals.bits()));
    }
    let stat = rustix::fs::fstat(fd).map_err(fail("fstat"))?;
    let len = u64::try_from(stat.st_size).map_err(|_| RingError::Header {
        what: "size",
        value: 0,
    })?;
    Ok(Sealed {
        len,
        against_writes: seals.intersects(SealFlags::FUTURE_WRITE | SealFlags::WRITE),
    })
}

/// A mapping of a whole memfd.
///
/// Invariant (established in [`Mapping::map`], never changed): `base` points to `len` bytes of shared memory, mapped
/// until drop, page-aligned, `len` a multiple of 8; the file is sealed against shrinking, or only this process has
/// its descriptor until it is, so the pages stay backed.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<Word>,
    len: usize,
}

// SAFETY: the memory is reached only through atomics and `bytes`, whose contract covers other threads as well as
// other processes; the pointer itself never changes.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps all `len` bytes of `fd`, read-only or read-write.
    pub(super) fn map(fd: BorrowedFd<'_>, len: u64, writable: bool) -> Result<Self, RingError> {
        Self::map_with(fd, len, writable, MapFlags::SHARED)
    }

    fn map_with(
        fd: BorrowedFd<'_>,
        len: u64,
        writable: bool,
        flags: MapFlags,
    ) -> Result<Self, RingError> {
        let fail = |e: rustix::io::Errno| RingError::Memory {
            step: "mmap",
            len,
            source: e.into(),
        };
        let size = usize::try_from(len).map_err(|_| fail(rustix::io::Errno::NOMEM))?;
        if size == 0 || !size.is_multiple_of(8) {
            return Err(RingError::Header {
                what: "size",
                value: len,
            });
        }
        let prot = if writable {
            ProtFlags::READ | ProtFlags::WRITE
        } else {
            ProtFlags::READ
        };
        // SAFETY: a new mapping at an address the kernel chooses disturbs nothing; it is unmapped only in drop.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), size, prot, flags, fd, 0) }
            .map_err(fail)?;
        let base = NonNull::new(base.cast()).ok_or_else(|| fail(rustix::io::Errno::FAULT))?;
        Ok(Self { base, len: size })
    }

    /// First byte.
    pub(super) fn start(&self) -> *const u8 {
        self.base.as_ptr().cast()
    }

    /// Bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Words `index..index + count`.
    ///
    /// # Panics
    /// When they leave the mapping.
    fn slice(&self, index: usize, count: usize) -> &[Word] {
        let end = index.checked_add(count);
        assert!(
            end.is_some_and(|end| end <= self.len / 8),
            "outside the mapping"
        );
        if cfg!(hanja_loom) {
            unreachable!("models have no mappings: loom's words are objects of its own");
        }
        // SAFETY: inside the mapping (just checked), aligned (page-aligned base), valid until drop; other processes
        // access these words atomically as well.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(index), count) }
    }

    /// Bytes `at..at + len` as a plain slice.
    ///
    /// # Safety
    /// Nobody may write these bytes while the slice lives: the caller holds a lease on their slot, and the writer
    /// keeps the protocol ([`super::protocol::lease`]).
    ///
    /// # Panics
    /// When the range leaves the mapping.
    pub(super) unsafe fn bytes(&self, at: usize, len: usize) -> &[u8] {
        assert!(
            at.checked_add(len).is_some_and(|end| end <= self.len),
            "outside the mapping"
        );
        // SAFETY: inside the mapping (just checked), initialised (file pages), not written (caller's contract).
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast::<u8>().add(at), len) }
    }
}

impl Words for Mapping {
    #[inline]
    fn word(&self, index: usize) -> &Word {
        &self.slice(index, 1)[0]
    }

    fn row(&self, index: usize, count: usize) -> impl Iterator<Item = &Word> {
        self.slice(index, count).iter()
    }

    fn bulk_in(&self, index: usize, bytes: &[u8]) -> usize {
        // Failpoints count single stores.
        if cfg!(feature = "failpoints") {
            return 0;
        }
        copy::store(self.slice(index, bytes.len() / 8), bytes)
    }

    fn bulk_out(&self, index: usize, out: &mut [MaybeUninit<u8>]) -> usize {
        copy::load(self.slice(index, out.len() / 8), out)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the invariant: exactly this range is our mapping, and no reference into it outlives `self`.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Creates, maps read-write and seals in one go; what the writer of a file does.
pub(super) fn create_mapped(
    name: &str,
    len: u64,
    writable: Writable,
) -> Result<(OwnedFd, Mapping), RingError> {
    let fd = create(name, len)?;
    // Populated: the writer shall not meet page faults, which may wait for locks, while it publishes.
    let flags = MapFlags::SHARED | MapFlags::POPULATE;
    let mapping = Mapping::map_with(fd.as_fd(), len, writable == Writable::Existing, flags)?;
    seal(fd.as_fd(), writable)?;
    Ok((fd, mapping))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_ring_cannot_be_shrunk_or_mapped_writable() {
        let (fd, mapping) = create_mapped("ring-test", 8192, Writable::Existing).unwrap();
        let seals = sealed(fd.as_fd()).unwrap();
        assert_eq!((seals.len, seals.against_writes), (8192, true));
        assert!(rustix::fs::ftruncate(&fd, 0).is_err());
        assert!(rustix::fs::ftruncate(&fd, 1 << 20).is_err());
        assert!(rustix::io::pwrite(&fd, b"x", 0).is_err());
        assert!(Mapping::map(fd.as_fd(), 8192, true).is_err());
        let reader = Mapping::map(fd.as_fd(), 8192, false).unwrap();
        mapping.copy_in(16, b"written after sealing");
        let mut out = [0; 21];
        reader.copy_out(16, &mut out);
        assert_eq!(&out, b"written after sealing");
    }

    #[test]
    fn an_unsealed_file_is_refused() {
        let fd = create("ring-test", 4096).unwrap();
        assert!(matches!(sealed(fd.as_fd()), Err(RingError::Unsealed(_))));
    }

    #[test]
    fn a_hazard_page_stays_writable_for_its_holder() {
        let (fd, ours) = create_mapped("ring-test", 4096, Writable::Holder).unwrap();
        let theirs = Mapping::map(fd.as_fd(), 4096, true).unwrap();
        theirs.copy_in(8, &7u64.to_le_bytes());
        assert!(!sealed(fd.as_fd()).unwrap().against_writes);
        assert_eq!(ours.word(1).load(super::super::atomic::OWN), 7);
        assert!(rustix::fs::ftruncate(&fd, 0).is_err());
    }
}
