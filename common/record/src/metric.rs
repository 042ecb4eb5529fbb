//! What a stage measures, and one second of it.

use crate::StageName;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which latency a [`Metric`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum MetricId {
    /// Unused entry.
    None = 0,
    /// Sensor to dequeued.
    Dequeue = 1,
    /// Dequeued to published.
    Publish = 2,
    /// Published to leased by infer.
    Queue = 3,
    /// Decode, colour, letterbox.
    Preprocess = 4,
    /// Input tensor ready to handed to the backend; on a GPU both are one moment.
    Submit = 5,
    /// The backend.
    Inference = 6,
    /// Box decoding (on a GPU part of the backend's work) and suppression.
    Postprocess = 7,
    /// Postprocessed to written to the detections ring.
    Announce = 8,
    /// Visible to held by render.
    Deliver = 9,
    /// Held by render to first byte out.
    Present = 10,
    /// Sensor to detections visible.
    EndToEnd = 11,
    /// Sensor to first byte of the picture out: everything. Since 1.2.
    Show = 12,
}

impl MetricId {
    /// All that are measured, in the order in which a frame passes.
    pub const ALL: [Self; 12] = [
        Self::Dequeue,
        Self::Publish,
        Self::Queue,
        Self::Preprocess,
        Self::Submit,
        Self::Inference,
        Self::Postprocess,
        Self::Announce,
        Self::Deliver,
        Self::Present,
        Self::EndToEnd,
        Self::Show,
    ];

    /// The steps of a frame's way from the sensor to the viewer, without their sums.
    pub const STEPS: [Self; 10] = *Self::ALL.first_chunk().expect("the sums are the last two");

    /// Of them, those of capture.
    pub const CAPTURE: &'static [Self] = Self::STEPS.split_at(2).0;
    /// Those of infer.
    pub const INFER: &'static [Self] = Self::STEPS.split_at(2).1.split_at(6).0;
    /// Those of render.
    pub const RENDER: &'static [Self] = Self::STEPS.split_at(8).1;

    /// The steps of a stage.
    #[must_use]
    pub fn steps_of(stage: StageName) -> &'static [Self] {
        match stage {
            StageName::Capture => Self::CAPTURE,
            StageName::Infer => Self::INFER,
            StageName::Render => Self::RENDER,
        }
    }

    /// Where it begins and ends: places in [`Times::stamps`](crate::Times::stamps). Steps are numbered by the stamp that ends them.
    #[must_use]
    pub fn ends(self) -> (usize, usize) {
        match self {
            Self::None => (0, 0),
            Self::EndToEnd => Self::whole(Self::STEPS.split_at(8).0),
            Self::Show => Self::whole(&Self::STEPS),
            step => (step as usize - 1, step as usize),
        }
    }

    /// Where steps that follow upon each other begin and end together.
    #[must_use]
    pub fn whole(steps: &[Self]) -> (usize, usize) {
        let end = |step: Option<&Self>| step.map_or((0, 0), |step| step.ends());
        (end(steps.first()).0, end(steps.last()).1)
    }

    /// From the number in a record.
    #[must_use]
    pub fn from_u16(n: u16) -> Self {
        Self::ALL
            .into_iter()
            .find(|m| *m as u16 == n)
            .unwrap_or(Self::None)
    }

    /// The name used in logs, summaries, metrics and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dequeue => "dequeue",
            Self::Publish => "publish",
            Self::Queue => "queue",
            Self::Preprocess => "preprocess",
            Self::Submit => "submit",
            Self::Inference => "inference",
            Self::Postprocess => "postprocess",
            Self::Announce => "announce",
            Self::Deliver => "deliver",
            Self::Present => "present",
            Self::EndToEnd => "end_to_end",
            Self::Show => "show",
        }
    }
}

/// Latency over the last second, microseconds.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Metric {
    /// See [`MetricId`].
    pub id: u16,
    /// Zero.
    pub reserved: u16,
    /// Samples.
    pub count: u32,
    /// Median.
    pub p50_us: u32,
    /// 90th percentile.
    pub p90_us: u32,
    /// 99th percentile.
    pub p99_us: u32,
    /// Largest.
    pub max_us: u32,
}
