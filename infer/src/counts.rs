//! Interface for `ci/instructions.sh`: the steps of a frame that are our own code, one by one, on input that never changes.
//! Their cost is counted in instructions, which other load on the machine does not change.

use crate::decode::decode;
use crate::nms::{self, ScoredBox};
use crate::preprocess::{Luma, Preprocessor, Target};
use crate::verifier;
use hanja_record::{FrameRef, PixelFormat};
use hanja_ring::counts::Scene;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// Boxes of a full record.
const BOXES: usize = 300;

/// The input tensor from a frame of each format; rows to candidates; suppression of a full page; a crop for the second
/// look.
#[must_use]
pub fn scenes() -> Vec<Scene> {
    let formats: [(PixelFormat, fn() -> Box<dyn FnMut()>); 6] = [
        (PixelFormat::Yuyv, || preprocess(PixelFormat::Yuyv)),
        (PixelFormat::Nv12, || preprocess(PixelFormat::Nv12)),
        (PixelFormat::I420, || preprocess(PixelFormat::I420)),
        (PixelFormat::Mjpg, || preprocess(PixelFormat::Mjpg)),
        (PixelFormat::Grey, || preprocess(PixelFormat::Grey)),
        (PixelFormat::Rgb3, || preprocess(PixelFormat::Rgb3)),
    ];
    let mut all: Vec<Scene> = formats
        .into_iter()
        .map(|(format, scene)| (format!("preprocess {format}"), scene))
        .collect();
    all.push(("decode 8190 rows".into(), || rows()));
    all.push(("suppress 1200 boxes".into(), || suppression()));
    all.push(("crop".into(), || crop()));
    all
}

/// The same numbers on every machine.
fn noise() -> impl FnMut() -> u32 {
    let mut state = 1_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    }
}

fn picture(format: PixelFormat) -> (Vec<u8>, u32) {
    let mut next = noise();
    // Soft slopes with noise: a JPEG of it has coefficients of every kind.
    let mut sample = |i: u32| ((i / 7 % 200) + next() % 32) as u8;
    if format == PixelFormat::Mjpg {
        let pixels: Vec<u8> = (0..WIDTH * HEIGHT * 3).map(&mut sample).collect();
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 85)
            .encode(&pixels, WIDTH, HEIGHT, image::ExtendedColorType::Rgb8)
            .expect("a picture of this size can be encoded");
        return (jpeg, 0);
    }
    let stride = format.min_stride(WIDTH);
    let bytes = format.frame_bytes(stride, WIDTH, HEIGHT) as u32;
    ((0..bytes).map(sample).collect(), stride)
}

fn preprocess(format: PixelFormat) -> Box<dyn FnMut()> {
    let (bytes, stride) = picture(format);
    let target = Target::LongSide {
        size: 416,
        stride: 32,
    };
    let mut preprocessor = Preprocessor::new(target);
    preprocessor.keep_luma();
    Box::new(move || {
        let frame = FrameRef {
            format,
            width: WIDTH,
            height: HEIGHT,
            stride,
            bytes: &bytes,
        };
        preprocessor.run(&frame).expect("a good frame");
    })
}

fn rows() -> Box<dyn FnMut()> {
    const ROWS: usize = 8190;
    const COLUMNS: usize = 15;
    let mut next = noise();
    let mut data = Vec::new();
    for _ in 0..ROWS {
        let place = [0; 4].map(|_| (next() % 400) as f32);
        data.extend(place);
        data.extend([0; COLUMNS - 4].map(|_| (next() % 1000) as f32 / 1000.0));
    }
    let mut out = Vec::new();
    Box::new(move || {
        let predictions = crate::backend::Predictions {
            data: &data,
            rows: ROWS,
            columns: COLUMNS,
        };
        decode(predictions, 0.5, &mut out);
    })
}

/// Four boxes a character, a page full of characters of ten classes.
fn suppression() -> Box<dyn FnMut()> {
    let mut next = noise();
    let mut all: Vec<_> = (0..4 * BOXES as u32)
        .map(|row| {
            let (x, y) = ((row / 4 % 20 * 20) as f32, (row / 80 * 20) as f32);
            let (dx, dy) = ((next() % 3) as f32, (next() % 3) as f32);
            ScoredBox {
                x1: x + dx,
                y1: y + dy,
                x2: x + dx + 15.0,
                y2: y + dy + 15.0,
                score: (next() % 1000) as f32 / 1000.0,
                class: (row / 4 % 10) as u16,
                row,
            }
        })
        .collect();
    nms::sort(&mut all);
    let (mut suppressor, mut kept) = (nms::Suppressor::default(), Vec::new());
    Box::new(move || {
        suppressor.keep(&all, 0.45, BOXES, &mut kept);
        nms::one_reading_each(&mut kept, 0.45);
    })
}

fn crop() -> Box<dyn FnMut()> {
    let (bytes, stride) = picture(PixelFormat::Grey);
    let target = Target::LongSide {
        size: 416,
        stride: 32,
    };
    let mut preprocessor = Preprocessor::new(target);
    preprocessor.keep_luma();
    let frame = FrameRef {
        format: PixelFormat::Grey,
        width: WIDTH,
        height: HEIGHT,
        stride,
        bytes: &bytes,
    };
    preprocessor.run(&frame).expect("a good frame");
    let mut luma = Luma::default();
    preprocessor.swap_luma(&mut luma);
    let mut pixels = vec![0.0; verifier::SIDE * verifier::SIDE];
    Box::new(move || {
        verifier::cut(&luma, [100.0, 100.0, 180.0, 170.0], &mut pixels);
    })
}
