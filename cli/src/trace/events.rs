//! The Trace Event Format: <https://ui.perfetto.dev> and chrome://tracing read it. Times are CLOCK_MONOTONIC in
//! microseconds, with the nanoseconds behind the point, so that a trace can be laid beside others of this machine.

use super::lanes::Lanes;
use super::{FrameId, Look, Seen};
use hanja_record::{FrameMeta, MetricId, StageName, StageStats, Status, Times};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// One event, with what it is sorted by.
#[derive(Debug, Serialize)]
struct Event {
    ph: &'static str,
    pid: u16,
    tid: usize,
    ts: f64,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    /// `e`: an arrow belongs to the slice around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Value>,
    #[serde(skip)]
    ns: u64,
    #[serde(skip)]
    dur_ns: u64,
}

impl Event {
    fn new(
        ph: &'static str,
        stage: StageName,
        lane: usize,
        ns: u64,
        name: impl Into<String>,
    ) -> Self {
        Self {
            ph,
            pid: stage as u16,
            tid: lane + 1,
            ts: micros(ns),
            name: name.into(),
            dur: None,
            cat: None,
            id: None,
            bp: None,
            s: None,
            args: None,
            ns,
            dur_ns: 0,
        }
    }

    fn slice(
        stage: StageName,
        lane: usize,
        (from, to): (u64, u64),
        name: impl Into<String>,
    ) -> Self {
        Self {
            dur: Some(micros(to - from)),
            dur_ns: to - from,
            cat: Some("frame"),
            ..Self::new("X", stage, lane, from, name)
        }
    }

    /// Metadata first; an outer slice before those in it; arrows after the slices they belong to.
    fn order(&self) -> (bool, u64, bool, std::cmp::Reverse<u64>) {
        (
            self.ph != "M",
            self.ns,
            self.ph != "X",
            std::cmp::Reverse(self.dur_ns),
        )
    }
}

fn micros(ns: u64) -> f64 {
    ns as f64 / 1e3
}

/// The whole file.
pub(super) fn json(seen: &Seen, (from, to): (u64, u64)) -> String {
    let mut events = frames(seen);
    events.extend(counters(&seen.stats));
    events.extend(restarts(seen));
    events.sort_by_key(Event::order);
    let file = json!({
        "displayTimeUnit": "ms",
        "otherData": {
            "hanja": env!("CARGO_PKG_VERSION"),
            "clock": "CLOCK_MONOTONIC",
            "from_us": micros(from),
            "seconds": (to - from) as f64 / 1e9,
            "frames": seen.frames.len(),
            "records": seen.looks.len(),
            "missed": seen.missed,
        },
        "traceEvents": events,
    });
    file.to_string()
}

/// A frame's stay in one process: from when to when, and the steps of which it consists.
struct Stay {
    stage: StageName,
    index: usize,
    steps: Vec<(MetricId, u64, u64)>,
}

impl Stay {
    /// The stage's steps that have happened; `None` if there is none.
    fn new(stage: StageName, index: usize, times: &Times) -> Option<Self> {
        let steps = times.steps(MetricId::steps_of(stage));
        let sound = steps.iter().all(|(_, from, to)| from <= to);
        (sound && !steps.is_empty()).then_some(Self {
            stage,
            index,
            steps,
        })
    }

    fn span(&self) -> (u64, u64) {
        let (first, last) = (self.steps.first(), self.steps.last());
        (first.map_or(0, |s| s.1), last.map_or(0, |s| s.2))
    }
}

/// The frame's stays. Their steps follow upon each other, so that they sum to the record's end to end.
fn stays(index: usize, times: &Times) -> Vec<Stay> {
    let stay = |stage| Stay::new(stage, index, times);
    StageName::ALL.into_iter().filter_map(stay).collect()
}

/// Slices and arrows of all frames, and the names of their tracks.
fn frames(seen: &Seen) -> Vec<Event> {
    let frames: Vec<_> = seen.frames.iter().collect();
    let mut all = Vec::new();
    let mut last_sensor = 0;
    for (index, (id, meta)) in frames.iter().enumerate() {
        let mut times = Times {
            sensor: meta.t_sensor,
            dequeued: meta.t_dequeued,
            published: meta.t_published,
            ..seen
                .looks
                .get(id)
                .map_or_else(Times::default, |look| look.times)
        };
        // A clock that stands still says nothing about when the frame began.
        if meta.t_sensor <= last_sensor {
            times.sensor = 0;
        }
        last_sensor = last_sensor.max(meta.t_sensor);
        all.extend(stays(index, &times));
    }
    all.sort_by_key(Stay::span);
    let mut lanes: HashMap<StageName, Lanes> = HashMap::new();
    let mut hops: Vec<Vec<(StageName, usize, u64)>> = vec![Vec::new(); frames.len()];
    let mut events = Vec::new();
    for stay in &all {
        let (from, to) = stay.span();
        let Some(lane) = lanes.entry(stay.stage).or_default().place(from, to) else {
            continue;
        };
        let (id, meta) = frames[stay.index];
        let look = seen.looks.get(id);
        let mut outer = Event::slice(stay.stage, lane, (from, to), format!("frame {}", id.1));
        outer.args = Some(about(stay.stage, *id, meta, look));
        events.push(outer);
        for (step, from, to) in &stay.steps {
            events.push(Event::slice(stay.stage, lane, (*from, *to), step.name()));
        }
        // An arrow leaves with the last step and arrives with the first.
        let at = if stay.stage == StageName::Capture {
            stay.steps.last().map_or(from, |s| s.1)
        } else {
            from
        };
        hops[stay.index].push((stay.stage, lane, at));
    }
    events.extend(
        hops.iter_mut()
            .enumerate()
            .flat_map(|(n, hops)| arrows(n, hops)),
    );
    events.extend(names(&lanes, &seen.stats));
    events
}

/// What a click on the slice shows.
fn about(stage: StageName, id: FrameId, meta: &FrameMeta, look: Option<&Look>) -> Value {
    match (stage, look) {
        (StageName::Capture, look) => json!({
            "generation": id.0, "frame": id.1, "driver_seq": meta.driver_seq, "bytes": meta.bytes_used,
            "looked_at": look.is_some(),
        }),
        (StageName::Infer, Some(look)) => json!({
            "generation": id.0, "frame": id.1, "detections": look.detections, "found": look.found,
            "status": Status::name_of(look.status),
        }),
        (_, look) => json!({
            "generation": id.0, "frame": id.1, "shown": look.is_some_and(|l| l.times.presented != 0),
        }),
    }
}

/// One frame's way through the processes: start, steps, finish.
fn arrows(frame: usize, hops: &mut [(StageName, usize, u64)]) -> Vec<Event> {
    hops.sort_by_key(|(stage, ..)| *stage as u16);
    let last = hops.len().saturating_sub(1);
    if last == 0 {
        return Vec::new();
    }
    let arrow = |(n, (stage, lane, at)): (usize, &(StageName, usize, u64))| {
        let ph = match n {
            0 => "s",
            n if n == last => "f",
            _ => "t",
        };
        Event {
            cat: Some("frame"),
            id: Some(frame),
            bp: (ph == "f").then_some("e"),
            ..Event::new(ph, *stage, *lane, *at, "frame")
        }
    };
    hops.iter().enumerate().map(arrow).collect()
}

fn names(lanes: &HashMap<StageName, Lanes>, stats: &[StageStats]) -> Vec<Event> {
    let mut events = Vec::new();
    for stage in StageName::ALL {
        let named = |what: &str, lane, args: Value| Event {
            args: Some(args),
            ..Event::new("M", stage, lane, 0, what)
        };
        let last = stats.iter().rfind(|s| s.stage == stage as u16);
        let name = last.map_or_else(
            || stage.name().to_owned(),
            |s| format!("{} (process {}): {}", stage.name(), s.pid, s.what()),
        );
        events.push(named("process_name", 0, json!({ "name": name })));
        events.push(named(
            "process_sort_index",
            0,
            json!({ "sort_index": stage as u16 }),
        ));
        for lane in 0..lanes.get(&stage).map_or(0, Lanes::count) {
            let name = if lane == 0 {
                "frames".into()
            } else {
                format!("frames, overlapping {lane}")
            };
            events.push(named("thread_name", lane, json!({ "name": name })));
            events.push(named(
                "thread_sort_index",
                lane,
                json!({ "sort_index": lane }),
            ));
        }
    }
    events
}

/// Once a second, from the stages' own statistics.
fn counters(stats: &[StageStats]) -> Vec<Event> {
    let mut events = Vec::new();
    for stage in StageName::ALL {
        let mut before: Option<&StageStats> = None;
        for s in stats.iter().filter(|s| s.stage == stage as u16) {
            let counter = |name: &str, args: Value| Event {
                args: Some(args),
                ..Event::new("C", stage, 0, s.t_ns, name)
            };
            events.push(counter("fps", json!({ "fps": s.fps() })));
            events.push(counter(
                "memory",
                json!({ "MiB": f64::from(s.rss_kib) / 1024.0 }),
            ));
            // Differences within one life.
            if let Some(before) = before.filter(|b| b.started_ns == s.started_ns && b.t_ns < s.t_ns)
            {
                let seconds = (s.t_ns - before.t_ns) as f64 / 1e9;
                let cpu = s.cpu_us.saturating_sub(before.cpu_us) as f64 / 1e4 / seconds;
                events.push(counter("cpu", json!({ "percent": cpu })));
                let drops: serde_json::Map<_, _> = s
                    .drops()
                    .into_iter()
                    .zip(before.drops())
                    .map(|((reason, now), (_, was))| {
                        (reason.to_owned(), now.saturating_sub(was).into())
                    })
                    .collect();
                events.push(counter("drops", Value::Object(drops)));
            }
            before = Some(s);
        }
    }
    events
}

/// A line through everything where a new generation of frames begins.
fn restarts(seen: &Seen) -> Vec<Event> {
    let mut events = Vec::new();
    let mut generation = None;
    for (id, meta) in &seen.frames {
        if generation
            .replace(id.0)
            .is_some_and(|before| before != id.0)
        {
            events.push(Event {
                s: Some("g"),
                ..Event::new(
                    "i",
                    StageName::Capture,
                    0,
                    meta.t_published,
                    "new generation of frames",
                )
            });
        }
    }
    events
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
