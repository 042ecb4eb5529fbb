//! `storage`: weights in fp16, computation in f32, and back.

#![allow(clippy::unwrap_used)]

mod support;

use half::f16;
use hanja_onnx::storage::{narrow, widen};
use hanja_onnx::{Element, Model};
use rten_onnx::onnx::DataType;
use support::{bytes, graph, node, parse, shipped, spread, tensor, value};

fn narrowed(file: &[u8]) -> Model {
    let mut model = Model::parse(file).unwrap();
    narrow(&mut model).unwrap();
    model
}

/// A convolution with weights of 512 values and a bias of 8.
fn convolution(weights: &[f32]) -> Vec<u8> {
    let tensors = vec![
        tensor("w", &[8, 8, 2, 4], weights),
        tensor("b", &[8], &spread(8)),
    ];
    bytes(graph(
        tensors,
        vec![node("Conv", &["in", "w", "b"], &["out"])],
    ))
}

#[test]
fn there_and_back_only_rounds() {
    let weights = spread(512);
    let mut model = narrowed(&convolution(&weights));
    let stored = parse(&model.to_bytes());
    assert_eq!(stored.node.len(), 2);
    assert_eq!(
        stored.node[0].op_type.as_deref(),
        Some("Cast"),
        "before its user"
    );
    assert_eq!(stored.node[0].output, ["w"]);
    let element = |model: &Model| {
        let found = model
            .graph
            .tensors()
            .find(|(name, _)| name.starts_with('w'));
        found.unwrap().1.element()
    };
    assert_eq!(element(&model), Element::F16);

    assert_eq!(widen(&mut model).unwrap(), 1);
    assert_eq!(model.graph.nodes().count(), 1);
    assert_eq!(element(&model), Element::F32);
    let (_, back) = model
        .graph
        .tensors()
        .find(|(name, _)| *name == "w")
        .unwrap();
    let rounded: Vec<f32> = weights.iter().map(|v| f16::from_f32(*v).to_f32()).collect();
    assert_eq!(back.values().unwrap(), rounded);
    // What it makes can be read again, and there is nothing left to do.
    let mut again = Model::parse(&model.to_bytes()).unwrap();
    assert_eq!(widen(&mut again).unwrap(), 0);
}

#[test]
fn what_fp16_cannot_hold_or_others_declare_stays() {
    let mut large = spread(512);
    large[7] = 1e6;
    let mut model = Model::parse(&convolution(&large)).unwrap();
    let report = narrow(&mut model).unwrap();
    assert_eq!(
        (report.tensors, report.too_large),
        (0, vec!["w".to_owned()])
    );

    let mut declared = parse(&convolution(&spread(512)));
    declared.input.push(value("w", DataType::FLOAT));
    let before = bytes(declared);
    assert_eq!(
        narrowed(&before).to_bytes(),
        Model::parse(&before).unwrap().to_bytes()
    );
}

#[test]
fn a_stored_tensor_that_another_node_uses_stays() {
    let mut file = parse(&narrowed(&convolution(&spread(512))).to_bytes());
    let stored = file.node[0].input[0].clone();
    file.node.push(node("Identity", &[&stored], &["z"]));
    let mut model = Model::parse(&bytes(file)).unwrap();
    assert_eq!(widen(&mut model).unwrap(), 0);
    assert_eq!(model.graph.nodes().count(), 3);
}

#[test]
fn the_file_that_ships_is_half_as_large() {
    let file = std::fs::read(shipped()).unwrap();
    let small = narrowed(&file).to_bytes().len();
    assert!(small * 100 < file.len() * 56, "{small} of {}", file.len());
}
