//! Handwriting of the ten hanja numerals, drawn from a model of how hands and pens write.
//!
//! Two programs need handwriting without a camera: capture's `synth:` source, which draws moving
//! numerals over paper live, and `hanja-model synth`, which makes training data. Both use this
//! crate, so that what the model was trained on and what the demonstration shows are one thing.
//!
//! The way from a class to pixels:
//!
//! 1. [`numeral()`] writes class 0..=9 (一..十) as [`Stroke`]s in the unit box, a new hand each time;
//! 2. [`fit`] or any mapping of the nodes brings the strokes to pixel coordinates;
//! 3. [`rasterize`] inks them with a [`Pen`] into a [`Mask`] of coverage 0..=255;
//! 4. [`Mask::ink_bounds`] gives the box of the ink itself, which is what a label is;
//! 5. [`Paper`] is a ground to lay the ink on.
//!
//! Everything is deterministic: the same random generator state gives the same bytes.
//!
//! ```
//! use hanja_handwriting::{Pen, Style, fit, numeral, rasterize};
//! use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};
//!
//! let mut rng = Pcg64Mcg::seed_from_u64(1);
//! let strokes = fit(&numeral(9, Style::Regular, &mut rng), 4.0, 4.0, 56.0);
//! let mask = rasterize(&strokes, &Pen::new(3.0), 64, 64, &mut rng);
//! assert!(mask.ink_bounds(128).is_some());
//! ```
#![forbid(unsafe_code)]

mod noise;
mod numeral;
mod paper;
mod raster;
mod skeleton;
mod stroke;

pub use noise::{hash01, value_noise};
pub use numeral::{CLASSES, LABELS, Style, numeral};
pub use paper::{Paper, Ruling};
pub use raster::{Bounds, Mask, Pen, rasterize};
pub use stroke::{Node, Stroke, bounds, fit, smooth_polyline};
