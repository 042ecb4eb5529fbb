//! The newest frame and the newest detection record.

use super::SECOND;
use hanja_record::{Detection, DetectionRecord, FrameFlags, FrameMeta};

/// The frame rate is measured over this at least,
const RATE_SPAN: u64 = SECOND / 2;
/// and over this at most, for sources change.
const RATE_AGAIN: u64 = 5 * SECOND;

/// The newest frame.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) meta: FrameMeta,
    /// Since when frames are flagged as having no signal.
    pub(crate) no_signal_since: Option<u64>,
    /// Milliseconds between frames by the source's clock and numbers.
    pub(crate) interval_ms: Option<f64>,
    /// Number and time of the frame that the rate is measured from.
    mark: (u64, u64),
}

impl Picture {
    /// This frame, after that one.
    pub(crate) fn after(before: Option<Self>, meta: &FrameMeta, now: u64) -> Self {
        let here = (meta.driver_seq, meta.t_sensor);
        let dark = meta.has(FrameFlags::NO_SIGNAL);
        let mut new = Self {
            meta: *meta,
            no_signal_since: dark.then_some(now),
            interval_ms: None,
            mark: here,
        };
        let Some(before) = before else {
            return new;
        };
        let was_dark = before.no_signal_since.is_some();
        if dark && was_dark {
            new.no_signal_since = before.no_signal_since;
        }
        // Grey frames come at a pace of their own.
        if before.meta.generation != meta.generation || dark || was_dark {
            return new;
        }
        (new.mark, new.interval_ms) = (before.mark, before.interval_ms);
        let frames = here.0.saturating_sub(new.mark.0);
        let ns = here.1.saturating_sub(new.mark.1);
        if frames > 0 && ns >= RATE_SPAN {
            new.interval_ms = Some(ns as f64 / 1e6 / frames as f64);
        }
        if ns >= RATE_AGAIN || here.0 < new.mark.0 || here.1 < new.mark.1 {
            new.mark = here;
        }
        new
    }
}

/// The newest detection record.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) record: DetectionRecord,
}

impl Found {
    /// Best first; boxes that are no boxes are left out.
    pub(crate) fn new(mut record: DetectionRecord) -> Self {
        let real = |d: &Detection| {
            let numbers = [d.x1, d.y1, d.x2, d.y2, d.score];
            numbers.iter().all(|v| v.is_finite()) && d.x1 <= d.x2 && d.y1 <= d.y2
        };
        record.detections.retain(real);
        record
            .detections
            .sort_by(|a, b| b.score.total_cmp(&a.score));
        Self { record }
    }
}
