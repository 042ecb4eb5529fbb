//! Whether what is said about a frame adds up, asked of every frame by every stage that knows the numbers.
//!
//! [`FrameAccounting`](super::FrameAccounting) counts a run from outside, at leisure; this is the check on the frame
//! path: a few additions, no memory, no lock. What it finds is a bug, counted in
//! [`StageStats::unbalanced_total`](hanja_record::StageStats::unbalanced_total) and said in the log.

use hanja_record::{DetectionHeader, Status, Times};
use std::fmt;

/// What does not add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discrepancy {
    /// The stages do not sum to the whole, or a stamp is missing.
    Times(Times),
    /// Frames that passed and frames that were accounted for, since the record or frame before.
    Counts {
        /// By their numbers.
        passed: u64,
        /// Published, dropped, lost, inferred or skipped.
        counted: u64,
    },
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(t) => write!(f, "the times {:?} do not add up", t.stamps()),
            Self::Counts { passed, counted } => {
                write!(
                    f,
                    "{passed} frames do not add up: {counted} are accounted for"
                )
            }
        }
    }
}

impl std::error::Error for Discrepancy {}

/// (D11) Checks times that end before infer.
///
/// # Errors
/// They do not add up.
pub fn check_times(times: &Times) -> Result<(), Discrepancy> {
    if times.add_up() {
        Ok(())
    } else {
        Err(Discrepancy::Times(*times))
    }
}

/// What a source delivered: published + dropped + lost, by its own numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SourceCheck {
    last: Option<(u64, u64)>,
}

impl SourceCheck {
    /// After a frame with the source's number `driver_seq`; `counted`: frames published, dropped and lost until now, this
    /// one included. A source that counts backwards is none of our business.
    ///
    /// # Errors
    /// A frame was not accounted for, or twice.
    pub fn check(&mut self, driver_seq: u64, counted: u64) -> Result<(), Discrepancy> {
        let Some((seq, before)) = self.last.replace((driver_seq, counted)) else {
            return Ok(());
        };
        let passed = driver_seq.saturating_sub(seq).max(1);
        let counted = counted.saturating_sub(before);
        same(passed, counted)
    }
}

/// What infer says: within one of its lives and one generation of frames, each frame is inferred or skipped.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordCheck {
    life: u64,
    generation: u64,
    seq: u64,
    handled: u64,
}

impl RecordCheck {
    /// The next record, or one after some that were missed: they carry totals.
    ///
    /// # Errors
    /// Its times or its counts do not add up.
    pub fn check(&mut self, h: &DetectionHeader) -> Result<(), Discrepancy> {
        let handled = [
            h.inferred_total,
            h.skipped_busy_total,
            h.skipped_undecodable_total,
            h.skipped_no_signal_total,
        ];
        let handled = handled.into_iter().fold(0, u64::saturating_add);
        let before = std::mem::replace(
            self,
            Self {
                life: h.generation,
                generation: h.frame_generation,
                seq: h.frame_seq,
                handled,
            },
        );
        let whole = h.status != Status::Ok as u16 || h.times.stamps()[..9].iter().all(|t| *t != 0);
        if !whole || !h.times.add_up() {
            return Err(Discrepancy::Times(h.times));
        }
        // Between two generations of frames nobody knows how many there were.
        if before.life == h.generation && before.generation == h.frame_generation {
            let passed = h.frame_seq.saturating_sub(before.seq);
            return same(passed, handled.saturating_sub(before.handled));
        }
        Ok(())
    }
}

fn same(passed: u64, counted: u64) -> Result<(), Discrepancy> {
    if passed == counted {
        Ok(())
    } else {
        Err(Discrepancy::Counts { passed, counted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::DetectionRecord;

    fn head(seq: u64, inferred: u64, busy: u64) -> DetectionHeader {
        let mut h = DetectionRecord::default().header;
        (h.generation, h.frame_generation, h.frame_seq) = (1, 2, seq);
        (h.inferred_total, h.skipped_busy_total) = (inferred, busy);
        h.times = Times {
            sensor: 1,
            dequeued: 2,
            published: 3,
            acquired: 4,
            preprocessed: 5,
            submitted: 6,
            inferred: 7,
            postprocessed: 8,
            detections_published: 9,
            ..Times::default()
        };
        h
    }

    #[test]
    fn every_frame_is_inferred_or_skipped() {
        let mut b = RecordCheck::default();
        assert_eq!(
            b.check(&head(5, 1, 0)),
            Ok(()),
            "nobody knows what was before"
        );
        assert_eq!(b.check(&head(6, 2, 0)), Ok(()));
        assert_eq!(b.check(&head(9, 3, 2)), Ok(()));
        assert_eq!(b.check(&head(19, 8, 7)), Ok(()), "records were missed");
        let forgot = Discrepancy::Counts {
            passed: 2,
            counted: 1,
        };
        assert_eq!(b.check(&head(21, 9, 7)), Err(forgot));
        assert!(forgot.to_string().contains("2 frames do not add up: 1"));
        let twice = Discrepancy::Counts {
            passed: 1,
            counted: 2,
        };
        assert_eq!(b.check(&head(22, 10, 8)), Err(twice));
        // Another generation of frames, another life of infer.
        let other = DetectionHeader {
            frame_generation: 3,
            ..head(7, 11, 8)
        };
        assert_eq!(b.check(&other), Ok(()));
        let other = DetectionHeader {
            generation: 2,
            ..head(7, 1, 0)
        };
        assert_eq!(b.check(&other), Ok(()));
    }

    /// (D11)
    #[test]
    fn a_frame_that_was_inferred_has_all_its_times() {
        let mut b = RecordCheck::default();
        let mut h = head(1, 1, 0);
        h.times.inferred = 0;
        assert_eq!(b.check(&h), Err(Discrepancy::Times(h.times)));
        h.status = Status::NoSignal as u16;
        assert_eq!(b.check(&h), Ok(()));
        h.times.sensor = 1000;
        assert_eq!(b.check(&h), Err(Discrepancy::Times(h.times)));
        assert!(check_times(&h.times).is_err() && check_times(&Times::default()).is_ok());
    }

    #[test]
    fn a_source_is_published_dropped_or_lost() {
        let mut b = SourceCheck::default();
        for (driver, counted) in [(7, 1), (8, 2), (12, 6), (12, 7), (3, 8)] {
            assert_eq!(b.check(driver, counted), Ok(()), "{driver}");
        }
        let lost = Discrepancy::Counts {
            passed: 4,
            counted: 1,
        };
        assert_eq!(b.check(7, 9), Err(lost));
    }
}
