//! Models for the tests, written and read with rten's own ONNX crate. The tests of `hanja-model` use it, too.

// Each test uses a part of it.
#![allow(dead_code, clippy::unwrap_used)]

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// The model that ships.
pub(crate) fn shipped() -> PathBuf {
    // Of `model` or of `model/onnx`: both use this.
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model_dir = crate_dir.parent().filter(|_| crate_dir.ends_with("onnx"));
    model_dir
        .unwrap_or(crate_dir)
        .join("weights/hanja-pico.onnx")
}

/// An f32 tensor with its values in `raw_data`.
pub(crate) fn tensor(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(DataType::FLOAT),
        raw_data: Some(RefCell::new(bytes)),
        ..TensorProto::default()
    }
}

/// An f32 tensor with its values in `float_data`.
pub(crate) fn listed(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        raw_data: None,
        float_data: values.to_vec(),
        ..tensor(name, dims, &[])
    }
}

/// An f16 tensor with its values in `int32_data`.
pub(crate) fn listed_half(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    let bits = |v: &f32| i32::from(half::f16::from_f32(*v).to_bits());
    TensorProto {
        raw_data: None,
        int32_data: values.iter().map(bits).collect(),
        data_type: Some(DataType::FLOAT16),
        ..tensor(name, dims, &[])
    }
}

/// `count` values, all of different magnitude, the smallest nowhere in particular.
pub(crate) fn spread(count: usize) -> Vec<f32> {
    let value = |i: usize| {
        let magnitude = (i * 7919 % 10_007) as f32 / 10_007.0 + 0.001;
        if i.is_multiple_of(2) {
            magnitude
        } else {
            -magnitude
        }
    };
    (0..count).map(value).collect()
}

pub(crate) fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let own = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    NodeProto {
        op_type: Some(operator.into()),
        name: Some(format!("/{operator}/{}", outputs[0])),
        input: own(inputs),
        output: own(outputs),
        ..NodeProto::default()
    }
}

pub(crate) fn constant(output: &str, value: TensorProto) -> NodeProto {
    let mut node = node("Constant", &[], &[output]);
    node.attribute.push(AttributeProto {
        name: Some("value".into()),
        t: Some(value),
        r#type: Some(AttributeType(4)),
        ..AttributeProto::default()
    });
    node
}

pub(crate) fn integer(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: Some(name.into()),
        i: Some(value),
        r#type: Some(AttributeType(2)),
        ..AttributeProto::default()
    });
    node
}

pub(crate) fn value(name: &str, element: DataType) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TypeProtoTensor {
                elem_type: Some(element),
                shape: None,
            }),
            sequence: None,
        }),
    }
}

/// A graph with the f32 input `in` and the f32 output `out`.
pub(crate) fn graph(initializer: Vec<TensorProto>, node: Vec<NodeProto>) -> GraphProto {
    GraphProto {
        node,
        initializer,
        input: vec![value("in", DataType::FLOAT)],
        output: vec![value("out", DataType::FLOAT)],
        value_info: Vec::new(),
    }
}

pub(crate) fn bytes(graph: GraphProto) -> Vec<u8> {
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: Some(key.into()),
        value: Some(value.into()),
    };
    ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(13),
        }],
        metadata_props: vec![entry("names", "{0: '一'}"), entry("stride", "32")],
        producer_name: Some("test".into()),
        producer_version: None,
    }
    .write_buf()
    .unwrap()
}

/// Two convolutions, weights `a` (8x4x1x1) and `b` (8x8x3x3), with an activation between.
pub(crate) fn small() -> GraphProto {
    graph(
        vec![
            tensor("a", &[8, 4, 1, 1], &spread(32)),
            tensor("b", &[8, 8, 3, 3], &spread(576)),
        ],
        vec![
            node("Conv", &["in", "a"], &["x"]),
            node("Relu", &["x"], &["y"]),
            node("Conv", &["y", "b"], &["out"]),
        ],
    )
}

pub(crate) fn parse(bytes: &[u8]) -> GraphProto {
    ModelProto::parse_buf(bytes).unwrap().graph.unwrap()
}

/// The f32 values of an initializer that has them in `raw_data`.
pub(crate) fn raw_values(graph: &GraphProto, name: &str) -> Vec<f32> {
    let of_name = |t: &&TensorProto| t.name.as_deref() == Some(name);
    let tensor = graph.initializer.iter().find(of_name).unwrap();
    let raw = tensor.raw_data.as_ref().unwrap().borrow();
    raw.as_chunks()
        .0
        .iter()
        .map(|c| f32::from_le_bytes(*c))
        .collect()
}
