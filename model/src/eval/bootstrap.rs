//! How far a score may be off because other pictures could have been taken: the evaluation of many draws, with
//! replacement, from the same pictures (percentile bootstrap).

use super::boxes::Frame;
use super::evaluate;
use rand::RngExt;
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

/// Lower and upper end of the middle 95 per cent.
pub type Interval = (f64, f64);

/// Of each figure, 0..=1, but false positives, which are a number a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Intervals {
    /// mAP at IoU .50.
    pub map50: Interval,
    /// mAP at IoU .50 to .95.
    pub map50_95: Interval,
    /// At the operating threshold.
    pub precision: Interval,
    /// At the operating threshold.
    pub recall: Interval,
    /// At the operating threshold.
    pub false_positives_per_frame: Interval,
}

/// Intervals over `rounds` draws; the same seed gives the same ones.
#[must_use]
pub fn bootstrap(frames: &[Frame], threshold: f64, rounds: usize, seed: u64) -> Intervals {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut figures: [Vec<f64>; 5] = Default::default();
    for _ in 0..rounds {
        let draw = |_| frames[rng.random_range(0..frames.len())].clone();
        let drawn: Vec<Frame> = (0..frames.len()).map(draw).collect();
        let report = evaluate(&drawn, threshold);
        let (map50, map50_95) = report.means();
        let all = report.operating.all();
        let values = [
            map50,
            map50_95,
            all.precision(),
            all.recall(),
            report.operating.false_positives_per_frame(),
        ];
        for (list, value) in figures.iter_mut().zip(values) {
            list.push(value);
        }
    }
    let [
        map50,
        map50_95,
        precision,
        recall,
        false_positives_per_frame,
    ] = figures.map(middle);
    Intervals {
        map50,
        map50_95,
        precision,
        recall,
        false_positives_per_frame,
    }
}

fn middle(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * values.len().saturating_sub(1) as f64).round() as usize;
        values.get(index).copied().unwrap_or(0.0)
    };
    (at(0.025), at(0.975))
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::{frame, square};
    use super::*;

    #[test]
    fn the_interval_holds_the_figure_and_narrows_with_more_pictures() {
        let found = frame(
            &[(1, square(0.0, 0.0, 10.0))],
            &[(1, 0.9, square(0.0, 0.0, 10.0))],
        );
        let missed = frame(&[(1, square(0.0, 0.0, 10.0))], &[]);
        let of = |count: usize| -> Vec<Frame> {
            let pick = |i: usize| {
                if i.is_multiple_of(4) {
                    missed.clone()
                } else {
                    found.clone()
                }
            };
            (0..count).map(pick).collect()
        };
        let few = bootstrap(&of(16), 0.5, 200, 1).recall;
        let many = bootstrap(&of(400), 0.5, 200, 1).recall;
        for (low, high) in [few, many] {
            assert!(low < 0.75 && 0.75 < high, "{low} {high}");
        }
        assert!(many.1 - many.0 < 0.5 * (few.1 - few.0), "{few:?} {many:?}");
        assert_eq!(
            bootstrap(&of(16), 0.5, 50, 1),
            bootstrap(&of(16), 0.5, 50, 1)
        );
    }
}
