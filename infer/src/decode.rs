//! From the rows of the model's output to candidates above the threshold, at most [`MOST_CANDIDATES`].

use crate::backend::Predictions;
use crate::nms::{self, ScoredBox};

/// The most candidates that go into suppression. A character gives about ten, so this is enough for [`MAX_DETECTIONS`]
/// characters. A cluttered or hostile picture gives more; then the best are taken.
///
/// [`MAX_DETECTIONS`]: hanja_record::MAX_DETECTIONS
pub(crate) const MOST_CANDIDATES: usize = 4096;

/// Fills `out` with the candidates, best first; returns how many rows were above the threshold in all.
///
/// A row is (centre x, centre y, width, height, objectness, class scores…), as YOLOv5 exports it; the score of a box
/// is objectness times its best class.
pub(crate) fn decode(predictions: Predictions<'_>, conf: f32, out: &mut Vec<ScoredBox>) -> u32 {
    out.clear();
    for (row, values) in (0u32..).zip(predictions.data.chunks_exact(predictions.columns)) {
        let (&[cx, cy, w, h, objectness], classes) =
            values.split_first_chunk().unwrap_or((&[0.0; 5], &[]));
        if objectness.is_nan() || objectness < conf {
            continue;
        }
        let Some((class, best)) = (0u16..)
            .zip(classes)
            .max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)))
        else {
            continue;
        };
        let score = objectness * best;
        let finite = [cx, cy, w, h].iter().all(|v| v.is_finite());
        if score.is_nan() || score < conf || !finite || w <= 0.0 || h <= 0.0 {
            continue;
        }
        let (x1, y1) = (cx - w / 2.0, cy - h / 2.0);
        out.push(ScoredBox {
            x1,
            y1,
            x2: x1 + w,
            y2: y1 + h,
            score: score.min(1.0),
            class,
            row,
        });
    }
    let total = out.len() as u32;
    if out.len() > MOST_CANDIDATES {
        out.select_nth_unstable_by(MOST_CANDIDATES, |a, b| {
            b.score.total_cmp(&a.score).then(a.row.cmp(&b.row))
        });
        out.truncate(MOST_CANDIDATES);
    }
    nms::sort(out);
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_rows(rows: &[[f32; 7]], conf: f32) -> Vec<ScoredBox> {
        let data = rows.concat();
        let mut out = Vec::new();
        decode(
            Predictions {
                data: &data,
                rows: rows.len(),
                columns: 7,
            },
            conf,
            &mut out,
        );
        out
    }

    #[test]
    fn best_class_and_threshold() {
        let rows = [
            [10.0, 20.0, 4.0, 6.0, 0.9, 0.2, 0.8],
            [10.0, 20.0, 4.0, 6.0, 0.3, 0.9, 0.8],
            [50.0, 50.0, 2.0, 2.0, 1.0, 0.9, 0.1],
        ];
        let found = decode_rows(&rows, 0.4);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].class, found[0].row), (0, 2));
        let second = found[1];
        assert_eq!(
            (second.x1, second.y1, second.x2, second.y2),
            (8.0, 17.0, 12.0, 23.0)
        );
        assert!((second.score - 0.72).abs() < 1e-6 && second.class == 1);
    }

    #[test]
    fn numbers_that_are_none_are_left_out() {
        let bad = [f32::NAN, f32::INFINITY];
        for value in bad {
            for column in 0..7 {
                let mut row = [10.0, 20.0, 4.0, 6.0, 0.9, 0.2, 0.8];
                row[column] = value;
                assert!(
                    decode_rows(&[row], 0.4)
                        .iter()
                        .all(|c| c.score <= 1.0 && c.x1.is_finite())
                );
            }
        }
        assert!(decode_rows(&[[1.0, 1.0, -4.0, 6.0, 0.9, 0.9, 0.8]], 0.4).is_empty());
    }

    /// Row by row as one would write it down, with no thought of speed or bounds.
    fn reference(rows: &[[f32; 7]], conf: f32) -> Vec<ScoredBox> {
        let mut found = Vec::new();
        for (row, &[cx, cy, w, h, objectness, first, second]) in rows.iter().enumerate() {
            let class = u16::from(second > first);
            let score = objectness * first.max(second);
            if score >= conf {
                let (x1, y1, x2, y2) = (cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0);
                let row = row as u32;
                found.push(ScoredBox {
                    x1,
                    y1,
                    x2,
                    y2,
                    score,
                    class,
                    row,
                });
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score)); // stable: rows of equal score in order
        found
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_plain_way(
            // Few different scores, so that there are ties.
            rows in proptest::collection::vec(
                ((0f32..640.0, 0f32..480.0, 0.5f32..200.0, 0.5f32..200.0), 0u8..9, 0u8..9, 0u8..9), 0..80),
            conf in 0.01f32..0.9,
        ) {
            let share = |v: u8| f32::from(v) / 8.0;
            let rows: Vec<[f32; 7]> = rows
                .iter()
                .map(|&((cx, cy, w, h), o, a, b)| [cx, cy, w, h, share(o), share(a), share(b)])
                .collect();
            let (got, want) = (decode_rows(&rows, conf), reference(&rows, conf));
            proptest::prop_assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(&want) {
                let same = (got.row, got.class, got.score) == (want.row, want.class, want.score);
                proptest::prop_assert!(same, "{:?} and {:?}", got, want);
                let corners = [(got.x1, want.x1), (got.y1, want.y1), (got.x2, want.x2), (got.y2, want.y2)];
                proptest::prop_assert!(corners.iter().all(|(a, b)| (a - b).abs() < 1e-3), "{:?} and {:?}", got, want);
            }
        }
    }

    #[test]
    fn the_best_stay() {
        let count = MOST_CANDIDATES + 1000;
        let rows: Vec<[f32; 7]> = (0..count)
            .map(|i| [i as f32, 0.0, 1.0, 1.0, 1.0, 0.5 + i as f32 / 20_000.0, 0.0])
            .collect();
        let found = decode_rows(&rows, 0.1);
        assert_eq!(found.len(), MOST_CANDIDATES);
        let (best, last) = (found[0].row, found[MOST_CANDIDATES - 1].row);
        assert_eq!(
            (best as usize, last as usize),
            (count - 1, count - MOST_CANDIDATES)
        );
    }
}
