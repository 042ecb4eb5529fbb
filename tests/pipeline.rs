//! The pipeline as a whole, from outside: it finds what is drawn, accounts for every frame, survives kills, leaves nothing.

use crate::harness::*;
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SYNTH: &str = "--source=synth:?seed=1&glyphs=3&truth=1";

#[test]
fn every_frame_is_accounted_for_and_the_summary_keeps_its_contract() {
    let place = Place::new();
    let s = place.summary("synth:?fps=200&glyphs=3", "3s");
    assert_balanced(&s);
    for key in [
        "source",
        "backend",
        "model",
        "seconds",
        "frames",
        "fps",
        "latency_ms",
        "end_to_end_ms",
        "restarts",
        "detections",
    ] {
        assert!(s.get(key).is_some(), "{key} is missing: {s}");
    }
    let number = |v: &serde_json::Value| v.as_f64().unwrap_or_else(|| panic!("{v} in {s}"));
    for stage in ["capture", "infer", "render"] {
        assert!(number(&s["fps"][stage]) > 1.0, "{s}");
        assert!(number(&s["latency_ms"][stage]["p50"]) <= number(&s["latency_ms"][stage]["p99"]));
        assert_eq!(s["restarts"][stage], 0);
    }
    assert_eq!(s["backend"], "rten");
    let choice = s["backend_choice"].as_str().unwrap();
    assert!(
        choice.starts_with("rten; not tensorrt: ") && choice.contains("; not onnxruntime: "),
        "{choice}"
    );
    assert!(number(&s["end_to_end_ms"]["p50"]) > 0.0 && number(&s["detections"]) > 0.0);
    place.assert_clean();
}

/// Per record: what the model saw, matched with what `synth:` drew into the same frame.
#[test]
fn what_is_drawn_is_found() {
    let place = Place::new();
    let mut running = place.start(&[
        "run",
        "--source=synth:?fps=8&glyphs=4&truth=1&seed=3",
        "--http=off",
    ]);
    running.wait_for("first detection");
    let tap = |topic: &'static str, count: &'static str| {
        let place = &place;
        move || place.output(&["tap", topic, "--json", "--count", count])
    };
    let (truth, found) = std::thread::scope(|scope| {
        let truth = scope.spawn(tap("truth", "40"));
        let found = scope.spawn(tap("detections", "40"));
        (truth.join().unwrap(), found.join().unwrap())
    });
    let records = |out: std::process::Output| -> Vec<serde_json::Value> {
        String::from_utf8(out.stdout)
            .unwrap()
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    let (truth, found) = (records(truth), records(found));
    let (mut drawn, mut hit, mut compared) = (0, 0, 0);
    for t in &truth {
        let Some(f) = found
            .iter()
            .find(|f| f["frame"]["seq"] == t["frame"]["seq"])
        else {
            continue;
        };
        compared += 1;
        for d in t["detections"].as_array().unwrap() {
            drawn += 1;
            let same = |o: &&serde_json::Value| {
                o["label"] == d["label"] && iou(&o["box"], &d["box"]) > 0.5
            };
            hit += usize::from(
                f["detections"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(same)
                    .is_some(),
            );
        }
    }
    assert!(compared >= 20, "{compared} frames compared");
    assert!(hit * 10 >= drawn * 7, "{hit} of {drawn} numerals found");
    running.signal(running.pid(), "INT");
    assert!(running.wait(LONG).success());
    place.assert_clean();
}

fn iou(a: &serde_json::Value, b: &serde_json::Value) -> f64 {
    let v = |j: &serde_json::Value, i: usize| j[i].as_f64().expect("a number");
    let side = |lo: usize| (v(a, lo + 2).min(v(b, lo + 2)) - v(a, lo).max(v(b, lo))).max(0.0);
    let area = |j| (v(j, 2) - v(j, 0)) * (v(j, 3) - v(j, 1));
    let both = side(0) * side(1);
    both / (area(a) + area(b) - both)
}

#[test]
fn killed_stages_come_back_alone_and_every_frame_is_still_accounted_for() {
    let place = Place::new();
    let summary = place.path("summary.json");
    let flag = format!("--summary={}", summary.display());
    let mut running = place.start(&["run", SYNTH, "--http=off", &flag]);
    running.wait_for("first detection");
    let (generation, frames) = newest(&place);
    let mut seen = vec![(generation, frames)];
    for name in ["infer", "capture", "render", "infer", "capture"] {
        let others: Vec<_> = ["capture", "infer", "render"]
            .into_iter()
            .filter(|o| *o != name)
            .collect();
        let before: Vec<_> = others.iter().map(|o| running.stage(o)).collect();
        let killed = running.stage(name).unwrap();
        running.signal(killed, "KILL");
        until("a new process", || {
            running.stage(name).filter(|pid| *pid != killed)
        });
        if name != "render" {
            let last = *seen.last().unwrap();
            // Detections flow again, under a new generation of what was killed.
            seen.push(until("detections", || {
                Some(newest(&place)).filter(|now| *now != last)
            }));
        }
        let after: Vec<_> = others.iter().map(|o| running.stage(o)).collect();
        assert_eq!(before, after, "the others stay when {name} is killed");
    }
    assert_eq!(
        running
            .log()
            .matches("was killed by signal 9; starting it again")
            .count(),
        5
    );
    assert!(seen.is_sorted() && seen.len() == 5, "{seen:?}");
    running.signal(running.pid(), "TERM");
    assert!(running.wait(LONG).success(), "{}", running.log());
    let s = read_json(&summary);
    assert_balanced(&s);
    assert_eq!(
        (
            s["restarts"]["infer"].as_u64(),
            s["restarts"]["capture"].as_u64()
        ),
        (Some(2), Some(2)),
        "{s}"
    );
    place.assert_clean();
}

/// A source so slow that the next life of infer finds the frame that its predecessor has recorded: it records it again,
/// and it is counted once.
#[test]
fn a_frame_that_two_lives_of_infer_record_is_counted_once() {
    let place = Place::new();
    let summary = place.path("summary.json");
    let flag = format!("--summary={}", summary.display());
    let source = "--source=synth:?fps=1&seed=1&glyphs=3";
    let mut running = place.start(&["run", source, "--http=off", &flag]);
    running.wait_for("first detection");
    let records = place.hanja(&["tap", "detections", "--json"]);
    let mut records = place.start_command(records, "records.txt");
    let newest = || {
        let log = records.log();
        let line = log.lines().rfind(|line| line.ends_with('}'))?;
        let record: serde_json::Value = serde_json::from_str(line).expect("a record");
        Some((record["generation"].clone(), record["frame"]["seq"].clone()))
    };
    let (mut last, mut repeated) = (until("a record", newest), 0);
    for _ in 0..4 {
        // Idle: the frame's record is out.
        let before = until("a record", || newest().filter(|now| *now != last));
        running.signal(running.stage("infer").expect("infer runs"), "KILL");
        last = until("its successor's record", || {
            newest().filter(|now| now.0 != before.0)
        });
        repeated += u32::from(last.1 == before.1);
    }
    assert!(repeated > 0, "nothing was tested: {}", records.log());
    records.signal(records.pid(), "INT");
    records.wait(LONG);
    running.signal(running.pid(), "TERM");
    assert!(running.wait(LONG).success(), "{}", running.log());
    assert_balanced(&read_json(&summary));
    place.assert_clean();
}

/// Generations of the newest detection record and of its frame.
fn newest(place: &Place) -> (u64, u64) {
    let out = place.output(&["tap", "detections", "--json", "--count=1"]);
    let record: serde_json::Value = serde_json::from_slice(&out.stdout).expect("one record");
    let n = |v: &serde_json::Value| v.as_u64().expect("a generation");
    (n(&record["generation"]), n(&record["frame"]["generation"]))
}

#[test]
fn it_ends_within_two_seconds_and_leaves_nothing() {
    for signal in ["INT", "TERM"] {
        let place = Place::new();
        let mut running = place.start(&["run", SYNTH, "--http=127.0.0.1:0"]);
        running.wait_for("first detection");
        running.signal(running.pid(), signal);
        let started = Instant::now();
        assert!(
            running.wait(Duration::from_secs(10)).success(),
            "{}",
            running.log()
        );
        assert!(
            started.elapsed() < Duration::from_secs(2),
            "{:?} after SIG{signal}",
            started.elapsed()
        );
        place.assert_clean();
    }
}

#[test]
fn a_stopped_stage_is_killed_at_the_end() {
    let place = Place::new();
    let mut running = place.start(&["run", SYNTH, "--http=off"]);
    running.wait_for("first detection");
    running.signal(running.stage("infer").unwrap(), "STOP");
    running.signal(running.pid(), "TERM");
    let started = Instant::now();
    assert!(
        running.wait(Duration::from_secs(10)).success(),
        "{}",
        running.log()
    );
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    place.assert_clean();
}

#[test]
fn stages_end_with_a_killed_supervisor() {
    let place = Place::new();
    let mut running = place.start(&["run", SYNTH, "--http=off"]);
    running.wait_for("first detection");
    running.signal(running.pid(), "KILL");
    running.wait(LONG);
    until("the stages to end", || {
        processes(&place.runtime_dir()).is_empty().then_some(())
    });
    // The next start finds what is left of the directory and uses it.
    assert_balanced(&place.summary("synth:", "1s"));
}

/// What a file says reaches a stage, at a restart again, whatever became of the file.
#[test]
fn a_restarted_stage_gets_the_same_configuration() {
    let place = Place::new();
    let file = place.path("hanja.toml");
    let source = SYNTH.trim_start_matches("--source=");
    let text = format!(
        "[capture]\nsource = '{source}'\n[infer]\nmodel = 'hanja-n'\nsize = 160\n[render]\nhttp = 'off'\n"
    );
    std::fs::write(&file, text).unwrap();
    let flag = format!("--config={}", file.display());
    let running = place.start(&["run", &flag]);
    let infer = || {
        let out = place.output(&["tap", "stats", "--json", "--count=6"]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let rows = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let mut rows = rows.filter(|row| row["stage"] == "infer");
        let infer = rows.next_back()?;
        let what = infer["what"].as_str().unwrap();
        assert!(what.contains("hanja-n"), "{infer}");
        infer["pid"].as_i64()
    };
    let first = until("infer's word", infer);
    std::fs::write(&file, "[infer]\nmodel = 'hanja-pico'\n").unwrap();
    running.signal(first as i32, "KILL");
    until("another infer's word", || {
        infer().filter(|pid| *pid != first)
    });
}

#[test]
fn a_stream_on_standard_input_ends_the_pipeline() {
    let place = Place::new();
    let summary = place.path("summary.json");
    let flag = format!("--summary={}", summary.display());
    let mut child = place
        .hanja(&["run", "--source=y4m:-", "--http=off", &flag])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"YUV4MPEG2 W64 H48 F30:1 C420jpeg\n")
        .unwrap();
    for n in 0..12u8 {
        stdin.write_all(b"FRAME\n").unwrap();
        stdin.write_all(&vec![100 + n; 64 * 48 * 3 / 2]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(stdin);
    let started = Instant::now();
    let status = until("the end", || child.try_wait().unwrap());
    assert!(status.success() && started.elapsed() < Duration::from_secs(5));
    let s = read_json(&summary);
    assert_balanced(&s);
    assert_eq!(s["frames"]["captured"], 12, "{s}");
    place.assert_clean();
}

#[test]
fn a_clip_is_played_once() {
    let place = Place::new();
    let clip: Vec<u8> = (0..10).flat_map(|_| jpeg(160, 120)).collect();
    std::fs::write(place.path("clip.mjpeg"), clip).unwrap();
    let s = place.summary(
        &format!("file:{}?fps=20", place.path("clip.mjpeg").display()),
        "30s",
    );
    assert_balanced(&s);
    assert_eq!(s["frames"]["captured"], 10, "{s}");
    place.assert_clean();
}
