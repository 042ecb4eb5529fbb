//! `hanja-model eval` from outside.

// Helpers of tests may unwrap, as tests do.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use support::run;

/// A data set of two pictures in `folder`, and its perfect detections.
fn small_set(folder: &Path) -> String {
    std::fs::create_dir_all(folder.join("images")).unwrap();
    std::fs::create_dir_all(folder.join("labels")).unwrap();
    for name in ["a", "b"] {
        image::RgbImage::new(100, 100)
            .save(folder.join(format!("images/{name}.png")))
            .unwrap();
    }
    std::fs::write(folder.join("labels/a.txt"), "3 0.5 0.5 0.2 0.2\n").unwrap();
    let a = r#"{"image":"images/a.png","width":100,"height":100,"detections":[{"class":3,"label":"四","score":0.9,"box":[40,40,60,60]}]}"#;
    let b = r#"{"image":"images/b.png","width":100,"height":100,"detections":[]}"#;
    format!("{a}\n{b}\n")
}

fn run_eval(folder: &Path, detections: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let file = folder.join("detections.json");
    std::fs::write(&file, detections).unwrap();
    let (folder, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
    run(&[&["eval", "--data", folder, "--detections", file], more].concat())
}

#[test]
fn the_command_scores_what_detect_printed() {
    let folder = tempfile::tempdir().unwrap();
    let printed = small_set(folder.path());
    let curves = folder.path().join("curves.svg");
    let arguments = ["--json", "--curves", curves.to_str().unwrap()];
    let (code, out, err) = run_eval(folder.path(), &printed, &arguments);
    assert_eq!(code, Some(0), "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(
        (json["map50_95"].as_f64().unwrap() - 1.0).abs() < 1e-9,
        "{out}"
    );
    assert_eq!(json["false_positives_per_frame"], 0.0);
    assert_eq!(json["frames"], 2);
    assert!(
        std::fs::read_to_string(curves)
            .unwrap()
            .contains("polyline")
    );
    let (_, table, _) = run_eval(folder.path(), &printed, &[]);
    assert!(table.contains("四") && table.contains("100.00"), "{table}");
    assert!(
        table.contains("right by score:  from 0.9: 100.0 % of 1"),
        "{table}"
    );
    let (_, table, _) = run_eval(folder.path(), &printed, &["--bootstrap", "20"]);
    assert!(table.contains("mAP50 0.00 to 100.00"), "{table}");
}

#[test]
fn failures_are_listed_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let printed = small_set(folder.path()).replace("\"class\":3", "\"class\":8");
    let sheet = folder.path().join("failures.png");
    let arguments = ["--failures", sheet.to_str().unwrap()];
    let (code, _, err) = run_eval(folder.path(), &printed, &arguments);
    assert_eq!(code, Some(0), "{err}");
    for line in [
        "1. missed 四 0.00 a.png [40, 40, 60, 60]",
        "2. wrong 九 0.90 a.png [40, 40, 60, 60]",
    ] {
        assert!(err.contains(line), "{err}");
    }
    let drawn = image::open(&sheet).unwrap().into_rgb8();
    let has = |x: u32, colour| drawn.get_pixel(x, 80).0 == colour;
    assert!((0..160).any(|x| has(x, [30, 80, 230])), "no blue box");
    assert!((160..320).any(|x| has(x, [220, 30, 30])), "no red box");
}

#[test]
fn mistakes_get_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let printed = small_set(folder.path());
    let first = printed.lines().next().unwrap();
    let (code, _, err) = run_eval(folder.path(), first, &[]);
    assert!(
        code == Some(1) && err.contains("nothing on 1") && err.contains("b.png"),
        "{err}"
    );
    let (code, _, err) = run_eval(folder.path(), "nonsense", &[]);
    assert!(
        code == Some(1) && err.contains("hanja detect --json"),
        "{err}"
    );
    std::fs::write(folder.path().join("labels/b.txt"), "12 0.5 0.5 0.1 0.1").unwrap();
    let (code, _, err) = run_eval(folder.path(), &printed, &[]);
    assert!(code == Some(1) && err.contains("b.txt, line 1"), "{err}");
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    small_set(folder.path());
    let data = folder.path().to_str().unwrap();
    let (code, _, text) = run(&["eval", "--model", "/no/such/model.onnx", "--data", data]);
    assert!(
        code == Some(1)
            && text.contains("/no/such/model.onnx")
            && text.matches("No such file").count() == 1,
        "{text}"
    );
}
