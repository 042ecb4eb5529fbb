//! Paper to write on: a shade that falls off across the sheet, grain, and printed lines. All of it
//! is a function of position and seed, so a sheet costs no memory and can be drawn row by row.

use crate::noise::{hash01, value_noise};
use rand::{Rng, RngExt};

/// Printed lines, with their spacing in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ruling {
    /// No lines.
    None,
    /// Level lines.
    Ruled(f32),
    /// Level and upright lines.
    Squared(f32),
}

/// A sheet of paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paper {
    /// Brightness of the paper, 0.0..=1.0.
    pub shade: f32,
    /// Change of brightness across the frame to the right and downwards, about -0.2..=0.2.
    pub slope: (f32, f32),
    /// Strength of the grain, 0.0..=0.1.
    pub grain: f32,
    /// Printed lines.
    pub ruling: Ruling,
    /// Where grain comes from.
    pub seed: u32,
}

impl Paper {
    /// Some sheet: mostly light, a third of them lined.
    #[must_use]
    pub fn random(rng: &mut impl Rng) -> Self {
        let spacing = rng.random_range(24.0..60.0);
        let ruling = match rng.random_range(0..6) {
            0 => Ruling::Ruled(spacing),
            1 => Ruling::Squared(spacing),
            _ => Ruling::None,
        };
        Self {
            shade: rng.random_range(0.75..0.98),
            slope: (rng.random_range(-0.15..0.15), rng.random_range(-0.15..0.15)),
            grain: rng.random_range(0.005..0.04),
            ruling,
            seed: rng.random(),
        }
    }

    /// Brightness at pixel (`x`, `y`) of a `width` x `height` frame, 0.0..=1.0.
    #[must_use]
    pub fn at(&self, x: usize, y: usize, width: usize, height: usize) -> f32 {
        let fx = x as f32 / width.max(1) as f32 - 0.5;
        let fy = y as f32 / height.max(1) as f32 - 0.5;
        let fine = hash01(x as i32, y as i32, self.seed) - 0.5;
        let coarse = value_noise(x as f32 * 0.11, y as f32 * 0.11, self.seed) - 0.5;
        let light = self.shade + fx * self.slope.0 + fy * self.slope.1;
        let ink = self.line_ink(x as f32 + 0.5, y as f32 + 0.5);
        (light * (1.0 - ink) + self.grain * (fine + coarse)).clamp(0.0, 1.0)
    }

    /// The whole frame as 8-bit grey, row by row.
    #[must_use]
    pub fn render(&self, width: usize, height: usize) -> Vec<u8> {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        pixels
            .map(|(x, y)| (self.at(x, y, width, height) * 255.0 + 0.5) as u8)
            .collect()
    }

    fn line_ink(&self, x: f32, y: f32) -> f32 {
        let near = |v: f32, spacing: f32| {
            let spacing = spacing.max(4.0);
            let off = (v / spacing).fract() * spacing - spacing / 2.0;
            (1.2 - off.abs()).clamp(0.0, 1.0)
        };
        let cover = match self.ruling {
            Ruling::None => 0.0,
            Ruling::Ruled(spacing) => near(y, spacing),
            Ruling::Squared(spacing) => near(y, spacing).max(near(x, spacing)),
        };
        cover * 0.3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    #[test]
    fn paper_is_deterministic_and_light() {
        for seed in 0..30 {
            let paper = Paper::random(&mut Pcg64Mcg::seed_from_u64(seed));
            let picture = paper.render(64, 48);
            assert_eq!(picture, paper.render(64, 48));
            let mean = picture.iter().map(|v| u32::from(*v)).sum::<u32>() / (64 * 48);
            assert!(mean > 150, "sheet {seed} is dark: {mean}");
        }
    }

    #[test]
    fn ruling_draws_lines_where_it_says() {
        let plain = Paper {
            shade: 0.9,
            slope: (0.0, 0.0),
            grain: 0.0,
            ruling: Ruling::Ruled(20.0),
            seed: 1,
        };
        let column: Vec<f32> = (0..60).map(|y| plain.at(5, y, 100, 60)).collect();
        let dark = column.iter().filter(|v| **v < 0.8).count();
        assert!((3..=9).contains(&dark), "{dark} dark rows of 60");
    }
}
