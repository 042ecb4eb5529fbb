//! From material to photograph: light, lens, sensor and compression. Geometry is not touched here,
//! so labels made before stay true.

use super::canvas::{Canvas, Colour};
use hanja_handwriting::value_noise;
use rand::{Rng, RngExt};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::SeedableRng;

/// Light, lens and sensor, in the order in which they act. Returns how far edges were spread.
pub(crate) fn expose(
    canvas: &mut Canvas,
    photographed: bool,
    smallest: f32,
    rng: &mut impl Rng,
) -> Spread {
    light(canvas, photographed, rng);
    // Blur is bounded by the smallest glyph: what nobody can read must not be labelled.
    let limit = (smallest / 22.0).clamp(0.25, 4.0);
    let mut spread = lens(canvas, photographed, limit, rng);
    if rng.random_bool(0.12) && smallest > 16.0 {
        let factor = rng.random_range(1.2..(smallest / 11.0).clamp(1.3, 2.2));
        low_resolution(canvas, factor);
        // Interpolating between pixels of this size is a triangle of twice its width.
        spread.add(factor * factor / 6.0, factor * factor / 6.0);
    }
    tone(canvas, photographed, rng);
    if rng.random_bool(0.25) {
        sharpen(canvas, rng.random_range(0.2..0.9));
    }
    noise(canvas, rng);
    spread
}

/// By how much blur has spread an edge: variances in pixels along both axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    x: f32,
    y: f32,
}

impl Spread {
    /// A sharp picture: an edge is spread by the area of the pixel it falls on, no more.
    pub(crate) const SHARP: Self = Self {
        x: 1.0 / 12.0,
        y: 1.0 / 12.0,
    };

    /// Standard deviations from the middle of an edge to where a tenth of the ink is left.
    const TENTH: f32 = 1.28;

    const fn add(&mut self, x: f32, y: f32) {
        self.x += x;
        self.y += y;
    }

    /// How far from the middle of a left or right, and of an upper or lower edge, ink can still be
    /// seen, in pixels.
    pub(crate) fn reach(self) -> (f32, f32) {
        (Self::TENTH * self.x.sqrt(), Self::TENTH * self.y.sqrt())
    }
}

/// A slope of brightness, a soft patch of light, and perhaps a shadow with an edge.
fn light(canvas: &mut Canvas, photographed: bool, rng: &mut impl Rng) {
    let strength = if photographed {
        rng.random_range(0.0..0.35)
    } else {
        rng.random_range(0.0..0.06)
    };
    let (s, c) = rng.random_range(0.0..6.3f32).sin_cos();
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let seed: u32 = rng.random();
    let patch = if photographed {
        rng.random_range(0.0..0.25)
    } else {
        0.0
    };
    let shadow = (photographed && rng.random_bool(0.3)).then(|| Shadow::draw(w, h, rng));
    if strength < 0.02 && shadow.is_none() {
        return;
    }
    canvas.paint(|x, y, colour| {
        let (u, v) = (x / w - 0.5, y / h - 0.5);
        let mut gain = 1.0 - strength * (0.5 + u * c + v * s).clamp(0.0, 1.2);
        gain *= 1.0 - patch * value_noise(u * 2.0 + 9.0, v * 2.0 + 9.0, seed);
        if let Some(shadow) = &shadow {
            gain *= shadow.at(x, y);
        }
        colour.map(|k| k * gain)
    });
}

struct Shadow {
    origin: (f32, f32),
    normal: (f32, f32),
    softness: f32,
    depth: f32,
    bend: f32,
}

impl Shadow {
    fn draw(w: f32, h: f32, rng: &mut impl Rng) -> Self {
        let (s, c) = rng.random_range(0.0..6.3f32).sin_cos();
        Self {
            origin: (
                rng.random_range(0.1..0.9) * w,
                rng.random_range(0.1..0.9) * h,
            ),
            normal: (c, s),
            softness: rng.random_range(3.0..60.0),
            depth: rng.random_range(0.1..0.5),
            bend: rng.random_range(-0.003..0.003),
        }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.origin.0, y - self.origin.1);
        let along = dx * self.normal.1 - dy * self.normal.0;
        let side = dx * self.normal.0 + dy * self.normal.1 + along * along * self.bend;
        1.0 - self.depth * (side / self.softness + 0.5).clamp(0.0, 1.0)
    }
}

/// Defocus, and sometimes a moving hand.
fn lens(canvas: &mut Canvas, photographed: bool, limit: f32, rng: &mut impl Rng) -> Spread {
    let mut spread = Spread::SHARP;
    // Up close, where characters are large, little is in focus.
    let base = if photographed {
        1.3f32.max(limit * 0.8)
    } else {
        0.75
    };
    let sigma = rng.random_range(0.0..base).min(limit);
    if sigma > 0.3 {
        gaussian(canvas, sigma);
        spread.add(sigma * sigma, sigma * sigma);
    }
    if photographed && rng.random_bool(0.1) {
        let length = rng.random_range(1.0..2.0 + 2.0 * limit);
        let angle = rng.random_range(0.0..3.2f32);
        motion(canvas, length, angle);
        let (along, (s, c)) = (length * length / 12.0, angle.sin_cos());
        spread.add(along * c * c, along * s * s);
    }
    spread
}

fn gaussian(canvas: &mut Canvas, sigma: f32) {
    let radius = (2.5 * sigma).ceil() as usize;
    let mut kernel: Vec<f32> = (0..=2 * radius)
        .map(|i| {
            let d = i as f32 - radius as f32;
            (-d * d / (2.0 * sigma * sigma)).exp()
        })
        .collect();
    let sum: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|k| *k /= sum);
    let (w, h) = (canvas.width, canvas.height);
    let mut rows = vec![[0.0f32; 3]; w * h];
    for y in 0..h {
        let row = &canvas.pixels[y * w..(y + 1) * w];
        for x in 0..w {
            rows[y * w + x] = weigh(&kernel, |i| row[(x + i).saturating_sub(radius).min(w - 1)]);
        }
    }
    let mut out = vec![[0.0f32; 3]; w * h];
    for (i, k) in kernel.iter().enumerate() {
        for y in 0..h {
            let from = (y + i).saturating_sub(radius).min(h - 1) * w;
            let target = out[y * w..(y + 1) * w].iter_mut();
            for (o, v) in target.zip(&rows[from..from + w]) {
                for c in 0..3 {
                    o[c] += k * v[c];
                }
            }
        }
    }
    canvas.pixels = out;
}

fn weigh(kernel: &[f32], at: impl Fn(usize) -> Colour) -> Colour {
    let mut sum = [0.0; 3];
    for (i, k) in kernel.iter().enumerate() {
        let v = at(i);
        for c in 0..3 {
            sum[c] += k * v[c];
        }
    }
    sum
}

fn motion(canvas: &mut Canvas, length: f32, angle: f32) {
    let (s, c) = angle.sin_cos();
    let source = canvas.clone();
    let taps = (length.ceil() as usize + 1).max(2);
    canvas.paint(|x, y, _| {
        let mut sum = [0.0; 3];
        for i in 0..taps {
            let t = (i as f32 / (taps - 1) as f32 - 0.5) * length;
            let v = source.sample(x + c * t, y + s * t);
            for k in 0..3 {
                sum[k] += v[k] / taps as f32;
            }
        }
        sum
    });
}

/// Fewer pixels than the picture pretends to have.
fn low_resolution(canvas: &mut Canvas, factor: f32) {
    let (w, h) = (canvas.width as f32, canvas.height as f32);
    let (sw, sh) = (
        (w / factor).max(8.0) as usize,
        (h / factor).max(8.0) as usize,
    );
    let (fx, fy) = (w / sw as f32, h / sh as f32);
    let mut small = Canvas::new(sw, sh, [0.0; 3]);
    small.paint(|x, y, _| canvas.sample(x * fx, y * fy));
    canvas.paint(|x, y, _| small.sample(x / fx, y / fy));
}

/// Contrast, gamma and white balance.
fn tone(canvas: &mut Canvas, photographed: bool, rng: &mut impl Rng) {
    let spread = if photographed { 0.07 } else { 0.03 };
    let balance: Colour = [0.0; 3].map(|_| 1.0 + rng.random_range(-spread..spread));
    let gain = if photographed {
        rng.random_range(0.68..1.1)
    } else {
        rng.random_range(0.92..1.06)
    };
    let black = rng.random_range(0.0..if photographed { 0.16 } else { 0.06 });
    let gamma: f32 = if photographed {
        rng.random_range(0.75..1.35)
    } else {
        rng.random_range(0.9..1.15)
    };
    // A table instead of a power for every pixel.
    let curve: Vec<f32> = (0..=256).map(|i| (i as f32 / 256.0).powf(gamma)).collect();
    canvas.paint(|_, _, colour| {
        let mut out = [0.0; 3];
        for k in 0..3 {
            let v = (colour[k] * balance[k] * gain).clamp(0.0, 1.0);
            out[k] = black + (1.0 - black) * curve[(v * 256.0) as usize];
        }
        out
    });
}

/// Cameras and scanners sharpen: light rims around ink.
fn sharpen(canvas: &mut Canvas, amount: f32) {
    let sharp = canvas.clone();
    gaussian(canvas, 1.0);
    for (soft, sharp) in canvas.pixels.iter_mut().zip(&sharp.pixels) {
        for k in 0..3 {
            soft[k] = sharp[k] + (sharp[k] - soft[k]) * amount;
        }
    }
}

fn noise(canvas: &mut Canvas, rng: &mut impl Rng) {
    let strength = rng.random_range(0.0f32..1.0).powi(3) * 0.06;
    let coloured = rng.random_range(0.0..0.7);
    // A light generator: this runs for every pixel.
    let mut grain = Pcg32::seed_from_u64(rng.random());
    let scale = strength * 2.0 / 65536.0;
    for pixel in &mut canvas.pixels {
        let (a, b): (u32, u32) = (grain.random(), grain.random());
        // Two halves of a word add to a triangle, near enough to a bell.
        let level = |v: u32| ((v & 0xFFFF) as f32 + (v >> 16) as f32 - 65535.0) * scale;
        let (grey, tint) = (level(a), level(b) * coloured);
        pixel[0] += grey + tint;
        pixel[1] += grey;
        pixel[2] += grey - tint;
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::luma;
    use super::*;
    use rand_pcg::Pcg64Mcg;

    #[test]
    fn exposing_keeps_size_finite_values_and_legibility() {
        for seed in 0..40 {
            let mut canvas = Canvas::new(48, 40, [0.95; 3]);
            for y in 18..22 {
                canvas.pixels[y * 48 + 4..y * 48 + 44].fill([0.05; 3]);
            }
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            expose(&mut canvas, seed % 2 == 0, 40.0, &mut rng);
            assert_eq!(canvas.pixels.len(), 48 * 40);
            assert!(canvas.pixels.iter().flatten().all(|v| v.is_finite()));
            let mean = |y: usize| {
                (8..40)
                    .map(|x| luma(canvas.pixels[y * 48 + x]))
                    .sum::<f32>()
            };
            assert!(
                mean(20) + 0.1 * 32.0 < mean(6),
                "seed {seed}: the ink has gone"
            );
        }
    }

    #[test]
    fn blur_keeps_brightness_and_position() {
        let mut canvas = Canvas::new(31, 31, [0.0; 3]);
        canvas.pixels[15 * 31 + 15] = [1.0; 3];
        gaussian(&mut canvas, 1.5);
        let total: f32 = canvas.pixels.iter().map(|p| p[0]).sum();
        assert!((total - 1.0).abs() < 1e-4, "{total}");
        let brightest =
            (0..31 * 31).max_by(|a, b| canvas.pixels[*a][0].total_cmp(&canvas.pixels[*b][0]));
        assert_eq!(brightest, Some(15 * 31 + 15));
    }
}
