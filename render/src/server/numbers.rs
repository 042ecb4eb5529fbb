//! The numbers as JSON, and whether all is well, judged by the age of the data.

use crate::json::StatsJson;
use crate::shared::{Numbers, Shared};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use hanja_common::clock::now_ns;
use hanja_common::stage::StageName;
use serde::Serialize;
use std::sync::Arc;

/// Data older than this is not live.
const STALE_S: f64 = 2.0;
/// Statistics come once a second: three missing mean that the stage is gone.
const SILENT_S: f64 = 3.0;

/// Answer of `/healthz`.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// Everything live.
    pub(super) ok: bool,
    /// What is not, in words.
    pub(super) reasons: Vec<String>,
    /// Since the newest frame with a record left the sensor, seconds; null: none yet.
    pub(super) data_age_s: Option<f64>,
    /// What computes, and why nothing better does, in words; null: not heard of yet.
    pub(super) backend: Option<String>,
}

#[derive(Debug, Serialize)]
struct Stats {
    health: Health,
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
    #[serde(flatten)]
    stats: StatsJson,
}

/// Seconds since a stamp.
pub(super) fn age_s(now: u64, stamp: u64) -> Option<f64> {
    (stamp != 0).then(|| (now.saturating_sub(stamp) as f64 / 1e6).round() / 1e3)
}

/// Judges the numbers as of `now`.
pub(super) fn judge(n: &Numbers, now: u64) -> Health {
    let mut reasons = Vec::new();
    for (name, remedy) in [
        (StageName::Capture, "no frames"),
        (StageName::Infer, "no detections"),
    ] {
        let stage = name.name();
        match n.stage(name).and_then(|s| age_s(now, s.t_ns)) {
            None => reasons.push(format!("{stage} has not been heard of: {remedy}")),
            Some(age) if age > SILENT_S => {
                reasons.push(format!("{stage} is silent for {age:.1} s: {remedy}"))
            }
            Some(_) => {}
        }
    }
    let data_age_s = age_s(now, n.record_sensor_ns);
    match data_age_s {
        None => reasons.push("no detection record yet".into()),
        Some(age) if age > STALE_S => reasons.push(format!("the newest data is {age:.1} s old")),
        Some(_) => {}
    }
    let backend = Some(n.words(StageName::Infer)).filter(|w| !w.is_empty());
    Health {
        ok: reasons.is_empty(),
        reasons,
        data_age_s,
        backend: backend.map(str::to_owned),
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
    let status = if health.ok {
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
        let age_s = age_s(now, n.stage(name)?.t_ns)?;
        Some(StageJson {
            age_s,
            stats: n.stage_json(name)?,
        })
    };
    let stats = Stats {
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

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_common::record::StageStats;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn health_is_the_age_of_the_data() {
        let now = 100 * SECOND;
        let mut n = Numbers::default();
        let unheard = judge(&n, now);
        assert_eq!((unheard.reasons.len(), unheard.backend), (3, None));
        for name in StageName::ALL {
            n.set_stage(
                name,
                StageStats {
                    t_ns: now - SECOND,
                    ..StageStats::new(name as u16)
                },
                format!("words of {}", name.name()),
            );
        }
        n.record_sensor_ns = now - SECOND;
        let live = judge(&n, now);
        assert!(live.ok);
        assert_eq!(live.backend.as_deref(), Some("words of infer"));
        let late = judge(&n, now + 3 * SECOND);
        assert!(!late.ok);
        assert_eq!(late.data_age_s, Some(4.0));
        assert_eq!(late.reasons.len(), 3, "{:?}", late.reasons);
        assert!(late.reasons[0].contains("capture is silent for 4.0 s"));
    }
}
