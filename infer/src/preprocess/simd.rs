//! The two inner loops, written so that the compiler vectorises them. On x86_64 they are compiled twice, for the baseline
//! (SSE2) and for AVX2 with FMA, and one is chosen at run time. On aarch64 the baseline has NEON.

#![allow(unsafe_code)]

use hanja_record::Colour;

/// `out[i] = sum over k of weights[k] * line(k)[i]`. All lines are as long as `out`.
pub(super) fn blend<'a>(line: impl Fn(usize) -> &'a [u8], weights: &[f32], out: &mut [f32]) {
    for (k, weight) in weights.iter().enumerate() {
        // A row that falls exactly on a source row has a second weight of 0.
        if *weight != 0.0 || k == 0 {
            add(line(k), *weight, k == 0, out);
        }
    }
}

fn add(line: &[u8], weight: f32, first: bool, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the features that `add_avx2` is compiled for were just found in this processor.
        return unsafe { add_avx2(line, weight, first, out) };
    }
    add_any(line, weight, first, out);
}

#[inline(always)]
fn add_any(line: &[u8], weight: f32, first: bool, out: &mut [f32]) {
    if first {
        for (out, v) in out.iter_mut().zip(line) {
            *out = weight * f32::from(*v);
        }
    } else {
        for (out, v) in out.iter_mut().zip(line) {
            *out += weight * f32::from(*v);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn add_avx2(line: &[u8], weight: f32, first: bool, out: &mut [f32]) {
    add_any(line, weight, first, out);
}

/// Turns one row of three channels (0 to 255) into RGB of 0 to 1.
pub(super) fn convert(colour: Colour, channels: &[Vec<f32>; 3], out: [&mut [f32]; 3]) {
    #[cfg(target_arch = "x86_64")]
    if has_avx2() {
        // SAFETY: the features that `convert_avx2` is compiled for were just found in this processor.
        return unsafe { convert_avx2(colour, channels, out) };
    }
    convert_any(colour, channels, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn convert_avx2(colour: Colour, channels: &[Vec<f32>; 3], out: [&mut [f32]; 3]) {
    convert_any(colour, channels, out);
}

#[inline(always)]
fn convert_any(colour: Colour, channels: &[Vec<f32>; 3], out: [&mut [f32]; 3]) {
    let [a, b, c] = channels;
    match colour {
        Colour::Rgb => {
            for (out, channel) in out.into_iter().zip(channels) {
                for (out, v) in out.iter_mut().zip(channel) {
                    *out = v * (1.0 / 255.0);
                }
            }
        }
        Colour::Grey => {
            for out in out {
                for (out, v) in out.iter_mut().zip(a) {
                    *out = v * (1.0 / 255.0);
                }
            }
        }
        // ITU-R BT.601: R = Y' + 1.402 Cr, G = Y' - 0.344136 Cb - 0.714136 Cr, B = Y' + 1.772 Cb, with
        // Y' = (Y - 16) * 255/219 and Cb, Cr scaled by 255/224 in the limited range.
        Colour::Limited => yuv(a, b, c, out, 16.0, 1.0 / 219.0, 1.0 / 224.0),
        Colour::Full => yuv(a, b, c, out, 0.0, 1.0 / 255.0, 1.0 / 255.0),
    }
}

#[inline(always)]
fn yuv(y: &[f32], u: &[f32], v: &[f32], out: [&mut [f32]; 3], black: f32, luma: f32, chroma: f32) {
    let [red, green, blue] = out;
    let rows = red.iter_mut().zip(green.iter_mut()).zip(blue.iter_mut());
    for (((red, green), blue), ((y, u), v)) in rows.zip(y.iter().zip(u).zip(v)) {
        let y = (y - black) * luma;
        let (cb, cr) = ((u - 128.0) * chroma, (v - 128.0) * chroma);
        *red = (y + 1.402 * cr).clamp(0.0, 1.0);
        *green = (y - 0.344_136 * cb - 0.714_136 * cr).clamp(0.0, 1.0);
        *blue = (y + 1.772 * cb).clamp(0.0, 1.0);
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// On a machine without AVX2 this compares the baseline with itself.
        #[test]
        fn both_compilations_agree_to_the_last_bit(
            lines in prop::collection::vec(any::<[u8; 3]>(), 0..100), weight in 0f32..1.0
        ) {
            let n = lines.len();
            let bytes = |c: usize| lines.iter().map(|l| l[c]).collect::<Vec<u8>>();
            for first in [true, false] {
                let (mut got, mut want) = (vec![0.5; n], vec![0.5; n]);
                add(&bytes(0), weight, first, &mut got);
                add_any(&bytes(0), weight, first, &mut want);
                prop_assert_eq!(&got, &want);
            }
            let channels = [0, 1, 2].map(|c| bytes(c).iter().map(|v| f32::from(*v)).collect());
            for colour in [Colour::Rgb, Colour::Grey, Colour::Limited, Colour::Full] {
                let mut planes = [[vec![0.0; n], vec![0.0; n], vec![0.0; n]], [vec![0.0; n], vec![0.0; n], vec![0.0; n]]];
                let [got, want] = &mut planes;
                convert(colour, &channels, got.each_mut().map(|p| p.as_mut_slice()));
                convert_any(colour, &channels, want.each_mut().map(|p| p.as_mut_slice()));
                prop_assert_eq!(&got, &want);
                prop_assert!(got.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
            }
        }
    }
}
