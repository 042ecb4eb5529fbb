//! The writing end of one generation of a ring.

use super::atomic::OWN;
use super::hazard::{HazardPages, Seats};
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
    pub(crate) seats: Seats,
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
        let layout = Layout::new(topic, generation, g)?;
        let name = format!("hanja-{}", topic.name());
        let (fd, mapping) = memfd::create_mapped(&name, layout.total_len, Writable::Existing)?;
        let pid = rustix::process::getpid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        for (index, value) in layout.header_words(pid) {
            mapping.word(index).store(value, OWN);
        }
        let shared = Arc::new(SharedRing {
            topic,
            generation,
            total_len: layout.total_len,
            fd,
            seats: Seats::new(),
        });
        let hazards = HazardPages::new();
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

    /// See [`crate::stage::Publisher::publish`].
    pub(crate) fn publish<M: IntoBytes + Immutable>(
        &mut self,
        parts: &[&[u8]],
        meta: impl FnOnce(Stamp) -> M,
    ) -> Result<Option<Stamp>, RingError> {
        let len: u64 = parts.iter().map(|p| p.len() as u64).sum();
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
        let (hazards, seats) = (&mut self.hazards, &self.shared.seats);
        let claim = self.state.claim(&self.mapping, &self.layout, |old| {
            // Drained after the fence in `claim`: a page handed to a reader before it leased is always seen.
            hazards.apply(seats);
            hazards.hold(old)
        });
        let Some(claim) = claim else { return Ok(None) };
        let mut at = self.layout.payload_byte(claim.slot);
        for part in parts {
            self.mapping.copy_in(at, part);
            at += part.len();
        }
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
