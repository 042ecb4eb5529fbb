//! Who writes and with what: ink colour, instrument and the source of the shapes. One hand writes
//! a whole picture, or a row of it, as in life.

use super::canvas::Colour;
use super::geometry::Homography;
use super::glyph::{Glyph, Inking};
use super::ground::Material;
use super::layout::{Slot, log_uniform};
use super::library::Library;
use hanja_handwriting::{Pen, Style, numeral};
use rand::{Rng, RngExt};

/// A writer with a pen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hand {
    pub(crate) ink: Colour,
    pub(crate) opacity: f32,
    /// Pen for a glyph of one unit; its width is a share of the glyph's size.
    pen: Pen,
    /// Threshold for scanned ink, and how often scanned ink is shown as it is.
    threshold: f32,
    as_scanned: f64,
    slant: f32,
    aspect: f32,
}

impl Hand {
    pub(crate) fn draw(material: Material, rng: &mut impl Rng) -> Self {
        let kind = rng.random_range(0.0..1.0f32);
        let (pen, opacity) = match material {
            Material::BlackBoard => (chalk(rng), rng.random_range(0.6..1.0)),
            Material::WhiteBoard => (marker(rng), rng.random_range(0.7..1.0)),
            _ if kind < 0.5 => (ball(rng), rng.random_range(0.65..1.0)),
            _ if kind < 0.72 => (pencil(rng), rng.random_range(0.3..0.95)),
            _ if kind < 0.9 => (marker(rng), rng.random_range(0.75..1.0)),
            _ => (brush(rng), rng.random_range(0.85..1.0)),
        };
        let ink = match material {
            Material::BlackBoard => chalk_colour(rng),
            Material::Photo if rng.random_bool(0.4) => chalk_colour(rng),
            _ if pen.roughness > 0.15 => [rng.random_range(0.05..0.45); 3],
            _ => ink_colour(rng),
        };
        Self {
            ink,
            opacity,
            pen,
            threshold: rng.random_range(0.4..0.68),
            as_scanned: if pen.roughness > 0.15 { 0.2 } else { 0.45 },
            slant: rng.random_range(-0.16..0.16),
            aspect: if rng.random_bool(0.2) {
                log_uniform(0.6, 1.7, rng)
            } else {
                rng.random_range(0.82..1.22)
            },
        }
    }

    /// The map from a glyph's frame to the plane at `slot`.
    pub(crate) fn at(&self, slot: &Slot, rng: &mut impl Rng) -> Homography {
        let turn = rng.random_range(-0.1..0.1f32) * rng.random_range(0.0..1.0f32);
        let aspect = self.aspect * rng.random_range(0.94..1.06f32);
        let (sx, sy) = if aspect > 1.0 {
            (1.0, 1.0 / aspect)
        } else {
            (aspect, 1.0)
        };
        Homography::translation(slot.x, slot.y)
            .after(Homography::rotation(turn))
            .after(Homography::scale_slant(
                slot.size * sx,
                slot.size * sy,
                self.slant,
            ))
    }

    /// How to ink `glyph`; `pen_width` is this hand's line in picture pixels.
    pub(crate) fn inking(
        &self,
        glyph: &Glyph,
        class: Option<usize>,
        pen_width: f32,
        size: f32,
        rng: &mut impl Rng,
    ) -> Inking {
        // A scan of 40 pixels blown up to 200 shows its pixels: write it again instead.
        let scan = size < 150.0 && rng.random_bool(self.as_scanned);
        if glyph.has_bitmap() && (scan || !glyph.has_path()) {
            return Inking::AsScanned(self.threshold);
        }
        // However thick the pen, the gaps of a flat 二 or a small 四 stay open.
        let room = glyph.short_side() * size;
        let widest = if room > 0.2 * size {
            let share = match class {
                Some(1 | 7 | 9) => 0.3,
                Some(2 | 6) => 0.22,
                _ => 0.16,
            };
            (share * room).max(0.9)
        } else {
            f32::MAX
        };
        let width = (pen_width * rng.random_range(0.9..1.1f32)).clamp(0.9, widest);
        // Paths from thinning are cut at every crossing: tapering there would show.
        let taper = if glyph.has_bitmap() {
            0.0
        } else {
            self.pen.taper
        };
        Inking::Written(Pen {
            width,
            taper,
            ..self.pen
        })
    }

    /// The width of this hand's line, in picture pixels, for glyphs of `size` pixels.
    pub(crate) fn line(&self, size: f32) -> f32 {
        (self.pen.width * size).max(0.9)
    }
}

fn ball(rng: &mut impl Rng) -> Pen {
    Pen {
        width: log_uniform(0.014, 0.09, rng),
        taper: rng.random_range(0.0..0.5),
        contrast: rng.random_range(0.0..0.8),
        roughness: 0.0,
        breaks: if rng.random_bool(0.15) {
            rng.random_range(0.05..0.3)
        } else {
            0.0
        },
    }
}

fn pencil(rng: &mut impl Rng) -> Pen {
    Pen {
        width: log_uniform(0.016, 0.1, rng),
        taper: rng.random_range(0.0..0.5),
        contrast: rng.random_range(0.2..0.9),
        roughness: rng.random_range(0.2..0.7),
        breaks: if rng.random_bool(0.2) {
            rng.random_range(0.05..0.25)
        } else {
            0.0
        },
    }
}

fn marker(rng: &mut impl Rng) -> Pen {
    Pen {
        width: log_uniform(0.05, 0.19, rng),
        taper: rng.random_range(0.0..0.3),
        contrast: rng.random_range(0.0..0.4),
        // A felt tip runs dry towards the edges of its line.
        roughness: if rng.random_bool(0.3) {
            rng.random_range(0.0..0.35)
        } else {
            0.0
        },
        breaks: 0.0,
    }
}

fn brush(rng: &mut impl Rng) -> Pen {
    Pen {
        width: rng.random_range(0.08..0.16),
        taper: rng.random_range(0.3..1.0),
        contrast: rng.random_range(0.6..1.0),
        roughness: if rng.random_bool(0.3) {
            rng.random_range(0.0..0.3)
        } else {
            0.0
        },
        breaks: 0.0,
    }
}

fn chalk(rng: &mut impl Rng) -> Pen {
    Pen {
        width: rng.random_range(0.06..0.13),
        taper: 0.1,
        contrast: rng.random_range(0.0..0.5),
        roughness: rng.random_range(0.2..0.8),
        breaks: if rng.random_bool(0.3) {
            rng.random_range(0.05..0.3)
        } else {
            0.0
        },
    }
}

fn chalk_colour(rng: &mut impl Rng) -> Colour {
    match rng.random_range(0..6) {
        0 => [0.95, 0.9, 0.5],
        1 => [0.95, 0.6, 0.65],
        2 => [0.6, 0.8, 0.95],
        _ => [rng.random_range(0.8..1.0); 3],
    }
}

fn ink_colour(rng: &mut impl Rng) -> Colour {
    let mut near = |c: Colour| c.map(|v| (v + rng.random_range(-0.1..0.1f32)).clamp(0.0, 1.0));
    let base = [
        near([0.08, 0.08, 0.1]),
        near([0.1, 0.15, 0.6]),
        near([0.1, 0.3, 0.75]),
        near([0.85, 0.12, 0.15]),
        near([0.9, 0.35, 0.45]),
        near([0.1, 0.5, 0.25]),
        near([0.45, 0.15, 0.55]),
        near([0.9, 0.5, 0.1]),
    ];
    match rng.random_range(0..20) {
        0..=7 => base[0],
        8..=12 => base[1],
        13 | 14 => base[2],
        15 | 16 => base[3],
        17 => base[4],
        18 => base[5],
        _ => base[rng.random_range(6..8)],
    }
}

/// A glyph of numeral `class`: scanned handwriting most often, then the handwriting model, fonts, strokes.
/// An empty source passes its share on to the handwriting model, which is always there.
pub(crate) fn numeral_glyph(library: &Library, class: usize, rng: &mut impl Rng) -> Option<Glyph> {
    let from = |list: &[Glyph], rng: &mut dyn FnMut(usize) -> usize| -> Option<Glyph> {
        (!list.is_empty()).then(|| list[rng(list.len())].clone())
    };
    let choice = rng.random_range(0.0..1.0f32);
    let mut pick = |n: usize| rng.random_range(0..n);
    let found = match choice {
        c if c < 0.5 => from(&library.written[class], &mut pick),
        c if c < 0.61 => from(&library.fonts[class], &mut pick),
        c if c < 0.71 => from(&library.strokes[class], &mut pick),
        _ => None,
    };
    found.or_else(|| {
        let style = match rng.random_range(0..10) {
            0..=4 => Style::Regular,
            5..=7 => Style::SemiCursive,
            _ => Style::Unusual,
        };
        Glyph::from_strokes(&numeral(class, style, rng))
    })
}

/// What other characters a picture has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// Latin digits only, as in a puzzle.
    Digits,
    /// Anything.
    Mixed,
    /// Hanja and other shapes that share strokes with the numerals.
    LookAlikes,
}

/// A character that is no numeral; `None` when the library has none.
pub(crate) fn other_glyph<'a>(
    library: &'a Library,
    kind: Others,
    rng: &mut impl Rng,
) -> Option<&'a Glyph> {
    let lists: Vec<&Vec<Glyph>> = match kind {
        Others::Digits => vec![&library.digits],
        Others::LookAlikes => vec![&library.other_fonts, &library.other_strokes],
        Others::Mixed => {
            let mut all: Vec<&Vec<Glyph>> = library.others.iter().collect();
            all.extend([
                &library.other_fonts,
                &library.other_fonts,
                &library.other_strokes,
            ]);
            all
        }
    };
    let filled: Vec<&Vec<Glyph>> = lists.into_iter().filter(|l| !l.is_empty()).collect();
    let list = filled.get(rng.random_range(0..filled.len().max(1)))?;
    list.get(rng.random_range(0..list.len()))
}
