//! The driver's buffers: the driver owns a buffer while it is queued, this process from dequeue to requeue.
//!
//! A [`Dequeued`] stands for that ownership. It cannot be copied, lends the bytes only while it exists, and is consumed
//! by queueing the buffer again: nobody can read a picture over which the driver writes the next one.

#![allow(unsafe_code)]

use super::sys;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use zerocopy::FromZeros;

/// Buffers asked for: one being filled, one full, one dequeued, one to spare.
const WANTED: u32 = 4;

/// All buffers of one device.
#[derive(Debug)]
pub(super) struct Buffers {
    fd: Arc<OwnedFd>,
    mapped: Vec<Arc<Mapped>>,
}

impl Buffers {
    /// Asks for buffers and maps them; none is queued.
    pub(super) fn map(fd: Arc<OwnedFd>) -> Result<Self, Errno> {
        let mut wanted = sys::RequestBuffers {
            count: WANTED,
            kind: sys::BUF_TYPE_CAPTURE,
            memory: sys::MEMORY_MMAP,
            ..sys::RequestBuffers::new_zeroed()
        };
        sys::request_buffers(&*fd, &mut wanted)?;
        if wanted.count < 2 {
            return Err(Errno::NOMEM);
        }
        let map = |index| {
            let mut buffer = request(index);
            sys::query_buffer(&*fd, &mut buffer)?;
            Mapped::map(&*fd, buffer.offset, buffer.length).map(Arc::new)
        };
        let mapped = (0..wanted.count.min(32))
            .map(map)
            .collect::<Result<_, _>>()?;
        Ok(Self { fd, mapped })
    }

    /// Queues all of them. Called once, before the stream begins, when none is dequeued.
    pub(super) fn queue_all(&mut self) -> Result<(), Errno> {
        (0..self.mapped.len() as u32)
            .try_for_each(|i| sys::queue_buffer(&*self.fd, &mut request(i)))
    }

    /// A full buffer if there is one now, with the driver's description of it.
    pub(super) fn dequeue(&self) -> Result<Option<(Dequeued, sys::Buffer)>, Errno> {
        let mut buffer = request(0);
        match sys::dequeue_buffer(&*self.fd, &mut buffer) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(e) => return Err(e),
        }
        let mapped = self.mapped.get(buffer.index as usize).ok_or(Errno::IO)?;
        let dequeued = Dequeued {
            fd: Arc::clone(&self.fd),
            mapped: Arc::clone(mapped),
            index: buffer.index,
            used: buffer.bytesused,
        };
        Ok(Some((dequeued, buffer)))
    }
}

fn request(index: u32) -> sys::Buffer {
    sys::Buffer {
        index,
        kind: sys::BUF_TYPE_CAPTURE,
        memory: sys::MEMORY_MMAP,
        ..sys::Buffer::new_zeroed()
    }
}

/// A buffer that the driver has filled and does not write to. If it is dropped, it stays out of the queue until the
/// stream ends.
#[derive(Debug)]
#[must_use = "the driver has one buffer less until it is requeued"]
pub(super) struct Dequeued {
    fd: Arc<OwnedFd>,
    mapped: Arc<Mapped>,
    index: u32,
    /// Bytes in use, as reported by the driver.
    used: u32,
}

impl Dequeued {
    /// The bytes in use.
    pub(super) fn bytes(&self) -> &[u8] {
        let used = (self.used as usize).min(self.mapped.len);
        // SAFETY: inside the mapping, which `self` keeps and which holds initialised pages. The driver writes to queued
        // buffers only; this one left the queue when `self` was made and cannot be back in it, for `requeue` takes
        // `self`, and `queue_all` comes before all.
        unsafe { std::slice::from_raw_parts(self.mapped.base.as_ptr(), used) }
    }

    /// Queues it to the driver again.
    pub(super) fn requeue(self) -> Result<(), Errno> {
        sys::queue_buffer(&*self.fd, &mut request(self.index))
    }
}

/// A driver's buffer, mapped read-only.
///
/// Invariant: `base` points to `len` mapped bytes until drop.
#[derive(Debug)]
struct Mapped {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for Mapped {}
// SAFETY: nothing is written through it.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn map(fd: impl AsFd, offset: u32, len: u32) -> Result<Self, Errno> {
        let len = len as usize;
        if len == 0 {
            return Err(Errno::INVAL);
        }
        // SAFETY: a new mapping at an address the kernel chooses disturbs nothing; it is unmapped only in drop.
        let base = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ,
                MapFlags::SHARED,
                fd,
                offset.into(),
            )
        }?;
        let base = NonNull::new(base.cast()).ok_or(Errno::FAULT)?;
        Ok(Self { base, len })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the invariant: this range is our mapping, and no slice of it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::MemfdFlags;

    /// A dequeued buffer over shared memory of `text`, as far as it goes without a driver.
    fn dequeued(text: &[u8], used: u32) -> Dequeued {
        let fd = rustix::fs::memfd_create("buffer", MemfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&fd, text).unwrap();
        let mapped = Arc::new(Mapped::map(&fd, 0, text.len() as u32).unwrap());
        Dequeued {
            fd: Arc::new(fd),
            mapped,
            index: 0,
            used,
        }
    }

    #[test]
    fn a_driver_cannot_claim_more_bytes_than_it_gave() {
        assert_eq!(dequeued(b"picture", 3).bytes(), b"pic");
        assert_eq!(dequeued(b"picture", u32::MAX).bytes(), b"picture");
    }

    #[test]
    fn what_is_no_driver_refuses_the_buffer_and_it_is_gone_all_the_same() {
        assert_eq!(dequeued(b"picture", 7).requeue(), Err(Errno::NOTTY));
    }
}
