//! Reading a topic for as long as one likes: subscribers that survive restarts of the writer that they read from.

use crate::control::{Address, Advice, Link, Presence};
use crate::reader::RingReader;
use crate::{Lease, Sample, Stamp, Topic};
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest sleep without looking whether the writer is still there: part of the time to recover from `kill -9`.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Sleep where there is something new that cannot be had: the quota is used up, the writer is faster than our copy,
/// or the ring makes no sense.
const BUSY_INTERVAL: Duration = Duration::from_millis(1);

/// What both kinds have in common: a link and how far it was read.
#[derive(Debug)]
struct Cursor {
    link: Link,
    generation: u64,
    seen: u64,
    empty_looks: u32,
}

impl Cursor {
    fn new(address: &Address<'_>, quota: u16) -> Self {
        Self {
            link: Link::new(address, quota),
            generation: 0,
            seen: 0,
            empty_looks: 0,
        }
    }

    /// Nothing newer than what was read last: the writer is absent, or silent.
    fn is_idle(&self) -> bool {
        self.link.current().is_none_or(|ring| {
            let same = ring.generation() == self.generation;
            ring.newest_seq() <= if same { self.seen } else { 0 }
        })
    }

    /// One look at what is attached, without a system call as long as there is something or the writer lives.
    fn poll<T>(
        &mut self,
        mut take: impl FnMut(&Arc<RingReader>, u64) -> Option<(u64, T)>,
    ) -> Option<T> {
        self.empty_looks = self.empty_looks.wrapping_add(1);
        let ring = match self.link.current() {
            // Whoever spins wants to know of a restart too, but not every few nanoseconds.
            Some(ring)
                if ring.generation() == self.generation
                    && !self.empty_looks.is_multiple_of(4096) =>
            {
                ring
            }
            _ => return self.wait(Duration::ZERO, take),
        };
        let (seq, item) = take(ring, self.seen)?;
        self.seen = seq;
        Some(item)
    }

    /// Calls `take(ring, seen)` until it gives something, re-attaching as needed, for at most `timeout`.
    fn wait<T>(
        &mut self,
        timeout: Duration,
        mut take: impl FnMut(&Arc<RingReader>, u64) -> Option<(u64, T)>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut in_vain = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let ring = self.link.ring(left)?;
            if ring.generation() != self.generation {
                // At the first attachment the newest slot is the first to be read, and older ones are not missed. After a
                // restart of the writer everything in its new ring is news.
                let first = self.generation == 0;
                self.seen = if first {
                    ring.newest_seq().saturating_sub(1)
                } else {
                    0
                };
                self.generation = ring.generation();
            }
            let mut item = take(&ring, self.seen);
            if item.is_none() {
                let news = ring.wait_newer(self.seen, left.min(POLL_INTERVAL));
                if news && in_vain {
                    std::thread::sleep(left.min(BUSY_INTERVAL));
                }
                if (!news || in_vain) && self.link.hung_up() {
                    // What the writer published between our look and its end is still there: look once more.
                    item = take(&ring, self.seen);
                    if item.is_none() {
                        self.link.detach();
                    }
                }
                in_vain = news;
            }
            if let Some((seq, item)) = item {
                self.seen = seq;
                return Some(item);
            }
            if left.is_zero() {
                return None;
            }
        }
    }
}

/// Leases slots of a topic, newest first. For readers that the writer trusts: zero copy.
///
/// ```
/// # use hanja_ring::{Advice, LeaseSubscriber, Topic};
/// # use std::time::Duration;
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let mut frames = LeaseSubscriber::new(directory, "camera", Topic::new(1, "frames"), 2, Advice::default());
/// if let Some(lease) = frames.newest(Duration::from_millis(10)) {
///     println!("{} bytes", lease.payload().len()); // the slot is free again when `lease` is dropped
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LeaseSubscriber {
    cursor: Cursor,
}

impl LeaseSubscriber {
    /// Reads `topic` of the server `server`, whose sockets are in `directory`. Attaches when first asked for something; an
    /// absent server is waited for. At most `quota` (1 to [`MAX_QUOTA`](crate::MAX_QUOTA)) leases at a time.
    #[must_use]
    pub fn new(directory: &Path, server: &str, topic: Topic, quota: u32, advice: Advice) -> Self {
        let quota = quota.clamp(1, crate::hazard::MAX_QUOTA) as u16;
        let address = Address {
            directory,
            server,
            topic,
            advice,
        };
        Self {
            cursor: Cursor::new(&address, quota),
        }
    }

    /// Leases the newest slot once it is newer than the last one returned, or of another generation. `None` after
    /// `timeout`: the writer is absent, silent, or this subscriber's quota is used up.
    pub fn newest(&mut self, timeout: Duration) -> Option<Lease> {
        self.cursor.wait(timeout, |ring, seen| {
            let lease = ring.lease_newest(seen)?;
            Some((lease.seq(), lease))
        })
    }

    /// Like [`newest`](Self::newest) without waiting, for a loop that spins: no system call while the writer is there.
    pub fn poll(&mut self) -> Option<Lease> {
        self.cursor.poll(|ring, seen| {
            let lease = ring.lease_newest(seen)?;
            Some((lease.seq(), lease))
        })
    }

    /// Leases exactly this slot if it is still there and the quota allows. Does not wait for it.
    pub fn exact(&mut self, generation: u64, seq: u64) -> Option<Lease> {
        let mut ring = self.cursor.link.ring(Duration::ZERO)?;
        if ring.generation() != generation {
            if !self.cursor.link.hung_up() {
                return None;
            }
            self.cursor.link.detach();
            ring = self.cursor.link.ring(POLL_INTERVAL)?;
        }
        (ring.generation() == generation).then(|| ring.lease_exact(seq))?
    }

    /// Whether there is nothing newer than what was read last: the writer is absent, or silent. False after a vain
    /// attempt to read: there is something, and it cannot be had.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.cursor.is_idle()
    }

    /// Whether a ring is attached; it may have been left by its writer a moment ago.
    #[must_use]
    pub fn attached(&self) -> bool {
        self.cursor.link.attached()
    }
}

/// Copies slots of a topic out. Writes nothing to shared memory, cannot slow or disturb anybody.
///
/// ```
/// # use hanja_ring::{Advice, Sample, TapSubscriber, Topic};
/// # use std::time::Duration;
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let mut frames = TapSubscriber::new(directory, "camera", Topic::new(1, "frames"), Advice::default());
/// let mut sample = Sample::default();
/// while frames.next(&mut sample, Duration::from_millis(10)) {
///     println!("number {}, {} missed before it", sample.seq, sample.lapped);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TapSubscriber {
    cursor: Cursor,
}

impl TapSubscriber {
    /// Reads `topic` of the server `server`, whose sockets are in `directory`. Attaches when first asked for something; an
    /// absent server is waited for.
    #[must_use]
    pub fn new(directory: &Path, server: &str, topic: Topic, advice: Advice) -> Self {
        let address = Address {
            directory,
            server,
            topic,
            advice,
        };
        Self {
            cursor: Cursor::new(&address, 0),
        }
    }

    /// Copies the newest slot not yet seen; false after `timeout`.
    pub fn newest(&mut self, sample: &mut Sample, timeout: Duration) -> bool {
        let take = |ring: &Arc<RingReader>, seen| {
            ring.tap_newest(seen, sample).then_some((sample.seq, ()))
        };
        self.cursor.wait(timeout, take).is_some()
    }

    /// Forgets what was read: the newest slot counts as new again.
    pub fn rewind(&mut self) {
        self.cursor.seen = 0;
    }

    /// Copies the next slot in order, beginning with the newest at the first attachment; `sample.lapped` counts those
    /// overwritten before they could be read. False after `timeout`.
    pub fn next(&mut self, sample: &mut Sample, timeout: Duration) -> bool {
        let take =
            |ring: &Arc<RingReader>, seen| ring.tap_next(seen, sample).then_some((sample.seq, ()));
        self.cursor.wait(timeout, take).is_some()
    }

    /// Like [`newest`](Self::newest), but takes the metadata only and gives the payload's length;
    /// [`copy_payload`](Self::copy_payload) fetches the payload once there is memory for it.
    pub fn peek_newest(&mut self, sample: &mut Sample, timeout: Duration) -> Option<u64> {
        self.cursor.wait(timeout, |ring, seen| {
            let len = ring.peek_newest(seen, sample)?;
            Some((sample.seq, len))
        })
    }

    /// Like [`peek_newest`](Self::peek_newest), in the order of [`next`](Self::next).
    pub fn peek_next(&mut self, sample: &mut Sample, timeout: Duration) -> Option<u64> {
        self.cursor.wait(timeout, |ring, seen| {
            let len = ring.peek_next(seen, sample)?;
            Some((sample.seq, len))
        })
    }

    /// Copies the payload that a peek found, as much as fits `out`, and gives its whole length: as many bytes of `out`
    /// are initialised, if it has them. `None`: it has been overwritten since, and `out` holds rubbish; peek again.
    pub fn copy_payload(&mut self, stamp: Stamp, out: &mut [MaybeUninit<u8>]) -> Option<u64> {
        // Attached, or this was not the last thing done: a peek leaves its ring attached, dead writer or not.
        let ring = self.cursor.link.ring(Duration::ZERO)?;
        (ring.generation() == stamp.generation).then(|| ring.copy_payload(stamp.seq, out))?
    }

    /// What is at the other end, as of the last call that looked for something.
    #[must_use]
    pub fn presence(&self) -> Presence {
        self.cursor.link.presence()
    }

    /// Why nothing is attached, for people; `None` if something is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.cursor.link.problem()
    }

    /// Whether there is a server that cannot be read, and why stands in the log.
    #[must_use]
    pub fn complained(&self) -> bool {
        self.cursor.link.complained()
    }

    /// Whether there is nothing newer than what was read last: the writer is absent, or silent. False after a vain
    /// attempt to read: there is something, and it cannot be had.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.cursor.is_idle()
    }

    /// Whether a ring is attached; it may have been left by its writer a moment ago.
    #[must_use]
    pub fn attached(&self) -> bool {
        self.cursor.link.attached()
    }
}
