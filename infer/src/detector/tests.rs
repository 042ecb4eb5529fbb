//! The embedded model on handwriting that it was not trained on pixel by pixel, and models that are none.

use super::*;
use hanja_pen::{Pen, Style, fit, numeral, rasterize};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

fn config() -> InferConfig {
    InferConfig {
        threads: Some(1),
        ..InferConfig::default()
    }
}

fn load_error(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let config = InferConfig {
        model: Some(file.path().into()),
        ..config()
    };
    let error = Detector::load(&config).unwrap_err().to_string();
    assert!(
        error.contains(file.path().to_str().unwrap()) && !error.contains('\n'),
        "{error}"
    );
    error
}

/// White paper with the ten numerals in two rows; their classes and places.
fn page() -> (Vec<u8>, Vec<(u16, f32, f32)>) {
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
    assert_eq!(detector.model_info().names, record::NUMERALS);
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
    assert!(load_error(b"").contains("not a usable ONNX model"));
    assert!(load_error(b"PK\x03\x04 something else").contains("not a usable ONNX model"));
    assert!(load_error(&EMBEDDED[..EMBEDDED.len() / 2]).contains("not a usable ONNX model"));
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

/// As much of ONNX's protobuf as a one-node model needs.
mod onnx {
    fn field(number: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut len = body.len();
        while len > 127 {
            out.push(len as u8 | 0x80);
            len >>= 7;
        }
        out.push(len as u8);
        out.extend(body);
        out
    }

    fn number(field: u8, value: u8) -> Vec<u8> {
        vec![field << 3, value]
    }

    fn value_info(name: &str, dims: &[u8]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|d| field(1, &number(1, *d))).collect();
        let tensor = [number(1, 1), field(2, &dims)].concat();
        [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
    }

    /// A model that gives its input back.
    pub(super) fn identity(input: &[u8], outputs: &[&str]) -> Vec<u8> {
        let nodes = outputs.iter().flat_map(|o| {
            let node = [
                field(1, b"in"),
                field(2, o.as_bytes()),
                field(4, b"Identity"),
            ]
            .concat();
            field(1, &node)
        });
        let mut graph: Vec<u8> = nodes.collect();
        graph.extend(field(2, b"g"));
        graph.extend(field(11, &value_info("in", input)));
        graph.extend(
            outputs
                .iter()
                .flat_map(|o| field(12, &value_info(o, input))),
        );
        let opset = field(8, &number(2, 13));
        [number(1, 8), field(7, &graph), opset].concat()
    }
}

#[test]
fn models_of_another_kind_are_said() {
    let e = load_error(&onnx::identity(&[1, 3, 64, 64], &["out"]));
    assert!(e.contains("[1, n, 5 + classes]"), "{e}");
    let e = load_error(&onnx::identity(&[1, 3, 64], &["out"]));
    assert!(e.contains("3 dimensions"), "{e}");
    let e = load_error(&onnx::identity(&[1, 1, 64, 64], &["out"]));
    assert!(e.contains("3 channels"), "{e}");
    let e = load_error(&onnx::identity(&[4, 3, 64, 64], &["out"]));
    assert!(e.contains("batch size"), "{e}");
    let e = load_error(&onnx::identity(&[1, 3, 64, 64], &["a", "b", "c"]));
    assert!(e.contains("3 outputs"), "{e}");
    let e = load_error(&onnx::identity(&[1, 3, 33, 64], &["out"]));
    assert!(e.contains("multiple of 32"), "{e}");
}

#[test]
fn backends_that_are_not_there_are_refused_by_name() {
    for (name, want) in [
        ("tensorrt", "not part of this version"),
        ("cuda", "there is no backend of that name"),
    ] {
        let config = InferConfig {
            backend: name.into(),
            ..config()
        };
        let error = Detector::load(&config).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(want), "{error}");
    }
    let detector = Detector::load(&config()).unwrap();
    assert_eq!(detector.model_info().passed_over.len(), 2);
}
