//! (D9) Every frame accounted for: captured = inferred + skipped(reason) + lost, to the last frame, across restarts.
//!
//! Two independent witnesses are compared. Frame metadata says how many frames each generation of capture produced,
//! dropped and lost; detection records say how many each life of infer handled, and how. Frames between the two are
//! given a reason by where the gap lies. Inside one life of infer on one generation of frames there may be no gap:
//! what is missing there is counted as `unexplained`, which is a bug, not a reason.
//!
//! Whoever counts reads taps, and a capture that dies milliseconds after its start leaves a ring that no tap
//! saw. Then the other witness is believed: a record proves that its frame, and all before it, were published.
//!
//! A new life of infer begins with the newest frame, which its predecessor may have recorded already. The frame
//! counts once, however often it was looked at.

use hanja_record::{DetectionHeader, FrameMeta, Status};
use serde::Serialize;
use std::collections::BTreeMap;

/// FrameTotals of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FrameTotals {
    /// Frames the source produced, including those lost in the driver.
    pub captured: u64,
    /// Frames the model ran on.
    pub inferred: u64,
    /// Frames it did not run on, by reason: `busy` (a newer one was there), `undecodable`, `no_signal`, `ring_full`
    /// (every slot leased), `startup`, `infer_restart`, `capture_restart`, `shutdown`, `unexplained`.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Frames the driver lost, by its own sequence numbers.
    pub lost: u64,
}

impl FrameTotals {
    /// Whether they add up, with nothing unexplained.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let skipped = total(self.skipped.values().copied());
        let explained = !self.skipped.contains_key("unexplained");
        explained && self.captured == total([self.inferred, skipped, self.lost])
    }
}

/// What one life of infer has handled so far.
#[derive(Clone, Copy, Debug, Default)]
struct Handled {
    inferred: u64,
    busy: u64,
    undecodable: u64,
    no_signal: u64,
}

impl Handled {
    fn of(h: &DetectionHeader) -> Self {
        Self {
            inferred: h.inferred_total,
            busy: h.skipped_busy_total,
            undecodable: h.skipped_undecodable_total,
            no_signal: h.skipped_no_signal_total,
        }
    }

    fn sum(self) -> u64 {
        total([self.inferred, self.busy, self.undecodable, self.no_signal])
    }

    /// Without one frame of this status.
    fn without_one(mut self, status: u16) -> Self {
        let fared = match status {
            s if s == Status::Undecodable as u16 => &mut self.undecodable,
            s if s == Status::NoSignal as u16 => &mut self.no_signal,
            _ => &mut self.inferred,
        };
        *fared = fared.saturating_sub(1);
        self
    }

    /// Growth since `earlier` in the same life; `None` if a counter ran backwards.
    fn since(self, earlier: Self) -> Option<Self> {
        Some(Self {
            inferred: self.inferred.checked_sub(earlier.inferred)?,
            busy: self.busy.checked_sub(earlier.busy)?,
            undecodable: self.undecodable.checked_sub(earlier.undecodable)?,
            no_signal: self.no_signal.checked_sub(earlier.no_signal)?,
        })
    }
}

/// Saturating, as every addition here: the numbers are another process's.
fn total(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}

/// Most frames that a ring which nobody else saw can have had, if infer's word on it has to be found between two records
/// with `missed` others between them: theirs, and those that were passed over meanwhile. What goes beyond was counted
/// twice, and has to show.
fn possible(missed: u64, busy: u64) -> u64 {
    if missed == 0 {
        0
    } else {
        total([missed, busy])
    }
}

/// Accounts for the frames of a run. Feed it the newest frame metadata and every detection record, in order; missing some of either
/// does no harm, since both carry totals.
#[derive(Clone, Debug, Default)]
pub struct FrameAccounting {
    totals: FrameTotals,
    /// Newest metadata of every generation, oldest first; those before `at` are closed. Of a generation known from
    /// records alone, only the number is filled in.
    frames: Vec<FrameMeta>,
    /// See [`unseen`](Self::unseen).
    unseen: u64,
    /// Generation and number of the newest frame that is accounted for.
    at: (u64, u64),
    /// How it fared ([`Status`]).
    status: u16,
    infer_generation: u64,
    /// Number of the last record in that life of infer.
    infer_seq: u64,
    handled: Handled,
}

impl FrameAccounting {
    /// Takes in the newest frame's metadata.
    pub fn frame(&mut self, meta: &FrameMeta) {
        match self
            .frames
            .iter_mut()
            .find(|f| f.generation == meta.generation)
        {
            // FrameTotals only grow; those of a record's word are not known.
            Some(known) if known.seq < meta.seq => {
                *known = FrameMeta {
                    lost_total: known.lost_total.max(meta.lost_total),
                    dropped_total: known.dropped_total.max(meta.dropped_total),
                    ..*meta
                }
            }
            Some(known) => {
                known.lost_total = known.lost_total.max(meta.lost_total);
                known.dropped_total = known.dropped_total.max(meta.dropped_total);
            }
            None => {
                self.frames.push(*meta);
                self.frames.sort_by_key(|f| f.generation);
            }
        }
    }

    /// Takes in a detection record's head.
    pub fn record(&mut self, h: &DetectionHeader) {
        let new_life = h.generation != self.infer_generation;
        let (base, base_seq) = if new_life {
            (Handled::default(), 0)
        } else {
            (self.handled, self.infer_seq)
        };
        let now = Handled::of(h);
        let Some(mut grown) = now.since(base) else {
            return;
        };
        let missed = h.seq.saturating_sub(base_seq.saturating_add(1));
        let first_life = self.infer_generation == 0;
        let crossed = h.frame_generation != self.at.0;
        self.frame(&FrameMeta {
            generation: h.frame_generation,
            seq: h.frame_seq,
            ..FrameMeta::zeroed()
        });
        let between = self.advance_to(h.frame_generation, h.frame_seq);
        // More than there were: the frame where the last life ended, once more.
        if new_life && !first_life && grown.sum() > between {
            grown = grown.without_one(self.status);
        }
        if crossed {
            let more = grown.sum().saturating_sub(between);
            self.unseen = total([self.unseen, more.min(possible(missed, grown.busy))]);
        }
        let reason = match (first_life, new_life, crossed) {
            (true, _, _) => "startup",
            (_, true, _) => "infer_restart",
            (_, _, true) => "capture_restart",
            _ => "unexplained", // (D10)
        };
        self.count(reason, between.saturating_sub(grown.sum()));
        self.totals.inferred = total([self.totals.inferred, grown.inferred]);
        self.count("busy", grown.busy);
        self.count("undecodable", grown.undecodable);
        self.count("no_signal", grown.no_signal);
        self.status = h.status;
        (self.infer_generation, self.infer_seq) = (h.generation, h.seq);
        self.handled = now;
    }

    /// Frames that are counted by infer's word alone: of rings that were gone before anybody else read them.
    #[must_use]
    pub fn unseen(&self) -> u64 {
        self.unseen
    }

    /// Frames published from where we stand up to and including (`generation`, `seq`).
    fn advance_to(&mut self, generation: u64, seq: u64) -> u64 {
        let (from_generation, from_seq) = self.at;
        if generation == from_generation {
            self.at.1 = seq.max(from_seq);
            return seq.saturating_sub(from_seq);
        }
        self.at = (generation, seq);
        let passed = self
            .frames
            .iter()
            .filter(|f| f.generation >= from_generation && f.generation < generation)
            .map(|f| f.seq);
        total([total(passed).saturating_sub(from_seq), seq])
    }

    fn count(&mut self, reason: &'static str, n: u64) {
        if n > 0 {
            let counted = self.totals.skipped.entry(reason).or_default();
            *counted = total([*counted, n]);
        }
    }

    /// Totals up to the newest record; frames after it are not counted yet.
    #[must_use]
    pub fn totals(&self) -> &FrameTotals {
        &self.totals
    }

    /// The end: frames nobody took any more are counted as `shutdown` (or `capture_restart` where capture
    /// went on in a newer generation).
    #[must_use]
    pub fn close(mut self) -> FrameTotals {
        let (generation, seq) = self.at;
        let last = self.frames.last().map_or(0, |f| f.generation);
        let left: Vec<_> = self
            .frames
            .iter()
            .filter(|f| f.generation >= generation)
            .copied()
            .collect();
        for f in left {
            let done = if f.generation == generation { seq } else { 0 };
            let reason = if f.generation == last {
                "shutdown"
            } else {
                "capture_restart"
            };
            self.count(reason, f.seq.saturating_sub(done));
        }
        let published = total(self.frames.iter().map(|f| f.seq));
        let dropped = total(self.frames.iter().map(|f| f.dropped_total));
        self.totals.lost = total(self.frames.iter().map(|f| f.lost_total));
        self.count("ring_full", dropped);
        self.totals.captured = total([published, self.unseen, dropped, self.totals.lost]);
        self.totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::DetectionRecord;
    use proptest::prelude::*;

    fn meta(generation: u64, seq: u64) -> FrameMeta {
        FrameMeta {
            generation,
            seq,
            ..FrameMeta::zeroed()
        }
    }

    /// A life of infer as the real one counts.
    struct Infer {
        head: DetectionHeader,
        last: (u64, u64),
    }

    impl Infer {
        fn start(generation: u64) -> Self {
            let head = DetectionHeader {
                generation,
                ..DetectionRecord::default().header
            };
            Self { head, last: (0, 0) }
        }

        fn take(&mut self, generation: u64, seq: u64) -> DetectionHeader {
            if self.last.0 == generation {
                self.head.skipped_busy_total += seq - self.last.1 - 1;
            }
            self.last = (generation, seq);
            self.head.seq += 1;
            self.head.inferred_total += 1;
            self.head.frame_generation = generation;
            self.head.frame_seq = seq;
            self.head
        }

        /// The same for a frame without signal.
        fn skip(&mut self, generation: u64, seq: u64) -> DetectionHeader {
            self.take(generation, seq);
            self.head.inferred_total -= 1;
            self.head.skipped_no_signal_total += 1;
            self.head.status = Status::NoSignal as u16;
            self.head
        }
    }

    #[test]
    fn a_plain_run() {
        let mut l = FrameAccounting::default();
        let mut infer = Infer::start(5);
        for seq in [3, 4, 6] {
            l.frame(&FrameMeta {
                lost_total: 2,
                dropped_total: 1,
                ..meta(1, seq)
            });
            l.record(&infer.take(1, seq));
        }
        l.frame(&FrameMeta {
            lost_total: 2,
            dropped_total: 1,
            ..meta(1, 8)
        });
        let t = l.close();
        assert!(t.adds_up(), "{t:?}");
        assert_eq!((t.captured, t.inferred, t.lost), (11, 3, 2));
        let want = [
            ("busy", 1),
            ("ring_full", 1),
            ("shutdown", 2),
            ("startup", 2),
        ];
        assert_eq!(t.skipped, BTreeMap::from(want));
    }

    #[test]
    fn a_frame_nobody_counted_is_unexplained() {
        let mut l = FrameAccounting::default();
        let mut infer = Infer::start(5);
        l.frame(&meta(1, 1));
        l.record(&infer.take(1, 1));
        l.frame(&meta(1, 3));
        infer.last.1 = 2; // infer "forgets" frame 2
        l.record(&infer.take(1, 3));
        let t = l.close();
        assert_eq!(t.skipped["unexplained"], 1);
        assert!(!t.adds_up());
    }

    #[test]
    fn a_ring_no_tap_saw_is_known_from_its_records() {
        let mut l = FrameAccounting::default();
        let mut infer = Infer::start(5);
        l.frame(&meta(1, 1));
        l.record(&infer.take(1, 1));
        // Generation 2 lived for two frames; the tap came too late, the records did not.
        l.record(&infer.take(2, 1));
        l.record(&infer.take(2, 2));
        // Of generation 3 nobody saw anything but infer, and its records were missed too.
        infer.take(3, 1);
        l.frame(&meta(4, 2));
        l.record(&infer.take(4, 1));
        let t = l.close();
        assert!(t.adds_up(), "{t:?}");
        assert_eq!((t.captured, t.inferred), (6, 5));
        assert_eq!(t.skipped, BTreeMap::from([("shutdown", 1)]));
    }

    #[test]
    fn a_frame_counted_twice_shows() {
        let mut l = FrameAccounting::default();
        let mut infer = Infer::start(5);
        for seq in 1..3 {
            l.frame(&meta(1, seq));
            l.record(&infer.take(1, seq));
        }
        infer.head.inferred_total += 1;
        l.frame(&meta(1, 3));
        l.record(&infer.take(1, 3));
        assert!(!l.close().adds_up());
    }

    #[test]
    fn a_frame_that_the_next_life_records_again_is_counted_once() {
        let mut l = FrameAccounting::default();
        for life in 5..8 {
            let mut infer = Infer::start(life);
            l.frame(&meta(1, 2));
            l.record(&infer.take(1, 2));
        }
        // One without signal, too; this life's record of it is missed.
        let mut infer = Infer::start(8);
        l.frame(&meta(1, 3));
        l.record(&infer.skip(1, 3));
        let mut infer = Infer::start(9);
        infer.skip(1, 3);
        l.frame(&meta(1, 4));
        l.record(&infer.take(1, 4));
        let t = l.close();
        assert!(t.adds_up(), "{t:?}");
        assert_eq!((t.captured, t.inferred), (4, 2));
        let want = [("no_signal", 1), ("startup", 1)];
        assert_eq!(t.skipped, BTreeMap::from(want));
    }

    #[test]
    fn a_frame_counted_twice_shows_at_a_restart_too() {
        // Of infer: one is its predecessor's, two are not.
        let mut l = FrameAccounting::default();
        l.record(&Infer::start(5).take(1, 1));
        let mut infer = Infer::start(6);
        infer.head.inferred_total += 1;
        l.record(&infer.take(1, 1));
        assert!(!l.close().adds_up());
        // Of capture: no record was missed, so no ring was either; and one that was is no excuse for three frames.
        for missed in [0, 1] {
            let mut l = FrameAccounting::default();
            let mut infer = Infer::start(5);
            l.record(&infer.take(1, 1));
            infer.head.inferred_total += 1;
            for _ in 0..missed {
                infer.take(2, 1);
            }
            l.record(&infer.take(3, 1));
            let t = l.close();
            assert!(!t.adds_up(), "{t:?}");
            assert_eq!((t.captured, t.inferred), (2 + missed, 3 + missed));
        }
    }

    proptest! {
        /// (D10) Kills of either side, skipped frames, records and frames the observer missed, frames that two lives of infer
        /// looked at: it always adds up, and has every frame that there is a witness of.
        #[test]
        fn adds_up_whatever_dies(
            steps in prop::collection::vec((0u8..10, 0u64..4, any::<bool>(), any::<bool>()), 1..60)
        ) {
            let mut l = FrameAccounting::default();
            let (mut generation, mut seq, mut published) = (1, 0, 0);
            let mut infer = Infer::start(100);
            // By generation: the number of the newest frame that the observer heard of.
            let mut witnessed = BTreeMap::<u64, u64>::new();
            for (what, jump, observed, tapped) in steps {
                match what {
                    0 => { generation += 1; seq = 0; }
                    1 => infer = Infer::start(infer.head.generation + 1),
                    _ => {
                        // Only a life that has taken none of this ring takes a frame that is not new.
                        let again = seq > 0 && infer.last.0 != generation && infer.head.seq == 0;
                        let jump = if again { jump } else { jump.max(1) };
                        seq += jump;
                        published += jump;
                        if tapped { l.frame(&meta(generation, seq)); }
                        let head = infer.take(generation, seq);
                        if observed { l.record(&head); }
                        if tapped || observed { witnessed.insert(generation, seq); }
                    }
                }
            }
            let t = l.close();
            let least = witnessed.values().sum::<u64>();
            prop_assert!((least..=published).contains(&t.captured), "{least} to {published}: {:?}", t);
            prop_assert_eq!(t.captured, t.inferred + t.skipped.values().sum::<u64>(), "{:?}", t);
            prop_assert!(!t.skipped.contains_key("unexplained"), "{:?}", t);
        }
    }
}
