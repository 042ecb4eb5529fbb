//! The reading end of one generation of a ring: leases for trusted stages, copies for everybody.

use super::atomic::READ;
use super::hazard::HazardCells;
use super::layout::{Layout, State, slot};
use super::memfd::{self, Mapping};
use super::words::Words;
use super::{RingError, Sample, Topic, protocol, wait};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// One attached generation.
#[derive(Debug)]
pub(crate) struct RingReader {
    mapping: Mapping,
    layout: Layout,
    hazard: Option<HazardCells>,
    /// Nobody but the writer can write here: the kernel has sealed it.
    against_writes: bool,
}

impl RingReader {
    /// Maps and checks a ring received from its writer; `hazard` with the quota makes it able to lease.
    pub(crate) fn map(
        ring: BorrowedFd<'_>,
        hazard: Option<(BorrowedFd<'_>, u32)>,
        topic: Topic,
    ) -> Result<Arc<Self>, RingError> {
        let memfd::Sealed {
            len,
            against_writes,
        } = memfd::sealed(ring)?;
        if len < super::layout::HEADER_LEN {
            return Err(RingError::Header {
                what: "size",
                value: len,
            });
        }
        let mapping = Mapping::map(ring, len, false)?;
        let layout = Layout::read(|i| mapping.word(i).load(READ), len)?;
        if layout.topic != topic.number() {
            return Err(RingError::Header {
                what: "topic",
                value: u64::from(layout.topic),
            });
        }
        let hazard = hazard
            .map(|(fd, quota)| HazardCells::map(fd, quota))
            .transpose()?;
        Ok(Arc::new(Self {
            mapping,
            layout,
            hazard,
            against_writes,
        }))
    }

    pub(crate) fn generation(&self) -> u64 {
        self.layout.generation
    }

    /// Bytes of the mapping.
    pub(crate) fn total_len(&self) -> u64 {
        self.layout.total_len
    }

    /// Sequence number of the newest slot, 0: none yet.
    pub(crate) fn newest_seq(&self) -> u64 {
        protocol::newest(&self.mapping, &self.layout).seq()
    }

    /// Waits for a slot newer than `seen`; false on time-out.
    pub(crate) fn wait_newer(&self, seen: u64, timeout: Duration) -> bool {
        let count = wait::count(&self.mapping);
        if self.newest_seq() > seen {
            return true;
        }
        wait::sleep(&self.mapping, count, timeout);
        self.newest_seq() > seen
    }

    /// Leases the newest slot if it is newer than `seen`.
    pub(crate) fn lease_newest(self: &Arc<Self>, seen: u64) -> Option<Lease> {
        // The writer laps us at most once per attempt; after as many attempts as slots it is faster than memory.
        for _ in 0..self.layout.slots {
            let state = protocol::newest(&self.mapping, &self.layout);
            if state == State::NEVER || state.seq() <= seen {
                return None;
            }
            if let Some(lease) = self.lease(state) {
                return Some(lease);
            }
        }
        None
    }

    /// Leases sequence number `seq` if it is still in the ring.
    pub(crate) fn lease_exact(self: &Arc<Self>, seq: u64) -> Option<Lease> {
        let state = protocol::find(&self.mapping, &self.layout, seq)?;
        self.lease(state)
    }

    fn lease(self: &Arc<Self>, state: State) -> Option<Lease> {
        let hazard = self.hazard.as_ref()?;
        let index = hazard.free()?;
        let granted = protocol::lease(&self.mapping, &self.layout, hazard.cell(index), state);
        granted.then(|| Lease {
            ring: Arc::clone(self),
            state,
            cell: index,
        })
    }

    /// Copies the newest slot newer than `seen` into `sample`.
    pub(crate) fn tap_newest(&self, seen: u64, sample: &mut Sample) -> bool {
        self.newest_by(seen, sample, |sample, state| self.copy(state, sample))
    }

    /// Copies the oldest slot newer than `seen` that is still there; `sample.lapped` says how many were missed.
    pub(crate) fn tap_next(&self, seen: u64, sample: &mut Sample) -> bool {
        self.next_by(seen, sample, |sample, state| self.copy(state, sample))
    }

    /// Like [`tap_newest`](Self::tap_newest), but takes the metadata and the payload's length only.
    pub(crate) fn peek_newest(&self, seen: u64, sample: &mut Sample) -> Option<u64> {
        let mut len = 0;
        self.newest_by(seen, sample, |sample, state| {
            self.peek(state, sample, &mut len)
        })
        .then_some(len)
    }

    /// Like [`tap_next`](Self::tap_next), but takes the metadata and the payload's length only.
    pub(crate) fn peek_next(&self, seen: u64, sample: &mut Sample) -> Option<u64> {
        let mut len = 0;
        self.next_by(seen, sample, |sample, state| {
            self.peek(state, sample, &mut len)
        })
        .then_some(len)
    }

    /// Copies the payload of exactly this number into `out` (cut to its length); gives the payload's length: so much of
    /// `out` is initialised, if it is as long. `None`: it has been overwritten, `out` holds rubbish or nothing.
    pub(crate) fn copy_payload(&self, seq: u64, out: &mut [MaybeUninit<u8>]) -> Option<u64> {
        let state = protocol::find(&self.mapping, &self.layout, seq)?;
        protocol::tap(&self.mapping, &self.layout, state, |len| {
            let taken = out.len().min(len as usize);
            let at = self.layout.payload_byte(state.slot());
            self.mapping.copy_out_uninit(at, &mut out[..taken]);
            len
        })
    }

    fn newest_by(
        &self,
        seen: u64,
        sample: &mut Sample,
        mut take: impl FnMut(&mut Sample, State) -> bool,
    ) -> bool {
        for _ in 0..self.layout.slots {
            let state = protocol::newest(&self.mapping, &self.layout);
            if state == State::NEVER || state.seq() <= seen {
                return false;
            }
            if take(sample, state) {
                sample.lapped = 0;
                return true;
            }
            sample.torn_retries += 1;
        }
        false
    }

    fn next_by(
        &self,
        seen: u64,
        sample: &mut Sample,
        mut take: impl FnMut(&mut Sample, State) -> bool,
    ) -> bool {
        let newest = self.newest_seq();
        // One slot may be in the writer's hands; skipped slots make the window smaller, never larger.
        let oldest = newest
            .saturating_sub(u64::from(self.layout.slots) - 1)
            .max(1);
        for seq in oldest.max(seen + 1)..=newest {
            let found = protocol::find(&self.mapping, &self.layout, seq);
            if found.is_some_and(|state| take(sample, state)) {
                sample.lapped = seq - seen - 1;
                return true;
            }
            sample.torn_retries += u32::from(found.is_some());
        }
        false
    }

    fn peek(&self, state: State, sample: &mut Sample, len: &mut u64) -> bool {
        sample.payload.clear();
        sample.meta.resize(self.layout.meta_len as usize, 0);
        sample.generation = self.layout.generation;
        sample.seq = state.seq();
        let read = protocol::tap(&self.mapping, &self.layout, state, |len| {
            let at = self.layout.meta_byte(state.slot());
            self.mapping.copy_out(at, &mut sample.meta);
            len
        });
        *len = read.unwrap_or(0);
        read.is_some()
    }

    /// Taps into a sample, which grows to the largest payload it has held.
    fn copy(&self, state: State, sample: &mut Sample) -> bool {
        sample.generation = self.layout.generation;
        sample.seq = state.seq();
        sample.meta.resize(self.layout.meta_len as usize, 0);
        let done = protocol::tap(&self.mapping, &self.layout, state, |len| {
            sample.payload.resize(len as usize, 0);
            let slot = state.slot();
            self.mapping
                .copy_out(self.layout.meta_byte(slot), &mut sample.meta);
            self.mapping
                .copy_out(self.layout.payload_byte(slot), &mut sample.payload);
        });
        done.is_some()
    }
}

/// A slot that the writer will not touch until this is dropped.
///
/// ```
/// # use hanja_ring::*;
/// # let directory = tempfile::tempdir()?;
/// # let topic = Topic::new(1, "pictures");
/// # let server = Server::start(directory.path(), "camera", &[topic], Listeners::default())?;
/// # let geometry = Geometry { slots: 4, meta_len: 0, payload_capacity: 64 };
/// # let mut pictures = server.publisher(topic, geometry)?;
/// # let wait = std::time::Duration::from_secs(2);
/// # let mut reader = LeaseSubscriber::new(directory.path(), "camera", topic, 1, Advice::default());
/// # pictures.publish(&[b"a picture"], |_| ())?;
/// let lease = reader.newest(wait).expect("published");
/// for _ in 0..20 {
///     pictures.publish(&[b"later"], |_| ())?;
/// }
/// assert_eq!(lease.payload(), b"a picture"); // the ring has gone around it five times
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Zero copy; may be sent to another thread. Keep it
/// short: a reader that holds its whole quota gets no new frame.
#[derive(Debug)]
pub struct Lease {
    ring: Arc<RingReader>,
    state: State,
    cell: usize,
}

impl Lease {
    /// Generation of the ring.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.ring.layout.generation
    }

    /// Sequence number within the generation.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.state.seq()
    }

    /// The slot's metadata.
    #[must_use]
    pub fn meta(&self) -> &[u8] {
        let at = self.ring.layout.meta_byte(self.state.slot());
        // SAFETY: `self` is a granted lease on this slot (made only in `RingReader::lease`).
        unsafe {
            self.ring
                .mapping
                .bytes(at, self.ring.layout.meta_len as usize)
        }
    }

    /// The slot's payload, where it lies, cut to the length published.
    ///
    /// That these bytes do not change while the slice lives rests on another process, the ring's writer: it must claim
    /// no slot whose state a hazard cell holds. Ours keeps to that whoever dies. A foreign writer that does not, or,
    /// where [`is_sealed`](Self::is_sealed) says false, any process that may tap, could change bytes that the compiler
    /// takes for constant: code that reads a value twice may then see two values, which is undefined behaviour in the
    /// language's terms and, for a decoder that checks a length and then uses it, in practice too. Take leases from
    /// writers that you trust, and a [`copy_payload`](Self::copy_payload) where the ring is not sealed.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        let at = self.ring.layout.payload_byte(self.state.slot());
        // SAFETY: `self` is a granted lease on this slot (made only in `RingReader::lease`).
        unsafe { self.ring.mapping.bytes(at, self.payload_len()) }
    }

    fn payload_len(&self) -> usize {
        let layout = &self.ring.layout;
        let word = layout.slot_word(self.state.slot()) + slot::PAYLOAD_LEN;
        let len = self.ring.mapping.word(word).load(READ);
        len.min(layout.payload_capacity) as usize
    }

    /// Whether the kernel keeps everybody but the writer from mapping the ring writable: since Linux 5.1.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.ring.against_writes
    }

    /// The payload, copied into `out`, which is made as long: bytes that are the caller's alone.
    pub fn copy_payload(&self, out: &mut Vec<u8>) {
        out.resize(self.payload_len(), 0);
        let at = self.ring.layout.payload_byte(self.state.slot());
        self.ring.mapping.copy_out(at, out);
    }

    /// The payload as bytes that no third process can change: [`payload`](Self::payload) where the ring is sealed, else
    /// a copy in `copy`.
    pub fn stable_payload<'a>(&'a self, copy: &'a mut Vec<u8>) -> &'a [u8] {
        if self.is_sealed() {
            return self.payload();
        }
        self.copy_payload(copy);
        copy
    }

    /// The whole mapping that the slot is part of. It stays mapped for as long as what is returned lives, longer than
    /// the lease if need be; the slot is protected from the writer by the lease alone.
    #[must_use]
    pub fn mapping(&self) -> RingMapping {
        RingMapping {
            ring: Arc::clone(&self.ring),
        }
    }
}

/// One generation's memory as a range of addresses, for a device that reads it by itself. Only addresses are given out:
/// to read bytes takes a lease.
///
/// ```
/// # use hanja_ring::*;
/// # let directory = tempfile::tempdir()?;
/// # let topic = Topic::new(1, "pictures");
/// # let server = Server::start(directory.path(), "camera", &[topic], Listeners::default())?;
/// # let geometry = Geometry { slots: 4, meta_len: 0, payload_capacity: 64 };
/// # let mut pictures = server.publisher(topic, geometry)?;
/// # let wait = std::time::Duration::from_secs(2);
/// # let mut reader = LeaseSubscriber::new(directory.path(), "camera", topic, 1, Advice::default());
/// # pictures.publish(&[b"a picture"], |_| ())?;
/// # let lease = reader.newest(wait).expect("published");
/// let mapping = lease.mapping();
/// let payload = lease.payload().as_ptr().addr() - mapping.start().addr();
/// assert!(payload + lease.payload().len() <= mapping.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Invariant, on which callers' `unsafe` may rest: from [`start`](Self::start) on, [`len`](Self::len) bytes stay mapped
/// readable at that place while this value or a clone of it lives.
#[derive(Clone, Debug)]
pub struct RingMapping {
    ring: Arc<RingReader>,
}

impl RingMapping {
    /// Generation of the ring.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.ring.layout.generation
    }

    /// First byte, at the start of a page. Other processes write here: never make a reference out of it.
    #[must_use]
    pub fn start(&self) -> *const u8 {
        self.ring.mapping.start()
    }

    /// Bytes. More than 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.ring.mapping.len()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(hazard) = &self.ring.hazard {
            protocol::release(hazard.cell(self.cell));
        }
    }
}

#[cfg(test)]
#[cfg(not(hanja_loom))]
mod tests {
    use super::super::atomic::SET;
    use super::super::memfd::Writable;
    use super::super::protocol::WriterState;
    use super::super::{Geometry, hazard};
    use super::*;
    use std::os::fd::AsFd;

    const TOPIC: Topic = Topic::new(1, "test");
    const G: Geometry = Geometry {
        slots: 3,
        meta_len: 8,
        payload_capacity: 64,
    };

    /// A lease on the one frame, `b"frame"`, of a ring that is sealed like this.
    fn lease(writable: Writable) -> Lease {
        let layout = Layout::new(TOPIC.number(), 1, G).unwrap();
        let fd = memfd::create("ring-test", layout.total_len).unwrap();
        let writer = Mapping::map(fd.as_fd(), layout.total_len, true).unwrap();
        memfd::seal(fd.as_fd(), writable).unwrap();
        for (index, value) in layout.header_words(1) {
            writer.word(index).store(value, SET);
        }
        let mut state = WriterState::new();
        let claim = state.claim(&writer, &layout, |_| false).unwrap();
        writer.copy_in(layout.payload_byte(claim.slot), b"frame");
        state.publish(&writer, &layout, claim, 5);
        let (page, _) = hazard::HazardPage::create(1).unwrap();
        let reader = RingReader::map(fd.as_fd(), Some((page.as_fd(), 1)), TOPIC).unwrap();
        reader.lease_newest(0).unwrap()
    }

    #[test]
    fn a_ring_that_others_can_map_writable_is_read_from_a_copy() {
        for (writable, sealed) in [(Writable::Existing, true), (Writable::Holder, false)] {
            let lease = lease(writable);
            assert_eq!(lease.is_sealed(), sealed);
            let (in_place, mut copy) = (lease.payload().as_ptr(), Vec::new());
            let stable = lease.stable_payload(&mut copy);
            assert_eq!(stable, b"frame");
            assert_eq!(stable.as_ptr() == in_place, sealed);
        }
    }
}
