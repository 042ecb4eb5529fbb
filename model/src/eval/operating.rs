//! What a user gets at one threshold: precision, recall, inventions, confusions, recall by size.

use super::boxes::Frame;
use super::matching::match_class;
use hanja_handwriting::CLASSES;
use std::collections::BTreeMap;

/// Upper ends of the size bands, as shares of the picture's longer side: from 4 to 95 % in twelve equal ratios; what is
/// smaller or larger belongs to the first or the last.
pub const SIZE_BANDS: [f64; 12] = [
    0.052, 0.068, 0.088, 0.115, 0.15, 0.195, 0.254, 0.33, 0.43, 0.56, 0.73, 1.0,
];

/// Lower ends of the score bands.
pub const SCORE_BANDS: [f64; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Counts at the operating threshold, of one class or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Detections that match a label.
    pub right: usize,
    /// Detections that match none.
    pub wrong: usize,
    /// Labels.
    pub labels: usize,
}

impl Counts {
    /// Share of the detections that are right; 1 when there are none.
    #[must_use]
    pub fn precision(&self) -> f64 {
        ratio(self.right, self.right + self.wrong)
    }

    /// Share of the labels that are found; 1 when there are none.
    #[must_use]
    pub fn recall(&self) -> f64 {
        ratio(self.right, self.labels)
    }
}

/// Counts at the operating threshold, with IoU .50.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operating {
    /// Pictures in the data.
    pub frames: usize,
    /// Counts by class.
    pub by_class: [Counts; CLASSES],
    /// (labels, found) for each of [`SIZE_BANDS`].
    pub by_size: [(usize, usize); SIZE_BANDS.len()],
    /// (detections, those that match a label) for each of [`SCORE_BANDS`], whatever the threshold: whether a score of 0.8
    /// is right eight times in ten.
    pub by_score: [(usize, usize); SCORE_BANDS.len()],
    /// How often a label of the first class was given as the second, when nothing right was found.
    pub confusions: BTreeMap<(usize, usize), usize>,
    /// Pictures with the most mistakes (missed + wrong), worst first: (name, missed, wrong).
    pub worst: Vec<(String, usize, usize)>,
}

impl Operating {
    /// Counts of all classes together.
    #[must_use]
    pub fn all(&self) -> Counts {
        let add = |sum: Counts, class: &Counts| Counts {
            right: sum.right + class.right,
            wrong: sum.wrong + class.wrong,
            labels: sum.labels + class.labels,
        };
        self.by_class.iter().fold(Counts::default(), add)
    }

    /// Wrong detections a picture.
    #[must_use]
    pub fn false_positives_per_frame(&self) -> f64 {
        self.all().wrong as f64 / self.frames.max(1) as f64
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

/// Counts what detections of at least `threshold` do at IoU .50.
#[must_use]
pub fn operate(frames: &[Frame], threshold: f64) -> Operating {
    let mut sum = Operating {
        frames: frames.len(),
        ..Operating::default()
    };
    for frame in frames {
        count(frame, threshold, &mut sum);
    }
    sum.worst
        .sort_by_key(|(_, missed, wrong)| std::cmp::Reverse(missed + wrong));
    sum.worst.truncate(10);
    sum
}

/// What detections of at least `threshold` do in one picture at IoU .50: which labels are found, and
/// which detections match none, best score of each class first.
pub(crate) fn matched(frame: &Frame, threshold: f64) -> (Vec<bool>, Vec<usize>) {
    let mut label_found = vec![false; frame.labels.len()];
    let mut wrong = Vec::new();
    for class in 0..CLASSES {
        // Best first: what lies below the threshold takes no label from what lies above.
        for (i, label) in match_class(frame, class, 0.5) {
            match label {
                _ if frame.detections[i].score < threshold => {}
                Some(label) => label_found[label] = true,
                None => wrong.push(i),
            }
        }
    }
    (label_found, wrong)
}

fn count(frame: &Frame, threshold: f64, sum: &mut Operating) {
    let (_, wrong) = matched(frame, SCORE_BANDS[0]);
    for (i, found) in frame.detections.iter().enumerate() {
        if let Some(band) = SCORE_BANDS.iter().rposition(|b| found.score >= *b) {
            sum.by_score[band].0 += 1;
            sum.by_score[band].1 += usize::from(!wrong.contains(&i));
        }
    }
    let (label_found, wrong) = matched(frame, threshold);
    for &i in &wrong {
        sum.by_class[frame.detections[i].class].wrong += 1;
    }
    let longer = f64::from(frame.width.max(frame.height).max(1));
    for (label, &found) in frame.labels.iter().zip(&label_found) {
        let share = label.area.longer_side() / longer;
        let band = SIZE_BANDS
            .iter()
            .position(|b| share <= *b)
            .unwrap_or(SIZE_BANDS.len() - 1);
        sum.by_class[label.class].labels += 1;
        sum.by_class[label.class].right += usize::from(found);
        sum.by_size[band].0 += 1;
        sum.by_size[band].1 += usize::from(found);
        if !found {
            let overlaps = |i: &&usize| frame.detections[**i].area.iou(&label.area) >= 0.5;
            if let Some(&i) = wrong.iter().find(overlaps) {
                *sum.confusions
                    .entry((label.class, frame.detections[i].class))
                    .or_default() += 1;
            }
        }
    }
    let missed = label_found.iter().filter(|found| !**found).count();
    if missed + wrong.len() > 0 {
        sum.worst.push((frame.name.clone(), missed, wrong.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::{frame, square};
    use super::*;

    #[test]
    fn counts_by_hand() {
        let frames = [
            frame(
                &[(2, square(0.0, 0.0, 10.0)), (4, square(50.0, 50.0, 30.0))],
                &[
                    (1, 0.9, square(0.0, 0.0, 10.0)),
                    (4, 0.8, square(50.0, 50.0, 30.0)),
                    (9, 0.1, square(80.0, 0.0, 10.0)),
                ],
            ),
            frame(&[], &[(0, 0.7, square(0.0, 0.0, 10.0))]),
        ];
        let got = operate(&frames, 0.25);
        let all = got.all();
        assert_eq!((all.right, all.wrong, all.labels, got.frames), (1, 2, 2, 2));
        assert_eq!(got.confusions, BTreeMap::from([((2, 1), 1)]));
        let class = |right, wrong, labels| Counts {
            right,
            wrong,
            labels,
        };
        assert_eq!(got.by_class[2], class(0, 0, 1));
        assert_eq!(got.by_class[4], class(1, 0, 1));
        assert_eq!(got.by_class[1], class(0, 1, 0));
        assert_eq!(
            (got.by_class[1].precision(), got.by_class[1].recall()),
            (0.0, 1.0)
        );
        assert_eq!(got.by_score[0], (1, 0));
        assert_eq!(
            (got.by_score[6], got.by_score[7], got.by_score[8]),
            ((1, 0), (1, 1), (1, 0))
        );
        assert_eq!(got.by_size[3], (1, 0));
        assert_eq!(got.by_size[7], (1, 1));
        assert!((got.false_positives_per_frame() - 1.0).abs() < 1e-12);
        assert!((all.recall() - 0.5).abs() < 1e-12);
        assert_eq!(got.worst.len(), 2);
        assert_eq!(operate(&frames, 0.05).all().wrong, 3);
    }

    #[test]
    fn no_labels_and_no_detections_are_no_mistake() {
        let got = operate(&[frame(&[], &[])], 0.25);
        assert_eq!((got.all().precision(), got.all().recall()), (1.0, 1.0));
        assert!(got.worst.is_empty());
    }
}
