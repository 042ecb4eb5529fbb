//! Non-maximum suppression: of boxes of one class that overlap, the best stays. Its cost is bounded by the number of
//! candidates, which `decode` bounds; so fps does not depend on what is in the picture.

/// A box above the threshold, in input pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) x1: f32,
    pub(crate) y1: f32,
    pub(crate) x2: f32,
    pub(crate) y2: f32,
    pub(crate) score: f32,
    pub(crate) class: u16,
    /// Row in the model's output: makes the order of equal scores certain.
    pub(crate) row: u32,
}

impl Candidate {
    fn area(&self) -> f32 {
        (self.x2 - self.x1).max(0.0) * (self.y2 - self.y1).max(0.0)
    }

    /// Intersection over union, 0 to 1.
    pub(crate) fn iou(&self, other: &Self) -> f32 {
        let w = self.x2.min(other.x2) - self.x1.max(other.x1);
        let h = self.y2.min(other.y2) - self.y1.max(other.y1);
        let both = w.max(0.0) * h.max(0.0);
        let any = self.area() + other.area() - both;
        if any > 0.0 { both / any } else { 0.0 }
    }
}

/// Sorts best first: by score, then by row.
pub(crate) fn sort(candidates: &mut [Candidate]) {
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
}

/// Keeps of the sorted `candidates` those that no better kept one of their class overlaps by more than `iou`, at
/// most `most`. Returns how many were suppressed and how many good ones did not fit.
pub(crate) fn suppress(
    candidates: &[Candidate],
    iou: f32,
    most: usize,
    kept: &mut Vec<Candidate>,
) -> (u32, u32) {
    kept.clear();
    let (mut suppressed, mut capped) = (0, 0);
    for candidate in candidates {
        if kept
            .iter()
            .any(|k| k.class == candidate.class && k.iou(candidate) > iou)
        {
            suppressed += 1;
        } else if kept.len() < most {
            kept.push(*candidate);
        } else {
            capped += 1;
        }
    }
    (suppressed, capped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxes() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (
            0f32..100.0,
            0f32..100.0,
            1f32..60.0,
            1f32..60.0,
            0f32..1.0,
            0u16..3,
        );
        prop::collection::vec(one, 0..60).prop_map(|all| {
            let of = |(row, (x1, y1, w, h, score, class))| Candidate {
                x1,
                y1,
                x2: x1 + w,
                y2: y1 + h,
                score,
                class,
                row,
            };
            (0u32..).zip(all).map(of).collect()
        })
    }

    /// The textbook: take the best, throw away what overlaps it, repeat.
    fn reference(mut left: Vec<Candidate>, iou: f32) -> Vec<Candidate> {
        let mut kept = Vec::new();
        while let Some(best) = left
            .iter()
            .copied()
            .max_by(|a, b| a.score.total_cmp(&b.score).then(b.row.cmp(&a.row)))
        {
            kept.push(best);
            left.retain(|c| c.row != best.row && (c.class != best.class || best.iou(c) <= iou));
        }
        kept
    }

    proptest! {
        #[test]
        fn agrees_with_the_textbook(mut all in boxes(), iou in 0.1f32..0.9) {
            let want = reference(all.clone(), iou);
            sort(&mut all);
            let mut kept = Vec::new();
            let (suppressed, capped) = suppress(&all, iou, 300, &mut kept);
            prop_assert_eq!(&kept, &want);
            prop_assert_eq!(kept.len() + suppressed as usize, all.len());
            prop_assert_eq!(capped, 0);
        }
    }

    #[test]
    fn the_bound_is_counted() {
        let far = |i: u32| Candidate {
            x1: 10.0 * i as f32,
            y1: 0.0,
            x2: 10.0 * i as f32 + 5.0,
            y2: 5.0,
            score: 0.9,
            class: 0,
            row: i,
        };
        let all: Vec<_> = (0..10).map(far).collect();
        let mut kept = Vec::new();
        assert_eq!(suppress(&all, 0.5, 4, &mut kept), (0, 6));
        assert_eq!(kept.len(), 4);
    }
}
