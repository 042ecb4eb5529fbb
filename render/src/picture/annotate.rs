//! Pictures with the boxes and labels burnt in, for people and programs without the web view.

use super::encode::rgb_to_jpeg;
use super::labels::{self, Glyph};
use super::pixels::to_rgb;
use super::{FrameRef, PictureError};
use hanja_record::Detection;
use image::{Rgb, RgbImage};

/// One colour per class, the same as in the web view: apart from their neighbours in hue, readable under black ink.
pub(crate) const COLOURS: [[u8; 3]; 10] = [
    [255, 196, 61],
    [86, 204, 242],
    [255, 138, 101],
    [129, 212, 122],
    [214, 160, 255],
    [64, 224, 190],
    [255, 150, 190],
    [190, 214, 70],
    [140, 170, 255],
    [240, 190, 150],
];
const INK: [u8; 3] = [16, 18, 22];

/// The frame as a JPEG of `quality` 1 to 100 with a box and a label (numeral, score in per cent) for each detection.
/// Boxes are cut at the edges; those that are no boxes (NaN, outside) are left out.
///
/// # Errors
/// As for [`super::to_jpeg`], and a damaged JPEG.
pub fn annotated_jpeg(
    frame: &FrameRef<'_>,
    detections: &[Detection],
    quality: u8,
) -> Result<Vec<u8>, PictureError> {
    let mut rgb = to_rgb(frame)?;
    for detection in detections {
        draw(&mut rgb, detection);
    }
    rgb_to_jpeg(&rgb, quality)
}

/// Half-open rectangle of pixels, inside the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    x1: u32,
    y1: u32,
    x2: u32,
    y2: u32,
}

impl Area {
    fn of(detection: &Detection, width: u32, height: u32) -> Option<Self> {
        let Detection { x1, y1, x2, y2, .. } = *detection;
        // Conversions from float saturate, so huge and infinite edges end at the picture's.
        let (x1, y1) = (x1.max(0.0).floor() as u32, y1.max(0.0).floor() as u32);
        let (x2, y2) = (
            (x2.ceil() as u32).min(width),
            (y2.ceil() as u32).min(height),
        );
        let finite = !(detection.x1 + detection.y1 + detection.x2 + detection.y2).is_nan();
        (finite && x1 < x2 && y1 < y2).then_some(Self { x1, y1, x2, y2 })
    }

    fn fill(self, rgb: &mut RgbImage, colour: [u8; 3]) {
        for y in self.y1..self.y2.min(rgb.height()) {
            for x in self.x1..self.x2.min(rgb.width()) {
                rgb.put_pixel(x, y, Rgb(colour));
            }
        }
    }
}

fn draw(rgb: &mut RgbImage, detection: &Detection) {
    let (width, height) = rgb.dimensions();
    let Some(area) = Area::of(detection, width, height) else {
        return;
    };
    let colour = COLOURS[usize::from(detection.class) % COLOURS.len()];
    // Lines and letters grow with the picture: 2 pixels wide at 640x480.
    let scale = (width.max(height) / 800 + 1).min(8);
    let thick = scale + 1;
    let Area { x1, y1, x2, y2 } = area;
    for edge in [
        Area {
            y2: (y1 + thick).min(y2),
            ..area
        },
        Area {
            y1: y2.saturating_sub(thick).max(y1),
            ..area
        },
        Area {
            x2: (x1 + thick).min(x2),
            ..area
        },
        Area {
            x1: x2.saturating_sub(thick).max(x1),
            ..area
        },
    ] {
        edge.fill(rgb, colour);
    }
    draw_label(
        rgb,
        area,
        &labels::label(detection.class, detection.score),
        colour,
        scale,
    );
}

/// A filled tag above the box, below it where there is no room, inside only as the last resort: it would hide the numeral.
fn draw_label(rgb: &mut RgbImage, area: Area, glyphs: &[&Glyph], colour: [u8; 3], scale: u32) {
    let pad = 2 * scale;
    let ink: u32 = glyphs.iter().map(|g| g[0].len() as u32 * scale).sum();
    let (w, h) = (ink + 2 * pad, labels::HEIGHT as u32 * scale + 2 * pad);
    let x = area.x1.min(rgb.width().saturating_sub(w));
    let below = if area.y2 + h <= rgb.height() {
        area.y2
    } else {
        area.y1
    };
    let y = area.y1.checked_sub(h).unwrap_or(below);
    Area {
        x1: x,
        y1: y,
        x2: x + w,
        y2: y + h,
    }
    .fill(rgb, colour);
    let mut left = x + pad;
    for glyph in glyphs {
        for (row, line) in glyph.iter().enumerate() {
            for (column, _) in line.bytes().enumerate().filter(|(_, b)| *b == b'#') {
                let (x1, y1) = (left + column as u32 * scale, y + pad + row as u32 * scale);
                Area {
                    x1,
                    y1,
                    x2: x1 + scale,
                    y2: y1 + scale,
                }
                .fill(rgb, INK);
            }
        }
        left += glyph[0].len() as u32 * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x1: f32, y1: f32, x2: f32, y2: f32) -> Option<Area> {
        Area::of(
            &Detection {
                x1,
                y1,
                x2,
                y2,
                ..Default::default()
            },
            100,
            50,
        )
    }

    #[test]
    fn boxes_are_cut_or_left_out() {
        assert_eq!(
            at(-5.0, 1.2, 500.0, 9.1),
            Some(Area {
                x1: 0,
                y1: 1,
                x2: 100,
                y2: 10
            })
        );
        assert_eq!(
            at(f32::NEG_INFINITY, 0.0, f32::INFINITY, 9.0).map(|a| a.x2),
            None
        );
        for bad in [(f32::NAN, 5.0), (100.0, 120.0), (9.0, 3.0), (-9.0, -3.0)] {
            assert_eq!(at(bad.0, 0.0, bad.1, 9.0), None, "{bad:?}");
        }
    }

    #[test]
    fn drawing_at_every_edge_stays_inside() {
        for (w, h) in [(1, 1), (3, 200), (200, 3), (64, 48)] {
            let mut rgb = RgbImage::new(w, h);
            for n in 0..20u16 {
                let x = f32::from(n) * 10.0 - 20.0;
                let d = Detection {
                    x1: x,
                    y1: x,
                    x2: x + 30.0,
                    y2: x + 30.0,
                    score: 0.5,
                    class: n,
                    ..Default::default()
                };
                draw(&mut rgb, &d);
            }
        }
    }
}
