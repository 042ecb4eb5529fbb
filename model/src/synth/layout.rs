//! Where glyphs go: the frame's geometry (which part of the plane is seen, at what angle) and the
//! slots to write in, from one large character to a page of small ones.

use super::geometry::{Homography, Rect};
use rand::{Rng, RngExt};

/// The geometry of one picture.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) width: f32,
    pub(crate) height: f32,
    /// Plane to picture.
    pub(crate) map: Homography,
    /// The sheet's extent in the plane; ink stays within it.
    pub(crate) sheet: Rect,
    /// Whether the picture is like a photograph (angle, light) rather than a scan.
    pub(crate) photographed: bool,
}

/// A place for one glyph, in plane units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) x: f32,
    pub(crate) y: f32,
    /// Longest side of the glyph there.
    pub(crate) size: f32,
    /// Row and column in a table, for the habit of one pupil a row.
    pub(crate) row: usize,
}

/// How the glyphs are arranged, and which lines are printed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrangement {
    /// One cell a glyph; every `block` cells a thick line (0 = none).
    Table {
        cell: (f32, f32),
        origin: (f32, f32),
        block: usize,
    },
    /// Lines of writing on ruled or blank paper.
    Rows {
        pitch: f32,
        advance: f32,
        origin: (f32, f32),
        upright: bool,
    },
    /// Anywhere.
    Scatter,
}

impl Frame {
    /// A frame of `width` x `height` pixels; `on_sheet` when a limited sheet lies in it.
    pub(crate) fn draw(width: f32, height: f32, on_sheet: bool, rng: &mut impl Rng) -> Self {
        let photographed = on_sheet || rng.random_bool(0.55);
        let turn: f32 = match rng.random_range(0..20) {
            _ if !photographed => rng.random_range(-0.035..0.035),
            0 => rng.random_range(-0.6..0.6),
            1..=9 => rng.random_range(-0.26..0.26),
            _ => rng.random_range(-0.1..0.1),
        };
        let tilt = if photographed && rng.random_bool(0.7) {
            0.45 / width
        } else {
            0.0
        };
        let perspective = Homography::perspective(
            rng.random_range(-1.0..=1.0) * tilt,
            rng.random_range(-1.0..=1.0) * tilt,
        );
        let (cx, cy) = (width / 2.0, height / 2.0);
        let map = Homography::translation(cx, cy)
            .after(perspective)
            .after(Homography::rotation(turn))
            .after(Homography::translation(-cx, -cy));
        let mut sheet = Rect {
            left: 0.0,
            top: 0.0,
            right: width,
            bottom: height,
        }
        .grown(width);
        if on_sheet {
            let mut edge = |span: f32| rng.random_range(-0.3..0.3) * span;
            sheet = Rect {
                left: edge(width).max(-width),
                top: edge(height),
                right: width + edge(width),
                bottom: height + edge(height),
            };
        }
        Self {
            width,
            height,
            map,
            sheet,
            photographed,
        }
    }

    /// The part of the plane that can be seen, as a box in the plane.
    pub(crate) fn seen(&self) -> Rect {
        let back = self.map.inverse();
        let (w, h) = (self.width, self.height);
        let corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)].map(|(x, y)| back.apply(x, y));
        let mut seen = Rect {
            left: f32::MAX,
            top: f32::MAX,
            right: f32::MIN,
            bottom: f32::MIN,
        };
        for (x, y) in corners {
            seen.left = seen.left.min(x);
            seen.top = seen.top.min(y);
            seen.right = seen.right.max(x);
            seen.bottom = seen.bottom.max(y);
        }
        // Far corners of a steep view are unbounded; nothing is written there.
        seen.intersection(
            &Rect {
                left: 0.0,
                top: 0.0,
                right: w,
                bottom: h,
            }
            .grown(w * 0.8),
        )
    }
}

impl Arrangement {
    pub(crate) fn draw(frame: &Frame, rng: &mut impl Rng) -> Self {
        let w = frame.width;
        match rng.random_range(0.0..1.0f32) {
            p if p < 0.28 => {
                // Cells across the frame: few large ones up to a page of small ones.
                let across = if rng.random_bool(0.8) {
                    rng.random_range(2.6..7.5)
                } else {
                    rng.random_range(7.5..12.0)
                };
                let cell = w / across;
                let tall = cell * rng.random_range(0.75..1.3f32);
                let origin = (rng.random_range(0.0..cell), rng.random_range(0.0..tall));
                let block = if rng.random_bool(0.4) {
                    rng.random_range(2..5)
                } else {
                    0
                };
                Self::Table {
                    cell: (cell, tall),
                    origin,
                    block,
                }
            }
            p if p < 0.4 => {
                let pitch = w * log_uniform(0.085, 0.28, rng);
                let advance = pitch * rng.random_range(0.9..2.0f32);
                let origin = (rng.random_range(0.0..advance), rng.random_range(0.0..pitch));
                Self::Rows {
                    pitch,
                    advance,
                    origin,
                    upright: rng.random_bool(0.2),
                }
            }
            _ => Self::Scatter,
        }
    }

    /// Slots in writing order; more than will be used.
    pub(crate) fn slots(&self, frame: &Frame, rng: &mut impl Rng) -> Vec<Slot> {
        let area = frame.seen().intersection(&frame.sheet);
        match *self {
            Self::Table { cell, origin, .. } => {
                let fill = rng.random_range(0.42..0.85f32);
                regular(area, cell, origin, fill, 0.07, rng)
            }
            Self::Rows {
                pitch,
                advance,
                origin,
                upright,
            } => {
                let fill = rng.random_range(0.5..0.85f32) * pitch / advance.min(pitch);
                let step = if upright {
                    (pitch, advance)
                } else {
                    (advance, pitch)
                };
                regular(area, step, origin, fill.min(0.9), 0.04, rng)
            }
            Self::Scatter => scatter(frame, area, rng),
        }
    }
}

fn regular(
    area: Rect,
    step: (f32, f32),
    origin: (f32, f32),
    fill: f32,
    loose: f32,
    rng: &mut impl Rng,
) -> Vec<Slot> {
    let (columns, rows) = cells(area, step, origin);
    let mut slots = Vec::new();
    for row in rows {
        let habit = rng.random_range(0.7..1.15f32);
        for column in columns.clone() {
            let size = step.0.min(step.1) * fill * habit * rng.random_range(0.85..1.12f32);
            slots.push(Slot {
                x: origin.0 + (column as f32 + 0.5 + rng.random_range(-loose..loose)) * step.0,
                y: origin.1 + (row as f32 + 0.5 + rng.random_range(-loose..loose)) * step.1,
                size,
                row: (row + 64).unsigned_abs() as usize,
            });
        }
    }
    slots
}

/// Which columns and rows of a grid touch `area`.
pub(crate) fn cells(
    area: Rect,
    step: (f32, f32),
    origin: (f32, f32),
) -> (std::ops::RangeInclusive<i32>, std::ops::RangeInclusive<i32>) {
    let range = |low: f32, high: f32, step: f32, origin: f32| {
        let step = step.max(4.0);
        let first = ((low - origin) / step).floor().clamp(-60.0, 60.0) as i32;
        let last = ((high - origin) / step).floor().clamp(-60.0, 60.0) as i32;
        first..=last
    };
    (
        range(area.left, area.right, step.0, origin.0),
        range(area.top, area.bottom, step.1, origin.1),
    )
}

/// One to fifteen anywhere. A character alone is of any size, every doubling as likely as any other: held before the
/// camera it fills the picture, on a desk it is a twentieth of it.
fn scatter(frame: &Frame, area: Rect, rng: &mut impl Rng) -> Vec<Slot> {
    let count = match rng.random_range(0..20) {
        0..=11 => 1,
        12..=15 => rng.random_range(2..5),
        _ => rng.random_range(5..16),
    };
    let largest = [LARGEST, LARGEST, 0.5, 0.4, 0.28][count.min(4)];
    let side = frame.width.min(frame.height);
    let typical = log_uniform(if count == 1 { 0.05 } else { 0.06 }, largest, rng);
    let mut slots = Vec::new();
    for _ in 0..count * 2 {
        let spread = if count == 1 { 1.05 } else { 1.4 };
        let size = (typical * log_uniform(1.0 / spread, spread, rng)).clamp(0.04, LARGEST) * side;
        // A large one has little room to lie in; without this most would be cut by an edge, and left out.
        let inside = |low: f32, high: f32, rng: &mut _| {
            let rng: &mut _ = rng;
            let (from, to) = (low + 0.45 * size, high - 0.45 * size);
            if from < to {
                uniform(from, to, rng)
            } else {
                (low + high) / 2.0
            }
        };
        let room = if size > 0.3 * side {
            area.intersection(&frame.seen())
        } else {
            area.grown(0.45 * size)
        };
        slots.push(Slot {
            x: inside(room.left, room.right, rng),
            y: inside(room.top, room.bottom, rng),
            size,
            row: 0,
        });
    }
    slots
}

/// Largest character, as a share of the frame's shorter side.
const LARGEST: f32 = 0.97;

fn uniform(low: f32, high: f32, rng: &mut impl Rng) -> f32 {
    low + (high - low) * rng.random_range(0.0..1.0f32)
}

/// Between `low` and `high`, every doubling equally likely.
pub(crate) fn log_uniform(low: f32, high: f32, rng: &mut impl Rng) -> f32 {
    (rng.random_range(0.0..1.0f32) * (high / low).ln()).exp() * low
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    #[test]
    fn slots_are_sound_and_mostly_seen() {
        for seed in 0..200 {
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            let frame = Frame::draw(320.0, 240.0, seed % 3 == 0, &mut rng);
            let slots = Arrangement::draw(&frame, &mut rng).slots(&frame, &mut rng);
            for slot in &slots {
                assert!(slot.size > 3.0 && slot.size < 320.0, "{slot:?}");
                assert!(slot.x.is_finite() && slot.y.is_finite());
            }
            assert!(slots.len() < 4000);
        }
    }

    #[test]
    fn the_seen_part_of_a_straight_frame_is_the_frame() {
        let sheet = Rect {
            left: 0.0,
            top: 0.0,
            right: 10.0,
            bottom: 10.0,
        };
        let map = Homography::translation(5.0, -3.0);
        let frame = Frame {
            width: 100.0,
            height: 80.0,
            map,
            sheet,
            photographed: false,
        };
        let want = Rect {
            left: -5.0,
            top: 3.0,
            right: 95.0,
            bottom: 83.0,
        };
        assert_eq!(frame.seen(), want);
    }

    #[test]
    fn cells_of_a_grid() {
        let area = Rect {
            left: 0.0,
            top: 0.0,
            right: 99.0,
            bottom: 49.0,
        };
        let (columns, rows) = cells(area, (25.0, 25.0), (10.0, 0.0));
        assert_eq!((columns, rows), (-1..=3, 0..=1));
    }
}
