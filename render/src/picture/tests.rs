//! Each pixel format goes to JPEG and comes back with its colours; numbers that lie are refused.

use super::*;
use hanja_record::LayoutError;
use hanja_record::{Detection, PixelFormat};
use image::RgbImage;

/// A flat colour in `format`, limited range for YUV, lines padded by `pad` bytes.
pub(crate) fn flat(format: PixelFormat, w: u32, h: u32, rgb: [u8; 3], pad: u32) -> (Vec<u8>, u32) {
    let [r, g, b] = rgb.map(f64::from);
    let luma = (16.0 + 0.257 * r + 0.504 * g + 0.098 * b).round() as u8;
    let u = (128.0 - 0.148 * r - 0.291 * g + 0.439 * b).round() as u8;
    let v = (128.0 + 0.439 * r - 0.368 * g - 0.071 * b).round() as u8;
    let stride = format.min_stride(w) + pad;
    let len = format.frame_bytes(stride, w, h) as usize;
    let cycle = |part: &[u8], n: usize| part.iter().copied().cycle().take(n).collect::<Vec<u8>>();
    let first = (stride * h) as usize;
    let bytes = match format {
        PixelFormat::Yuyv => cycle(&[luma, u, luma, v], len),
        PixelFormat::Grey => vec![(0.299 * r + 0.587 * g + 0.114 * b).round() as u8; len],
        PixelFormat::Rgb3 => (0..h)
            .flat_map(|_| {
                cycle(&rgb, (w * 3) as usize)
                    .into_iter()
                    .chain(vec![0; pad as usize])
            })
            .collect(),
        PixelFormat::Nv12 => [vec![luma; first], cycle(&[u, v], len - first)].concat(),
        PixelFormat::I420 => {
            let plane = (len - first) / 2;
            [vec![luma; first], vec![u; plane], vec![v; plane]].concat()
        }
        PixelFormat::Mjpg => {
            let picture = RgbImage::from_pixel(w, h, image::Rgb(rgb));
            super::encode::rgb_to_jpeg(&picture, 95).unwrap()
        }
    };
    (
        bytes,
        if format == PixelFormat::Mjpg {
            0
        } else {
            stride
        },
    )
}

fn decoded(jpeg: &[u8]) -> RgbImage {
    image::load_from_memory(jpeg).unwrap().into_rgb8()
}

fn assert_close(picture: &RgbImage, expected: [u8; 3], what: &str) {
    for pixel in picture.pixels() {
        for (a, b) in pixel.0.iter().zip(expected) {
            assert!(a.abs_diff(b) <= 5, "{what}: {:?} for {expected:?}", pixel.0);
        }
    }
}

#[test]
fn every_format_keeps_its_colours() {
    let colours = [
        [250, 250, 250],
        [5, 5, 5],
        [200, 40, 60],
        [30, 160, 90],
        [60, 80, 210],
    ];
    for &format in PixelFormat::all() {
        for (colour, pad) in colours.into_iter().zip([0, 4, 8, 12, 64]) {
            for (width, height) in [(48, 32), (31, 17), (1, 1)] {
                let (bytes, stride) = flat(format, width, height, colour, pad);
                let frame = FrameRef {
                    format,
                    width,
                    height,
                    stride,
                    bytes: &bytes,
                };
                let [r, g, b] = colour.map(f64::from);
                let grey = [(0.299 * r + 0.587 * g + 0.114 * b).round() as u8; 3];
                let expected = if format == PixelFormat::Grey {
                    grey
                } else {
                    colour
                };
                let what = format!("{format} {width}x{height}");
                let picture = decoded(&to_jpeg(&frame, 95).unwrap());
                assert_eq!(picture.dimensions(), (width, height), "{what}");
                assert_close(&picture, expected, &what);
                assert_close(
                    &decoded(&annotated_jpeg(&frame, &[], 95).unwrap()),
                    expected,
                    &what,
                );
                let planes = to_i420(&frame).unwrap();
                let again = FrameRef {
                    format: PixelFormat::I420,
                    stride: width,
                    bytes: &planes,
                    ..frame
                };
                assert_close(&decoded(&to_jpeg(&again, 95).unwrap()), expected, &what);
            }
        }
    }
}

#[test]
fn numbers_that_lie_are_refused_by_name() {
    for &format in PixelFormat::all()
        .iter()
        .filter(|f| **f != PixelFormat::Mjpg)
    {
        let (bytes, stride) = flat(format, 40, 30, [9; 3], 0);
        let good = FrameRef {
            format,
            width: 40,
            height: 30,
            stride,
            bytes: &bytes,
        };
        let cut = FrameRef {
            bytes: &bytes[..bytes.len() - 1],
            ..good
        };
        let text = to_jpeg(&cut, 80).unwrap_err().to_string();
        assert!(
            text.contains(&format!("{} bytes of {}", bytes.len() - 1, bytes.len())),
            "{text}"
        );
        for bad in [
            FrameRef { width: 0, ..good },
            FrameRef { height: 0, ..good },
            FrameRef {
                width: u32::MAX,
                ..good
            },
            FrameRef {
                height: 8193,
                ..good
            },
            FrameRef { stride: 0, ..good },
            FrameRef {
                stride: u32::MAX,
                ..good
            },
            FrameRef { bytes: &[], ..good },
        ] {
            assert!(to_jpeg(&bad, 80).is_err(), "{bad:?}");
            assert!(to_i420(&bad).is_err());
            assert!(annotated_jpeg(&bad, &[], 80).is_err());
        }
    }
}

#[test]
fn a_last_line_without_padding_is_enough() {
    for &format in PixelFormat::all()
        .iter()
        .filter(|f| **f != PixelFormat::Mjpg)
    {
        let (bytes, stride) = flat(format, 40, 30, [200, 40, 60], 24);
        let least = bytes.len() - if format == PixelFormat::I420 { 12 } else { 24 };
        let frame = FrameRef {
            format,
            width: 40,
            height: 30,
            stride,
            bytes: &bytes[..least],
        };
        assert!(to_jpeg(&frame, 80).is_ok(), "{format}");
        let short = FrameRef {
            bytes: &bytes[..least - 1],
            ..frame
        };
        assert!(
            matches!(
                to_jpeg(&short, 80),
                Err(PictureError::Layout(LayoutError::Short { .. }))
            ),
            "{format}"
        );
    }
}

#[test]
fn damaged_jpegs_are_errors() {
    let (bytes, _) = flat(PixelFormat::Mjpg, 64, 48, [90, 120, 30], 0);
    let frame = FrameRef {
        format: PixelFormat::Mjpg,
        width: 64,
        height: 48,
        stride: 0,
        bytes: &bytes,
    };
    assert_eq!(to_jpeg(&frame, 1).unwrap(), bytes, "passed through");
    for bytes in [&bytes[..0], &bytes[..20], b"not a jpeg".as_slice()] {
        let bad = FrameRef { bytes, ..frame };
        assert!(matches!(
            annotated_jpeg(&bad, &[], 80),
            Err(PictureError::Decode { .. })
        ));
    }
    let text = to_i420(&FrameRef { width: 32, ..frame })
        .unwrap_err()
        .to_string();
    assert!(text.contains("64x48") && text.contains("32x48"), "{text}");
}

#[test]
fn boxes_are_burnt_in() {
    let (bytes, stride) = flat(PixelFormat::Yuyv, 160, 120, [250; 3], 0);
    let frame = FrameRef {
        format: PixelFormat::Yuyv,
        width: 160,
        height: 120,
        stride,
        bytes: &bytes,
    };
    let found = Detection {
        x1: 40.0,
        y1: 50.0,
        x2: 90.0,
        y2: 100.0,
        score: 0.9,
        class: 1,
        ..Default::default()
    };
    let picture = decoded(&annotated_jpeg(&frame, &[found], 95).unwrap());
    let blue = |x, y| picture.get_pixel(x, y).0[0] < 180;
    assert!(
        blue(40, 80) && blue(89, 80) && blue(60, 50) && blue(60, 99),
        "four edges"
    );
    assert!(!blue(65, 75), "nothing inside");
    let ink = (33..50).flat_map(|y| (40..90).map(move |x| (x, y)));
    assert!(
        ink.filter(|(x, y)| picture.get_pixel(*x, *y).0[1] < 70)
            .count()
            > 20,
        "the label"
    );
}
