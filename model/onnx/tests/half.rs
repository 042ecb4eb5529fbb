//! `half`: what becomes fp16, and what stays.

#![allow(clippy::unwrap_used)]

mod support;

use hanja_onnx::Model;
use hanja_onnx::half::{HalfReport, half};
use rten_onnx::onnx::{DataType, GraphProto, ModelProto, TensorProto};
use std::collections::HashMap;
use support::{bytes, constant, graph, node, parse, shipped, small, spread, tensor, value};

const F32: i32 = 1;
const F16: i32 = 10;

fn converted(file: &[u8]) -> (GraphProto, HalfReport) {
    let mut model = Model::parse(file).unwrap();
    let report = half(&mut model).unwrap();
    let graph = parse(&model.to_bytes());
    types(&graph);
    (graph, report)
}

fn refused(file: &[u8]) -> String {
    half(&mut Model::parse(file).unwrap())
        .unwrap_err()
        .to_string()
}

/// The type of every value, found by going through the nodes as a runtime does. Fails where a node gets operands of
/// different types, where a value is used before it is made, or where a declared type is another.
fn types(graph: &GraphProto) -> HashMap<String, i32> {
    let declared = |v: &rten_onnx::onnx::ValueInfoProto| {
        let of_tensor = v.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap();
        (v.name.clone().unwrap(), of_tensor.elem_type.unwrap().0)
    };
    let of = |t: &TensorProto| t.data_type.unwrap().0;
    let mut types: HashMap<String, i32> = graph.input.iter().map(declared).collect();
    for tensor in &graph.initializer {
        let name = tensor.name.clone().unwrap();
        let before = types.insert(name.clone(), of(tensor));
        assert!(
            before.is_none_or(|t| t == of(tensor)),
            "{name} is declared as another type"
        );
    }
    for node in &graph.node {
        let operator = node.op_type.as_deref().unwrap();
        let attribute = |name: &str| {
            node.attribute
                .iter()
                .find(|a| a.name.as_deref() == Some(name))
        };
        let given = node.input.iter().filter(|name| !name.is_empty());
        let given: Vec<i32> = given
            .map(|name| {
                *types
                    .get(name)
                    .unwrap_or_else(|| panic!("{operator} uses {name} too early"))
            })
            .collect();
        let result = match operator {
            "Constant" => of(attribute("value").unwrap().t.as_ref().unwrap()),
            "Cast" => attribute("to").unwrap().i.unwrap() as i32,
            "Shape" => 7,
            "Resize" => {
                assert_eq!(given[1], F32, "scales are f32");
                given[0]
            }
            "Reshape" | "Slice" | "Transpose" | "Gather" | "Unsqueeze" | "Split" | "MaxPool" => {
                given[0]
            }
            _ => {
                assert!(
                    given.iter().all(|t| *t == given[0]),
                    "{operator} mixes {given:?}"
                );
                given[0]
            }
        };
        for (i, name) in node.output.iter().enumerate() {
            let kind = if operator == "MaxPool" && i == 1 {
                7
            } else {
                result
            };
            assert!(
                types.insert(name.clone(), kind).is_none(),
                "{name} is made twice"
            );
        }
    }
    for info in graph.value_info.iter().chain(&graph.output) {
        let (name, kind) = declared(info);
        assert_eq!(types.get(&name), Some(&kind), "declared type of {name}");
    }
    types
}

fn element(graph: &GraphProto, name: &str) -> i32 {
    let of_name = |t: &&TensorProto| t.name.as_deref() == Some(name);
    graph
        .initializer
        .iter()
        .find(of_name)
        .unwrap()
        .data_type
        .unwrap()
        .0
}

#[test]
fn the_shipped_model_is_half_as_large_and_says_the_same_of_itself() {
    let file = std::fs::read(shipped()).unwrap();
    let mut model = Model::parse(&file).unwrap();
    let report = half(&mut model).unwrap();
    let small = model.to_bytes();
    // Names and structure stay as long as they are.
    assert!(
        small.len() < file.len() / 2 + 40_000,
        "{} of {}",
        small.len(),
        file.len()
    );
    assert_eq!(
        (
            report.heavy_left.len(),
            report.tensors,
            report.clamped.len()
        ),
        (0, 120, 0)
    );
    let (before, after) = (
        ModelProto::parse_buf(&file).unwrap(),
        ModelProto::parse_buf(&small).unwrap(),
    );
    let opset = |m: &ModelProto| m.opset_import.iter().map(|o| o.version).collect::<Vec<_>>();
    assert_eq!(opset(&before), opset(&after));
    let metadata = |m: &ModelProto| {
        m.metadata_props
            .iter()
            .map(|e| (e.key.clone(), e.value.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(metadata(&before), metadata(&after));
    assert!(
        metadata(&after)
            .iter()
            .any(|(key, _)| key.as_deref() == Some("names"))
    );
    let graph = after.graph.unwrap();
    let types = types(&graph);
    let (input, output) = (
        graph.input[0].name.as_ref().unwrap(),
        graph.output[0].name.as_ref().unwrap(),
    );
    assert_eq!((types[input], types[output]), (F32, F32));
    for conv in graph
        .node
        .iter()
        .filter(|n| n.op_type.as_deref() == Some("Conv"))
    {
        assert!(
            conv.input.iter().all(|name| types[name] == F16),
            "{:?}",
            conv.name
        );
    }
    // Boxes in pixels are made in f32: no value near the output is fp16.
    let last = graph
        .node
        .iter()
        .rposition(|n| n.op_type.as_deref() == Some("Conv"))
        .unwrap();
    let late = graph.node[last + 1..]
        .iter()
        .filter(|n| n.op_type.as_deref() != Some("Cast"));
    assert!(late.clone().count() > 50);
    assert!(late.flat_map(|n| &n.output).all(|name| types[name] != F16));
}

#[test]
fn casts_stand_where_the_types_meet() {
    // in → Conv a → Relu → Conv b → out: nothing after the last product, so out itself is cast.
    let (graph, report) = converted(&bytes(small()));
    let casts: Vec<_> = graph
        .node
        .iter()
        .filter(|n| n.op_type.as_deref() == Some("Cast"))
        .map(|n| format!("{} -> {}", n.input[0], n.output[0]))
        .collect();
    assert_eq!(casts, ["in -> in_float16", "out_float16 -> out"]);
    assert_eq!(
        (report.nodes, report.tensors, report.casts, report.left),
        (3, 2, 2, 0)
    );
}

#[test]
fn scales_shapes_shared_weights_and_unknown_operators_stay() {
    let scales = tensor("scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
    let shape: Vec<u8> = [1i64, 8, -1].iter().flat_map(|d| d.to_le_bytes()).collect();
    let shape = TensorProto {
        data_type: Some(DataType(7)),
        raw_data: Some(shape.into()),
        ..tensor("shape", &[3], &[])
    };
    let mut own = node("Relu", &["e"], &["f"]);
    own.domain = Some("com.example".into());
    let mut model = graph(
        vec![
            tensor("w", &[8, 4, 1, 1], &spread(32)),
            tensor("shared", &[8, 8, 1, 1], &spread(64)),
            scales,
            shape,
        ],
        vec![
            constant("held", tensor("", &[1, 8, 1, 1], &spread(8))),
            node("Conv", &["in", "w"], &["a"]),
            node("Resize", &["a", "", "scales"], &["b"]),
            node("MaxPool", &["b"], &["c", "where"]),
            node("Mul", &["c", "held"], &["d"]),
            node("Conv", &["d", "shared"], &["e"]),
            own,
            node("ReduceMean", &["e"], &["mean"]),
            node("Add", &["f", "mean"], &["g"]),
            node("Conv", &["g", "shared"], &["h"]),
            node("Add", &["h", "shared"], &["i"]),
            node("Exp", &["i"], &["j"]),
            node("Reshape", &["j", "shape"], &["out"]),
        ],
    );
    let f32_value = |name: &str| value(name, DataType::FLOAT);
    model.value_info = ["a", "d", "f", "h", "i"].map(f32_value).to_vec();
    let (graph, report) = converted(&bytes(model));
    let types = types(&graph);
    for (name, kind) in [
        ("a", F16),
        ("b", F16),
        ("c", F16),
        ("where", 7),
        ("held", F16),
        ("e", F16),
    ] {
        assert_eq!(types[name], kind, "{name}");
    }
    for (name, kind) in [
        ("f", F32),
        ("mean", F32),
        ("g", F16),
        ("h", F16),
        ("i", F32),
        ("out", F32),
    ] {
        assert_eq!(types[name], kind, "{name}");
    }
    let tensors = ["w", "shared", "scales", "shape"].map(|name| element(&graph, name));
    assert_eq!(tensors, [F16, F32, F32, 7]);
    // The copy of `shared` is made once for both convolutions.
    let copies = graph.node.iter().filter(|n| n.input == ["shared"]).count();
    assert_eq!(copies, 1);
    assert!(report.heavy_left.is_empty(), "{report:?}");
}

#[test]
fn an_output_that_others_use_keeps_its_name() {
    let mut model = small();
    model.output.push(value("y", DataType::FLOAT));
    model.node.push(node("Exp", &["y"], &["z"]));
    let (graph, _) = converted(&bytes(model));
    let types = types(&graph);
    assert_eq!(
        (types["y"], types["y_float16"], types["z"]),
        (F32, F16, F32)
    );
}

#[test]
fn weights_of_old_exports_are_inputs_too() {
    let mut model = small();
    model.input.push(value("a", DataType::FLOAT));
    let (graph, report) = converted(&bytes(model));
    assert_eq!((types(&graph)["a"], report.tensors), (F16, 2));
}

#[test]
fn a_name_that_is_taken_is_not_taken_again() {
    let mut model = small();
    model.node.push(node("Exp", &["in"], &["in_float16"]));
    let (graph, _) = converted(&bytes(model));
    assert_eq!(graph.node[0].output, ["in_float16_"]);
}

#[test]
fn what_cannot_be_converted_is_said() {
    let (graph16, _) = converted(&bytes(small()));
    assert!(refused(&bytes(graph16)).contains("nothing to convert; is it fp16 already?"));
    let mut flow = small();
    let mut branch = node("If", &["y"], &["never"]);
    branch.attribute.push(rten_onnx::onnx::AttributeProto {
        name: Some("then_branch".into()),
        g: Some(GraphProto::default()),
        ..Default::default()
    });
    flow.node.push(branch);
    let said = refused(&bytes(flow));
    assert!(
        said.contains("node If /If/never carries a graph of its own"),
        "{said}"
    );
    let old = ModelProto {
        graph: Some(small()),
        opset_import: vec![rten_onnx::onnx::OperatorSetIdProto {
            domain: None,
            version: Some(6),
        }],
        ..ModelProto::default()
    };
    assert!(refused(&old.write_buf().unwrap()).contains("operator set 6 is older than 7"));
}
