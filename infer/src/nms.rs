//! Non-maximum suppression: of boxes of one class that overlap, the best stays. Its cost is bounded by the number of
//! candidates, which `decode` bounds; so the frame rate does not depend on what is in the picture.

/// A box with its class and score: a candidate of the model, in input pixels, or later a detection, in pixels of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ScoredBox {
    pub(crate) x1: f32,
    pub(crate) y1: f32,
    pub(crate) x2: f32,
    pub(crate) y2: f32,
    pub(crate) score: f32,
    pub(crate) class: u16,
    /// Row in the model's output: decides the order of equal scores.
    pub(crate) row: u32,
}

impl ScoredBox {
    fn area(&self) -> f32 {
        (self.x2 - self.x1).max(0.0) * (self.y2 - self.y1).max(0.0)
    }

    /// Intersection over union, 0 to 1.
    pub(crate) fn iou(&self, other: &Self) -> f32 {
        let both = self.width_with(other).max(0.0) * self.height_with(other).max(0.0);
        let any = self.area() + other.area() - both;
        if any > 0.0 { both / any } else { 0.0 }
    }

    /// Whether the intersection over union is above `iou`. Most boxes do not touch, which one axis shows.
    fn overlaps(&self, other: &Self, iou: f32) -> bool {
        let (width, height) = (self.width_with(other), self.height_with(other));
        if !(width > 0.0 && height > 0.0) {
            return false;
        }
        let both = width * height;
        both > iou * (self.area() + other.area() - both)
    }

    /// Width of the part that is in both boxes; below 0 if there is none.
    fn width_with(&self, other: &Self) -> f32 {
        self.x2.min(other.x2) - self.x1.max(other.x1)
    }

    /// Height of that part.
    fn height_with(&self, other: &Self) -> f32 {
        self.y2.min(other.y2) - self.y1.max(other.y1)
    }
}

/// Sorts best first: by score, then by row.
pub(crate) fn sort(candidates: &mut [ScoredBox]) {
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.row.cmp(&b.row)));
}

/// Marks the end of a chain.
const END: u16 = u16::MAX;

/// Suppression within classes. The kept boxes of each class form a chain, so that a candidate is compared with those of its
/// own class alone: a tenth of the comparisons with ten classes. Keeps its memory from call to call.
#[derive(Debug, Default)]
pub(crate) struct Suppressor {
    /// For each class, the box kept last.
    heads: Vec<u16>,
    /// For each kept box, the one of its class that was kept before it.
    before: Vec<u16>,
}

impl Suppressor {
    /// Reserves memory for this many classes and kept boxes.
    pub(crate) fn reserve(&mut self, classes: usize, most: usize) {
        self.heads.resize(classes, END);
        self.before.reserve(most);
    }

    /// Copies to `kept` those of the sorted `candidates` that no better kept box of their class overlaps by more than `iou`, at
    /// most `most` of them, which is below 65,535. Returns how many were suppressed, and how many others were beyond `most`.
    pub(crate) fn keep(
        &mut self,
        candidates: &[ScoredBox],
        iou: f32,
        most: usize,
        kept: &mut Vec<ScoredBox>,
    ) -> (u32, u32) {
        kept.clear();
        self.before.clear();
        self.heads.fill(END);
        let (mut suppressed, mut capped) = (0, 0);
        for candidate in candidates {
            let class = usize::from(candidate.class);
            if class >= self.heads.len() {
                self.heads.resize(class + 1, END);
            }
            if self.chain(class).any(|k| kept[k].overlaps(candidate, iou)) {
                suppressed += 1;
            } else if kept.len() < most {
                self.before.push(self.heads[class]);
                self.heads[class] = kept.len() as u16;
                kept.push(*candidate);
            } else {
                capped += 1;
            }
        }
        (suppressed, capped)
    }

    /// The kept boxes of a class, the last one first.
    fn chain(&self, class: usize) -> impl Iterator<Item = usize> {
        let some = |at: u16| (at != END).then_some(at);
        std::iter::successors(some(self.heads[class]), move |at| {
            some(self.before[usize::from(*at)])
        })
        .map(usize::from)
    }
}

/// Of sorted boxes that overlap by more than `iou`, keeps the best, whatever their classes: one character has one reading.
pub(crate) fn one_reading_each(boxes: &mut Vec<ScoredBox>, iou: f32) {
    let mut kept = 0;
    for next in 0..boxes.len() {
        let candidate = boxes[next];
        if !boxes[..kept].iter().any(|k| k.overlaps(&candidate, iou)) {
            boxes[kept] = candidate;
            kept += 1;
        }
    }
    boxes.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boxes() -> impl Strategy<Value = Vec<ScoredBox>> {
        let one = (
            0f32..100.0,
            0f32..100.0,
            1f32..60.0,
            1f32..60.0,
            0f32..1.0,
            0u16..3,
        );
        prop::collection::vec(one, 0..60).prop_map(|all| {
            let of = |(row, (x1, y1, w, h, score, class))| ScoredBox {
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
    fn reference(mut left: Vec<ScoredBox>, iou: f32) -> Vec<ScoredBox> {
        let mut kept = Vec::new();
        while let Some(best) = left
            .iter()
            .copied()
            .max_by(|a, b| a.score.total_cmp(&b.score).then(b.row.cmp(&a.row)))
        {
            kept.push(best);
            left.retain(|c| c.row != best.row && (c.class != best.class || !best.overlaps(c, iou)));
        }
        kept
    }

    proptest! {
        #[test]
        fn agrees_with_the_textbook(mut all in boxes(), iou in 0.1f32..0.9) {
            let want = reference(all.clone(), iou);
            sort(&mut all);
            let mut kept = Vec::new();
            let (suppressed, capped) = Suppressor::default().keep(&all, iou, 300, &mut kept);
            prop_assert_eq!(&kept, &want);
            prop_assert_eq!(kept.len() + suppressed as usize, all.len());
            prop_assert_eq!(capped, 0);
        }
    }

    proptest! {
        #[test]
        fn one_reading_each_is_suppression_without_classes(mut all in boxes(), iou in 0.1f32..0.9) {
            sort(&mut all);
            let (mut same, mut want) = (all.clone(), Vec::new());
            same.iter_mut().for_each(|c| c.class = 0);
            Suppressor::default().keep(&same, iou, 300, &mut want);
            one_reading_each(&mut all, iou);
            let rows = |list: &[ScoredBox]| list.iter().map(|c| c.row).collect::<Vec<_>>();
            prop_assert_eq!(rows(&all), rows(&want));
        }
    }

    #[test]
    fn the_bound_is_counted() {
        let far = |i: u32| ScoredBox {
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
        assert_eq!(Suppressor::default().keep(&all, 0.5, 4, &mut kept), (0, 6));
        assert_eq!(kept.len(), 4);
    }
}
