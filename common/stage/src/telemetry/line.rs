//! The line that a stage logs once a second, with its figures as fields of the journal. `docs/logs.md` explains them.

use super::FPS_TARGET;
use hanja_record::{MetricId, StageStats};

/// One event: the figures that all stages have, then the stage's own.
macro_rules! figures {
    ($stats:expr, $words:expr, $($own:tt)*) => {
        tracing::info!(
            target: FPS_TARGET,
            {
                hanja.fps = $stats.fps(),
                hanja.frames_total = $stats.frames_total,
                hanja.readers = $stats.readers,
                hanja.rss_kib = $stats.rss_kib,
                hanja.cpu_us = $stats.cpu_us,
                $($own)*
            },
            "{}", $words
        )
    };
}

pub(super) fn log(stats: &StageStats, words: &str) {
    // Absent where there was none in this second: the field is left out then.
    let p50 = |id| stats.metric(id).map(|m| m.p50_us);
    let p99 = |id| stats.metric(id).map(|m| m.p99_us);
    match stats.stage {
        1 => figures!(
            stats,
            words,
            hanja.dequeue_p50_us = p50(MetricId::Dequeue),
            hanja.dequeue_p99_us = p99(MetricId::Dequeue),
            hanja.publish_p50_us = p50(MetricId::Publish),
            hanja.publish_p99_us = p99(MetricId::Publish),
            hanja.lost_total = stats.lost_total,
            hanja.dropped_total = stats.dropped_total,
        ),
        2 => figures!(
            stats,
            words,
            hanja.queue_p50_us = p50(MetricId::Queue),
            hanja.queue_p99_us = p99(MetricId::Queue),
            hanja.preprocess_p50_us = p50(MetricId::Preprocess),
            hanja.preprocess_p99_us = p99(MetricId::Preprocess),
            hanja.submit_p50_us = p50(MetricId::Submit),
            hanja.submit_p99_us = p99(MetricId::Submit),
            hanja.inference_p50_us = p50(MetricId::Inference),
            hanja.inference_p99_us = p99(MetricId::Inference),
            hanja.postprocess_p50_us = p50(MetricId::Postprocess),
            hanja.postprocess_p99_us = p99(MetricId::Postprocess),
            hanja.announce_p50_us = p50(MetricId::Announce),
            hanja.announce_p99_us = p99(MetricId::Announce),
            hanja.end_to_end_p50_us = p50(MetricId::EndToEnd),
            hanja.end_to_end_p99_us = p99(MetricId::EndToEnd),
            hanja.skipped_busy_total = stats.skipped_busy_total,
            hanja.skipped_undecodable_total = stats.skipped_undecodable_total,
            hanja.skipped_no_signal_total = stats.skipped_no_signal_total,
        ),
        _ => figures!(
            stats,
            words,
            hanja.deliver_p50_us = p50(MetricId::Deliver),
            hanja.deliver_p99_us = p99(MetricId::Deliver),
            hanja.present_p50_us = p50(MetricId::Present),
            hanja.present_p99_us = p99(MetricId::Present),
        ),
    }
}
