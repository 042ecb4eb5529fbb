//! Pictures as people and cameras bring them: one reader of picture files for all who take them, so that a page held before
//! `dir:` and one given to `hanja detect` is the same picture; and camera JPEGs made whole ([`jpeg`]).

#![forbid(unsafe_code)]

pub mod jpeg;
mod still;

pub use still::{Picture, StillError, bytes, decode, read};
