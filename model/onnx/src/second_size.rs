//! Runs a model on its picture twice in one graph: at full size and a third as large, with the same weights. This is for
//! engines with one fixed input size, which cannot run on another: the second size becomes part of the graph, and whatever
//! runs it sees one input and one list of rows, as before.
//!
//! Added are: an average over 3x3 pixels; grey at the right and at the bottom, up to a multiple of the stride; a copy of
//! every node; and for the rows of the second size, boxes three times as large, with a score of 0 for the small ones, which
//! the first size finds. These rows follow those of the first size. Only operators that every parser has known since
//! operator set 11 are used; grey is concatenated, because TensorRT supported `Pad` with values other than 0 only late.

use crate::{Graph, Model, Node, OnnxError, Part, Setting, Tensor};
use std::collections::HashSet;

/// Pixels of the first size along the side of one of the second.
pub const FACTOR: usize = 3;
/// Prefix of the names of the second pass.
const PREFIX: &str = "second/";

/// Parameters of the second size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SecondSize {
    /// Height and width of the model's input, pixels.
    pub input: (usize, usize),
    /// The sides of an input are multiples of this, pixels.
    pub stride: usize,
    /// Columns of the output: 4 of the box, objectness, one per class.
    pub columns: usize,
    /// Least longer side of a box of the second size that counts, pixels of the input.
    pub least: f32,
    /// Value of the bars beside a letterboxed picture, 0 to 1.
    pub bars: f32,
}

/// Adds the second size to the graph.
///
/// # Errors
/// [`OnnxError::Input`] if the model does not have exactly one input and one output, its operator set is below 11 or above
/// 17, or it has control flow; [`OnnxError::Damaged`] if a part of the file cannot be read.
pub fn add(model: &mut Model, of: &SecondSize) -> Result<(), OnnxError> {
    let refused = |reason: &str| Err(OnnxError::Input(reason.into()));
    let opset = model.opset()?;
    if !(11..=17).contains(&opset) {
        return refused("its operator set is not one of 11 to 17");
    }
    let input = model.picture_input()?.name;
    let graph = &mut model.graph;
    let outputs: Vec<String> = graph
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Output(info) => Some(info.name().to_owned()),
            _ => None,
        })
        .collect();
    let [output] = outputs.as_slice() else {
        return refused("it has not one output");
    };
    let mut made: HashSet<String> = HashSet::from([input.clone()]);
    for node in graph.nodes() {
        if node.has_subgraph()? {
            return refused("it has control flow");
        }
        made.extend(node.outputs().iter().filter(|o| !o.is_empty()).cloned());
    }
    if !made.contains(output) {
        return refused("no node makes its output");
    }
    let again: Vec<Node> = graph
        .nodes()
        .map(|node| copy_for_second(node, &made))
        .collect();
    let first_rows = format!("{output}/first");
    rename_output(graph, output, &first_rows);
    shrink(graph, &input, of);
    graph.parts.extend(again.into_iter().map(Part::Node));
    merge(graph, &first_rows, output, of);
    Ok(())
}

/// The copy of a node for the second pass: it computes values of that pass from values of that pass and the same weights.
fn copy_for_second(node: &Node, made: &HashSet<String>) -> Node {
    let mut node = node.clone();
    for (k, name) in node.inputs().to_vec().iter().enumerate() {
        if made.contains(name) {
            node.set_input(k, &format!("{PREFIX}{name}"));
        }
    }
    for (k, name) in node.outputs().to_vec().iter().enumerate() {
        if !name.is_empty() {
            node.set_output(k, &format!("{PREFIX}{name}"));
        }
    }
    node.set_name(&format!("{PREFIX}{}", node.name()));
    node
}

fn rename_output(graph: &mut Graph, from: &str, to: &str) {
    for part in &mut graph.parts {
        let Part::Node(node) = part else { continue };
        for (k, name) in node.inputs().to_vec().iter().enumerate() {
            if name == from {
                node.set_input(k, to);
            }
        }
        for (k, name) in node.outputs().to_vec().iter().enumerate() {
            if name == from {
                node.set_output(k, to);
            }
        }
    }
}

/// Adds the smaller picture, under the name of the second pass's input.
fn shrink(graph: &mut Graph, input: &str, of: &SecondSize) {
    let name = |what: &str| format!("{PREFIX}picture/{what}");
    let (height, width) = (of.input.0 / FACTOR, of.input.1 / FACTOR);
    let (full_height, full_width) = (
        height.next_multiple_of(of.stride),
        width.next_multiple_of(of.stride),
    );
    let side = FACTOR as i64;
    let mut nodes = vec![Node::new(
        "AveragePool",
        &[input],
        &[&name("average")],
        &[
            Setting::Integers("kernel_shape", &[side, side]),
            Setting::Integers("strides", &[side, side]),
        ],
    )];
    let mut so_far = name("average");
    for (what, axis, missing, dims) in [
        (
            "right",
            3,
            full_width - width,
            [1, 3, height, full_width - width],
        ),
        (
            "below",
            2,
            full_height - height,
            [1, 3, full_height - height, full_width],
        ),
    ] {
        if missing == 0 {
            continue;
        }
        let grey = name(&format!("grey {what}"));
        let count = dims.iter().product();
        graph.parts.push(Part::Initializer(Tensor::floats(
            &grey,
            &dims,
            &vec![of.bars; count],
        )));
        nodes.push(Node::new(
            "Concat",
            &[&so_far, &grey],
            &[&name(what)],
            &[Setting::Integer("axis", axis)],
        ));
        so_far = name(what);
    }
    let picture = format!("{PREFIX}{input}");
    nodes.push(Node::new("Identity", &[&so_far], &[&picture], &[]));
    graph.parts.extend(nodes.into_iter().map(Part::Node));
}

/// Joins the rows of both sizes to one output.
fn merge(graph: &mut Graph, first_rows: &str, output: &str, of: &SecondSize) {
    let name = |what: &str| format!("{PREFIX}rows/{what}");
    let rows = format!("{PREFIX}{output}");
    let mut constants = Vec::new();
    let mut nodes = Vec::new();
    let mut integer = |what: &str, value: usize| {
        let name = name(what);
        constants.push(Tensor::integers(&name, &[value as i64]));
        name
    };
    let (zero, two, four) = (integer("0", 0), integer("2", 2), integer("4", 4));
    let all = integer("all", of.columns);
    let mut float = |what: &str, value: f32| {
        let name = name(what);
        constants.push(Tensor::floats(&name, &[], &[value]));
        name
    };
    let (factor, least) = (float("factor", FACTOR as f32), float("least", of.least));
    // So steep a slope that one pixel of the longer side decides between 0 and 1.
    let (steep, none, one) = (float("steep", 1e3), float("none", 0.0), float("one", 1.0));
    let mut node = |operator: &str, inputs: &[&str], what: &str, settings: &[Setting<'_>]| {
        let made = name(what);
        nodes.push(Node::new(operator, inputs, &[&made], settings));
        made
    };
    let boxes = node("Slice", &[&rows, &zero, &four, &two], "boxes", &[]);
    let scores = node("Slice", &[&rows, &four, &all, &two], "scores", &[]);
    let boxes = node("Mul", &[&boxes, &factor], "large", &[]);
    let sides = node("Slice", &[&boxes, &two, &four, &two], "sides", &[]);
    let settings = [
        Setting::Integers("axes", &[2]),
        Setting::Integer("keepdims", 1),
    ];
    let longer = node("ReduceMax", &[&sides], "longer", &settings);
    let above = node("Sub", &[&longer, &least], "above", &[]);
    let above = node("Mul", &[&above, &steep], "steeply", &[]);
    let counts = node("Clip", &[&above, &none, &one], "counts", &[]);
    let scores = node("Mul", &[&scores, &counts], "counting", &[]);
    let second = node(
        "Concat",
        &[&boxes, &scores],
        "both",
        &[Setting::Integer("axis", 2)],
    );
    nodes.push(Node::new(
        "Concat",
        &[first_rows, &second],
        &[output],
        &[Setting::Integer("axis", 1)],
    ));
    graph
        .parts
        .extend(constants.into_iter().map(Part::Initializer));
    graph.parts.extend(nodes.into_iter().map(Part::Node));
}
