//! `hanja-model eval` against pycocotools, on the same files.

// Helpers of tests may unwrap, as tests do.
#![allow(clippy::unwrap_used)]

mod support;

use hanja_model::eval::{Detection, Frame, Label, PixelBox};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;
use std::path::Path;
use std::process::Command;

/// Frames with labels and the answers of a middling model: shifted, missed, doubled, misread and
/// invented boxes.
fn frames(seed: u64, count: usize) -> Vec<Frame> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let square = |rng: &mut Pcg64Mcg| {
        let (x1, y1) = (rng.random_range(0.0..500.0), rng.random_range(0.0..400.0));
        let (w, h) = (rng.random_range(10.0..100.0), rng.random_range(10.0..80.0));
        PixelBox {
            x1,
            y1,
            x2: x1 + w,
            y2: y1 + h,
        }
    };
    let frame = |index: usize| {
        let mut frame = Frame {
            name: format!("{index:04}.png"),
            width: 640,
            height: 480,
            ..Frame::default()
        };
        for _ in 0..rng.random_range(0..12) {
            let area = square(&mut rng);
            let class = rng.random_range(0..10);
            frame.labels.push(Label { class, area });
            for _ in 0..rng.random_range(0..3) {
                let mut moved = |v: f64| v + rng.random_range(-4.0..4.0);
                let area = PixelBox {
                    x1: moved(area.x1),
                    y1: moved(area.y1),
                    x2: moved(area.x2),
                    y2: moved(area.y2),
                };
                let read = if rng.random_bool(0.9) {
                    class
                } else {
                    rng.random_range(0..10)
                };
                // Two decimals, so that there are ties.
                let score = f64::from(rng.random_range(20..100)) / 100.0;
                frame.detections.push(Detection {
                    class: read,
                    score,
                    area,
                });
            }
        }
        for _ in 0..rng.random_range(0..3) {
            let (class, score) = (
                rng.random_range(0..10),
                f64::from(rng.random_range(1..60)) / 100.0,
            );
            frame.detections.push(Detection {
                class,
                score,
                area: square(&mut rng),
            });
        }
        frame
    };
    (0..count).map(frame).collect()
}

/// The frames as files: a data set in `folder`, and beside it what `hanja detect --json` would have printed.
fn write(folder: &Path, frames: &[Frame]) -> std::path::PathBuf {
    for place in ["images", "labels"] {
        std::fs::create_dir_all(folder.join(place)).unwrap();
    }
    let mut printed = String::new();
    for frame in frames {
        let (w, h) = (f64::from(frame.width), f64::from(frame.height));
        let picture = image::GrayImage::new(frame.width, frame.height);
        picture
            .save(folder.join("images").join(&frame.name))
            .unwrap();
        let line = |l: &Label| {
            let PixelBox { x1, y1, x2, y2 } = l.area;
            let (cx, cy) = ((x1 + x2) / 2.0 / w, (y1 + y2) / 2.0 / h);
            format!(
                "{} {cx} {cy} {} {}\n",
                l.class,
                (x2 - x1) / w,
                (y2 - y1) / h
            )
        };
        let labels: String = frame.labels.iter().map(line).collect();
        // A picture without labels has an empty file or none.
        if !labels.is_empty() || frame.name.contains('2') {
            let file = Path::new(&frame.name).with_extension("txt");
            std::fs::write(folder.join("labels").join(file), labels).unwrap();
        }
        let found = |d: &Detection| {
            let PixelBox { x1, y1, x2, y2 } = d.area;
            serde_json::json!({"class": d.class, "score": d.score, "box": [x1, y1, x2, y2]})
        };
        let found: Vec<_> = frame.detections.iter().map(found).collect();
        let line = serde_json::json!({"image": frame.name, "width": frame.width,
            "height": frame.height, "detections": found});
        printed.push_str(&format!("{line}\n"));
    }
    let file = folder.join("detections.json");
    std::fs::write(&file, printed).unwrap();
    file
}

fn eval(folder: &Path, detections: &Path) -> serde_json::Value {
    let (folder, detections) = (folder.to_str().unwrap(), detections.to_str().unwrap());
    let arguments = [
        "eval",
        "--json",
        "--data",
        folder,
        "--detections",
        detections,
    ];
    let (code, out, err) = support::run(&arguments);
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap()
}

/// The same by pycocotools; `None` where no Python with it is installed, which ci/eval.sh forbids.
fn pycocotools(folder: &Path, detections: &Path) -> Option<serde_json::Value> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/coco.py");
    let run = Command::new(python)
        .arg(script)
        .arg(folder)
        .arg(detections)
        .output();
    let there = matches!(&run, Ok(run) if run.status.code() != Some(77));
    if !there && std::env::var_os("PYCOCOTOOLS_REQUIRED").is_none() {
        return None;
    }
    let run = run.unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    Some(serde_json::from_slice(&run.stdout).unwrap())
}

/// Many more boxes than count (300 a picture and class), and few different scores.
fn crowd(seed: u64) -> Vec<Frame> {
    let mut all = frames(seed, 12);
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    for frame in &mut all[3..6] {
        for i in 0..900 {
            let (x1, y1) = (f64::from(i % 30) * 20.0, f64::from(i / 30) * 15.0);
            let area = PixelBox {
                x1,
                y1,
                x2: x1 + 18.0,
                y2: y1 + 13.0,
            };
            let class = rng.random_range(0..2);
            if rng.random_bool(0.8) {
                frame.labels.push(Label { class, area });
            }
            let mut moved = |v: f64| v + rng.random_range(-3.0..3.0);
            let area = PixelBox {
                x1: moved(x1),
                y1: moved(y1),
                x2: moved(area.x2),
                y2: moved(area.y2),
            };
            let score = f64::from(rng.random_range(1..10)) / 10.0;
            frame.detections.push(Detection { class, score, area });
        }
    }
    all
}

/// (mAP50, mAP50-95) that pycocotools gave, for where it is not installed. They hold for the pinned version of
/// `rand_pcg`; a change of its stream changes the frames, and these.
fn cases() -> Vec<(&'static str, Vec<Frame>, f64, f64)> {
    let mut no_fours = frames(4, 40);
    for frame in &mut no_fours {
        frame.labels.retain(|l| l.class != 3); // their detections stay
    }
    vec![
        ("seed 1", frames(1, 40), 0.580_486_038_7, 0.359_016_899_4),
        ("seed 2", frames(2, 40), 0.473_592_860_4, 0.305_405_280_6),
        ("seed 3", frames(3, 40), 0.529_656_031_4, 0.340_900_809_9),
        (
            "a class without labels",
            no_fours,
            0.512_679_005_9,
            0.327_677_031_6,
        ),
        ("crowded", crowd(5), 0.622_493_269_3, 0.381_500_344_3),
    ]
}

#[test]
fn scores_agree_with_pycocotools() {
    for (name, frames, recorded50, recorded) in cases() {
        let folder = tempfile::tempdir().unwrap();
        let detections = write(folder.path(), &frames);
        let ours = eval(folder.path(), &detections);
        let number = |of: &serde_json::Value, key: &str| of[key].as_f64().unwrap();
        let same = |a: f64, b: f64, what: &str| {
            assert!((a - b).abs() < 1e-6, "{name}, {what}: {a}, pycocotools {b}");
        };
        let theirs = pycocotools(folder.path(), &detections);
        let means = |of: &serde_json::Value| (number(of, "map50"), number(of, "map50_95"));
        let (want50, want) = theirs.as_ref().map_or((recorded50, recorded), means);
        let recorded_is_right = (want50 - recorded50).abs() + (want - recorded).abs() < 1e-6;
        assert!(
            recorded_is_right,
            "{name}: pycocotools gives {want50:.10}, {want:.10}"
        );
        same(number(&ours, "map50"), want50, "mAP50");
        same(number(&ours, "map50_95"), want, "mAP50-95");
        let Some(theirs) = theirs else {
            continue;
        };
        for (class, ours) in ours["classes"].as_array().unwrap().iter().enumerate() {
            for key in ["ap50", "ap50_95"] {
                let theirs = number(&theirs["classes"][class], key);
                same(number(ours, key), theirs, &format!("class {class}, {key}"));
            }
        }
    }
}
