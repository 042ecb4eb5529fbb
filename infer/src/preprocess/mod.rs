//! From the source's own bytes to the model's input tensor in one pass: colour conversion, letterbox, normalisation.
//!
//! Each output row is made from the few source rows it needs: they are blended vertically as they lie in memory (the
//! bulk of the work, and a plain loop over bytes), then sampled horizontally per channel, then converted to RGB and
//! written to the three planes. No intermediate picture exists. JPEG is decoded first, to YCbCr, because its colour
//! conversion is then part of the same pass.

mod jpeg;
mod plan;
mod simd;
mod taps;

use hanja_common::record::{FrameRef, PixelFormat};
use hanja_cuda::Conversion;
pub(crate) use plan::Letterbox;
use plan::Plan;
use std::sync::Arc;

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PreprocessError {
    /// A fourcc that no [`PixelFormat`] has.
    #[error("frames of format {:?} cannot be read; choose another with format= in the source", String::from_utf8_lossy(&.0.to_le_bytes()))]
    Format(u32),
    /// Numbers that no picture has.
    #[error(
        "a {format} frame of {width}x{height} pixels with {stride} bytes per line is impossible or larger than 100 megapixels"
    )]
    Geometry {
        /// Format.
        format: PixelFormat,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Bytes.
        stride: u32,
    },
    /// Fewer bytes than the numbers promise.
    #[error(
        "a {format} frame of {width}x{height} pixels needs {needed} bytes and has {got}: cut short"
    )]
    Short {
        /// Format.
        format: PixelFormat,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Bytes.
        needed: u64,
        /// Bytes.
        got: u64,
    },
    /// A damaged JPEG.
    #[error("the JPEG cannot be decoded: {0}")]
    Jpeg(String),
    /// Numbers that the GPU's path is not made for.
    #[error("the GPU cannot convert this picture: {0}")]
    Gpu(String),
}

/// Largest picture, 100 megapixels: a flatbed scan of A3 at 600 dpi has 70.
pub(crate) const MAX_PIXELS: u64 = 100_000_000;

/// Target of the letterbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Long side in pixels; both sides become multiples of the stride.
    LongSide { size: u32, stride: u32 },
    /// Exactly this.
    Fixed { width: u32, height: u32 },
}

/// Fills the input tensor; keeps its buffers and its plan from frame to frame.
#[derive(Debug)]
pub(crate) struct Preprocessor {
    target: Target,
    jpeg: jpeg::Jpeg,
    plan: Option<Plan>,
    /// That plan for a GPU, once asked for.
    conversion: Option<Arc<Conversion>>,
    lines: [plan::Lines; 2],
    tensor: Vec<f32>,
}

impl Preprocessor {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            jpeg: jpeg::Jpeg::default(),
            plan: None,
            conversion: None,
            lines: Default::default(),
            tensor: Vec::new(),
        }
    }

    /// Fills the tensor from `frame`. On an error the tensor is what it was.
    pub(crate) fn run(&mut self, frame: &FrameRef<'_>) -> Result<Letterbox, PreprocessError> {
        let (bytes, layout) = bytes_of(&mut self.jpeg, frame)?;
        let plan = same_or_new(&mut self.plan, layout, self.target, || {
            self.conversion = None;
            self.tensor.clear();
        });
        if self.tensor.is_empty() {
            // Grey bars, as in training. Only the picture's own rows and columns are written from now on.
            self.tensor.resize(3 * plan.letterbox.area(), 114.0 / 255.0);
        }
        plan.run(bytes, &mut self.lines, &mut self.tensor);
        Ok(plan.letterbox)
    }

    /// What a GPU needs to make the tensor itself: the bytes (a JPEG's are decoded here), what to do with them, and
    /// where the picture will be. The conversion is the same object until the geometry changes.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the TensorRT backend"))]
    pub(crate) fn for_gpu<'a>(
        &'a mut self,
        frame: &FrameRef<'a>,
    ) -> Result<(&'a [u8], Arc<Conversion>, Letterbox), PreprocessError> {
        let (bytes, layout) = bytes_of(&mut self.jpeg, frame)?;
        let plan = same_or_new(&mut self.plan, layout, self.target, || {
            self.conversion = None;
            self.tensor.clear();
        });
        let conversion = match &self.conversion {
            Some(conversion) => Arc::clone(conversion),
            None => {
                let new = plan
                    .conversion()
                    .map_err(|e| PreprocessError::Gpu(e.to_string()))?;
                Arc::clone(self.conversion.insert(Arc::new(new)))
            }
        };
        Ok((bytes, conversion, plan.letterbox))
    }

    /// The tensor, planar RGB, `3 * height * width`.
    pub(crate) fn tensor(&self) -> &[f32] {
        &self.tensor
    }
}

/// The samples and how they lie: a raw frame's own, or those of the decoded JPEG.
fn bytes_of<'a>(
    jpeg: &'a mut jpeg::Jpeg,
    frame: &FrameRef<'a>,
) -> Result<(&'a [u8], plan::Layout), PreprocessError> {
    if frame.format == PixelFormat::Mjpg {
        jpeg.decode(frame.bytes)
    } else {
        Ok((frame.bytes, plan::Layout::of_raw(frame)?))
    }
}

/// The plan for this layout; calls `stale` before it makes another one.
fn same_or_new(
    plan: &mut Option<Plan>,
    layout: plan::Layout,
    target: Target,
    stale: impl FnOnce(),
) -> &Plan {
    if plan.as_ref().is_none_or(|plan| plan.layout != layout) {
        stale();
        *plan = None;
    }
    plan.get_or_insert_with(|| Plan::new(layout, target))
}

#[cfg(test)]
mod tests;
