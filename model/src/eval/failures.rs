//! The worst mistakes of an evaluation, as a list and as one picture of crops: to be looked at
//! before the data or the network are changed.

use super::EvalError;
use super::boxes::{Frame, PixelBox};
use super::operating::matched;
use hanja_handwriting::{LABELS, Pen, Style, fit, numeral, rasterize};
use image::{Rgb, RgbImage, imageops};
use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};
use std::path::Path;

/// One mistake at the operating threshold, with IoU .50.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// File name of the picture.
    pub picture: String,
    /// A label that was not found, rather than a detection that is wrong.
    pub missed: bool,
    /// Class of the label or of the detection.
    pub class: usize,
    /// Score of the wrong detection; for a missed label, the best score below the threshold of a
    /// detection of its class in its place, 0 without any.
    pub score: f64,
    /// Box of the label or of the detection.
    pub area: PixelBox,
}

impl Failure {
    /// How far the model was from being right, 0..=1.
    fn badness(&self) -> f64 {
        if self.missed {
            1.0 - self.score
        } else {
            self.score
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if self.missed { "missed" } else { "wrong" };
        let PixelBox { x1, y1, x2, y2 } = self.area;
        write!(
            f,
            "{what} {} {:.2} {} [{x1:.0}, {y1:.0}, {x2:.0}, {y2:.0}]",
            LABELS[self.class], self.score, self.picture
        )
    }
}

/// The `most` worst mistakes: what was invented with the highest scores and what was missed by the
/// widest margins, in turn, so that one kind does not hide the other.
#[must_use]
pub fn failures(frames: &[Frame], threshold: f64, most: usize) -> Vec<Failure> {
    let all = frames.iter().flat_map(|f| of_frame(f, threshold));
    let (mut missed, mut wrong): (Vec<Failure>, Vec<Failure>) = all.partition(|f| f.missed);
    for kind in [&mut missed, &mut wrong] {
        kind.sort_by(|a, b| b.badness().total_cmp(&a.badness()));
    }
    let (mut missed, mut wrong) = (missed.into_iter(), wrong.into_iter());
    let pairs = std::iter::from_fn(|| {
        let pair: Vec<Failure> = missed.next().into_iter().chain(wrong.next()).collect();
        (!pair.is_empty()).then_some(pair)
    });
    pairs.flatten().take(most).collect()
}

fn of_frame(frame: &Frame, threshold: f64) -> Vec<Failure> {
    let (label_found, wrong) = matched(frame, threshold);
    let failure = |missed, class, score, area| Failure {
        picture: frame.name.clone(),
        missed,
        class,
        score,
        area,
    };
    let missed = frame.labels.iter().zip(label_found).filter(|(_, f)| !f);
    let missed = missed.map(|(label, _)| {
        let below = frame.detections.iter().filter(|d| {
            d.class == label.class && d.score < threshold && d.area.iou(&label.area) >= 0.5
        });
        let best = below.map(|d| d.score).fold(0.0, f64::max);
        failure(true, label.class, best, label.area)
    });
    let wrong = wrong.into_iter().map(|i| {
        let d = &frame.detections[i];
        failure(false, d.class, d.score, d.area)
    });
    missed.chain(wrong).collect()
}

/// Side of one crop of the sheet, in pixels.
const TILE: u32 = 160;
const COLUMNS: u32 = 5;
const WRONG: Rgb<u8> = Rgb([220, 30, 30]);
const MISSED: Rgb<u8> = Rgb([30, 80, 230]);

/// Crops of the failures, in order, in rows of five: a wrong detection in red, a missed label in
/// blue, the numeral in the corner. `data` is the data set's folder.
///
/// # Errors
/// When a picture cannot be read.
pub fn sheet(failures: &[Failure], data: &Path) -> Result<RgbImage, EvalError> {
    let rows = (failures.len() as u32).div_ceil(COLUMNS).max(1);
    let mut sheet = RgbImage::from_pixel(COLUMNS * TILE, rows * TILE, Rgb([255; 3]));
    for (i, failure) in (0..).zip(failures) {
        let path = data.join("images").join(&failure.picture);
        let picture = image::open(&path).map_err(|e| EvalError::Picture {
            path,
            reason: e.to_string(),
        })?;
        let tile = tile(&picture.into_rgb8(), failure);
        let (x, y) = (i % COLUMNS * TILE, i / COLUMNS * TILE);
        imageops::replace(&mut sheet, &tile, i64::from(x), i64::from(y));
    }
    Ok(sheet)
}

/// The box with half its size of surroundings, framed, and the numeral.
fn tile(picture: &RgbImage, failure: &Failure) -> RgbImage {
    let area = &failure.area;
    let side = (area.longer_side() * 2.0 + 12.0).ceil().max(1.0);
    let left = ((area.x1 + area.x2 - side) / 2.0).floor();
    let top = ((area.y1 + area.y2 - side) / 2.0).floor();
    // What lies outside the picture stays grey.
    let mut crop = RgbImage::from_pixel(side as u32, side as u32, Rgb([160; 3]));
    imageops::replace(&mut crop, picture, -left as i64, -top as i64);
    // A pixel is left free on the right and below, between the tiles.
    let inner = TILE - 1;
    let mut tile = imageops::resize(&crop, inner, inner, imageops::FilterType::Triangle);
    let scale = f64::from(inner) / side;
    let at = |v: f64, from: f64| {
        ((v - from) * scale)
            .round()
            .clamp(0.0, f64::from(inner - 1))
    };
    let (x1, x2) = (at(area.x1, left) as u32, at(area.x2, left) as u32);
    let (y1, y2) = (at(area.y1, top) as u32, at(area.y2, top) as u32);
    let colour = if failure.missed { MISSED } else { WRONG };
    for x in x1..=x2 {
        tile.put_pixel(x, y1, colour);
        tile.put_pixel(x, y2, colour);
    }
    for y in y1..=y2 {
        tile.put_pixel(x1, y, colour);
        tile.put_pixel(x2, y, colour);
    }
    caption(&mut tile, failure.class, colour);
    tile
}

/// Writes the numeral into the upper left corner, on white.
fn caption(tile: &mut RgbImage, class: usize, colour: Rgb<u8>) {
    const SIDE: usize = 26;
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let strokes = fit(
        &numeral(class, Style::Regular, &mut rng),
        4.0,
        4.0,
        SIDE as f32 - 8.0,
    );
    let ink = rasterize(&strokes, &Pen::new(2.2), SIDE, SIDE, &mut rng);
    for (i, cover) in (0..).zip(ink.data()) {
        let mix = |c: u8| (255 - (255 - u32::from(c)) * u32::from(*cover) / 255) as u8;
        let pixel = Rgb(colour.0.map(mix));
        tile.put_pixel(i % SIDE as u32, i / SIDE as u32, pixel);
    }
}

#[cfg(test)]
mod tests {
    use super::super::matching::tests::{frame, square};
    use super::*;

    #[test]
    fn the_surest_inventions_and_the_widest_misses_come_first() {
        let here = square(10.0, 10.0, 20.0);
        let frames = [frame(
            &[
                (2, here),
                (4, square(50.0, 50.0, 30.0)),
                (5, square(5.0, 60.0, 9.0)),
            ],
            &[
                (1, 0.7, here),
                (2, 0.35, here),
                (4, 0.9, square(50.0, 50.0, 30.0)),
                (9, 0.3, square(80.0, 0.0, 10.0)),
            ],
        )];
        let found = failures(&frames, 0.4, 10);
        let told: Vec<_> = found.iter().map(|f| (f.missed, f.class, f.score)).collect();
        assert_eq!(told, [(true, 5, 0.0), (false, 1, 0.7), (true, 2, 0.35)]);
        let two = failures(&frames, 0.25, 2);
        let told: Vec<_> = two.iter().map(|f| (f.missed, f.class)).collect();
        assert_eq!(told, [(true, 5), (false, 1)]);
        assert_eq!(failures(&frames, 0.25, 9).len(), 3);
    }

    #[test]
    fn a_tile_shows_the_box_wherever_it_lies() {
        let picture = RgbImage::from_pixel(64, 48, Rgb([255; 3]));
        for (x, y, side) in [
            (20.0, 10.0, 12.0),
            (0.0, 0.0, 4.0),
            (60.0, 44.0, 9.0),
            (-5.0, -5.0, 80.0),
        ] {
            let failure = Failure {
                picture: String::new(),
                missed: false,
                class: 3,
                score: 0.5,
                area: square(x, y, side),
            };
            let tile = tile(&picture, &failure);
            assert_eq!(tile.dimensions(), (TILE - 1, TILE - 1));
            let red = tile.pixels().filter(|p| **p == WRONG).count();
            assert!(red > 4 * 20, "{red} red pixels at {x}, {y}");
        }
    }
}
