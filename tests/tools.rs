//! The other commands: taps, still pictures, doctor.

use crate::harness::*;
use std::io::Read;
use std::process::{Command, Stdio};

#[test]
fn taps_in_every_form() {
    let place = Place::new();
    let running = place.start(&["run", "--source=synth:?size=320x240&fps=20", "--http=off"]);
    running.wait_for("first detection");
    let json = |topic: &str| -> serde_json::Value {
        let out = place.output(&["tap", topic, "--json", "--count=3"]);
        let text = String::from_utf8(out.stdout).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    };
    let record = json("detections");
    for key in [
        "frame",
        "backend",
        "model",
        "status",
        "detections",
        "times_ns",
        "end_to_end_ms",
    ] {
        assert!(record.get(key).is_some(), "{key} is missing: {record}");
    }
    // Ten integer microseconds: the stages sum to the whole, within 1 %.
    let sum: f64 = record["latency_ms"]
        .as_object()
        .unwrap()
        .values()
        .map(|v| v.as_f64().unwrap())
        .sum();
    let whole = record["end_to_end_ms"].as_f64().unwrap();
    assert!((sum - whole).abs() <= 0.01 * whole, "{sum} and {whole}");
    assert_eq!(json("frames")["width"], 320);
    assert!(json("stats")["fps"].as_f64() > Some(1.0));
    let stats = place
        .output(&["tap", "stats", "--json", "--count=6"])
        .stdout;
    let stats = String::from_utf8(stats).unwrap();
    let infer: serde_json::Value = stats
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|s: &serde_json::Value| s["stage"] == "infer")
        .unwrap();
    let choice = infer["backend_choice"].as_str().unwrap();
    assert!(
        choice.starts_with("rten; not tensorrt: ") && choice.contains("; not onnxruntime: "),
        "{choice}"
    );
    let raw = place.output(&["tap", "frames", "--count=2"]);
    assert_eq!(raw.stdout.len(), 2 * 320 * 240 * 2);
    let picture = image::load_from_memory(
        &place
            .output(&["tap", "frames", "--format=jpeg", "--count=1"])
            .stdout,
    )
    .unwrap();
    assert_eq!((picture.width(), picture.height()), (320, 240));
    let y4m = place
        .output(&["tap", "frames", "--format=y4m", "--count=2", "-"])
        .stdout;
    assert!(
        y4m.starts_with(b"YUV4MPEG2 W320 H240 F20:1 "),
        "the rate is the source's"
    );
    let header = y4m.iter().position(|b| *b == b'\n').unwrap() + 1;
    assert_eq!(y4m.len() - header, 2 * (6 + 320 * 240 * 3 / 2));
}

#[test]
fn a_tap_writes_to_standard_output_only() {
    let place = Place::new();
    let out = place.output(&["tap", "frames", "clip.y4m"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out).contains("> clip.y4m"), "{}", text(&out));
    assert!(!place.path("clip.y4m").exists());
}

#[test]
fn a_tap_whose_reader_leaves_ends_quietly() {
    let place = Place::new();
    let running = place.start(&["run", "--source=synth:", "--http=off"]);
    running.wait_for("first detection");
    let mut tap = place
        .hanja(&["tap", "detections", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    tap.stdout.take().unwrap().read_exact(&mut first).unwrap(); // and close
    let status = until("the end of the tap", || tap.try_wait().unwrap());
    let mut errors = String::new();
    tap.stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert!(status.success() && errors.is_empty(), "{status} {errors}");
}

#[test]
fn a_tap_without_a_pipeline_says_so_and_waits() {
    let place = Place::new();
    let mut tap = place
        .hanja(&["tap", "detections", "--json", "--count=1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stderr = std::io::BufReader::new(tap.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    assert!(
        line.contains("nothing to tap") && line.contains("hanja run"),
        "{line}"
    );
    let _running = place.start(&["run", "--source=synth:", "--http=off"]);
    let status = until("the first record", || tap.try_wait().unwrap());
    assert!(status.success());
}

#[test]
fn still_pictures() {
    let place = Place::new();
    let pictures = place.path("pictures");
    std::fs::create_dir(&pictures).unwrap();
    std::fs::write(pictures.join("a.jpg"), jpeg(320, 240)).unwrap();
    image::GrayImage::new(50, 40)
        .save(pictures.join("b.png"))
        .unwrap();
    let (dir, save) = (
        pictures.display().to_string(),
        place.path("save").display().to_string(),
    );
    let out = place.output(&["detect", &dir, "--json", "--save", &save]);
    assert!(out.status.success(), "{}", text(&out));
    let lines: Vec<serde_json::Value> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["image"].as_str().unwrap().ends_with("a.jpg"));
    assert_eq!(
        (&lines[1]["width"], &lines[1]["height"]),
        (&50.into(), &40.into())
    );
    assert!(lines[0]["detections"].is_array());
    assert_eq!(
        image::open(place.path("save").join("b.jpg"))
            .unwrap()
            .width(),
        50
    );
    // One bad picture: said, passed over, told by the exit status.
    std::fs::write(pictures.join("c.jpg"), &jpeg(320, 240)[..100]).unwrap();
    let out = place.output(&["detect", &dir, "--json"]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&out.stdout).lines().count(), 2);
    assert!(
        text(&out).contains("c.jpg") && text(&out).contains("1 of 3 pictures"),
        "{}",
        text(&out)
    );
    let out = place.output(&["detect", "/nowhere.jpg"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out).contains("/nowhere.jpg"));
}

#[test]
fn the_doctor_speaks_both_ways() {
    let place = Place::new();
    let out = place.output(&["doctor", "--json"]);
    assert!(out.status.success());
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let names: Vec<_> = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    for name in [
        "cameras",
        "shared memory",
        "runtime dir",
        "model",
        "engine cache",
        "tensorrt",
        "onnxruntime",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(text(&place.output(&["doctor"])).contains("shared memory"));
    place.assert_clean();
}

#[test]
fn the_models_inside_are_measured_by_name() {
    let out = Place::new().output(&["bench", "model", "--rounds=1", "--sizes=64,96", "--json"]);
    assert!(out.status.success(), "{}", text(&out));
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|r| r["model"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["embedded hanja-pico"; 2]);
    assert_eq!(names[2..], ["embedded hanja-n"; 2]);
    assert_eq!(rows[1]["input"], serde_json::json!([96, 96]));
    for row in rows {
        assert!(row["ms"].as_f64().unwrap() > 0.0, "{row}");
    }
    assert_eq!(rows[0]["ratio"], 1.0);
}

#[test]
fn every_command_has_help() {
    for command in [
        "run", "capture", "infer", "render", "tap", "detect", "doctor", "bench", "engine",
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_hanja"))
            .args([command, "--help"])
            .output()
            .unwrap();
        assert!(out.status.success() && out.stdout.len() > 100, "{command}");
    }
}
