//! Average precision as COCO defines it: the precision envelope read at 101 recalls, per class and
//! IoU threshold, then averaged over classes that have labels.

use super::boxes::Frame;
use super::matching::{IOU_THRESHOLDS, match_class};
use hanja_handwriting::CLASSES;

/// The scores of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassScore {
    /// Labels of the class in the data.
    pub labels: usize,
    /// AP at each of [`IOU_THRESHOLDS`], 0..=1; all 0 without labels.
    pub ap: [f64; IOU_THRESHOLDS.len()],
    /// Precision at recalls 0.00, 0.01 … 1.00 for IoU .50, for plotting.
    pub curve: Vec<f64>,
}

impl ClassScore {
    /// AP at IoU .50.
    #[must_use]
    pub fn ap50(&self) -> f64 {
        self.ap[0]
    }

    /// AP averaged over the ten thresholds.
    #[must_use]
    pub fn ap50_95(&self) -> f64 {
        self.ap.iter().sum::<f64>() / self.ap.len() as f64
    }
}

/// Scores every class.
#[must_use]
pub fn score(frames: &[Frame]) -> Vec<ClassScore> {
    (0..CLASSES)
        .map(|class| score_class(frames, class))
        .collect()
}

/// (mAP50, mAP50-95) over the classes that have labels; zeros when none has.
#[must_use]
pub fn means(scores: &[ClassScore]) -> (f64, f64) {
    let present: Vec<&ClassScore> = scores.iter().filter(|s| s.labels > 0).collect();
    let count = present.len().max(1) as f64;
    // Not sum(): of nothing that is -0.0, which would be printed.
    let sum = |f: fn(&ClassScore) -> f64| present.iter().fold(0.0, |total, s| total + f(s));
    (
        sum(ClassScore::ap50) / count,
        sum(ClassScore::ap50_95) / count,
    )
}

fn score_class(frames: &[Frame], class: usize) -> ClassScore {
    let labels = frames
        .iter()
        .flat_map(|f| &f.labels)
        .filter(|l| l.class == class)
        .count();
    let mut ap = [0.0; IOU_THRESHOLDS.len()];
    let mut curve = vec![0.0; 101];
    for (k, &iou) in IOU_THRESHOLDS.iter().enumerate() {
        let mut found: Vec<(f64, bool)> = Vec::new();
        for frame in frames {
            let matched = match_class(frame, class, iou);
            found.extend(
                matched
                    .iter()
                    .map(|&(i, m)| (frame.detections[i].score, m.is_some())),
            );
        }
        let points = precision_at_recalls(&mut found, labels);
        ap[k] = points.iter().sum::<f64>() / 101.0;
        if k == 0 {
            curve = points;
        }
    }
    ClassScore { labels, ap, curve }
}

/// The precision envelope at 101 recalls from (score, right) of every detection; zero beyond the
/// recall that is reached. Sorts `found` by falling score, stably.
#[must_use]
pub fn precision_at_recalls(found: &mut [(f64, bool)], labels: usize) -> Vec<f64> {
    let mut points = vec![0.0; 101];
    if labels == 0 {
        return points;
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut right, mut recall, mut precision) = (0usize, Vec::new(), Vec::new());
    for (i, &(_, is_right)) in found.iter().enumerate() {
        right += usize::from(is_right);
        recall.push(right as f64 / labels as f64);
        precision.push(right as f64 / (i + 1) as f64);
    }
    for i in (1..precision.len()).rev() {
        precision[i - 1] = precision[i - 1].max(precision[i]);
    }
    for (k, point) in points.iter_mut().enumerate() {
        // pycocotools steps by multiples of the floating-point 0.01; one ulp decides ties.
        let wanted = if k == 100 { 1.0 } else { k as f64 * 0.01 };
        let at = recall.partition_point(|r| *r < wanted);
        *point = precision.get(at).copied().unwrap_or(0.0);
    }
    points
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::{frame, square};
    use super::*;

    #[test]
    fn perfect_detections_score_one() {
        let boxes = [(0, square(0.0, 0.0, 10.0)), (4, square(40.0, 0.0, 20.0))];
        let found: Vec<_> = boxes.iter().map(|&(c, b)| (c, 0.9, b)).collect();
        let scores = score(&[frame(&boxes, &found)]);
        let (map50, map) = means(&scores);
        assert!((map50 - 1.0).abs() < 1e-9 && (map - 1.0).abs() < 1e-9);
        assert_eq!(scores.iter().filter(|s| s.labels > 0).count(), 2);
    }

    #[test]
    fn a_known_curve_by_hand() {
        // Right, wrong, right of two labels: precision 1 up to recall .5, then 2/3.
        let mut found = [(0.9, true), (0.8, false), (0.7, true)];
        let points = precision_at_recalls(&mut found, 2);
        let ap = points.iter().sum::<f64>() / 101.0;
        let want = (51.0 + 50.0 * 2.0 / 3.0) / 101.0;
        assert!((ap - want).abs() < 1e-12, "{ap} {want}");
    }

    #[test]
    fn a_box_shifted_by_a_tenth_fails_the_strict_thresholds_only() {
        // IoU of the shifted square is 9/11 = .818: right at .50 to .80, seven of ten.
        let truth = [(2, square(0.0, 0.0, 10.0))];
        let scores = score(&[frame(&truth, &[(2, 0.9, square(1.0, 0.0, 10.0))])]);
        assert!((scores[2].ap50() - 1.0).abs() < 1e-9);
        assert!((scores[2].ap50_95() - 0.7).abs() < 1e-9);
    }

    #[test]
    fn nothing_in_nothing_out() {
        assert_eq!(means(&score(&[])), (0.0, 0.0));
        let wrong = frame(&[], &[(1, 0.9, square(0.0, 0.0, 5.0))]);
        assert_eq!(means(&score(&[wrong])), (0.0, 0.0));
    }

    #[test]
    fn false_detections_never_help() {
        let truth = [(5, square(0.0, 0.0, 10.0)), (5, square(30.0, 0.0, 10.0))];
        let good = [
            (5, 0.5, square(0.0, 0.0, 10.0)),
            (5, 0.4, square(30.0, 0.0, 10.0)),
        ];
        let clean = means(&score(&[frame(&truth, &good)])).0;
        for confidence in [0.3, 0.45, 0.9] {
            let mut worse = good.to_vec();
            worse.push((5, confidence, square(70.0, 70.0, 10.0)));
            assert!(means(&score(&[frame(&truth, &worse)])).0 <= clean);
        }
    }

    proptest::proptest! {
        #[test]
        fn ap_is_a_share_and_the_curve_falls(
            truth in proptest::collection::vec((0usize..3, 0.0..80.0f64, 5.0..30.0f64), 0..6),
            found in proptest::collection::vec((0usize..3, 0.0..1.0f64, 0.0..80.0f64, 5.0..30.0f64), 0..9),
        ) {
            let truth: Vec<_> = truth.iter().map(|&(c, x, s)| (c, square(x, x, s))).collect();
            let found: Vec<_> =
                found.iter().map(|&(c, p, x, s)| (c, p, square(x, x, s))).collect();
            for s in score(&[frame(&truth, &found)]) {
                proptest::prop_assert!(s.ap.iter().all(|a| (0.0..=1.0).contains(a)));
                proptest::prop_assert!(s.curve.windows(2).all(|w| w[0] >= w[1]));
            }
        }
    }
}
