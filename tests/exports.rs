//! What leaves the pipeline for other programs: the trace and the tables, from a running one.

use crate::harness::*;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

const SMALL: &str = "--source=synth:?size=320x240&fps=15&glyphs=1";

/// Nanoseconds of a time in the trace: whole ones, behind the point.
fn nanos(v: &Value) -> u64 {
    let us = v.as_f64().unwrap_or_else(|| panic!("{v} is no number"));
    (us * 1e3).round() as u64
}

fn number(v: &Value) -> u64 {
    v.as_u64()
        .unwrap_or_else(|| panic!("{v} is no whole number"))
}

fn lines(out: &std::process::Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&out.stdout);
    text.lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect()
}

/// Slices of a track lie in one another or apart, and come in order.
fn assert_nested(slices: &[&Value]) {
    let mut open: Vec<u64> = Vec::new();
    let mut last = 0;
    for slice in slices {
        let from = nanos(&slice["ts"]);
        let to = from + nanos(&slice["dur"]);
        assert!(from >= last, "{slice} is out of order");
        last = from;
        while open.last().is_some_and(|end| *end <= from) {
            open.pop();
        }
        assert!(
            open.last().is_none_or(|end| to <= *end),
            "{slice} sticks out"
        );
        open.push(to);
    }
}

#[test]
fn a_trace_shows_what_the_records_say() {
    let place = Place::new();
    let running = place.start(&["run", SMALL, "--http=off", "--size=160"]);
    running.wait_for("first detection");
    let file = place.path("t.json");
    let out = format!("--out={}", file.display());
    let (trace, records) = std::thread::scope(|scope| {
        let trace = scope.spawn(|| place.output(&["trace", "--duration=3s", &out]));
        let records = place.output(&["tap", "detections", "--json", "--count=20"]);
        (trace.join().expect("trace"), lines(&records))
    });
    assert!(trace.status.success(), "{}", text(&trace));
    assert!(text(&trace).contains("ui.perfetto.dev"), "{}", text(&trace));
    let json = read_json(&file);
    let events = json["traceEvents"].as_array().expect("events");
    let of = |ph: &str| events.iter().filter(|e| e["ph"] == ph).collect::<Vec<_>>();
    let known = ["M", "X", "s", "t", "f", "C", "i"];
    assert!(
        events
            .iter()
            .all(|e| known.contains(&e["ph"].as_str().expect("ph")))
    );

    // Three processes by name; every track has one.
    let names: HashMap<_, _> = of("M")
        .into_iter()
        .filter(|e| e["name"] == "process_name")
        .map(|e| {
            (
                number(&e["pid"]),
                e["args"]["name"].as_str().expect("a name"),
            )
        })
        .collect();
    for (pid, stage) in [(1, "capture"), (2, "infer"), (3, "render")] {
        assert!(names[&pid].starts_with(stage), "{names:?}");
    }
    let mut tracks: BTreeMap<(u64, u64), Vec<&Value>> = BTreeMap::new();
    for slice in of("X") {
        tracks
            .entry((number(&slice["pid"]), number(&slice["tid"])))
            .or_default()
            .push(slice);
    }
    let named = |track: &(u64, u64)| {
        of("M")
            .iter()
            .any(|e| e["name"] == "thread_name" && (number(&e["pid"]), number(&e["tid"])) == *track)
    };
    assert!(tracks.keys().all(named), "{:?}", tracks.keys());
    for slices in tracks.values() {
        assert_nested(slices);
    }
    assert_arrows(events, &tracks);

    // Of each frame, the steps from the sensor to the detections sum to what its record says.
    let mut sums: HashMap<(u64, u64), u64> = HashMap::new();
    for slice in of("X")
        .iter()
        .filter(|s| s["args"].is_object() && s["pid"] != 3)
    {
        let frame = (
            number(&slice["args"]["generation"]),
            number(&slice["args"]["frame"]),
        );
        *sums.entry(frame).or_default() += nanos(&slice["dur"]);
    }
    let mut compared = 0;
    for record in &records {
        let frame = (
            number(&record["frame"]["generation"]),
            number(&record["frame"]["seq"]),
        );
        let Some(sum) = sums.get(&frame) else {
            continue;
        };
        let times = &record["times_ns"];
        let whole = number(&times["detections_published"]) - number(&times["sensor"]);
        assert_eq!(*sum, whole, "frame {frame:?}: {record}");
        compared += 1;
    }
    assert!(
        compared >= 8,
        "{compared} of {} records are in the trace",
        records.len()
    );
    for counter in ["fps", "cpu", "drops", "memory"] {
        let all = of("C").into_iter().filter(|e| e["name"] == counter);
        assert!(all.count() >= 3, "{counter} is missing");
    }
    assert_eq!(
        number(&json["otherData"]["missed"]),
        0,
        "{}",
        json["otherData"]
    );
    drop(running);
}

/// Each arrow begins once, ends once, and touches a slice at every hop.
fn assert_arrows(events: &[Value], tracks: &BTreeMap<(u64, u64), Vec<&Value>>) {
    let mut ways: BTreeMap<u64, Vec<(&str, u64)>> = BTreeMap::new();
    for e in events
        .iter()
        .filter(|e| ["s", "t", "f"].contains(&e["ph"].as_str().expect("ph")))
    {
        let (ph, at) = (e["ph"].as_str().expect("ph"), nanos(&e["ts"]));
        let track = &tracks[&(number(&e["pid"]), number(&e["tid"]))];
        let around = |s: &&&Value| {
            let from = nanos(&s["ts"]);
            from <= at && at <= from + nanos(&s["dur"])
        };
        assert!(track.iter().find(around).is_some(), "{e} touches nothing");
        ways.entry(number(&e["id"])).or_default().push((ph, at));
    }
    assert!(ways.len() >= 10, "{} arrows", ways.len());
    for (id, way) in &ways {
        let hops: String = way.iter().map(|(ph, _)| *ph).collect();
        assert!(["sf", "stf"].contains(&hops.as_str()), "{id}: {hops}");
        assert!(way.is_sorted_by_key(|(_, at)| *at), "{id}: {way:?}");
    }
}

/// Until a trace must have seen a frame: it would obey a signal, has a frames ring mapped (of its own look before that
/// nothing is left), frames have come since, and it has slept and woken twice after that.
fn wait_for_frames(place: &Place, pid: u32) {
    let read = |what: &str| std::fs::read_to_string(format!("/proc/{pid}/{what}")).ok();
    let field = |name: &str| {
        let status = read("status")?;
        let line = status.lines().find_map(|l| l.strip_prefix(name))?;
        Some(line.trim().to_owned())
    };
    until("the trace's signal handler", || {
        let caught = u64::from_str_radix(&field("SigCgt:")?, 16).ok()?;
        (caught & 1 << 1 != 0).then_some(()) // SIGINT is 2
    });
    until("the trace's tap", || {
        read("maps")?.contains("memfd:ring-frames").then_some(())
    });
    let frames = place.output(&["tap", "frames", "--json", "--count=3"]);
    assert!(frames.status.success(), "{}", text(&frames));
    let slept = || field("voluntary_ctxt_switches:")?.parse::<u64>().ok();
    let before = slept().expect("it runs");
    until("the trace's next look", || {
        (slept()? >= before + 2).then_some(())
    });
}

#[test]
fn a_trace_of_nothing_says_so() {
    let place = Place::new();
    assert_refused(
        &place.output(&["trace", "--duration=1s"]),
        1,
        &["nothing to trace in", "hanja run"],
    );
    for wrong in ["--duration=11m", "--duration=0s", "--duration=x"] {
        assert_eq!(
            place.output(&["trace", wrong]).status.code(),
            Some(2),
            "{wrong}"
        );
    }
    let running = place.start(&["run", SMALL, "--http=off", "--size=160"]);
    running.wait_for("first detection");
    let out = place.output(&["trace", "--duration=500ms", "--out=/nowhere/t.json"]);
    assert_refused(&out, 1, &["cannot write /nowhere/t.json"]);
    // To a pipe, and interrupted: what there is.
    let mut command = place.hanja(&["trace", "--duration=60s"]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("hanja starts");
    wait_for_frames(&place, child.id());
    running.signal(child.id() as i32, "INT");
    let out = child.wait_with_output().expect("output");
    let json: Value = serde_json::from_slice(&out.stdout).expect("whole JSON");
    assert!(
        number(&json["otherData"]["frames"]) > 0,
        "{}",
        json["otherData"]
    );
    drop(running);
}

/// Header and rows of a table, each row as a map.
fn table(out: &std::process::Output) -> Vec<BTreeMap<String, String>> {
    assert!(out.status.success(), "{}", text(out));
    let all = String::from_utf8_lossy(&out.stdout);
    assert!(all.ends_with("\r\n"), "{all:?}");
    let mut reader = csv::Reader::from_reader(&out.stdout[..]);
    let rows = reader
        .deserialize()
        .map(|row| row.expect("as long as the header"));
    rows.collect()
}

#[test]
fn tables_have_a_header_and_units_and_are_rfc_4180() {
    let place = Place::new();
    let running = place.start(&["run", SMALL, "--http=off", "--size=160"]);
    running.wait_for("first detection");
    let stats = table(&place.output(&["tap", "stats", "--csv", "--count=6"]));
    assert_eq!(stats.len(), 6);
    let of = |stage: &str| {
        let mut rows = stats.iter().filter(|r| r["stage"] == stage);
        rows.next_back()
            .unwrap_or_else(|| panic!("no row of {stage}: {stats:?}"))
            .clone()
    };
    let (capture, infer) = (of("capture"), of("infer"));
    assert_eq!(capture["what"], "synth:?size=320x240&fps=15&glyphs=1");
    assert_eq!(
        (infer["backend"].as_str(), infer["dequeue_p50_us"].as_str()),
        ("rten", "")
    );
    let n = |text: &str| {
        text.parse::<f64>()
            .unwrap_or_else(|_| panic!("{text} is no number"))
    };
    assert!(
        n(&capture["fps"]) > 1.0 && n(&capture["rss_kib"]) > 1000.0,
        "{capture:?}"
    );
    assert!(
        n(&infer["inference_p50_us"]) <= n(&infer["inference_max_us"]),
        "{infer:?}"
    );
    let render = of("render");
    for name in ["missed_total", "presented_total", "unbalanced_total"] {
        assert_eq!(render[name], "0", "{name}: {render:?}");
    }
    assert!(
        n(&capture["leases"]) >= 1.0 && n(&infer["taps"]) >= 1.0,
        "{stats:?}"
    );
    assert!(
        n(&infer["rss_peak_kib"]) >= n(&infer["rss_kib"])
            && n(&infer["cpu_system_us"]) <= n(&infer["cpu_us"])
            && n(&infer["detections_total"]) > 0.0,
        "{infer:?}"
    );

    let found = table(&place.output(&["tap", "detections", "--csv", "--count=5"]));
    assert!(found.len() >= 5, "a row a frame at least: {found:?}");
    for row in &found {
        let none = row["detections"] == "0";
        assert_eq!(row["class"].is_empty(), none, "{row:?}");
        assert!(
            n(&row["end_to_end_ms"]) > 0.0 && row["time"].ends_with('Z'),
            "{row:?}"
        );
        if !none {
            assert!(
                n(&row["x1"]) < n(&row["x2"]) && n(&row["score"]) <= 1.0,
                "{row:?}"
            );
        }
    }
    let frames = table(&place.output(&["tap", "frames", "--csv", "--count=3"]));
    assert_eq!((frames.len(), frames[0]["format"].as_str()), (3, "YUYV"));
    for name in ["t_new_number_ns", "t_new_time_ns", "t_new_picture_ns"] {
        assert_eq!(frames[0][name], frames[0]["t_dequeued_ns"], "{name}");
    }
    let both = place.output(&["tap", "stats", "--csv", "--json"]);
    assert_eq!(both.status.code(), Some(2), "{}", text(&both));
    drop(running);
}
