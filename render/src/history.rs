//! The last ten minutes, one point per stage and second, so that a page opened after something happened still shows it.

use hanja_record::{MetricId, StageName, StageStats};
use serde::Serialize;
use std::collections::VecDeque;

/// Points kept of each stage: ten minutes, about 260 KB for all three.
pub(crate) const KEPT: usize = 600;

/// The steps whose medians are kept.
const STEPS: [MetricId; 10] = MetricId::STEPS;

/// One second of one stage.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    t_ns: u64,
    /// A new process since the point before.
    restarted: bool,
    fps_milli: u32,
    /// Since the point before: lost, dropped, busy, undecodable, no signal, missed.
    drops: [u32; 6],
    /// Median of each step, microseconds; none: not measured in this second.
    steps: [Option<u32>; STEPS.len()],
    /// Sensor to detections visible: p50, p90, p99, max.
    end_to_end: Option<[u32; 4]>,
}

/// What it takes to say what came since.
#[derive(Clone, Copy, Debug)]
struct Totals {
    t_ns: u64,
    started_ns: u64,
    drops: [u64; 6],
}

impl Totals {
    fn of(s: &StageStats) -> Self {
        Self {
            t_ns: s.t_ns,
            started_ns: s.started_ns,
            drops: [
                s.lost_total,
                s.dropped_total,
                s.skipped_busy_total,
                s.skipped_undecodable_total,
                s.skipped_no_signal_total,
                s.missed_total,
            ],
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Track {
    points: VecDeque<Point>,
    last: Option<Totals>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    tracks: [Track; 3],
}

impl History {
    /// Takes one report; the same one again changes nothing.
    pub(crate) fn add(&mut self, name: StageName, s: &StageStats) {
        let Some(track) = self.tracks.get_mut(name as usize - 1) else {
            return;
        };
        let now = Totals::of(s);
        let before = track.last.replace(now);
        if before.is_some_and(|b| b.started_ns == now.started_ns && b.t_ns >= now.t_ns) {
            return;
        }
        if track.points.len() == KEPT {
            track.points.pop_front();
        }
        track.points.push_back(point(s, before, now));
    }

    /// What came after `after_ms` of capture, infer and render (CLOCK_MONOTONIC milliseconds; 0: all that is kept), as
    /// columns. One time for all would not do: reports of different stages do not arrive in the order of their times.
    pub(crate) fn since(&self, after_ms: [f64; 3], now_ns: u64) -> HistoryJson {
        let columns = |name: StageName| {
            let index = name as usize - 1;
            let points = self.tracks[index].points.iter();
            Columns::of(points.filter(|p| ms(p.t_ns) > after_ms[index]))
        };
        HistoryJson {
            now_ms: ms(now_ns),
            kept_s: KEPT,
            capture: columns(StageName::Capture),
            infer: columns(StageName::Infer),
            render: columns(StageName::Render),
        }
    }
}

fn point(s: &StageStats, before: Option<Totals>, now: Totals) -> Point {
    let same = before.filter(|b| b.started_ns == now.started_ns);
    let mut drops = [0; 6];
    // A new process counts from 0. The first report of all may be hours into a life: what it counts is not news.
    if before.is_some() {
        let base = same.map_or([0; 6], |b| b.drops);
        for ((drop, total), base) in drops.iter_mut().zip(now.drops).zip(base) {
            *drop = u32::try_from(total.saturating_sub(base)).unwrap_or(u32::MAX);
        }
    }
    let metric = |id| s.metric(id).filter(|m| m.count > 0);
    Point {
        t_ns: s.t_ns,
        restarted: before.is_some() && same.is_none(),
        fps_milli: s.fps_milli,
        drops,
        steps: STEPS.map(|id| metric(id).map(|m| m.p50_us)),
        end_to_end: metric(MetricId::EndToEnd).map(|m| [m.p50_us, m.p90_us, m.p99_us, m.max_us]),
    }
}

/// To the millisecond, so that it survives JavaScript's numbers and comes back as it was.
fn ms(ns: u64) -> f64 {
    (ns / 1_000_000) as f64
}

/// Answer of `/history.json`.
#[derive(Debug, Serialize)]
pub(crate) struct HistoryJson {
    /// CLOCK_MONOTONIC milliseconds.
    now_ms: f64,
    /// Seconds kept at most.
    kept_s: usize,
    capture: Columns,
    infer: Columns,
    render: Columns,
}

/// Columns of equal length: a third of the size of rows with names.
#[derive(Debug, Default, Serialize)]
struct Columns {
    t_ms: Vec<f64>,
    restarted: Vec<u8>,
    fps: Vec<f64>,
    lost: Vec<u32>,
    dropped: Vec<u32>,
    skipped_busy: Vec<u32>,
    skipped_undecodable: Vec<u32>,
    skipped_no_signal: Vec<u32>,
    missed: Vec<u32>,
    /// Medians in microseconds by the steps' names; steps that the stage does not measure are left out.
    steps_us: std::collections::BTreeMap<&'static str, Vec<Option<u32>>>,
    /// p50, p90, p99, max in microseconds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    end_to_end_us: Vec<Option<[u32; 4]>>,
}

impl Columns {
    fn of<'p>(points: impl Iterator<Item = &'p Point> + Clone) -> Self {
        let drops = |n: usize| points.clone().map(|p| p.drops[n]).collect();
        let steps = STEPS.iter().enumerate().filter_map(|(n, id)| {
            let column: Vec<_> = points.clone().map(|p| p.steps[n]).collect();
            let measured = column.iter().any(Option::is_some);
            measured.then_some((id.name(), column))
        });
        let end_to_end: Vec<_> = points.clone().map(|p| p.end_to_end).collect();
        let measured = end_to_end.iter().any(Option::is_some);
        Self {
            t_ms: points.clone().map(|p| ms(p.t_ns)).collect(),
            restarted: points.clone().map(|p| u8::from(p.restarted)).collect(),
            fps: points
                .clone()
                .map(|p| f64::from(p.fps_milli) / 1e3)
                .collect(),
            lost: drops(0),
            dropped: drops(1),
            skipped_busy: drops(2),
            skipped_undecodable: drops(3),
            skipped_no_signal: drops(4),
            missed: drops(5),
            steps_us: steps.collect(),
            end_to_end_us: if measured { end_to_end } else { Vec::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_record::Metric;

    const SECOND: u64 = 1_000_000_000;

    fn stats(second: u64, started: u64, busy: u64) -> StageStats {
        let mut s = StageStats::new(StageName::Infer as u16);
        (s.t_ns, s.started_ns) = (second * SECOND, started * SECOND);
        (s.fps_milli, s.skipped_busy_total) = (30_000, busy);
        for (metric, id) in s
            .metrics
            .iter_mut()
            .zip([MetricId::Inference, MetricId::EndToEnd])
        {
            *metric = Metric {
                id: id as u16,
                count: 30,
                p50_us: 7,
                max_us: 9,
                ..Metric::default()
            };
        }
        s
    }

    #[test]
    fn totals_become_what_came_since_across_a_restart() {
        let mut h = History::default();
        for s in [
            stats(10, 1, 400),
            stats(11, 1, 403),
            stats(11, 1, 403),
            stats(14, 12, 5),
        ] {
            h.add(StageName::Infer, &s);
        }
        let all = h.since([0.0; 3], 15 * SECOND).infer;
        assert_eq!(all.t_ms, [10_000.0, 11_000.0, 14_000.0]);
        assert_eq!(all.skipped_busy, [0, 3, 5]);
        assert_eq!(all.restarted, [0, 0, 1]);
        assert_eq!(
            all.end_to_end_us.last().copied().flatten(),
            Some([7, 0, 0, 9])
        );
        assert_eq!(
            all.steps_us.keys().copied().collect::<Vec<_>>(),
            ["inference"]
        );
        let later = h.since([0.0, 11_000.0, 0.0], 15 * SECOND);
        assert_eq!(later.infer.t_ms, [14_000.0]);
        assert!(later.capture.t_ms.is_empty() && later.now_ms == 15_000.0);
    }

    #[test]
    fn it_is_bounded() {
        let mut h = History::default();
        (1..=KEPT as u64 + 50).for_each(|n| h.add(StageName::Infer, &stats(n, 1, 0)));
        assert_eq!(h.since([0.0; 3], 0).infer.t_ms.len(), KEPT);
        assert!(size_of::<Point>() * KEPT * 3 < 300_000);
    }
}
