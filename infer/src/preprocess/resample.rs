//! Resampling weights along one axis.

/// Up to this reduction the filter is bilinear, as in YOLOv5's own letterbox. Above it two neighbouring samples would miss
/// what lies between them (thin ink of a scanned page), so the filter grows with the reduction.
const BILINEAR_UP_TO: f64 = 2.0;

/// For every output position the first input sample and `width` weights, which sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resampler {
    pub(super) width: usize,
    pub(super) first: Vec<u32>,
    pub(super) weights: Vec<f32>,
}

impl Resampler {
    /// Maps `input` samples onto `output` positions, pixel centres at half coordinates.
    pub(crate) fn new(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let support = if scale > BILINEAR_UP_TO { scale } else { 1.0 };
        // The most samples that an open interval of length 2 * support can hold.
        let width = ((2.0 * support).ceil() as usize).min(input);
        let mut first = Vec::with_capacity(output);
        let mut weights = Vec::with_capacity(output * width);
        for position in 0..output {
            let centre = (position as f64 + 0.5) * scale - 0.5;
            let start = ((centre - support).floor() + 1.0).max(0.0) as usize;
            let start = start.min(input - width);
            let triangle =
                |i: usize| (1.0 - ((start + i) as f64 - centre).abs() / support).max(0.0);
            // Where the filter reaches beyond the edge, the samples inside take over the weight of the missing ones. The sum is
            // never 0: the nearest sample is at most half a pixel away.
            let sum: f64 = (0..width).map(triangle).sum();
            first.push(start as u32);
            weights.extend((0..width).map(|i| (triangle(i) / sum) as f32));
        }
        Self {
            width,
            first,
            weights,
        }
    }

    /// Output positions.
    pub(crate) fn len(&self) -> usize {
        self.first.len()
    }

    /// The first input sample of an output position, and the weights from that sample on.
    pub(crate) fn at(&self, position: usize) -> (usize, &[f32]) {
        let weights = &self.weights[position * self.width..][..self.width];
        (self.first[position] as usize, weights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn same_size_is_identity() {
        let resampler = Resampler::new(8, 8);
        for p in 0..8 {
            let (first, weights) = resampler.at(p);
            let value: f32 = weights
                .iter()
                .enumerate()
                .map(|(i, w)| w * (first + i) as f32)
                .sum();
            assert!((value - p as f32).abs() < 1e-6);
        }
    }

    #[test]
    fn bilinear_needs_two_neighbours() {
        // 640 to 416 and its chroma, 320 to 416: the paths of the default camera must be the fast one.
        for (input, output) in [(640, 416), (320, 416), (480, 312), (2, 7)] {
            assert_eq!(
                Resampler::new(input, output).width,
                2,
                "{input} to {output}"
            );
        }
        let resampler = Resampler::new(4, 2);
        assert_eq!(resampler.at(0), (0, [0.5, 0.5].as_slice()));
        assert_eq!(resampler.at(1), (2, [0.5, 0.5].as_slice()));
    }

    #[test]
    fn a_strong_reduction_sees_every_sample() {
        let resampler = Resampler::new(100, 10);
        for sample in 0..100 {
            let seen: f32 = (0..10)
                .map(|p| {
                    let (first, w) = resampler.at(p);
                    if sample >= first && sample < first + w.len() {
                        w[sample - first]
                    } else {
                        0.0
                    }
                })
                .sum();
            assert!(seen > 0.05, "sample {sample} counts for {seen}");
        }
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_inside_the_input(input in 1usize..300, output in 1usize..300) {
            let resampler = Resampler::new(input, output);
            for p in 0..output {
                let (first, weights) = resampler.at(p);
                prop_assert!(first + weights.len() <= input);
                let sum: f32 = weights.iter().sum();
                prop_assert!((sum - 1.0).abs() < 1e-4);
                prop_assert!(weights.iter().all(|w| (0.0..=1.0).contains(w)));
            }
        }
    }
}
