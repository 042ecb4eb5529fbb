//! The summary file of a run: an external contract, see `docs/design.md`.

use super::observe::{Quantiles, Report};
use anyhow::Context;
use hanja_record::StageName;
use hanja_stage::accounting::FrameTotals;
use hanja_stage::config::Config;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Debug, Serialize)]
pub(super) struct Summary {
    source: String,
    backend: &'static str,
    backend_choice: String,
    model: String,
    seconds: f64,
    frames: FrameTotals,
    fps: BTreeMap<&'static str, f64>,
    latency_ms: BTreeMap<&'static str, Quantiles>,
    end_to_end_ms: Quantiles,
    restarts: BTreeMap<&'static str, u32>,
    detections: u64,
}

impl Summary {
    pub(super) fn new(config: &Config, report: &Report, restarts: Vec<(StageName, u32)>) -> Self {
        let mut latency_ms: BTreeMap<_, _> = report.latency.iter().copied().collect();
        let end_to_end_ms = latency_ms.remove("end_to_end").unwrap_or_default();
        Self {
            source: config.capture.source.clone(),
            backend: report.backend.name(),
            backend_choice: report.backend_choice.clone(),
            model: report.model.clone(),
            seconds: report.seconds,
            frames: report.totals.clone(),
            fps: StageName::ALL
                .iter()
                .map(|s| s.name())
                .zip(report.fps)
                .collect(),
            latency_ms,
            end_to_end_ms,
            restarts: restarts.into_iter().map(|(s, n)| (s.name(), n)).collect(),
            detections: report.detections,
        }
    }

    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text)
            .with_context(|| format!("cannot write the summary {}", path.display()))
    }
}
