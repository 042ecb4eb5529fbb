//! The fused pass against a plain one: convert every pixel to RGB, then resample with the same weights.

use super::resample::Resampler;
use super::*;
use proptest::prelude::*;

fn target() -> Target {
    Target::LongSide {
        size: 96,
        stride: 32,
    }
}

/// A picture in `format` whose bytes are all different, and its channels at full resolution, 0 to 255.
fn picture(format: PixelFormat, width: u32, height: u32, padding: u32) -> (Vec<u8>, u32) {
    let stride = format.min_stride(width) + 2 * padding;
    let bytes = format.frame_bytes(stride, width, height);
    let noise = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    ((0..bytes).map(noise).collect(), stride)
}

/// One channel of the input in planar form with its own resolution.
fn channel(
    format: PixelFormat,
    bytes: &[u8],
    stride: usize,
    w: usize,
    h: usize,
    c: usize,
) -> (Vec<f32>, usize, usize) {
    let (cw, ch) = (w.div_ceil(2), h.div_ceil(2));
    let take = |start: usize, stride: usize, step: usize, w: usize, h: usize| {
        let at = |x: usize, y: usize| f32::from(bytes[start + y * stride + x * step]);
        (
            (0..h)
                .flat_map(|y| (0..w).map(move |x| (x, y)))
                .map(|(x, y)| at(x, y))
                .collect(),
            w,
            h,
        )
    };
    let uv_stride = stride.next_multiple_of(2);
    match (format, c) {
        (PixelFormat::Rgb3, c) => take(c, stride, 3, w, h),
        (PixelFormat::Yuyv, 0) => take(0, stride, 2, w, h),
        (PixelFormat::Yuyv, c) => take(2 * c - 1, stride, 4, cw, h),
        (PixelFormat::Nv12, c @ 1..) => take(stride * h + c - 1, uv_stride, 2, cw, ch),
        (PixelFormat::I420, c @ 1..) => {
            let half = stride.div_ceil(2);
            take(stride * h + (c - 1) * half * ch, half, 1, cw, ch)
        }
        _ => take(0, stride, 1, w, h),
    }
}

fn resample((data, w, h): &(Vec<f32>, usize, usize), to_w: usize, to_h: usize) -> Vec<f32> {
    let (across, down) = (Resampler::new(*w, to_w), Resampler::new(*h, to_h));
    let mut out = Vec::new();
    for y in 0..to_h {
        for x in 0..to_w {
            let ((fx, wx), (fy, wy)) = (across.at(x), down.at(y));
            let row = |j: usize| -> f32 {
                wx.iter()
                    .enumerate()
                    .map(|(i, k)| k * data[(fy + j) * w + fx + i])
                    .sum()
            };
            out.push(wy.iter().enumerate().map(|(j, k)| k * row(j)).sum());
        }
    }
    out
}

fn reference(format: PixelFormat, frame: &FrameRef<'_>, l: &Letterbox) -> Vec<f32> {
    let (w, h) = (frame.width as usize, frame.height as usize);
    let c: Vec<_> = (0..3)
        .map(|c| {
            resample(
                &channel(format, frame.bytes, frame.stride as usize, w, h, c),
                l.width,
                l.height,
            )
        })
        .collect();
    let mut out = vec![114.0 / 255.0; 3 * l.area()];
    for y in 0..l.height {
        for x in 0..l.width {
            let [a, b, d] = [0, 1, 2].map(|i: usize| c[i][y * l.width + x]);
            let rgb = match format {
                PixelFormat::Rgb3 => [a, b, d].map(|v| v / 255.0),
                PixelFormat::Grey => [a / 255.0; 3],
                _ => {
                    let (y, u, v) = ((a - 16.0) / 219.0, (b - 128.0) / 224.0, (d - 128.0) / 224.0);
                    [
                        y + 1.402 * v,
                        y - 0.344_136 * u - 0.714_136 * v,
                        y + 1.772 * u,
                    ]
                    .map(|v| v.clamp(0.0, 1.0))
                }
            };
            for (plane, value) in rgb.into_iter().enumerate() {
                out[plane * l.area() + (l.top + y) * l.net_width + l.left + x] = value;
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_fused_pass_agrees_with_the_plain_one(
        which in 0usize..5, width in 1u32..300, height in 1u32..300, padding in 0u32..4
    ) {
        let format = [PixelFormat::Yuyv, PixelFormat::Nv12, PixelFormat::I420, PixelFormat::Grey, PixelFormat::Rgb3][which];
        let (bytes, stride) = picture(format, width, height, padding);
        let frame = FrameRef { format, width, height, stride, bytes: &bytes };
        let mut p = Preprocessor::new(target());
        let letterbox = p.run(&frame).unwrap();
        let want = reference(format, &frame, &letterbox);
        prop_assert_eq!(want.len(), p.tensor().len());
        for (i, (got, want)) in p.tensor().iter().zip(&want).enumerate() {
            prop_assert!((got - want).abs() < 0.5 / 255.0, "{:?} value {}: {} and {}", format, i, got, want);
        }
    }

    #[test]
    fn boxes_come_back_to_where_they_were(w in 1usize..4000, h in 1usize..4000, fx in 0f32..1.0, fy in 0f32..1.0, size in 1u32..20) {
        let l = Letterbox::new(w, h, Target::LongSide { size: 32 * size, stride: 32 });
        prop_assert!(l.net_width.is_multiple_of(32) && l.net_height.is_multiple_of(32));
        prop_assert!(l.left + l.width <= l.net_width && l.top + l.height <= l.net_height);
        let (x, y) = (fx * w as f32, fy * h as f32);
        let (bx, by) = l.source_point(l.left as f32 + x * l.scale_x, l.top as f32 + y * l.scale_y);
        prop_assert!((bx - x).abs() < 0.01 * (1.0 + x) && (by - y).abs() < 0.01 * (1.0 + y));
    }

    #[test]
    fn numbers_from_outside_never_reach_past_the_bytes(
        which in 0usize..6, width: u32, height: u32, stride: u32, len in 0usize..4000, small: bool
    ) {
        let format = PixelFormat::all()[which];
        let cut = |v: u32| if small { v % 50 } else { v };
        let bytes = vec![0xff; len];
        let frame = FrameRef { format, width: cut(width), height: cut(height), stride: cut(stride), bytes: &bytes };
        let _ = Preprocessor::new(target()).run(&frame);
    }
}

fn jpeg(grey: bool) -> (Vec<u8>, image::RgbImage) {
    let picture =
        image::RgbImage::from_fn(120, 80, |x, y| image::Rgb([2 * x as u8, 3 * y as u8, 90]));
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
    if grey {
        let picture = image::DynamicImage::from(picture.clone()).into_luma8();
        picture.write_with_encoder(encoder).unwrap();
    } else {
        picture.write_with_encoder(encoder).unwrap();
    }
    (bytes, picture)
}

#[test]
fn a_jpeg_looks_like_its_picture() {
    for grey in [false, true] {
        let (bytes, picture) = jpeg(grey);
        let original = if grey {
            image::DynamicImage::from(image::DynamicImage::from(picture).into_luma8()).into_rgb8()
        } else {
            picture
        };
        let mjpg = FrameRef {
            format: PixelFormat::Mjpg,
            width: 0,
            height: 0,
            stride: 0,
            bytes: &bytes,
        };
        let rgb = FrameRef {
            format: PixelFormat::Rgb3,
            width: 120,
            height: 80,
            stride: 360,
            bytes: original.as_raw(),
        };
        let (mut a, mut b) = (Preprocessor::new(target()), Preprocessor::new(target()));
        assert_eq!(a.run(&mjpg).unwrap(), b.run(&rgb).unwrap());
        let worst = a
            .tensor()
            .iter()
            .zip(b.tensor())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < 8.0 / 255.0, "grey {grey}: {worst}");
    }
}

#[test]
fn damaged_jpegs_are_errors() {
    let (bytes, _) = jpeg(false);
    let mut p = Preprocessor::new(target());
    for cut in [0, 1, 20, bytes.len() / 4, bytes.len() / 2] {
        let frame = FrameRef {
            format: PixelFormat::Mjpg,
            width: 120,
            height: 80,
            stride: 0,
            bytes: &bytes[..cut],
        };
        assert!(
            matches!(p.run(&frame), Err(PreprocessError::Jpeg(_))),
            "cut at {cut}"
        );
    }
    assert!(
        p.run(&FrameRef {
            format: PixelFormat::Mjpg,
            width: 1,
            height: 1,
            stride: 0,
            bytes: &bytes
        })
        .is_ok()
    );
}

fn mjpg(bytes: &[u8]) -> FrameRef<'_> {
    FrameRef {
        format: PixelFormat::Mjpg,
        width: 120,
        height: 80,
        stride: 0,
        bytes,
    }
}

#[test]
fn what_cameras_do_to_jpegs_is_forgiven() {
    let (whole, _) = jpeg(false);
    let mut p = Preprocessor::new(target());
    p.run(&mjpg(&whole)).unwrap();
    let want = p.tensor().to_vec();
    // The header's segments up to the scan, without the Huffman tables.
    let (mut bare, mut at) = (whole[..2].to_vec(), 2);
    while whole[at + 1] != 0xda {
        let len = 2 + usize::from(u16::from_be_bytes([whole[at + 2], whole[at + 3]]));
        if whole[at + 1] != 0xc4 {
            bare.extend(&whole[at..at + len]);
        }
        at += len;
    }
    bare.extend(&whole[at..]);
    assert!(bare.len() + 300 < whole.len());
    let padded = [&whole[..], &[0; 1000]].concat();
    let no_end = &whole[..whole.len() - 2];
    for (bytes, what) in [
        (&bare[..], "no Huffman tables"),
        (&padded, "padded"),
        (no_end, "no end marker"),
    ] {
        p.run(&mjpg(bytes))
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(p.tensor() == want, "{what}");
    }
}

#[test]
fn a_change_of_size_makes_new_bars() {
    let mut p = Preprocessor::new(target());
    for (w, h) in [(96, 96), (96, 48), (48, 96), (96, 20)] {
        let white = vec![255; w as usize * h as usize];
        let l = p
            .run(&FrameRef {
                format: PixelFormat::Grey,
                width: w,
                height: h,
                stride: w,
                bytes: &white,
            })
            .unwrap();
        let whites = p.tensor().iter().filter(|v| **v == 1.0).count();
        assert_eq!(whites, 3 * l.width * l.height);
    }
}
