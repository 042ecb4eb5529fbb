//! `hanja-model crops` on the real executable.

// Helpers of tests may unwrap, as tests do.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use support::run;

/// Lines of `crops.csv` without the header.
fn lines(out: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(out.join("crops.csv")).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    assert_eq!(
        lines.next().as_deref(),
        Some("there,class,score,side,picture")
    );
    lines.collect()
}

#[test]
fn every_label_has_its_crop_and_every_crop_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (set, out) = (folder.path().join("set"), folder.path().join("crops"));
    let (set, out_text) = (set.to_str().unwrap(), out.to_str().unwrap());
    let (code, printed, err) = run(&["synth", "--out", set, "--count", "6", "--size", "256"]);
    assert_eq!(code, Some(0), "{printed}{err}");
    let labels: usize = std::fs::read_dir(Path::new(set).join("labels"))
        .unwrap()
        .map(|f| std::fs::read_to_string(f.unwrap().path()).unwrap())
        .map(|text| text.lines().count())
        .sum();
    let arguments = [
        "crops", "--data", set, "--out", out_text, "--conf", "0.2", "--size", "256",
    ];
    let (code, printed, err) = run(&arguments);
    assert_eq!(code, Some(0), "{printed}{err}");

    let lines = lines(&out);
    assert!(
        labels > 0 && lines.len() > labels,
        "{labels} labels, {} crops",
        lines.len()
    );
    let unfound = lines.iter().filter(|l| l.split(',').nth(1) == Some(""));
    let numerals = unfound.filter(|l| !l.starts_with("10,"));
    assert_eq!(numerals.count(), labels, "one beside each label");
    for line in &lines {
        let fields: Vec<_> = line.split(',').collect();
        assert!(fields[0].parse::<usize>().unwrap() <= 10, "{line}");
        let score: Option<f32> = fields[2].parse().ok();
        assert_eq!(score.is_some(), !fields[1].is_empty(), "{line}");
        assert!(score.is_none_or(|s| (0.2..=1.0).contains(&s)), "{line}");
        assert!(
            fields[3].parse::<f32>().unwrap() > 0.0 && fields[4].ends_with(".jpg"),
            "{line}"
        );
    }
    let sheet = image::open(out.join("sheet-0000.png"))
        .unwrap()
        .into_luma8();
    assert_eq!(sheet.dimensions(), (40 * 40, 50 * 40));
    // A crop is a part of the picture, not a grey square.
    let first: Vec<u8> = (0..1600)
        .map(|i| sheet.get_pixel(i % 40, i / 40).0[0])
        .collect();
    let (low, high) = (first.iter().min().unwrap(), first.iter().max().unwrap());
    assert!(high - low > 20, "{low} to {high}");

    let (code, _, err) = run(&arguments);
    assert!(code == Some(1) && err.contains("is there already"), "{err}");
}

#[test]
fn a_data_set_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("crops");
    let (code, _, err) = run(&[
        "crops",
        "--data",
        "/no/such/set",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(code == Some(1) && err.contains("/no/such/set"), "{err}");
    assert!(!out.exists());
}
