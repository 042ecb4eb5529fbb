//! The writing end of one generation of a ring.

use super::atomic::SET;
use super::hazard::{self, HazardPages, ReaderSlots};
use super::layout::Layout;
use super::memfd::{self, Mapping, Writable};
use super::protocol::WriterState;
use super::words::Words;
use super::{Geometry, RingError, Stamp, Topic, wait};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use zerocopy::{Immutable, IntoBytes};

/// What the control server needs of a ring: its descriptor to hand out and the mailbox of its hazard pages.
#[derive(Debug)]
pub(crate) struct SharedRing {
    pub(crate) topic: Topic,
    pub(crate) generation: u64,
    pub(crate) total_len: u64,
    fd: OwnedFd,
    pub(crate) readers: ReaderSlots,
}

impl SharedRing {
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Writes one generation. Wait-free: every call ends after a bounded number of its own steps.
#[derive(Debug)]
pub(crate) struct RingWriter {
    mapping: Mapping,
    layout: Layout,
    state: WriterState,
    hazards: HazardPages,
    shared: Arc<SharedRing>,
}

impl RingWriter {
    /// Allocates and seals a new ring.
    pub(crate) fn create(topic: Topic, generation: u64, g: Geometry) -> Result<Self, RingError> {
        let layout = Layout::new(topic.number(), generation, g)?;
        let name = format!("ring-{}", topic.name());
        let (fd, mapping) = memfd::create_mapped(&name, layout.total_len, Writable::Existing)?;
        let pid = rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        for (index, value) in layout.header_words(pid) {
            mapping.word(index).store(value, SET);
        }
        let (readers, hazards) = hazard::reader_slots();
        let shared = Arc::new(SharedRing {
            topic,
            generation,
            total_len: layout.total_len,
            fd,
            readers,
        });
        Ok(Self {
            mapping,
            layout,
            state: WriterState::new(),
            hazards,
            shared,
        })
    }

    pub(crate) fn shared(&self) -> &Arc<SharedRing> {
        &self.shared
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.layout.geometry()
    }

    pub(crate) fn next(&self) -> Stamp {
        Stamp {
            generation: self.layout.generation,
            seq: self.state.next_seq(),
        }
    }

    /// See [`Publisher::publish_with`](crate::Publisher::publish_with).
    pub(crate) fn publish<M: IntoBytes + Immutable>(
        &mut self,
        len: u64,
        fill: impl FnOnce(&mut Slot<'_>),
        meta: impl FnOnce(Stamp) -> M,
    ) -> Result<Option<Stamp>, RingError> {
        if len > self.layout.payload_capacity {
            return Err(RingError::TooLarge {
                len,
                capacity: self.layout.payload_capacity,
            });
        }
        if size_of::<M>() != self.layout.meta_len as usize {
            return Err(RingError::Header {
                what: "metadata size",
                value: size_of::<M>() as u64,
            });
        }
        let hazards = &mut self.hazards;
        let claim = self.state.claim(&self.mapping, &self.layout, |old| {
            // (D6) Drained after MARK_FENCE: a page handed to a reader before it leased is always seen.
            hazards.update();
            hazards.hold(old)
        });
        let Some(claim) = claim else { return Ok(None) };
        fill(&mut Slot {
            mapping: &self.mapping,
            start: self.layout.payload_byte(claim.slot),
            len: len as usize,
        });
        let stamp = Stamp {
            generation: self.layout.generation,
            seq: claim.seq,
        };
        let meta = meta(stamp);
        self.mapping
            .copy_in(self.layout.meta_byte(claim.slot), meta.as_bytes());
        self.state.publish(&self.mapping, &self.layout, claim, len);
        wait::wake_all(&self.mapping);
        Ok(Some(stamp))
    }
}

/// The payload of a slot that is being written.
///
/// ```
/// # use hanja_ring::*;
/// # let directory = tempfile::tempdir()?;
/// # let topic = Topic::new(1, "pictures");
/// # let server = Server::start(directory.path(), "camera", &[topic], Listeners::default())?;
/// # let geometry = Geometry { slots: 4, meta_len: 0, payload_capacity: 64 };
/// # let mut pictures = server.publisher(topic, geometry)?;
/// // In any order; nobody sees it before all of it is there.
/// let fill = |slot: &mut Slot<'_>| {
///     slot.write(6, b"ring");
///     slot.write(0, b"hello ");
/// };
/// pictures.publish_with(10, fill, |_| ())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Slot<'a> {
    mapping: &'a Mapping,
    start: usize,
    len: usize,
}

impl Slot<'_> {
    /// Copies `bytes` to position `at` of the payload. What is never written holds what an earlier frame left there.
    ///
    /// # Panics
    /// When they leave the payload's length.
    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at.checked_add(bytes.len());
        assert!(
            end.is_some_and(|end| end <= self.len),
            "outside the payload"
        );
        self.mapping.copy_in(self.start + at, bytes);
    }
}
