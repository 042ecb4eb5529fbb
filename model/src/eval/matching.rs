//! Which detections are right: COCO's greedy matching, per picture and class.

use super::boxes::{Detection, Frame, Label};

/// COCO's ten IoU thresholds, .50 to .95.
pub const IOU_THRESHOLDS: [f64; 10] = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];

/// Detections a picture and class beyond this rank are not scored.
pub const MAX_DETECTIONS: usize = 300;

/// For every detection of `class` in the frame, best score first (ties in the order given) and at
/// most [`MAX_DETECTIONS`]: its index and the index of the label it was matched to.
///
/// In that order each detection takes the free label of its class with the highest IoU, if that is
/// at least `iou`; among equals the last, as pycocotools has it.
#[must_use]
pub fn match_class(frame: &Frame, class: usize, iou: f64) -> Vec<(usize, Option<usize>)> {
    let indices = 0..frame.detections.len();
    let mut order: Vec<usize> = indices
        .filter(|i| frame.detections[*i].class == class)
        .collect();
    order.sort_by(|a, b| {
        frame.detections[*b]
            .score
            .total_cmp(&frame.detections[*a].score)
    });
    order.truncate(MAX_DETECTIONS);
    let mut free: Vec<bool> = frame.labels.iter().map(|l| l.class == class).collect();
    let take = |i: usize| {
        let found = best_free(&frame.detections[i], &frame.labels, &free, iou);
        if let Some(label) = found {
            free[label] = false;
        }
        (i, found)
    };
    order.into_iter().map(take).collect()
}

fn best_free(detection: &Detection, labels: &[Label], free: &[bool], iou: f64) -> Option<usize> {
    // pycocotools lowers the threshold by a hair so that 0.5 counts as reaching 0.5.
    let mut best = iou.min(1.0 - 1e-10);
    let mut found = None;
    for (i, label) in labels.iter().enumerate().filter(|(i, _)| free[*i]) {
        let overlap = detection.area.iou(&label.area);
        if overlap >= best {
            best = overlap;
            found = Some(i);
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::eval::boxes::PixelBox;

    pub(crate) fn square(x: f64, y: f64, side: f64) -> PixelBox {
        PixelBox {
            x1: x,
            y1: y,
            x2: x + side,
            y2: y + side,
        }
    }

    pub(crate) fn frame(labels: &[(usize, PixelBox)], found: &[(usize, f64, PixelBox)]) -> Frame {
        Frame {
            name: String::new(),
            width: 100,
            height: 100,
            labels: labels
                .iter()
                .map(|&(class, area)| Label { class, area })
                .collect(),
            detections: found
                .iter()
                .map(|&(class, score, area)| Detection { class, score, area })
                .collect(),
        }
    }

    #[test]
    fn the_better_score_takes_the_label_and_a_double_is_wrong() {
        let f = frame(
            &[(3, square(0.0, 0.0, 10.0))],
            &[
                (3, 0.6, square(0.0, 0.0, 10.0)),
                (3, 0.9, square(1.0, 0.0, 10.0)),
            ],
        );
        assert_eq!(match_class(&f, 3, 0.5), [(1, Some(0)), (0, None)]);
        // At .95 the better score does not reach, and the exact one does.
        assert_eq!(match_class(&f, 3, 0.95), [(1, None), (0, Some(0))]);
    }

    #[test]
    fn classes_do_not_mix_and_exactly_half_counts() {
        let f = frame(
            &[(1, square(0.0, 0.0, 10.0)), (2, square(50.0, 0.0, 10.0))],
            &[
                (2, 0.9, square(0.0, 0.0, 10.0)),
                (
                    2,
                    0.8,
                    PixelBox {
                        x1: 50.0,
                        y1: 0.0,
                        x2: 60.0,
                        y2: 5.0,
                    },
                ),
            ],
        );
        assert_eq!(match_class(&f, 2, 0.5), [(0, None), (1, Some(1))]);
        assert_eq!(match_class(&f, 1, 0.5), []);
    }
}
