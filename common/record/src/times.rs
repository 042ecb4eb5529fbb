//! When what happened to a frame.

use crate::MetricId;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// When what happened to the frame, CLOCK_MONOTONIC nanoseconds; 0: has not happened (yet).
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Times {
    /// The sensor or driver finished the frame.
    pub sensor: u64,
    /// Capture had it.
    pub dequeued: u64,
    /// Visible in the frames ring.
    pub published: u64,
    /// Infer leased it.
    pub acquired: u64,
    /// Input tensor filled (decoded, converted, letterboxed).
    pub preprocessed: u64,
    /// Handed to the backend.
    pub submitted: u64,
    /// Backend done.
    pub inferred: u64,
    /// Decoded and suppressed.
    pub postprocessed: u64,
    /// Visible in the detections ring.
    pub detections_published: u64,
    /// Render had the record; 0 in infer's ring, set in render's, [`crate::Topic::Presented`].
    pub render_acquired: u64,
    /// The picture was handed to the connection of the first one who watches; 0 in infer's ring, and in render's where
    /// nobody saw it.
    pub presented: u64,
    /// Zero.
    pub reserved: u64,
}

impl Times {
    /// Names of [`stamps`](Self::stamps), in JSON.
    pub const NAMES: [&'static str; 11] = [
        "sensor",
        "dequeued",
        "published",
        "acquired",
        "preprocessed",
        "submitted",
        "inferred",
        "postprocessed",
        "detections_published",
        "render_acquired",
        "presented",
    ];

    /// All that have a name, in the order in which they happen. Each of [`MetricId::STEPS`] lies between two that follow
    /// upon each other.
    #[must_use]
    pub fn stamps(&self) -> [u64; 11] {
        [
            self.sensor,
            self.dequeued,
            self.published,
            self.acquired,
            self.preprocessed,
            self.submitted,
            self.inferred,
            self.postprocessed,
            self.detections_published,
            self.render_acquired,
            self.presented,
        ]
    }

    /// Whether the stages sum to the whole, within 1 %: nothing that has happened did so before what comes earlier.
    /// Does not allocate.
    #[must_use]
    pub fn add_up(&self) -> bool {
        let (mut first, mut last, mut sum, mut latest) = (0, 0, 0u64, 0);
        for t in self.stamps().into_iter().filter(|t| *t != 0) {
            if first == 0 {
                (first, last) = (t, t);
            }
            sum = sum.saturating_add(t.saturating_sub(last));
            (last, latest) = (t, latest.max(t));
        }
        // From the first to the last; what lies before the first is negative, and no part of any sum.
        let whole = last.saturating_sub(first);
        sum.abs_diff(whole) <= whole / 100 && latest == last
    }

    /// Where a metric begins and ends; either is 0 where that has not happened.
    #[must_use]
    pub fn span(&self, id: MetricId) -> (u64, u64) {
        self.between(id.ends())
    }

    /// The stamps at two places.
    #[must_use]
    pub fn between(&self, (from, to): (usize, usize)) -> (u64, u64) {
        let stamps = self.stamps();
        (stamps[from], stamps[to])
    }

    /// What infer measures of a frame: metric, its beginning, its end. Does not allocate.
    pub fn infer_metrics(&self) -> impl Iterator<Item = (MetricId, u64, u64)> {
        let ids = MetricId::INFER.iter().chain(&[MetricId::EndToEnd]);
        ids.map(|id| {
            let (from, to) = self.span(*id);
            (*id, from, to)
        })
    }

    /// Of these steps, which follow upon each other, what has happened: step, its beginning, its end. One whose beginning
    /// is not known begins where the last one before it that is ended; without such a one it is left out.
    #[must_use]
    pub fn steps(&self, steps: &[MetricId]) -> Vec<(MetricId, u64, u64)> {
        let mut last = steps.first().map_or(0, |step| self.span(*step).0);
        let ends = steps.iter().map(|step| (*step, self.span(*step).1));
        let known = ends.filter(|(_, end)| *end != 0);
        let spans = known.map(|(step, end)| (step, std::mem::replace(&mut last, end), end));
        spans.filter(|(_, from, _)| *from != 0).collect()
    }

    /// Consecutive stages as (name, milliseconds), from the sensor to the detections being visible, and on to render
    /// where that has happened. They sum to [`end_to_end_ms`](Self::end_to_end_ms) by construction.
    #[must_use]
    pub fn stages_ms(&self) -> Vec<(&'static str, f64)> {
        let steps = self.steps(&MetricId::STEPS).into_iter();
        steps
            .map(|(step, from, to)| (step.name(), span_ms(from, to)))
            .collect()
    }

    /// From the sensor to the last stamp that is set, milliseconds.
    #[must_use]
    pub fn end_to_end_ms(&self) -> f64 {
        let last = [
            self.detections_published,
            self.render_acquired,
            self.presented,
        ];
        span_ms(self.sensor, last.into_iter().max().unwrap_or(0))
    }
}

const _: () = assert!(size_of::<Times>() == 96);

/// Milliseconds between two stamps; 0 where either is unset (0) or they run backwards.
#[must_use]
pub fn span_ms(from_ns: u64, to_ns: u64) -> f64 {
    if from_ns == 0 || to_ns == 0 {
        return 0.0;
    }
    to_ns.saturating_sub(from_ns) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StageName;
    use proptest::prelude::*;

    const GOOD: Times = Times {
        sensor: 1_000_000,
        dequeued: 2_000_000,
        published: 2_500_000,
        acquired: 4_000_000,
        preprocessed: 5_000_000,
        submitted: 5_100_000,
        inferred: 15_000_000,
        postprocessed: 15_500_000,
        detections_published: 15_600_000,
        render_acquired: 0,
        presented: 0,
        reserved: 0,
    };

    #[test]
    fn stages_sum_to_end_to_end() {
        let sum: f64 = GOOD.stages_ms().iter().map(|s| s.1).sum();
        assert!((sum - GOOD.end_to_end_ms()).abs() < 1e-9);
        assert!((sum - 14.6).abs() < 1e-9);
        assert!(GOOD.add_up() && Times::default().add_up());
    }

    #[test]
    fn what_does_not_add_up_is_seen() {
        // A clock of another kind, a stamp of another frame, a stamp in the wrong place.
        let wrong = [
            Times {
                sensor: 3_000_000,
                ..GOOD
            },
            Times {
                published: 1_500_000,
                ..GOOD
            },
            Times {
                inferred: 5_100,
                ..GOOD
            },
            Times {
                acquired: 16_000_000,
                ..GOOD
            },
            Times {
                presented: 15_000_000,
                ..GOOD
            },
            Times {
                sensor: u64::MAX,
                ..GOOD
            },
        ];
        for t in wrong {
            assert!(!t.add_up(), "{t:?}");
        }
        // Less than 1 % of the whole is no matter.
        assert!(
            Times {
                published: 1_900_000,
                ..GOOD
            }
            .add_up()
        );
    }

    #[test]
    fn a_step_lies_between_two_stamps_and_a_sum_over_its_steps() {
        let mut t = GOOD;
        (t.render_acquired, t.presented) = (16_000_000, 17_000_000);
        let stamps = t.stamps();
        for (n, step) in MetricId::STEPS.into_iter().enumerate() {
            assert_eq!(step.ends(), (n, n + 1), "{step:?}");
            assert_eq!(t.span(step), (stamps[n], stamps[n + 1]), "{step:?}");
        }
        assert_eq!(t.span(MetricId::Inference), (t.submitted, t.inferred));
        assert_eq!(
            t.span(MetricId::EndToEnd),
            (t.sensor, t.detections_published)
        );
        assert_eq!(t.span(MetricId::Show), (t.sensor, t.presented));
        let [capture, infer, render] = StageName::ALL.map(MetricId::steps_of);
        assert_eq!([capture, infer, render].concat(), MetricId::STEPS);
        assert_eq!(infer.first(), Some(&MetricId::Queue));
        assert_eq!(infer.last(), Some(&MetricId::Announce));
        let measured: Vec<_> = t.infer_metrics().map(|(id, ..)| id).collect();
        assert_eq!(measured[..6], *infer);
        assert_eq!(measured[6], MetricId::EndToEnd);
        assert_eq!(MetricId::whole(&MetricId::STEPS), MetricId::Show.ends());
        // A stamp that is missing: its time belongs to the next step.
        t.submitted = 0;
        let names: Vec<_> = t.steps(infer).iter().map(|(id, ..)| id.name()).collect();
        assert_eq!(
            names,
            [
                "queue",
                "preprocess",
                "inference",
                "postprocess",
                "announce"
            ]
        );
        t.published = 0;
        assert_eq!(t.steps(infer)[0].0, MetricId::Preprocess);
    }

    proptest! {
        #[test]
        fn whatever_is_in_order_adds_up(spans in prop::array::uniform11(0u64..1 << 40), set in any::<u16>()) {
            let mut now = 1;
            let stamps = spans.map(|span| { now += span; now });
            let at = |i: usize| if set >> i & 1 == 1 { stamps[i] } else { 0 };
            let t = Times {
                sensor: at(0), dequeued: at(1), published: at(2), acquired: at(3), preprocessed: at(4),
                submitted: at(5), inferred: at(6), postprocessed: at(7), detections_published: at(8),
                render_acquired: at(9), presented: at(10), reserved: 0,
            };
            prop_assert!(t.add_up());
        }

        #[test]
        fn hostile_stamps_do_no_harm(stamps in prop::array::uniform11(any::<u64>())) {
            let t = Times { sensor: stamps[0], dequeued: stamps[5], inferred: stamps[10], ..GOOD };
            let _ = (t.add_up(), t.end_to_end_ms(), t.stages_ms());
        }
    }
}
