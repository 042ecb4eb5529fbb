//! From the source's own bytes to the model's input tensor in one pass: colour conversion, letterbox, normalisation.
//!
//! Each output row is made from the few source rows that it needs. They are blended vertically as they lie in memory (most
//! of the work, and a plain loop over bytes), then sampled horizontally for each channel, then converted to RGB and written
//! to the three planes, without an intermediate picture. JPEG is decoded first, and only to YCbCr, so that the conversion to
//! RGB is part of the same pass.

mod error;
mod jpeg;
mod letterbox;
mod luma;
mod plan;
mod resample;
mod simd;

pub use error::PreprocessError;
use hanja_cuda::Conversion;
use hanja_record::{FrameRef, PixelFormat, PixelLayout};
pub(crate) use letterbox::{BARS, Letterbox, Target};
pub(crate) use luma::Luma;
use plan::Plan;
pub(crate) use resample::Resampler;
use std::sync::Arc;

/// Fills the input tensor; keeps its buffers and its plan from frame to frame.
#[derive(Debug)]
pub(crate) struct Preprocessor {
    target: Target,
    jpeg: jpeg::Jpeg,
    plan: Option<Plan>,
    /// The plan in the form for a GPU, made when it is first asked for.
    conversion: Option<Arc<Conversion>>,
    lines: [plan::Lines; 2],
    tensor: Vec<f32>,
    /// The brightness of the last picture, if it is kept.
    luma: Option<Luma>,
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
            luma: None,
        }
    }

    /// Keeps the brightness of every picture from the next one on.
    pub(crate) fn keep_luma(&mut self) {
        self.luma.get_or_insert_default();
    }

    /// The brightness of the last picture, if it is kept.
    pub(crate) fn luma(&self) -> Option<&Luma> {
        self.luma.as_ref()
    }

    /// Exchanges the brightness of the last picture, if it is kept, for the caller's.
    pub(crate) fn swap_luma(&mut self, other: &mut Luma) {
        if let Some(luma) = &mut self.luma {
            std::mem::swap(luma, other);
        }
    }

    /// Fills the tensor from `frame`. On an error the tensor is what it was.
    pub(crate) fn run(&mut self, frame: &FrameRef<'_>) -> Result<Letterbox, PreprocessError> {
        let settled = self.settle(frame)?;
        let (plan, tensor) = (settled.plan, settled.tensor);
        if tensor.is_empty() {
            // Only the picture's own rows and columns are written from now on.
            tensor.resize(3 * plan.letterbox.area(), BARS);
        }
        plan.run(settled.bytes, settled.lines, tensor);
        Ok(plan.letterbox)
    }

    /// Prepares a frame for a tensor in the caller's memory. Everything that can fail does so here, before any of it is written.
    pub(crate) fn prepare<'a>(
        &'a mut self,
        frame: &FrameRef<'a>,
    ) -> Result<Filling<'a>, PreprocessError> {
        Ok(Filling(self.settle(frame)?))
    }

    /// What a GPU needs to make the tensor itself: the bytes (a JPEG is decoded here), how to convert them, and where the
    /// picture will lie. The conversion is the same object until the geometry changes.
    pub(crate) fn for_gpu<'a>(
        &'a mut self,
        frame: &FrameRef<'a>,
    ) -> Result<(&'a [u8], Arc<Conversion>, Letterbox), PreprocessError> {
        let settled = self.settle(frame)?;
        let conversion = match settled.conversion {
            Some(conversion) => Arc::clone(conversion),
            none => {
                let new = settled.plan.conversion();
                let new = new.map_err(|e| PreprocessError::Gpu(e.to_string()))?;
                Arc::clone(none.insert(Arc::new(new)))
            }
        };
        Ok((settled.bytes, conversion, settled.plan.letterbox))
    }

    /// Makes a plan for this frame, unless the present one fits.
    fn settle<'a>(&'a mut self, frame: &FrameRef<'a>) -> Result<Settled<'a>, PreprocessError> {
        let (bytes, layout) = bytes_of(&mut self.jpeg, frame)?;
        if self.plan.as_ref().is_none_or(|plan| plan.layout != layout) {
            self.plan = None;
            self.conversion = None;
            self.tensor.clear();
        }
        if let Some(luma) = &mut self.luma {
            luma.fill(bytes, &layout);
        }
        let target = self.target;
        Ok(Settled {
            bytes,
            plan: self.plan.get_or_insert_with(|| Plan::new(layout, target)),
            conversion: &mut self.conversion,
            lines: &mut self.lines,
            tensor: &mut self.tensor,
        })
    }

    /// The tensor, planar RGB, `3 * height * width`.
    pub(crate) fn tensor(&self) -> &[f32] {
        &self.tensor
    }
}

/// A frame's samples, the plan for them, and the buffers that belong to the plan.
struct Settled<'a> {
    bytes: &'a [u8],
    plan: &'a Plan,
    conversion: &'a mut Option<Arc<Conversion>>,
    lines: &'a mut [plan::Lines; 2],
    tensor: &'a mut Vec<f32>,
}

/// A frame that is ready to become a tensor.
pub(crate) struct Filling<'a>(Settled<'a>);

impl Filling<'_> {
    /// Where the picture will lie.
    pub(crate) fn letterbox(&self) -> Letterbox {
        self.0.plan.letterbox
    }

    /// Writes all `3 * height * width` values of `tensor`, bars included.
    pub(crate) fn fill(self, tensor: &mut [f32]) {
        let Settled {
            bytes, plan, lines, ..
        } = self.0;
        plan.letterbox.fill_bars(tensor);
        plan.run(bytes, lines, tensor);
    }
}

/// The samples and how they lie: a raw frame's own, or those of the decoded JPEG.
fn bytes_of<'a>(
    jpeg: &'a mut jpeg::Jpeg,
    frame: &FrameRef<'a>,
) -> Result<(&'a [u8], PixelLayout), PreprocessError> {
    if frame.format == PixelFormat::Mjpg {
        jpeg.decode(frame.bytes)
    } else {
        Ok((frame.bytes, frame.layout()?))
    }
}

#[cfg(test)]
mod tests;
