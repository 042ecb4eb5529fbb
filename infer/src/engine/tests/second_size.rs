//! The model that an engine is built from, with its second size, computes what two runs of the plain one do.

use super::super::build::prepared;
use super::super::building::Job;
use super::*;
use crate::backend::{Input, rten_for_tests};
use crate::model::ModelFile;
use crate::preprocess::BARS;
use hanja_stage::config::InferConfig;
use std::borrow::Cow;

const WIDTH: usize = 416;
const HEIGHT: usize = 320;
const COLUMNS: usize = 15;

/// The output's rows on one picture, planar RGB.
fn rows(file: &ModelFile, data: &[f32], width: usize, height: usize) -> Vec<[f32; COLUMNS]> {
    let config = InferConfig {
        threads: Some(1),
        ..InferConfig::default()
    };
    let mut backend = rten_for_tests(file, &config);
    let input = Input {
        data,
        height,
        width,
    };
    let output = backend.infer(input).unwrap();
    assert_eq!(output.columns, COLUMNS);
    output.data.as_chunks().0.to_vec()
}

/// A third of each side, averaged, with grey up to the next multiple of 32.
fn third(data: &[f32]) -> (Vec<f32>, usize, usize) {
    let (w, h) = (WIDTH / 3, HEIGHT / 3);
    let (full_w, full_h) = (w.next_multiple_of(32), h.next_multiple_of(32));
    let mut small = vec![BARS; 3 * full_w * full_h];
    for c in 0..3 {
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let near = (0..9).map(|k| (3 * y + k / 3) * WIDTH + 3 * x + k % 3);
            let sum: f32 = near.map(|at| data[c * WIDTH * HEIGHT + at]).sum();
            small[(c * full_h + y) * full_w + x] = sum / 9.0;
        }
    }
    (small, full_w, full_h)
}

fn close(a: f32, b: f32) -> bool {
    (a - b).abs() < 2e-3 * (1.0 + b.abs())
}

#[test]
fn the_second_size_is_in_the_graph() {
    let file = ModelFile::open(None).unwrap();
    let config = InferConfig::default();
    let dir = tempfile::tempdir().unwrap();
    let job = Job {
        second_size: Job::of(&file, &config).unwrap().second_size,
        ..super::building::job(dir.path())
    };
    assert!(job.second_size, "the ten numerals have one");
    let (bytes, notes) = prepared(&job, &file, false).unwrap();
    assert_eq!(notes, Vec::<String>::new());
    let twice = ModelFile::new(file.name.clone(), Cow::Owned(bytes.into_owned()));
    // Strokes on paper: two bars, one of which fills the frame.
    let dark = |x: usize, y: usize| {
        ((140..180).contains(&y) && (20..390).contains(&x))
            || ((40..48).contains(&y) && (60..100).contains(&x))
    };
    let data: Vec<f32> = (0..3 * WIDTH * HEIGHT)
        .map(|i| {
            if dark(i % WIDTH, i / WIDTH % HEIGHT) {
                0.1
            } else {
                0.85
            }
        })
        .collect();
    let both = rows(&twice, &data, WIDTH, HEIGHT);
    let first = rows(&file, &data, WIDTH, HEIGHT);
    let (small, width, height) = third(&data);
    let second = rows(&file, &small, width, height);
    assert_eq!(both.len(), first.len() + second.len());
    for (got, want) in both.iter().zip(&first) {
        assert!(
            got.iter().zip(want).all(|(a, b)| close(*a, *b)),
            "{got:?} {want:?}"
        );
    }
    let (mut counting, mut best) = (0, 0.0_f32);
    for (got, want) in both[first.len()..].iter().zip(&second) {
        let place = got[..4].iter().zip(&want[..4]);
        assert!(
            place.clone().all(|(a, b)| close(*a, 3.0 * b)),
            "{got:?} {want:?}"
        );
        let longer = 3.0 * want[2].max(want[3]);
        if longer > 83.3 {
            assert!(got[4..].iter().zip(&want[4..]).all(|(a, b)| close(*a, *b)));
            counting += 1;
            best = best.max(got[4] * got[5]);
        } else if longer < 83.1 {
            assert!(got[4..].iter().all(|v| *v == 0.0), "{got:?}");
        }
    }
    assert!((50..second.len() - 50).contains(&counting), "{counting}");
    assert!(
        best > 0.05,
        "the large bar looks like a 一 at the second size: {best}"
    );
}

#[test]
fn who_gets_one() {
    let file = ModelFile::open(None).unwrap();
    let of = |coarse_size, size| {
        let config = InferConfig {
            coarse_size,
            size,
            ..InferConfig::default()
        };
        Job::of(&file, &config).unwrap().second_size
    };
    assert!(of(None, 416) && of(Some(128), 416));
    assert!(!of(Some(0), 416) && !of(None, 192));
    let one = Key {
        second_size: true,
        ..key()
    };
    assert!(!one.serves(&key()) && one.file_name() != key().file_name());
    let said = key().difference(&one).unwrap();
    assert!(said.contains("second size no, not yes"), "{said}");
}

#[test]
fn half_and_second_size_go_together() {
    let file = ModelFile::open(None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let job = Job {
        second_size: true,
        ..super::building::job(dir.path())
    };
    let (bytes, _) = prepared(&job, &file, true).unwrap();
    let model = hanja_onnx::Model::parse(&bytes).unwrap();
    let convolutions = model
        .graph
        .nodes()
        .filter(|n| n.standard_operator() == Some("Conv"));
    let plain = hanja_onnx::Model::parse(&file.bytes).unwrap();
    let once = plain
        .graph
        .nodes()
        .filter(|n| n.standard_operator() == Some("Conv"));
    assert_eq!(convolutions.count(), 2 * once.count());
    // The weights are there once.
    assert!(bytes.len() * 10 < file.bytes.len() * 8, "{}", bytes.len());
}
