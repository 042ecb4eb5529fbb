//! Reading a topic for as long as one likes: subscribers that survive restarts of the stage they read from.

use crate::control::{Link, Presence};
use crate::ring::reader::RingReader;
use crate::ring::{Lease, Sample, Stamp, Topic};
use crate::stage::StageName;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest sleep without looking whether the writer is still there: part of the time to recover from `kill -9`.
const LOOK: Duration = Duration::from_millis(50);
/// Sleep where there is something new that cannot be had: the quota is used up, the writer is faster than our copy,
/// or the ring makes no sense.
const PAUSE: Duration = Duration::from_millis(1);

/// What both kinds have in common: a link and how far it was read.
#[derive(Debug)]
struct Cursor {
    link: Link,
    generation: u64,
    seen: u64,
    empty_looks: u32,
}

impl Cursor {
    fn new(dir: &Path, stage: StageName, topic: Topic, quota: u16) -> Self {
        Self {
            link: Link::new(dir, stage, topic, quota),
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
                // The first time, what is there already is the past; after a restart it was missed by nobody's fault.
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
                let news = ring.wait_newer(self.seen, left.min(LOOK));
                if news && in_vain {
                    std::thread::sleep(left.min(PAUSE));
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

/// Leases slots of a topic, newest first. For the trusted stages: zero copy.
#[derive(Debug)]
pub struct LeaseSubscriber {
    cursor: Cursor,
}

impl LeaseSubscriber {
    /// Attaches when first asked for something; an absent stage is waited for. At most `quota` (1 to 4) leases at a
    /// time.
    #[must_use]
    pub fn new(runtime_dir: &Path, stage: StageName, topic: Topic, quota: u32) -> Self {
        let quota = quota.clamp(1, crate::ring::hazard::MAX_QUOTA) as u16;
        Self {
            cursor: Cursor::new(runtime_dir, stage, topic, quota),
        }
    }

    /// Leases the newest slot once it is newer than the last one returned, or of another generation. `None` after
    /// `timeout`: the stage is absent, silent, or this subscriber's quota is used up.
    pub fn newest(&mut self, timeout: Duration) -> Option<Lease> {
        self.cursor.wait(timeout, |ring, seen| {
            let lease = ring.lease_newest(seen)?;
            Some((lease.seq(), lease))
        })
    }

    /// Like [`newest`](Self::newest) without waiting, for a loop that spins: no system call while the stage is there.
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
            ring = self.cursor.link.ring(LOOK)?;
        }
        (ring.generation() == generation).then(|| ring.lease_exact(seq))?
    }

    /// Whether there is nothing newer than what was read last: the stage is absent, or silent. False after a vain
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
#[derive(Debug)]
pub struct TapSubscriber {
    cursor: Cursor,
}

impl TapSubscriber {
    /// Attaches when first asked for something; an absent stage is waited for.
    #[must_use]
    pub fn new(runtime_dir: &Path, stage: StageName, topic: Topic) -> Self {
        Self {
            cursor: Cursor::new(runtime_dir, stage, topic, 0),
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

    /// Why nothing is attached, in words; `None` if something is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.cursor.link.problem()
    }

    /// Whether there is a stage that cannot be read, and why stands in the log.
    #[must_use]
    pub fn complained(&self) -> bool {
        self.cursor.link.complained()
    }

    /// Whether there is nothing newer than what was read last: the stage is absent, or silent. False after a vain
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

#[cfg(test)]
#[allow(unsafe_code, reason = "looks into memory that was uninitialised")]
mod tests {
    use super::*;
    use crate::ring::Geometry;
    use crate::stage::Stage;

    const WAIT: Duration = Duration::from_secs(2);
    const G: Geometry = Geometry {
        slots: 4,
        meta_len: 16,
        payload_capacity: 1024,
    };

    fn meta(stamp: Stamp) -> [u64; 2] {
        [stamp.generation, stamp.seq]
    }

    #[test]
    fn a_peek_is_followed_by_one_copy_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let mut tap = TapSubscriber::new(dir.path(), StageName::Capture, Topic::Frames);
        let mut sample = Sample::default();
        assert!(tap.peek_next(&mut sample, Duration::ZERO).is_none());
        let problem = tap.problem().unwrap();
        assert!(
            problem.contains("capture-tap.sock (frames)") && problem.contains("hanja run"),
            "{problem}"
        );
        let stage = Stage::start(StageName::Capture, dir.path()).unwrap();
        assert!(
            tap.peek_next(&mut sample, Duration::from_millis(50))
                .is_none()
        );
        assert!(tap.problem().unwrap().contains("does not have this topic"));
        assert!(tap.is_idle(), "nobody there is nothing to do");
        let mut publisher = stage.publisher(Topic::Frames, G).unwrap();
        publisher.publish(&[&[7; 100]], meta).unwrap();
        let _ = tap.peek_newest(&mut Sample::default(), WAIT);
        tap.rewind();
        assert!(!tap.is_idle(), "there is something, not read");
        assert_eq!(tap.peek_next(&mut sample, WAIT), Some(100));
        assert_eq!((tap.problem(), sample.meta[8]), (None, 1));
        assert!(tap.is_idle());
        let stamp = Stamp {
            generation: sample.generation,
            seq: sample.seq,
        };
        let mut out = [MaybeUninit::new(0); 120];
        assert_eq!(tap.copy_payload(stamp, &mut out), Some(100));
        // SAFETY: initialised above.
        let bytes = out.map(|b| unsafe { b.assume_init() });
        assert_eq!((bytes[99], bytes[100]), (7, 0));
        assert_eq!(
            tap.copy_payload(stamp, &mut out[..10]),
            Some(100),
            "cut, and told"
        );
        // The writer laps the ring: what was peeked at is gone, and nothing else is taken for it.
        for _ in 0..4 {
            publisher.publish(&[b"later"], meta).unwrap();
        }
        assert_eq!(tap.copy_payload(stamp, &mut out), None);
        assert_eq!(tap.peek_newest(&mut sample, WAIT), Some(5));
        assert_eq!(sample.seq, 5);
    }
}
