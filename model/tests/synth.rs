//! `hanja-model synth` from outside: what it writes, that the seed determines it, and its errors. The
//! material is the handwriting model and a few pictures made here.

// Helpers of tests may unwrap, as tests do.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn synth(out: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hanja-model"))
        .arg("synth")
        .arg("--out")
        .arg(out)
        .args(arguments)
        .output()
        .unwrap()
}

/// Every file below `folder` by its relative path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Labels as (class, x1, y1, x2, y2) in pixels.
fn labels(file: &[u8], side: f32) -> Vec<(usize, [f32; 4])> {
    let text = std::str::from_utf8(file).unwrap();
    let read = |line: &str| {
        let n: Vec<f32> = line.split(' ').map(|w| w.parse().unwrap()).collect();
        let (cx, cy, w, h) = (n[1] * side, n[2] * side, n[3] * side, n[4] * side);
        (
            n[0] as usize,
            [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0],
        )
    };
    text.lines().map(read).collect()
}

#[test]
fn a_seed_decides_every_byte_whatever_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, seed: &str, threads: &str| {
        let out = folder.path().join(name);
        let run = Command::new(env!("CARGO_BIN_EXE_hanja-model"))
            .args([
                "synth", "--count", "12", "--size", "160", "--seed", seed, "--out",
            ])
            .arg(&out)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(
            run.status.success(),
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
        files(&out)
    };
    let first = make("a", "5", "1");
    assert_eq!(first.len(), 37);
    assert!(
        first == make("b", "5", "4"),
        "the number of threads changed the data set"
    );
    assert!(first != make("c", "6", "1"), "the seed changes nothing");
}

#[test]
fn all_classes_are_drawn_and_boxes_are_within_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    let run = synth(
        &out,
        &["--count", "60", "--size", "192", "--negatives", "0.2"],
    );
    assert!(run.status.success());
    let (mut classes, mut empty) = ([0; 10], 0);
    for (name, bytes) in files(&out).iter().filter(|(n, _)| n.starts_with("labels")) {
        let found = labels(bytes, 192.0);
        empty += usize::from(found.is_empty());
        for (class, [x1, y1, x2, y2]) in found {
            classes[class] += 1;
            let inside = x1 > -0.01 && y1 > -0.01 && x2 < 192.01 && y2 < 192.01;
            assert!(
                inside && x2 - x1 > 0.5 && y2 - y1 > 0.5,
                "{name:?} {class} {x1} {y1} {x2} {y2}"
            );
        }
    }
    assert!(classes.iter().all(|n| *n > 0), "{classes:?}");
    assert!((3..40).contains(&empty), "{empty} of 60 without numerals");
    let yaml = std::fs::read_to_string(out.join("data.yaml")).unwrap();
    assert!(yaml.contains("0: 一") && yaml.contains("9: 十") && yaml.contains("train: images"));
}

#[test]
fn classic_labels_agree_with_the_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    let run = synth(
        &out,
        &[
            "--preset",
            "classic",
            "--count",
            "40",
            "--format",
            "png",
            "--negatives",
            "0",
        ],
    );
    assert!(run.status.success());
    let (mut checked, mut off) = (0, Vec::new());
    let all = files(&out);
    for (name, bytes) in all.iter().filter(|(n, _)| n.starts_with("labels")) {
        let picture = out
            .join("images")
            .join(name.file_stem().unwrap())
            .with_extension("png");
        let grey = image::open(picture).unwrap().to_luma8();
        let found = labels(bytes, 320.0);
        for (class, want) in &found {
            // Where another box is near, its ink would be taken for this one's.
            let near = |o: &[f32; 4]| {
                o != want
                    && o[0] < want[2] + 9.0
                    && o[2] > want[0] - 9.0
                    && o[1] < want[3] + 9.0
                    && o[3] > want[1] - 9.0
            };
            let edge = want[0] < 8.0 || want[1] < 8.0 || want[2] > 312.0 || want[3] > 312.0;
            if edge || found.iter().any(|(_, o)| near(o)) {
                continue;
            }
            let got = dark_box(&grey, want);
            let worst = got
                .iter()
                .zip(want)
                .map(|(g, w)| (g - w).abs())
                .fold(0.0, f32::max);
            checked += 1;
            if worst > 2.0 {
                off.push((name, *class, got, *want));
            }
        }
    }
    assert!(checked > 20, "only {checked} boxes could be checked");
    // Thin, broken or blurred ends may fall below half of the ink's darkness.
    assert!(
        off.len() * 10 <= checked,
        "{} of {checked}: {off:?}",
        off.len()
    );
}

/// The box of what is darker than half-way to the darkest, within 7 pixels of `around`.
fn dark_box(grey: &image::GrayImage, around: &[f32; 4]) -> [f32; 4] {
    let (x0, y0) = (around[0] as u32 - 7, around[1] as u32 - 7);
    let (x1, y1) = (around[2] as u32 + 7, around[3] as u32 + 7);
    let level = |x, y| grey.get_pixel(x, y).0[0];
    let ground = f32::from(level(x0, y0).max(level(x1, y1)));
    let mut darkest = 255;
    for y in y0..=y1 {
        for x in x0..=x1 {
            darkest = darkest.min(level(x, y));
        }
    }
    let limit = (ground + f32::from(darkest)) / 2.0;
    let mut found = [f32::MAX, f32::MAX, 0.0, 0.0];
    for y in y0..=y1 {
        for x in x0..=x1 {
            if f32::from(level(x, y)) < limit {
                found[0] = found[0].min(x as f32);
                found[1] = found[1].min(y as f32);
                found[2] = f32::max(found[2], x as f32 + 1.0);
                found[3] = f32::max(found[3], y as f32 + 1.0);
            }
        }
    }
    found
}

#[test]
fn other_characters_are_boxed_apart_from_the_labels() {
    let folder = tempfile::tempdir().unwrap();
    let characters = folder.path().join("characters");
    std::fs::create_dir(&characters).unwrap();
    // A thick ring is written as it is, and as wide as it is high.
    let ring = |x: u32, y: u32| {
        let from_centre = (x as f32 - 31.5).hypot(y as f32 - 31.5);
        image::Luma([if (14.0..24.0).contains(&from_centre) {
            0
        } else {
            255
        }])
    };
    let picture = image::GrayImage::from_fn(64, 64, ring);
    picture.save(characters.join("ring.png")).unwrap();
    let out = folder.path().join("set");
    let characters = characters.to_str().unwrap();
    let made = [
        "--count",
        "40",
        "--size",
        "192",
        "--negatives",
        "1",
        "--distractors",
        characters,
    ];
    assert!(synth(&out, &made).status.success());
    let all = files(&out);
    let mut aspects = Vec::new();
    for (name, bytes) in &all {
        if name.starts_with("labels") {
            assert!(bytes.is_empty(), "{name:?} has a label");
        } else if name.starts_with("others") {
            for line in std::str::from_utf8(bytes).unwrap().lines() {
                let n: Vec<f32> = line.split(' ').map(|w| w.parse().unwrap()).collect();
                assert_eq!(n.len(), 4, "{line}");
                assert!(
                    n[0] - n[2] / 2.0 > -1e-4 && n[0] + n[2] / 2.0 < 1.0001,
                    "{line}"
                );
                assert!(
                    n[1] - n[3] / 2.0 > -1e-4 && n[1] + n[3] / 2.0 < 1.0001,
                    "{line}"
                );
                aspects.push(n[2] / n[3]);
            }
        }
    }
    assert!(
        aspects.len() > 20,
        "only {} other characters",
        aspects.len()
    );
    aspects.sort_by(f32::total_cmp);
    let median = aspects[aspects.len() / 2];
    assert!((0.8..1.25).contains(&median), "{median}");
}

#[test]
fn mistakes_get_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let broken = folder.path().join("strokes.json");
    std::fs::write(&broken, "{").unwrap();
    let (empty, broken) = (empty.to_str().unwrap(), broken.to_str().unwrap());
    for (arguments, words) in [
        (
            ["--chars", "/no/such/folder"],
            ["--chars", "no such folder"],
        ),
        (["--chars", empty], ["--chars", "1/ to 10/"]),
        (
            ["--distractors", "/no/such/folder"],
            ["--distractors", "no such folder"],
        ),
        (["--backgrounds", empty], ["--backgrounds", "photographs"]),
        (["--fonts", "/no/such.ttf"], ["--fonts", "No such file"]),
        (["--fonts", broken], ["--fonts", ".ttf or .otf"]),
        (["--strokes", broken], ["--strokes", "expected JSON"]),
        (["--size", "7"], ["--size 7", "between 64 and 2048"]),
        (["--negatives", "3"], ["--negatives 3", "0 to 1"]),
    ] {
        let run = synth(&out, &arguments);
        let text = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{arguments:?}: {text}");
        assert!(
            words.iter().all(|w| text.contains(w)),
            "{arguments:?}: {text}"
        );
        assert!(!out.exists(), "{arguments:?} left something behind");
    }
    assert_eq!(
        synth(&out, &["--preset", "nonsense"]).status.code(),
        Some(2)
    );
}

#[test]
fn an_existing_data_set_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("set");
    assert!(
        synth(&out, &["--count", "1", "--size", "64"])
            .status
            .success()
    );
    let again = synth(&out, &["--count", "1", "--size", "64"]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("already holds"));
}

#[test]
fn writers_are_held_out_and_unreadable_pictures_are_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let chars = folder.path().join("chars");
    for class in 1..=10 {
        let place = chars.join(class.to_string());
        std::fs::create_dir_all(&place).unwrap();
        for writer in [3, 10] {
            let ink = |x: u32, y: u32| {
                image::Luma([if (20..44).contains(&x) && (30..34).contains(&y) {
                    255
                } else {
                    0
                }])
            };
            let picture = image::GrayImage::from_fn(64, 64, ink);
            picture
                .save(place.join(format!("w{writer:03}_01.png")))
                .unwrap();
        }
    }
    std::fs::write(chars.join("1/w010_02.png"), b"not a picture").unwrap();
    std::fs::write(chars.join("1/w003_02.png"), b"not a picture").unwrap();
    let skipped = |writers: &str| {
        let out = folder.path().join(writers);
        let chars = chars.to_str().unwrap();
        let run = synth(
            &out,
            &[
                "--count",
                "1",
                "--size",
                "64",
                "--chars",
                chars,
                "--writers",
                writers,
            ],
        );
        assert!(run.status.success());
        String::from_utf8_lossy(&run.stderr).into_owned()
    };
    let (train, held_out, all) = (skipped("train"), skipped("held-out"), skipped("all"));
    assert!(
        train.contains("w003_02") && !train.contains("w010_02"),
        "{train}"
    );
    assert!(
        held_out.contains("w010_02") && !held_out.contains("w003_02"),
        "{held_out}"
    );
    assert!(all.contains("w010_02") && all.contains("w003_02"), "{all}");
}
