//! The second look: a small classifier that gets each box found, at the picture's own resolution and with its surroundings,
//! and says which numeral it is, or none. The detecting network looks at the whole frame at once, and mistakes dashes and
//! drawer handles for 一; a numeral is reported where both agree.
//!
//! The cost does not depend on the picture: a frame has [`SLOTS`] places, and all of them are computed, used or not. On a
//! page with more numerals, new and doubtful boxes come first, and the result of an earlier frame holds for a box until it is
//! looked at again. In still pictures every box is looked at.

mod network;

use crate::error::InferError;
use crate::nms::ScoredBox;
use crate::preprocess::Luma;
use hanja_record::NUMERALS;
use network::{Network, unusable};

/// The network inside the executable: input `[n, 1, 40, 40]`, output `[n, classes + 1]` of probabilities, the last one
/// that of "none of them".
const EMBEDDED: &[u8] = include_bytes!("../../../model/weights/hanja-verifier.onnx");
/// Side of a crop, pixels.
pub const SIDE: usize = 40;
/// Probabilities of a crop: of the ten numerals, and of none of them.
const COLUMNS: usize = NUMERALS.len() + 1;
/// Crops classified in one frame of a stream.
pub(crate) const SLOTS: usize = 8;
/// Shape of the input: all slots, whatever is in them.
const SHAPE: [usize; 4] = [SLOTS, 1, SIDE, SIDE];
/// Side of the crop, as a multiple of the box's longer side: the surroundings of a stroke tell whether it is a numeral.
const CONTEXT: f32 = 1.4;
/// Least side of that square, pixels of the picture.
const SMALLEST: f32 = 8.0;
/// Least standard deviation that a crop is divided by, so that noise in an empty one is not amplified.
const FLATTEST: f32 = 6.0;
/// Overlap from which boxes of two successive frames count as the same character.
const SAME: f32 = 0.5;

/// The classifier, and its results for the boxes of the frame before.
#[derive(Debug)]
pub(crate) struct Verifier {
    network: Network,
    calibration: Calibration,
    crops: Vec<f32>,
    /// The results for the boxes of this frame, in their order.
    seen: Vec<Seen>,
    /// Those of the frame before.
    before: Vec<Seen>,
    /// The boxes of this frame, the first to be classified first.
    order: Vec<Priority>,
}

/// A box and the classifier's result for it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    of: ScoredBox,
    /// Probability of its class; `None`: not classified yet.
    probability: Option<f32>,
    /// Frames since it was classified.
    age: u32,
}

/// How urgently a box is to be classified.
#[derive(Clone, Copy, Debug)]
struct Priority {
    /// Not classified yet: such boxes come first.
    new: bool,
    /// Grows with the doubt about its class and with the age of the result.
    doubt: f32,
    index: usize,
}

impl Priority {
    fn of(index: usize, seen: &Seen) -> Self {
        let doubt = |p: f32| 1.0 - (2.0 * p - 1.0).abs();
        let (new, doubt) = match seen.probability {
            None => (true, doubt(seen.of.score)),
            // With the constant, even a box without any doubt is classified again in the end.
            Some(p) => (false, (doubt(p) + 0.05) * seen.age as f32),
        };
        Self { new, doubt, index }
    }

    /// The more urgent one first.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let newer = other.new.cmp(&self.new);
        newer
            .then(other.doubt.total_cmp(&self.doubt))
            .then(self.index.cmp(&other.index))
    }
}

/// Converts the mean of both networks' scores to the share of such boxes that are right: a logistic function, fitted on
/// pictures that neither network was trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Calibration {
    offset: f32,
    slope: f32,
}

impl Calibration {
    const NONE: Self = Self {
        offset: 0.0,
        slope: 1.0,
    };

    /// Two numbers, as the file's metadata has them.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(|w| w.parse::<f32>().ok());
        let (offset, slope) = (numbers.next()??, numbers.next()??);
        let sound = offset.is_finite() && slope.is_finite() && slope > 0.0;
        sound.then_some(Self { offset, slope })
    }

    fn of(self, score: f32) -> f32 {
        let score = score.clamp(1e-6, 1.0 - 1e-6);
        let logit = (score / (1.0 - score)).ln();
        1.0 / (1.0 + (-(self.offset + self.slope * logit)).exp())
    }

    /// The score that becomes `probability`.
    fn inverse(self, probability: f32) -> f32 {
        let p = probability.clamp(1e-6, 1.0 - 1e-6);
        let logit = ((p / (1.0 - p)).ln() - self.offset) / self.slope;
        1.0 / (1.0 + (-logit).exp())
    }
}

impl Verifier {
    /// The embedded classifier, in the library that runs the detector; it knows the ten numerals in their order.
    pub(crate) fn embedded(
        beside: hanja_record::Backend,
        threads: Option<usize>,
    ) -> Result<Self, InferError> {
        let mut network = Network::load(EMBEDDED, beside, threads)?;
        let crops = vec![0.0; SLOTS * SIDE * SIDE];
        let mut values = 0;
        network.run(SHAPE, &crops, |output| values = output.len())?;
        if values != SLOTS * COLUMNS {
            return Err(unusable(format_args!("it gives {values} values")));
        }
        let calibration = network.metadata("calibration");
        Ok(Self {
            network,
            calibration: calibration
                .and_then(|text| Calibration::parse(&text))
                .unwrap_or(Calibration::NONE),
            crops,
            seen: Vec::new(),
            before: Vec::new(),
            order: Vec::new(),
        })
    }

    /// Reserves memory for this many boxes of a picture.
    pub(crate) fn reserve(&mut self, most: usize) {
        self.seen.reserve(most);
        self.before.reserve(most);
        self.order.reserve(most);
    }

    /// The least score of the detector with which a box can still reach the joint score `conf`.
    pub(crate) fn least(&self, conf: f32) -> f32 {
        self.calibration.inverse(conf).powi(2)
    }

    /// Replaces the score of each of `boxes` by the joint one. The boxes are in pixels of the picture, and no more than memory
    /// was reserved for. In a frame of a stream, at most [`SLOTS`] of them are classified.
    pub(crate) fn verify(
        &mut self,
        luma: &Luma,
        boxes: &mut [ScoredBox],
        stream: bool,
    ) -> Result<(), InferError> {
        std::mem::swap(&mut self.seen, &mut self.before);
        self.seen.clear();
        self.order.clear();
        for (index, of) in boxes.iter().enumerate() {
            let known = if stream {
                recall(&self.before, of)
            } else {
                None
            };
            let (probability, age) = known.map_or((None, 0), |s| (s.probability, s.age + 1));
            let seen = Seen {
                of: *of,
                probability,
                age,
            };
            self.order.push(Priority::of(index, &seen));
            self.seen.push(seen);
        }
        self.order.sort_unstable_by(Priority::compare);
        let rounds = if stream {
            1
        } else {
            self.order.len().div_ceil(SLOTS)
        };
        for round in 0..rounds {
            self.classify(luma, round * SLOTS)?;
        }
        for (found, seen) in boxes.iter_mut().zip(&self.seen) {
            // Boxes that were never classified are those of which the first network is surest.
            let second = seen.probability.unwrap_or(found.score);
            found.score = self.calibration.of((found.score * second).sqrt());
        }
        Ok(())
    }

    /// Classifies the boxes from place `first` of the order on.
    fn classify(&mut self, luma: &Luma, first: usize) -> Result<(), InferError> {
        let end = self.order.len().min(first + SLOTS);
        let crops = self.crops.chunks_exact_mut(SIDE * SIDE);
        for (crop, next) in crops.zip(&self.order[first..end]) {
            let ScoredBox { x1, y1, x2, y2, .. } = self.seen[next.index].of;
            cut(luma, [x1, y1, x2, y2], crop);
            standardise(crop);
        }
        let (order, seen) = (&self.order[first..end], &mut self.seen);
        self.network.run(SHAPE, &self.crops, |output| {
            for (row, next) in output.chunks_exact(COLUMNS).zip(order) {
                let seen = &mut seen[next.index];
                let class = usize::from(seen.of.class);
                let probability = row.get(class).copied().filter(|p| !p.is_nan());
                seen.probability = Some(probability.unwrap_or(0.0));
                seen.age = 0;
            }
        })
    }

    /// Runs the network once, as a frame does: for measurements.
    pub(crate) fn bare(&mut self) -> Result<(), InferError> {
        self.network.run(SHAPE, &self.crops, |_| ())
    }
}

/// The result of the frame before for a box of the same class at the same place.
fn recall<'a>(before: &'a [Seen], of: &ScoredBox) -> Option<&'a Seen> {
    let same = before.iter().filter(|s| s.of.class == of.class);
    let best = same
        .map(|s| (s.of.iou(of), s))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SAME).then_some(best.1)
}

/// The square around a box (x1, y1, x2, y2), 0 to 255.
pub(crate) fn cut(luma: &Luma, [x1, y1, x2, y2]: [f32; 4], crop: &mut [f32]) {
    let centre = ((x1 + x2) / 2.0, (y1 + y2) / 2.0);
    let long = (x2 - x1).max(y2 - y1);
    luma.crop(centre, (long * CONTEXT).max(SMALLEST), SIDE, crop);
}

/// Shifts and scales to mean 0 and standard deviation 1, so that light and paper make no difference.
fn standardise(crop: &mut [f32]) {
    let count = crop.len().max(1) as f32;
    let mean = crop.iter().sum::<f32>() / count;
    let variance = crop.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / count;
    let deviation = variance.sqrt().max(FLATTEST);
    crop.iter_mut().for_each(|v| *v = (*v - mean) / deviation);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::{Preprocessor, Target};
    use hanja_record::{FrameRef, PixelFormat};
    use proptest::prelude::*;

    /// The brightness of paper with nothing on it.
    fn paper() -> Preprocessor {
        let mut preprocessor = Preprocessor::new(Target::LongSide {
            size: 64,
            stride: 32,
        });
        preprocessor.keep_luma();
        let bytes = vec![220; 640 * 480];
        let frame = FrameRef {
            format: PixelFormat::Grey,
            width: 640,
            height: 480,
            stride: 640,
            bytes: &bytes,
        };
        preprocessor.run(&frame).unwrap();
        preprocessor
    }

    /// `count` boxes that touch nowhere.
    fn boxes(count: usize) -> Vec<ScoredBox> {
        let of = |i: usize| ScoredBox {
            x1: (i % 12) as f32 * 50.0,
            y1: (i / 12) as f32 * 50.0,
            x2: (i % 12) as f32 * 50.0 + 30.0,
            y2: (i / 12) as f32 * 50.0 + 30.0,
            score: 0.9,
            class: (i % 10) as u16,
            row: i as u32,
        };
        (0..count).map(of).collect()
    }

    fn looked_at(verifier: &Verifier) -> usize {
        let seen = verifier.seen.iter();
        seen.filter(|s| s.probability.is_some()).count()
    }

    #[test]
    fn a_frame_of_a_stream_takes_its_slots_and_the_rest_wait_their_turn() {
        let mut verifier = Verifier::embedded(hanja_record::Backend::Rten, Some(1)).unwrap();
        let paper = paper();
        let luma = paper.luma().unwrap();
        for (frame, want) in [8, 16, 20, 20].into_iter().enumerate() {
            verifier.verify(luma, &mut boxes(20), true).unwrap();
            assert_eq!(looked_at(&verifier), want, "frame {frame}");
        }
        // Moved too far to be the same ones.
        let mut others = boxes(20);
        others.iter_mut().for_each(|b| b.class = (b.class + 1) % 10);
        verifier.verify(luma, &mut others, true).unwrap();
        assert_eq!(looked_at(&verifier), SLOTS);
    }

    #[test]
    fn a_still_is_looked_at_completely_whatever_came_before() {
        let mut verifier = Verifier::embedded(hanja_record::Backend::Rten, Some(1)).unwrap();
        let paper = paper();
        let luma = paper.luma().unwrap();
        let (mut first, mut second) = (boxes(70), boxes(70));
        verifier.verify(luma, &mut first, false).unwrap();
        assert_eq!(looked_at(&verifier), 70);
        verifier.verify(luma, &mut boxes(3), true).unwrap();
        verifier.verify(luma, &mut second, false).unwrap();
        assert_eq!(first, second);
        assert!(first.iter().all(|b| b.score < 0.9), "{first:?}");
    }

    #[test]
    fn the_new_and_then_the_doubtful_are_looked_at_first() {
        let seen = |score, probability, age| Seen {
            of: ScoredBox {
                score,
                ..boxes(1)[0]
            },
            probability,
            age,
        };
        let all = [
            seen(0.9, Some(0.99), 1),
            seen(0.9, Some(0.6), 1),
            seen(0.9, Some(0.99), 30),
            seen(0.9, None, 0),
            seen(0.5, None, 0),
        ];
        let mut order: Vec<_> = (0..).zip(&all).map(|(i, s)| Priority::of(i, s)).collect();
        order.sort_unstable_by(Priority::compare);
        let order: Vec<_> = order.iter().map(|t| t.index).collect();
        assert_eq!(order, [4, 3, 2, 1, 0]);
    }

    #[test]
    fn light_and_contrast_are_no_matter() {
        let mut crop: Vec<f32> = (0..1600).map(|i| (i % 7) as f32).collect();
        let mut brighter: Vec<f32> = crop.iter().map(|v| 90.0 + 20.0 * v).collect();
        crop.iter_mut().for_each(|v| *v *= 9.0);
        standardise(&mut crop);
        standardise(&mut brighter);
        assert!(
            crop.iter()
                .zip(&brighter)
                .all(|(a, b)| (a - b).abs() < 1e-4)
        );
        let mut flat = vec![100.0; 1600];
        flat[0] = 101.0;
        standardise(&mut flat);
        assert!(flat.iter().all(|v| v.abs() < 0.2));
    }

    proptest! {
        #[test]
        fn calibration_and_its_inverse_agree(score in 0.001f32..0.999, offset in -2f32..2.0, slope in 0.3f32..3.0) {
            let calibration = Calibration { offset, slope };
            let back = calibration.inverse(calibration.of(score));
            prop_assert!((back - score).abs() < 2e-2, "{score} {back}");
        }

        #[test]
        fn any_metadata_is_a_calibration_or_none(text in "\\PC*") {
            if let Some(c) = Calibration::parse(&text) {
                prop_assert!(c.slope > 0.0 && c.offset.is_finite());
            }
        }
    }
}
