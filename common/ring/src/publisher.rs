//! The writing end of a topic over any number of generations.

use crate::clock::now_ns;
use crate::writer::RingWriter;
use crate::{Geometry, RingError, Server, Slot, Stamp, Topic};
use zerocopy::{Immutable, IntoBytes};

/// Generations are microseconds since boot: unique on this machine, ascending, exact as a JSON number.
fn generation_after(previous: u64) -> u64 {
    (now_ns() / 1000).max(previous + 1)
}

/// The writing end of a topic, from [`Server::publisher`].
///
/// ```
/// # use hanja_ring::{Geometry, Listeners, Server, Topic};
/// # let directory = tempfile::tempdir()?;
/// # const NUMBERS: Topic = Topic::new(1, "numbers");
/// # let server = Server::start(directory.path(), "writer", &[NUMBERS], Listeners::default())?;
/// let geometry = Geometry { slots: 4, meta_len: 8, payload_capacity: 64 };
/// let mut numbers = server.publisher(NUMBERS, geometry)?;
/// // `None` would say that readers hold every slot: nothing was written, and nobody waited.
/// let stamp = numbers.publish(&[b"one"], |stamp| stamp.seq)?.expect("nobody leases");
/// assert_eq!(stamp.seq, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Publisher {
    topic: Topic,
    ring: RingWriter,
    server: Server,
}

impl Publisher {
    pub(crate) fn new(server: Server, topic: Topic, geometry: Geometry) -> Result<Self, RingError> {
        let ring = RingWriter::create(topic, generation_after(0), geometry)?;
        server.offer(ring.shared());
        Ok(Self {
            topic,
            ring,
            server,
        })
    }

    /// What the next publish will carry.
    #[must_use]
    pub fn next(&self) -> Stamp {
        self.ring.next()
    }

    /// Geometry of the present generation.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.ring.geometry()
    }

    /// Memory of the present generation in bytes, whoever reads it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ring.shared().total_len
    }

    /// Begins a new generation: readers are hung up on, keep what they hold, and attach to the new ring.
    ///
    /// # Errors
    /// No memory, or a geometry outside its limits; the present generation goes on.
    pub fn renew(&mut self, geometry: Geometry) -> Result<(), RingError> {
        let generation = generation_after(self.ring.next().generation);
        let ring = RingWriter::create(self.topic, generation, geometry)?;
        self.server.offer(ring.shared());
        self.ring = ring;
        Ok(())
    }

    /// Copies `parts` one after the other into a free slot, asks `meta` for the metadata (it runs just before the
    /// slot becomes visible, so it can stamp the time), publishes and wakes all readers. `Ok(None)`: every slot is
    /// leased; nothing was written, the caller counts the drop. Never waits.
    ///
    /// # Errors
    /// A payload larger than the geometry's capacity, or metadata of another size.
    pub fn publish<M: IntoBytes + Immutable>(
        &mut self,
        parts: &[&[u8]],
        meta: impl FnOnce(Stamp) -> M,
    ) -> Result<Option<Stamp>, RingError> {
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let fill = |slot: &mut Slot<'_>| {
            let mut at = 0;
            for part in parts {
                slot.write(at, part);
                at += part.len();
            }
        };
        self.publish_with(len, fill, meta)
    }

    /// Like [`publish`](Self::publish) with a payload of `len` bytes that `fill` writes into the slot, in any order.
    /// Readers see neither a half-filled slot nor an older one meanwhile; they are not kept waiting.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with<M: IntoBytes + Immutable>(
        &mut self,
        len: u64,
        fill: impl FnOnce(&mut Slot<'_>),
        meta: impl FnOnce(Stamp) -> M,
    ) -> Result<Option<Stamp>, RingError> {
        self.ring.publish(len, fill, meta)
    }
}
