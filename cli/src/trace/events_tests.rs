//! The file as a viewer reads it.

use super::*;
use std::collections::BTreeMap;

const S: u64 = 1_000_000_000;

/// `n` frames, 10 ms apart, of 35 ms each: they overlap.
fn seen(n: u64) -> Seen {
    let mut seen = Seen::default();
    for seq in 1..=n {
        let at = S + seq * 10_000_000;
        let meta = FrameMeta {
            generation: 7,
            seq,
            t_sensor: at,
            t_dequeued: at + 1_000_001,
            t_published: at + 1_500_000,
            ..FrameMeta::zeroed()
        };
        seen.frames.insert((7, seq), meta);
        let times = Times {
            sensor: at,
            dequeued: meta.t_dequeued,
            published: meta.t_published,
            acquired: at + 2_000_003,
            preprocessed: at + 4_000_000,
            submitted: at + 4_000_000,
            inferred: at + 30_000_000,
            postprocessed: at + 31_000_000,
            detections_published: at + 31_100_000,
            render_acquired: at + 31_200_000,
            presented: at + 35_000_000,
            ..Times::default()
        };
        let look = Look {
            times,
            status: 0,
            detections: 1,
            found: "三 0.90".into(),
        };
        if seq % 3 != 0 {
            seen.looks.insert((7, seq), look);
        }
    }
    for (second, frames) in [(1, 100), (2, 190)] {
        let mut s = StageStats::new(2);
        (s.t_ns, s.started_ns, s.frames_total) = (second * S, 1, frames);
        (s.skipped_busy_total, s.cpu_us, s.fps_milli) = (second * 5, second * 250_000, 90_000);
        seen.stats.push(s);
    }
    seen
}

fn events(seen: &Seen) -> Vec<Value> {
    let file: Value = serde_json::from_str(&json(seen, (S, 3 * S))).unwrap();
    file["traceEvents"].as_array().unwrap().clone()
}

fn nanos(v: &Value) -> u64 {
    (v.as_f64().unwrap() * 1e3).round() as u64
}

/// From, to, name.
type Slice = (u64, u64, String);

/// Slices of each track, in the order of the file.
fn tracks(events: &[Value]) -> BTreeMap<(u64, u64), Vec<Slice>> {
    let mut tracks: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for e in events.iter().filter(|e| e["ph"] == "X") {
        let (from, dur) = (nanos(&e["ts"]), nanos(&e["dur"]));
        let track = (e["pid"].as_u64().unwrap(), e["tid"].as_u64().unwrap());
        let name = e["name"].as_str().unwrap().to_owned();
        tracks
            .entry(track)
            .or_default()
            .push((from, from + dur, name));
    }
    tracks
}

#[test]
fn slices_lie_in_one_another_and_sum_to_the_whole() {
    let events = events(&seen(9));
    let mut steps = 0;
    for slices in tracks(&events).values() {
        let mut open: Vec<u64> = Vec::new();
        for (from, to, name) in slices {
            while open.last().is_some_and(|end| end <= from) {
                open.pop();
            }
            assert!(open.last().is_none_or(|end| to <= end), "{name} sticks out");
            open.push(*to);
            steps += if name.starts_with("frame ") {
                0
            } else {
                to - from
            };
        }
    }
    // Six frames have a record, three were passed over.
    assert_eq!(steps, 6 * 35_000_000 + 3 * 1_500_000);
}

#[test]
fn arrows_follow_each_frame_that_was_looked_at() {
    let events = events(&seen(9));
    let arrows = |ph: &str| events.iter().filter(|e| e["ph"] == ph).count();
    assert_eq!([arrows("s"), arrows("t"), arrows("f")], [6, 6, 6]);
    let mut ways: BTreeMap<u64, Vec<(u64, u64, u64)>> = BTreeMap::new();
    for e in events
        .iter()
        .filter(|e| e["cat"] == "frame" && e["ph"] != "X")
    {
        let hop = (
            nanos(&e["ts"]),
            e["pid"].as_u64().unwrap(),
            e["tid"].as_u64().unwrap(),
        );
        ways.entry(e["id"].as_u64().unwrap()).or_default().push(hop);
    }
    let tracks = tracks(&events);
    for way in ways.values() {
        assert_eq!(way.iter().map(|h| h.1).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(way.is_sorted());
        for (at, pid, tid) in way {
            let around = tracks[&(*pid, *tid)]
                .iter()
                .any(|(from, to, _)| from <= at && at < to);
            assert!(around, "an arrow from nowhere");
        }
    }
}

#[test]
fn counters_are_differences() {
    let events = events(&seen(1));
    let of = |name: &str| -> Vec<Value> {
        let all = events
            .iter()
            .filter(|e| e["ph"] == "C" && e["name"] == name);
        all.map(|e| e["args"].clone()).collect()
    };
    assert_eq!(of("fps").len(), 2);
    assert_eq!(of("cpu"), [json!({ "percent": 25.0 })]);
    assert_eq!(
        of("drops"),
        [json!({ "busy": 5, "undecodable": 0, "no_signal": 0 })]
    );
}

#[test]
fn a_clock_that_stands_still_makes_no_endless_slices() {
    let mut seen = seen(100);
    for meta in seen.frames.values_mut() {
        meta.t_sensor = S;
    }
    for look in seen.looks.values_mut() {
        look.times.sensor = S;
    }
    let events = events(&seen);
    let lanes = tracks(&events).keys().filter(|(pid, _)| *pid == 1).count();
    assert_eq!(lanes, 1);
    let begins = events.iter().filter(|e| e["name"] == "dequeue").count();
    assert_eq!(begins, 1);
}

#[test]
fn times_that_run_backwards_are_left_out() {
    let mut seen = seen(2);
    for look in seen.looks.values_mut() {
        look.times.inferred = 1;
        look.times.presented = 1;
    }
    let events = events(&seen);
    assert!(
        tracks(&events).keys().all(|(pid, _)| *pid == 1),
        "only capture's are sound"
    );
    assert!(
        events
            .iter()
            .all(|e| !["s", "t", "f"].contains(&e["ph"].as_str().unwrap()))
    );
}

#[test]
fn a_new_generation_is_marked() {
    let mut seen = seen(3);
    let last = seen.frames.remove(&(7, 3)).unwrap();
    seen.frames.insert((8, 1), last);
    let marks: Vec<_> = events(&seen)
        .into_iter()
        .filter(|e| e["ph"] == "i")
        .collect();
    assert_eq!(marks.len(), 1);
    assert_eq!(marks[0]["s"], "g");
}
