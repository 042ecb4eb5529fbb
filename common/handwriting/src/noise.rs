//! Cheap deterministic noise: paper grain, rough pencil edges and ink that skips all use it,
//! because a hash of the position costs nothing to seed and does not depend on drawing order.

/// A value in `0.0..1.0` that depends only on the three inputs.
#[must_use]
pub fn hash01(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
    h ^= seed.wrapping_mul(0xC2B2_AE3D);
    h ^= h >> 15;
    h = h.wrapping_mul(0x2C1B_3C6D);
    h ^= h >> 12;
    h = h.wrapping_mul(0x297A_2D39);
    h ^= h >> 15;
    (h >> 8) as f32 / (1u32 << 24) as f32
}

/// Smooth noise in `0.0..1.0`: [`hash01`] on whole coordinates, blended between them.
#[must_use]
pub fn value_noise(x: f32, y: f32, seed: u32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let (ix, iy) = (fx as i32, fy as i32);
    let (tx, ty) = (ease(x - fx), ease(y - fy));
    let top = mix(
        hash01(ix, iy, seed),
        hash01(ix.wrapping_add(1), iy, seed),
        tx,
    );
    let iy1 = iy.wrapping_add(1);
    let low = mix(
        hash01(ix, iy1, seed),
        hash01(ix.wrapping_add(1), iy1, seed),
        tx,
    );
    mix(top, low, ty)
}

fn ease(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

fn mix(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_spread_and_repeatable() {
        let values: Vec<f32> = (0..1000).map(|i| hash01(i, 7 * i, 3)).collect();
        let mean = values.iter().sum::<f32>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "mean {mean}");
        assert!(values.iter().all(|v| (0.0..1.0).contains(v)));
        assert_eq!(hash01(4, 5, 6), hash01(4, 5, 6));
        assert_ne!(hash01(4, 5, 6), hash01(4, 5, 7));
    }

    #[test]
    fn value_noise_is_continuous() {
        for i in 0..200 {
            let x = i as f32 * 0.25 - 20.0;
            let step = (value_noise(x, 1.5, 9) - value_noise(x + 0.001, 1.5, 9)).abs();
            assert!(step < 0.01, "jump of {step} at {x}");
        }
    }
}
