//! The embedded model on handwriting that it was not trained on pixel by pixel, and models that are none.

mod onnx;

use super::*;
use crate::model::EMBEDDED;
use hanja_handwriting::{Pen, Style, fit, numeral, rasterize};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

fn config() -> InferConfig {
    InferConfig {
        backend: test_backend(),
        threads: Some(1),
        ..InferConfig::default()
    }
}

fn load(bytes: &[u8]) -> Result<Detector, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let config = InferConfig {
        model: Some(file.path().into()),
        size: 64,
        ..config()
    };
    Detector::load(&config).map_err(|error| {
        let error = error.to_string();
        let named = error.contains(file.path().to_str().unwrap());
        assert!(named && !error.contains('\n'), "{error}");
        error
    })
}

fn load_error(bytes: &[u8]) -> String {
    load(bytes).unwrap_err()
}

fn white(bytes: &[u8], width: u32) -> FrameRef<'_> {
    FrameRef {
        format: PixelFormat::Grey,
        width,
        height: bytes.len() as u32 / width,
        stride: width,
        bytes,
    }
}

/// White paper with the ten numerals in two rows; their classes and places.
pub(crate) fn page() -> (Vec<u8>, Vec<(u16, f32, f32)>) {
    let mut rng = Pcg64Mcg::seed_from_u64(7);
    let (mut grey, mut places) = (vec![235u8; 640 * 480], Vec::new());
    for class in 0..10usize {
        let (left, top) = (20 + class % 5 * 122, 60 + class / 5 * 200);
        let strokes = fit(&numeral(class, Style::Regular, &mut rng), 5.0, 5.0, 95.0);
        let mask = rasterize(&strokes, &Pen::new(5.0), 105, 105, &mut rng);
        for (i, c) in mask.data().iter().enumerate() {
            let p = &mut grey[(top + i / 105) * 640 + left + i % 105];
            *p = (u16::from(*p) * (255 - u16::from(*c)) / 255 + 30 * u16::from(*c) / 255) as u8;
        }
        places.push((class as u16, left as f32 + 52.0, top as f32 + 52.0));
    }
    (grey, places)
}

#[test]
fn the_embedded_model_reads_a_page() {
    let mut detector = Detector::load(&config()).unwrap();
    assert_eq!(detector.model_info().names, hanja_record::NUMERALS);
    let (grey, places) = page();
    let frame = FrameRef {
        format: PixelFormat::Grey,
        width: 640,
        height: 480,
        stride: 640,
        bytes: &grey,
    };
    let found = detector.detect(&frame).unwrap().clone();
    let hit = |(class, x, y): &(u16, f32, f32)| {
        found.detections.iter().any(|d| {
            d.class == *class && d.x1 < *x && d.x2 > *x && d.y1 - 30.0 < *y && d.y2 + 30.0 > *y
        })
    };
    let hits = places.iter().filter(|p| hit(p)).count();
    assert!(hits >= 9, "{hits} of 10: {:?}", found.detections);
    assert!(found.detections.len() <= 12, "{:?}", found.detections);
    assert!(found.detections.is_sorted_by(|a, b| a.score >= b.score));
    let again = detector.detect(&frame).unwrap();
    assert_eq!(
        again.detections, found.detections,
        "the same picture gives the same answer"
    );
}

#[test]
fn empty_paper_is_empty() {
    let mut detector = Detector::load(&config()).unwrap();
    let grey = vec![200; 320 * 240];
    let frame = FrameRef {
        format: PixelFormat::Grey,
        width: 320,
        height: 240,
        stride: 320,
        bytes: &grey,
    };
    assert!(detector.detect(&frame).unwrap().detections.is_empty());
}

#[test]
fn what_is_no_model_is_said() {
    let (_, pico) = EMBEDDED[0];
    for (bytes, why) in [
        (&b""[..], "it is empty"),
        (b"PK\x03\x04 something else", "PyTorch checkpoint"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "git lfs pull",
        ),
        (b"ftrt\0\0\0\0", "TensorRT engine"),
        (b"no model at all", "not a usable ONNX model"),
        (&pico[..pico.len() / 2], "not a usable ONNX model"),
    ] {
        let error = load_error(bytes);
        assert!(
            error.contains(why) && error.contains("not a usable ONNX model"),
            "{error}"
        );
    }
    let missing = InferConfig {
        model: Some("/nowhere/m.onnx".into()),
        ..config()
    };
    let error = Detector::load(&missing).unwrap_err().to_string();
    assert!(
        error.contains("cannot read the model /nowhere/m.onnx"),
        "{error}"
    );
}

#[test]
fn models_of_another_kind_are_said() {
    let identity = |input: &[onnx::Dim]| onnx::Model::new(onnx::F32, input).identity("out", input);
    let square = onnx::Model::new(onnx::F32, &[1, 3, 64, 64]);
    let reshaped = |shape| onnx::Model::new(onnx::F32, &[1, 3, 64, 64]).reshape("out", shape);
    let heads = ["a", "b", "c"]
        .iter()
        .fold(square, |m, name| m.reshape(name, [1, 3, 8, 8, 64]));
    let others = ["a", "b", "c"]
        .iter()
        .fold(onnx::Model::new(onnx::F32, &[1, 3, 64, 64]), |m, name| {
            m.identity(name, &[1, 3, 64, 64])
        });
    for (model, why) in [
        (identity(&[1, 3, 64, 64]), "[1, n, 5 + classes]"),
        (identity(&[1, 3, 64]), "3 dimensions"),
        (identity(&[1, 1, 64, 64]), "3 channels"),
        (identity(&[4, 3, 64, 64]), "batch size"),
        (identity(&[1, 3, 33, 64]), "multiple of 32"),
        (heads, "3 outputs raw maps"),
        (others, "3 outputs of other shapes"),
        (reshaped([1, 6, 2048]), "YOLOv8 or later"),
        (reshaped([2, 1024, 6]), "[1, n, 5 + classes]"),
        (
            onnx::Model::new(onnx::F32, &[1, 3, 64, 64]).constant("out", [1, 24, 6]),
            "24 rows for 64x64 pixels",
        ),
        (
            reshaped([1, 2048, 6]).metadata("names", "{0: 'a', 1: 'b'}"),
            "6 columns, but 5 + 2 classes",
        ),
    ] {
        let error = load_error(&model.bytes());
        assert!(
            error.contains("not a YOLOv5 detection model") && error.contains(why),
            "{error}"
        );
    }
    // Says that any size will do, and then cannot.
    let error = load_error(
        &onnx::Model::new(onnx::F32, &[1, 3, 0, 0])
            .reshape("out", [1, 2000, 6])
            .bytes(),
    );
    assert!(error.contains("does not run on 64x64 pixels"), "{error}");
}

/// A model whose output is its input in rows of six: on white every row is a box of score 1 at the same place.
#[test]
fn exports_of_every_kind_load_and_run() {
    let raw = |m: onnx::Model| {
        ["p3", "p4", "p5"]
            .iter()
            .fold(m, |m, name| m.reshape(name, [1, 3, 8, 8, 16]))
    };
    let fixed = |element| onnx::Model::new(element, &[1, 3, 32, 32]).reshape("out", [1, 512, 6]);
    for (model, what) in [
        (fixed(onnx::F32), "fixed"),
        (fixed(onnx::F16), "fp16 input and output"),
        (raw(fixed(onnx::F32)), "with the raw maps of older exports"),
        (
            onnx::Model::new(onnx::F32, &[0, 3, 0, 0]).reshape("out", [1, -1, 6]),
            "free",
        ),
    ] {
        let mut detector = load(&model.metadata("names", "['white']").bytes()).unwrap();
        assert_eq!(detector.model_info().names, ["white"], "{what}");
        let found = detector.detect(&white(&[255; 32 * 32], 32)).unwrap();
        let d = found.detections[0];
        assert_eq!((d.class, d.score), (0, 1.0), "{what}");
        assert_eq!(
            (found.detections.len() as u32 + found.suppressed + found.capped),
            found.candidates,
            "{what}"
        );
        assert!(found.candidates >= 512, "{what}: {}", found.candidates);
    }
    let unnamed = load(&fixed(onnx::F32).bytes()).unwrap();
    assert_eq!(unnamed.model_info().names, ["class 0"]);
    assert_eq!(unnamed.model_info().input, (32, 32));
    // The stride that the file states is kept: 64 for the P6 models.
    let p6 = onnx::Model::new(onnx::F32, &[1, 3, 0, 0])
        .reshape("out", [1, -1, 6])
        .metadata("stride", "64");
    let config = config();
    assert_eq!(config.size % 64, 32);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), p6.bytes()).unwrap();
    let detector = Detector::load(&InferConfig {
        model: Some(file.path().into()),
        ..config
    })
    .unwrap();
    assert_eq!(detector.model_info().input, (448, 384));
}

/// Values of types that are no tensors, down to none at all.
#[test]
fn strange_types_are_survived() {
    let tensor: &[u8] = &[0x0a, 2, 0x08, 1];
    let inside = |number: u8, field: u8, inner: &[u8]| {
        let len = inner.len() as u8;
        [&[number << 3 | 2, len + 2, field << 3 | 2, len], inner].concat()
    };
    let kinds: [Option<Vec<u8>>; 10] = [
        None,
        Some(vec![]),
        Some(vec![0x0a, 0]),                            // a tensor of nothing
        Some(vec![0x0a, 2, 0x08, 0x63]),                // of an element type that is none
        Some(vec![0x3a, 0]),                            // opaque
        Some(vec![0x42, 2, 0x08, 1]),                   // sparse
        Some(inside(4, 1, tensor)),                     // a sequence
        Some(inside(4, 1, &[0x3a, 0])),                 // of opaque
        Some(inside(9, 1, tensor)),                     // optional
        Some(vec![0x2a, 6, 0x08, 7, 0x12, 2, 0x0a, 0]), // a map
    ];
    for (list, kind) in [11, 12]
        .iter()
        .flat_map(|l| kinds.iter().map(move |k| (l, k)))
    {
        let model = onnx::Model::new(onnx::F32, &[1, 3, 32, 32]).reshape("out", [1, 512, 6]);
        load_error(&model.stranger(*list, kind.as_deref()).bytes());
    }
}

#[test]
fn damaged_models_are_survived() {
    let model = onnx::Model::new(onnx::F32, &[1, 3, 32, 32]).reshape("out", [1, 512, 6]);
    let good = model.metadata("names", "{0: 'a'}").bytes();
    for at in 0..good.len() {
        for value in [0, 1, 0x7f, 0xff, good[at] ^ 0x80] {
            let mut bad = good.clone();
            bad[at] = value;
            let _ = load(&bad);
        }
        let _ = load(&good[..at]);
    }
}

#[test]
fn backends_that_are_not_there_are_refused_by_name() {
    for (name, want) in [
        ("tensorrt", "TensorRT library"),
        ("cuda", "there is no backend of that name"),
    ] {
        let config = InferConfig {
            backend: name.into(),
            ..config()
        };
        let error = Detector::load(&config).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(want), "{error}");
    }
}

#[test]
fn the_choice_is_described() {
    let info = |backend: &str| {
        let config = InferConfig {
            backend: backend.into(),
            ..config()
        };
        Detector::load(&config).unwrap().model_info().clone()
    };
    let named = info(&test_backend());
    assert!(named.passed_over.is_empty() && named.choice().starts_with(&test_backend()));
    let auto = info("auto");
    assert_eq!(auto.passed_over[0].0, "tensorrt");
    let choice = auto.choice();
    assert!(
        choice.starts_with(auto.backend.name()) && choice.contains("; not tensorrt: "),
        "{choice}"
    );
}
