//! What the GPU computes against what the CPU computes, over the fake driver, which runs the GPU's kernels as C: every
//! format, odd sizes, padded lines; and the filter against `decode`.

#![allow(unsafe_code)]

use crate::backend::Predictions;
use crate::decode::{MOST_CANDIDATES, decode};
use crate::preprocess::{Preprocessor, Target};
use hanja_cuda::{Device, FilterSpec, FilteredBoxes, FramePath, Source, Spec, Work};
use hanja_cuda_fake::{Driver, in_child};
use hanja_record::{FrameRef, PixelFormat};
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::collections::HashMap;
use std::convert::Infallible;

/// Largest difference of a value of 0 to 1. The kernels add the same products in the same order, without fused
/// multiply-add: on x86-64 the difference is 0. Elsewhere the compiler of the CPU's path may add in another order.
const MOST: f32 = 1e-5;
/// The same where the tensor is f16: half a unit in the last place below 1.
const MOST_HALF: f32 = MOST + 1.0 / 4096.0;

fn spec(input: (usize, usize), half: bool) -> Spec {
    let output = FilterSpec {
        rows: 1,
        columns: 6,
        half: false,
        conf: 0.5,
    };
    Spec {
        input,
        half,
        output,
        most: 1,
        graphs: false,
    }
}

/// The tensor that the GPU makes of a frame.
fn gpu_tensor(
    device: &Device,
    preprocessor: &mut Preprocessor,
    frame: &FrameRef<'_>,
    half: bool,
) -> Vec<f32> {
    let (bytes, conversion, letterbox) = preprocessor.for_gpu(frame).unwrap();
    assert_eq!(conversion.tensor_len(), 3 * letterbox.area());
    assert!(conversion.needed() <= bytes.len());
    let input = (letterbox.net_width, letterbox.net_height);
    let mut path = FramePath::new(device, spec(input, half)).unwrap();
    let mut tensor = Vec::new();
    let look = |work: Work| {
        let (at, len) = (work.input as *const u8, conversion.tensor_len());
        // SAFETY: the fake driver's memory is the CPU's, and it does everything at once; the tensor is as long.
        tensor = unsafe {
            if half {
                std::slice::from_raw_parts(at.cast(), len)
                    .iter()
                    .copied()
                    .map(of_half)
                    .collect()
            } else {
                std::slice::from_raw_parts(at.cast(), len).to_vec()
            }
        };
        Ok::<_, Infallible>(())
    };
    path.submit_frame(Source::Host(bytes), &conversion, (), look)
        .unwrap();
    path.wait().unwrap();
    tensor
}

/// Half precision, from its definition.
fn of_half(bits: u16) -> f32 {
    let (exponent, rest) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let value = match exponent {
        31 if rest == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        0 => rest * 2f32.powi(-24),
        _ => (1.0 + rest / 1024.0) * 2f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -value } else { value }
}

fn random_frame(rng: &mut Pcg64Mcg, format: PixelFormat, most: u32) -> (Vec<u8>, u32, u32, u32) {
    let (width, height) = (rng.random_range(1..most), rng.random_range(1..most));
    let stride = format.min_stride(width) + rng.random_range(0..9);
    let mut bytes = vec![0; format.frame_bytes(stride, width, height) as usize];
    rng.fill_bytes(&mut bytes);
    (bytes, width, height, stride)
}

fn jpeg_of(rng: &mut Pcg64Mcg, grey: bool) -> (Vec<u8>, u32, u32) {
    let (width, height) = (rng.random_range(1..200), rng.random_range(1..200));
    let picture = image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(3 * x) as u8, (2 * y) as u8, (x ^ y) as u8])
    });
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
    let picture = image::DynamicImage::from(picture);
    if grey {
        picture.into_luma8().write_with_encoder(encoder).unwrap();
    } else {
        picture.write_with_encoder(encoder).unwrap();
    }
    (bytes, width, height)
}

fn compare(device: &Device, target: Target, frame: &FrameRef<'_>, half: bool) {
    let mut preprocessor = Preprocessor::new(target);
    preprocessor.run(frame).unwrap();
    let want = preprocessor.tensor().to_vec();
    let got = gpu_tensor(device, &mut preprocessor, frame, half);
    assert_eq!(got.len(), want.len());
    let most = if half { MOST_HALF } else { MOST };
    let worst = got
        .iter()
        .zip(&want)
        .map(|(a, b)| (a - b).abs())
        .fold(
            0.0,
            |worst: f32, d| if d > worst || d.is_nan() { d } else { worst },
        );
    let (w, h, stride) = (frame.width, frame.height, frame.stride);
    assert!(
        worst <= most,
        "{} {w}x{h}, {stride} bytes a line, to {target:?}, half {half}: off by {worst}",
        frame.format
    );
    // The CPU's path goes on as before.
    preprocessor.run(frame).unwrap();
    assert_eq!(preprocessor.tensor(), want);
}

#[test]
fn the_letterbox_kernel_agrees_with_the_cpu() {
    in_child(
        "gpu_tests::the_letterbox_kernel_agrees_with_the_cpu",
        Driver::Current,
        "",
        || {
            let device = Device::probe().unwrap();
            let mut rng = Pcg64Mcg::seed_from_u64(5);
            let raw = [
                PixelFormat::Yuyv,
                PixelFormat::Nv12,
                PixelFormat::I420,
                PixelFormat::Grey,
                PixelFormat::Rgb3,
            ];
            for round in 0..40 {
                let target = match round % 3 {
                    0 => Target::LongSide {
                        size: 96,
                        stride: 32,
                    },
                    1 => Target::Fixed {
                        width: rng.random_range(1..120),
                        height: rng.random_range(1..120),
                    },
                    _ => Target::Fixed {
                        width: 96,
                        height: 64,
                    },
                };
                // Strong reductions too: many weights a position.
                let most = if round % 8 == 0 { 1200 } else { 300 };
                for format in raw {
                    let (bytes, width, height, stride) = random_frame(&mut rng, format, most);
                    compare(
                        &device,
                        target,
                        &FrameRef {
                            format,
                            width,
                            height,
                            stride,
                            bytes: &bytes,
                        },
                        round % 4 == 3,
                    );
                }
                for grey in [false, true] {
                    let (bytes, width, height) = jpeg_of(&mut rng, grey);
                    let frame = FrameRef {
                        format: PixelFormat::Mjpg,
                        width,
                        height,
                        stride: 0,
                        bytes: &bytes,
                    };
                    compare(&device, target, &frame, round % 4 == 3);
                }
            }
            // The default camera at the default size.
            for format in raw {
                let (width, height) = (640, 480);
                let stride = format.min_stride(width);
                let mut bytes = vec![0; format.frame_bytes(stride, width, height) as usize];
                rng.fill_bytes(&mut bytes);
                let target = Target::LongSide {
                    size: 416,
                    stride: 32,
                };
                compare(
                    &device,
                    target,
                    &FrameRef {
                        format,
                        width,
                        height,
                        stride,
                        bytes: &bytes,
                    },
                    false,
                );
            }
        },
    );
}

/// What the GPU leaves of a model's output, `bytes` of f32 or f16.
fn gpu_filter(device: &Device, bytes: &[u8], output: FilterSpec) -> FilteredBoxes {
    assert_eq!(bytes.len(), output.output_len());
    let spec = Spec {
        output,
        most: MOST_CANDIDATES,
        ..spec((1, 1), false)
    };
    let mut path = FramePath::new(device, spec).unwrap();
    let engine = |work: Work| {
        // SAFETY: the fake driver's memory is the CPU's; the output is as long.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), work.output as *mut u8, bytes.len())
        };
        Ok::<_, Infallible>(())
    };
    path.submit_filled(|_| (), engine).unwrap();
    path.wait().unwrap().unwrap()
}

fn compare_filter(device: &Device, rows: &[f32], bytes: &[u8], output: FilterSpec) -> u32 {
    let predictions = Predictions {
        data: rows,
        rows: output.rows,
        columns: output.columns,
    };
    let mut want = Vec::new();
    let total = decode(predictions, output.conf, &mut want);
    let got = gpu_filter(device, bytes, output);
    assert_eq!(
        (got.total, got.list.len()),
        (total, want.len()),
        "{output:?}"
    );
    for (got, want) in got.list.iter().zip(&want) {
        let got_bits = [got.x1, got.y1, got.x2, got.y2, got.score].map(f32::to_bits);
        let want_bits = [want.x1, want.y1, want.x2, want.y2, want.score].map(f32::to_bits);
        assert_eq!(
            (got_bits, got.class, got.row),
            (want_bits, want.class, want.row)
        );
    }
    total
}

/// Half precision of the few values below: exact, infinite, or 0 for what is too small to matter.
fn nearest_half() -> impl Fn(f32) -> u16 {
    let exact: HashMap<u32, u16> = (0..=u16::MAX)
        .map(|bits| (of_half(bits).to_bits(), bits))
        .collect();
    move |value| {
        let other = if value > 0.0 { 0x7c00 } else { 0 };
        exact.get(&value.to_bits()).copied().unwrap_or(other)
    }
}

/// A model's output with ties, and with numbers that are none.
fn random_rows(rng: &mut Pcg64Mcg, rows: usize, columns: usize, rubbish: bool) -> Vec<f32> {
    const RUBBISH: [f32; 8] = [
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -0.0,
        0.0,
        f32::MAX,
        -5.0,
    ];
    let mut value = |at: usize| {
        if rubbish && rng.random_range(0..40) == 0 {
            return RUBBISH[rng.random_range(0..RUBBISH.len())];
        }
        match at % columns {
            0..4 => rng.random_range(1u16..640).into(),
            _ => f32::from(rng.random_range(0u8..17)) / 16.0,
        }
    };
    (0..rows * columns).map(&mut value).collect()
}

#[test]
fn the_filter_kernel_agrees_with_decode() {
    in_child(
        "gpu_tests::the_filter_kernel_agrees_with_decode",
        Driver::Current,
        "discrete",
        || {
            let device = Device::probe().unwrap();
            let mut rng = Pcg64Mcg::seed_from_u64(6);
            let (mut seen, nearest) = (0, nearest_half());
            for round in 0..200 {
                let (rows, columns) = (rng.random_range(1..400), rng.random_range(6..20));
                let conf = [0.25, 0.5, 0.01, 0.0, -1.0][round % 5];
                let mut values = random_rows(&mut rng, rows, columns, round % 3 > 0);
                let half = round % 2 == 1;
                let bytes: Vec<u8> = if half {
                    // Any pattern of bits is a number that a model may give.
                    let bits: Vec<u16> = values
                        .iter()
                        .map(|v| {
                            if v.is_nan() {
                                rng.random()
                            } else {
                                nearest(*v)
                            }
                        })
                        .collect();
                    values = bits.iter().copied().map(of_half).collect();
                    bits.iter().flat_map(|b| b.to_le_bytes()).collect()
                } else {
                    values.iter().flat_map(|v| v.to_le_bytes()).collect()
                };
                seen += compare_filter(
                    &device,
                    &values,
                    &bytes,
                    FilterSpec {
                        rows,
                        columns,
                        half,
                        conf,
                    },
                );
            }
            assert!(seen > 1000, "the rows have something in them: {seen}");
            // More than are wanted, with many ties at the border.
            let (rows, columns) = (3 * MOST_CANDIDATES, 7);
            let values = random_rows(&mut rng, rows, columns, false);
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            let total = compare_filter(
                &device,
                &values,
                &bytes,
                FilterSpec {
                    rows,
                    columns,
                    half: false,
                    conf: 0.001,
                },
            );
            assert!(total as usize > MOST_CANDIDATES);
        },
    );
}
