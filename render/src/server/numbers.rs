//! The numbers as JSON, and whether all is well, judged by the age of the data.

use crate::shared::{Numbers, Shared};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use hanja_record::StageName;
use hanja_record::json::StatsJson;
use hanja_ring::now_ns;
use hanja_stage::liveness::Liveness;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Answer of `/healthz`.
#[derive(Debug, Serialize)]
pub(super) struct HealthJson {
    /// The judgement that `hanja status` gives as well.
    #[serde(flatten)]
    pub(super) live: Liveness,
    /// What is not as it should be, in words; empty when live.
    pub(super) reasons: Vec<String>,
    /// Since the newest frame with a record left the sensor, seconds; null: none yet.
    pub(super) data_age_s: Option<f64>,
    /// What computes, and why nothing better does, in words; null: not heard of yet.
    pub(super) backend: Option<String>,
}

#[derive(Debug, Serialize)]
struct Stats {
    /// When this was written, CLOCK_MONOTONIC milliseconds.
    now_ms: f64,
    health: HealthJson,
    watchers: usize,
    pictures: u64,
    records: u64,
    records_missed: u64,
    failures: u64,
    capture: Option<StageJson>,
    infer: Option<StageJson>,
    render: Option<StageJson>,
}

#[derive(Debug, Serialize)]
struct StageJson {
    /// Since these numbers were written, seconds.
    age_s: f64,
    /// The stage does not report any more, so they say nothing of now.
    silent: bool,
    #[serde(flatten)]
    stats: StatsJson,
}

/// Seconds since a stamp.
pub(super) fn age_s(now: u64, stamp: u64) -> Option<f64> {
    (stamp != 0).then(|| (now.saturating_sub(stamp) as f64 / 1e6).round() / 1e3)
}

/// Judges the numbers as of `now`.
pub(super) fn judge(n: &Numbers, now: u64) -> HealthJson {
    let live = hanja_stage::liveness::judge(&n.snapshot, now);
    let backend = Some(n.description(StageName::Infer)).filter(|d| !d.is_empty());
    HealthJson {
        reasons: live.reasons(),
        live,
        data_age_s: age_s(now, n.record_sensor_ns),
        backend,
    }
}

fn json<T: Serialize>(value: &T) -> impl IntoResponse + use<T> {
    // Cannot fail: no map keys but strings.
    let text = serde_json::to_string(value).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], text)
}

/// `/healthz`: 200 or 503.
pub(super) async fn health(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let health = judge(&shared.numbers(), now_ns());
    let status = if health.live.ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, json(&health))
}

/// `/stats.json`.
pub(super) async fn stats(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let (n, now) = (shared.numbers().clone(), now_ns());
    let stage = |name| {
        let last = n.stage(name)?;
        Some(StageJson {
            age_s: age_s(now, last.t_ns)?,
            silent: !hanja_stage::liveness::reports(last, now),
            stats: n.stage_json(name)?,
        })
    };
    let stats = Stats {
        now_ms: (now / 1000) as f64 / 1e3,
        health: judge(&n, now),
        watchers: shared.watchers(),
        pictures: n.pictures_total,
        records: n.records_total,
        records_missed: n.records_missed_total,
        failures: n.failures_total,
        capture: stage(StageName::Capture),
        infer: stage(StageName::Infer),
        render: stage(StageName::Render),
    };
    json(&stats)
}

/// Query of `/history.json`: CLOCK_MONOTONIC milliseconds of the newest point that the client has of each stage.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct After {
    capture: f64,
    infer: f64,
    render: f64,
}

/// `/history.json`: the last ten minutes, or what came since.
pub(super) async fn history(
    State(shared): State<Arc<Shared>>,
    Query(after): Query<After>,
) -> impl IntoResponse {
    let after = [after.capture, after.infer, after.render];
    let history = shared.history().since(after, now_ns());
    json(&history)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::StageStats;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn health_is_the_judgement_and_the_backends_description() {
        let now = 100 * SECOND;
        let mut n = Numbers::default();
        let unheard = judge(&n, now);
        assert!(!unheard.live.ok && unheard.backend.is_none());
        assert_eq!(unheard.reasons.len(), 3, "{:?}", unheard.reasons);
        let (mut stats, mut bytes) = (StageStats::new(2), Vec::new());
        stats.encode_into("description of infer", [], &mut bytes);
        n.set_stage(StageName::Infer, stats, &bytes);
        n.record_sensor_ns = now - SECOND;
        let health = judge(&n, now);
        assert_eq!(health.backend.as_deref(), Some("description of infer"));
        assert_eq!(health.data_age_s, Some(1.0));
        let json = serde_json::to_value(&health).unwrap();
        assert_eq!(
            (&json["ok"], &json["state"]),
            (&false.into(), &"starting".into())
        );
        assert_eq!(json["stages"]["capture"]["state"], "starting");
    }
}
