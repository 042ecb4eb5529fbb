//! ONNX files in and out: what is not changed stays, and damage is named.

#![allow(clippy::unwrap_used)]

mod support;

use hanja_onnx::half::half;
use hanja_onnx::wire::{Message, Value, owned};
use hanja_onnx::{Element, Model};
use proptest::prelude::*;
use rten_onnx::onnx::{DataLocation, TensorProto};
use support::{
    bytes, constant, graph, listed, listed_half, node, shipped, small, spread, tensor, value,
};

#[test]
fn an_untouched_file_comes_back_byte_for_byte() {
    for file in [std::fs::read(shipped()).unwrap(), bytes(small())] {
        assert!(Model::parse(&file).unwrap().to_bytes() == file);
    }
}

/// The model's bytes with a field that no version of ONNX has, in the model, its graph and each of the graph's parts.
fn with_unknown_fields(file: &[u8]) -> Vec<u8> {
    let mark = |message: &mut Message<'_>| message.push(4711, owned("from the future"));
    let mut model = Message::parse(file).unwrap();
    let mut graph = Message::parse(model.bytes(7).unwrap())
        .unwrap()
        .into_owned();
    for field in &mut graph.fields {
        if let (1 | 5 | 11 | 12, Value::Bytes(part)) = (field.number, &field.value) {
            let mut part = Message::parse(part).unwrap();
            mark(&mut part);
            field.value = owned(part.to_bytes());
        }
    }
    mark(&mut graph);
    model.set(7, owned(graph.to_bytes()));
    mark(&mut model);
    model.to_bytes()
}

#[test]
fn what_is_not_known_is_kept() {
    let file = with_unknown_fields(&bytes(small()));
    let marks = |file: &[u8]| file.windows(15).filter(|w| w == b"from the future").count();
    let before = marks(&file);
    assert_eq!(before, 9); // model, graph, 3 nodes, 2 tensors, input, output
    let mut model = Model::parse(&file).unwrap();
    assert!(model.to_bytes() == file);
    half(&mut model).unwrap();
    assert_eq!(marks(&model.to_bytes()), before);
}

#[test]
fn floats_are_found_wherever_they_stand() {
    let values = spread(8);
    let listed = listed("listed", &[2, 4], &values);
    let narrow = listed_half("narrow", &[2, 4], &values);
    let held = constant("held", tensor("", &[2, 4], &values));
    let uses = node("Sum", &["in", "raw", "listed", "narrow", "held"], &["out"]);
    let all = vec![tensor("raw", &[2, 4], &values), listed, narrow];
    let model = Model::parse(&bytes(graph(all, vec![held, uses]))).unwrap();
    let found: Vec<_> = model.graph.tensors().collect();
    let mut names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(names, ["held", "listed", "narrow", "raw"]);
    for (name, tensor) in found {
        let tolerance = if tensor.element() == Element::F16 {
            1e-3
        } else {
            0.0
        };
        let read = tensor.values().unwrap();
        assert_eq!(read.len(), 8, "{name}");
        assert!(
            read.iter()
                .zip(&values)
                .all(|(a, b)| (a - b).abs() <= tolerance),
            "{name}"
        );
    }
}

#[test]
fn damage_is_named() {
    let reason = |file: &[u8]| Model::parse(file).unwrap_err().to_string();
    assert!(reason(b"").contains("no graph"));
    assert!(reason(b"PK\x03\x04 a checkpoint").contains("not an ONNX model"));
    assert!(reason(&[bytes(small()), bytes(small())].concat()).contains("more than one graph"));
    let with =
        |tensor: TensorProto| bytes(graph(vec![tensor], vec![node("Relu", &["in"], &["out"])]));
    let good = || tensor("w", &[2, 2], &spread(4));
    for (tensor, words) in [
        (
            TensorProto {
                dims: vec![2, 3],
                ..good()
            },
            "tensor w: its shape [2, 3] needs 6 values of 4 bytes, but there are 16",
        ),
        (
            TensorProto {
                dims: vec![i64::MAX, 9],
                ..good()
            },
            "tensor w: its shape is too large",
        ),
        (
            TensorProto {
                dims: vec![-1],
                ..good()
            },
            "tensor w",
        ),
        (
            TensorProto {
                raw_data: None,
                ..good()
            },
            "but there are 0 bytes",
        ),
        (
            TensorProto {
                data_location: Some(DataLocation(1)),
                ..good()
            },
            "tensor w lies in another file (external data); write the model as one file",
        ),
        (
            TensorProto {
                raw_data: None,
                int32_data: vec![1, 2, 3, 70_000],
                data_type: Some(rten_onnx::onnx::DataType::FLOAT16),
                ..good()
            },
            "tensor w: 70000 is no fp16 value",
        ),
    ] {
        let said = reason(&with(tensor));
        assert!(said.contains(words), "{said}");
    }
    // The same in a constant, which has no name of its own.
    let held = constant(
        "held",
        TensorProto {
            name: None,
            dims: vec![3],
            ..good()
        },
    );
    let said = reason(&bytes(graph(Vec::new(), vec![held])));
    assert!(said.contains("tensor held: its shape"), "{said}");
}

#[test]
fn the_shape_of_the_input_is_read() {
    for name in ["hanja-pico.onnx", "hanja-n.onnx"] {
        let file = std::fs::read(shipped().with_file_name(name)).unwrap();
        let input = Model::parse(&file).unwrap().picture_input().unwrap();
        assert_eq!((input.name.as_str(), input.fixed()), ("images", None));
        assert_eq!(input.dims, [Some(1), Some(3), None, None]);
    }
    let said = |graph| {
        let model = Model::parse(&bytes(graph)).unwrap();
        model.picture_input().unwrap_err().to_string()
    };
    assert!(said(small()).contains("not the four dimensions"));
    let mut two = small();
    let second = value("second", rten_onnx::onnx::DataType::FLOAT);
    two.input.push(second);
    assert!(said(two).contains("more than one input"));
    let mut none = small();
    none.input.clear();
    assert!(said(none).contains("no input"));
}

/// Any bytes are an error or a model, and every operation on that model survives.
fn survive(file: &[u8]) {
    if let Ok(mut model) = Model::parse(file) {
        let _ = model.picture_input();
        let _ = half(&mut model);
    }
}

#[test]
fn every_cut_is_survived() {
    let file = bytes(small());
    for length in 0..file.len() {
        let cut = &file[..length];
        survive(cut);
        // Inside of the graph there is no way to take it for a whole one.
        if (8..file.len() - 80).contains(&length) {
            assert!(Model::parse(cut).is_err(), "cut at {length}");
        }
    }
}

proptest! {
    #[test]
    fn every_flipped_byte_is_survived(at in any::<prop::sample::Index>(), to: u8) {
        let mut file = bytes(graph(
            vec![tensor("a", &[4, 4, 1, 1], &spread(16)), tensor("g", &[4, 4], &spread(16))],
            vec![
                constant("c", tensor("", &[4, 4], &spread(16))),
                node("Conv", &["in", "a"], &["x"]),
                node("MatMul", &["x", "c"], &["y"]),
                node("Gemm", &["y", "g"], &["out"]),
            ],
        ));
        let at = at.index(file.len());
        file[at] = to;
        survive(&file);
    }
}
