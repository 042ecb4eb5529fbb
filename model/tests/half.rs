//! `hanja-model half` from outside: what it prints, and that the product finds the same with its model.

#![allow(clippy::unwrap_used)]

mod support;

use hanja_infer::Detector;
use hanja_onnx::Model;
use hanja_record::Detection;
use hanja_stage::config::InferConfig;
use std::path::Path;
use support::{bytes, run, shipped, small, spread, tensor};

/// The rows of the model's output with a score of at least 0.5. Nothing is suppressed: of two rows that are equally
/// good for a numeral, suppression may keep either.
fn detect(model: &Path, pictures: &Path) -> Vec<Vec<Detection>> {
    let mut detector = Detector::load(&InferConfig {
        model: Some(model.to_owned()),
        conf: Some(0.5),
        iou: 1.0,
        threads: Some(1),
        ..InferConfig::default()
    })
    .unwrap();
    let mut files: Vec<_> = std::fs::read_dir(pictures)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    let mut detect = |file: &std::path::PathBuf| {
        let picture = hanja_picture::read(file, u64::MAX).unwrap();
        detector.detect(&picture.view()).unwrap().detections.clone()
    };
    files.iter().map(&mut detect).collect()
}

/// The stated tolerance: scores to 0.02, corners to 0.5 pixels.
#[test]
fn the_product_finds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (code, _, err) = run(&[
        "synth",
        "--out",
        &path("set"),
        "--count",
        "24",
        "--seed",
        "11",
    ]);
    assert_eq!(code, Some(0), "{err}");
    compare(folder.path(), &[]);
    // Only stored so: rten and the product know no difference.
    compare(folder.path(), &["--storage"]);
}

/// What the product finds in the pictures of `folder`/set before and after `half` with these flags.
fn compare(folder: &Path, flags: &[&str]) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (set, output, model) = (path("set"), path("half.onnx"), shipped());
    let arguments = ["half", model.to_str().unwrap(), &output, "--data", &set];
    let (code, out, err) = run(&[&arguments[..], flags].concat());
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("mAP50 ") && out.contains("mAP50-95 "), "{out}");
    let pictures = folder.join("set/images");
    let (before, after) = (
        detect(&model, &pictures),
        detect(Path::new(&output), &pictures),
    );
    let mut compared = 0;
    for (before, after) in before.iter().zip(&after) {
        for d in before.iter().filter(|d| d.score > 0.52) {
            let close = |o: &&Detection| {
                let corners = [(o.x1, d.x1), (o.y1, d.y1), (o.x2, d.x2), (o.y2, d.y2)];
                o.class == d.class
                    && (o.score - d.score).abs() < 0.02
                    && corners.iter().all(|(a, b)| (a - b).abs() < 0.5)
            };
            assert!(
                after.iter().any(|o| close(&o)),
                "{d:?} is not among {after:?}"
            );
            compared += 1;
        }
    }
    assert!(
        compared > 50,
        "only {compared} detections could be compared"
    );
}

#[test]
fn values_beyond_fp16_are_clamped_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut values = spread(32);
    (values[3], values[4], values[5], values[6]) = (1e6, -65_536.0, f32::INFINITY, 65_519.0);
    let mut model = small();
    model.initializer[0] = tensor("a", &[8, 4, 1, 1], &values);
    std::fs::write(path("in.onnx"), bytes(model)).unwrap();
    let (code, _, err) = run(&["half", &path("in.onnx"), &path("out.onnx")]);
    assert_eq!(code, Some(0));
    assert_eq!(
        err,
        "warning: a: 2 values are beyond fp16 and became 65504 or -65504\n"
    );
    let model = Model::parse(&std::fs::read(path("out.onnx")).unwrap()).unwrap();
    let (_, tensor) = model
        .graph
        .tensors()
        .find(|(name, _)| *name == "a")
        .unwrap();
    let now = tensor.values().unwrap();
    assert_eq!(now[3..7], [65_504.0, -65_504.0, f32::INFINITY, 65_504.0]);
    let near = now
        .iter()
        .zip(&values)
        .filter(|(a, b)| (*a - *b).abs() < 5e-4)
        .count();
    assert_eq!(near, 28);
}

#[test]
fn a_product_of_unknown_type_is_left_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut model = small();
    model.node[1].domain = Some("com.example".into()); // what comes out of it, nobody knows
    std::fs::write(path("in.onnx"), bytes(model)).unwrap();
    let (code, out, err) = run(&["half", &path("in.onnx"), &path("out.onnx")]);
    assert!(
        code == Some(0) && out.contains("1 nodes compute in fp16"),
        "{out}"
    );
    assert!(err.contains("Conv /Conv/out stays f32"), "{err}");
}
